//! Dropout, with a mask that is drawn where it is needed and never stored.

use crate::kernels::*;

params! {
    /// x `[len]`, clock -> y `[len]` = x / keep where a uniform draw is below keep, else 0.
    pub struct Dropout {
        /// Elements.
        pub len: u32,
        /// The share of elements that stay.
        pub keep: f32,
        /// Which numbers it draws.
        pub noise: philox::NoiseBlock,
    }
}

static SHADER: Shader = shader!(Dropout, "dropout");

static SIGNATURE: Signature = Signature { name: "dropout", reads: &["x", "clock"], writes: &[("y", Access::Write)] };

impl Kernel for Dropout {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize, 1], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let source = self.noise.at(step(reads[1]));
        for (i, y) in writes[0].iter_mut().enumerate() {
            let stays = source.uniform(i) < self.keep || reads[0][i].is_nan();
            *y = if stays { (f64::from(reads[0][i]) / f64::from(self.keep)) as f32 } else { 0.0 };
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let source = self.noise.at(step(reads[1]));
        host::pieces(writes[0], |first, y| {
            host::uniforms(&source, first, y);
            for (y, x) in std::iter::zip(y, &reads[0][first..]) {
                let stays = *y < self.keep || x.is_nan();
                *y = if stays { x / self.keep } else { 0.0 };
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = (self.len as usize).div_ceil(4);
        let stage = flat(&SHADER, self, items, caps);
        let stage = stage.operands(self.signature());
        vec![Recipe::single("flat", stage)]
    }

    fn flops(&self) -> u64 {
        u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("x[{}] keep {}", self.len, self.keep)
    }
}

impl Checks for Dropout {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        example_with_clock(1, operand, len, draw)
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        // Vulkan's quotients are off by up to 2.5 units in the last place; what is dropped is 0.
        vec![reference[0].iter().map(|y| 6.0 * EPS * y.abs()).collect()]
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, keep| Box::new(Dropout { len, keep, noise: philox::NoiseBlock::example(5) }) as Box<dyn Kernel>;
    vec![case(1, 0.5), case(3, 1.0), case(1021, 0.8), case(40_002, 0.3)]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [(78_400, 0.8), (24_000, 0.5)]
        .map(|(len, keep)| Box::new(Dropout { len, keep, noise: philox::NoiseBlock::example(0) }) as Box<dyn Kernel>)
        .into()
}
