//! Optimisers against hand-computed steps, and whole training steps of a small network.

use crate::support::{
    Rig, Tensors, assert_all_close, assert_close, assert_same_bits, assert_same_under_every_plan, gpu, graph, launches,
    normals,
};
use limn::gpu::Gpu;
use limn::graph::{Graph, Var, gradients};
use limn::kernels::optimisers::schedule::{Falling, Schedule};
use limn::kernels::optimisers::{adam::AdamRule, rmsprop::RmspropRule, rule::Rule, sgd::SgdRule};
use limn::nn::{Mode, NetworkBuilder, Numbering, OptimConfig, Optimizer, ParamInfo};
use limn::ops::{Average, ConvSpec};
use limn::program::{Device, Options, Source};
use std::sync::Arc;

const GRADS: [[f32; 2]; 3] = [[0.5, -1.0], [0.25, 3.0], [-1.0, 0.125]];

/// Parameters 1 and -2 (and the state of an optimiser) after each of three steps with [`GRADS`]
/// under `update`.
fn steps(device: &Device, update: impl Fn(&Graph, &Var, &Var)) -> Vec<Vec<f32>> {
    let g = graph();
    let p = g.state("p", 2, 0, &[2]);
    update(&g, &g.input("g", &[2]), &p);
    g.advance(&g.clock());
    let given = Tensors::from([("p".into(), vec![1.0, -2.0]), ("g".into(), vec![0.0; 2])]);
    let mut rig = Rig::on(&g.finish().expect("a graph"), device, &given);
    let step = |grad: [f32; 2]| {
        rig.runner.write("g", &grad).expect("two elements");
        rig.runner.run().expect("a step");
        rig.store.read("p").expect("p")
    };
    GRADS.map(step).to_vec()
}

fn assert_steps(update: impl Fn(&Graph, &Var, &Var), want: [[f64; 2]; 3]) {
    for device in [Device::Reference, gpu()] {
        for (i, (got, want)) in std::iter::zip(steps(&device, &update), want).enumerate() {
            assert_close(&got, &want.map(|v| v as f32), 1e-6, &format!("{} step {i}", device.name()));
        }
    }
}

fn moment(g: &Graph, name: &str) -> Var {
    g.state(name, 2, 0, &[2])
}

/// An update by a rule.
fn by(rule: impl Rule) -> impl Fn(&Graph, &Var, &Var) {
    move |g, grad, p| descend(&rule, g, grad, p, None)
}

fn descend(rule: &dyn Rule, g: &Graph, grad: &Var, p: &Var, average: Option<&Average>) {
    let moments: Vec<Var> = rule.moments().iter().map(|name| moment(g, name)).collect();
    g.descend((rule, &Schedule::default()), [grad, &g.clock(), p], &moments, average);
}

#[test]
fn sgd_steps_as_pytorch_does() {
    let plain = SgdRule { lr: 0.1, momentum: 0.0, ..SgdRule::default() };
    // p -= 0.1 g
    assert_steps(by(plain), [[0.95, -1.9], [0.925, -2.2], [1.025, -2.2125]]);
    // v = 0.9 v + g: (0.5, -1), (0.7, 2.1), (-0.37, 2.015)
    let momentum = SgdRule { momentum: 0.9, ..plain };
    assert_steps(by(momentum), [[0.95, -1.9], [0.88, -2.11], [0.917, -2.3115]]);
    // g + 0.2 p: (0.7, -1.4), (0.25 + 0.186, 3 - 0.372), (-1 + 0.17728, 0.125 - 0.42456)
    let shrinking = SgdRule { weight_decay: 0.2, ..plain };
    assert_steps(by(shrinking), [[0.93, -1.86], [0.8864, -2.1228], [0.968672, -2.092844]]);
    // lr 0.1, 0.05, 0.025
    let slowing = SgdRule { decay: 0.5, ..plain };
    assert_steps(by(slowing), [[0.95, -1.9], [0.9375, -2.05], [0.9625, -2.053125]]);
    // momentum 0, 0.5, 1, 1 and v: (0.5, -1), (0.25, 3) + (0.25, -0.5), (-1, 0.125) + (0.5, 2.5)
    let heavier = SgdRule { momentum_end: 1.0, momentum_steps: 2, ..plain };
    assert_steps(by(heavier), [[0.95, -1.9], [0.9, -2.15], [0.95, -2.4125]]);
}

