//! Optimisers as a run's settings name them.

use super::Network;
use crate::graph::{Graph, GraphError, Var, gradients};
use crate::ops::{Adam, Average, RmsProp, Sgd};
use serde::{Deserialize, Serialize};
use strum::VariantNames;

/// The `[optim]` table. What it does not say has the defaults that PyTorch gives these optimisers, but that SGD has
/// a rate and momentum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, VariantNames)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[strum(serialize_all = "lowercase")]
pub enum OptimConfig {
    /// Stochastic gradient descent with momentum.
    Sgd {
        /// Learning rate.
        #[serde(default = "sgd_lr")]
        lr: f64,
        /// Factor on the learning rate at every step.
        #[serde(default = "no_decay")]
        decay: f64,
        /// Momentum at the first step.
        #[serde(default = "sgd_momentum")]
        momentum: f64,
        /// Momentum after `momentum_steps` steps; until then it changes by as much at each.
        #[serde(default)]
        momentum_end: f64,
        /// Steps in which the momentum changes; 0 keeps it.
        #[serde(default)]
        momentum_steps: u32,
        /// L2 penalty.
        #[serde(default)]
        weight_decay: f64,
    },
    /// RMSprop, plain or centred.
    Rmsprop {
        /// Learning rate.
        #[serde(default = "lr")]
        lr: f64,
        /// Factor on the learning rate at every step.
        #[serde(default = "no_decay")]
        decay: f64,
        /// Smoothing of the squared gradient.
        #[serde(default = "alpha")]
        alpha: f64,
        /// Added to the root.
        #[serde(default = "eps")]
        eps: f64,
        /// Momentum.
        #[serde(default)]
        momentum: f64,
        /// Subtract the squared mean gradient.
        #[serde(default)]
        centered: bool,
    },
    /// Adam.
    Adam {
        /// Learning rate.
        #[serde(default = "lr")]
        lr: f64,
        /// Factor on the learning rate at every step.
        #[serde(default = "no_decay")]
        decay: f64,
        /// Decay of the first moment.
        #[serde(default = "beta1")]
        beta1: f64,
        /// Decay of the second moment.
        #[serde(default = "beta2")]
        beta2: f64,
        /// Added to the root.
        #[serde(default = "eps")]
        eps: f64,
    },
    /// Expectation-maximisation, for mixtures: no descent, but a new mixture after each pass over the data.
    Em {
        /// Added to every variance.
        #[serde(default = "floor")]
        floor: f64,
        /// Batches of a pass; with 0 a run takes those of one pass over its images, and writes down how many.
        #[serde(default)]
        batches: u32,
    },
}

/// The defaults of the settings above, where they are not 0.
macro_rules! defaults {
    ($($name:ident: $value:literal;)*) => {
        $(fn $name() -> f64 { $value })*
    };
}
defaults! {
    lr: 0.001;
    sgd_lr: 0.01;
    sgd_momentum: 0.9;
    no_decay: 1.0;
    alpha: 0.99;
    eps: 1e-8;
    beta1: 0.9;
    beta2: 0.999;
    floor: 0.001;
}

/// Expectation-maximisation as a step needs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Em {
    /// Added to every variance.
    pub floor: f32,
    /// Batches of a pass, at least 1.
    pub batches: u32,
}

impl OptimConfig {
    /// The rate of the first step, of a rule that has one.
    pub fn lr(&self) -> Option<f64> {
        match *self {
            OptimConfig::Sgd { lr, .. } | OptimConfig::Rmsprop { lr, .. } | OptimConfig::Adam { lr, .. } => Some(lr),
            OptimConfig::Em { .. } => None,
        }
    }

    /// SGD whose momentum stays.
    pub fn sgd(lr: f64, decay: f64, momentum: f64) -> OptimConfig {
        OptimConfig::Sgd { lr, decay, momentum, momentum_end: 0.0, momentum_steps: 0, weight_decay: 0.0 }
    }

