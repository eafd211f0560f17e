//! Statistics of batch normalisation that the products in front leave: who leaves them, and that they are right.

use crate::support::{
    Rig, Tensors, assert_all_close, assert_close, assert_same_bits, gpu_class, graph, planned, random_values, stages_of,
};
use limn::graph::gradients;
use limn::kernels::Shader;
use limn::ops::ConvSpec;
use limn::program::{Device, Options, Program, Source, plan_recomputing};

/// What is normalised: images in groups, made by a convolution or by a transposed one of stride 2.
#[derive(Clone, Copy, Debug)]
struct Normalised {
    images: usize,
    groups: usize,
    size: [usize; 2],
    grows: bool,
    bias: bool,
    pad: usize,
}

const PLAIN: Normalised = Normalised { images: 4, groups: 1, size: [8, 8], grows: false, bias: false, pad: 1 };

/// A convolution in front of the one whose results are normalised, two behind it, and a loss's gradients.
fn network(n: &Normalised) -> Source {
    let g = graph();
    let w = if n.grows { g.input("w", &[12, 24, 4, 4]) } else { g.input("w", &[24, 12, 3, 3]) };
    let [first, last] =
        [("first", [12, 3]), ("last", [12, 24])].map(|(name, [to, from])| g.input(name, &[to, from, 3, 3]));
    let [gamma, beta] = ["gamma", "beta"].map(|name| g.input(name, &[24]));
    let same = ConvSpec::new(1, n.pad);
    let x = g.input("x", &[n.images, 3, n.size[0], n.size[1]]).conv2d(&first, None, &same).leaky_relu(0.2);
    let b = n.bias.then(|| g.input("b", &[24]));
    let x = match n.grows {
        true => x.conv_transpose2d(&w, b.as_ref(), &ConvSpec::new(2, 1), [0, 0]),
        false => x.conv2d(&w, b.as_ref(), &same),
    };
    let normed = x.batch_norm_of(n.groups, &gamma, &beta, 1e-4);
    // One more, so that nobody but products sees what is behind.
    let out = g.input("out", &[3, 12, 1, 1]);
    let y = normed.y.relu().conv2d(&last, None, &same).leaky_relu(0.1).conv2d(&out, None, &ConvSpec::default());
    for (i, gradient) in gradients(&y.square().mean().reshape(&[1]), &[first, w, gamma, beta, last]).iter().enumerate()
    {
        gradient.iter().for_each(|gradient| g.output(&format!("gradient {i}"), gradient));
    }
    [("mean", &normed.mean), ("variance", &normed.var)].iter().for_each(|(name, var)| g.output(name, var));
    g.output("y", &y.square());
    g.finish().expect("a graph")
}

/// Products that leave moments, and turns, and launches that take these for themselves.
fn who(program: &Program) -> [[usize; 2]; 2] {
    let count = |name| stages_of(program, name);
    let own = ["batch_norm_columns_stats", "batch_norm_grad_columns_sums"];
    [["last_moments", "last_turns"].map(count), own.map(count)]
}

#[test]
fn products_leave_the_statistics_of_what_they_make() {
    let device = gpu_class();
    let options = Options::new(device.caps());
    let all = ([[1, 1], [0, 0]], "both");
    let cases = [
        (PLAIN, all),
        // The last block has fewer lines than the others.
        (Normalised { size: [7, 5], images: 3, ..PLAIN }, all),
        (Normalised { size: [3, 3], images: 1, ..PLAIN }, all),
        (Normalised { grows: true, ..PLAIN }, all),
        (Normalised { grows: true, size: [7, 5], images: 3, ..PLAIN }, all),
        (Normalised { groups: 2, ..PLAIN }, all),
        (Normalised { groups: 2, grows: true, size: [16, 8], ..PLAIN }, all),
        (Normalised { groups: 2, size: [7, 5], ..PLAIN }, ([[0, 0], [1, 1]], "a block is of two groups")),
        (Normalised { bias: true, ..PLAIN }, ([[0, 1], [1, 0]], "moments are of more than the sums")),
    ];
    for (normalised, (expected, why)) in cases {
        let source = network(&normalised);
        let program = planned(&source, &options);
        assert_eq!(who(&program), expected, "{normalised:?}: {why}");
        let values = random_values(&source);
        let run = |program: Program| Rig::holding(program, &source, &device, &values).after(1);
        let left = run(program);
        let recomputed = plan_recomputing(&source, &options).expect("a plan");
        assert_eq!(who(&recomputed)[1], expected[1], "{normalised:?} in little memory: {why}");
        assert_same_bits(&left, &run(recomputed), "in much memory and in little");
        let by_itself = planned(&source, &Options { fuse: false, ..options });
        assert_eq!(who(&by_itself)[0], [0, 0]);
        for own in [run(by_itself), Rig::on(&source, &Device::Reference, &values).after(1)] {
            assert_all_close(&left, &own, 2e-5);
        }
    }
}

