//! Losses. Each is elementwise; reduce them with `mean`, `sum` or `mean_per_image`.

use super::{FirstOrderOnly, launch, mismatch};
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::cross_entropy::{CrossEntropy, CrossEntropyGrad};
use crate::kernels::pointwise::Operation;

#[derive(Debug)]
struct Softmax(CrossEntropy);

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dloss, logits, target) = (call.dy(), call.input(0), call.input(1));
        let CrossEntropy { n, classes, positions } = self.0;
        let kernel = CrossEntropyGrad(CrossEntropy { n, classes, positions });
        let inputs = [Some(dloss), Some(logits), Some(target)];
        let op = FirstOrderOnly("cross_entropy");
        Ok(vec![Some(dloss.graph().apply1(op, launch(kernel), &inputs, logits.shape())), None])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::CrossEntropy)
    }
}

/// ln Σ exp(x - x\[0\]) over an axis: a cross-entropy whose gradient is written in ops.
#[derive(Debug)]
struct Excess;

impl Op for Excess {
    fn name(&self) -> &'static str {
        "log_sum_exp"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dy, y, x) = (call.dy(), &call.outputs[0], call.input(0));
        let softmax = (x - &(y + &x.slice(1, 0, 1))).exp();
        Ok(vec![Some(&(dy * &softmax) - &dy.pad(1, 0, x.shape()[1] - 1)), None])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::LogSumExpOfRest)
    }
}

impl Var {
    /// ln Σ e^x over `axis`, which keeps extent 1; no exponential overflows.
    pub fn log_sum_exp(&self, axis: usize) -> Var {
        let shape = self.shape();
        if shape.get(axis).is_none_or(|extent| *extent == 0) {
            let why = format!("there is nothing along axis {axis}");
            return self.graph().fail(mismatch("log_sum_exp", &[shape], why), shape);
        }
        let [n, classes, positions] =
            [&shape[..axis], &shape[axis..=axis], &shape[axis + 1..]].map(|axes| axes.iter().product::<usize>());
        let kernel = CrossEntropy { n: n as u32, classes: classes as u32, positions: positions as u32 };
        let x = self.reshape(&[n, classes, positions]);
        let first = self.graph().constant(&[n, 1, positions], 0.0);
        let excess = self.graph().apply1(Excess, launch(kernel), &[Some(&x), Some(&first)], &[n, 1, positions]);
        let mut reduced = shape.to_vec();
        reduced[axis] = 1;
        (&excess + &x.slice(1, 0, 1)).reshape(&reduced)
    }

    /// ln(1 + e^x) - x·t: the negative log-likelihood of target `t` in `[0,1]` under a Bernoulli
    /// variable with logit x, in nats.
    pub fn bce_with_logits(&self, target: &Var) -> Var {
        self.binary(Operation::Bce, target)
    }

    /// Negative log-density of target t under a normal with mean `self` and log-variance `logvar`,
    /// in nats: (ln 2π + logvar + (t - μ)² / e^logvar) / 2.
    pub fn gaussian_nll(&self, logvar: &Var, target: &Var) -> Var {
        let distance = &(target - self).square() * &(-logvar).exp();
        (&distance + logvar).add_scalar(std::f32::consts::TAU.ln()).mul_scalar(0.5)
    }

    /// Negative log-probability in nats of target t, one of the 256 grey levels k/255, under a
    /// logistic variable with mean `self` and log-scale `log_scale` that falls into the bin of t
    /// (Salimans et al. 2017, §2.1). Bins reach half a level to both sides, those of 0 and 1
    /// without end.
    ///
    /// With a and b at the upper and lower end of the bin, in units of the scale from the mean, and
    /// σ the logistic function, σ(a) - σ(b) = σ(a)·σ(-b)·(1 - e^(b-a)): each factor has a logarithm
    /// without cancellation, however far out the bin lies. An end that is open has the factor 1,
    /// and so has the last one of such a bin.
    pub fn discretised_logistic_nll(&self, log_scale: &Var, target: &Var) -> Var {
        const HALF: f32 = 1.0 / 510.0;
        let scale = (-log_scale).exp();
        let from_mean = target - self;
        let upper = &from_mean.add_scalar(HALF) * &scale;
        let lower = &from_mean.add_scalar(-HALF) * &scale;
        let is_bounded_above = target.unary(Operation::RsubC, 1.0 - HALF).relu_mask(0.0);
        let is_bounded_below = target.add_scalar(-HALF).relu_mask(0.0);
        // 1 - e^(b-a) = 2t / (1 + t) with t = tanh((a - b) / 2).
        let t = scale.mul_scalar(HALF).tanh();
        let width = &t.mul_scalar(2.0).ln() - &t.add_scalar(1.0).ln();
        let ends = &(&(-&upper).softplus() * &is_bounded_above) + &(&lower.softplus() * &is_bounded_below);
        &ends - &(&(&is_bounded_above * &is_bounded_below) * &width)
    }

    /// (x - t)²
    pub fn mse(&self, target: &Var) -> Var {
        (self - target).square()
    }

    /// Negative log-likelihood in nats of class `target` under a softmax: logits [n,classes,...],
    /// target [n,...] holding class numbers; the result is shaped like the target.
    pub fn cross_entropy(&self, target: &Var) -> Var {
        let (logits, wanted) = (self.shape(), target.shape());
        if logits.len() < 2 || wanted.is_empty() || logits[0] != wanted[0] || logits[2..] != wanted[1..] {
            let why = "logits must be [n,classes,...] and the target [n,...]";
            return self.graph().fail(mismatch("cross_entropy", &[logits, wanted], why), wanted);
        }
        let positions = logits[2..].iter().product::<usize>() as u32;
        let kernel = CrossEntropy { n: logits[0] as u32, classes: logits[1] as u32, positions };
        self.graph().apply1(Softmax(kernel), launch(kernel), &[Some(self), Some(target)], wanted)
    }
}
