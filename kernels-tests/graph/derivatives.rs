//! Analytic gradients held against differences, of first and second order.
//!
//! The loss is Σ r·y with random probes r. Along each element of each operand a central difference
//! of fourth order, (8(y(h) - y(-h)) - (y(2h) - y(-2h))) / 12h, errs by h⁴/30 of the fifth
//! derivative: with h = 2^-6 that is 2e-9 of it. Operands are multiples of 2^-12, so x ± 2h is
//! exact. What remains is the rounding of y in f32: independent errors of some units u of the
//! largest y, weighted by r, make about √Σr² · u · max|y| · 1.5 / h.

use crate::support::{Rig, Tensors, graph, normals};
use limn::graph::{Graph, Var, gradients};
use limn::kernels::pointwise::{Domain, Operation};
use limn::program::{Device, Runner, Source};

const STEP: f32 = 1.0 / 64.0;
const UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// What an operand's elements are like.
#[derive(Clone, Copy)]
pub enum Draw {
    /// At least 1/16 from every multiple of 1/4, so that no kink there is near; within ±3.
    OffGrid,
    /// At most 1/32 from a multiple of 1/4: at least 1/16 from every number that is off the grid.
    OnGrid,
    /// Between 1 and 2, off the grid.
    Positive,
    /// Between 1 and 2, on the grid.
    PositiveOnGrid,
    /// Class numbers below this; not differentiated.
    Class(usize),
}

/// An operand: its shape and its elements.
#[derive(Clone)]
pub struct Operand(pub Vec<usize>, pub Draw);

/// An operand of the usual kind.
pub fn off_grid(shape: &[usize]) -> Operand {
    Operand(shape.to_vec(), Draw::OffGrid)
}

/// One for operations with a kink where it equals one of the usual kind.
pub fn on_grid(shape: &[usize]) -> Operand {
    Operand(shape.to_vec(), Draw::OnGrid)
}

/// One of numbers between 1 and 2.
pub fn positive(shape: &[usize]) -> Operand {
    Operand(shape.to_vec(), Draw::Positive)
}

/// One of class numbers below `count`.
pub fn classes(shape: &[usize], count: usize) -> Operand {
    Operand(shape.to_vec(), Draw::Class(count))
}

/// Goes over all pointwise operations and a few constants of each, with operands they are smooth
/// at.
pub fn pointwise_operations(check: impl Fn(&[Operand], &dyn Fn(&[Var]) -> Vec<Var>)) {
    for code in Operation::ALL {
        println!("{code:?}");
        let first = Operand(vec![4, 9], if code.domain() == Domain::All { Draw::OffGrid } else { Draw::Positive });
        if code.is_binary() {
            // On the grid, for a kink where the two are equal; and positive, for a quotient.
            let second = Operand(vec![4, 9], Draw::PositiveOnGrid);
            check(&[first, second], &|x| vec![x[0].binary(*code, &x[1])]);
            continue;
        }
        let constants = if code.example() == 0.0 { vec![0.0] } else { vec![code.example(), -0.5, 0.75] };
        for c in constants {
            check(std::slice::from_ref(&first), &|x| vec![x[0].unary(*code, c)]);
        }
    }
}

impl Operand {
    fn wanted(&self) -> bool {
        !matches!(self.1, Draw::Class(_))
    }

    /// Its elements; every `stream` has its own.
    pub fn data(&self, stream: u32) -> Vec<f32> {
        let exact = |v: f32| (v * 4096.0).round() / 4096.0;
        let jitter = normals(1000 + stream, self.0.iter().product());
        let value = |(v, j): (f32, f32)| {
            let (quarter, j) = ((v * 4.0).clamp(-11.0, 11.0).floor() / 4.0, exact(j.tanh() / 32.0));
            match self.1 {
                Draw::OffGrid => quarter + 0.125 + j,
                Draw::OnGrid => quarter + j,
                Draw::Positive => 1.125 + quarter.abs().min(0.75) + j,
                Draw::PositiveOnGrid => 1.0 + quarter.abs().min(0.75) + j,
                Draw::Class(n) => ((v.abs() * 7.0) as usize % n) as f32,
            }
        };
        std::iter::zip(normals(stream, self.0.iter().product()), jitter).map(value).collect()
    }
}

/// Holds the gradient of `op` by every operand against differences. `op` may have several results.
pub fn check_first(operands: &[Operand], op: impl Fn(&[Var]) -> Vec<Var>) {
    let probed = Probed::new(operands, |_, x| op(x));
    for k in (0..operands.len()).filter(|k| operands[*k].wanted()) {
        probed.check(k);
    }
}

/// Holds the gradient of the gradient of `op` against differences of the gradient, by the operands
/// and by the upstream gradient.
pub fn check_second(operands: &[Operand], op: impl Fn(&[Var]) -> Vec<Var>) {
    let first = graph();
    let upstream: Vec<Operand> = op(&inputs(&first, operands)).iter().map(|y| off_grid(y.shape())).collect();
    let all: Vec<Operand> = operands.iter().chain(&upstream).cloned().collect();
    let gradient = |graph: &Graph, all: &[Var]| -> Vec<Var> {
        let (x, dy) = all.split_at(operands.len());
        let loss = total(graph, &op(x), dy);
        let wanted: Vec<Var> =
            std::iter::zip(x, operands).filter(|(_, o)| o.wanted()).map(|(x, _)| x.clone()).collect();
        gradients(&loss, &wanted).into_iter().flatten().collect()
    };
    let probed = Probed::new(&all, gradient);
    for k in (0..all.len()).filter(|k| all[*k].wanted()) {
        probed.check(k);
    }
}

