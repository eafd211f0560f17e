//! The reparameterisation trick with the KL divergence to N(0, I) (Kingma & Welling 2014, section
//! 2.4 and appendix B), and its gradient, which draws the noise again.

use super::*;

params! {
    /// mu, logvar `[rows, d]`, clock -> z `[rows, d]` = mu + exp(logvar / 2) eps,
    /// kl `[rows]` = -½ Σ_d (1 + logvar - mu² - exp(logvar)).
    pub struct Reparameterize {
        /// Samples.
        pub rows: u32,
        /// Latent dimensions.
        pub d: u32,
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
    /// dz `[rows, d]`, dkl `[rows]`, mu, logvar `[rows, d]`, clock -> dmu, dlogvar `[rows, d]`.
    pub struct ReparameterizeGrad {
        /// Samples.
        pub rows: u32,
        /// Latent dimensions.
        pub d: u32,
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

static FORWARD: Signature = Signature {
    name: "reparameterize",
    reads: &["mu", "logvar", "clock"],
    writes: &[("z", Access::Write), ("kl", Access::Write)],
};

static BACKWARD: Signature = Signature {
    name: "reparameterize_grad",
    reads: &["dz", "dkl", "mu", "logvar", "clock"],
    writes: &[("dmu", Access::Write), ("dlogvar", Access::Write)],
};

impl Reparameterize {
    fn source(&self, clock: &[f32]) -> philox::Stream {
        philox::Stream::of([self.seed_lo, self.seed_hi], self.domain, self.stream, step(clock))
    }
}

impl Kernel for Reparameterize {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let (rows, len) = (self.rows as usize, self.rows as usize * self.d as usize);
        Lens { reads: vec![len, len, 1], writes: vec![len, rows] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[mu, logvar, clock] = reads else { return };
        let [z, kl] = writes else { return };
        let source = self.source(clock);
        for (row, kl) in kl.iter_mut().enumerate() {
            let mut sum = 0.0;
            for i in row * self.d as usize..(row + 1) * self.d as usize {
                let (m, v) = (f64::from(mu[i]), f64::from(logvar[i]));
                z[i] = (m + (v / 2.0).exp() * f64::from(source.normal(i))) as f32;
                sum += (m * m + v.exp_m1() - v) / 2.0;
            }
            *kl = sum as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        9 * u64::from(self.rows) * u64::from(self.d)
    }

    fn label(&self) -> String {
        format!("mu[{},{}]", self.rows, self.d)
    }
}

impl ReparameterizeGrad {
    fn source(&self, clock: &[f32]) -> philox::Stream {
        philox::Stream::of([self.seed_lo, self.seed_hi], self.domain, self.stream, step(clock))
    }
}

impl Kernel for ReparameterizeGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let (rows, len) = (self.rows as usize, self.rows as usize * self.d as usize);
        Lens { reads: vec![len, rows, len, len, 1], writes: vec![len, len] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dz, dkl, mu, logvar, clock] = reads else { return };
        let [dmu, dlogvar] = writes else { return };
        let source = self.source(clock);
        for i in 0..dz.len() {
            let [dz, m, v] = [dz[i], mu[i], logvar[i]].map(f64::from);
            let dkl = f64::from(dkl[i / self.d as usize]);
            dmu[i] = (dz + dkl * m) as f32;
            let noise = f64::from(source.normal(i));
            dlogvar[i] = ((dz * noise * (v / 2.0).exp() + dkl * v.exp_m1()) / 2.0) as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        9 * u64::from(self.rows) * u64::from(self.d)
    }

    fn label(&self) -> String {
        format!("dz[{},{}]", self.rows, self.d)
    }
}
