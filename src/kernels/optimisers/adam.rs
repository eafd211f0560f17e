//! Adam (Kingma & Ba 2015, algorithm 1), as PyTorch computes it.

use super::descent::{AverageBlock, Descent, RateBlock, Shaders, optimizer_shaders};
use super::rule::{self, Rule};
use super::schedule::Schedule;
use crate::kernels::*;
use serde::{Deserialize, Serialize};

params! {
    /// g `[len]`, clock, steps -> w, m, v `[len]` updated, with t = clock + 1:
    /// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g²,
    /// w -= lr_t / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps),
    /// with lr_t the [`RateBlock`]'s; then the average of w follows.
    pub struct Adam {
        /// Elements.
        pub len: u32,
        /// The learning rate.
        pub lr: RateBlock,
        /// Decay of the first moment.
        pub beta1: f32,
        /// Decay of the second moment.
        pub beta2: f32,
        /// 1 - `beta1`, from the host's double: what is left of a rounded decay near 1 has few digits.
        pub rest1: f32,
        /// 1 - `beta2`, from the host's double.
        pub rest2: f32,
        /// Logarithm of `beta1`, from the host's double.
        pub ln_beta1: f32,
        /// Logarithm of `beta2`, from the host's double.
        pub ln_beta2: f32,
        /// Added to the root.
        pub eps: f32,
        /// The average of the parameters.
        pub average: AverageBlock,
    }
}

static SHADERS: Shaders = optimizer_shaders!(Adam, "adam");

static SIGNATURE: Signature = Signature {
    name: "adam",
    reads: &["g", "clock", "steps"],
    writes: &[("w", Access::Update), ("m", Access::Update), ("v", Access::Update), ("average", Access::Update)],
};

impl Adam {
    /// The block without an average; what else is made of the decays comes from their doubles.
    pub fn new(len: u32, lr: RateBlock, [beta1, beta2]: [f64; 2], eps: f32) -> Adam {
        // Clamped so that 0, a legal decay, gives 1 - 0^t = 1.
        let ln = |beta: f64| beta.ln().max(-1e4) as f32;
        let [ln_beta1, ln_beta2] = [ln(beta1), ln(beta2)];
        let [rest1, rest2] = [1.0 - beta1, 1.0 - beta2].map(|rest| rest as f32);
        let [beta1, beta2] = [beta1 as f32, beta2 as f32];
        Adam { len, lr, beta1, beta2, rest1, rest2, ln_beta1, ln_beta2, eps, average: AverageBlock::NONE }
    }

    /// The rate over 1 - beta1^t, and √(1 - beta2^t).
    fn corrected(&self, clocks: [&[f32]; 2]) -> [f64; 2] {
        let t = f64::from(step(clocks[0])) + 1.0;
        let correction = |ln_beta: f32| -(t * f64::from(ln_beta)).exp_m1();
        [self.lr.at(clocks) / correction(self.ln_beta1), correction(self.ln_beta2).sqrt()]
    }
}

host::wide! {
    fn move_along(
        g: &[f32], w: &mut [f32], m: &mut [f32], v: &mut [f32], betas: [[f32; 2]; 2], step: [f32; 3],
    ) {
        let ([[beta1, rest1], [beta2, rest2]], [step, unroot, eps]) = (betas, step);
        let moments = std::iter::zip(m, v);
        for ((w, g), (m, v)) in std::iter::zip(std::iter::zip(w, g), moments) {
            *m = beta1 * *m + rest1 * g;
            *v = beta2 * *v + rest2 * g * g;
            *w -= step * *m / (v.sqrt() * unroot + eps);
        }
    }
}

impl Descent for Adam {
    const SIGNATURE: &'static Signature = &SIGNATURE;

