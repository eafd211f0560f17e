//! Models that nobody trains: each op that has words in ONNX, and what is refused.

use super::holds_together;
use super::runtime::{agree, runtime, write};
use limn::export::onnx::model;
use limn::graph::Var;
use limn::kernels::pointwise::{Domain, Operation};
use limn::models::{Batch, Family, ImageSpec, LatentModel, Metric, Model};
use limn::nn::{Network, Optimizer};
use limn::ops::{ConvSpec, Mask};
use limn::program::Device;
use limn::sample::Function;
use limn::train::{Config, Session};
use std::collections::HashSet;

/// Numbers of a latent vector: two planes of 4x6.
const LATENT: usize = 48;

/// Images of latent vectors and of parameters.
type Decoder = fn(&Var, &[Var]) -> Var;

/// A model whose decoder is any op of z, and perhaps of the parameters of another.
struct Odd {
    inner: Box<dyn Model>,
    decoder: Decoder,
}

impl Model for Odd {
    fn networks(&self) -> Vec<&Network> {
        self.inner.networks()
    }

    fn images(&self) -> ImageSpec {
        self.inner.images()
    }

    fn losses(&self) -> &'static [&'static str] {
        self.inner.losses()
    }

    fn step(&self, batch: &Batch, optim: &Optimizer) -> Vec<Var> {
        self.inner.step(batch, optim)
    }

    fn evaluate(&self, batch: &Batch) -> Vec<Metric> {
        self.inner.evaluate(batch)
    }

    fn family(&self) -> Family<'_> {
        Family::Latent(self)
    }
}

impl LatentModel for Odd {
    fn latent(&self) -> usize {
        LATENT
    }

    fn decode(&self, z: &Var, _: Option<&Var>) -> Var {
        let parameters: Vec<Var> = self.inner.networks().iter().flat_map(|net| net.vars(z.graph())).collect();
        (self.decoder)(z, &parameters)
    }
}

/// A session of a model with this decoder, whose parameters are a small autoencoder's.
fn session(decoder: Decoder) -> Session {
    let mut config = Config::preset("vae").expect("a preset");
    let sizes = ["model.hidden=16", "model.latent=8"].map(|text| text.parse().expect("a setting"));
    config.set_all(&sizes).expect("settings");
    let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).expect("a session");
    let inner = std::mem::replace(&mut session.model, config.model.build().expect("a model"));
    session.model = Box::new(Odd { inner, decoder });
    session
}

/// z as planes `[n,2,4,6]`.
fn planes(z: &Var) -> Var {
    z.reshape(&[z.shape()[0], 2, 4, 6])
}

/// Weights of this shape, of the largest parameter.
fn weights(parameters: &[Var], shape: &[usize]) -> Var {
    let largest = parameters.iter().max_by_key(|var| var.len()).expect("parameters");
    let flat = largest.reshape(&[largest.len()]);
    flat.slice(0, 5, shape.iter().product()).reshape(shape).mul_scalar(4.0)
}

/// The sum of all pointwise operations of one operand, and of two.
fn pointwise(z: &Var, _: &[Var]) -> Var {
    let other = z.flip(1);
    let one = |operation: &Operation| {
        let x = if operation.domain() == Domain::All { z.clone() } else { z.abs().add_scalar(0.5) };
        let y = if *operation == Operation::Div { other.abs().add_scalar(0.5) } else { other.clone() };
        if operation.is_binary() { x.binary(*operation, &y) } else { x.unary(*operation, operation.example()) }
    };
    let all: Vec<Var> = Operation::ALL.iter().map(one).collect();
    all[1..].iter().fold(all[0].clone(), |sum, next| sum.concat(next, 1))
}

