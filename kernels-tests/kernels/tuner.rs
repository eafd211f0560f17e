//! The tuner: it never takes a wrong variant, takes the faster of right ones, and remembers.

use crate::support::device;
use limn::choices::{Choices, Verdict, key};
use limn::kernels::matmul::MatMul;
use limn::kernels::{Caps, Checks, Kernel, Lens, Precision, Recipe, Signature};
use limn::program::{Body, Device, Node, Options, Place, Source, Value, plan};
use limn::tune::{Budget, TuneError, Tuner};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A product whose variants come from these, under these names.
#[derive(Debug)]
struct Offered(Vec<(&'static str, MatMul)>);

const SIZE: u32 = 96;

fn right() -> MatMul {
    MatMul::new(SIZE, SIZE, SIZE)
}

/// The same sizes and another product.
fn wrong() -> MatMul {
    right().transposed(false, true)
}

impl Kernel for Offered {
    fn signature(&self) -> &'static Signature {
        right().signature()
    }

    fn lens(&self) -> Lens {
        right().lens()
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        right().cpu(reads, writes);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let offer = |(name, from): &(&'static str, MatMul)| Recipe { name, ..from.variants(caps).remove(0) };
        self.0.iter().map(offer).collect()
    }

    fn flops(&self) -> u64 {
        right().flops()
    }

    fn label(&self) -> String {
        right().label()
    }
}

impl Checks for Offered {
    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        right().bounds(reads, old, reference)
    }

    fn sampled(&self, reads: &[&[f32]], at: &[usize], precision: Precision) -> Option<Vec<[f32; 2]>> {
        right().sampled(reads, at, precision)
    }
}

fn offered(variants: &[(&'static str, MatMul)]) -> Arc<dyn Kernel> {
    Arc::new(Offered(variants.to_vec()))
}

fn tuner(folder: Option<&Path>) -> Tuner {
    Tuner::new(Arc::new(device()), folder)
}

/// The variant a program takes for the kernel.
fn planned(kernel: &Arc<dyn Kernel>, choices: &Choices) -> &'static str {
    let shape = vec![SIZE as usize; 2];
    let place = |name: &str| Value { shape: shape.clone(), place: Place::Input(name.into()) };
    let product = Value { shape: shape.clone(), place: Place::Node(0) };
    let node =
        Node { body: Body::Kernel(kernel.clone()), reads: vec![Some(0), Some(1)], writes: vec![2], scope: "".into() };
    let source = Source {
        values: vec![place("a"), place("b"), product],
        nodes: vec![node],
        states: Vec::new(),
        outputs: vec![("c".into(), 2)],
        ties: Vec::new(),
    };
    let caps = Device::Gpu(Arc::new(device())).caps();
    let program = plan(&source, &Options { choices: Some(choices), ..Options::new(caps) }).expect("a plan");
    program.launches[0].recipe.as_ref().expect("a recipe").name
}

#[test]
fn a_wrong_variant_is_refused_and_a_right_one_taken() {
    let kernel = offered(&[("wrong", wrong()), ("right", right())]);
    let mut tuner = tuner(None);
    let report = tuner.tune(std::slice::from_ref(&kernel), Budget::All, &mut |_, _, _| {}).expect("a choice");
    assert_eq!((report.measured, report.changed, report.refused.len()), (1, 1, 1));
    assert!(report.refused[0].contains("[wrong]"), "{:?}", report.refused);
    assert!(report.refused[0].contains("where the reference has"), "{:?}", report.refused);
    let choice = &tuner.choices().kernels[&key(kernel.as_ref())];
    assert_eq!(choice.variant, "right");
    assert!(matches!(choice.measured["right"], Verdict::Ms(ms) if ms > 0.0));
    assert_eq!(planned(&kernel, tuner.choices()), "right");
}

#[test]
fn where_every_variant_is_wrong_nothing_is_chosen() {
    let kernel = offered(&[("wrong", wrong()), ("as_wrong", wrong())]);
    let error = tuner(None).tune(&[kernel], Budget::All, &mut |_, _, _| {}).expect_err("no variant is right");
    assert!(matches!(error, TuneError::AllWrong { kernel: "matmul", .. }), "{error}");
    assert!(error.to_string().contains("update its driver"), "{error}");
}

#[test]
fn a_variant_under_which_the_device_is_lost_is_not_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = offered(&[("first", right()), ("second", right()), ("third", right())]);
    let kernels = [kernel.clone()];
    let gpu = Arc::new(device());
    let mut lost = Tuner::new(gpu.clone(), Some(folder.path()));
    let error = lost.tune(&kernels, Budget::All, &mut |_, _, _| gpu.destroy()).expect_err("no device");
    assert!(matches!(error, TuneError::Lost { variant: "first", .. }), "{error}");
    assert!(error.to_string().contains("[first] was measured, which is not tried again"), "{error}");
    // Another process takes the next, unmeasured; so does this one on the device opened anew, and measures no more.
    let unheard = &mut |_: usize, _: usize, _: &str| panic!("nothing is measured");
    let mut other = tuner(Some(folder.path()));
    assert_eq!(other.tune(&kernels, Budget::All, unheard).expect("nothing").measured, 0);
    lost.on(&Arc::new(device()));
    let more = [offered(&[("one", wrong()), ("two", right())])];
    let report = lost.tune(&more, Budget::All, unheard).expect("nothing");
    assert_eq!((report.measured, report.left), (0, 1));
    for tuner in [&lost, &other] {
        let choice = &tuner.choices().kernels[&key(kernel.as_ref())];
        assert!(matches!(&choice.measured["first"], Verdict::Refused(why) if why.contains("lost")), "{choice:?}");
        assert_eq!((choice.measured.len(), planned(&kernel, tuner.choices())), (1, "second"));
    }
    // One whose device was never lost measures as ever.
    assert_eq!(other.tune(&more, Budget::All, &mut |_, _, _| {}).expect("a choice").measured, 1);
}

#[test]
fn choices_are_remembered_until_the_variants_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = offered(&[("wrong", wrong()), ("right", right())]);
    let mut asked = 0;
    let mut tune = |kernel: &Arc<dyn Kernel>, tuner: &mut Tuner| {
        tuner.tune(std::slice::from_ref(kernel), Budget::All, &mut |_, _, _| asked += 1).expect("a choice").measured
    };
    assert_eq!(tune(&kernel, &mut tuner(Some(folder.path()))), 1);
    assert_eq!(tune(&kernel, &mut tuner(Some(folder.path()))), 0);
    // The same kernel and shape with other variants is another question, and old answers do not
    // count.
    let other = offered(&[("right", right()), ("wrong", wrong())]);
    assert_eq!(planned(&other, tuner(Some(folder.path())).choices()), "right");
    let renamed = offered(&[("first", right()), ("right", right())]);
    assert_eq!(planned(&renamed, tuner(Some(folder.path())).choices()), "first");
    assert_eq!(tune(&renamed, &mut tuner(Some(folder.path()))), 1);
    assert_eq!(tune(&renamed, &mut tuner(Some(folder.path())).again()), 1);
    assert_eq!(asked, 3);
}

