//! Fills from the counter-based generator: uniform, normal and Bernoulli.
//!
//! ```
//! use limn::kernels::{Kernel, philox::NoiseBlock, random::Random};
//!
//! let noise = NoiseBlock::new(7, 0, 0); // of seed 7
//! let dice = Random { len: 4, kind: 0, offset: 1.0, scale: 6.0, noise };
//! let mut y = [0.0; 4];
//! dice.cpu(&[&[0.0]], &mut [&mut y]); // at clock 0
//! assert!(y.iter().all(|y| (1.0..7.0).contains(y)));
//! ```

pub mod dropout;
pub mod reparameterize;
pub mod translate;

use crate::kernels::*;

params! {
    /// clock -> y `[len]` = offset + scale · draw.
    pub struct Random {
        /// Elements.
        pub len: u32,
        /// 0: uniform in [0, 1); 1: standard normal.
        pub kind: u32,
        /// Added to every draw.
        pub offset: f32,
        /// Factor of every draw.
        pub scale: f32,
        /// Which numbers it draws.
        pub noise: philox::NoiseBlock,
    }
}

params! {
    /// probability `[len]`, clock -> y `[len]` = 1 with that probability, else 0.
    pub struct Bernoulli {
        /// Elements.
        pub len: u32,
        /// Which numbers it draws.
        pub noise: philox::NoiseBlock,
    }
}

static RANDOM_SHADER: Shader = shader!(Random, "random");
static BERNOULLI_SHADER: Shader = shader!(Bernoulli, "bernoulli");

static RANDOM: Signature = Signature { name: "random", reads: &["clock"], writes: &[("y", Access::Write)] };

static BERNOULLI: Signature =
    Signature { name: "bernoulli", reads: &["probability", "clock"], writes: &[("y", Access::Write)] };

impl Kernel for Random {
    fn signature(&self) -> &'static Signature {
        &RANDOM
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![1], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let source = self.noise.at(step(reads[0]));
        for (i, y) in writes[0].iter_mut().enumerate() {
            let draw = if self.kind == 0 { source.uniform(i) } else { source.normal(i) };
            *y = (f64::from(self.offset) + f64::from(self.scale) * f64::from(draw)) as f32;
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let source = self.noise.at(step(reads[0]));
        host::pieces(writes[0], |first, y| {
            if self.kind == 0 {
                host::uniforms(&source, first, y);
            } else {
                host::normals(&source, first, y);
            }
            if (self.offset, self.scale) != (0.0, 1.0) {
                y.iter_mut().for_each(|y| *y = self.offset + self.scale * *y);
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = (self.len as usize).div_ceil(4);
        vec![Recipe::single("flat", flat(&RANDOM_SHADER, self, items, caps).operands(self.signature()))]
    }

    fn flops(&self) -> u64 {
        2 * u64::from(self.len)
    }

    fn label(&self) -> String {
        let kind = if self.kind == 0 { "uniform" } else { "normal" };
        format!("y[{}] {} + {} {kind}", self.len, self.offset, self.scale)
    }
}

impl Checks for Random {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(0) => example_clock(len, draw),
            _ => (0..len).map(|_| draw()).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        if self.kind == 0 && (self.offset, self.scale) == (0.0, 1.0) {
            return exact(reference);
        }
        let source = self.noise.at(step(reads[0]));
        let bound = |(i, y): (usize, &f32)| {
            let draw = if self.kind == 0 { 0.0 } else { normal_error(&source, i) };
            self.scale.abs() * draw + 2.0 * EPS * ((y - self.offset).abs() + y.abs())
        };
        vec![reference[0].iter().enumerate().map(bound).collect()]
    }
}

impl Kernel for Bernoulli {
    fn signature(&self) -> &'static Signature {
        &BERNOULLI
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize, 1], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let source = self.noise.at(step(reads[1]));
        for (i, y) in writes[0].iter_mut().enumerate() {
            *y = match reads[0][i] {
                p if p.is_nan() => p,
                p if source.uniform(i) < p => 1.0,
                _ => 0.0,
            };
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let source = self.noise.at(step(reads[1]));
        host::pieces(writes[0], |first, y| {
            host::uniforms(&source, first, y);
            for (y, p) in std::iter::zip(y, &reads[0][first..]) {
                let drawn = if *y < *p { 1.0 } else { 0.0 };
                *y = if p.is_nan() { *p } else { drawn };
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = (self.len as usize).div_ceil(4);
        vec![Recipe::single("flat", flat(&BERNOULLI_SHADER, self, items, caps).operands(self.signature()))]
    }

    fn flops(&self) -> u64 {
        u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("p[{}]", self.len)
    }
}

impl Checks for Bernoulli {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(1) => example_clock(len, draw),
            _ => (0..len).map(|_| draw()).collect(),
        }
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

fn random(len: u32, kind: u32, offset: f32, scale: f32) -> Random {
    Random { len, kind, offset, scale, noise: philox::NoiseBlock::example(5) }
}

fn bernoulli(len: u32) -> Bernoulli {
    Bernoulli { len, noise: philox::NoiseBlock::example(6) }
}

/// Odd shapes of [`Random`]; the uniform draws must agree bitwise.
pub fn random_cases() -> Vec<Box<dyn Kernel>> {
    let cases = [(1, 0), (2, 1), (1021, 0), (1022, 1), (40_003, 0), (200_000, 1)];
    let plain = cases.map(|(len, kind)| random(len, kind, 0.0, 1.0)).into_iter();
    let scaled = [random(777, 0, -1.0, 2.0), random(5001, 1, 0.25, 0.02)];
    plain.chain(scaled).map(|case| Box::new(case) as Box<dyn Kernel>).collect()
}

/// Shapes of the presets for [`Random`].
pub fn random_shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(random(6400, 1, 0.0, 1.0)), Box::new(random(50_176, 0, 0.0, 1.0))]
}

/// Odd shapes of [`Bernoulli`].
pub fn bernoulli_cases() -> Vec<Box<dyn Kernel>> {
    [1, 3, 1021, 100_002].map(|len| Box::new(bernoulli(len)) as Box<dyn Kernel>).into()
}

/// Shapes of the presets for [`Bernoulli`].
pub fn bernoulli_shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(bernoulli(12_544)), Box::new(bernoulli(100_352))]
}
