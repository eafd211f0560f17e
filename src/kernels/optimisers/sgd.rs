//! Stochastic gradient descent with momentum.

use super::descent::{AverageBlock, Descent, RateBlock, Shaders, optimizer_shaders};
use super::rule::{self, Rule};
use super::schedule::Schedule;
use crate::kernels::ramp::{ramp, ramp_error};
use crate::kernels::*;
use serde::{Deserialize, Serialize};

params! {
    /// g `[len]`, clock, steps -> w, v `[len]` updated: g' = g + weight_decay w, v = m_t v + g',
    /// w -= lr_t v, with lr_t the [`RateBlock`]'s and m_t = momentum + (momentum_end - momentum)
    /// min(t momentum_step, 1) at clock t; then the average of w follows.
    pub struct Sgd {
        /// Elements.
        pub len: u32,
        /// The learning rate.
        pub lr: RateBlock,
        /// Momentum at step 0.
        pub momentum: f32,
        /// Momentum once it has stopped changing.
        pub momentum_end: f32,
        /// How much of the way to it is gone at a step; 0 keeps the first.
        pub momentum_step: f32,
        /// L2 penalty.
        pub weight_decay: f32,
        /// The average of the parameters.
        pub average: AverageBlock,
    }
}

static SHADERS: Shaders = optimizer_shaders!(Sgd, "sgd");

static SIGNATURE: Signature = Signature {
    name: "sgd",
    reads: &["g", "clock", "steps"],
    writes: &[("w", Access::Update), ("momentum", Access::Update), ("average", Access::Update)],
};

impl Sgd {
    fn momenta(&self) -> [f32; 2] {
        [self.momentum, self.momentum_end]
    }
}

host::wide! {
    fn descend(g: &[f32], w: &mut [f32], v: &mut [f32], factors: [f32; 3]) {
        let [lr, momentum, weight_decay] = factors;
        for ((w, v), g) in std::iter::zip(std::iter::zip(w, v), g) {
            *v = momentum * *v + (g + weight_decay * *w);
            *w -= lr * *v;
        }
    }
}

impl Descent for Sgd {
    const SIGNATURE: &'static Signature = &SIGNATURE;

    fn shaders() -> &'static Shaders {
        &SHADERS
    }

    fn count(&self) -> u32 {
        self.len
    }

    fn of_len(&self, len: u32) -> Sgd {
        Sgd { len, ..*self }
    }

    fn rate(&self) -> RateBlock {
        self.lr
    }

    fn average(&self) -> AverageBlock {
        self.average
    }

    fn update(&self, g: &[f32], clocks: [&[f32]; 2], w: &mut [f32], moments: &mut [&mut [f32]]) {
        let [v] = moments else { return };
        let (lr, momentum) = (self.lr.at(clocks), ramp(self.momenta(), self.momentum_step, clocks[0]));
        for (i, g) in g.iter().enumerate() {
            let g = f64::from(*g) + f64::from(self.weight_decay) * f64::from(w[i]);
            let b = momentum * f64::from(v[i]) + g;
            v[i] = b as f32;
            w[i] = (f64::from(w[i]) - lr * b) as f32;
        }
    }

    fn update_fast(&self, g: &[f32], clocks: [&[f32]; 2], w: &mut [f32], moments: &mut [&mut [f32]]) {
        let [v] = moments else { return };
        let momentum = ramp(self.momenta(), self.momentum_step, clocks[0]);
        descend(g, w, v, [self.lr.at(clocks) as f32, momentum as f32, self.weight_decay]);
    }

    fn permitted(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let lr = self.lr.at([reads[1], reads[2]]) as f32;
        let momentum = ramp(self.momenta(), self.momentum_step, reads[1]) as f32;
        let d_momentum = ramp_error(self.momenta(), self.momentum_step);
        let v: Vec<f32> = (0..reads[0].len())
            .map(|i| {
                let terms = (momentum * old[1][i]).abs() + (self.weight_decay * old[0][i]).abs() + reads[0][i].abs();
                4.0 * EPS * terms + d_momentum * old[1][i].abs() + f32::MIN_POSITIVE
            })
            .collect();
        let relative = self.lr.error([reads[1], reads[2]]) + 3.0 * EPS;
        let w = |i: usize| {
            lr * (v[i] + relative * reference[1][i].abs()) + 2.0 * EPS * reference[0][i].abs() + f32::MIN_POSITIVE
        };
        vec![(0..v.len()).map(w).collect(), v]
    }

    fn flops_each(&self) -> u64 {
        6
    }

    fn settings(&self) -> String {
        let moves = if self.momentum_step > 0.0 { format!(" to {}", self.momentum_end) } else { String::new() };
        format!("momentum {}{moves}", self.momentum)
    }
}