    /// Adam with the usual decays, 0.9 and 0.999.
    pub fn adam(lr: f64) -> OptimConfig {
        OptimConfig::Adam { lr, decay: 1.0, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
    }

    /// Names of the optimiser's buffers; a network's state `NAME.BUFFER` has the size of its
    /// parameters.
    pub fn buffers(&self) -> &'static [&'static str] {
        match self {
            OptimConfig::Sgd { .. } => &["momentum"],
            OptimConfig::Rmsprop { .. } => &["square", "mean", "momentum"],
            OptimConfig::Adam { .. } => &["m", "v"],
            OptimConfig::Em { .. } => &[],
        }
    }

    /// Settles how many batches a pass has, where the settings leave that to the images: `steps` of them.
    pub fn settle(&mut self, steps: u64) {
        if let OptimConfig::Em { batches: batches @ 0, .. } = self {
            *batches = u32::try_from(steps).unwrap_or(u32::MAX);
        }
    }

    /// A sentence about a value that makes no sense, if there is one.
    pub fn fault(&self) -> Option<String> {
        let range =
            |key: &str, v: f64, ok: bool, wants: &str| (!ok).then(|| format!("optim.{key} = {v} must be {wants}"));
        let share = |key: &str, v: f64| share_fault(&format!("optim.{key}"), v);
        let positive = |key: &str, v: f64| range(key, v, v > 0.0 && v.is_finite(), "above 0");
        let decay = |v: f64| range("decay", v, v > 0.0 && v <= 1.0, "above 0 and at most 1");
        match *self {
            OptimConfig::Sgd { lr, decay: d, momentum, momentum_end, weight_decay, .. } => positive("lr", lr)
                .or_else(|| decay(d))
                .or_else(|| share("momentum", momentum))
                .or_else(|| share("momentum_end", momentum_end))
                .or_else(|| range("weight_decay", weight_decay, weight_decay >= 0.0, "at least 0")),
            OptimConfig::Rmsprop { lr, decay: d, alpha, eps, momentum, .. } => positive("lr", lr)
                .or_else(|| decay(d))
                .or_else(|| share("alpha", alpha))
                .or_else(|| positive("eps", eps))
                .or_else(|| share("momentum", momentum)),
            OptimConfig::Adam { lr, decay: d, beta1, beta2, eps } => positive("lr", lr)
                .or_else(|| decay(d))
                .or_else(|| share("beta1", beta1))
                .or_else(|| share("beta2", beta2))
                .or_else(|| positive("eps", eps)),
            OptimConfig::Em { floor, .. } => positive("floor", floor),
        }
    }
}

/// A sentence about what is no share of 1 that is less than all of it, if it is none.
fn share_fault(key: &str, v: f64) -> Option<String> {
    match v {
        v if !(0.0..1.0).contains(&v) => Some(format!("{key} = {v} must be at least 0 and below 1")),
        v if v as f32 == 1.0 => Some(format!("{key} = {v} is 1 in the 32 bits that devices compute in")),
        _ => None,
    }
}

/// How the networks of a model are trained: an optimiser, and the average that is kept of the
/// parameters it passes through.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    /// The rule of an update.
    pub rule: OptimConfig,
    /// Decay of the moving average, or 0 for none: average ← ema·average + (1 - ema)·p once p is updated. It starts
    /// as a copy of the initial parameters. Networks that make images have one; their running statistics stay
    /// those of training.
    pub ema: f64,
    /// Whether that decay warms up: after t updates it is at most (1 + t) / (10 + t). Without, the initial
    /// parameters weigh ema^t.
    pub ema_warm_up: bool,
}

impl Optimizer {
    /// This rule, and no average.
    pub fn plain(rule: OptimConfig) -> Optimizer {
        Optimizer { rule, ema: 0.0, ema_warm_up: false }
    }

