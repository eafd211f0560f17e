//! Losses kept on the device until somebody reads them.

use crate::kernels::*;

/// The most values of one launch.
pub const MAX_VALUES: usize = 6;

params! {
    /// clock, values `[1]` each -> history `[rows, count]` updated:
    /// history\[clock mod rows, index + k\] = value k.
    pub struct Record {
        /// Steps the history holds.
        pub rows: u32,
        /// Values of a step.
        pub count: u32,
        /// Which of them the first of these is.
        pub index: u32,
        /// How many these are, at most [`MAX_VALUES`].
        pub values: u32,
    }
}

static SHADER: Shader = shader!(Record, "record");

static SIGNATURE: Signature = Signature {
    name: "record",
    reads: &["clock", "v0", "v1", "v2", "v3", "v4", "v5"],
    writes: &[("history", Access::Update)],
};

impl Kernel for Record {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let mut reads = vec![1; 1 + self.values as usize];
        reads.resize(SIGNATURE.reads.len(), 0);
        Lens { reads, writes: vec![self.rows as usize * self.count as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let first = (step(reads[0]) % self.rows * self.count + self.index) as usize;
        for (k, value) in reads[1..=self.values as usize].iter().enumerate() {
            writes[0][first + k] = value[0];
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        vec![Recipe::single("single", Stage::new(&SHADER, self, [1, 1, 1]).operands(&SIGNATURE))]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("history[{},{}] values {} from {}", self.rows, self.count, self.values, self.index)
    }
}

impl Checks for Record {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        example_with_clock(0, operand, len, draw)
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [(1, 1, 0, 1), (100, 3, 2, 1), (7, 5, 1, 3), (9, 6, 0, 6)]
        .map(|(rows, count, index, values)| Box::new(Record { rows, count, index, values }) as Box<dyn Kernel>)
        .into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Record { rows: 256, count: 4, index: 0, values: 4 })]
}
