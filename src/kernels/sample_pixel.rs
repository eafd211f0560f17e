//! One pixel of every image drawn from its predicted probability.

use super::*;

params! {
    /// logits, keep `[n, positions]`, clock -> image `[n, positions]` updated: at position
    /// t = clock of every image, where keep is 0, image = 1 if u < sigmoid(logit), else 0. u is
    /// element n·positions + t of the stream at step 0, so the draw does not depend on the order.
    pub struct SamplePixel {
        /// Images.
        pub n: u32,
        /// Pixels of an image.
        pub positions: u32,
        /// Lower half of the seed.
        pub seed_lo: u32,
        /// Upper half of the seed.
        pub seed_hi: u32,
        /// Which use of randomness.
        pub stream: u32,
        /// What it is for ([`philox::Domain`]).
        pub domain: u32,
    }
}

static SIGNATURE: Signature =
    Signature { name: "sample_pixel", reads: &["logits", "keep", "clock"], writes: &[("image", Access::Update)] };

impl Kernel for SamplePixel {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let len = self.n as usize * self.positions as usize;
        Lens { reads: vec![len, len, 1], writes: vec![len] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[logits, keep, clock] = reads else { return };
        let source = philox::Stream::of([self.seed_lo, self.seed_hi], self.domain, self.stream, 0);
        let (t, positions) = (step(clock) as usize, self.positions as usize);
        if t >= positions {
            return;
        }
        for i in (t..self.n as usize * positions).step_by(positions) {
            if keep[i] == 0.0 {
                let probability = 1.0 / (1.0 + (-f64::from(logits[i])).exp());
                writes[0][i] = if f64::from(source.uniform(i)) < probability { 1.0 } else { 0.0 };
            }
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        4 * u64::from(self.n)
    }

    fn label(&self) -> String {
        format!("image[{},{}]", self.n, self.positions)
    }
}
