//! What changes from step to step by the device's clock: random tensors, of which each use has a
//! stream of its own, ramps and pulses.

use super::{FirstOrderOnly, Leaf, launch, mismatch};
use crate::graph::{Call, Graph, GraphError, Op, Var};
use crate::kernels::decode_u8::DecodeU8;
use crate::kernels::dropout::Dropout;
use crate::kernels::one_hot::OneHot;
use crate::kernels::philox::NoiseBlock;
use crate::kernels::pulse::Pulse;
use crate::kernels::ramp::Ramp;
use crate::kernels::random::{Bernoulli, Random};
use crate::kernels::reparameterize::{Reparameterize, ReparameterizeGrad};
use crate::kernels::translate::Translate;

/// What [`Random`] draws.
#[derive(Clone, Copy)]
enum Draw {
    Uniform,
    Normal,
}

impl Draw {
    fn name(self) -> &'static str {
        match self {
            Draw::Uniform => "uniform",
            Draw::Normal => "normal",
        }
    }
}

impl Graph {
    /// offset + scale · draw, of the draws `kind` of [`Random`]. Images are along `axis`; of those of a
    /// larger batch the shard has its own.
    fn draw(&self, kind: Draw, (shape, axis): (&[usize], usize), [offset, scale]: [f32; 2], stream: u32) -> Var {
        if scale == 0.0 {
            // Nothing of the draw is left in it.
            return self.constant(shape, offset);
        }
        let (name, kind) = (kind.name(), kind as u32);
        let draw = |shape: &[usize], noise: NoiseBlock| {
            let kernel = Random { len: shape.iter().product::<usize>() as u32, kind, offset, scale, noise };
            self.apply1(Leaf(name), launch(kernel), &[Some(&self.clock())], shape)
        };
        let noise = self.noise().block(stream);
        let leading: usize = shape.iter().take(axis).product();
        match self.own(noise, shape.iter().product()) {
            Some(own) if leading == 1 => draw(shape, own),
            _ if self.shard().count() == 1 => draw(shape, noise),
            // They are not whole blocks one behind the other.
            _ => {
                let (mut all, own) = (shape.to_vec(), self.shard().own(shape[axis]));
                all[axis] *= self.shard().count();
                draw(&all, noise).slice(axis, own.start, own.len())
            }
        }
    }

    /// The part of some numbers that `len` elements of the shard's images are, where that is whole
    /// blocks.
    fn own(&self, noise: NoiseBlock, len: usize) -> Option<NoiseBlock> {
        let first = self.shard().own(len).start;
        first.is_multiple_of(4).then_some(NoiseBlock { first: (first / 4) as u32, ..noise })
    }

    /// New numbers for an operation that draws `len` of them as it goes.
    fn own_noise(&self, op: &'static str, len: usize) -> NoiseBlock {
        let noise = self.next_noise();
        self.own(noise, len).unwrap_or_else(|| {
            let why = "four numbers are drawn together, so a part of the batch must have a multiple of four of them";
            self.fail(mismatch(op, &[&[len]], why), &[1]);
            noise
        })
    }

    /// Bytes uploaded as packed words, as numbers: (byte / 255)·scale + shift. `words` holds four
    /// bytes each; `shape` is that of the result, which may leave bytes at the end.
    pub fn decode_u8(&self, words: &Var, shape: &[usize], scale: f32, shift: f32) -> Var {
        let len = shape.iter().product::<usize>();
        if len.div_ceil(4) > words.len() {
            return self.fail(mismatch("decode_u8", &[words.shape(), shape], "too few words"), shape);
        }
        let kernel = DecodeU8 { len: len as u32, words: words.len() as u32, scale, shift };
        self.apply1(Leaf("decode_u8"), launch(kernel), &[Some(words)], shape)
    }

    /// Labels uploaded as packed bytes, from byte `first` on, as rows with a one in the label's
    /// column: `[n,classes]`.
    pub fn one_hot(&self, words: &Var, first: usize, [n, classes]: [usize; 2]) -> Var {
        if (first + n).div_ceil(4) > words.len() {
            let error = mismatch("one_hot", &[words.shape(), &[first, n]], "too few words");
            return self.fail(error, &[n, classes]);
        }
        let (rows, words_there) = (n as u32, words.len() as u32);
        let kernel = OneHot { rows, classes: classes as u32, first: first as u32, words: words_there };
        self.apply1(Leaf("one_hot"), launch(kernel), &[Some(words)], &[n, classes])
    }

    /// Standard normal noise, new at every step.
    pub fn normal(&self, shape: &[usize]) -> Var {
        self.normal_along(0, shape)
    }

    /// The same for images that are along another axis than the first.
    pub fn normal_along(&self, axis: usize, shape: &[usize]) -> Var {
        self.draw(Draw::Normal, (shape, axis), [0.0, 1.0], self.next_stream())
    }

    /// Noise uniform in [low, high), new at every step.
    pub fn uniform(&self, shape: &[usize], low: f32, high: f32) -> Var {
        self.draw(Draw::Uniform, (shape, 0), [low, high - low], self.next_stream())
    }

    /// A number `[1]` that goes from `start` to `end` in `steps` steps of the clock, and then
    /// stays.
    pub fn ramp(&self, start: f32, end: f32, steps: usize) -> Var {
        let kernel = Ramp { start, end, per_step: 1.0 / steps.max(1) as f32 };
        self.apply1(Leaf("ramp"), launch(kernel), &[Some(&self.clock())], &[1])
    }

    /// A number `[1]` that is 1 at step `phase` of every `period` steps of the clock, and 0 at the
    /// others.
    pub fn pulse(&self, period: u32, phase: u32) -> Var {
        let kernel = Pulse { period: period.max(1), phase };
        self.apply1(Leaf("pulse"), launch(kernel), &[Some(&self.clock())], &[1])
    }
}

