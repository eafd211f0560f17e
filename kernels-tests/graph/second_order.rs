//! Gradients of gradients: the closed set, the fixture, a penalty, and refusals.

use crate::derivatives::{check_first, check_second, classes, off_grid, on_grid, pointwise_operations, positive};
use crate::support::{Rig, Tensors, assert_close, graph};
use limn::graph::{Graph, GraphError, Var, gradients};
use limn::kernels::optimisers::schedule::Schedule;
use limn::kernels::optimisers::sgd::SgdRule;
use limn::kernels::philox::Stream;
use limn::ops::{ConvSpec, Mask};
use limn::program::Device;

#[test]
fn the_convolutions() {
    let spec = ConvSpec { stride: [2, 1], padding: [1, 0, 2, 1], dilation: [1, 2], ..ConvSpec::default() };
    let operands = [off_grid(&[2, 2, 4, 5]), off_grid(&[3, 2, 3, 2]), off_grid(&[3])];
    check_second(&operands, |x| vec![x[0].conv2d(&x[1], Some(&x[2]), &spec)]);
    let operands = [off_grid(&[2, 3, 3, 2]), off_grid(&[3, 2, 3, 2]), off_grid(&[2])];
    check_second(&operands, |x| vec![x[0].conv_transpose2d(&x[1], Some(&x[2]), &spec, [1, 1])]);
    let masked = ConvSpec::masked(Mask::B, [3, 3], 1);
    check_second(&[off_grid(&[1, 2, 3, 4]), off_grid(&[2, 2, 3, 3])], |x| vec![x[0].conv2d(&x[1], None, &masked)]);
}

#[test]
fn linear_and_matmul() {
    let operands = [off_grid(&[2, 3]), off_grid(&[4, 3]), off_grid(&[4])];
    check_second(&operands, |x| vec![x[0].linear(&x[1], Some(&x[2]))]);
    check_second(&[off_grid(&[2, 3, 2]), off_grid(&[2, 4, 3])], |x| vec![x[0].matmul_t(&x[1], true, true)]);
}

#[test]
fn pointwise_ops() {
    pointwise_operations(|operands, op| check_second(operands, op));
    check_second(&[off_grid(&[2, 3, 4]), positive(&[3, 4])], |x| vec![&x[0] / &x[1]]);
    check_second(&[off_grid(&[2, 1, 4]), off_grid(&[3, 1])], |x| vec![&x[0] * &x[1]]);
    check_second(&[off_grid(&[7])], |x| vec![x[0].clamp(-0.5, 0.75)]);
    check_second(&[off_grid(&[5]), off_grid(&[5])], |x| vec![x[0].bce_with_logits(&x[1])]);
}

#[test]
fn losses() {
    check_second(&[off_grid(&[5, 3])], |x| vec![x[0].log_sum_exp(0)]);
    let operands = [off_grid(&[6]), off_grid(&[6]), off_grid(&[6])];
    let spread = |v: &Var| v.mul_scalar(0.25);
    check_second(&operands, |x| vec![x[0].gaussian_nll(&spread(&x[1]), &x[2])]);
    check_second(&operands, |x| vec![x[0].discretised_logistic_nll(&spread(&x[1]), &x[2])]);
    // Both ends of the scale, whose bins are open.
    let operands = [off_grid(&[6]), off_grid(&[6]), classes(&[6], 2)];
    check_second(&operands, |x| vec![x[0].discretised_logistic_nll(&spread(&x[1]), &x[2])]);
}

/// Views are linear: their second-order gradient is that of a curve behind them.
#[test]
fn reductions_and_views() {
    let linear: [fn(&Var) -> Var; 10] = [
        |x| x.sum_axes(&[1, 3]),
        |x| x.mean(),
        |x| x.slice(2, 1, 2),
        |x| x.pad(3, 1, 2),
        |x| x.flip(1),
        |x| x.permute(&[0, 2, 3, 1]),
        |x| x.subsample(3, 2),
        |x| x.dilate(2, 2, 8),
        |x| x.avg_pool([2, 2]),
        |x| x.upsample([1, 2]),
    ];
    for op in linear {
        check_second(&[off_grid(&[1, 2, 4, 4])], |x| vec![op(&x[0]).square()]);
    }
    check_second(&[off_grid(&[2, 1]), off_grid(&[2, 3])], |x| vec![x[0].concat(&x[1], 1).tanh()]);
}

#[test]
fn maxima_and_dropout() {
    check_second(&[off_grid(&[2, 1, 3]), on_grid(&[2, 1, 3])], |x| vec![x[0].concat(&x[1], 1).max_axis(1).tanh()]);
    check_second(&[off_grid(&[3, 4])], |x| vec![x[0].dropout(0.6).tanh()]);
}