#[test]
fn the_learning_rate_follows_its_schedule() {
    let rule = SgdRule { lr: 0.1, momentum: 0.0, ..SgdRule::default() };
    let follow = |schedule: Schedule| {
        move |g: &Graph, grad: &Var, p: &Var| {
            g.descend((&rule, &schedule), [grad, &g.clock(), p], &[moment(g, "momentum")], None)
        }
    };
    let by_factors = |factors: [f64; 3]| by_hand(|t, _, g| f64::from(0.1f32) * factors[t] * g);
    // Of two steps: 1, halfway, and the end, where it stays.
    let cosine = Schedule { kind: Falling::Cosine, end: 0.2, steps: 2, warm_up: 0 };
    assert_steps(follow(cosine), by_factors([1.0, 0.6, 0.2]));
    let short = Schedule { steps: 1, ..cosine };
    assert_steps(follow(short), by_factors([1.0, 0.2, 0.2]));
    let exponential = Schedule { kind: Falling::Exponential, end: 0.25, ..cosine };
    assert_steps(follow(exponential), by_factors([1.0, 0.5, 0.25]));
    let warm = Schedule { warm_up: 4, ..Schedule::default() };
    assert_steps(follow(warm), by_factors([0.25, 0.5, 0.75]));
    let both = Schedule { warm_up: 2, ..cosine };
    assert_steps(follow(both), by_factors([0.5, 0.6, 0.2]));
    // Without steps of its own it does not fall.
    assert_steps(follow(Schedule { steps: 0, ..cosine }), by_factors([1.0; 3]));
}

#[test]
fn a_gradient_that_is_too_long_is_scaled_down_as_a_whole() {
    let change = |clip_norm: f64, device: &Device| {
        let mut net = NetworkBuilder::new("net", &Numbering::default());
        let layers = net.sequence("").linear(2, 1, true).build();
        let net = net.build();
        let g = graph();
        let loss = layers.forward(&g.input("x", &[1, 2]), Mode::Train).sum();
        Optimizer { clip_norm, ..Optimizer::plain(OptimConfig::sgd(1.0, 1.0, 0.0)) }.minimize(&loss, &net);
        let (params, _) = net.initial(0);
        let given = Tensors::from([("x".into(), vec![2.0, 2.0]), (net.params_state(), params.clone())]);
        let mut rig = Rig::on(&g.finish().expect("a graph"), device, &given);
        rig.outputs();
        let after = rig.store.read(&net.params_state()).expect("parameters");
        let change =
            |info: &ParamInfo| (0..info.len()).map(|i| params[info.offset + i] - after[info.offset + i]).collect();
        net.params.iter().map(change).collect::<Vec<Vec<f32>>>().concat()
    };
    for device in [Device::Reference, Device::Cpu, gpu()] {
        // ‖(2, 2, 1)‖ = 3.
        assert_close(&change(0.0, &device), &[2.0, 2.0, 1.0], 1e-6, "without a bound");
        assert_close(&change(3.1, &device), &[2.0, 2.0, 1.0], 1e-6, "shorter than the bound");
        assert_close(&change(1.5, &device), &[1.0, 1.0, 0.5], 1e-6, "half as long");
    }
}

/// Three steps with [`GRADS`] of an optimiser of one number, written out in f64.
fn by_hand(mut step: impl FnMut(usize, &mut [f64; 4], f64) -> f64) -> [[f64; 2]; 3] {
    let mut p = [1.0, -2.0];
    let mut state = [[0.0; 4]; 2];
    std::array::from_fn(|t| {
        (0..2).for_each(|i| p[i] -= step(t, &mut state[i], f64::from(GRADS[t][i])));
        p
    })
}

#[test]
fn rmsprop_steps_as_pytorch_does() {
    let o = RmspropRule { lr: 0.1, alpha: 0.75, eps: 0.01, ..RmspropRule::default() };
    // The first step is 0.1 g / (√(0.25 g²) + 0.01): 0.05 / 0.26 and -0.1 / 0.51.
    let first = steps(&Device::Reference, by(o)).remove(0);
    assert_close(&first, &[0.807_692_3, -1.803_921_6], 1e-6, "the first step");
    for (momentum, centered) in [(0.0, false), (0.9, false), (0.0, true), (0.9, true)] {
        let want = by_hand(|_, [square, mean, momentum_buffer, _], g| {
            *square = 0.75 * *square + 0.25 * g * g;
            *mean = 0.75 * *mean + 0.25 * g;
            let variance = if centered { *square - *mean * *mean } else { *square };
            *momentum_buffer = momentum * *momentum_buffer + g / (variance.sqrt() + f64::from(0.01f32));
            f64::from(0.1f32) * *momentum_buffer
        });
        assert_steps(by(RmspropRule { momentum, centered, ..o }), want);
    }
}

