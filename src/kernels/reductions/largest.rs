//! Where the largest of several is: the derivative of their maximum.

use crate::kernels::*;

params! {
    /// x `[outer, pieces, inner]` -> y of that shape: 1 where x is the first largest among its
    /// pieces, or the first that is NaN, else 0.
    pub struct Largest {
        /// Product of the axes in front.
        pub outer: u32,
        /// Elements that are compared.
        pub pieces: u32,
        /// Product of the axes behind.
        pub inner: u32,
    }
}

static SHADER: Shader = shader!(Largest, "largest");

static SIGNATURE: Signature = Signature { name: "largest", reads: &["x"], writes: &[("y", Access::Write)] };

impl Kernel for Largest {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let len = [self.outer, self.pieces, self.inner].iter().map(|n| *n as usize).product();
        Lens { reads: vec![len], writes: vec![len] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [pieces, inner] = [self.pieces, self.inner].map(|n| n as usize);
        let groups = std::iter::zip(reads[0].chunks(pieces * inner), writes[0].chunks_mut(pieces * inner));
        for (x, y) in groups {
            y.fill(0.0);
            for i in 0..inner {
                let first = |best: usize, k: usize| {
                    let (most, v) = (x[best * inner + i], x[k * inner + i]);
                    if v > most || (v.is_nan() && !most.is_nan()) { k } else { best }
                };
                y[(1..pieces).fold(0, first) * inner + i] = 1.0;
            }
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = (self.outer * self.inner) as usize;
        let stage = flat(&SHADER, self, items, caps).operands(self.signature());
        vec![Recipe::single("flat", stage)]
    }

    fn flops(&self) -> u64 {
        self.lens().reads[0] as u64
    }

    fn label(&self) -> String {
        format!("x[{},{},{}]", self.outer, self.pieces, self.inner)
    }
}

impl Checks for Largest {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [(1, 1, 1), (3, 5, 1), (7, 2, 13), (2, 3, 1009), (64, 5, 49), (20_011, 2, 1)]
        .map(|(outer, pieces, inner)| Box::new(Largest { outer, pieces, inner }) as Box<dyn Kernel>)
        .into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Largest { outer: 100, pieces: 5, inner: 240 })]
}