/// A name and what is done.
type Case = (&'static str, Decoder);

/// Every op that has words, in ways that the presets do not have.
const CASES: [Case; 30] = [
    ("pointwise", pointwise),
    ("identity", |z, _| z.clone()),
    ("reshape", |z, _| planes(z).reshape(&[z.shape()[0] * 2, 24]).exp().flatten()),
    ("parameter", |z, p| &z.slice(1, 0, 8) + &weights(p, &[8])),
    ("constant", |z, _| {
        let ones = z.graph().constant(&[z.shape()[0], 3], 1.5);
        z.concat(&(&ones * &ones).add_scalar(1.0), 1).concat(&z.graph().constant(z.shape(), 0.25).exp(), 1)
    }),
    ("spread", |z, _| {
        let one = z.graph().constant(&[z.shape()[0], 5, 1], 2.0);
        &one + &z.slice(1, 0, 1).reshape(&[z.shape()[0], 1, 1])
    }),
    ("laid out", |z, _| &planes(z).slice(2, 1, 1).slice(1, 0, 1) * &planes(z).slice(3, 2, 1)),
    ("repeat", |z, _| z.repeat(3)),
    ("over the batch", |z, _| z - &z.sum_axes(&[0])),
    ("sums", |z, _| {
        let [all, some] = [planes(z).sum_axes(&[1, 3]), planes(z).mean_axes(&[2])];
        &all + &some
    }),
    ("sum of many runs", |z, _| z.reshape(&[z.shape()[0], 2, 2, 2, 3, 2]).sum_axes(&[1, 3, 5]).mul_scalar(0.1)),
    ("over the images", |z, _| {
        let centred = z - &z.mean_axes(&[0]);
        let both = planes(z).mean_axes(&[0, 2]).reshape(&[1, 12]);
        centred.concat(&(&centred.slice(1, 0, 12) + &both), 1)
    }),
    ("logarithms of sums", |z, _| {
        let x = planes(&z.mul_scalar(30.0));
        let [first, last] = [x.log_sum_exp(1).flatten(), x.log_sum_exp(3).flatten()];
        first.concat(&last, 1)
    }),
    ("cross-entropy", |z, _| {
        let class = planes(z).slice(1, 0, 1).abs().mul_scalar(0.9);
        let class = class.reshape(&[z.shape()[0], 4, 6]);
        let logits = planes(z).concat(&planes(&z.flip(1)), 1).concat(&planes(z).exp(), 1);
        logits.cross_entropy(&class).flatten()
    }),
    ("depthwise", |z, p| {
        let w = weights(p, &[2, 1, 3, 2]);
        let y = planes(z).depthwise_conv2d(&w, &weights(p, &[2]), 2, 1);
        y.flatten().concat(&planes(z).depthwise_conv2d(&w, &weights(p, &[2]), 1, 0).flatten(), 1)
    }),
    ("normalised by the images", |z, p| {
        let [gamma, beta] = [weights(p, &[2]).add_scalar(1.0), weights(p, &[2])];
        let all = planes(z).batch_norm(&gamma, &beta, 1e-3);
        let flat = z.slice(1, 0, 2).batch_norm(&gamma, &beta, 0.5);
        let beside = &(&all.mean + &all.var) + &flat.var;
        all.y.flatten().concat(&(&flat.y + &beside), 1)
    }),
    ("spread out", |z, _| {
        let x = planes(z);
        let [shorter, longer] = [x.dilate(2, 3, 10), x.dilate(2, 3, 14)];
        let one = x.slice(2, 0, 1).dilate(2, 5, 10).dilate(3, 1, 6);
        shorter.concat(&longer, 2).concat(&one, 2).dilate(1, 2, 4)
    }),
    ("largest", |z, _| planes(z).largest(2).concat(&planes(z).largest(3), 1)),
    ("max", |z, _| planes(z).max_axis(1).concat(&planes(z).max_axis(2).pad(1, 1, 1), 1)),
    ("pooling", |z, _| {
        let x = planes(z);
        x.max_pool().concat(&x.avg_pool([2, 2]), 1).concat(&x.adaptive_max_pool([2, 3]), 1).upsample([3, 2])
    }),
    ("softmax and attention", |z, _| {
        let x = z.reshape(&[z.shape()[0], 4, 12]);
        x.softmax().attend(&x, &x).concat(&x.matmul_t(&x, true, false), 1)
    }),
    ("product", |z, p| z.matmul_t(&weights(p, &[48, 5]), false, false).linear(&weights(p, &[3, 5]), None)),
    ("gathers", |z, _| {
        let x = planes(z);
        let [left, right] = [x.shift(3, 2), x.shift(2, -1)];
        let [gone, apart] = [x.shift(3, 9), x.flip(2).subsample(3, 2).pad(3, 1, 2)];
        left.concat(&right, 1).concat(&gone, 1).concat(&apart, 1).permute(&[0, 3, 1, 2]).slice(1, 1, 4)
    }),
    ("convolution", |z, p| {
        let spec = ConvSpec { stride: [2, 1], padding: [0, 2, 1, 1], dilation: [1, 2], ..ConvSpec::default() };
        planes(z).conv2d(&weights(p, &[3, 2, 3, 2]), Some(&weights(p, &[3])), &spec)
    }),
    ("masked", |z, p| {
        let x = planes(z);
        let masked = |mask| ConvSpec::masked(mask, [3, 3], 2);
        let [w, b] = [weights(p, &[4, 2, 3, 3]), weights(p, &[4])];
        let y = x.conv2d(&w, Some(&b), &masked(Mask::A));
        y.concat(&x.conv2d(&w, None, &masked(Mask::B)), 1)
    }),
    ("transposed", |z, p| {
        let spec = ConvSpec { stride: [3, 2], padding: [1, 0, 0, 2], dilation: [1, 2], ..ConvSpec::default() };
        planes(z).conv_transpose2d(&weights(p, &[2, 3, 2, 3]), Some(&weights(p, &[3])), &spec, [1, 1])
    }),
    ("diagonals", |z, _| planes(z).skew().exp().unskew()),
    ("skew", |z, _| planes(z).skew()),
    ("row memory", |z, p| {
        let gates = planes(z).reshape(&[z.shape()[0], 4, 3, 4]);
        gates.row_lstm(&weights(p, &[4, 1, 1, 3]))
    }),
    ("diagonal memory", |z, p| {
        let gates = z.reshape(&[z.shape()[0], 8, 2, 3]);
        let [w, other] = [weights(p, &[8, 2, 1, 2]), weights(p, &[8, 2, 1, 2]).mul_scalar(-0.5)];
        &gates.diagonal_lstm(&w, false) + &gates.diagonal_lstm(&other, true)
    }),
];

#[test]
fn every_op_with_words_holds_together() {
    for (name, decoder) in CASES {
        let made = model(Function::Decode, &session(decoder)).unwrap_or_else(|e| panic!("{name}: {e}"));
        holds_together(&made.graph.expect("a graph"), &HashSet::new());
    }
}

#[test]
fn onnx_runtime_makes_what_limn_does_of_every_op() {
    let Some(python) = runtime() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = |(name, decoder): Case| write(folder.path(), name, Function::Decode, &mut session(decoder));
    agree(&python, &CASES.map(file));
}

#[test]
fn what_onnx_has_no_words_for_is_named() {
    let cases: [(Decoder, &[&str]); 9] = [
        (|z, _| z.dropout(0.5), &["dropout follows the steps of training", "random numbers"]),
        (|z, _| z + &z.graph().normal(z.shape()), &["normal follows the steps of training"]),
        (|z, _| z * &z.graph().ramp(0.0, 1.0, 10), &["ramp follows the steps of training"]),
        (|z, _| z.mul_scalar(z.shape()[0] as f32), &["how many images"]),
        (|z, _| z.mean_axes(&[0]).dilate(0, 2, z.shape()[0]), &["takes the images of a batch apart"]),
        (|z, _| z - &z.log_sum_exp(0), &["takes the images of a batch apart"]),
        (|z, _| planes(z).minibatch_stddev(4), &["how many images"]),
        (|z, _| z - &z.slice(0, 0, 1), &["slice", "takes the images of a batch apart"]),
        (
            |z, p| {
                z.graph().assign(&weights(p, p[1].shape()), &p[1]);
                z.clone()
            },
            &["an update of its weights"],
        ),
    ];
    for (decoder, words) in cases {
        let error = model(Function::Decode, &session(decoder)).expect_err("a refusal").to_string();
        assert!(error.starts_with("ONNX cannot say what this model does: decode: "), "{error}");
        words.iter().for_each(|word| assert!(error.contains(word), "no \"{word}\" in {error}"));
    }
}