#[test]
fn adam_steps_as_pytorch_does() {
    let o = AdamRule { lr: 0.1, decay: 1.0, beta1: 0.5, beta2: 0.75, eps: 0.01 };
    // The first step is lr g / (|g| + eps), whatever the decays: 0.05 / 0.51 and -0.1 / 1.01.
    let first = steps(&Device::Reference, by(o)).remove(0);
    assert_close(&first, &[0.901_960_8, -1.900_990_1], 1e-6, "the first step");
    for (beta1, beta2, decay) in [(0.5, 0.75, 1.0), (0.0, 0.75, 1.0), (0.5, 0.75, 0.5), (0.9, 0.999, 1.0)] {
        let want = by_hand(|t, [m, v, ..], g| {
            let n = t as i32 + 1;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let (m, v) = (*m / (1.0 - f64::powi(beta1, n)), *v / (1.0 - f64::powi(beta2, n)));
            f64::from(0.1f32) * f64::powi(decay, t as i32) * m / (v.sqrt() + f64::from(0.01f32))
        });
        assert_steps(by(AdamRule { beta1, beta2, decay, ..o }), want);
    }
}

#[test]
fn every_optimiser_averages_its_parameters_in_its_own_launch() {
    let all: [(&str, &dyn Rule); 3] = [
        ("sgd", &SgdRule { lr: 0.1, ..SgdRule::default() }),
        ("rmsprop", &RmspropRule { lr: 0.1, alpha: 0.75, eps: 0.01, centered: true, ..RmspropRule::default() }),
        ("adam", &AdamRule { lr: 0.1, decay: 1.0, beta1: 0.5, beta2: 0.75, eps: 0.01 }),
    ];
    for (name, rule) in all {
        let update = |g: &Graph, grad: &Var, p: &Var, average: Option<&Average>| descend(rule, g, grad, p, average);
        for device in [Device::Reference, Device::Cpu, gpu()] {
            let plain = steps(&device, |g, grad, p| update(g, grad, p, None));
            let g = graph();
            let average = Average { state: moment(&g, "average"), rate: 0.25, warms_up: false };
            update(&g, &g.input("g", &[2]), &g.state("p", 2, 0, &[2]), Some(&average));
            g.advance(&g.clock());
            let source = g.finish().expect("a graph");
            assert_eq!(launches(&source, &Options::new(device.caps())), [name, "advance"]);
            let given = Tensors::from([
                ("p".into(), vec![1.0, -2.0]),
                ("average".into(), vec![1.0, -2.0]),
                ("g".into(), vec![0.0; 2]),
            ]);
            let mut rig = Rig::on(&source, &device, &given);
            let mut want = vec![1.0, -2.0];
            for (grad, p) in std::iter::zip(GRADS, plain) {
                rig.runner.write("g", &grad).expect("two elements");
                rig.runner.run().expect("a step");
                let what = format!("{name} on {}", device.name());
                // Keeping an average leaves the parameters as they are.
                assert_eq!(rig.store.read("p").expect("p"), p, "{what}");
                std::iter::zip(&mut want, p).for_each(|(a, p)| *a += 0.25 * (p - *a));
                assert_close(&rig.store.read("average").expect("an average"), &want, 1e-6, &what);
            }
        }
    }
}

