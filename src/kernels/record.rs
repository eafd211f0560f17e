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
        Vec::new()
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("history[{},{}] index {}", self.rows, self.count, self.index)
    }
}
