//! Concatenation of two tensors along an axis.

use crate::kernels::at_pixel::AtPixel;
use crate::kernels::*;

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

static SHADER: Shader = shader!(Concat, "concat");

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

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = self.lens().writes[0];
        vec![Recipe::single("flat", flat(&SHADER, self, items, caps).operands(self.signature()))]
    }

    fn at_pixel(&self) -> Option<AtPixel> {
        Some(AtPixel::Join { start: 0, offset: [0, 0] })
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        let Concat { outer, a, b, inner } = self;
        format!("x[{outer},{a},{inner}] y[{outer},{b},{inner}]")
    }
}

impl Checks for Concat {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |outer, a, b, inner| Box::new(Concat { outer, a, b, inner }) as Box<dyn Kernel>;
    vec![
        case(1, 1, 1, 1),
        case(3, 2, 5, 1),
        case(7, 1, 3, 13),
        case(2, 3, 4, 1009),
        case(64, 17, 1, 49),
        case(20_011, 1, 2, 1),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Concat { outer: 16, a: 32, b: 32, inner: 784 })]
}
