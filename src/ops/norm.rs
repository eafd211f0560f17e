//! Batch normalisation (Ioffe & Szegedy 2015), what progressive growing has instead (Karras et
//! al. 2018), and weights of a length and a direction (Salimans & Kingma 2016).

use super::{FirstOrderOnly, launch, mismatch};
use crate::graph::{Call, Graph, GraphError, Op, Standard, Var};
use crate::kernels::activation::ActivationBlock;
use crate::kernels::batch_norm::BatchNorm;
use crate::kernels::batch_norm_grad::BatchNormGrad;
use crate::kernels::spectral::{Spectral, SpectralGrad, Unit};
use crate::kernels::weight_norm::{WeightNorm, WeightNormGrad};

/// Added to mean squares before their roots divide or are differentiated.
const NORM_EPS: f32 = 1e-8;

#[derive(Debug)]
struct Training {
    groups: u32,
    n: u32,
    c: u32,
    hw: u32,
    eps: f32,
}

impl Op for Training {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        if call.dys[1].is_some() || call.dys[2].is_some() {
            return Err(GraphError::NoGradient { op: "the statistics of batch_norm", order: "first" });
        }
        let (dy, x, gamma) = (call.dy(), call.input(0), call.input(1));
        let (mean, var) = (&call.outputs[1], &call.outputs[2]);
        let Training { groups, n, c, hw, eps } = *self;
        let kernel = BatchNormGrad { groups, n, c, hw, eps };
        let inputs = [Some(dy), Some(x), Some(gamma), Some(mean), Some(var)];
        let shapes = [x.shape(), gamma.shape(), gamma.shape()];
        let grads = dy.graph().apply(FirstOrderOnly("batch_norm"), launch(kernel), &inputs, &shapes);
        Ok(grads.into_iter().map(Some).collect())
    }

    fn standard(&self) -> Option<Standard> {
        (self.groups == 1).then_some(Standard::BatchNorm(self.eps))
    }
}

#[derive(Debug)]
struct OfLength(WeightNorm, usize);

impl Op for OfLength {
    fn name(&self) -> &'static str {
        "weight_norm"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dw, [v, g], length) = (call.dy(), [0, 1].map(|k| call.input(k)), &call.outputs[1]);
        let (op, kernel) = (FirstOrderOnly("weight_norm"), WeightNormGrad(self.0));
        let reads = [dw, v, g, length].map(Some);
        let grads = dw.graph().apply(op, launch(kernel), &reads, &[v.shape(), g.shape()]);
        Ok(grads.into_iter().map(Some).collect())
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::WeightNorm(self.1))
    }
}

/// Of w, u and v the quotient and σ.
#[derive(Debug)]
struct Quotient(Spectral);

impl Op for Quotient {
    fn name(&self) -> &'static str {
        "spectral_norm"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dy, [y, sigma]) = (call.dy(), [0, 1].map(|k| &call.outputs[k]));
        let [w, u, v] = [0, 1, 2].map(|k| call.input(k));
        let (op, reads) = (FirstOrderOnly("spectral_norm"), [dy, y, u, v, sigma].map(Some));
        let dw = call.wants(0).then(|| dy.graph().apply1(op, launch(SpectralGrad(self.0)), &reads, w.shape()));
        Ok(vec![dw, None, None])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Spectral)
    }
}

impl Graph {
    /// state ← x / (‖x‖ + eps)
    pub fn assign_unit(&self, x: &Var, state: &Var, eps: f32) {
        self.update(launch(Unit { len: x.len() as u32, eps }), &[Some(x)], &[state]);
    }
}

/// A normalised tensor and the statistics it was normalised by.
pub struct Normed {
    /// The result.
    pub y: Var,
    /// Mean of each channel over the batch, `[c]`, or over each of several, `[c,groups]`.
    pub mean: Var,
    /// Biased variance of each channel over the batch, `[c]`, or over each of several, `[c,groups]`.
    pub var: Var,
}