#[derive(Debug)]
struct Fused(Reparameterize);

impl Op for Fused {
    fn name(&self) -> &'static str {
        "reparameterize"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (mu, logvar) = (call.input(0), call.input(1));
        let graph = mu.graph();
        let or_zero = |dy: &Option<Var>, like: &Var| dy.clone().unwrap_or_else(|| graph.constant(like.shape(), 0.0));
        let (dz, dkl) = (or_zero(&call.dys[0], &call.outputs[0]), or_zero(&call.dys[1], &call.outputs[1]));
        let kernel = ReparameterizeGrad(self.0);
        let clock = graph.clock();
        let inputs = [Some(&dz), Some(&dkl), Some(mu), Some(logvar), Some(&clock)];
        let op = FirstOrderOnly("reparameterize");
        let grads = graph.apply(op, launch(kernel), &inputs, &[mu.shape(), logvar.shape()]);
        Ok(grads.into_iter().map(Some).chain([None]).collect())
    }
}

/// x times a mask that its stream draws again whenever it is asked: linear, and its own transpose.
#[derive(Debug)]
struct Dropped(Dropout);

impl Dropped {
    fn apply(self, x: &Var) -> Var {
        let (kernel, clock) = (launch(self.0), x.graph().clock());
        x.graph().apply1(self, kernel, &[Some(x), Some(&clock)], x.shape())
    }
}

impl Op for Dropped {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(vec![Some(Dropped(self.0).apply(call.dy())), None])
    }
}

/// x with each image moved as its stream draws again whenever it is asked: linear, and what moves
/// back is its transpose.
#[derive(Debug)]
struct Translated(Translate);

impl Translated {
    fn apply(self, x: &Var) -> Var {
        let (kernel, clock) = (launch(self.0), x.graph().clock());
        x.graph().apply1(self, kernel, &[Some(x), Some(&clock)], x.shape())
    }
}

impl Op for Translated {
    fn name(&self) -> &'static str {
        "translate"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let opposite = Translate { back: 1 - self.0.back, ..self.0 };
        Ok(vec![Some(Translated(opposite).apply(call.dy())), None])
    }
}

/// A latent sample and its divergence from the prior.
pub struct Latent {
    /// z = μ + exp(logvar/2)·ε, `[n,d]`.
    pub z: Var,
    /// KL(N(μ, exp logvar) ‖ N(0, 1)) of each row in nats, `[n]`.
    pub kl: Var,
    /// What ε is drawn from.
    stream: u32,
}

impl Latent {
    /// The ε of z, `[n,d]`, drawn once more.
    pub fn eps(&self) -> Var {
        self.z.graph().draw(Draw::Normal, (self.z.shape(), 0), [0.0, 1.0], self.stream)
    }
}

impl Var {
    /// 1 with probability `self`, else 0; new at every step, without a gradient.
    pub fn bernoulli(&self) -> Var {
        let kernel = Bernoulli { len: self.len() as u32, noise: self.graph().own_noise("bernoulli", self.len()) };
        let clock = self.graph().clock();
        self.graph().apply1(Leaf("bernoulli"), launch(kernel), &[Some(self), Some(&clock)], self.shape())
    }

    /// Dropout (Hinton et al. 2012): each element stays with probability `keep`, divided by it, and
    /// is 0 otherwise; new at every step. The backward pass draws the mask again instead of storing
    /// it.
    pub fn dropout(&self, keep: f32) -> Var {
        let noise = self.graph().own_noise("dropout", self.len());
        Dropped(Dropout { len: self.len() as u32, keep, noise }).apply(self)
    }

    /// Each image of `[n,c,h,w]` moved by whole pixels, up to `most` up or down and left or right,
    /// all distances as likely; new at every step. What moves in is 0.
    pub fn translate(&self, most: [usize; 2]) -> Var {
        let &[n, c, h, w] = self.shape() else {
            return self.graph().fail(mismatch("translate", &[self.shape()], "x must be [n,c,h,w]"), self.shape());
        };
        // A block an image.
        let first = self.graph().shard().own(n).start as u32;
        let [n, c, h, w] = [n, c, h, w].map(|d| d as u32);
        let kernel = Translate {
            n,
            c,
            h,
            w,
            most_v: h.min(most[0] as u32),
            most_u: w.min(most[1] as u32),
            back: 0,
            noise: NoiseBlock { first, ..self.graph().next_noise() },
        };
        Translated(kernel).apply(self)
    }

    /// The reparameterized sample of a diagonal Gaussian with mean `self` `[n,d]` and log-variance
    /// `logvar`, and its KL term, in one pass (Kingma & Welling 2014, §2.4 and appendix B). The
    /// backward pass draws ε again instead of storing it.
    pub fn reparameterize(&self, logvar: &Var) -> Latent {
        let shape = self.shape().to_vec();
        if shape.len() != 2 || logvar.shape() != shape {
            let why = "mu and logvar must both be [n,d]";
            let z = self.graph().fail(mismatch("reparameterize", &[&shape, logvar.shape()], why), &shape);
            return Latent { kl: z.clone(), z, stream: 0 };
        }
        let noise = self.graph().own_noise("reparameterize", self.len());
        let kernel = Reparameterize { rows: shape[0] as u32, d: shape[1] as u32, noise };
        let clock = self.graph().clock();
        let inputs = [Some(self), Some(logvar), Some(&clock)];
        let mut out = self.graph().apply(Fused(kernel), launch(kernel), &inputs, &[&shape, &shape[..1]]);
        let kl = out.remove(1);
        Latent { z: out.remove(0), kl, stream: kernel.noise.stream }
    }
}
