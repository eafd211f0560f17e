//! Concatenation of two tensors along an axis.

use super::*;

params! {
    /// x `[outer, a, inner]`, y `[outer, b, inner]` -> z `[outer, a + b, inner]`.
    pub struct Concat {
        /// Product of the axes in front.
        pub outer: u32,
        /// Extent of x on the joined axis.
        pub a: u32,
        /// Extent of y on the joined axis.
        pub b: u32,
        /// Product of the axes behind.
        pub inner: u32,
    }
}

static SIGNATURE: Signature = Signature { name: "concat", reads: &["x", "y"], writes: &[("z", Access::Write)] };

impl Kernel for Concat {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let [outer, a, b, inner] = [self.outer, self.a, self.b, self.inner].map(|n| n as usize);
        Lens { reads: vec![outer * a * inner, outer * b * inner], writes: vec![outer * (a + b) * inner] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [a, b, inner] = [self.a, self.b, self.inner].map(|n| n as usize);
        let parts = std::iter::zip(reads[0].chunks(a * inner), reads[1].chunks(b * inner));
        for (z, (x, y)) in std::iter::zip(writes[0].chunks_mut((a + b) * inner), parts) {
            z[..a * inner].copy_from_slice(x);
            z[a * inner..].copy_from_slice(y);
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        let Concat { outer, a, b, inner } = self;
        format!("x[{outer},{a},{inner}] y[{outer},{b},{inner}]")
    }
}