impl Var {
    /// W / σ for this W [outputs, ...], seen as a matrix [outputs, everything else], with σ = uᵀ W v
    /// of vectors that have no gradient.
    pub fn spectral_norm(&self, u: &Var, v: &Var) -> Var {
        let w = self.flatten();
        let &[rows, columns] = w.shape() else { return w };
        if u.len() != rows || v.len() != columns {
            let why = "u must have an element for each output, and v for each input of one";
            return self.graph().fail(mismatch("spectral_norm", &[w.shape(), u.shape(), v.shape()], why), self.shape());
        }
        let product = w.matmul(&v.reshape(&[columns, 1]));
        let kernel = Spectral { rows: rows as u32, columns: columns as u32 };
        let (op, reads) = (FirstOrderOnly("spectral_norm"), [self, u, &product].map(Some));
        let made = self.graph().apply(op, launch(kernel), &reads, &[self.shape(), &[1]]);
        let [y, _] = self.graph().stand_for(Quotient(kernel), [&made[0], &made[1]], &[self, u, v]);
        y
    }

    /// v g / ‖v‖ for every element of `axis` of this v, with g of v's shape where other axes have
    /// extent 1.
    pub fn weight_norm(&self, g: &Var, axis: usize) -> Var {
        let shape = self.shape();
        let outputs = shape.get(axis).copied().unwrap_or(0);
        let fits = (0..shape.len()).all(|k| g.shape().get(k) == Some(if k == axis { &outputs } else { &1 }));
        if g.len() != outputs || !fits {
            let why = "g must have v's extent along the axis, and 1 along others";
            return self.graph().fail(mismatch("weight_norm", &[shape, g.shape()], why), shape);
        }
        let extent = |axes: &[usize]| axes.iter().product::<usize>() as u32;
        let kernel = WeightNorm { a: extent(&shape[..axis]), outputs: outputs as u32, c: extent(&shape[axis + 1..]) };
        let op = OfLength(kernel, axis);
        self.graph().apply(op, launch(kernel), &[Some(self), Some(g)], &[shape, g.shape()]).remove(0)
    }

    /// y = γ (x - mean) / √(var + eps) + β with the statistics of this batch, for x `[n,c]` or
    /// `[n,c,h,w]` and γ, β `[c]`.
    pub fn batch_norm(&self, gamma: &Var, beta: &Var, eps: f32) -> Normed {
        self.batch_norm_of(1, gamma, beta, eps)
    }

    /// The same for `groups` batches of one size, one behind the other, each with its own statistics.
    pub fn batch_norm_of(&self, groups: usize, gamma: &Var, beta: &Var, eps: f32) -> Normed {
        let shape = self.shape().to_vec();
        let c = shape.get(1).copied().unwrap_or(0);
        if !(shape.len() == 2 || shape.len() == 4) || gamma.shape() != [c] || beta.shape() != [c] {
            let why = "x must be [n,c] or [n,c,h,w] and gamma and beta [c]";
            let y = self.graph().fail(mismatch("batch_norm", &[&shape, gamma.shape(), beta.shape()], why), &shape);
            return Normed { y, mean: gamma.clone(), var: gamma.clone() };
        }
        if groups == 0 || !shape[0].is_multiple_of(groups) {
            let why = format!("the first axis must be of {groups} batches of one size");
            let y = self.graph().fail(mismatch("batch_norm", &[&shape], why), &shape);
            return Normed { y, mean: gamma.clone(), var: gamma.clone() };
        }
        let shard = self.graph().shard();
        if shard.ranks > 1 && shard.synchronised {
            return self.batch_norm_of_ranks(groups, gamma, beta, eps);
        }
        let of_group = if groups == 1 { vec![c] } else { vec![c, groups] };
        let (n, hw) = ((shape[0] / groups) as u32, shape[2..].iter().product::<usize>() as u32);
        let (groups, c) = (groups as u32, c as u32);
        let kernel = BatchNorm { groups, n, c, hw, eps, act: ActivationBlock::IDENTITY };
        let inputs = [Some(self), Some(gamma), Some(beta)];
        let op = Training { groups, n, c, hw, eps };
        let mut out = self.graph().apply(op, launch(kernel), &inputs, &[&shape, &of_group, &of_group]);
        let (var, mean, y) = (out.remove(2), out.remove(1), out.remove(0));
        // Running statistics are to be the same on all ranks, whatever each normalises by.
        Normed { y, mean: mean.over_batch(), var: var.over_batch() }
    }

