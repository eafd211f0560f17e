//! Activations with their channels last on a GPU: where they stand so, and that nobody notices.

use crate::support::{Choices, Rig, Tensors, gpu_class, graph, planned, random_values};
use limn::graph::{Graph, Var, gradients};
use limn::kernels::{Caps, Class};
use limn::ops::{ConvSpec, Mask};
use limn::program::{Device, Options, Program, Source};

/// A network that is put together at random of what can take its channels last, with the gradients of a loss.
struct Network {
    g: Graph,
    choices: Choices,
    weights: Vec<Var>,
}

impl Network {
    fn weight(&mut self, shape: &[usize]) -> Var {
        let w = self.g.input(&format!("w{}", self.weights.len()), shape);
        self.weights.push(w.clone());
        w
    }

    fn convolved(&mut self, x: &Var) -> Var {
        let (from, to) = (x.shape()[1], 12 * (1 + self.choices.below(2)));
        let kernel = [1, 3][self.choices.below(2)];
        let spec = match self.choices.below(4) {
            0 => ConvSpec::masked(Mask::B, [kernel; 2], [1, 3][self.choices.below(2)]),
            1 if x.shape()[2] > 3 => ConvSpec::new(2, kernel / 2),
            _ => ConvSpec::new(1, kernel / 2),
        };
        let w = self.weight(&[to, from, kernel, kernel]);
        let b = (self.choices.below(2) == 0).then(|| self.weight(&[to]));
        x.conv2d(&w, b.as_ref(), &spec).mul_scalar(0.3)
    }

    fn grown(&mut self, x: &Var) -> Var {
        let channels = x.shape()[1];
        match self.choices.below(8) {
            0 => x.relu(),
            1 => x + &x.tanh().flip(3),
            2 if channels > 12 => x.gate(true),
            2 => x.concat_elu(),
            3 => {
                let (gamma, beta) = (self.weight(&[channels]), self.weight(&[channels]));
                x.batch_norm(&gamma, &beta, 1e-3).y.relu()
            }
            4 => x * &self.weight(&[1, channels, 1, 1]),
            5 if channels > 12 => x.slice(1, 12, 12),
            _ => self.convolved(x),
        }
    }
}

fn network(seed: u64) -> Source {
    let g = graph();
    let mut network = Network { g: g.clone(), choices: Choices::new(seed), weights: Vec::new() };
    let x = g.input("x", &[2, 3, 6, 5]);
    let mut y = network.convolved(&x);
    for _ in 0..6 + seed % 6 {
        y = network.grown(&y);
    }
    let y = network.convolved(&y);
    let loss = y.square().mean().reshape(&[1]);
    let wanted: Vec<Var> = network.weights.clone();
    for (i, gradient) in gradients(&loss, &wanted).into_iter().enumerate() {
        gradient.iter().for_each(|gradient| g.output(&format!("g{i}"), gradient));
    }
    g.output("loss", &loss);
    g.finish().expect("a graph")
}

/// Launches of products that read or write images with their channels last.
fn last(program: &Program) -> usize {
    program.launches.iter().filter(|launch| launch.kernel.label().contains(" last")).count()
}

#[test]
fn networks_make_the_same_with_channels_last() {
    let device = gpu_class();
    let mut seen = 0;
    for seed in 0..12 {
        let source = network(seed);
        let values: Tensors = random_values(&source);
        seen += last(&planned(&source, &Options::new(device.caps())));
        let got = Rig::on(&source, &device, &values).after(1);
        let want = Rig::on(&source, &Device::Reference, &values).after(1);
        // A bias in front of a normalisation has no gradient but for rounding: next to others' it is small.
        let largest = want.values().flatten().fold(0.0, |most: f32, v| most.max(v.abs()));
        for (name, want) in &want {
            let own = want.iter().fold(1e-3 * largest, |most, v| most.max(v.abs()));
            let off = std::iter::zip(&got[name], want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
            assert!(off <= 1e-4 * own, "seed {seed}, {name}: off by {off} of {own}");
        }
    }
    assert!(seen > 100, "only {seen} products had something with its channels last");
}

#[test]
fn what_the_host_reads_and_what_is_no_four_stays_by_planes() {
    let labels = |channels: usize, told: bool, caps: Option<Caps>| -> Vec<String> {
        let g = graph();
        let w = [g.input("v", &[channels, 3, 3, 3]), g.input("w", &[3, channels, 3, 3])];
        let y = g.input("x", &[2, 3, 8, 8]).conv2d(&w[0], None, &ConvSpec::new(1, 1));
        g.output("z", &y.relu().conv2d(&w[1], None, &ConvSpec::new(1, 1)));
        if told {
            g.output("y", &y);
        }
        let program = planned(&g.finish().expect("a graph"), &Options::new(caps));
        program.launches.iter().map(|launch| launch.kernel.label()).filter(|label| label.contains("x[")).collect()
    };
    let on = Some(Caps::WEBGPU);
    assert!(labels(16, false, on)[0].contains(" y last") && labels(16, false, on)[1].contains(" x last"));
    assert!(labels(16, true, on).iter().all(|label| !label.contains(" y last")), "{:?}", labels(16, true, on));
    let software = Some(Caps { class: Class::Lanes, ..Caps::WEBGPU });
    let by_planes = [labels(18, false, on), labels(16, false, None), labels(16, false, software)];
    assert!(by_planes.iter().flatten().all(|label| !label.contains(" last")), "{by_planes:?}");
}
