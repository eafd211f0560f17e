//! What is not finite is seen: NaN and infinities through every pointwise operation and every
//! epilogue, on the references, on the processor and on the variants of both classes of devices.

use crate::references::in_turn;
use limn::check::{Example, Trial};
use limn::gpu::Gpu;
use limn::kernels::activation::ActivationBlock;
use limn::kernels::pointwise::{Broadcast, ChainStep, MAX_INPUTS, Operation, Pointwise};
use limn::kernels::{self, Caps, Class, Kernel, Precision, Recipe};
use std::sync::OnceLock;

const INF: f32 = f32::INFINITY;
/// Every kind of number, NaN of both signs among them.
const NUMBERS: [f32; 10] = [f32::NAN, -f32::NAN, INF, -INF, 0.0, -0.0, 1.5, -1.5, 1e30, -1e30];

/// What a number is, as far as infinities and NaN go.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    NaN,
    Infinity(bool),
    Finite,
}

fn kind(x: f32) -> Kind {
    match x {
        x if x.is_nan() => Kind::NaN,
        x if x.is_infinite() => Kind::Infinity(x > 0.0),
        _ => Kind::Finite,
    }
}

fn devices() -> &'static [Gpu; 2] {
    static DEVICES: OnceLock<[Gpu; 2]> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let wanted = std::env::var("LIMN_DEVICE").ok();
        [Class::Lanes, Class::Gpu]
            .map(|class| Gpu::open_as_class(wanted.as_deref(), Precision::Full, class).expect("a device"))
    })
}

/// What makes writes of reads.
type Work<'a> = dyn Fn(&[&[f32]], &mut [&mut [f32]]) + 'a;

