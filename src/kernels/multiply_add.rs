//! Multiplications and additions in registers and nothing else: a device's ceiling for arithmetic.

use super::*;

params! {
    /// y\[i\] = Σ a_j over twelve numbers, each from x\[i\] + j through 32 · turns steps
    /// a ← a · 0.999 + 0.001.
    pub struct MultiplyAdd {
        /// Elements.
        pub len: u32,
        /// Steps, 32 at a time.
        pub turns: u32,
    }
}

static SHADER: Shader = shader!("multiply_add");
static SIGNATURE: Signature = Signature { name: "multiply_add", reads: &["x"], writes: &[("y", Access::Write)] };

/// Numbers an element takes through the steps.
const NUMBERS: u32 = 12;
/// Steps of a turn.
const STEPS: u32 = 32;

impl Kernel for MultiplyAdd {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let (m, s) = (f64::from(0.999f32), f64::from(0.001f32));
        for (x, y) in std::iter::zip(reads[0], writes[0].iter_mut()) {
            let through = |j| (0..STEPS * self.turns).fold(f64::from(*x) + f64::from(j), |a, _| a * m + s);
            *y = (0..NUMBERS).map(through).sum::<f64>() as f32;
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let wg = if caps.class == Class::Lanes { 8 } else { 64 };
        let stage = Stage::new(&SHADER, self, grid_1d(self.len.div_ceil(wg) as usize, caps))
            .bind("x", Slot::Read(0))
            .bind("y", Slot::Write(0))
            .constant("WG", wg);
        vec![Recipe::single("registers", stage)]
    }

    /// Every step may err by two roundings of what it holds, and forgets a thousandth of what it was
    /// given.
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], _twin: &[&[f32]]) -> Vec<Vec<f32>> {
        let steps = (STEPS * self.turns).min(1000) as f32;
        let largest = |x: &f32| x.abs() + NUMBERS as f32;
        vec![reads[0].iter().map(|x| NUMBERS as f32 * (2.0 * steps + 16.0) * EPS * largest(x)).collect()]
    }

    fn flops(&self) -> u64 {
        2 * u64::from(NUMBERS * STEPS) * u64::from(self.len) * u64::from(self.turns)
    }

    fn label(&self) -> String {
        format!("x[{}] turns {}", self.len, self.turns)
    }
}

fn boxed(all: &[(u32, u32)]) -> Vec<Box<dyn Kernel>> {
    all.iter().map(|&(len, turns)| Box::new(MultiplyAdd { len, turns }) as Box<dyn Kernel>).collect()
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    boxed(&[(1, 1), (7, 0), (64, 3), (1021, 17), (66_000, 2)])
}

/// The sizes that the ceiling is measured with, on a software device and on a GPU.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    boxed(&[(4096, 256), (1 << 18, 256)])
}
