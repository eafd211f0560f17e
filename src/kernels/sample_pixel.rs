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

static SHADER: Shader = shader!("sample_pixel", "flat", "philox", "activation");

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

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = self.n as usize;
        vec![Recipe::single(
            "flat",
            flat(&SHADER, self, items, caps)
                .bind("logits", Slot::Read(0))
                .bind("keep", Slot::Read(1))
                .bind("clock", Slot::Read(2))
                .bind("image", Slot::Write(0)),
        )]
    }

    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let positions = self.positions as f32;
        match operand {
            Operand::Read(0) => (0..len).map(|_| 8.0 * draw() - 4.0).collect(),
            Operand::Read(1) => (0..len).map(|_| (3.0 * draw()).floor()).collect(),
            // Now and then the position past the last, which must change nothing.
            Operand::Read(_) => (0..len).map(|_| f32::from_bits((1.2 * positions * draw()) as u32)).collect(),
            Operand::Write(_) => (0..len).map(|_| draw()).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        let source = philox::Stream::of([self.seed_lo, self.seed_hi], self.domain, self.stream, 0);
        // Where the draw falls within rounding of the probability, either colour is right.
        let close = |i: usize, logit: f32| {
            let probability = 1.0 / (1.0 + (-f64::from(logit)).exp());
            (f64::from(source.uniform(i)) - probability).abs() < f64::from(exp_error(logit) + 4.0 * EPS)
        };
        let bound = |(i, logit): (usize, &f32)| if close(i, *logit) { 1.0 } else { 0.0 };
        let _ = twin;
        vec![reads[0].iter().enumerate().map(bound).collect()]
    }

    fn flops(&self) -> u64 {
        4 * u64::from(self.n)
    }

    fn label(&self) -> String {
        format!("image[{},{}]", self.n, self.positions)
    }
}

fn sample(n: u32, positions: u32) -> Box<dyn Kernel> {
    Box::new(SamplePixel { n, positions, seed_lo: 42, seed_hi: 1, stream: 0, domain: 3 })
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    vec![sample(1, 1), sample(3, 7), sample(16, 784), sample(1009, 11), sample(5003, 1)]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![sample(64, 784)]
}