/// What a kernel writes from an example: by its reference, by the processor, and by the variants of `chosen`, given all
/// of a class.
fn everywhere(
    kernel: &dyn Kernel,
    example: &Example,
    chosen: impl Fn(Vec<Recipe>) -> Vec<Recipe>,
) -> Vec<(String, Vec<Vec<f32>>)> {
    let reads: Vec<&[f32]> = example.reads.iter().map(Vec::as_slice).collect();
    let run = |work: &Work| {
        let mut writes = example.old.clone();
        work(&reads, &mut writes.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
        writes
    };
    let mut all = vec![
        ("reference".to_string(), run(&|reads, writes| kernel.cpu(reads, writes))),
        ("cpu".to_string(), run(&|reads, writes| kernel.host(reads, writes))),
    ];
    for gpu in devices() {
        let caps: &Caps = gpu.caps();
        let whole = kernel.variants(caps).into_iter().filter(|recipe| !recipe.mixed()).collect();
        for recipe in chosen(whole) {
            let ran = Trial::new(gpu, example, &recipe, false).and_then(|trial| trial.run(gpu)).expect("a run");
            all.push((format!("{:?} {}", caps.class, recipe.name), ran.writes));
        }
    }
    all
}

/// Fails with the first element whose kind is not the reference's, and gives the reference's
/// writes.
fn same_kinds(kernel: &dyn Kernel, example: &Example, what: &str) -> Vec<Vec<f32>> {
    same_kinds_of(everywhere(kernel, example, |all| all), what)
}

fn same_kinds_of(all: Vec<(String, Vec<Vec<f32>>)>, what: &str) -> Vec<Vec<f32>> {
    let mut all = all.into_iter();
    let (_, reference) = all.next().expect("the reference");
    for (who, writes) in all {
        for (w, (got, want)) in std::iter::zip(&writes, &reference).enumerate() {
            for (i, (got, want)) in std::iter::zip(got, want).enumerate() {
                assert_eq!(kind(*got), kind(*want), "{what}, {who}: write {w}[{i}] is {got}, the reference's {want}");
            }
        }
    }
    reference
}

/// A step alone on two operands of these numbers.
fn alone(code: Operation, c: f32, a: &[f32], b: &[f32]) -> Vec<f32> {
    let operand = Broadcast { inner: 1, period: a.len() as u32 };
    let steps = vec![ChainStep { code, a: 0, b: 1, c }];
    let kernel = Pointwise { len: a.len(), inputs: vec![operand; 2], steps };
    let mut example = Example::inputs(&kernel, 1, f32::NAN);
    (example.reads[0], example.reads[1]) = (a.to_vec(), b.to_vec());
    same_kinds(&kernel, &example, &format!("{} {c}", code.name())).remove(0)
}

#[test]
fn nan_goes_through_every_pointwise_operation() {
    let unary = Operation::ALL.iter().filter(|code| !code.is_binary());
    for (code, c) in unary.flat_map(|code| [(*code, 0.2), (*code, -0.5)]) {
        let y = alone(code, c, &NUMBERS, &[1.0; NUMBERS.len()]);
        assert!(y[..2].iter().all(|y| y.is_nan()), "{}: {y:?}", code.name());
    }
    let pairs = || NUMBERS.into_iter().flat_map(|a| NUMBERS.map(|b| (a, b)));
    let (a, b): (Vec<f32>, Vec<f32>) = pairs().unzip();
    for code in Operation::ALL.iter().filter(|code| code.is_binary()) {
        let y = alone(*code, 0.0, &a, &b);
        for ((a, b), y) in pairs().zip(y) {
            assert!(y.is_nan() || !(a.is_nan() || b.is_nan()), "{} of {a} and {b} is {y}", code.name());
        }
    }
}

#[test]
fn infinities_go_through_as_pytorch_has_it() {
    let want = [
        (Operation::Exp, [INF, 0.0]),
        (Operation::Relu, [INF, 0.0]),
        (Operation::LeakyRelu, [INF, -INF]),
        (Operation::Elu, [INF, -1.0]),
        (Operation::Tanh, [1.0, -1.0]),
        (Operation::Sigmoid, [1.0, 0.0]),
        (Operation::Softplus, [INF, 0.0]),
        (Operation::ReluMask, [1.0, 0.2]),
        (Operation::Sign, [1.0, -1.0]),
        (Operation::MaxC, [INF, 0.2]),
        (Operation::MinC, [0.2, -INF]),
        (Operation::Abs, [INF, INF]),
        (Operation::Recip, [0.0, -0.0]),
    ];
    for (code, want) in want {
        assert_eq!(alone(code, 0.2, &[INF, -INF], &[0.0; 2]), want, "{}", code.name());
    }
}

/// A long chain, whose registers are fused, with a NaN in front.
#[test]
fn nan_goes_through_a_chain() {
    let n = NUMBERS.len();
    let r = MAX_INPUTS;
    let step = |code, a, b, c| ChainStep { code, a, b, c };
    let steps = vec![
        step(Operation::Relu, 0, 0, 0.0),
        step(Operation::MaxC, r, 0, -1.0),
        step(Operation::MinC, r + 1, 0, 1.0),
        step(Operation::Tanh, r + 2, 0, 0.0),
        step(Operation::Max, r + 3, 1, 0.0),
    ];
    let kernel = Pointwise { len: n, inputs: vec![Broadcast { inner: 1, period: n as u32 }; 2], steps };
    let mut example = Example::inputs(&kernel, 1, f32::NAN);
    example.reads[0] = NUMBERS.to_vec();
    let y = same_kinds(&kernel, &example, "chain").remove(0);
    assert_eq!(y.iter().filter(|y| y.is_nan()).count(), 2, "{y:?}");
}

/// Operands of a product; those behind them, a bias, a residual and a gate, are of its epilogue.
const FACTORS: usize = 2;

#[test]
fn nan_and_infinities_go_through_every_epilogue() {
    let mut seen = std::collections::BTreeMap::new();
    for name in ["matmul", "conv2d", "conv_transpose2d"] {
        let entry = kernels::all().into_iter().find(|entry| entry.name == name).expect("a kernel");
        let has_epilogue = |kernel: &dyn Kernel| {
            let label = kernel.label();
            ["bias", "elu", "tanh", "sigmoid", "gated", "residual"].iter().any(|word| label.contains(word))
        };
        let cases = (entry.cases)();
        // Every second: what an epilogue does does not hang on the shape, and pipelines take their
        // time. Variants have it from the same files, and are taken in turn.
        let small = cases.iter().filter(|kernel| has_epilogue(kernel.as_ref()) && kernel.flops() < 1 << 20);
        for (case, kernel) in small.step_by(2).enumerate() {
            for (k, read) in kernel.signature().reads.iter().enumerate() {
                let mut example = Example::inputs(kernel.as_ref(), 1, f32::NAN);
                let behind = k >= FACTORS;
                // A weight meets the zeros beside an image in some variants and not in others.
                if example.reads[k].is_empty() || k == 1 {
                    continue;
                }
                // Of products whole operands, since a variant may multiply what lies beside an
                // image by zero.
                let numbers = if behind { &NUMBERS[..] } else { &NUMBERS[..1] };
                example.reads[k].iter_mut().enumerate().for_each(|(i, x)| *x = numbers[i % numbers.len()]);
                let what = format!("{name} {} of {read}", kernel.label());
                let all = everywhere(kernel.as_ref(), &example, |variants| in_turn(case, 1, variants));
                let reference = same_kinds_of(all, &what);
                if reference[0].iter().any(|y| y.is_nan()) {
                    *seen.entry((name, k)).or_insert(0) += 1;
                }
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.len() == 12 && seen.values().all(|n| *n > 0), "{seen:?}");
}

#[test]
fn every_activation_keeps_nan() {
    for code in 0..6 {
        let activation = ActivationBlock { code, slope: 0.2 }.activation();
        assert!(activation.apply(f32::NAN).is_nan() && activation.apply(-f32::NAN).is_nan(), "{activation:?}");
    }
}

/// Kernels that compare what they are given: maxima, draws, clipping, statistics.
#[test]
fn nan_goes_through_all_that_compares() {
    for name in [
        "largest",
        "clip",
        "bernoulli",
        "dropout",
        "sample_pixel",
        "draw_pixels",
        "cross_entropy",
        "cross_entropy_grad",
        "batch_norm",
        "rmsprop",
        "lstm_cell",
        "memory",
        "gate",
        "concat_elu",
    ] {
        let entry = kernels::all().into_iter().find(|entry| entry.name == name).expect(name);
        let mut seen = 0;
        let small = (entry.cases)().into_iter().filter(|kernel| kernel.flops() < 1 << 21);
        for (case, kernel) in small.enumerate() {
            let mut example = Example::inputs(kernel.as_ref(), 1, f32::NAN);
            // Of the operands that are numbers of a network the first: labels and clocks are none.
            let first = match name {
                "clip" => &mut example.old[0],
                "cross_entropy_grad" | "draw_pixels" => &mut example.reads[1],
                _ => &mut example.reads[0],
            };
            first.iter_mut().step_by(7).for_each(|x| *x = f32::NAN);
            let all = everywhere(kernel.as_ref(), &example, |variants| in_turn(case, 2, variants));
            let reference = same_kinds_of(all, &format!("{name} {}", kernel.label()));
            let one_of = |y: f32| if name == "largest" { y == 1.0 } else { y.is_nan() };
            seen += usize::from(reference.iter().flatten().any(|y| one_of(*y)));
        }
        assert!(seen > 0, "{name}");
    }
}