#[test]
fn norms_of_progressive_growing() {
    // Near zero they bend too much for differences.
    check_second(&[positive(&[2, 3])], |x| vec![x[0].pixel_norm()]);
    check_second(&[positive(&[2, 2, 1, 2])], |x| vec![x[0].pixel_norm()]);
    check_second(&[off_grid(&[8, 1, 1, 2])], |x| vec![x[0].minibatch_stddev(4)]);
}

#[test]
fn batch_norm_with_given_statistics() {
    let operands = [off_grid(&[2, 3]), positive(&[3]), off_grid(&[3]), off_grid(&[3]), positive(&[3])];
    check_second(&operands, |x| vec![x[0].batch_norm_eval(&x[1], &x[2], &x[3], &x[4], 1e-5)]);
}

/// mean over n of (|dD/dx_n| - 1)²
fn penalty(scores: &Var, x: &Var) -> (Var, Var) {
    let dx = gradients(&scores.sum(), std::slice::from_ref(x)).remove(0).expect("the scores depend on x");
    let norm = dx.flatten().square().sum_axes(&[1]).sqrt();
    (norm.add_scalar(-1.0).square().mean(), dx)
}

#[test]
fn the_gradient_of_a_penalty_agrees_with_pytorch() {
    let text = std::fs::read_to_string("assets/fixtures/second_order.json").expect("the fixture");
    let fixture: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let numbers = |v: &serde_json::Value| -> Vec<f32> {
        v["data"].as_array().expect("data").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
    };
    let given = fixture["given"].as_object().expect("tensors");
    let g = graph();
    let mut values = Tensors::new();
    let mut vars = Vec::new();
    for (i, (name, tensor)) in given.iter().enumerate() {
        let shape: Vec<usize> = tensor["shape"]
            .as_array()
            .expect("a shape")
            .iter()
            .map(|n| n.as_u64().expect("an extent") as usize)
            .collect();
        let source = Stream { seed: 0, domain: 9, stream: i as u32, step: 0, first: 0 };
        let scale = if name == "x" { 1.0 } else { 0.3 };
        let data: Vec<f32> = (0..shape.iter().product()).map(|k| scale * source.normal(k)).collect();
        assert_close(&data, &numbers(tensor), 1e-6, name);
        vars.push(g.input(name, &shape));
        values.insert(name.clone(), data);
    }
    let [x, w1, b1, w2, b2, w3, b3] = &vars[..] else { panic!("seven tensors") };
    let h = x.conv2d(w1, Some(b1), &ConvSpec::new(2, 1)).leaky_relu(0.2);
    let h = h.conv2d(w2, Some(b2), &ConvSpec::new(1, 1)).tanh();
    let d = h.flatten().linear(w3, Some(b3));
    let (p, dx) = penalty(&d, x);
    g.output("d", &d);
    g.output("dd_dx", &dx);
    g.output("p", &p);
    let names: Vec<&String> = given.keys().skip(1).collect();
    let mut zero = Vec::new();
    for (name, grad) in std::iter::zip(&names, gradients(&p, &vars[1..])) {
        match grad {
            Some(grad) => g.output(name, &grad),
            None => zero.push(name.as_str()),
        }
    }
    assert_eq!(zero, ["linear.bias"], "dD/dx does not depend on the last bias, and on everything else");
    let outputs = Rig::on(&g.finish().expect("a graph"), &Device::Reference, &values).outputs();
    assert_close(&outputs["d"], &numbers(&fixture["d"]), 1e-5, "d");
    assert_close(&outputs["dd_dx"], &numbers(&fixture["dd_dx"]), 1e-5, "dd_dx");
    assert_close(&outputs["p"], &[fixture["p"].as_f64().expect("p") as f32], 1e-5, "p");
    for name in names.iter().filter(|n| n.as_str() != "linear.bias") {
        assert_close(&outputs[name.as_str()], &numbers(&fixture["dp"][name.as_str()]), 1e-5, name);
    }
    assert!(numbers(&fixture["dp"]["linear.bias"]).iter().all(|v| *v == 0.0));
}

#[test]
fn the_gradient_of_a_penalty_through_a_transposed_convolution() {
    let operands =
        [off_grid(&[2, 2, 3, 3]), off_grid(&[2, 3, 4, 4]), off_grid(&[3]), off_grid(&[2, 3, 3, 3]), off_grid(&[1, 72])];
    check_first(&operands, |v| {
        let small = |v: &Var| v.mul_scalar(0.25);
        let h = v[0].conv_transpose2d(&small(&v[1]), Some(&v[2]), &ConvSpec::new(2, 1), [0, 0]).tanh();
        let h = h.conv2d(&small(&v[3]), None, &ConvSpec::new(1, 1)).sigmoid();
        vec![penalty(&h.flatten().linear(&small(&v[4]), None), &v[0]).0]
    });
}

