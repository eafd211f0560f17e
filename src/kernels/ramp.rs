//! A weight that rises with the step count, for terms of a loss that warm up.

use super::*;

params! {
    /// clock -> y\[1\] = min(step / steps, 1).
    pub struct Ramp {
        /// Steps until it is 1, at least 1.
        pub steps: u32,
    }
}

static SHADER: Shader = shader!("ramp");

static SIGNATURE: Signature = Signature { name: "ramp", reads: &["clock"], writes: &[("y", Access::Write)] };

impl Kernel for Ramp {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![1], writes: vec![1] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0][0] = (f64::from(step(reads[0])) / f64::from(self.steps)).min(1.0) as f32;
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        let stage = Stage::new(&SHADER, self, [1, 1, 1]).bind("clock", Slot::Read(0)).bind("y", Slot::Write(0));
        vec![Recipe::single("single", stage)]
    }

    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(0) => example_clock(len, draw),
            _ => (0..len).map(|_| draw()).collect(),
        }
    }

    /// Two counts are rounded, and a quotient is good to 2.5 units in the last place.
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        vec![vec![8.0 * EPS * twin[0][0]]]
    }

    fn flops(&self) -> u64 {
        2
    }

    fn label(&self) -> String {
        format!("y[1] over {} steps", self.steps)
    }
}

/// Short and long ramps.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [1, 3, 1000, 100_000_000, u32::MAX].map(|steps| Box::new(Ramp { steps }) as Box<dyn Kernel>).into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Ramp { steps: 500 })]
}
