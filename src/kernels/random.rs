//! Fills from the counter-based generator: uniform, normal and Bernoulli.

use super::*;

params! {
    /// clock -> y `[len]` = offset + scale · draw.
    pub struct Random {
        /// Elements.
        pub len: u32,
        /// 0: uniform in [0, 1); 1: standard normal.
        pub kind: u32,
        /// Added to every draw.
        pub offset: f32,
        /// Factor of every draw.
        pub scale: f32,
        /// Lower half of the run's seed.
        pub seed_lo: u32,
        /// Upper half of the run's seed.
        pub seed_hi: u32,
        /// Which use of randomness.
        pub stream: u32,
        /// What it is for ([`philox::Domain`]).
        pub domain: u32,
    }
}

params! {
    /// p `[len]`, clock -> y `[len]` = 1 with probability p, else 0.
    pub struct Bernoulli {
        /// Elements.
        pub len: u32,
        /// Lower half of the run's seed.
        pub seed_lo: u32,
        /// Upper half of the run's seed.
        pub seed_hi: u32,
        /// Which use of randomness.
        pub stream: u32,
        /// What it is for ([`philox::Domain`]).
        pub domain: u32,
    }
}

static RANDOM: Signature = Signature { name: "random", reads: &["clock"], writes: &[("y", Access::Write)] };

static BERNOULLI: Signature = Signature { name: "bernoulli", reads: &["p", "clock"], writes: &[("y", Access::Write)] };

impl Random {
    fn source(&self, clock: &[f32]) -> philox::Stream {
        philox::Stream::of([self.seed_lo, self.seed_hi], self.domain, self.stream, step(clock))
    }
}

impl Kernel for Random {
    fn signature(&self) -> &'static Signature {
        &RANDOM
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![1], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let source = self.source(reads[0]);
        for (i, y) in writes[0].iter_mut().enumerate() {
            let draw = if self.kind == 0 { source.uniform(i) } else { source.normal(i) };
            *y = (f64::from(self.offset) + f64::from(self.scale) * f64::from(draw)) as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        2 * u64::from(self.len)
    }

    fn label(&self) -> String {
        let kind = if self.kind == 0 { "uniform" } else { "normal" };
        format!("y[{}] {} + {} {kind}", self.len, self.offset, self.scale)
    }
}

impl Kernel for Bernoulli {
    fn signature(&self) -> &'static Signature {
        &BERNOULLI
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize, 1], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let key = [self.seed_lo, self.seed_hi];
        let source = philox::Stream::of(key, self.domain, self.stream, step(reads[1]));
        for (i, y) in writes[0].iter_mut().enumerate() {
            *y = if source.uniform(i) < reads[0][i] { 1.0 } else { 0.0 };
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("p[{}]", self.len)
    }
}
