//! Bytes of images to floats.

use crate::kernels::*;

params! {
    /// words `[words]`, four bytes each, the first in the lowest bits
    /// -> y `[len]` = byte / 255 · scale + shift.
    pub struct DecodeU8 {
        /// Bytes that are decoded, from the first on.
        pub len: u32,
        /// Words there are, at least ceil(len / 4).
        pub words: u32,
        /// Factor.
        pub scale: f32,
        /// Added.
        pub shift: f32,
    }
}

static SHADER: Shader = shader!(DecodeU8, "decode_u8");

static SIGNATURE: Signature = Signature { name: "decode_u8", reads: &["words"], writes: &[("y", Access::Write)] };

host::wide! {
    fn decode(words: &[f32], scale: f32, shift: f32, y: &mut [f32]) {
        let (fours, rest) = y.as_chunks_mut::<4>();
        for (y, word) in std::iter::zip(&mut *fours, words) {
            let word = word.to_bits();
            for (k, y) in y.iter_mut().enumerate() {
                *y = ((word >> (8 * k)) & 255) as f32 / 255.0 * scale + shift;
            }
        }
        for (k, y) in rest.iter_mut().enumerate() {
            *y = ((words[fours.len()].to_bits() >> (8 * k)) & 255) as f32 / 255.0 * scale + shift;
        }
    }
}

impl Kernel for DecodeU8 {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.words as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for (i, y) in writes[0].iter_mut().enumerate() {
            let byte = f64::from(reads[0][i / 4].to_bits() >> (8 * (i % 4)) & 255);
            *y = (byte / 255.0) as f32 * self.scale + self.shift;
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        host::pieces(writes[0], |first, y| decode(&reads[0][first / 4..], self.scale, self.shift, y));
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = (self.len as usize).div_ceil(4);
        vec![Recipe::single("flat", flat(&SHADER, self, items, caps).operands(self.signature()))]
    }

    /// By powers of two, which round nothing, so that it is what it would be in launches of their own.
    fn fuse(&self, epilogue: Epilogue) -> Option<Fused> {
        let kernel = match epilogue {
            Epilogue::Scale(scale) if self.shift == 0.0 && scales_exactly(scale) => {
                DecodeU8 { scale: self.scale * scale, ..*self }
            }
            Epilogue::Shift(shift) if self.shift == 0.0 && scales_exactly(self.scale) => DecodeU8 { shift, ..*self },
            _ => return None,
        };
        Some(Fused { kernel: Arc::new(kernel), read: None })
    }

    fn flops(&self) -> u64 {
        3 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("y[{}]", self.len)
    }
}

impl Checks for DecodeU8 {
    fn example(&self, _operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let mut byte = || (256.0 * draw()) as u8;
        (0..len).map(|_| f32::from_bits(u32::from_le_bytes([byte(), byte(), byte(), byte()]))).collect()
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let bound = |y: &f32| EPS * (8.0 * (y - self.shift).abs() + 2.0 * y.abs()) + f32::MIN_POSITIVE;
        vec![reference[0].iter().map(bound).collect()]
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, words, scale, shift| Box::new(DecodeU8 { len, words, scale, shift }) as Box<dyn Kernel>;
    vec![
        case(1, 1, 1.0, 0.0),
        case(2, 3, 2.0, -1.0),
        case(7, 2, 2.0, -1.0),
        case(784, 196, 1.0, 0.0),
        case(100_003, 25_001, 2.0, -1.0),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [(100_352, 1.0, 0.0), (50_176, 2.0, -1.0)]
        .map(|(len, scale, shift)| Box::new(DecodeU8 { len, words: len / 4, scale, shift }) as Box<dyn Kernel>)
        .into()
}