/// Operand number k as the input `xk`.
pub fn inputs(graph: &Graph, operands: &[Operand]) -> Vec<Var> {
    operands.iter().enumerate().map(|(k, o)| graph.input(&format!("x{k}"), &o.0)).collect()
}

/// Σ y·r over all results.
fn total(graph: &Graph, ys: &[Var], rs: &[Var]) -> Var {
    std::iter::zip(ys, rs).fold(graph.constant(&[1], 0.0), |sum, (y, r)| &sum + &(y * r).sum())
}

/// An op with its operands and probes.
struct Probed {
    data: Vec<Vec<f32>>,
    probes: Vec<Vec<f32>>,
    grads: Vec<Option<Vec<f32>>>,
    /// Computes the results only.
    forward: Source,
}

impl Probed {
    fn new(operands: &[Operand], op: impl Fn(&Graph, &[Var]) -> Vec<Var>) -> Probed {
        let data: Vec<Vec<f32>> = operands.iter().enumerate().map(|(k, o)| o.data(k as u32)).collect();
        let g = graph();
        let ys = op(&g, &inputs(&g, operands));
        ys.iter().enumerate().for_each(|(i, y)| g.output(&format!("y{i}"), y));
        let forward = g.finish().expect("the op takes these shapes");
        let probes: Vec<Vec<f32>> = ys.iter().enumerate().map(|(i, y)| normals(50 + i as u32, y.len())).collect();

        let g = graph();
        let xs = inputs(&g, operands);
        let ys = op(&g, &xs);
        let rs: Vec<Var> = ys.iter().enumerate().map(|(i, y)| g.input(&format!("r{i}"), y.shape())).collect();
        let grads = gradients(&total(&g, &ys, &rs), &xs);
        for (k, grad) in grads.iter().enumerate() {
            if let Some(grad) = grad {
                assert_eq!(grad.shape(), operands[k].0, "the gradient has the shape of operand {k}");
                g.output(&format!("g{k}"), grad);
            }
        }
        let source = g.finish().expect("the op has a gradient");
        let named = |letter: &str, of: &[Vec<f32>]| -> Tensors {
            of.iter().enumerate().map(|(k, d)| (format!("{letter}{k}"), d.clone())).collect()
        };
        let mut values = named("x", &data);
        values.extend(named("r", &probes));
        let outputs = Rig::on(&source, &Device::Reference, &values).outputs();
        let grads = (0..operands.len()).map(|k| outputs.get(&format!("g{k}")).cloned()).collect();
        Probed { data, probes, grads, forward }
    }

    fn results(&self, runner: &mut Runner) -> Vec<f32> {
        runner.run().expect("a run");
        (0..self.probes.len()).flat_map(|i| runner.read(&format!("y{i}")).expect("a result")).collect()
    }

    /// Compares the gradient by operand `k`, element by element; none at all stands for zeros.
    fn check(&self, k: usize) {
        let values: Tensors = self.data.iter().enumerate().map(|(k, d)| (format!("x{k}"), d.clone())).collect();
        let mut rig = Rig::on(&self.forward, &Device::Reference, &values);
        let name = format!("x{k}");
        if rig.runner.program().inputs.iter().all(|(n, _)| *n != name) {
            assert!(self.grads[k].is_none(), "the results do not depend on operand {k}");
            return;
        }
        let probes: Vec<f64> = self.probes.iter().flatten().map(|r| f64::from(*r)).collect();
        for i in 0..self.data[k].len() {
            let mut at = |offset: f32| {
                let mut moved = self.data[k].clone();
                moved[i] += offset * STEP;
                rig.runner.write(&name, &moved).expect("the operand fits");
                self.results(&mut rig.runner)
            };
            let [a, b, c, d] = [at(1.0), at(-1.0), at(2.0), at(-2.0)];
            let (mut slope, mut weight, mut largest) = (0.0, 0.0, 0.0f64);
            for (j, r) in probes.iter().enumerate() {
                let [a, b, c, d] = [a[j], b[j], c[j], d[j]].map(f64::from);
                if [b, c, d] != [a; 3] {
                    slope += r * (8.0 * (a - b) - (c - d)) / (12.0 * f64::from(STEP));
                    weight += r * r;
                    largest = largest.max(a.abs());
                }
            }
            let grad = self.grads[k].as_ref().map_or(0.0, |g| f64::from(g[i]));
            let rounding = 12.0 * UNIT * weight.sqrt() * largest * 1.5 / f64::from(STEP);
            let tolerance = rounding + 1e-5 * (1.0 + grad.abs());
            assert!(
                (grad - slope).abs() <= tolerance,
                "the gradient by x{k}[{i}] is {grad:e}, the difference {slope:e} (tolerance {tolerance:e})"
            );
        }
    }
}

#[test]
#[should_panic(expected = "the gradient by x0")]
fn a_gradient_that_is_off_by_a_thousandth_is_noticed() {
    let mut probed = Probed::new(&[off_grid(&[7])], |_, x| vec![x[0].tanh()]);
    let grads = probed.grads[0].as_mut().expect("a gradient");
    let largest = (0..grads.len()).max_by(|a, b| grads[*a].abs().total_cmp(&grads[*b].abs())).expect("elements");
    grads[largest] *= 1.001;
    probed.check(0);
}
