//! What operations compute, held against their formulas in f64, element by element: gradients and
//! devices may agree with one another about a wrong value.

use crate::derivatives::{Operand, classes, inputs, off_grid, positive};
use crate::support::{Rig, Tensors, gpu, graph};
use limn::graph::Var;
use limn::ops::{ConvSpec, Mask};
use limn::program::Device;

/// An operand's elements.
struct Host {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Host {
    fn at(&self, index: &[usize]) -> f64 {
        assert_eq!(index.len(), self.shape.len());
        let flat = std::iter::zip(index, &self.shape).fold(0, |flat, (i, extent)| {
            assert!(i < extent, "{index:?} of {:?}", self.shape);
            flat * extent + i
        });
        f64::from(self.data[flat])
    }

    /// Elements along one axis, elsewhere at `index`.
    fn along(&self, axis: usize, index: &[usize]) -> Vec<f64> {
        let mut at = index.to_vec();
        let element = |k| {
            at[axis] = k;
            self.at(&at)
        };
        (0..self.shape[axis]).map(element).collect()
    }
}

/// The place of element number `flat` of a shape.
fn place(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, extent) in std::iter::zip(&mut index, shape).rev() {
        (*i, flat) = (flat % extent, flat / extent);
    }
    index
}

/// Holds every element of what `op` makes of the operands, of this shape, against a formula of the
/// operands and the element's place, on every device.
#[track_caller]
fn hold(operands: &[Operand], shape: &[usize], op: impl Fn(&[Var]) -> Var, formula: impl Fn(&[Host], &[usize]) -> f64) {
    let g = graph();
    g.output("y", &op(&inputs(&g, operands)));
    let source = g.finish().expect("the op takes these shapes");
    let host = |(k, operand): (u32, &Operand)| Host { shape: operand.0.clone(), data: operand.data(k) };
    let hosts: Vec<Host> = (0..).zip(operands).map(host).collect();
    let values: Tensors = hosts.iter().enumerate().map(|(k, host)| (format!("x{k}"), host.data.clone())).collect();
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let y = &Rig::on(&source, &device, &values).after(1)["y"];
        assert_eq!(y.len(), shape.iter().product::<usize>(), "{}", device.name());
        for (flat, got) in y.iter().enumerate() {
            let at = place(flat, shape);
            let want = formula(&hosts, &at);
            let off = (f64::from(*got) - want).abs();
            assert!(off <= 1e-5 * want.abs().max(1.0), "{} at {at:?}: {got} instead of {want}", device.name());
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn log_sum_exp(values: &[f64]) -> f64 {
    values.iter().map(|v| v.exp()).sum::<f64>().ln()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// An operation's name, itself, and its formula.
type Unary = (&'static str, fn(&Var) -> Var, fn(f64) -> f64);
type Binary = (&'static str, fn(&Var, &Var) -> Var, fn(f64, f64) -> f64);

#[test]
fn pointwise_operations() {
    let unary: [Unary; 18] = [
        ("at_least", |x| x.at_least(0.3), |x| x.max(f64::from(0.3f32))),
        ("add_scalar", |x| x.add_scalar(0.3), |x| x + 0.3),
        ("mul_scalar", |x| x.mul_scalar(0.3), |x| x * 0.3),
        ("exp", Var::exp, f64::exp),
        ("abs", Var::abs, f64::abs),
        ("relu_mask", |x| x.relu_mask(0.2), |x| if x > 0.0 { 1.0 } else { 0.2 }),
        ("sign", Var::sign, f64::signum),
        ("recip", Var::recip, f64::recip),
        ("square", Var::square, |x| x * x),
        ("relu", Var::relu, |x| x.max(0.0)),
        ("leaky_relu", |x| x.leaky_relu(0.2), |x| if x > 0.0 { x } else { 0.2 * x }),
        ("elu", Var::elu, |x| if x > 0.0 { x } else { x.exp() - 1.0 }),
        ("tanh", Var::tanh, f64::tanh),
        ("sigmoid", Var::sigmoid, sigmoid),
        ("softplus", Var::softplus, |x| (1.0 + x.exp()).ln()),
        ("clamp", |x| x.clamp(-0.5, 0.75), |x| x.clamp(-0.5, 0.75)),
        ("neg", |x| -x, |x| -x),
        ("twice", |x| x + x, |x| 2.0 * x),
    ];
    for (name, op, formula) in unary {
        println!("{name}");
        hold(&[off_grid(&[3, 7])], &[3, 7], |x| op(&x[0]), |x, i| formula(x[0].at(i)));
    }
    hold(&[positive(&[3, 7])], &[3, 7], |x| x[0].ln(), |x, i| x[0].at(i).ln());
    hold(&[positive(&[3, 7])], &[3, 7], |x| x[0].sqrt(), |x, i| x[0].at(i).sqrt());
    let binary: [Binary; 8] = [
        ("add", |a, b| a + b, |a, b| a + b),
        ("sub", |a, b| a - b, |a, b| a - b),
        ("mul", |a, b| a * b, |a, b| a * b),
        ("div", |a, b| a / b, |a, b| a / b),
        ("maximum", Var::maximum, f64::max),
        ("minimum", Var::minimum, f64::min),
        ("mse", Var::mse, |a, b| (a - b).powi(2)),
        ("bce", Var::bce_with_logits, |x, t| (1.0 + x.exp()).ln() - x * t),
    ];
    for (name, op, formula) in binary {
        println!("{name}");
        let operands = [off_grid(&[3, 7]), positive(&[7])];
        hold(&operands, &[3, 7], |x| op(&x[0], &x[1]), |x, i| formula(x[0].at(i), x[1].at(&i[1..])));
    }
}

#[test]
fn reductions() {
    let x = || off_grid(&[2, 3, 4]);
    hold(&[x()], &[2, 1, 4], |x| x[0].sum_axes(&[1]), |x, i| x[0].along(1, i).iter().sum());
    hold(&[x()], &[2, 1, 4], |x| x[0].mean_axes(&[1]), |x, i| mean(&x[0].along(1, i)));
    let all = |x: &Host| x.data.iter().map(|v| f64::from(*v)).sum::<f64>();
    hold(&[x()], &[1], |x| x[0].sum(), |x, _| all(&x[0]));
    hold(&[x()], &[1], |x| x[0].mean(), |x, _| all(&x[0]) / 24.0);
    hold(&[x()], &[1], |x| x[0].mean_per_image(), |x, _| all(&x[0]) / 2.0);
    hold(&[x()], &[2, 4], |x| x[0].max_axis(1), |x, i| largest(&x[0].along(1, &[i[0], 0, i[1]])));
    let is_largest = |x: &[Host], i: &[usize]| f64::from(x[0].at(i) == largest(&x[0].along(2, i)));
    hold(&[x()], &[2, 3, 4], |x| x[0].largest(2), is_largest);
    hold(&[x()], &[2, 1, 4], |x| x[0].log_sum_exp(1), |x, i| log_sum_exp(&x[0].along(1, i)));
    hold(&[x()], &[2, 3, 4], |x| x[0].softmax(), |x, i| (x[0].at(i) - log_sum_exp(&x[0].along(2, i))).exp());
}

#[test]
fn windows() {
    let window = |x: &Host, i: &[usize], rows: [usize; 2], columns: [usize; 2]| -> Vec<f64> {
        let row = |y: usize| (columns[0]..columns[1]).map(move |c| x.at(&[i[0], i[1], y, c]));
        (rows[0]..rows[1]).flat_map(row).collect()
    };
    let even = |k: usize, size: usize| [k * size, (k + 1) * size];
    let x = || off_grid(&[2, 3, 4, 6]);
    let pairs = |x: &[Host], i: &[usize]| largest(&window(&x[0], i, even(i[2], 2), even(i[3], 2)));
    hold(&[x()], &[2, 3, 2, 3], |x| x[0].max_pool(), pairs);
    let means = |x: &[Host], i: &[usize]| mean(&window(&x[0], i, even(i[2], 2), even(i[3], 3)));
    hold(&[x()], &[2, 3, 2, 2], |x| x[0].avg_pool([2, 3]), means);
    let adaptive = |k: usize, extent: usize, to: usize| [k * extent / to, ((k + 1) * extent).div_ceil(to)];
    let covering = |x: &[Host], i: &[usize]| largest(&window(&x[0], i, adaptive(i[2], 4, 3), adaptive(i[3], 6, 4)));
    hold(&[x()], &[2, 3, 3, 4], |x| x[0].adaptive_max_pool([3, 4]), covering);
    let nearest = |x: &[Host], i: &[usize]| x[0].at(&[i[0], i[1], i[2] / 2, i[3] / 3]);
    hold(&[x()], &[2, 3, 8, 18], |x| x[0].upsample([2, 3]), nearest);
}

/// The elements of a channel, or of each of several batches of it.
fn of_channel(x: &Host, images: std::ops::Range<usize>, channel: usize) -> Vec<f64> {
    let pixel = |image: usize| (0..x.shape[2] * x.shape[3]).map(move |k| (image, k));
    let at = |(image, k)| x.at(&[image, channel, k / x.shape[3], k % x.shape[3]]);
    images.flat_map(pixel).map(at).collect()
}

#[test]
fn norms() {
    const EPS: f32 = 1e-3;
    let shape = [4, 3, 2, 5];
    let scaled = |x: &[Host], i: &[usize], mean: f64, var: f64| {
        let [gamma, beta] = [1, 2].map(|k| x[k].at(&i[1..2]));
        gamma * (x[0].at(i) - mean) / (var + f64::from(EPS)).sqrt() + beta
    };
    let operands = || [off_grid(&shape), off_grid(&[3]), off_grid(&[3]), off_grid(&[3]), positive(&[3])];
    let given = |x: &[Host], i: &[usize]| scaled(x, i, x[3].at(&i[1..2]), x[4].at(&i[1..2]));
    hold(&operands(), &shape, |x| x[0].batch_norm_eval(&x[1], &x[2], &x[3], &x[4], EPS), given);
    for groups in [1, 2] {
        let size = 4 / groups;
        let own = |x: &[Host], image: usize, channel: usize| {
            let first = image / size * size;
            of_channel(&x[0], first..first + size, channel)
        };
        let formula = |x: &[Host], i: &[usize]| {
            let values = own(x, i[0], i[1]);
            scaled(x, i, mean(&values), variance(&values))
        };
        hold(&operands()[..3], &shape, |x| x[0].batch_norm_of(groups, &x[1], &x[2], EPS).y, formula);
        let group = |i: &[usize]| i.get(1).copied().unwrap_or(0) * size;
        let kept = if groups == 1 { vec![3] } else { vec![3, groups] };
        let of = |x: &[Host], i: &[usize]| mean(&own(x, group(i), i[0]));
        hold(&operands()[..3], &kept, |x| x[0].batch_norm_of(groups, &x[1], &x[2], EPS).mean, of);
        let of = |x: &[Host], i: &[usize]| variance(&own(x, group(i), i[0]));
        hold(&operands()[..3], &kept, |x| x[0].batch_norm_of(groups, &x[1], &x[2], EPS).var, of);
    }
    let lengths = |x: &[Host], i: &[usize]| {
        let squares: Vec<f64> = x[0].along(1, i).iter().map(|v| v * v).collect();
        x[0].at(i) / (mean(&squares) + 1e-8).sqrt()
    };
    hold(&[off_grid(&shape)], &shape, |x| x[0].pixel_norm(), lengths);
    // Images k and k + 2 are a group.
    let unlike = |x: &[Host], i: &[usize]| {
        if i[1] < 3 {
            return x[0].at(i);
        }
        let deviation = |k: usize| {
            let at = [k / 10, k / 5 % 2, k % 5];
            let pair = [i[0] % 2, i[0] % 2 + 2].map(|image| x[0].at(&[image, at[0], at[1], at[2]]));
            (variance(&pair) + 1e-8).sqrt()
        };
        mean(&(0..30).map(deviation).collect::<Vec<_>>())
    };
    hold(&[off_grid(&shape)], &[4, 4, 2, 5], |x| x[0].minibatch_stddev(2), unlike);
    let v = [4, 3, 2, 1];
    let of_length = |x: &[Host], i: &[usize]| {
        let squares: f64 = of_row(&x[0], i[0]).iter().map(|v| v * v).sum();
        x[0].at(i) * x[1].at(&[i[0], 0, 0, 0]) / squares.sqrt()
    };
    hold(&[off_grid(&v), positive(&[4, 1, 1, 1])], &v, |x| x[0].weight_norm(&x[1], 0), of_length);
    let spectral = |x: &[Host], i: &[usize]| {
        let row = |k: usize| std::iter::zip(of_row(&x[0], k), &x[2].data).map(|(w, v)| w * f64::from(*v)).sum::<f64>();
        x[0].at(i) / (0..4).map(|k| f64::from(x[1].data[k]) * row(k)).sum::<f64>()
    };
    hold(&[positive(&v), positive(&[4]), positive(&[6])], &v, |x| x[0].spectral_norm(&x[1], &x[2]), spectral);
}

/// The elements of a row of [n, ...].
fn of_row(x: &Host, row: usize) -> Vec<f64> {
    let len = x.data.len() / x.shape[0];
    x.data[row * len..][..len].iter().map(|v| f64::from(*v)).collect()
}

#[test]
fn losses() {
    let shape = [3, 4, 5];
    let operands = [off_grid(&shape), off_grid(&shape), off_grid(&shape)];
    let normal = |x: &[Host], i: &[usize]| {
        let [mean, logvar, target] = [0, 1, 2].map(|k| x[k].at(i));
        (std::f64::consts::TAU.ln() + logvar + (target - mean).powi(2) / logvar.exp()) / 2.0
    };
    hold(&operands, &shape, |x| x[0].gaussian_nll(&x[1], &x[2]), normal);
    let of_class = |x: &[Host], i: &[usize]| {
        let class = x[1].at(i) as usize;
        log_sum_exp(&x[0].along(1, &[i[0], 0, i[1]])) - x[0].at(&[i[0], class, i[1]])
    };
    hold(&[off_grid(&shape), classes(&[3, 5], 4)], &[3, 5], |x| x[0].cross_entropy(&x[1]), of_class);
    // Levels 0, 85, 170 and 255 of a wide distribution.
    let bin = |x: &[Host], i: &[usize]| {
        let [mean, log_scale, third] = [0, 1, 2].map(|k| x[k].at(i));
        let (target, scale) = (third / 3.0, (log_scale - 2.0).exp());
        let below = |edge: f64| sigmoid((edge - mean) / scale);
        let lower = if third == 0.0 { 0.0 } else { below(target - 1.0 / 510.0) };
        let upper = if third == 3.0 { 1.0 } else { below(target + 1.0 / 510.0) };
        -(upper - lower).ln()
    };
    let operands = [positive(&shape), positive(&shape), classes(&shape, 4)];
    let loss = |x: &[Var]| x[0].discretised_logistic_nll(&x[1].add_scalar(-2.0), &x[2].mul_scalar(1.0 / 3.0));
    hold(&operands, &shape, loss, bin);
}

#[test]
fn products() {
    let dot = |a: Vec<f64>, b: Vec<f64>| std::iter::zip(a, b).map(|(a, b)| a * b).sum::<f64>();
    let product = |x: &[Host], i: &[usize]| dot(x[0].along(1, &[i[0], 0]), x[1].along(0, &[0, i[1]]));
    hold(&[off_grid(&[3, 5]), off_grid(&[5, 4])], &[3, 4], |x| x[0].matmul(&x[1]), product);
    let turned = |x: &[Host], i: &[usize]| dot(x[0].along(0, &[0, i[0]]), x[1].along(1, &[i[1], 0]));
    hold(&[off_grid(&[5, 3]), off_grid(&[4, 5])], &[3, 4], |x| x[0].matmul_t(&x[1], true, true), turned);
    let affine = |x: &[Host], i: &[usize]| dot(x[0].along(1, &[i[0], 0]), x[1].along(1, &[i[1], 0])) + x[2].at(&i[1..]);
    let operands = [off_grid(&[3, 5]), off_grid(&[4, 5]), off_grid(&[4])];
    hold(&operands, &[3, 4], |x| x[0].linear(&x[1], Some(&x[2])), affine);
    let attention = |x: &[Host], i: &[usize]| {
        let [image, value, position] = [i[0], i[1], i[2]];
        let query = x[0].along(1, &[image, 0, position]);
        let scores: Vec<f64> = (0..4).map(|q| dot(query.clone(), x[1].along(1, &[image, 0, q]))).collect();
        let all = log_sum_exp(&scores);
        dot(scores.iter().map(|score| (score - all).exp()).collect(), x[2].along(2, &[image, value, 0]))
    };
    let operands = [off_grid(&[2, 3, 5]), off_grid(&[2, 3, 4]), off_grid(&[2, 6, 4])];
    hold(&operands, &[2, 6, 5], |x| x[0].attend(&x[1], &x[2]), attention);
}

/// An element, or zero beside the tensor.
fn or_zero(x: &Host, at: &[isize]) -> f64 {
    let inside = std::iter::zip(at, &x.shape).all(|(i, extent)| (0..*extent as isize).contains(i));
    if inside { x.at(&at.iter().map(|i| *i as usize).collect::<Vec<_>>()) } else { 0.0 }
}

#[test]
fn convolutions() {
    let x = || off_grid(&[2, 4, 5, 6]);
    let spec = ConvSpec { stride: [2, 1], padding: [1, 0, 0, 1], dilation: [1, 2], ..ConvSpec::default() };
    let sum = |x: &[Host], i: &[usize]| {
        let mut sum = x[2].at(&i[1..2]);
        for (c, ky, kx) in (0..24).map(|k| (k / 6, k / 2 % 3, k % 2)) {
            let [row, column] = [(2 * i[2] + ky) as isize - 1, (i[3] + 2 * kx) as isize];
            sum += x[1].at(&[i[1], c, ky, kx]) * or_zero(&x[0], &[i[0] as isize, c as isize, row, column]);
        }
        sum
    };
    let operands = [x(), off_grid(&[3, 4, 3, 2]), off_grid(&[3])];
    hold(&operands, &[2, 3, 2, 5], |x| x[0].conv2d(&x[1], Some(&x[2]), &spec), sum);
    // Pixels before this one are seen, of this one the colours before (A), or its own too (B).
    for (mask, own) in [(Mask::A, false), (Mask::B, true)] {
        let seen = |x: &[Host], i: &[usize]| {
            let mut sum = x[2].at(&i[1..2]);
            for (c, ky, kx) in (0..36).map(|k| (k / 9, k / 3 % 3, k % 3)) {
                let here = c % 2 < i[1] % 2 || own && c % 2 == i[1] % 2;
                let at = [i[0] as isize, c as isize, (i[2] + ky) as isize - 1, (i[3] + kx) as isize - 1];
                if [ky, kx] < [1, 1] || [ky, kx] == [1, 1] && here {
                    sum += x[1].at(&[i[1], c, ky, kx]) * or_zero(&x[0], &at);
                }
            }
            sum
        };
        let operands = [x(), off_grid(&[6, 4, 3, 3]), off_grid(&[6])];
        let spec = ConvSpec::masked(mask, [3, 3], 2);
        hold(&operands, &[2, 6, 5, 6], |x| x[0].conv2d(&x[1], Some(&x[2]), &spec), seen);
    }
    let channel = |x: &[Host], i: &[usize]| {
        let mut sum = x[2].at(&i[1..2]);
        for (ky, kx) in (0..9).map(|k| (k / 3, k % 3)) {
            let at = [i[0] as isize, i[1] as isize, (2 * i[2] + ky) as isize - 1, (2 * i[3] + kx) as isize - 1];
            sum += x[1].at(&[i[1], 0, ky, kx]) * or_zero(&x[0], &at);
        }
        sum
    };
    let operands = [x(), off_grid(&[4, 1, 3, 3]), off_grid(&[4])];
    hold(&operands, &[2, 4, 3, 3], |x| x[0].depthwise_conv2d(&x[1], &x[2], 2, 1), channel);
    // Each element of x is spread out by the kernel; here gathered the other way round.
    let spec = ConvSpec { stride: [2, 3], padding: [1, 1, 0, 0], ..ConvSpec::default() };
    let spread = |x: &[Host], i: &[usize]| {
        let mut sum = x[2].at(&i[1..2]);
        for (c, y, column) in (0..4 * 30).map(|k| (k / 30, k / 6 % 5, k % 6)) {
            let [ky, kx] = [i[2] as isize + 1 - 2 * y as isize, i[3] as isize + 1 - 3 * column as isize];
            sum += x[0].at(&[i[0], c, y, column]) * or_zero(&x[1], &[c as isize, i[1] as isize, ky, kx]);
        }
        sum
    };
    let operands = [x(), off_grid(&[4, 3, 4, 4]), off_grid(&[3])];
    hold(&operands, &[2, 3, 12, 18], |x| x[0].conv_transpose2d(&x[1], Some(&x[2]), &spec, [1, 0]), spread);
}

#[test]
fn views() {
    let x = || off_grid(&[3, 4, 5]);
    let signed = |i: &[usize]| [i[0] as isize, i[1] as isize, i[2] as isize];
    hold(&[x()], &[3, 20], |x| x[0].flatten(), |x, i| x[0].at(&[i[0], i[1] / 5, i[1] % 5]));
    hold(&[x()], &[3, 2, 5], |x| x[0].slice(1, 1, 2), |x, i| x[0].at(&[i[0], i[1] + 1, i[2]]));
    let padded = |x: &[Host], i: &[usize]| {
        or_zero(&x[0], &{
            let [a, b, c] = signed(i);
            [a, b - 2, c]
        })
    };
    hold(&[x()], &[3, 7, 5], |x| x[0].pad(1, 2, 1), padded);
    for by in [-2isize, 1] {
        let moved = |x: &[Host], i: &[usize]| {
            or_zero(&x[0], &{
                let [a, b, c] = signed(i);
                [a, b, c - by]
            })
        };
        hold(&[x()], &[3, 4, 5], |x| x[0].shift(2, by), moved);
    }
    hold(&[x()], &[3, 4, 5], |x| x[0].flip(2), |x, i| x[0].at(&[i[0], i[1], 4 - i[2]]));
    hold(&[x()], &[3, 4, 3], |x| x[0].subsample(2, 2), |x, i| x[0].at(&[i[0], i[1], 2 * i[2]]));
    let apart = |x: &[Host], i: &[usize]| if i[1].is_multiple_of(3) { x[0].at(&[i[0], i[1] / 3, i[2]]) } else { 0.0 };
    hold(&[x()], &[3, 11, 5], |x| x[0].dilate(1, 3, 11), apart);
    hold(&[x()], &[5, 3, 4], |x| x[0].permute(&[2, 0, 1]), |x, i| x[0].at(&[i[1], i[2], i[0]]));
    hold(&[x()], &[6, 4, 5], |x| x[0].repeat(2), |x, i| x[0].at(&[i[0] % 3, i[1], i[2]]));
    let joined = |x: &[Host], i: &[usize]| match i[1].checked_sub(4) {
        Some(k) => x[1].at(&[i[0], k, i[2]]),
        None => x[0].at(i),
    };
    hold(&[x(), off_grid(&[3, 2, 5])], &[3, 6, 5], |x| x[0].concat(&x[1], 1), joined);
    hold(&[x()], &[1, 4, 5], |x| x[0].part(1)[0].clone(), |x, i| x[0].at(i));
    hold(&[x()], &[2, 4, 5], |x| x[0].part(1)[1].clone(), |x, i| x[0].at(&[i[0] + 1, i[1], i[2]]));
    let halves = |x: &[Host], i: &[usize]| x[0].at(i).tanh() * sigmoid(x[0].at(&[i[0], i[1] + 2, i[2]]));
    hold(&[x()], &[3, 2, 5], |x| x[0].gate(true), halves);
    let both = |x: &[Host], i: &[usize]| {
        let v = if i[1] < 4 { x[0].at(i) } else { -x[0].at(&[i[0], i[1] - 4, i[2]]) };
        if v > 0.0 { v } else { v.exp() - 1.0 }
    };
    hold(&[x()], &[3, 8, 5], |x| x[0].concat_elu(), both);
    // Row d of the diagonals holds pixels (i, d - i).
    let diagonal = |x: &[Host], i: &[usize]| {
        or_zero(&x[0], &[i[0] as isize, i[1] as isize, i[3] as isize, i[2] as isize - i[3] as isize])
    };
    hold(&[off_grid(&[2, 3, 4, 5])], &[2, 3, 8, 4], |x| x[0].skew(), diagonal);
    let image = |x: &[Host], i: &[usize]| x[0].at(&[i[0], i[1], i[2] + i[3], i[2]]);
    hold(&[off_grid(&[2, 3, 8, 4])], &[2, 3, 4, 5], |x| x[0].unskew(), image);
}
