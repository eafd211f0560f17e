//! The clock's tick, made by the device itself.

use super::*;

params! {
    /// clock updated: word 0, the step, grows by one.
    pub struct Advance {
        /// Not used; a parameter block is never empty.
        pub pad: u32,
    }
}

static SHADER: Shader = shader!("advance");

static SIGNATURE: Signature = Signature { name: "advance", reads: &[], writes: &[("clock", Access::Update)] };

impl Kernel for Advance {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![], writes: vec![1] }
    }

    fn cpu(&self, _reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0][0] = f32::from_bits(step(writes[0]).wrapping_add(1));
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        let stage = Stage::new(&SHADER, self, [1, 1, 1]).bind("clock", Slot::Write(0));
        vec![Recipe::single("single", stage)]
    }

    fn example(&self, _operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        example_clock(len, draw)
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(twin)
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        "clock[1]".into()
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Advance { pad: 0 })]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    cases()
}
