//! Every differentiable op against differences.

use crate::derivatives::{Operand, check_first, classes, off_grid, on_grid, pointwise_operations, positive};
use limn::graph::Var;
use limn::ops::{ConvSpec, Mask};

fn unary(x: Operand, op: impl Fn(&Var) -> Var) {
    check_first(&[x], |x| vec![op(&x[0])]);
}

fn binary(a: Operand, b: Operand, op: impl Fn(&Var, &Var) -> Var) {
    check_first(&[a, b], |x| vec![op(&x[0], &x[1])]);
}

#[test]
fn every_pointwise_operation() {
    pointwise_operations(|operands, op| check_first(operands, op));
}

#[test]
fn what_is_made_of_pointwise_operations() {
    let (a, b) = (|| off_grid(&[3, 7]), || on_grid(&[3, 7]));
    unary(a(), |x| -x);
    unary(a(), Var::square);
    unary(a(), |x| x.clamp(-0.5, 0.75));
    binary(a(), b(), |a, b| a * b);
    binary(a(), b(), Var::maximum);
    binary(a(), b(), Var::bce_with_logits);
    binary(a(), b(), Var::mse);
}

#[test]
fn an_operand_used_twice_gets_both_gradients() {
    unary(off_grid(&[6]), |x| &(x * &x.tanh()) + &(x / &x.exp()));
}

/// Each shape against [2,3,4,5] and against its neighbour, so that either or both repeat; the
/// middle ones repeat along axes apart and have to be laid out in memory.
#[test]
fn broadcasting() {
    let shapes: [&[usize]; 12] = [
        &[2, 3, 4, 5],
        &[1],
        &[5],
        &[4, 1],
        &[3, 1, 1],
        &[2, 1, 1, 1],
        &[3, 4, 5],
        &[2, 3, 1, 1],
        &[2, 1, 1, 5],
        &[3, 1, 5],
        &[2, 1, 4, 1],
        &[1, 3, 1, 5],
    ];
    for (i, b) in shapes.iter().enumerate() {
        binary(off_grid(shapes[0]), positive(b), |a, b| a * b);
        binary(off_grid(b), positive(shapes[0]), |a, b| a / b);
        binary(off_grid(b), positive(shapes[(i + 1) % shapes.len()]), |a, b| &(a * b) - b);
    }
}

#[test]
fn reductions() {
    let all: [&[usize]; 9] = [&[0], &[3], &[1, 2], &[0, 2, 3], &[1, 3], &[0, 2], &[0, 1, 2, 3], &[2], &[]];
    for axes in all {
        unary(off_grid(&[2, 3, 4, 5]), |x| x.sum_axes(axes));
        unary(off_grid(&[2, 3, 4, 5]), |x| x.mean_axes(axes));
    }
    unary(off_grid(&[3, 4, 2]), Var::sum);
    unary(off_grid(&[3, 4, 2]), Var::mean);
    unary(off_grid(&[3, 4, 2]), Var::mean_per_image);
}

#[test]
fn reductions_over_more_runs_than_one_launch_takes() {
    unary(off_grid(&[2, 3, 2, 3, 2]), |x| x.sum_axes(&[0, 2, 4]));
    unary(off_grid(&[2, 1, 2, 3, 2, 1, 3, 2]), |x| x.mean_axes(&[0, 2, 4, 7]));
    unary(off_grid(&[1, 3, 1, 3, 2, 2, 2]), |x| x.sum_axes(&[0, 2, 4, 6]));
    unary(off_grid(&[2, 2, 2, 2, 2, 2, 2]), |x| x.sum_axes(&[0, 2, 4, 6]));
}

/// Three pieces, of which no two come near each other.
fn pieces(x: &[Var]) -> Var {
    x[0].concat(&x[1], 1).concat(&-&x[0], 1)
}