#[test]
fn a_file_that_is_broken_or_of_another_device_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = offered(&[("wrong", wrong()), ("right", right())]);
    let tune = || {
        let mut tuner = tuner(Some(folder.path()));
        tuner.tune(std::slice::from_ref(&kernel), Budget::All, &mut |_, _, _| {}).expect("a choice").measured
    };
    assert_eq!(tune(), 1);
    let file = std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file").expect("a name").path();
    let text = std::fs::read_to_string(&file).expect("a file");
    for broken in
        [String::new(), text[..text.len() / 2].to_string(), text.replace("\"device\": \"", "\"device\": \"not ")]
    {
        assert_ne!(broken, text);
        std::fs::write(&file, broken).expect("written");
        assert_eq!(tune(), 1);
        assert!(std::fs::read_to_string(&file).expect("a file").contains("\"wrong\""));
        assert_eq!(tune(), 0);
    }
}

#[test]
fn what_no_time_was_left_for_stays_unknown_but_a_run_writes_down_what_it_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = offered(&[("first", right()), ("second", right())]);
    let kernels = std::slice::from_ref(&kernel);
    let none = Budget::Time(Duration::ZERO);
    let mut hurried = tuner(Some(folder.path()));
    let report = hurried.tune(kernels, none, &mut |_, _, _| panic!("no time")).expect("nothing");
    assert_eq!((report.measured, report.left), (0, 1));
    assert!(hurried.choices().kernels.is_empty());
    // The run takes the first, and says so where it will look when it goes on.
    let taken = hurried.choices().taken(kernels, device().caps());
    let choice = &taken.kernels[&key(kernel.as_ref())];
    assert_eq!((choice.variant.as_str(), choice.measured.len()), ("first", 0));
    assert_eq!(planned(&kernel, &taken), "first");
    // Whoever reads such a file as what is known of the device measures it all the same.
    let mut next = tuner(Some(folder.path()));
    let file = folder.path().join(next.choices().device.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-"));
    taken.save(&file.with_file_name(format!("{}.json", file.file_name().expect("a name").display()))).expect("a file");
    let mut known = tuner(Some(folder.path()));
    assert_eq!(known.choices(), &taken);
    for tuner in [&mut next, &mut known] {
        assert_eq!(tuner.tune(kernels, Budget::All, &mut |_, _, _| {}).expect("a choice").measured, 1);
        assert_eq!(tuner.choices().kernels[&key(kernel.as_ref())].measured.len(), 2);
        assert_eq!(tuner.choices().taken(kernels, device().caps()).kernels, tuner.choices().kernels);
    }
}