    /// A sentence about a value that makes no sense, if there is one.
    pub fn fault(&self) -> Option<String> {
        self.rule.fault().or_else(|| share_fault("train.ema", self.ema))
    }

    /// Expectation-maximisation, if it is that.
    pub fn em(&self) -> Option<Em> {
        match self.rule {
            OptimConfig::Em { floor, batches } => Some(Em { floor: floor as f32, batches: batches.max(1) }),
            _ => None,
        }
    }

    /// Whether it keeps an average of the parameters of `net`.
    pub fn averages(&self, net: &Network) -> bool {
        self.ema > 0.0 && net.makes_images
    }

    /// By what rule it keeps an average, for people.
    pub fn average_in_words(&self) -> Option<String> {
        let decay = self.ema;
        let rule = match self.ema_warm_up {
            _ if decay == 0.0 => return None,
            true => format!("min({decay}, (1 + t) / (10 + t)) after t updates"),
            false => format!("{decay} from the first update, so that the initial weights count for {decay}^t"),
        };
        Some(format!("averaged weights: decay {rule}"))
    }

    /// Names of the states of the parameters' size that it keeps for `net`.
    pub fn states(&self, net: &Network) -> Vec<String> {
        let average = self.averages(net).then(|| net.average_state());
        self.rule.buffers().iter().map(|buffer| net.moment_state(buffer)).chain(average).collect()
    }

    /// Adds one descent step on `loss` for the parameters of `net` to the graph. Parameters the
    /// loss does not depend on see a zero gradient.
    pub fn minimize(&self, loss: &Var, net: &Network) {
        let g = loss.graph().clone();
        let (mut tensors, mut offsets) = (Vec::new(), Vec::new());
        for (grad, info) in std::iter::zip(gradients(loss, &net.vars(&g)), &net.params) {
            if let Some(grad) = grad {
                tensors.push(grad);
                offsets.push(info.offset);
            }
        }
        g.scope(&format!("{} update", net.name));
        let grads = g.flatten(&tensors, &offsets, net.flat_len());
        self.update(&g, &grads, net);
    }

    fn update(&self, g: &Graph, grads: &Var, net: &Network) {
        let p = net.flat(g);
        let updates = net.updates(g);
        let buffers: Vec<Var> = self.rule.buffers().iter().map(|name| net.moment(g, name)).collect();
        let average = || Average { state: net.average(g), rate: (1.0 - self.ema) as f32, warms_up: self.ema_warm_up };
        let average = self.averages(net).then(average);
        let average = average.as_ref();
        match self.rule {
            OptimConfig::Sgd { lr, decay, momentum, momentum_end, momentum_steps, weight_decay } => {
                let (lr, momentum, momentum_end) = (lr as f32, momentum as f32, momentum_end as f32);
                let weight_decay = weight_decay as f32;
                let o = Sgd { lr, decay, momentum, momentum_end, momentum_steps, weight_decay };
                g.sgd(&o, grads, &updates, &p, &buffers[0], average);
            }
            OptimConfig::Rmsprop { lr, decay, alpha, eps, momentum, centered } => {
                let (lr, alpha, eps, momentum) = (lr as f32, alpha as f32, eps as f32, momentum as f32);
                let o = RmsProp { lr, decay, alpha, eps, momentum, centered };
                g.rmsprop(&o, grads, &updates, &p, [&buffers[0], &buffers[1], &buffers[2]], average);
            }
            OptimConfig::Adam { lr, decay, beta1, beta2, eps } => {
                let o = Adam { lr: lr as f32, decay, beta1, beta2, eps: eps as f32 };
                g.adam(&o, grads, &updates, &p, [&buffers[0], &buffers[1]], average);
            }
            OptimConfig::Em { .. } => {
                let why = "expectation-maximisation descends no loss, so it trains mixtures only; set optim.kind=adam";
                _ = g.fail(GraphError::Rule(why), &[1]);
            }
        }
        g.advance(&updates);
    }
}
