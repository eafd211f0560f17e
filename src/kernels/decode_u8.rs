//! Bytes of images to floats.

use super::*;

params! {
    /// words `[ceil(len / 4)]`, four bytes each, the first in the lowest bits
    /// -> y `[len]` = byte / 255 · scale + shift.
    pub struct DecodeU8 {
        /// Bytes.
        pub len: u32,
        /// Factor.
        pub scale: f32,
        /// Added.
        pub shift: f32,
    }
}

static SIGNATURE: Signature = Signature { name: "decode_u8", reads: &["words"], writes: &[("y", Access::Write)] };

impl Kernel for DecodeU8 {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![(self.len as usize).div_ceil(4)], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for (i, y) in writes[0].iter_mut().enumerate() {
            let byte = f64::from(reads[0][i / 4].to_bits() >> (8 * (i % 4)) & 255);
            *y = (byte / 255.0 * f64::from(self.scale) + f64::from(self.shift)) as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        3 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("y[{}]", self.len)
    }
}