#[test]
fn maxima_along_an_axis() {
    check_first(&[off_grid(&[2, 1, 5]), on_grid(&[2, 1, 5])], |x| vec![pieces(x).max_axis(1)]);
    check_first(&[off_grid(&[1, 4]), on_grid(&[1, 4])], |x| vec![x[0].concat(&x[1], 0).max_axis(0).square()]);
}

#[test]
fn norms_of_progressive_growing() {
    unary(off_grid(&[3, 5]), Var::pixel_norm);
    unary(off_grid(&[2, 3, 2, 2]), Var::pixel_norm);
    for (n, group) in [(4, 2), (3, 4), (8, 4), (5, 4)] {
        unary(off_grid(&[n, 2, 2, 2]), |x| x.minibatch_stddev(group));
    }
}

#[test]
fn dropout() {
    unary(off_grid(&[4, 5]), |x| x.dropout(0.6));
    unary(off_grid(&[4, 5]), |x| x.dropout(0.6).tanh().dropout(0.9));
}

#[test]
fn matmul_with_every_transpose_and_batch() {
    let shape = |batch: Option<usize>, rows: usize, cols: usize, transposed: bool| -> Vec<usize> {
        let matrix = if transposed { [cols, rows] } else { [rows, cols] };
        batch.into_iter().chain(matrix).collect()
    };
    for batch in [None, Some(2)] {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let (a, b) = (shape(batch, 3, 4, ta), shape(batch, 4, 5, tb));
            binary(off_grid(&a), off_grid(&b), |a, b| a.matmul_t(b, ta, tb));
        }
    }
}

#[test]
fn linear_with_a_bias() {
    check_first(&[off_grid(&[3, 4]), off_grid(&[5, 4]), off_grid(&[5])], |x| vec![x[0].linear(&x[1], Some(&x[2]))]);
}

/// Strides that do not divide, padding and dilation of their own on each side and axis.
fn specs() -> Vec<(ConvSpec, [usize; 2])> {
    let plain = ConvSpec::default();
    vec![
        (plain, [1, 1]),
        (ConvSpec::new(2, 1), [3, 3]),
        (ConvSpec { stride: [2, 3], padding: [1, 0, 2, 1], ..plain }, [2, 3]),
        (ConvSpec { stride: [1, 2], padding: [2, 1, 0, 3], dilation: [2, 1], ..plain }, [3, 2]),
        (ConvSpec { stride: [3, 2], dilation: [1, 2], ..plain }, [1, 2]),
    ]
}

#[test]
fn conv2d() {
    for (spec, [kh, kw]) in specs() {
        let operands = [off_grid(&[2, 3, 6, 5]), off_grid(&[2, 3, kh, kw]), off_grid(&[2])];
        check_first(&operands, |x| vec![x[0].conv2d(&x[1], Some(&x[2]), &spec)]);
        check_first(&operands[..2], |x| vec![x[0].conv2d(&x[1], None, &spec)]);
    }
}

#[test]
fn conv_transpose2d() {
    for (spec, [kh, kw]) in specs() {
        let extra = [0, 1].map(|axis| spec.stride[axis].max(spec.dilation[axis]) - 1);
        let operands = [off_grid(&[2, 3, 3, 4]), off_grid(&[3, 2, kh, kw]), off_grid(&[2])];
        check_first(&operands, |x| vec![x[0].conv_transpose2d(&x[1], Some(&x[2]), &spec, extra)]);
        check_first(&operands[..2], |x| vec![x[0].conv_transpose2d(&x[1], None, &spec, [0, 0])]);
    }
}

