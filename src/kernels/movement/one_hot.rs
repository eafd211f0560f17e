//! Bytes of class labels to rows with a single one.

use crate::kernels::*;

params! {
    /// words `[words]`, four bytes each, the first in the lowest bits
    /// -> y `[rows, classes]`: 1 where byte `first + row` is the column's number, else 0.
    pub struct OneHot {
        /// Rows: labels.
        pub rows: u32,
        /// Columns; a label beyond them leaves its row without a one.
        pub classes: u32,
        /// The byte of the first label.
        pub first: u32,
        /// Words there are, what stands before and behind the labels included.
        pub words: u32,
    }
}

static SHADER: Shader = shader!(OneHot, "one_hot");

static SIGNATURE: Signature = Signature { name: "one_hot", reads: &["words"], writes: &[("y", Access::Write)] };

impl Kernel for OneHot {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.words as usize], writes: vec![(self.rows * self.classes) as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for (row, y) in writes[0].chunks_exact_mut(self.classes as usize).enumerate() {
            let byte = self.first as usize + row;
            let label = reads[0][byte / 4].to_bits() >> (8 * (byte % 4)) & 255;
            for (class, y) in y.iter_mut().enumerate() {
                *y = f32::from(u8::from(class == label as usize));
            }
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = flat(&SHADER, self, (self.rows * self.classes) as usize, caps);
        vec![Recipe::single("flat", stage.operands(self.signature()))]
    }

    fn flops(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.classes)
    }

    fn label(&self) -> String {
        format!("y[{},{}] from byte {}", self.rows, self.classes, self.first)
    }
}

impl Checks for OneHot {
    fn example(&self, _operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        // Some labels are none of the classes.
        let mut byte = || ((self.classes + 2) as f32 * draw()) as u8;
        (0..len).map(|_| f32::from_bits(u32::from_le_bytes([byte(), byte(), byte(), byte()]))).collect()
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

fn of(sizes: &[[u32; 4]]) -> Vec<Box<dyn Kernel>> {
    let case =
        |&[rows, classes, first, words]: &[u32; 4]| Box::new(OneHot { rows, classes, first, words }) as Box<dyn Kernel>;
    sizes.iter().map(case).collect()
}

/// Odd shapes: labels that begin and end within a word, and words that nobody reads.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    of(&[[1, 1, 0, 1], [5, 10, 3, 2], [7, 3, 21, 9], [127, 256, 0, 32], [1009, 101, 6, 300]])
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    of(&[[128, 10, 128 * 784, 32 * 785]])
}
