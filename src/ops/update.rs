//! Updates in place: optimisers over flat buffers, running averages, records, the clock.

use super::{launch, mismatch};
use crate::graph::{Call, GraphError};
use crate::graph::{Graph, Op, Var};
use crate::kernels::{adam, clip, copy, record, rmsprop, sgd};
use crate::program::{Body, Purpose};

/// SGD with momentum (PyTorch's: v ← momentum·v + g, p ← p - lr·v).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate at step 0.
    pub lr: f32,
    /// The learning rate is multiplied by this at every step.
    pub decay: f64,
    /// Momentum at step 0.
    pub momentum: f32,
    /// Momentum after `momentum_steps` steps, on the way to which it grows or shrinks by as much at each.
    pub momentum_end: f32,
    /// Steps in which the momentum changes; 0 keeps it.
    pub momentum_steps: u32,
    /// L2 penalty added to the gradient.
    pub weight_decay: f32,
}

impl Sgd {
    /// SGD whose momentum stays.
    pub fn new(lr: f32, decay: f64, momentum: f32, weight_decay: f32) -> Sgd {
        Sgd { lr, decay, momentum, momentum_end: momentum, momentum_steps: 0, weight_decay }
    }
}

/// RMSprop (Hinton's lecture 6e; centred as in Graves 2013).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Learning rate at step 0.
    pub lr: f32,
    /// The learning rate is multiplied by this at every step.
    pub decay: f64,
    /// Smoothing of the squared gradient.
    pub alpha: f32,
    /// Added to the root.
    pub eps: f32,
    /// Momentum.
    pub momentum: f32,
    /// Subtract the squared mean gradient.
    pub centered: bool,
}

/// Adam (Kingma & Ba 2015, algorithm 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate at step 0.
    pub lr: f32,
    /// The learning rate is multiplied by this at every step.
    pub decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root.
    pub eps: f32,
}

/// A moving average of the parameters, which an optimiser keeps in its own dispatch:
/// state ← state + rate·(p - state) once p is updated.
#[derive(Clone, Debug)]
pub struct Average {
    /// The average, of the size of the parameters.
    pub state: Var,
    /// 1 - decay, above 0.
    pub rate: f32,
    /// Whether the decay is at most (1 + t) / (10 + t) after t updates, so that the initial parameters are soon
    /// forgotten.
    pub warms_up: bool,
}

/// The rate a kernel is given, which is 0 where no average is kept, and by what it warms up.
fn rate(average: Option<&Average>) -> (f32, f32) {
    average.map_or((0.0, 0.0), |average| (average.rate, if average.warms_up { 9.0 } else { 0.0 }))
}

impl Graph {
    /// One dispatch of SGD: updates `p`, its momentum `v` and the average from the gradient `g`;
    /// `updates` counts the steps made so far.
    pub fn sgd(&self, o: &Sgd, g: &Var, updates: &Var, p: &Var, v: &Var, average: Option<&Average>) {
        let (average_rate, average_warm) = rate(average);
        let kernel = sgd::Sgd {
            len: p.len() as u32,
            lr: o.lr,
            ln_decay: o.decay.ln() as f32,
            momentum: o.momentum,
            momentum_end: o.momentum_end,
            momentum_step: if o.momentum_steps > 0 { 1.0 / o.momentum_steps as f32 } else { 0.0 },
            weight_decay: o.weight_decay,
            average_rate,
            average_warm,
        };
        self.descend(launch(kernel), g, updates, &[p, v], average);
    }

    /// One dispatch of RMSprop: updates `p`, its `buffers`, which are the mean square, the mean and the
    /// momentum, and the average from `g`.
    pub fn rmsprop(&self, o: &RmsProp, g: &Var, updates: &Var, p: &Var, buffers: [&Var; 3], average: Option<&Average>) {
        let [square, mean, momentum] = buffers;
        let (average_rate, average_warm) = rate(average);
        let kernel = rmsprop::RmsProp {
            len: p.len() as u32,
            lr: o.lr,
            ln_decay: o.decay.ln() as f32,
            alpha: o.alpha,
            eps: o.eps,
            momentum: o.momentum,
            centered: o.centered.into(),
            average_rate,
            average_warm,
        };
        self.descend(launch(kernel), g, updates, &[p, square, mean, momentum], average);
    }

    /// One dispatch of Adam: updates `p`, the moments `[m, v]` and the average from the gradient `g`.
    pub fn adam(&self, o: &Adam, g: &Var, updates: &Var, p: &Var, [m, v]: [&Var; 2], average: Option<&Average>) {
        let kernel = adam::Adam::new(p.len() as u32, o.lr, o.decay.ln() as f32, (o.beta1, o.beta2), o.eps);
        let (average_rate, average_warm) = rate(average);
        let kernel = adam::Adam { average_rate, average_warm, ..kernel };
        self.descend(launch(kernel), g, updates, &[p, m, v], average);
    }

    /// An optimiser's launch; the average is the last of what it writes.
    fn descend(&self, body: Body, g: &Var, updates: &Var, states: &[&Var], average: Option<&Average>) {
        let targets: Vec<&Var> = states.iter().copied().chain(average.map(|average| &average.state)).collect();
        self.update(body, &[Some(g), Some(updates)], &targets);
    }

    /// state ← state + rate·(scale·x - state)
    pub fn ema(&self, x: &Var, state: &Var, rate: f32, scale: f32) {
        self.update(Body::Average(rate, scale), &[Some(x)], &[state]);
    }

    /// state ← x
    pub fn assign(&self, x: &Var, state: &Var) {
        self.update(launch(copy::Copy { len: x.len() as u32 }), &[Some(x)], &[state]);
    }

    /// p ← min(max(p, -bound), bound)
    pub fn clip(&self, p: &Var, bound: f32) {
        self.update(launch(clip::Clip { len: p.len() as u32, bound }), &[], &[p]);
    }

    /// Writes the scalars `values` into row `clock % rows` of `history` `[rows,count]`.
    pub fn record(&self, values: &[Var], history: &Var) {
        let &[rows, count] = history.shape() else {
            self.fail(mismatch("record", &[history.shape()], "the history must be [rows,count]"), &[]);
            return;
        };
        let (rows, count) = (rows as u32, count as u32);
        for (chunk, values) in values.chunks(record::MAX_VALUES).enumerate() {
            let index = (chunk * record::MAX_VALUES) as u32;
            let kernel = record::Record { rows, count, index, values: values.len() as u32 };
            let clock = self.clock();
            let reads: Vec<Option<&Var>> = std::iter::once(&clock).chain(values).map(Some).collect();
            self.update(launch(kernel), &reads, &[history]);
        }
    }

    /// Adds one to a counter, such as the clock at the end of a step.
    pub fn advance(&self, counter: &Var) {
        self.update(Body::Advance, &[], &[counter]);
    }

    /// Lays tensors side by side in one flat buffer of `len` elements, tensor `k` from element
    /// `offsets[k]`; producers write there directly. Elements in between stay zero.
    pub fn flatten(&self, tensors: &[Var], offsets: &[usize], len: usize) -> Var {
        let inputs: Vec<Option<&Var>> = tensors.iter().map(Some).collect();
        self.apply1(Flatten, Body::Flatten(offsets.to_vec(), Purpose::Flat), &inputs, &[len])
    }
}

#[derive(Debug)]
struct Flatten;

impl Op for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn gradient(&self, _: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Err(GraphError::NoGradient { op: "flatten", order: "first" })
    }
}
