//! RMSprop, plain and centred (Graves 2013, equations 38 to 45), as PyTorch computes it.

use super::average::{self, Shaders, optimizer_shaders};
use crate::kernels::*;

params! {
    /// g `[len]`, clock -> w, sq, mean, buf `[len]` updated: sq = alpha sq + (1 - alpha) g²; centred:
    /// mean = alpha mean + (1 - alpha) g and s = sq - mean², else s = sq; u = g / (sqrt(s) + eps);
    /// buf = momentum buf + u; w -= lr_t buf, with lr_t = lr exp(t ln_decay) at clock t; then
    /// average += r (w - average), if one is kept,
    /// by a rate r that warms up or not.
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
        /// How much of the new parameters enters their average; 0 keeps none.
        pub average_rate: f32,
        /// By w / (w + 1 + clock), where that is more than the rate, the average of few parameters follows
        /// them; 0 for an average whose rate is the same from the start.
        pub average_warm: f32,
    }
}

static SHADERS: Shaders = optimizer_shaders!(RmsProp, "rmsprop");

static SIGNATURE: Signature = Signature {
    name: "rmsprop",
    reads: &["g", "clock"],
    writes: &[
        ("w", Access::Update),
        ("sq", Access::Update),
        ("mean", Access::Update),
        ("buf", Access::Update),
        ("average", Access::Update),
    ],
};

impl RmsProp {
    /// How much of the new parameters enters their average at this clock.
    fn average_rate_at(&self, clock: &[f32]) -> f32 {
        average::rate_at(self.average_rate, self.average_warm, clock)
    }
}

impl Kernel for RmsProp {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize, 1], writes: average::lens(4, self.len, self.average_rate) }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [p, sq, mean, buf, average] = writes else { return };
        let lr = rate(self.lr, self.ln_decay, reads[1]);
        let alpha = f64::from(self.alpha);
        for (i, g) in reads[0].iter().enumerate() {
            let g = f64::from(*g);
            let s = alpha * f64::from(sq[i]) + (1.0 - alpha) * g * g;
            sq[i] = s as f32;
            let mut variance = s;
            if self.centered != 0 {
                let a = alpha * f64::from(mean[i]) + (1.0 - alpha) * g;
                mean[i] = a as f32;
                // The mean square is never below the squared mean; rounding may say otherwise.
                let below = s - a * a;
                variance = if below < 0.0 { 0.0 } else { below };
            }
            let b = f64::from(self.momentum) * f64::from(buf[i]) + g / (variance.sqrt() + f64::from(self.eps));
            buf[i] = b as f32;
            p[i] = (f64::from(p[i]) - lr * b) as f32;
        }
        average::keep(self.average_rate_at(reads[1]), p, average);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let bind = [
            ("g", Slot::Read(0)),
            ("clock", Slot::Read(1)),
            ("w", Slot::Write(0)),
            ("sq", Slot::Write(1)),
            ("mean", Slot::Write(2)),
            ("buf", Slot::Write(3)),
        ];
        average::variants(&SHADERS, (self.len, self.average_rate), |len| RmsProp { len, ..*self }, &bind, caps)
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(RmsProp { len, ..*self }))
    }

    fn flops(&self) -> u64 {
        (10 + 5 * u64::from(self.centered)) * u64::from(self.len) + average::flops(self.average_rate, self.len)
    }

    fn label(&self) -> String {
        let centred = if self.centered == 0 { "plain" } else { "centred" };
        format!(
            "p[{}] {centred} momentum {}{}",
            self.len,
            self.momentum,
            average::label(self.average_rate, self.average_warm)
        )
    }
}

impl Checks for RmsProp {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(1) => example_clock(len, draw),
            // A mean square above any squared mean that the averages below can have.
            Operand::Write(1) => (0..len).map(|_| 0.3 + draw()).collect(),
            Operand::Write(2) => (0..len).map(|_| draw() - 0.5).collect(),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        let lr = rate(self.lr, self.ln_decay, reads[1]) as f32;
        let relative = rate_error(self.ln_decay, reads[1]) + 3.0 * EPS;
        let mut bounds = vec![Vec::new(); 4];
        for (i, g) in reads[0].iter().enumerate() {
            let (sq, mean) = (twin[1][i], twin[2][i]);
            let d_sq = 6.0 * EPS * sq + f32::MIN_POSITIVE;
            let centered = self.centered as f32;
            let d_mean = centered * 4.0 * EPS * (self.alpha * old[2][i].abs() + (1.0 - self.alpha) * g.abs());
            // The root of a difference: its error grows as the difference shrinks.
            let variance = (sq - centered * mean * mean).max(0.0);
            let d_variance = d_sq + centered * (2.0 * mean.abs() * d_mean + 3.0 * EPS * (sq + mean * mean));
            let root = variance.sqrt();
            let d_root = (d_variance / root.max(f32::MIN_POSITIVE)).min(d_variance.sqrt()) + 10.0 * EPS * root;
            let below = root + self.eps;
            let d_unit = g.abs() / below * (d_root / (below - d_root).max(self.eps) + 8.0 * EPS);
            let d_buf = d_unit + 3.0 * EPS * ((self.momentum * old[3][i]).abs() + g.abs() / below) + f32::MIN_POSITIVE;
            bounds[0]
                .push(lr * (d_buf + relative * twin[3][i].abs()) + 2.0 * EPS * twin[0][i].abs() + f32::MIN_POSITIVE);
            bounds[1].push(d_sq);
            bounds[2].push(d_mean);
            bounds[3].push(d_buf);
        }
        bounds.push(average::bounds(self.average_rate_at(reads[1]), twin[0], &bounds[0], old[4]));
        bounds
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, momentum, centered, ln_decay, average_rate| {
        let average_warm = if len % 2 == 0 { 9.0 * f32::from(u8::from(average_rate > 0.0)) } else { 0.0 };
        let (lr, alpha, eps) = (1e-3, 0.99, 1e-8);
        Box::new(RmsProp { len, lr, ln_decay, alpha, eps, momentum, centered, average_rate, average_warm })
            as Box<dyn Kernel>
    };
    vec![
        case(1, 0.0, 0, 0.0, 0.0),
        case(131, 0.0, 1, 0.0, 0.0),
        case(512, 0.9, 1, -1e-4, 0.0),
        case(10_007, 0.9, 0, -1e-4, 0.0),
        case(4096, 0.0, 0, 0.0, 0.0),
        case(131, 0.0, 0, 0.0, 0.25),
        case(512, 0.9, 1, -1e-4, 0.001),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let case = |centered| {
        let (lr, alpha, eps) = (1e-3, 0.9, 1e-8);
        RmsProp {
            len: 652_824,
            lr,
            ln_decay: 0.0,
            alpha,
            eps,
            momentum: 0.0,
            centered,
            average_rate: 0.0,
            average_warm: 0.0,
        }
    };
    vec![Box::new(case(0)), Box::new(case(1))]
}
