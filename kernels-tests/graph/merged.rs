//! What takes one launch against the same of many: gates, normalised weights, memories, batches that
//! are normalised side by side, and pieces that are written and read where they lie.

use crate::support::{Rig, assert_all_close, gpu, graph, launches, random_values};
use limn::graph::{Graph, Var, gradients};
use limn::ops::ConvSpec;
use limn::program::{Device, Options, Source};

/// A graph of y and of the gradients of Σ y·k by each of `inputs`.
fn differentiated(shapes: &[&[usize]], build: impl Fn(&[Var]) -> Var) -> Source {
    let g = graph();
    let inputs: Vec<Var> = shapes.iter().enumerate().map(|(i, shape)| g.input(&format!("x{i}"), shape)).collect();
    let y = build(&inputs);
    let loss = (&y * &g.input("k", y.shape())).sum();
    g.output("y", &y);
    for (i, gradient) in gradients(&loss, &inputs).into_iter().enumerate() {
        gradient.iter().for_each(|gradient| g.output(&format!("d{i}"), gradient));
    }
    g.finish().expect("a graph")
}

/// Outputs, gradients and states of both are the same up to rounding, on every device.
fn assert_same(merged: &Source, apart: &Source, tolerance: f32) {
    let values = random_values(merged);
    let want = Rig::on(apart, &Device::Reference, &values).after(1);
    assert!(2 * want.len() >= values.len(), "{:?}", want.keys());
    for device in [Device::Reference, Device::Cpu, gpu()] {
        assert_all_close(&Rig::on(merged, &device, &values).after(1), &want, tolerance);
    }
}

fn names(source: &Source) -> Vec<&'static str> {
    launches(source, &Options::new(gpu().caps()))
}

#[test]
fn gates_are_products_of_halves() {
    for (tanh, shape) in [(true, [2, 6, 3, 5]), (false, [3, 8, 2, 2])] {
        let halves = |x: &Var| {
            let half = shape[1] / 2;
            let first = x.slice(1, 0, half);
            &if tanh { first.tanh() } else { first } * &x.slice(1, half, half).sigmoid()
        };
        let rest = [shape[0], shape[1] / 2, shape[2], shape[3]];
        let merged = differentiated(&[&shape, &rest], |x| &x[1] + &x[0].gate(tanh));
        assert_same(&merged, &differentiated(&[&shape, &rest], |x| &x[1] + &halves(&x[0])), 2e-6);
        assert!(names(&merged).contains(&"gate") && names(&merged).len() <= 4, "{:?}", names(&merged));
    }
}

#[test]
fn both_signs_go_through_elu_at_once() {
    let shape = [3, 5, 2, 3];
    let merged = differentiated(&[&shape], |x| x[0].concat_elu());
    assert_same(&merged, &differentiated(&[&shape], |x| x[0].concat(&-&x[0], 1).elu()), 2e-6);
}

#[test]
fn lengths_and_directions_make_weights() {
    for axis in [0, 1] {
        let (v, mut g) = ([4, 6, 3, 2], [1; 4]);
        g[axis] = v[axis];
        let others: Vec<usize> = (0..4).filter(|other| *other != axis).collect();
        let merged = differentiated(&[&v, &g], |x| x[0].weight_norm(&x[1], axis));
        let apart = differentiated(&[&v, &g], |x| &x[0] * &(&x[1] / &x[0].square().sum_axes(&others).sqrt()));
        assert_same(&merged, &apart, 5e-6);
        assert!(names(&merged).len() <= 4, "{:?}", names(&merged));
    }
}

#[test]
fn weights_are_divided_by_their_singular_value() {
    let shapes: [&[usize]; 3] = [&[5, 3, 2, 2], &[5], &[12]];
    let build = |norm: fn(&Var, &Var, &Var) -> Var| {
        let g = graph();
        let [w, u, v] = [0, 1, 2].map(|i| g.input(&format!("x{i}"), shapes[i]));
        let y = norm(&w, &u, &v);
        g.output("y", &y);
        let loss = (&y * &g.input("k", shapes[0])).sum();
        g.output("dw", &gradients(&loss, &[w]).remove(0).expect("a gradient"));
        g.finish().expect("a graph")
    };
    let merged = build(|w, u, v| w.spectral_norm(u, v));
    let apart = build(|w, u, v| {
        let product = w.flatten().matmul(&v.reshape(&[12, 1]));
        w / &(&u.reshape(&[5, 1]) * &product).sum()
    });
    // σ of such vectors is a difference of large numbers.
    assert_same(&merged, &apart, 5e-5);
}

