//! Adam (Kingma & Ba 2015, algorithm 1), as PyTorch computes it.

use super::*;

params! {
    /// g `[len]`, clock -> p, m, v `[len]` updated, with t = clock + 1:
    /// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g²,
    /// p -= lr_t / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps),
    /// with lr_t = lr exp(clock ln_decay).
    pub struct Adam {
        /// Elements.
        pub len: u32,
        /// Learning rate at step 0.
        pub lr: f32,
        /// Logarithm of the learning rate's factor per step.
        pub ln_decay: f32,
        /// Decay of the first moment.
        pub beta1: f32,
        /// Decay of the second moment.
        pub beta2: f32,
        /// Logarithm of `beta1`, from the host's double.
        pub ln_beta1: f32,
        /// Logarithm of `beta2`, from the host's double.
        pub ln_beta2: f32,
        /// Added to the root.
        pub eps: f32,
    }
}

static SIGNATURE: Signature = Signature {
    name: "adam",
    reads: &["g", "clock"],
    writes: &[("p", Access::Update), ("m", Access::Update), ("v", Access::Update)],
};

impl Adam {
    /// The parameter block; the logarithms come from the decays.
    pub fn new(len: u32, lr: f32, ln_decay: f32, betas: (f64, f64), eps: f32) -> Adam {
        Adam {
            len,
            lr,
            ln_decay,
            beta1: betas.0 as f32,
            beta2: betas.1 as f32,
            // Clamped so that 0, a legal decay, gives 1 - 0^t = 1.
            ln_beta1: betas.0.ln().max(-1e4) as f32,
            ln_beta2: betas.1.ln().max(-1e4) as f32,
            eps,
        }
    }
}

impl Kernel for Adam {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let len = self.len as usize;
        Lens { reads: vec![len, 1], writes: vec![len; 3] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [p, m, v] = writes else { return };
        let t = f64::from(step(reads[1])) + 1.0;
        let correction = |ln_beta: f32| -(t * f64::from(ln_beta)).exp_m1();
        let step = rate(self.lr, self.ln_decay, reads[1]) / correction(self.ln_beta1);
        let root = correction(self.ln_beta2).sqrt();
        let (beta1, beta2) = (f64::from(self.beta1), f64::from(self.beta2));
        for (i, g) in reads[0].iter().enumerate() {
            let g = f64::from(*g);
            let first = beta1 * f64::from(m[i]) + (1.0 - beta1) * g;
            let second = beta2 * f64::from(v[i]) + (1.0 - beta2) * g * g;
            (m[i], v[i]) = (first as f32, second as f32);
            p[i] = (f64::from(p[i]) - step * first / (second.sqrt() / root + f64::from(self.eps))) as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        12 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("p[{}] betas {},{}", self.len, self.beta1, self.beta2)
    }
}