#[test]
fn moments_are_right_where_the_mean_is_far_from_zero() {
    let device = gpu_class();
    let source = network(&Normalised { size: [20, 20], pad: 0, ..PLAIN });
    assert_eq!(who(&planned(&source, &Options::new(device.caps())))[0], [1, 1]);
    let mut values: Tensors = random_values(&source);
    // Positive weights and images that hardly differ: sums that hardly differ either.
    for name in ["first", "w"] {
        values.entry(name.into()).and_modify(|w| w.iter_mut().for_each(|w| *w = w.abs() + 0.1));
    }
    values.entry("x".into()).and_modify(|x| x.iter_mut().for_each(|x| *x = 1.0 + 1e-4 * *x));
    let [got, want] = [&device, &Device::Reference].map(|device| Rig::on(&source, device, &values).after(1));
    assert_close(&got["mean"], &want["mean"], 1e-6, "mean");
    // Sums are off by some rounding of their own before anybody takes their moments.
    let most = got["mean"].iter().fold(0.0, |most: f32, mean| most.max(mean.abs()));
    for (got, want) in std::iter::zip(&got["variance"], &want["variance"]) {
        let rounding = 8.0 * f32::EPSILON * most;
        assert!((got.sqrt() - want.sqrt()).abs() < rounding, "{got} and should be {want}, of a mean of {most}");
    }
}

/// Lines of what a product leaves as somebody may mistype them.
const MISTAKES: [(&str, &str); 17] = [
    ("(block.m_total / GROUPS + BM - 1u) / BM", "block.m_total / GROUPS / BM"),
    ("number / blocks, block.phase", "number % blocks, block.phase"),
    ("block.phase * blocks + number % blocks", "block.phase * blocks + number / blocks"),
    ("block.phase * blocks + number % blocks", "number % blocks"),
    ("phases * blocks)", "blocks)"),
    ("min(block.m_total - block.m0, BM)", "BM"),
    ("(max(lines_of(block), ty) - ty + TY - 1u) / TY", "8u"),
    ("GROUPS + place.group", "GROUPS"),
    ("vec2(first[j], second[j])", "vec2(first[0], second[j])"),
    ("first < columns; first += 4u * TX", "first < columns; first += 8u * TX"),
    ("mean /= f32(max(count, 1u));", "mean /= 8.0;"),
    ("f32(lines_from(block, t)) * a_tile", "a_tile"),
    ("f32(lines_from(block, t)) * (d * d)", "d * d"),
    ("square += d * d;", "square += d;"),
    ("place_of(block).group;", "0u;"),
    ("r[at + 3u]) - mean)", "r[at + 3u]))"),
    ("plain += dy;", "plain = dy;"),
];

/// A program whose products leave something else, if any of them has that line.
fn mistyped(mut program: Program, (from, to): (&str, &str)) -> Option<Program> {
    let mut found = false;
    let recipes = program.launches.iter_mut().filter_map(|launch| launch.recipe.as_mut());
    for stage in recipes.flat_map(|recipe| &mut recipe.stages) {
        let source = stage.shader.source().expect("a module");
        if ["last_moments", "last_turns"].contains(&stage.shader.name) && source.contains(from) {
            let source: &'static str = Box::leak(source.replace(from, to).into_boxed_str());
            stage.shader = Box::leak(Box::new(Shader::new(stage.shader.name, source)));
            found = true;
        }
    }
    found.then_some(program)
}

#[test]
fn mistakes_in_what_is_left_are_noticed() {
    let device = gpu_class();
    let cases = [
        PLAIN,
        Normalised { size: [7, 5], images: 3, ..PLAIN },
        Normalised { grows: true, size: [7, 5], images: 3, ..PLAIN },
        Normalised { groups: 2, grows: true, size: [16, 8], ..PLAIN },
        Normalised { groups: 2, size: [16, 8], ..PLAIN },
    ];
    let right: Vec<_> = cases.map(|normalised| network(&normalised)).into_iter().collect();
    let right: Vec<_> = right
        .into_iter()
        .map(|source| {
            let (values, program) = (random_values(&source), planned(&source, &Options::new(device.caps())));
            let results = Rig::holding(program.clone(), &source, &device, &values).after(1);
            (source, values, program, results)
        })
        .collect();
    for mistake in MISTAKES {
        let mut tried = 0;
        let noticed = right.iter().any(|(source, values, program, results)| {
            let Some(program) = mistyped(program.clone(), mistake) else { return false };
            tried += 1;
            let got = Rig::holding(program, source, &device, values).after(1);
            let far = |name: &String| {
                let largest = results[name].iter().fold(0.0, |most: f32, x| most.max(x.abs()));
                std::iter::zip(&got[name], &results[name]).any(|(a, b)| a.is_nan() || (a - b).abs() > 1e-4 * largest)
            };
            results.keys().any(far)
        });
        assert!(tried > 0, "{mistake:?} is in no shader");
        assert!(noticed, "{mistake:?} was not noticed");
    }
}
