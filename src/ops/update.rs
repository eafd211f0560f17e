//! Updates in place: optimisers over flat buffers, running averages, records, the clock.

use super::{launch, mismatch};
use crate::graph::{Call, GraphError};
use crate::graph::{Graph, Op, Var};
use crate::kernels::optimisers::descent::AverageBlock;
use crate::kernels::optimisers::rule::Rule;
use crate::kernels::optimisers::schedule::Schedule;
use crate::kernels::{clip, copy, record};
use crate::program::{Body, Purpose};

/// A moving average of the parameters, which an optimiser keeps in its own dispatch:
/// state ← state + rate·(p - state) once p is updated.
#[derive(Clone, Debug)]
pub struct Average {
    /// The average, of the size of the parameters.
    pub state: Var,
    /// 1 - decay, above 0.
    pub rate: f32,
    /// Whether the decay is at most (1 + t) / (10 + t) after t updates, so that the initial
    /// parameters are soon forgotten.
    pub warms_up: bool,
}

impl Graph {
    /// One dispatch of an optimiser: updates `w`, its `moments` and the average from the gradient
    /// `g`; `updates` counts those made so far, and the clock the training steps, by which the
    /// learning rate follows its schedule.
    pub fn descend(
        &self,
        (rule, schedule): (&dyn Rule, &Schedule),
        [g, updates, w]: [&Var; 3],
        moments: &[Var],
        average: Option<&Average>,
    ) {
        let warm = |average: &Average| if average.warms_up { 9.0 } else { 0.0 };
        let kept = |average: &Average| AverageBlock { rate: average.rate, warm: warm(average) };
        let body = Body::Kernel(rule.kernel(w.len() as u32, schedule, average.map_or(AverageBlock::NONE, kept)));
        let targets = [w].into_iter().chain(moments).chain(average.map(|average| &average.state));
        self.update(body, &[Some(g), Some(updates), Some(&self.clock())], &targets.collect::<Vec<_>>());
    }

    /// state ← state + rate·(scale·x - state), once for each of several x of every element, [n, x].
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
            let kernel = record::Record::new([rows, count], index, values.len() as u32);
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
        self.laid(tensors, offsets, len, Purpose::Flat)
    }

    /// The same in memory that others may use before and after.
    pub(crate) fn together(&self, tensors: &[Var], offsets: &[usize], len: usize) -> Var {
        self.laid(tensors, offsets, len, Purpose::Temp)
    }

    fn laid(&self, tensors: &[Var], offsets: &[usize], len: usize, purpose: Purpose) -> Var {
        let inputs: Vec<Option<&Var>> = tensors.iter().map(Some).collect();
        self.apply1(Flatten, Body::Flatten(offsets.to_vec(), purpose), &inputs, &[len])
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
