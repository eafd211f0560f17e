//! A number that moves along a line as the clock counts, and then stays: a setting with a schedule.

use crate::kernels::*;

params! {
    /// clock -> y `[1]` = start + (end - start) min(t per_step, 1) at clock t.
    pub struct Ramp {
        /// The number at step 0.
        pub start: f32,
        /// The number at the end.
        pub end: f32,
        /// How much of the way is gone at a step: 1 / steps.
        pub per_step: f32,
    }
}

static SHADER: Shader = shader!(Ramp, "ramp");

static SIGNATURE: Signature = Signature { name: "ramp", reads: &["clock"], writes: &[("y", Access::Write)] };

/// The value at the clock's step of a line from `start` that arrives at `end` after 1 / `per_step`
/// steps.
pub(crate) fn ramp([start, end]: [f32; 2], per_step: f32, clock: &[f32]) -> f64 {
    let way = (f64::from(step(clock)) * f64::from(per_step)).min(1.0);
    f64::from(start) + (f64::from(end) - f64::from(start)) * way
}

/// The absolute error permitted to [`ramp`] on a device; none where nothing moves.
pub(crate) fn ramp_error([start, end]: [f32; 2], per_step: f32) -> f32 {
    if per_step == 0.0 { 0.0 } else { 6.0 * EPS * (start.abs() + end.abs()) }
}

impl Kernel for Ramp {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![1], writes: vec![1] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0][0] = ramp([self.start, self.end], self.per_step, reads[0]) as f32;
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        let stage = Stage::new(&SHADER, self, [1, 1, 1]).operands(self.signature());
        vec![Recipe::single("single", stage)]
    }

    fn flops(&self) -> u64 {
        4
    }

    fn label(&self) -> String {
        format!("{} to {} by {}", self.start, self.end, self.per_step)
    }
}

impl Checks for Ramp {
    fn example(&self, _operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        example_clock(len, draw)
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        vec![vec![ramp_error([self.start, self.end], self.per_step) + f32::MIN_POSITIVE]]
    }
}

/// Odd shapes: on the way, at the end, and standing still.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |start, end, per_step| Box::new(Ramp { start, end, per_step }) as Box<dyn Kernel>;
    vec![case(0.1, 0.0, 1e-4), case(0.5, 0.7, 1.0 / 300.0), case(-2.0, 3.0, 1.0), case(0.25, 0.0, 0.0)]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Ramp { start: 0.1, end: 0.0, per_step: 1e-4 })]
}