/// Row by row: the gates o, f, i and g of x + the convolution of the row before.
fn memory(x: &Var, w: &Var, left: usize) -> Var {
    let [n, gates, rows, wide] = [0, 1, 2, 3].map(|axis| x.shape()[axis]);
    let (hidden, taps) = (gates / 4, w.shape()[3]);
    let spec = ConvSpec { padding: [0, left, 0, taps - 1 - left], ..ConvSpec::default() };
    let mut c = x.graph().constant(&[n, hidden, 1, wide], 0.0);
    let mut states: Vec<Var> = Vec::new();
    for t in 0..rows {
        let mut pre = x.slice(2, t, 1);
        if let Some(before) = states.last() {
            pre = &pre + &before.conv2d(w, None, &spec);
        }
        let gate = |k: usize| pre.slice(1, k * hidden, hidden);
        let [o, f, i] = [0, 1, 2].map(|k| gate(k).sigmoid());
        c = &(&f * &c) + &(&i * &gate(3).tanh());
        states.push(&o * &c.tanh());
    }
    states.into_iter().reduce(|all, row| all.concat(&row, 2)).expect("a row")
}

#[test]
fn a_memory_of_one_launch_goes_row_by_row() {
    let (x, row, diagonal) = ([2, 12, 4, 5], [12, 3, 1, 3], [12, 3, 1, 2]);
    let merged = differentiated(&[&x, &row], |x| x[0].row_lstm(&x[1]));
    assert_same(&merged, &differentiated(&[&x, &row], |x| memory(&x[0], &x[1], 1)), 1e-5);
    assert!(names(&merged).len() < 10, "{:?}", names(&merged));
    let merged = differentiated(&[&x, &diagonal], |x| x[0].diagonal_lstm(&x[1], false));
    let apart = differentiated(&[&x, &diagonal], |x| memory(&x[0].skew(), &x[1], 1).unskew());
    assert_same(&merged, &apart, 1e-5);
}

/// The rows of a memory that is too large for a workgroup take launches of their own.
#[test]
fn a_large_memory_goes_row_by_row_too() {
    let (x, w) = ([1, 4 * 80, 2, 16], [4 * 80, 80, 1, 3]);
    let source = differentiated(&[&x, &w], |x| x[0].row_lstm(&x[1]));
    assert!(names(&source).contains(&"lstm_cell"), "{:?}", names(&source));
    assert_same(&source, &differentiated(&[&x, &w], |x| memory(&x[0], &x[1], 1)), 2e-4);
}

/// y, its gradients, and running statistics of two batches, together or one after the other.
fn normalised(shape: [usize; 4], together: bool) -> Source {
    let g = graph();
    let [n, c, ..] = shape;
    let mut whole = shape;
    whole[0] = 2 * n;
    let (x, k) = (g.input("x", &whole), g.input("k", &whole));
    let [gamma, beta] = ["gamma", "beta"].map(|name| g.input(name, &[c]));
    let [mean, var] = [0, 64].map(|offset| g.state("stats", 128, offset, &[c]));
    let follow = |new: [&Var; 2]| {
        g.ema(new[0], &mean, 0.1, 1.0);
        g.ema(new[1], &var, 0.1, 1.25);
    };
    let y = if together {
        let normed = x.batch_norm_of(2, &gamma, &beta, 1e-5);
        follow([&normed.mean, &normed.var]);
        normed.y
    } else {
        let parts = [0, n].map(|first| x.slice(0, first, n).batch_norm(&gamma, &beta, 1e-5));
        parts.iter().for_each(|normed| follow([&normed.mean, &normed.var]));
        parts[0].y.concat(&parts[1].y, 0)
    };
    g.output("y", &y);
    let wrt = [x, gamma, beta];
    for (i, gradient) in gradients(&(&y * &k).sum(), &wrt).into_iter().enumerate() {
        g.output(&format!("d{i}"), &gradient.expect("a gradient"));
    }
    g.finish().expect("a graph")
}

#[test]
fn two_batches_are_normalised_side_by_side() {
    // Channels that one workgroup sums, and such as many share.
    for shape in [[3, 5, 2, 2], [7, 3, 1, 3], [40, 2, 24, 24]] {
        assert_same(&normalised(shape, true), &normalised(shape, false), 2e-5);
    }
}

fn placed(rows: usize, apart: bool) -> Source {
    let g: Graph = graph();
    let x = g.input("x", &[rows, 64]);
    let both = match apart {
        true => x.flip(0).pad(0, 0, rows).shift(0, 0),
        false => x.flip(0).concat(&x.flip(1), 0),
    };
    let both = if apart { &both + &x.flip(1).pad(0, rows, 0) } else { both };
    let [a, b] = match apart {
        true => [both.slice(0, 0, rows), both.slice(0, rows, rows)],
        false => both.part(rows),
    };
    let loss = (&a.tanh() * &b.square()).sum();
    g.output("loss", &loss);
    g.output("dx", &gradients(&loss, &[x]).remove(0).expect("a gradient"));
    g.finish().expect("a graph")
}

#[test]
fn pieces_are_written_and_read_where_they_lie() {
    for rows in [2, 3, 8] {
        assert_same(&placed(rows, false), &placed(rows, true), 2e-6);
        let names = names(&placed(rows, false));
        assert!(!names.contains(&"concat") && !names.contains(&"copy"), "{names:?}");
        // Two flips, and two that undo them.
        assert_eq!(names.iter().filter(|name| **name == "strided").count(), 4, "{names:?}");
    }
}