/// One step of a small classifier-like network: convolution, batch norm, a residual block, a
/// transposed convolution, a linear head; its parameters, gradients and moments are flat.
pub fn network() -> (Source, Tensors) {
    let g = graph();
    let shapes: [&[usize]; 9] = [&[4, 1, 3, 3], &[4], &[4], &[4, 4, 3, 3], &[4], &[4, 2, 4, 4], &[2], &[3, 128], &[3]];
    let mut len = 0;
    let offsets: Vec<usize> = shapes
        .iter()
        .map(|s| {
            let at = len;
            len = (len + s.iter().product::<usize>()).next_multiple_of(64);
            at
        })
        .collect();
    let params: Vec<Var> =
        std::iter::zip(shapes, &offsets).map(|(shape, at)| g.state("params", len, *at, shape)).collect();
    let [w1, gamma, beta, w2, b2, w3, b3, w4, b4] = &params[..] else { panic!("nine parameters") };
    let x = &g.input("x", &[6, 1, 8, 8]) + &g.normal(&[6, 1, 8, 8]).mul_scalar(0.1);
    g.scope("body");
    let normed = x.conv2d(w1, None, &ConvSpec::new(2, 1)).batch_norm(gamma, beta, 1e-5);
    g.ema(&normed.mean, &g.state("stats", 128, 0, &[4]), 0.1, 1.0);
    g.ema(&normed.var, &g.state("stats", 128, 64, &[4]), 0.1, 1.1);
    let h = normed.y.leaky_relu(0.2);
    let h = (&h.conv2d(w2, Some(b2), &ConvSpec::new(1, 1)) + &h).tanh();
    let h = h.conv_transpose2d(w3, Some(b3), &ConvSpec::new(2, 1), [0, 0]).sigmoid();
    g.scope("head");
    let scores = h.flatten().linear(w4, Some(b4));
    let loss = scores.cross_entropy(&g.input("class", &[6])).mean();
    let grads: Vec<Var> = gradients(&loss, &params).into_iter().flatten().collect();
    assert_eq!(grads.len(), params.len());
    let flat = g.flatten(&grads, &offsets, len);
    let all = |name: &str| g.state(name, len, 0, &[len]);
    let adam = AdamRule { lr: 1e-3, decay: 0.999, beta1: 0.5, beta2: 0.999, eps: 1e-8 };
    g.descend((&adam, &Schedule::default()), [&flat, &g.clock(), &all("params")], &["m", "v"].map(all), None);
    g.record(std::slice::from_ref(&loss), &g.state("history", 4, 0, &[4, 1]));
    g.output("loss", &loss);
    g.output("gradients", &flat);
    g.advance(&g.clock());
    let given = Tensors::from([
        ("x".into(), normals(1, 384)),
        ("class".into(), vec![0.0, 2.0, 1.0, 1.0, 0.0, 2.0]),
        ("params".into(), normals(2, len).iter().map(|v| 0.3 * v).collect()),
    ]);
    (g.finish().expect("a graph"), given)
}

#[test]
fn five_training_steps_are_the_same_under_every_plan() {
    let (source, given) = network();
    for device in [Device::Reference, gpu()] {
        assert_same_under_every_plan(&source, &given, &device, 5);
    }
}

#[test]
fn five_training_steps_on_the_gpu_follow_the_reference() {
    let (source, given) = network();
    let [first, fifth] = [1, 5].map(|steps| Rig::on(&source, &gpu(), &given).after(steps));
    let [first_reference, fifth_reference] =
        [1, 5].map(|steps| Rig::on(&source, &Device::Reference, &given).after(steps));
    assert_all_close(&first, &first_reference, 2e-5);
    assert_all_close(&fifth, &fifth_reference, 2e-4);
    assert!(fifth_reference["loss"][0] < first_reference["loss"][0], "the loss falls");
}

/// The quotient of the norms of a difference and of what should be.
fn relative(got: &[f32], want: &[f32]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    let off = norm(&mut std::iter::zip(got, want).map(|(g, w)| f64::from(*g) - f64::from(*w)));
    off / norm(&mut want.iter().map(|w| f64::from(*w))).max(1e-30)
}

#[test]
fn a_mixed_training_step_stays_near_the_full_one() {
    // Convolution, transposed convolution, batch norm and a linear head, forwards and backwards.
    let (source, given) = network();
    let mixed = || {
        let gpu = Gpu::open_mixed(std::env::var("LIMN_DEVICE").ok().as_deref(), false);
        let gpu = Device::Gpu(Arc::new(gpu.expect("a device that knows f16")));
        Rig::on(&source, &gpu, &given).after(1)
    };
    let (mixed, again) = (mixed(), mixed());
    let full = Rig::on(&source, &gpu(), &given).after(1);
    let [loss, gradients] = ["loss", "gradients"].map(|name| relative(&mixed[name], &full[name]));
    println!("loss {loss:e} gradients {gradients:e}");
    // A handful of roundings by 2^-11 stand between the images and a gradient.
    assert!(loss < 2e-3 && gradients < 5e-3, "loss {loss:e} gradients {gradients:e}");
    assert!(gradients > 1e-6, "mixed precision changes nothing");
    assert_same_bits(&again, &mixed, "two mixed runs");
}
