//! RMSprop, plain and centred (Graves 2013, equations 38 to 45), as PyTorch computes it.

use super::descent::{AverageBlock, Descent, RateBlock, Shaders, optimizer_shaders};
use super::rule::{self, Rule};
use super::schedule::Schedule;
use crate::kernels::*;
use serde::{Deserialize, Serialize};

params! {
    /// g `[len]`, clock, steps -> w, square, mean, v `[len]` updated: square = alpha square + (1 - alpha)
    /// g²; centred: mean = alpha mean + (1 - alpha) g and s = square - mean², else s = square; u =
    /// g / (sqrt(s) + eps); v = momentum v + u; w -= lr_t v, with lr_t the [`RateBlock`]'s; then
    /// the average of w follows.
    pub struct RmsProp {
        /// Elements.
        pub len: u32,
        /// The learning rate.
        pub lr: RateBlock,
        /// Smoothing of the averages.
        pub alpha: f32,
        /// 1 - `alpha`, from the host's double.
        pub rest: f32,
        /// Added to the root.
        pub eps: f32,
        /// Momentum.
        pub momentum: f32,
        /// 1: the mean gradient is taken off the mean square.
        pub centered: u32,
        /// The average of the parameters.
        pub average: AverageBlock,
    }
}

static SHADERS: Shaders = optimizer_shaders!(RmsProp, "rmsprop");

static SIGNATURE: Signature = Signature {
    name: "rmsprop",
    reads: &["g", "clock", "steps"],
    writes: &[
        ("w", Access::Update),
        ("square", Access::Update),
        ("mean", Access::Update),
        ("momentum", Access::Update),
        ("average", Access::Update),
    ],
};

host::wide! {
    fn plain(g: &[f32], w: &mut [f32], square: &mut [f32], _mean: &mut [f32], v: &mut [f32], factors: [f32; 5]) {
        let [alpha, rest, momentum, eps, lr] = factors;
        for ((w, v), (g, square)) in std::iter::zip(std::iter::zip(w, v), std::iter::zip(g, square)) {
            *square = alpha * *square + rest * g * g;
            *v = momentum * *v + g / (square.sqrt() + eps);
            *w -= lr * *v;
        }
    }
}

host::wide! {
    fn centred(g: &[f32], w: &mut [f32], square: &mut [f32], mean: &mut [f32], v: &mut [f32], factors: [f32; 5]) {
        let [alpha, rest, momentum, eps, lr] = factors;
        let moments = std::iter::zip(square, mean);
        for ((w, v), (g, (square, mean))) in std::iter::zip(std::iter::zip(w, v), std::iter::zip(g, moments)) {
            *square = alpha * *square + rest * g * g;
            *mean = alpha * *mean + rest * g;
            let below = *square - *mean * *mean;
            let variance = if below < 0.0 { 0.0 } else { below };
            *v = momentum * *v + g / (variance.sqrt() + eps);
            *w -= lr * *v;
        }
    }
}

impl Descent for RmsProp {
    const SIGNATURE: &'static Signature = &SIGNATURE;

