//! A number that is 1 once in so many steps of the clock, and 0 between: what is done at the ends
//! of passes.

use crate::kernels::*;

params! {
    /// clock -> y `[1]` = 1 where t mod period = phase at clock t, else 0.
    pub struct Pulse {
        /// Steps from one to the next, at least 1.
        pub period: u32,
        /// The step of each period at which it is 1.
        pub phase: u32,
    }
}

static SHADER: Shader = shader!(Pulse, "pulse");

static SIGNATURE: Signature = Signature { name: "pulse", reads: &["clock"], writes: &[("y", Access::Write)] };

impl Kernel for Pulse {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![1], writes: vec![1] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0][0] = f32::from(u8::from(step(reads[0]) % self.period == self.phase));
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        let stage = Stage::new(&SHADER, self, [1, 1, 1]).operands(self.signature());
        vec![Recipe::single("single", stage)]
    }

    fn flops(&self) -> u64 {
        1
    }

    fn label(&self) -> String {
        format!("{} of {}", self.phase, self.period)
    }
}

impl Checks for Pulse {
    fn example(&self, _operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        example_clock(len, draw)
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

fn of(sizes: &[[u32; 2]]) -> Vec<Box<dyn Kernel>> {
    sizes.iter().map(|&[period, phase]| Box::new(Pulse { period, phase }) as Box<dyn Kernel>).collect()
}

/// Odd shapes: always, every other step, once in many.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    of(&[[1, 0], [2, 0], [2, 1], [7, 6], [120, 0]])
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    of(&[[120, 119]])
}
