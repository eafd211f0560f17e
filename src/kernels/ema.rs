//! Exponential moving averages: running statistics and averaged weights.

use super::*;

params! {
    /// x `[len]` -> s `[len]` updated: s += rate (scale x - s).
    pub struct Ema {
        /// Elements.
        pub len: u32,
        /// How much of the new value enters.
        pub rate: f32,
        /// Factor of x, e.g. n / (n - 1) for an unbiased variance.
        pub scale: f32,
    }
}

static SIGNATURE: Signature = Signature { name: "ema", reads: &["x"], writes: &[("s", Access::Update)] };

impl Kernel for Ema {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let (rate, scale) = (f64::from(self.rate), f64::from(self.scale));
        for (s, x) in std::iter::zip(&mut *writes[0], reads[0]) {
            *s = (f64::from(*s) + rate * (scale * f64::from(*x) - f64::from(*s))) as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        4 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("s[{}] rate {}", self.len, self.rate)
    }
}
