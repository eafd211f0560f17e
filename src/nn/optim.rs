//! Optimisers as a run's settings name them.

use super::Network;
use crate::graph::{Graph, GraphError, Var, gradients};
use crate::kernels::optimisers::schedule::{Falling, Schedule};
use crate::kernels::optimisers::{self, adam::AdamRule, rule, rule::Rule, sgd::SgdRule};
use crate::ops::Average;
use serde::{Deserialize, Serialize};
use strum::VariantNames;

/// Declares the `[optim]` table: a kind for each of the optimisers, and expectation-maximisation.
macro_rules! config {
    ($($(#[$doc:meta])* $kind:ident: $module:ident $rule:ident;)*) => {
        /// The `[optim]` table. What it does not say has the defaults that PyTorch gives these
        /// optimisers, but that SGD has a rate and momentum.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, VariantNames)]
        #[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
        #[strum(serialize_all = "lowercase")]
        pub enum OptimConfig {
            $($(#[$doc])* $kind(optimisers::$module::$rule),)*
            /// Expectation-maximisation, for mixtures: no descent, but a new mixture after each
            /// pass over the data.
            Em {
                /// Added to every variance.
                #[serde(default = "floor")]
                floor: f64,
                /// Batches of a pass; with 0 a run takes those of one pass over its images, and
                /// writes down how many.
                #[serde(default)]
                batches: u32,
            },
        }

        impl OptimConfig {
            /// The rule of an update, if that descends a loss.
            pub fn rule(&self) -> Option<&dyn Rule> {
                match self {
                    $(OptimConfig::$kind(rule) => Some(rule),)*
                    OptimConfig::Em { .. } => None,
                }
            }
        }
    };
}
optimisers::optimisers!(config);

fn floor() -> f64 {
    0.001
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
        self.rule().map(Rule::lr)
    }

    /// SGD whose momentum stays.
    pub fn sgd(lr: f64, decay: f64, momentum: f64) -> OptimConfig {
        OptimConfig::Sgd(SgdRule { lr, decay, momentum, ..SgdRule::default() })
    }

    /// Adam with the usual decays, 0.9 and 0.999.
    pub fn adam(lr: f64) -> OptimConfig {
        OptimConfig::Adam(AdamRule { lr, ..AdamRule::default() })
    }

    /// Names of the optimiser's buffers; a network's state `NAME.BUFFER` has the size of its
    /// parameters.
    pub fn buffers(&self) -> Vec<&'static str> {
        self.rule().map(Rule::moments).unwrap_or_default()
    }

    /// Settles how many batches a pass has, where the settings leave that to the images: `steps` of
    /// them.
    pub fn settle(&mut self, steps: u64) {
        if let OptimConfig::Em { batches: batches @ 0, .. } = self {
            *batches = u32::try_from(steps).unwrap_or(u32::MAX);
        }
    }

    /// A sentence about a value that makes no sense, if there is one.
    pub fn fault(&self) -> Option<String> {
        let fault = match self {
            OptimConfig::Em { floor, .. } => rule::positive("floor", *floor),
            other => other.rule().and_then(Rule::fault),
        };
        fault.map(|fault| format!("optim.{fault}"))
    }
}

/// How the networks of a model are trained: an optimiser, and the average that is kept of the
/// parameters it passes through.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    /// The rule of an update.
    pub rule: OptimConfig,
    /// Decay of the moving average, or 0 for none: average ← ema·average + (1 - ema)·p once p is
    /// updated. It starts as a copy of the initial parameters. Networks that make images have one;
    /// their running statistics stay those of training.
    pub ema: f64,
    /// Whether that decay warms up: after t updates it is at most (1 + t) / (10 + t). Without, the
    /// initial parameters weigh ema^t.
    pub ema_warm_up: bool,
    /// How the learning rate moves over the run.
    pub schedule: Schedule,
    /// The largest norm that a network's gradient keeps, over all of its parameters; a longer one
    /// is scaled down to it before the update (Pascanu, Mikolov & Bengio 2013). 0 for no limit.
    pub clip_norm: f64,
}

impl Optimizer {
    /// This rule, and no average.
    pub fn plain(rule: OptimConfig) -> Optimizer {
        Optimizer { rule, ema: 0.0, ema_warm_up: false, schedule: Schedule::default(), clip_norm: 0.0 }
    }

    /// A sentence about a value that makes no sense, if there is one.
    pub fn fault(&self) -> Option<String> {
        let clip = self.clip_norm;
        let clipped = || rule::wants("clip_norm", clip, clip >= 0.0 && clip.is_finite(), "at least 0");
        let of_training = || self.schedule.fault().or_else(clipped).map(|fault| format!("train.{fault}"));
        let of_average = || rule::share("train.ema", self.ema);
        self.rule.fault().or_else(of_average).or_else(of_training).or_else(|| self.without_rate())
    }

    /// A sentence about settings of a descent where there is none.
    fn without_rate(&self) -> Option<String> {
        let moves = self.schedule.kind != Falling::Constant || self.schedule.warm_up > 0;
        let why = match (moves, self.clip_norm > 0.0) {
            _ if self.rule.rule().is_some() => return None,
            (true, _) => "has no learning rate, so set train.lr_schedule=constant and train.lr_warm_up=0",
            (false, true) => "has no gradient, so set train.clip_norm=0",
            (false, false) => return None,
        };
        Some(format!("expectation-maximisation {why}"))
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
        let grads = std::iter::zip(gradients(loss, &net.vars(&g)), &net.params);
        let tensors = grads.filter_map(|(grad, info)| Some((grad?, info.offset))).collect();
        g.scope(&format!("{} update", net.name));
        let (tensors, offsets): (Vec<Var>, Vec<usize>) = over_batch(&g, tensors).into_iter().unzip();
        let grads = g.flatten(&tensors, &offsets, net.flat_len());
        self.update(&g, &grads, net);
    }

    fn update(&self, g: &Graph, grads: &Var, net: &Network) {
        let p = net.flat(g);
        let updates = net.updates(g);
        let average = || Average { state: net.average(g), rate: (1.0 - self.ema) as f32, warms_up: self.ema_warm_up };
        let Some(rule) = self.rule.rule() else {
            let why = "expectation-maximisation descends no loss, so it trains mixtures only; set optim.kind=adam";
            _ = g.fail(GraphError::Rule(why), &[1]);
            return;
        };
        let moments: Vec<Var> = rule.moments().iter().map(|name| net.moment(g, name)).collect();
        let average = self.averages(net).then(average);
        let clipped = (self.clip_norm > 0.0).then(|| clipped(grads, self.clip_norm as f32));
        let grads = clipped.as_ref().unwrap_or(grads);
        g.descend((rule, &self.schedule), [grads, &updates, &p], &moments, average.as_ref());
        g.advance(&updates);
    }
}

/// Elements of neighbouring gradients that ranks take the mean of together, where there are so many.
/// The first of them are on their way while the device makes the rest.
const BUCKET: usize = 1 << 20;

/// The means of gradients over the whole batch and the elements that they start at, neighbours laid
/// together.
fn over_batch(g: &Graph, tensors: Vec<(Var, usize)>) -> Vec<(Var, usize)> {
    if g.shard().count() == 1 {
        return tensors;
    }
    let mut buckets: Vec<Vec<(Var, usize)>> = Vec::new();
    for (grad, offset) in tensors {
        match buckets.last_mut() {
            Some(bucket) if offset + grad.len() - bucket[0].1 <= BUCKET => bucket.push((grad, offset)),
            _ => buckets.push(vec![(grad, offset)]),
        }
    }
    // Those behind are there first.
    let mean = |bucket: Vec<(Var, usize)>| {
        let (first, (last, end)) = (bucket[0].1, &bucket[bucket.len() - 1]);
        let len = end + last.len() - first;
        let (tensors, offsets): (Vec<Var>, Vec<usize>) =
            bucket.into_iter().map(|(grad, offset)| (grad, offset - first)).unzip();
        (g.together(&tensors, &offsets, len).over_batch(), first)
    };
    let mut means: Vec<_> = buckets.into_iter().rev().map(mean).collect();
    means.reverse();
    means
}

/// g·min(1, bound / (‖g‖ + 1e-6)), as PyTorch scales gradients.
fn clipped(g: &Var, bound: f32) -> Var {
    let norm = g.square().sum().sqrt();
    let scale = norm.add_scalar(1e-6).recip().mul_scalar(bound).clamp(0.0, 1.0);
    g * &scale
}
