//! Descent along the signs of gradients (Bernstein et al. 2018).

use super::descent::{AverageBlock, Descent, RateBlock, Shaders, optimizer_shaders};
use super::rule::{self, Rule};
use crate::kernels::*;
use serde::{Deserialize, Serialize};

params! {
    /// g `[len]`, clock -> w, v `[len]` updated: v = momentum v + g, w -= lr_t sign(v), with lr_t
    /// the [`RateBlock`]'s; then the average of w follows.
    pub struct Signsgd {
        /// Elements.
        pub len: u32,
        /// The learning rate.
        pub lr: RateBlock,
        /// Momentum.
        pub momentum: f32,
        /// The average of the parameters.
        pub average: AverageBlock,
    }
}

static SHADERS: Shaders = optimizer_shaders!(Signsgd, "signsgd");

static SIGNATURE: Signature = Signature {
    name: "signsgd",
    reads: &["g", "clock"],
    writes: &[("w", Access::Update), ("momentum", Access::Update), ("average", Access::Update)],
};

impl Descent for Signsgd {
    const SIGNATURE: &'static Signature = &SIGNATURE;

    fn shaders() -> &'static Shaders {
        &SHADERS
    }

    fn count(&self) -> u32 {
        self.len
    }

    fn of_len(&self, len: u32) -> Signsgd {
        Signsgd { len, ..*self }
    }

    fn average(&self) -> AverageBlock {
        self.average
    }

    fn update(&self, g: &[f32], clock: &[f32], w: &mut [f32], moments: &mut [&mut [f32]]) {
        let [v] = moments else { return };
        let lr = self.lr.at(clock);
        for (i, g) in g.iter().enumerate() {
            v[i] = (f64::from(self.momentum) * f64::from(v[i]) + f64::from(*g)) as f32;
            let way = if v[i] == 0.0 { 0.0 } else { f64::from(v[i].signum()) };
            w[i] = (f64::from(w[i]) - lr * way) as f32;
        }
    }

    fn permitted(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let lr = self.lr.at(reads[1]) as f32;
        let v: Vec<f32> = std::iter::zip(reads[0], old[1])
            .map(|(g, v)| 4.0 * EPS * (g.abs() + (self.momentum * v).abs()) + f32::MIN_POSITIVE)
            .collect();
        // Within its error of 0 a moment may have either sign.
        let turns = |i: usize| if reference[1][i].abs() <= v[i] { 2.0 * lr } else { 0.0 };
        let w = |i: usize| lr * self.lr.error(reads[1]) + turns(i) + 4.0 * EPS * (lr + reference[0][i].abs());
        vec![(0..v.len()).map(w).collect(), v]
    }

    fn flops_each(&self) -> u64 {
        5
    }

    fn settings(&self) -> String {
        format!("momentum {}", self.momentum)
    }
}

/// Descent along the signs of a moving sum of gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignsgdRule {
    /// Learning rate.
    pub lr: f64,
    /// Factor on the learning rate at every step.
    pub decay: f64,
    /// Momentum.
    pub momentum: f64,
}

impl Default for SignsgdRule {
    fn default() -> SignsgdRule {
        SignsgdRule { lr: 1e-4, decay: 1.0, momentum: 0.9 }
    }
}

impl Rule for SignsgdRule {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn fault(&self) -> Option<String> {
        rule::positive("lr", self.lr)
            .or_else(|| rule::decay(self.decay))
            .or_else(|| rule::share("momentum", self.momentum))
    }

    fn kernel(&self, len: u32, average: AverageBlock) -> Arc<dyn Kernel> {
        Arc::new(Signsgd { len, lr: RateBlock::new(self.lr, self.decay), momentum: self.momentum as f32, average })
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [(1, 0.0, 0.0), (257, 0.9, 0.25), (1024, 0.5, 0.0), (20_011, 0.7, 0.001)]
        .map(|(len, momentum, rate)| {
            let (lr, average) = (RateBlock { start: 0.1, ln_decay: -4e-6 }, AverageBlock::example(len, rate));
            Box::new(Signsgd { len, lr, momentum, average }) as Box<dyn Kernel>
        })
        .into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let lr = RateBlock { start: 0.1, ln_decay: 0.0 };
    vec![Box::new(Signsgd { len: 652_824, lr, momentum: 0.9, average: AverageBlock::NONE })]
}
