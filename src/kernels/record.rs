//! Losses kept on the device until somebody reads them.

use super::*;

params! {
    /// value `[1]`, clock -> history `[rows, count]` updated:
    /// history\[clock mod rows, index\] = value.
    pub struct Record {
        /// Steps the history holds.
        pub rows: u32,
        /// Values of a step.
        pub count: u32,
        /// Which of them this is.
        pub index: u32,
    }
}

static SHADER: Shader = shader!("record");

static SIGNATURE: Signature =
    Signature { name: "record", reads: &["value", "clock"], writes: &[("history", Access::Update)] };

impl Kernel for Record {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![1, 1], writes: vec![self.rows as usize * self.count as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let row = step(reads[1]) % self.rows;
        writes[0][(row * self.count + self.index) as usize] = reads[0][0];
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        let stage = Stage::new(&SHADER, self, [1, 1, 1])
            .bind("value", Slot::Read(0))
            .bind("clock", Slot::Read(1))
            .bind("history", Slot::Write(0));
        vec![Recipe::single("single", stage)]
    }

    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(1) => example_clock(len, draw),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(twin)
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("history[{},{}] index {}", self.rows, self.count, self.index)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [(1, 1, 0), (100, 3, 2), (7, 5, 0)]
        .map(|(rows, count, index)| Box::new(Record { rows, count, index }) as Box<dyn Kernel>)
        .into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Record { rows: 256, count: 4, index: 1 })]
}
