//! RMSprop, plain and centred (Graves 2013, equations 38 to 45), as PyTorch computes it.

use super::*;

params! {
    /// g `[len]`, clock -> p, sq, avg, buf `[len]` updated: sq = alpha sq + (1 - alpha) g²; centred:
    /// avg = alpha avg + (1 - alpha) g and s = sq - avg², else s = sq; u = g / (sqrt(s) + eps);
    /// buf = momentum buf + u; p -= lr_t buf, with lr_t = lr exp(t ln_decay) at clock t.
    pub struct RmsProp {
        /// Elements.
        pub len: u32,
        /// Learning rate at step 0.
        pub lr: f32,
        /// Logarithm of the learning rate's factor per step.
        pub ln_decay: f32,
        /// Smoothing of the averages.
        pub alpha: f32,
        /// Added to the root.
        pub eps: f32,
        /// Momentum.
        pub momentum: f32,
        /// 1: the mean gradient is taken off the mean square.
        pub centered: u32,
    }
}

static SIGNATURE: Signature = Signature {
    name: "rmsprop",
    reads: &["g", "clock"],
    writes: &[("p", Access::Update), ("sq", Access::Update), ("avg", Access::Update), ("buf", Access::Update)],
};

impl Kernel for RmsProp {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let len = self.len as usize;
        Lens { reads: vec![len, 1], writes: vec![len; 4] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [p, sq, avg, buf] = writes else { return };
        let lr = rate(self.lr, self.ln_decay, reads[1]);
        let alpha = f64::from(self.alpha);
        for (i, g) in reads[0].iter().enumerate() {
            let g = f64::from(*g);
            let s = alpha * f64::from(sq[i]) + (1.0 - alpha) * g * g;
            sq[i] = s as f32;
            let mut variance = s;
            if self.centered != 0 {
                let a = alpha * f64::from(avg[i]) + (1.0 - alpha) * g;
                avg[i] = a as f32;
                // The mean square is never below the squared mean; rounding may say otherwise.
                variance = (s - a * a).max(0.0);
            }
            let b = f64::from(self.momentum) * f64::from(buf[i]) + g / (variance.sqrt() + f64::from(self.eps));
            buf[i] = b as f32;
            p[i] = (f64::from(p[i]) - lr * b) as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        (10 + 5 * u64::from(self.centered)) * u64::from(self.len)
    }

    fn label(&self) -> String {
        let centred = if self.centered == 0 { "plain" } else { "centred" };
        format!("p[{}] {centred} momentum {}", self.len, self.momentum)
    }
}
