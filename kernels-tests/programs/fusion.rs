//! What the planner merges, what it must leave apart, and that neither shows in the results.

use crate::support::{
    Tensors, assert_same_everywhere, assert_same_under_every_plan, gpu, graph, launches, normals, random_values,
};
use limn::graph::{Graph, Var, gradients};
use limn::kernels::pointwise::{MAX_INPUTS, MAX_STEPS};
use limn::ops::ConvSpec;
use limn::program::{Device, Options, Source};

const FUSED: Options = Options { caps: None, choices: None, fuse: true, reuse: true };
const APART: Options = Options { caps: None, choices: None, fuse: false, reuse: true };

/// A graph with one output called `y`.
fn source(build: impl Fn(&Graph) -> Var) -> Source {
    let g = graph();
    g.output("y", &build(&g));
    g.finish().expect("a graph")
}

/// Holds the launches of the fused plan against `want`, and its results against those of others.
fn assert_fuses(source: &Source, want: &[&str]) {
    assert_eq!(launches(source, &FUSED), want);
    assert_same_under_every_plan(source, &random_values(source), &Device::Reference, 1);
}

type Act = fn(&Var) -> Var;
type Build = fn(&Graph) -> Var;

fn activations() -> [(&'static str, Act); 5] {
    [
        ("relu", Var::relu),
        ("leaky_relu", |x| x.leaky_relu(0.2)),
        ("elu", Var::elu),
        ("tanh", Var::tanh),
        ("sigmoid", Var::sigmoid),
    ]
}

/// Each kernel with an epilogue, on [2,3,4,4] or as good as that.
fn producers() -> [(&'static str, Build); 4] {
    [
        ("conv2d", |g| {
            let (w, b) = (g.input("w", &[5, 3, 3, 3]), g.input("b", &[5]));
            g.input("x", &[2, 3, 4, 4]).conv2d(&w, Some(&b), &ConvSpec::new(1, 1))
        }),
        ("conv_transpose2d", |g| {
            let (w, b) = (g.input("w", &[3, 5, 4, 4]), g.input("b", &[5]));
            g.input("x", &[2, 3, 4, 4]).conv_transpose2d(&w, Some(&b), &ConvSpec::new(2, 1), [0, 0])
        }),
        ("matmul", |g| g.input("x", &[6, 7]).linear(&g.input("w", &[5, 7]), Some(&g.input("b", &[5])))),
        ("batch_norm", |g| {
            g.input("x", &[2, 3, 4, 4]).batch_norm(&g.input("gamma", &[3]), &g.input("beta", &[3]), 1e-5).y
        }),
    ]
}

#[test]
fn activations_move_into_the_kernel_in_front_of_them() {
    for (kernel, build) in producers() {
        for (name, act) in activations() {
            let source = source(|g| act(&build(g)));
            assert_fuses(&source, &[kernel]);
            assert_eq!(launches(&source, &APART), [kernel, "pointwise"], "{name}");
        }
    }
}

#[test]
fn epilogues_on_the_gpu() {
    for (_, build) in producers() {
        for (_, act) in activations() {
            let source = source(|g| act(&build(g)));
            assert_same_everywhere(&source, &random_values(&source), &gpu(), 1);
        }
        let source = source(|g| {
            let y = build(g);
            (&g.input("r", y.shape()) + &y).leaky_relu(0.1)
        });
        assert_same_everywhere(&source, &random_values(&source), &gpu(), 1);
    }
}

#[test]
fn residuals_move_into_the_kernel_in_front_of_them() {
    for (kernel, build) in producers() {
        let sum = |g: &Graph| {
            let y = build(g);
            &g.input("r", y.shape()) + &y
        };
        if kernel == "batch_norm" {
            assert_fuses(&source(sum), &[kernel, "pointwise"]);
        } else {
            assert_fuses(&source(sum), &[kernel]);
            assert_fuses(&source(|g| sum(g).relu()), &[kernel]);
        }
    }
}

/// y times the gate of another tensor `g`, as the gradient of a ReLU or leaky ReLU that made g.
fn gated(g: &Graph, y: &Var, slope: f32) -> Var {
    y * &g.input("g", y.shape()).relu_mask(slope)
}

#[test]
fn gates_move_into_the_kernel_in_front_of_them() {
    for (kernel, build) in producers() {
        let alone = source(|g| gated(g, &build(g), 0.2));
        let with_residual = source(|g| {
            let y = gated(g, &build(g), 0.0);
            &g.input("r", y.shape()) + &y
        });
        if kernel == "batch_norm" {
            assert_fuses(&alone, &[kernel, "pointwise"]);
            continue;
        }
        assert_fuses(&alone, &[kernel]);
        assert_fuses(&with_residual, &[kernel]);
        assert_fuses(&source(|g| gated(g, &build(g), 0.2).tanh()), &[kernel]);
        for source in [&alone, &with_residual] {
            assert_same_everywhere(source, &random_values(source), &gpu(), 1);
        }
    }
}

#[test]
fn a_gate_stands_in_front_of_a_residual_and_of_an_activation() {
    let conv = producers()[0].1;
    let behind = source(|g| {
        let y = conv(g);
        gated(g, &(&y + &g.input("r", y.shape())), 0.2)
    });
    assert_fuses(&behind, &["conv2d", "pointwise"]);
    assert_fuses(&source(|g| gated(g, &conv(g).tanh(), 0.2)), &["conv2d", "pointwise"]);
    assert_fuses(&source(|g| gated(g, &gated(g, &conv(g), 0.2), 0.3)), &["conv2d", "pointwise"]);
    // A gate that others read as well is made for them.
    let shared = source(|g| {
        let y = conv(g);
        let gate = g.input("g", y.shape()).relu_mask(0.2);
        g.output("gate", &gate);
        &y * &gate
    });
    assert_fuses(&shared, &["conv2d", "pointwise"]);
    // Smaller ones broadcast, and a gate of the result itself is needed beside it.
    let narrow = source(|g| &conv(g) * &g.input("g", &[4]).relu_mask(0.2));
    assert_fuses(&narrow, &["conv2d", "pointwise", "pointwise"]);
    let own = source(|g| {
        let y = conv(g);
        &y * &y.relu_mask(0.2)
    });
    assert_fuses(&own, &["conv2d", "pointwise"]);
}

#[test]
fn the_gradient_of_a_rectifier_moves_into_the_convolution_in_front_of_it() {
    let backward = source(|g| {
        let (x, w, v) = (g.input("x", &[2, 3, 4, 4]), g.input("w", &[5, 3, 3, 3]), g.input("v", &[2, 5, 3, 3]));
        let same = ConvSpec::new(1, 1);
        let loss = x.conv2d(&w, None, &same).leaky_relu(0.2).conv2d(&v, None, &same).square().sum();
        gradients(&loss, &[w]).remove(0).expect("dw")
    });
    let want = ["conv2d", "conv2d", "pointwise", "conv_transpose2d", "conv2d_weight_grad"];
    assert_fuses(&backward, &want);
}

#[test]
fn an_epilogue_holds_one_residual_and_then_one_activation() {
    let conv = producers()[0].1;
    let other = |g: &Graph, name: &str| g.input(name, &[2, 5, 4, 4]);
    assert_fuses(&source(|g| &conv(g).relu() + &other(g, "r")), &["conv2d", "pointwise"]);
    assert_fuses(&source(|g| conv(g).relu().tanh()), &["conv2d", "pointwise"]);
    assert_fuses(&source(|g| &(&conv(g) + &other(g, "r")) + &other(g, "s")), &["conv2d", "pointwise"]);
    assert_fuses(&source(|g| &(&conv(g) + &other(g, "r")).relu() + &other(g, "s")), &["conv2d", "pointwise"]);
}

#[test]
fn a_sum_that_broadcasts_or_doubles_is_no_residual() {
    let conv = producers()[0].1;
    assert_fuses(&source(|g| &conv(g) + &g.input("r", &[5, 1, 1])), &["conv2d", "pointwise"]);
    assert_fuses(&source(|g| &conv(g) + &g.input("r", &[3, 2, 5, 4, 4])), &["conv2d", "pointwise"]);
    let doubled = source(|g| {
        let y = conv(g);
        &y + &y
    });
    assert_fuses(&doubled, &["conv2d", "pointwise"]);
}

#[test]
fn what_is_always_the_same_number_is_not_drawn() {
    for build in [|g: &Graph| g.constant(&[2, 3], 0.5), |g: &Graph| g.uniform(&[2, 3], 0.5, 0.5)] {
        let source = source(build);
        assert!(source.states.is_empty(), "it needs no clock");
        assert_fuses(&source, &["fill"]);
    }
    assert_fuses(&source(|g| g.uniform(&[2, 3], 0.0, 0.5)), &["random"]);
}

#[test]
fn a_residual_that_is_computed_later_is_waited_for() {
    let two = source(|g| {
        let (x, w, v) = (g.input("x", &[2, 3, 4, 4]), g.input("w", &[2, 3, 1, 1]), g.input("v", &[2, 3, 3, 3]));
        let early = x.conv2d(&w, None, &ConvSpec::default());
        let late = x.conv2d(&v, None, &ConvSpec::new(1, 1));
        (&early + &late).tanh()
    });
    assert_fuses(&two, &["conv2d", "conv2d"]);
}

#[test]
fn running_statistics_do_not_keep_an_activation_from_batch_norm() {
    let normed = source(|g| {
        let (gamma, beta) = (g.input("gamma", &[3]), g.input("beta", &[3]));
        let normed = g.input("x", &[4, 3, 2, 2]).batch_norm(&gamma, &beta, 1e-5);
        g.ema(&normed.mean, &g.state("mean", 3, 0, &[3]), 0.1, 1.0);
        g.ema(&normed.var, &g.state("var", 3, 0, &[3]), 0.1, 1.1);
        normed.y.relu()
    });
    assert_fuses(&normed, &["batch_norm", "ema", "ema"]);
}

#[test]
fn what_somebody_else_reads_is_not_swallowed() {
    for (kernel, build) in producers() {
        let as_output = source(|g| {
            let y = build(g);
            g.output("before", &y);
            y.relu()
        });
        assert_fuses(&as_output, &[kernel, "pointwise"]);
        let twice = source(|g| {
            let y = build(g);
            g.output("slice", &y.slice(1, 0, 2));
            y.relu()
        });
        assert_fuses(&twice, &[kernel, "strided", "pointwise"]);
        let reshaped = source(|g| {
            let y = build(g);
            g.output("flat", &y.flatten());
            y.relu()
        });
        assert_fuses(&reshaped, &[kernel, "pointwise"]);
    }
}

#[test]
fn what_the_backward_pass_needs_is_not_swallowed() {
    for (kernel, build) in producers() {
        // The gradient of a·y needs y and that of relu its own output: neither sum nor relu may go.
        let needed = source(|g| {
            let y = build(g);
            let loss = (&y.tanh() * &y).sum();
            gradients(&loss, &[g.input("x", &shape_of(g))]).remove(0).expect("dx")
        });
        assert!(launches(&needed, &FUSED).contains(&kernel));
        assert_same_under_every_plan(&needed, &random_values(&needed), &Device::Reference, 2);
        // tanh's own gradient needs only what tanh made.
        let swallowed = source(|g| {
            let loss = build(g).tanh().square().sum();
            let dx = gradients(&loss, &[g.input("x", &shape_of(g))]).remove(0).expect("dx");
            g.output("loss", &loss);
            dx
        });
        let (together, apart) = (launches(&swallowed, &FUSED), launches(&swallowed, &APART));
        assert!(together.len() < apart.len());
        assert_eq!(together[0], kernel);
        assert_same_under_every_plan(&swallowed, &random_values(&swallowed), &Device::Reference, 2);
    }
}

/// The shape of the input `x` of a producer in this graph.
fn shape_of(g: &Graph) -> Vec<usize> {
    let source = g.finish().expect("a graph");
    let x = limn::program::Place::Input("x".into());
    source.values.iter().find(|v| v.place == x).expect("x").shape.clone()
}

#[test]
fn chains_become_one_launch() {
    let chain = source(|g| {
        let (x, y) = (g.input("x", &[3, 4]), g.input("y", &[4]));
        (&(&x * &y).tanh() + &x).mul_scalar(0.5)
    });
    assert_fuses(&chain, &["pointwise"]);
    assert_eq!(launches(&chain, &APART), ["pointwise"; 4]);
    let diamond = source(|g| {
        let x = g.input("x", &[5]).exp();
        &x * &x
    });
    assert_fuses(&diamond, &["pointwise"]);
    let two_readers = source(|g| {
        let x = g.input("x", &[5]).exp();
        g.output("z", &x.tanh());
        x.relu()
    });
    assert_fuses(&two_readers, &["pointwise"; 3]);
}

#[test]
fn chains_end_where_a_launch_is_full() {
    for steps in [MAX_STEPS, MAX_STEPS + 1, 2 * MAX_STEPS + 1] {
        let long = source(|g| (0..steps).fold(g.input("x", &[7]), |x, k| x.add_scalar(k as f32 / 8.0)));
        assert_fuses(&long, &vec!["pointwise"; steps.div_ceil(MAX_STEPS)]);
    }
    for operands in [MAX_INPUTS, MAX_INPUTS + 1, 12] {
        let wide = source(|g| {
            let inputs: Vec<Var> = (0..operands).map(|k| g.input(&format!("x{k}"), &[7])).collect();
            inputs[1..].iter().fold(inputs[0].clone(), |sum, x| &sum * x)
        });
        assert_fuses(&wide, &vec!["pointwise"; (operands - 1).div_ceil(MAX_INPUTS - 1)]);
    }
    let tree = source(|g| {
        let pair = |k: usize| &g.input(&format!("x{}", 2 * k), &[7]) * &g.input(&format!("x{}", 2 * k + 1), &[7]);
        let four = |k: usize| &pair(2 * k) - &pair(2 * k + 1);
        four(0).maximum(&four(1))
    });
    assert_same_under_every_plan(&tree, &random_values(&tree), &Device::Reference, 1);
}

#[test]
fn an_operand_keeps_its_broadcast_when_the_chain_goes_on_under_another_shape() {
    let reshaped = source(|g| {
        let row = &g.input("x", &[2, 3, 4]) + &g.input("b", &[4]);
        &row.reshape(&[4, 6]) * &g.input("s", &[6])
    });
    assert_fuses(&reshaped, &["pointwise"]);
    let flattened = source(|g| {
        let plane = &g.input("x", &[2, 3, 4]) * &g.input("c", &[3, 1]);
        plane.reshape(&[24]).tanh()
    });
    assert_fuses(&flattened, &["pointwise"]);
    let same_operand = source(|g| {
        let b = g.input("b", &[6]);
        let first = &g.input("x", &[4, 6]) + &b;
        &first.reshape(&[2, 2, 6]) * &b.reshape(&[6, 1]).reshape(&[2, 3]).flatten().sum_axes(&[1]).reshape(&[2, 1, 1])
    });
    assert_same_under_every_plan(&same_operand, &random_values(&same_operand), &Device::Reference, 1);
}

/// y = f(state) made before the state moves by one half towards x, and used behind that.
fn around_an_update(f: impl Fn(&Graph, &Var) -> Var, then: impl Fn(&Graph, &Var, &Var) -> Var) -> Source {
    source(|g| {
        let (x, s) = (g.input("x", &[2, 3]), g.state("s", 6, 0, &[2, 3]));
        let before = f(g, &s);
        g.ema(&x, &s, 0.5, 1.0);
        then(g, &before, &s)
    })
}

#[test]
fn nothing_moves_past_an_update_of_what_it_reads() {
    let values = Tensors::from([
        ("x".into(), normals(1, 6)),
        ("s".into(), normals(2, 6)),
        ("w".into(), normals(3, 9)),
        ("clock".into(), vec![0.0]),
    ]);
    let check = |source: &Source, want: &[&str]| {
        assert_eq!(launches(source, &FUSED), want);
        assert_same_under_every_plan(source, &values, &Device::Reference, 2);
    };
    // A pointwise producer.
    let doubled = around_an_update(|_, s| s.mul_scalar(2.0), |g, y, _| y + &g.input("x", &[2, 3]));
    check(&doubled, &["pointwise", "ema", "pointwise"]);
    // A kernel that would have to wait for a residual which is there only behind the update.
    let product = |g: &Graph, s: &Var| s.matmul(&g.input("w", &[3, 3]));
    check(&around_an_update(product, |_, y, s| y + &s.flip(0)), &["matmul", "ema", "strided", "pointwise"]);
    // A residual that is itself the updated state.
    check(&around_an_update(product, |_, y, s| y + s), &["matmul", "ema", "pointwise"]);
    // An activation reads nothing else and may go in front of the update.
    check(&around_an_update(product, |_, y, _| y.tanh()), &["matmul", "ema"]);
    // A gate of a state opens as the state did before the update.
    let opened = around_an_update(|_, s| s.relu_mask(0.2), |g, open, _| &product(g, &g.input("x", &[2, 3])) * open);
    check(&opened, &["pointwise", "ema", "matmul", "pointwise"]);
    // A kernel that does not read the state waits for it.
    let apart = around_an_update(|g, _| g.input("x", &[2, 3]).matmul(&g.input("w", &[3, 3])), |_, y, s| y + s);
    check(&apart, &["ema", "matmul"]);
}

#[test]
fn what_nobody_needs_is_not_run() {
    let dead = source(|g| {
        let x = g.input("x", &[2, 3]);
        let (a, b) = (x.matmul(&g.input("w", &[3, 3])), x.flip(0));
        let _unused = (&a * &b).sum();
        g.ema(&x, &g.state("s", 6, 0, &[2, 3]), 0.5, 1.0);
        a.sum()
    });
    for options in [FUSED, APART] {
        assert_eq!(launches(&dead, &options), ["matmul", "ema", "reduce_sum"]);
    }
}