    fn shaders() -> &'static Shaders {
        &SHADERS
    }

    fn count(&self) -> u32 {
        self.len
    }

    fn of_len(&self, len: u32) -> Adam {
        Adam { len, ..*self }
    }

    fn rate(&self) -> RateBlock {
        self.lr
    }

    fn average(&self) -> AverageBlock {
        self.average
    }

    fn update(&self, g: &[f32], clocks: [&[f32]; 2], w: &mut [f32], moments: &mut [&mut [f32]]) {
        let [m, v] = moments else { return };
        let [step, root] = self.corrected(clocks);
        let [beta1, rest1, beta2, rest2] = [self.beta1, self.rest1, self.beta2, self.rest2].map(f64::from);
        for (i, g) in g.iter().enumerate() {
            let g = f64::from(*g);
            let first = beta1 * f64::from(m[i]) + rest1 * g;
            let second = beta2 * f64::from(v[i]) + rest2 * g * g;
            (m[i], v[i]) = (first as f32, second as f32);
            w[i] = (f64::from(w[i]) - step * first / (second.sqrt() / root + f64::from(self.eps))) as f32;
        }
    }

    fn update_fast(&self, g: &[f32], clocks: [&[f32]; 2], w: &mut [f32], moments: &mut [&mut [f32]]) {
        let [m, v] = moments else { return };
        let [step, root] = self.corrected(clocks);
        let betas = [[self.beta1, self.rest1], [self.beta2, self.rest2]];
        move_along(g, w, m, v, betas, [step as f32, (1.0 / root) as f32, self.eps]);
    }

    fn permitted(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let t = step(reads[1]) as f32 + 1.0;
        // 1 - beta^t by expm1, whose error is that of the exponential where it is not a series.
        let correction = |ln_beta: f32| -> (f32, f32) {
            let x = t * ln_beta;
            let value = -x.exp_m1();
            (value, 8.0 * EPS + (exp_error(x) + x.abs() * EPS) * x.exp() / value)
        };
        let ((one, d_one), (two, d_two)) = (correction(self.ln_beta1), correction(self.ln_beta2));
        let relative = self.lr.error([reads[1], reads[2]]) + d_one + d_two / 2.0 + 40.0 * EPS;
        let step = self.lr.at([reads[1], reads[2]]) as f32 / one;
        let mut bounds = vec![Vec::new(); 3];
        for (i, g) in reads[0].iter().enumerate() {
            let d_m = 3.0 * EPS * ((self.beta1 * old[1][i]).abs() + (self.rest1 * g).abs()) + f32::MIN_POSITIVE;
            let d_v = 5.0 * EPS * reference[2][i] + f32::MIN_POSITIVE;
            let below = reference[2][i].sqrt() / two.sqrt() + self.eps;
            let update = step * (d_m + relative * reference[1][i].abs()) / below;
            bounds[0].push(update + 2.0 * EPS * reference[0][i].abs() + f32::MIN_POSITIVE);
            bounds[1].push(d_m);
            bounds[2].push(d_v);
        }
        bounds
    }

    fn moment(&self, k: usize, draw: f32) -> f32 {
        if k == 0 { 0.2 * draw - 0.1 } else { 0.01 * draw }
    }

    fn flops_each(&self) -> u64 {
        12
    }

    fn settings(&self) -> String {
        format!("betas {},{}", self.beta1, self.beta2)
    }
}

/// Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamRule {
    /// Learning rate.
    pub lr: f64,
    /// Factor on the learning rate at every step.
    pub decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f64,
}

impl Default for AdamRule {
    fn default() -> AdamRule {
        AdamRule { lr: 0.001, decay: 1.0, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }
}

impl Rule for AdamRule {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn fault(&self) -> Option<String> {
        rule::positive("lr", self.lr)
            .or_else(|| rule::decay(self.decay))
            .or_else(|| rule::share("beta1", self.beta1))
            .or_else(|| rule::share("beta2", self.beta2))
            .or_else(|| rule::positive("eps", self.eps))
    }

    fn kernel(&self, len: u32, schedule: &Schedule, average: AverageBlock) -> Arc<dyn Kernel> {
        let lr = RateBlock::new(self.lr, self.decay, schedule);
        Arc::new(Adam { average, ..Adam::new(len, lr, [self.beta1, self.beta2], self.eps as f32) })
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, betas: (f64, f64), ln_decay, rate| {
        let adam = Adam::new(len, RateBlock::example(1e-3, ln_decay), betas.into(), 1e-8);
        Box::new(Adam { average: AverageBlock::example(len, rate), ..adam }) as Box<dyn Kernel>
    };
    let scheduled = |lr| Box::new(Adam::new(1024, lr, [0.9, 0.999], 1e-8)) as Box<dyn Kernel>;
    let mut all = vec![
        case(1, (0.9, 0.999), 0.0, 0.0),
        case(131, (0.5, 0.999), 0.0, 0.0),
        case(512, (0.0, 0.9), -2.3e-5, 0.0),
        case(10_007, (0.9, 0.999), -2.3e-5, 0.0),
        case(4096, (0.9, 0.99999), 0.0, 0.0),
        case(1, (0.9, 0.999), 0.0, 0.5),
        case(131, (0.5, 0.999), -2.3e-5, 1.0),
        case(512, (0.0, 0.9), 0.0, 1e-4),
        case(10_007, (0.9, 0.999), 0.0, 0.001),
    ];
    all.extend(RateBlock::scheduled().map(scheduled));
    all
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let case = |(len, rate)| {
        let adam = Adam::new(len, RateBlock::example(1e-3, 0.0), [0.9, 0.999], 1e-8);
        Box::new(Adam { average: AverageBlock { rate, warm: 0.0 }, ..adam }) as Box<dyn Kernel>
    };
    [(652_824, 0.0), (896_833, 0.0), (53_569, 0.0), (652_824, 0.001)].map(case).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the first step both corrections take away what the moments' own factors put there, so that w moves by the
    /// rate, whatever the decays are: by how much less or more tells how exact 1 - beta is.
    #[test]
    fn the_first_step_is_as_long_as_the_rate_to_the_last_digits() {
        for betas in [[0.9, 0.999], [0.5, 0.9999], [0.0, 0.99], [0.9, 0.99999]] {
            let adam = Adam::new(1, RateBlock::new(1.0, 1.0, &Schedule::default()), betas, 0.0);
            for update in [Adam::update, Adam::update_fast] {
                let (mut w, mut m, mut v) = ([0.0], [0.0], [0.0]);
                update(&adam, &[3.0], [&[0.0], &[f32::from_bits(10)]], &mut w, &mut [&mut m, &mut v]);
                assert!((w[0] + 1.0).abs() < 3e-7, "{betas:?}: {}", w[0]);
            }
        }
    }
}