/// SGD with momentum (PyTorch's: v = momentum·v + g, w -= lr·v).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SgdRule {
    /// Learning rate.
    pub lr: f64,
    /// Factor on the learning rate at every step.
    pub decay: f64,
    /// Momentum at the first step.
    pub momentum: f64,
    /// Momentum after `momentum_steps` steps; until then it changes by as much at each.
    pub momentum_end: f64,
    /// Steps in which the momentum changes; 0 keeps it.
    pub momentum_steps: u32,
    /// L2 penalty.
    pub weight_decay: f64,
}

impl Default for SgdRule {
    fn default() -> SgdRule {
        SgdRule { lr: 0.01, decay: 1.0, momentum: 0.9, momentum_end: 0.0, momentum_steps: 0, weight_decay: 0.0 }
    }
}

impl Rule for SgdRule {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn fault(&self) -> Option<String> {
        rule::positive("lr", self.lr)
            .or_else(|| rule::decay(self.decay))
            .or_else(|| rule::share("momentum", self.momentum))
            .or_else(|| rule::share("momentum_end", self.momentum_end))
            .or_else(|| rule::wants("weight_decay", self.weight_decay, self.weight_decay >= 0.0, "at least 0"))
    }

    fn kernel(&self, len: u32, schedule: &Schedule, average: AverageBlock) -> Arc<dyn Kernel> {
        Arc::new(Sgd {
            len,
            lr: RateBlock::new(self.lr, self.decay, schedule),
            momentum: self.momentum as f32,
            momentum_end: self.momentum_end as f32,
            momentum_step: if self.momentum_steps > 0 { 1.0 / self.momentum_steps as f32 } else { 0.0 },
            weight_decay: self.weight_decay as f32,
            average,
        })
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, momentum, weight_decay, ln_decay, rate| {
        let (lr, average) = (RateBlock::example(0.1, ln_decay), AverageBlock::example(len, rate));
        Sgd { len, lr, momentum, momentum_end: 0.0, momentum_step: 0.0, weight_decay, average }
    };
    let ramped = |len, momentum_step| Sgd { momentum_end: 0.7, momentum_step, ..case(len, 0.5, 0.0, -4e-6, 0.0) };
    let all = [
        case(1, 0.0, 0.0, 0.0, 0.0),
        case(257, 0.9, 0.0, -4e-6, 0.0),
        case(1024, 0.5, 1e-4, -0.01, 0.0),
        case(20_011, 0.7, 0.0, 0.0, 0.0),
        case(257, 0.9, 0.0, 0.0, 0.25),
        case(1024, 0.5, 1e-4, -0.01, 0.001),
        ramped(1024, 1e-3),
        ramped(257, 1.0),
    ];
    let scheduled = RateBlock::scheduled().map(|lr| Sgd { lr, ..case(257, 0.9, 0.0, 0.0, 0.0) });
    all.into_iter().chain(scheduled).map(|case| Box::new(case) as Box<dyn Kernel>).collect()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let (lr, average) = (RateBlock::example(0.1, -4e-6), AverageBlock::NONE);
    let (momentum, momentum_end, momentum_step) = (0.5, 0.7, 8e-6);
    vec![Box::new(Sgd { len: 2_503_984, lr, momentum, momentum_end, momentum_step, weight_decay: 0.0, average })]
}