#[test]
fn masked_conv2d() {
    for (mask, kernel, groups) in [
        (Mask::A, [3, 3], 1),
        (Mask::B, [3, 3], 1),
        (Mask::A, [1, 3], 3),
        (Mask::B, [3, 5], 3),
        (Mask::B, [1, 1], 3),
        (Mask::A, [5, 1], 2),
    ] {
        let spec = ConvSpec::masked(mask, kernel, groups);
        let operands = [off_grid(&[2, 3, 4, 5]), off_grid(&[4, 3, kernel[0], kernel[1]]), off_grid(&[4])];
        check_first(&operands, |x| vec![x[0].conv2d(&x[1], Some(&x[2]), &spec)]);
    }
    let dilated = ConvSpec { dilation: [2, 1], padding: [2, 1, 2, 1], ..ConvSpec::masked(Mask::A, [3, 3], 1) };
    binary(off_grid(&[1, 2, 5, 4]), off_grid(&[3, 2, 3, 3]), |x, w| x.conv2d(w, None, &dilated));
    let strided = ConvSpec { stride: [2, 1], ..ConvSpec::masked(Mask::B, [3, 3], 2) };
    binary(off_grid(&[2, 4, 3, 3]), off_grid(&[4, 2, 3, 3]), |y, w| y.conv_transpose2d(w, None, &strided, [1, 0]));
}

#[test]
fn batch_norm_of_images_and_of_rows() {
    for shape in [&[3, 2, 2, 3][..], &[5, 4]] {
        let c = [shape[1]];
        let operands = [off_grid(shape), positive(&c), off_grid(&c)];
        check_first(&operands, |x| vec![x[0].batch_norm(&x[1], &x[2], 1e-5).y]);
    }
}

#[test]
fn batch_norm_with_given_statistics() {
    for shape in [&[3, 2, 2, 3][..], &[5, 4]] {
        let c = [shape[1]];
        let operands = [off_grid(shape), positive(&c), off_grid(&c), off_grid(&c), positive(&c)];
        check_first(&operands, |x| vec![x[0].batch_norm_eval(&x[1], &x[2], &x[3], &x[4], 1e-5)]);
    }
}

#[test]
fn reparameterize_sample_and_divergence() {
    let operands = [off_grid(&[3, 5]), off_grid(&[3, 5])];
    let latent = |x: &[Var]| x[0].reparameterize(&x[1]);
    check_first(&operands, |x| vec![latent(x).z]);
    check_first(&operands, |x| vec![latent(x).kl]);
    check_first(&operands, |x| {
        let both = latent(x);
        vec![both.z, both.kl]
    });
}

#[test]
fn cross_entropy_over_channels() {
    check_first(&[off_grid(&[3, 5, 2, 2]), classes(&[3, 2, 2], 5)], |x| vec![x[0].cross_entropy(&x[1])]);
    check_first(&[off_grid(&[4, 5]), classes(&[4], 5)], |x| vec![x[0].cross_entropy(&x[1])]);
}

#[test]
fn views() {
    let x = || off_grid(&[2, 3, 4, 5]);
    unary(x(), |x| x.reshape(&[6, 20]));
    unary(x(), Var::flatten);
    for axis in 0..4 {
        unary(x(), |x| x.slice(axis, 1, 1));
        unary(x(), |x| x.pad(axis, 2, 1));
        unary(x(), |x| x.flip(axis));
        unary(x(), |x| x.subsample(axis, 2));
        unary(x(), |x| x.subsample(axis, 3));
        unary(x(), |x| x.dilate(axis, 2, 2 * x.shape()[axis] - 1));
        binary(x(), x(), |a, b| a.concat(&b.slice(axis, 0, 1), axis));
    }
    unary(x(), |x| x.permute(&[0, 2, 3, 1]));
    unary(x(), |x| x.permute(&[3, 0, 2, 1]));
    unary(off_grid(&[3, 4]), |x| x.permute(&[1, 0]));
}

#[test]
fn dilation_beyond_the_last_element_and_short_of_it() {
    for size in 2..10 {
        unary(off_grid(&[2, 3]), |x| x.dilate(1, 2, size));
    }
}

#[test]
fn resampling() {
    unary(off_grid(&[2, 2, 4, 6]), |x| x.avg_pool([2, 3]));
    unary(off_grid(&[2, 2, 2, 3]), |x| x.upsample([3, 2]));
}
