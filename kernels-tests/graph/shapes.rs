//! Shapes that ops cannot take are told as such, whatever their rank.

use crate::support::graph;
use limn::graph::{Graph, GraphError, Var};
use limn::ops::{ConvSpec, Head};

/// The op that refuses what is built.
fn refused(build: impl FnOnce(&Graph)) -> Option<&'static str> {
    let g = graph();
    build(&g);
    match g.finish() {
        Err(GraphError::Shape { op, .. }) => Some(op),
        _ => None,
    }
}

/// Tensors of every rank up to five, but for those in `but`.
fn ranks(but: &[usize]) -> Vec<Vec<usize>> {
    (0..=5).filter(|rank| !but.contains(rank)).map(|rank| [4, 4, 2, 2, 2][..rank].to_vec()).collect()
}

/// Holds that `build` is refused by `op` for every rank that is not among those it takes.
fn takes_only(taken: &[usize], op: &'static str, build: impl Fn(&Var)) {
    for shape in ranks(taken) {
        assert_eq!(refused(|g| build(&g.input("x", &shape))), Some(op), "{op} of {shape:?}");
    }
}

#[test]
fn recurrent_layers_refuse_other_ranks() {
    type Layer = fn(&Var, &Var) -> Var;
    takes_only(&[4], "skew", |x| _ = x.skew());
    takes_only(&[4], "unskew", |x| _ = x.unskew());
    let layers: [(usize, Layer); 2] = [(3, |x, w| x.row_lstm(w)), (2, |x, w| x.diagonal_lstm(w, true))];
    for (per_pixel, (taps, layer)) in [false, true].into_iter().flat_map(|p| layers.map(|l| (p, l))) {
        let fault = |x: &[usize], w: &[usize]| {
            let g = if per_pixel { graph().per_pixel() } else { graph() };
            layer(&g.input("x", x), &g.input("w", w));
            g.finish().err()
        };
        let (x, w) = ([2, 4, 3, 3], [4, 1, 1, taps]);
        assert_eq!(fault(&x, &w), None);
        for rank in ranks(&[4]) {
            for found in [fault(&rank, &w), fault(&x, &rank)] {
                assert!(matches!(found, Some(GraphError::Shape { op: "lstm", .. })), "{rank:?}: {found:?}");
            }
        }
    }
}

#[test]
fn drawing_pixels_refuses_other_ranks() {
    takes_only(&[4], "sample_pixel", |x| x.graph().sample_pixel(Head::Bernoulli, x, x, x));
    takes_only(&[4], "nll", |x| _ = Head::Bernoulli.nll(x, x));
    let mixture = Head::LogisticMixture { components: 2 };
    let colours = |n: usize| refused(|g| _ = mixture.nll(&g.input("o", &[1, 20, 2, 2]), &g.input("x", &[1, n, 2, 2])));
    assert_eq!(colours(4), Some("nll"));
    assert_eq!(colours(3), None);
}

#[test]
fn losses_and_norms_refuse_other_ranks() {
    let four = |x: &Var| x.graph().input("c", &[4]);
    takes_only(&[2], "cross_entropy", |x| _ = x.cross_entropy(&x.graph().input("t", &[4])));
    takes_only(&[1], "cross_entropy", |t| _ = t.graph().input("y", &[4, 4]).cross_entropy(t));
    takes_only(&[], "log_sum_exp", |x| _ = x.log_sum_exp(5));
    takes_only(&[2, 3, 4, 5], "batch_norm", |x| _ = x.batch_norm_eval(&four(x), &four(x), &four(x), &four(x), 1e-5));
    takes_only(&[2, 4], "batch_norm", |x| _ = x.batch_norm(&four(x), &four(x), 1e-5).y);
    let wrong = |g: &Graph| {
        let (x, c) = (g.input("x", &[4, 4]), g.input("c", &[3]));
        x.batch_norm_eval(&c, &c, &c, &c, 1e-5);
    };
    assert_eq!(refused(wrong), Some("batch_norm"));
    takes_only(&[2, 4], "pixel_norm", |x| _ = x.pixel_norm());
    takes_only(&[4], "minibatch_stddev", |x| _ = x.minibatch_stddev(4));
}

#[test]
fn what_needs_an_axis_says_so() {
    type Op = fn(&Var) -> Var;
    let ops: [(&str, Op); 6] = [
        ("mean_per_image", |x| x.mean_per_image()),
        ("flatten", |x| x.flatten()),
        ("repeat", |x| x.repeat(2)),
        ("softmax", |x| x.softmax()),
        ("max", |x| x.max_axis(0)),
        ("slice", |x| x.slice(0, 0, 1)),
    ];
    for (name, op) in ops {
        assert_eq!(refused(|g| _ = op(&g.input("x", &[]))), Some(name));
        assert_eq!(refused(|g| _ = op(&g.input("x", &[4, 4]))), None, "{name}");
    }
    takes_only(&[4], "upsample", |x| _ = x.upsample([2, 2]));
    takes_only(&[4], "avg_pool", |x| _ = x.avg_pool([2, 2]));
    takes_only(&[4], "max_pool", |x| _ = x.max_pool());
    takes_only(&[4], "translate", |x| _ = x.translate([1, 1]));
    takes_only(&[4], "conv2d", |x| _ = x.conv2d(x, None, &ConvSpec::default()));
    takes_only(&[4], "conv_transpose2d", |x| _ = x.conv_transpose2d(x, None, &ConvSpec::default(), [0, 0]));
    takes_only(&[2], "record", |x| x.graph().record(&[x.sum()], x));
    takes_only(&[2], "reparameterize", |x| _ = x.reparameterize(x).z);
    let steps = [
        refused(|g| _ = g.input("x", &[4]).subsample(0, 0)),
        refused(|g| _ = g.input("x", &[4]).dilate(0, 0, 8)),
        refused(|g| _ = g.input("x", &[4]).slice(0, 2, usize::MAX)),
    ];
    assert_eq!(steps, [Some("subsample"), Some("dilate"), Some("slice")]);
}
