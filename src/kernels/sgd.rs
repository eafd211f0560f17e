//! Stochastic gradient descent with momentum.

use super::*;

params! {
    /// g `[len]`, clock -> p, buf `[len]` updated: g' = g + weight_decay p, buf = momentum buf + g',
    /// p -= lr_t buf, with lr_t = lr exp(t ln_decay) at clock t.
    pub struct Sgd {
        /// Elements.
        pub len: u32,
        /// Learning rate at step 0.
        pub lr: f32,
        /// Logarithm of the learning rate's factor per step.
        pub ln_decay: f32,
        /// Momentum.
        pub momentum: f32,
        /// L2 penalty.
        pub weight_decay: f32,
    }
}

static SIGNATURE: Signature =
    Signature { name: "sgd", reads: &["g", "clock"], writes: &[("p", Access::Update), ("buf", Access::Update)] };

impl Kernel for Sgd {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let len = self.len as usize;
        Lens { reads: vec![len, 1], writes: vec![len, len] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [p, buf] = writes else { return };
        let lr = rate(self.lr, self.ln_decay, reads[1]);
        for (i, g) in reads[0].iter().enumerate() {
            let g = f64::from(*g) + f64::from(self.weight_decay) * f64::from(p[i]);
            let b = f64::from(self.momentum) * f64::from(buf[i]) + g;
            buf[i] = b as f32;
            p[i] = (f64::from(p[i]) - lr * b) as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        6 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("p[{}] momentum {}", self.len, self.momentum)
    }
}
