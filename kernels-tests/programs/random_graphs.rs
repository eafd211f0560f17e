//! Random graphs: whatever the planner merges, shares or moves, the results stay the same.

use crate::support::{
    Choices, Rig, Tensors, assert_all_close, assert_same_under_every_plan, gpu, graph, launches, random_values,
};
use limn::graph::{Graph, Var, gradients};
use limn::ops::ConvSpec;
use limn::program::{Device, Options, Source};

/// A graph grown by random choices; every tensor is [2, c, h, w] or broadcasts to that.
struct Growing {
    g: Graph,
    choices: Choices,
    vars: Vec<Var>,
    names: usize,
}

impl Growing {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    fn any(&mut self) -> Var {
        // Mostly what was made last, so that chains grow long; else anything.
        let n = self.vars.len();
        let back = if self.choices.below(3) > 0 { self.choices.below(n.min(3)) } else { self.choices.below(n) };
        self.vars[n - 1 - back].clone()
    }

    fn param(&mut self, shape: &[usize]) -> Var {
        let name = self.name();
        if self.choices.below(2) == 0 { self.g.input(&name, shape) } else { whole(&self.g, &name, shape) }
    }

    /// Something that broadcasts with `x`: of its shape, or summed to a part of it.
    fn partner(&mut self, x: &Var) -> Var {
        let same: Vec<Var> = self.vars.iter().filter(|v| v.shape() == x.shape()).cloned().collect();
        match self.choices.below(5) {
            0 => x.mean_axes(&[0, 2, 3]),
            1 => x.mean_axes(&[1]),
            2 => self.param(&[x.shape()[3]]),
            3 => self.param(&[x.shape()[1], 1, x.shape()[3]]),
            _ => same[self.choices.below(same.len())].clone(),
        }
    }

    fn unary(&mut self, x: &Var) -> Var {
        match self.choices.below(8) {
            0 => x.relu(),
            1 => x.leaky_relu(0.2),
            2 => x.tanh(),
            3 => x.sigmoid(),
            4 => x.mul_scalar(-0.5),
            5 => x.add_scalar(0.25),
            6 => x.softplus(),
            _ => x.elu(),
        }
    }

    fn binary(&mut self, x: &Var) -> Var {
        let y = self.partner(x);
        match self.choices.below(4) {
            0 => x + &y,
            1 => x - &y,
            2 => &x.tanh() * &y.tanh(),
            _ => x.maximum(&y),
        }
    }

    fn kernel(&mut self, x: &Var) -> Var {
        let &[n, c, h, w] = x.shape() else { panic!("four axes") };
        match self.choices.below(9) {
            0 => x.conv2d(&self.param(&[c, c, 3, 3]).mul_scalar(0.2), None, &ConvSpec::new(1, 1)),
            1 => {
                let (k, b) = (self.param(&[4, c, 1, 1]), self.param(&[4]));
                x.conv2d(&k, Some(&b), &ConvSpec::default()).mul_scalar(0.3)
            }
            2 => x.conv_transpose2d(&self.param(&[c, 3, 3, 3]), None, &ConvSpec::new(1, 1), [0, 0]).mul_scalar(0.2),
            3 => {
                let weight = self.param(&[w, w]);
                x.reshape(&[n * c * h, w]).linear(&weight, None).mul_scalar(0.3).reshape(x.shape())
            }
            4 => {
                let (gamma, beta) = (self.param(&[c]), self.param(&[c]));
                let normed = x.batch_norm(&gamma, &beta, 0.1);
                let mean = self.name();
                self.g.ema(&normed.mean, &whole(&self.g, &mean, &[c]), 0.1, 1.0);
                normed.y
            }
            5 => x.flip(2),
            6 => x.reshape(&[n, c, w, h]),
            7 => x.slice(1, 0, c.div_ceil(2)),
            _ => x.concat(&x.tanh(), 1).slice(1, 1, c),
        }
    }

    /// Moves a state towards a tensor; whoever read it before must keep the old contents.
    fn update(&mut self, x: &Var) -> Var {
        let name = self.name();
        let state = whole(&self.g, &name, x.shape());
        let before = self.binary(&state.reshape(x.shape()));
        let scaled = self.unary(&state);
        self.g.ema(x, &state, 0.3, 1.0);
        self.vars.push(scaled);
        self.vars.push(before);
        &state - x
    }

    fn grow(&mut self) {
        let x = self.any();
        let y = match self.choices.below(10) {
            0..3 => self.unary(&x),
            3..6 => self.binary(&x),
            6..9 => self.kernel(&x),
            _ => self.update(&x),
        };
        self.vars.push(y);
    }
}

fn whole(g: &Graph, name: &str, shape: &[usize]) -> Var {
    g.state(name, shape.iter().product(), 0, shape)
}

/// A random graph with some outputs, and the gradients of a loss in a flat buffer.
pub fn random(seed: u64, size: usize) -> Source {
    let g = graph();
    let x = g.input("x", &[2, 3, 4, 5]);
    let mut growing = Growing { g: g.clone(), choices: Choices::new(seed), vars: vec![x.clone()], names: 0 };
    (0..size).for_each(|_| growing.grow());
    let last = growing.vars.last().expect("a tensor").clone();
    g.output("last", &last);
    for k in 0..2 {
        let some = growing.any();
        g.output(&format!("some{k}"), &some.reshape(&[some.len()]));
    }
    // A gradient by an input, which nothing updates.
    let fresh = g.input("w", &[1, 3, 1, 1]);
    let body = (&last.slice(1, 0, 1) * &fresh).conv2d(&g.input("k", &[2, 3, 3, 3]), None, &ConvSpec::new(1, 1)).tanh();
    let loss = (&body.square().mean() + &body.slice(1, 0, 1).relu().mean()).reshape(&[1]);
    let grads: Vec<Var> = gradients(&loss, &[fresh, g.input("k", &[2, 3, 3, 3])]).into_iter().flatten().collect();
    let extra = growing.any();
    let pieces = [grads[0].clone(), extra.clone(), grads[1].clone()];
    let offsets = [64, 128, 128 + extra.len().next_multiple_of(64)];
    g.output("flat", &g.flatten(&pieces, &offsets, offsets[2] + 64));
    g.output("loss", &loss);
    g.finish().expect("a graph")
}

#[test]
fn random_graphs_on_the_cpu() {
    let mut merged = 0;
    for seed in 0..150 {
        let source = random(seed, 4 + seed as usize % 30);
        let values = random_values(&source);
        let got = assert_same_under_every_plan(&source, &values, &Device::Reference, 2);
        assert!(got.values().flatten().all(|v| v.is_finite()), "seed {seed}");
        let on = Options::new(None);
        merged += launches(&source, &Options { fuse: false, ..on }).len() - launches(&source, &on).len();
    }
    assert!(merged > 150, "only {merged} launches were merged: these graphs test nothing");
}

#[test]
fn random_graphs_on_the_gpu() {
    for seed in 0..12 {
        let source = random(seed, 6 + 2 * seed as usize);
        let values = random_values(&source);
        let got: Tensors = assert_same_under_every_plan(&source, &values, &gpu(), 2);
        assert_all_close(&got, &Rig::on(&source, &Device::Reference, &values).after(2), 1e-4);
    }
}