    fn shaders() -> &'static Shaders {
        &SHADERS
    }

    fn count(&self) -> u32 {
        self.len
    }

    fn of_len(&self, len: u32) -> RmsProp {
        RmsProp { len, ..*self }
    }

    fn rate(&self) -> RateBlock {
        self.lr
    }

    fn average(&self) -> AverageBlock {
        self.average
    }

    fn update(&self, g: &[f32], clocks: [&[f32]; 2], w: &mut [f32], moments: &mut [&mut [f32]]) {
        let [square, mean, v] = moments else { return };
        let lr = self.lr.at(clocks);
        let [alpha, rest] = [self.alpha, self.rest].map(f64::from);
        for (i, g) in g.iter().enumerate() {
            let g = f64::from(*g);
            let s = alpha * f64::from(square[i]) + rest * g * g;
            square[i] = s as f32;
            let mut variance = s;
            if self.centered != 0 {
                let a = alpha * f64::from(mean[i]) + rest * g;
                mean[i] = a as f32;
                // The mean square is never below the squared mean; rounding may say otherwise.
                let below = s - a * a;
                variance = if below < 0.0 { 0.0 } else { below };
            }
            let b = f64::from(self.momentum) * f64::from(v[i]) + g / (variance.sqrt() + f64::from(self.eps));
            v[i] = b as f32;
            w[i] = (f64::from(w[i]) - lr * b) as f32;
        }
    }

    fn update_fast(&self, g: &[f32], clocks: [&[f32]; 2], w: &mut [f32], moments: &mut [&mut [f32]]) {
        let [square, mean, v] = moments else { return };
        let factors = [self.alpha, self.rest, self.momentum, self.eps, self.lr.at(clocks) as f32];
        let forward = if self.centered != 0 { centred } else { plain };
        forward(g, w, square, mean, v, factors);
    }

    fn permitted(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let lr = self.lr.at([reads[1], reads[2]]) as f32;
        let relative = self.lr.error([reads[1], reads[2]]) + 3.0 * EPS;
        let mut bounds = vec![Vec::new(); 4];
        for (i, g) in reads[0].iter().enumerate() {
            let (sq, mean) = (reference[1][i], reference[2][i]);
            let d_sq = 6.0 * EPS * sq + f32::MIN_POSITIVE;
            let centered = self.centered as f32;
            let d_mean = centered * 4.0 * EPS * (self.alpha * old[2][i].abs() + self.rest * g.abs());
            // The root of a difference: its error grows as the difference shrinks.
            let variance = (sq - centered * mean * mean).max(0.0);
            let d_variance = d_sq + centered * (2.0 * mean.abs() * d_mean + 3.0 * EPS * (sq + mean * mean));
            let root = variance.sqrt();
            let d_root = (d_variance / root.max(f32::MIN_POSITIVE)).min(d_variance.sqrt()) + 10.0 * EPS * root;
            let below = root + self.eps;
            let d_unit = g.abs() / below * (d_root / (below - d_root).max(self.eps) + 8.0 * EPS);
            let d_buf = d_unit + 3.0 * EPS * ((self.momentum * old[3][i]).abs() + g.abs() / below) + f32::MIN_POSITIVE;
            bounds[0].push(
                lr * (d_buf + relative * reference[3][i].abs()) + 2.0 * EPS * reference[0][i].abs() + f32::MIN_POSITIVE,
            );
            bounds[1].push(d_sq);
            bounds[2].push(d_mean);
            bounds[3].push(d_buf);
        }
        bounds
    }

    fn moment(&self, k: usize, draw: f32) -> f32 {
        match k {
            // A mean square above any squared mean that the averages below can have.
            0 => 0.3 + draw,
            1 => draw - 0.5,
            _ => 2.0 * draw - 1.0,
        }
    }

    fn flops_each(&self) -> u64 {
        10 + 5 * u64::from(self.centered)
    }

    fn settings(&self) -> String {
        let centred = if self.centered == 0 { "plain" } else { "centred" };
        format!("{centred} momentum {}", self.momentum)
    }
}

/// RMSprop (Hinton's lecture 6e; centred as in Graves 2013).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmspropRule {
    /// Learning rate.
    pub lr: f64,
    /// Factor on the learning rate at every step.
    pub decay: f64,
    /// Smoothing of the squared gradient.
    pub alpha: f64,
    /// Added to the root.
    pub eps: f64,
    /// Momentum.
    pub momentum: f64,
    /// Subtract the squared mean gradient.
    pub centered: bool,
}

impl Default for RmspropRule {
    fn default() -> RmspropRule {
        RmspropRule { lr: 0.001, decay: 1.0, alpha: 0.99, eps: 1e-8, momentum: 0.0, centered: false }
    }
}

impl Rule for RmspropRule {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn fault(&self) -> Option<String> {
        rule::positive("lr", self.lr)
            .or_else(|| rule::decay(self.decay))
            .or_else(|| rule::share("alpha", self.alpha))
            .or_else(|| rule::positive("eps", self.eps))
            .or_else(|| rule::share("momentum", self.momentum))
    }

    fn kernel(&self, len: u32, schedule: &Schedule, average: AverageBlock) -> Arc<dyn Kernel> {
        Arc::new(RmsProp {
            len,
            lr: RateBlock::new(self.lr, self.decay, schedule),
            alpha: self.alpha as f32,
            rest: (1.0 - self.alpha) as f32,
            eps: self.eps as f32,
            momentum: self.momentum as f32,
            centered: self.centered.into(),
            average,
        })
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, momentum, centered, ln_decay, rate| {
        let (lr, average) = (RateBlock::example(1e-3, ln_decay), AverageBlock::example(len, rate));
        RmsProp { len, lr, alpha: 0.99, rest: 0.01, eps: 1e-8, momentum, centered, average }
    };
    let all = [
        case(1, 0.0, 0, 0.0, 0.0),
        case(131, 0.0, 1, 0.0, 0.0),
        case(512, 0.9, 1, -1e-4, 0.0),
        case(10_007, 0.9, 0, -1e-4, 0.0),
        case(4096, 0.0, 0, 0.0, 0.0),
        case(131, 0.0, 0, 0.0, 0.25),
        case(512, 0.9, 1, -1e-4, 0.001),
    ];
    let scheduled = RateBlock::scheduled().map(|lr| RmsProp { lr, ..case(512, 0.9, 0, 0.0, 0.0) });
    all.into_iter().chain(scheduled).map(|case| Box::new(case) as Box<dyn Kernel>).collect()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let (lr, average) = (RateBlock::example(1e-3, 0.0), AverageBlock::NONE);
    let case =
        |centered| RmsProp { len: 652_824, lr, alpha: 0.9, rest: 0.1, eps: 1e-8, momentum: 0.0, centered, average };
    [0, 1].map(|centered| Box::new(case(centered)) as Box<dyn Kernel>).into()
}
