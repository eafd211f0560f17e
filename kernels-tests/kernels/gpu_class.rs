//! What a GPU gets, run: on a device opened as one, whatever it is.

use crate::references::{check_variants, every_case, in_turn, is_part, wanted};
use crate::support::is_long;
use limn::check::{self, Example};
use limn::choices::{Verdict, key};
use limn::gpu::Gpu;
use limn::kernels::matmul::MatMul;
use limn::kernels::{self, Caps, Class, Kernel, Precision, Recipe};
use limn::program::Device;
use limn::train::{Config, HISTORY_ROWS, Session, images, pack};
use limn::tune::{Budget, Tuner};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The device of the tests, opened as one of `class`.
pub(crate) fn opened(class: Class, precision: Precision) -> Gpu {
    let wanted = std::env::var("LIMN_DEVICE").ok();
    Gpu::open_as_class(wanted.as_deref(), precision, class).expect("a device")
}

/// What makes a recipe compute as it does.
fn meaning(recipe: &Recipe) -> String {
    let stage =
        |s: &kernels::Stage| format!("{} {:?} {:?} {:?} {:?}", s.shader.name, s.constants, s.params, s.bind, s.grid);
    format!("{:?} {:?}", recipe.scratch, recipe.stages.iter().map(stage).collect::<Vec<_>>())
}

/// The variants of a GPU that a software device does not have just so, and that round to f16 or do
/// not.
fn own(kernel: &dyn Kernel, caps: &Caps, mixed: bool) -> Vec<Recipe> {
    let lanes = kernel.variants(&Caps { class: Class::Lanes, ..*caps });
    let known: BTreeSet<String> = lanes.iter().map(meaning).collect();
    let mut all = kernel.variants(caps);
    all.retain(|recipe| recipe.mixed() == mixed && !known.contains(&meaning(recipe)));
    all
}

/// Checks the variants of a GPU in every case, and counts them.
fn every_own_variant(precision: Precision) -> usize {
    let gpu = opened(Class::Gpu, precision);
    let checked = std::cell::Cell::new(0);
    every_case(Some(&gpu), 3, |name, case, kernel| {
        let mixed = precision == Precision::Mixed;
        let recipes = in_turn(case, 1, own(kernel, gpu.caps(), mixed));
        checked.set(checked.get() + recipes.len());
        check_variants(&gpu, name, kernel, &recipes)
    });
    checked.get()
}

#[test]
fn every_variant_of_a_gpu_agrees_with_its_reference() {
    let checked = every_own_variant(Precision::Full);
    assert!(checked > 0 || is_part(), "a GPU has variants of its own");
}

#[test]
fn every_mixed_variant_of_a_gpu_agrees_with_its_reference() {
    let checked = every_own_variant(Precision::Mixed);
    assert!(checked > 0 || is_part(), "a GPU has variants of its own");
}

/// Arithmetic above which a layer is left out, where a device is slow at it.
const FLOPS: [(Class, u64); 2] = [(Class::Lanes, 1 << 28), (Class::Gpu, 1 << 27)];

#[test]
fn no_term_is_lost_at_the_lengths_of_the_presets() {
    let mut failures = Vec::new();
    for (class, most) in FLOPS {
        let gpu = opened(class, Precision::Full);
        let most = if gpu.desc().kind == "cpu" { most } else { u64::MAX };
        let mut seen = BTreeSet::new();
        for entry in kernels::all().iter().filter(|e| wanted(e.name)) {
            let sums = (entry.shapes)().into_iter().filter(|kernel| kernel.sums() && kernel.flops() <= most);
            for kernel in sums {
                let example = Example::whole_spots(kernel.as_ref(), 1);
                for recipe in kernel.variants(gpu.caps()).iter().take(2) {
                    let outcome = check::once(&gpu, entry.name, kernel.as_ref(), recipe, &example);
                    failures.extend(
                        outcome.failure.map(|why| format!("{class:?} {} {}: {why}", entry.name, kernel.label())),
                    );
                    seen.insert(entry.name);
                }
            }
        }
        let families =
            kernels::all().iter().filter(|e| wanted(e.name) && (e.shapes)().iter().any(|k| k.sums())).count();
        println!("{class:?}: {seen:?}");
        assert!(seen.len() + 1 >= families && !seen.is_empty(), "{seen:?} of {families}");
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// The losses of three steps of a preset.
fn losses(preset: &str, class: Class) -> Vec<f32> {
    let mut config = Config::preset(preset).expect("a preset");
    config.set("train.batch=8".parse().expect("a setting")).expect("a setting");
    let device = Device::Gpu(Arc::new(opened(class, Precision::Full)));
    let mut session = Session::new(&config.model, &config.optimizer(), 0, device).expect("a session");
    let data = images("builtin", session.model.as_ref(), &limn::data::Options::default()).expect("the built-in set");
    let mut step = session.train_step(8).expect("a program");
    let columns = session.model.losses().len();
    let mut all = Vec::new();
    for i in 0..3 {
        // A step takes a batch, or several of them.
        let images = step.program().inputs.iter().find(|(name, _)| name == "images").expect("the images");
        let mut bytes = Vec::new();
        data.train.upload(0..1, session.model.classes() > 0, &mut bytes);
        let batch = 4 * images.1.len / bytes.len();
        data.train.upload(batch * i..batch * (i + 1), session.model.classes() > 0, &mut bytes);
        step.write("images", &pack(bytes)).expect("an upload");
        step.run().expect("a step");
        let row = i % HISTORY_ROWS;
        all.extend(&session.store.read("history").expect("losses")[row * columns..][..columns]);
    }
    all
}

#[test]
fn whole_steps_of_a_gpu_are_those_of_a_software_device() {
    // What pixelcnn-small has of kernels the gated one has too.
    let long = ["pixelcnn-small"].into_iter().filter(|_| is_long());
    for preset in ["vae", "dcgan-28-small", "pixelcnn-gated-small", "wgan-gp-small"].into_iter().chain(long) {
        let [gpu, lanes] = [Class::Gpu, Class::Lanes].map(|class| losses(preset, class));
        println!("{preset} {gpu:?} {lanes:?}");
        for (got, want) in std::iter::zip(&gpu, &lanes) {
            let near = (got - want).abs() <= 1e-5 * want.abs().max(1e-2);
            assert!(near && want.is_finite(), "{preset}: {gpu:?} and {lanes:?}");
        }
    }
}

#[test]
fn the_tuner_measures_every_variant_of_a_gpu() {
    let gpu = Arc::new(opened(Class::Gpu, Precision::Full));
    let kernel: Arc<dyn Kernel> = Arc::new(MatMul::new(96, 96, 96));
    let mut tuner = Tuner::new(gpu.clone(), None);
    let report = tuner.tune(std::slice::from_ref(&kernel), Budget::All, &mut |_, _, _| {}).expect("a choice");
    assert_eq!((report.measured, report.refused.len()), (1, 0), "{:?}", report.refused);
    let choice = &tuner.choices().kernels[&key(kernel.as_ref())];
    assert!(matches!(choice.measured[&choice.variant], Verdict::Ms(ms) if ms > 0.0));
    let names: BTreeSet<&str> = kernel.variants(gpu.caps()).iter().map(|recipe| recipe.name).collect();
    assert!(choice.measured.keys().all(|name| names.contains(name.as_str())), "{:?}", choice.measured);
}