    /// The same of a batch that is spread over ranks, made of operations that can be differentiated any
    /// number of times.
    fn batch_norm_of_ranks(&self, groups: usize, gamma: &Var, beta: &Var, eps: f32) -> Normed {
        let (shape, c) = (self.shape(), gamma.len());
        let x = self.reshape(&[groups, shape[0] / groups, c, shape[2..].iter().product()]);
        let channels = |v: &Var| v.reshape(&[1, 1, c, 1]);
        let mean = x.mean_axes(&[1, 3]).over_ranks();
        let centred = &x - &mean;
        let var = centred.square().mean_axes(&[1, 3]).over_ranks();
        let scaled = &centred * &(&channels(gamma) / &var.add_scalar(eps).sqrt());
        let y = (&scaled + &channels(beta)).reshape(shape);
        let kept = |v: &Var| {
            let v = v.over_parts();
            if groups == 1 { v.reshape(&[c]) } else { v.reshape(&[groups, c]).permute(&[1, 0]) }
        };
        Normed { y, mean: kept(&mean), var: kept(&var) }
    }

    /// The same with given statistics, as in evaluation. Made of pointwise ops, so it can be
    /// differentiated any number of times.
    pub fn batch_norm_eval(&self, gamma: &Var, beta: &Var, mean: &Var, var: &Var, eps: f32) -> Var {
        let shape = self.shape();
        let c = shape.get(1).copied().unwrap_or(0);
        if shape.len() < 2 || [gamma, beta, mean, var].iter().any(|v| v.shape() != [c]) {
            let shapes = [shape, gamma.shape(), beta.shape(), mean.shape(), var.shape()];
            let why = "x must be [n,c,...] and gamma, beta, mean and variance [c]";
            return self.graph().fail(mismatch("batch_norm", &shapes, why), shape);
        }
        let scale = gamma / &var.add_scalar(eps).sqrt();
        let shift = beta - &(mean * &scale);
        let mut channels = vec![1; shape.len()];
        channels[1] = c;
        &(self * &scale.reshape(&channels)) + &shift.reshape(&channels)
    }

    /// x / √(mean x² + 1e-8) over the channels, axis 1 of `[n,c]` or `[n,c,h,w]` (Karras et al.
    /// 2018, §4.2).
    pub fn pixel_norm(&self) -> Var {
        if !matches!(self.shape().len(), 2 | 4) {
            let error = mismatch("pixel_norm", &[self.shape()], "x must be [n,c] or [n,c,h,w]");
            return self.graph().fail(error, self.shape());
        }
        self / &self.square().mean_axes(&[1]).add_scalar(NORM_EPS).sqrt()
    }

    /// x `[n,c,h,w]` with one channel more, which tells how unlike one another the images of a
    /// group are (Karras et al. 2018, §3): the standard deviation of each element over the group,
    /// averaged over all of them. Images k, k + n/group, k + 2n/group, ... are a group; its size is
    /// the largest that is at most `group` and divides n.
    pub fn minibatch_stddev(&self, group: usize) -> Var {
        let &[n, c, h, w] = self.shape() else {
            let error = mismatch("minibatch_stddev", &[self.shape()], "x must be [n,c,h,w]");
            return self.graph().fail(error, self.shape());
        };
        if self.graph().shard().ranks > 1 && self.graph().shard().synchronised {
            let why = "groups of images of the whole batch are compared, which no rank has; let batch statistics be those \
                       of each rank";
            return self.graph().fail(mismatch("minibatch_stddev", &[self.shape()], why), &[n, c + 1, h, w]);
        }
        let group = (1..=group.min(n)).rev().find(|size| n.is_multiple_of(*size)).unwrap_or(1);
        let groups = n / group.max(1);
        let x = self.reshape(&[group, groups * c * h * w]);
        let variance = (&x - &x.mean_axes(&[0])).square().mean_axes(&[0]);
        let deviation = variance.add_scalar(NORM_EPS).sqrt().reshape(&[groups, c * h * w]).mean_axes(&[1]);
        let plane = deviation.gather_expand(&[group, groups, h * w]).reshape(&[n, 1, h, w]);
        self.concat(&plane, 1)
    }
}