/// The error of a penalty on a network with `layer` in it.
fn refusal(layer: impl Fn(&Graph, &Var) -> Var) -> GraphError {
    let g = graph();
    let (x, w) = (g.input("x", &[2, 3]), g.input("w", &[3, 3]));
    let (p, _) = penalty(&layer(&g, &x.linear(&w, None)), &x);
    let grad = gradients(&p, &[w]).remove(0).expect("a stand-in");
    g.output("grad", &grad);
    g.finish().expect_err("no second order")
}

#[test]
fn ops_without_a_second_order_rule_say_so_by_name() {
    let second = |op| GraphError::NoGradient { op, order: "second" };
    let normed = refusal(|g, x| x.batch_norm(&g.constant(&[3], 1.0), &g.constant(&[3], 0.0), 1e-5).y);
    assert_eq!(normed, second("batch_norm"));
    assert_eq!(normed.to_string(), "batch_norm has no second-order gradient");
    assert_eq!(refusal(|_, x| x.reparameterize(&x.tanh()).z), second("reparameterize"));
    assert_eq!(refusal(|g, x| x.cross_entropy(&g.constant(&[2], 1.0))), second("cross_entropy"));
}

#[test]
fn the_statistics_of_batch_norm_and_flat_buffers_have_no_gradient() {
    let refused = |loss: fn(&Var) -> Var| {
        let g = graph();
        let x = g.input("x", &[4, 3]);
        gradients(&loss(&x), &[x]);
        g.finish().expect_err("no gradient")
    };
    let first = |op| GraphError::NoGradient { op, order: "first" };
    let ones = |x: &Var| x.graph().constant(&[3], 1.0);
    let mean =
        refused(|x| x.batch_norm(&x.graph().constant(&[3], 1.0), &x.graph().constant(&[3], 1.0), 1e-5).mean.sum());
    assert_eq!(mean, first("the statistics of batch_norm"));
    assert_eq!(refused(|x| x.graph().flatten(std::slice::from_ref(x), &[0], 12).sum()), first("flatten"));
    // With the statistics unused, or used where nobody differentiates, all is well.
    let g = graph();
    let x = g.input("x", &[4, 3]);
    let normed = x.batch_norm(&ones(&x), &ones(&x), 1e-5);
    g.output("mean", &normed.mean);
    assert!(gradients(&normed.y.sum(), &[x]).remove(0).is_some());
    assert!(g.finish().is_ok());
}

#[test]
fn a_gradient_through_parameters_that_were_updated_since_is_refused() {
    let step = |late: bool| {
        let g = graph();
        let (x, w) = (g.input("x", &[2, 3]), g.state("weights", 12, 0, &[4, 3]));
        let (all, v) = (g.state("weights", 12, 0, &[12]), g.state("momentum", 12, 0, &[12]));
        let loss = x.linear(&w, None).square().sum();
        let grad = |loss: &Var| gradients(loss, std::slice::from_ref(&w)).remove(0).expect("a gradient");
        let early = grad(&loss).reshape(&[12]);
        let sgd = SgdRule { lr: 0.1, momentum: 0.0, ..SgdRule::default() };
        g.descend((&sgd, &Schedule::default()), [&early, &g.clock(), &all], &[v], None);
        if late {
            g.output("late", &grad(&loss));
        } else {
            // A new forward pass reads the new parameters.
            g.output("new", &grad(&x.linear(&w, None).square().sum()));
        }
        g.finish()
    };
    assert!(step(false).is_ok());
    match step(true) {
        Err(GraphError::Stale { op: "matmul", state }) => assert_eq!(state, "weights"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_update_of_another_part_of_a_state_is_no_reason_to_refuse() {
    for (offset, fine) in [(0, false), (2, false), (3, true)] {
        let g = graph();
        let (x, u) = (g.input("x", &[3]), g.state("stats", 6, 0, &[3]));
        let loss = (&x * &u).sum();
        g.assign(&x, &g.state("stats", 6, offset, &[3]));
        gradients(&loss, &[x]);
        assert_eq!(g.finish().is_ok(), fine, "elements from {offset} on");
    }
}

#[test]
fn a_loss_has_no_gradient_by_what_it_does_not_depend_on() {
    let g = graph();
    let (x, y) = (g.input("x", &[3]), g.input("y", &[3]));
    let nodes = |g: &Graph| g.finish().expect("a graph").nodes.len();
    let (loss, _unused) = (x.square().sum(), (&x * &y).sum());
    let before = nodes(&g);
    assert!(gradients(&loss, &[y]).remove(0).is_none());
    assert!(nodes(&g) <= before + 1, "a gradient nobody needs adds nothing but the loss's own 1");
    assert!(gradients(&loss, &[x]).remove(0).is_some());
}

#[test]
fn only_a_single_number_has_a_gradient() {
    let g = graph();
    let x = g.input("x", &[3]);
    gradients(&x.square(), &[x]);
    assert!(matches!(g.finish(), Err(GraphError::Shape { op: "gradients", .. })));
}
