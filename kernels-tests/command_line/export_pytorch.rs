//! Models as modules of PyTorch: every preset, held against what limn computes, and back again.
//!
//! What needs Python with `torch` and `safetensors` takes it from `LIMN_PYTHON`, or `python3`, and
//! says aloud where there is none.

use super::pytorch::{load, save};
use super::support::normals;
use super::{Call, limn, text};
use limn::models::{Batch, Family};
use limn::program::Device;
use limn::sample::Function;
use limn::train::{Config, RunDir, Session, checkpoint, presets};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Images of a pass.
const N: usize = 4;

/// The largest difference of an output, over its largest magnitude.
const NEAR: f64 = 1e-5;

/// The same of a mixture's densities, which limn and PyTorch add up from differently large terms.
const NEAR_DENSITY: f64 = 1e-4;

/// A Python that has what is needed, or a line that says that there is none.
fn python() -> Option<String> {
    let python = std::env::var("LIMN_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import torch, safetensors.torch"]).output();
    match has {
        Ok(output) if output.status.success() => Some(python),
        _ => {
            let line = format!("SKIPPED: {python} has no torch and safetensors; LIMN_PYTHON names another Python");
            // Past the capture of the test's output, so that it is read.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
            None
        }
    }
}

/// Runs the script beside this file and returns what it printed.
fn script(python: &str, mode: &str, folders: &[PathBuf]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/command_line/export_pytorch.py");
    let output = Command::new(python).arg(file).arg(mode).args(folders).output().expect("Python starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

/// Settings that make a model of this kind small.
fn small(kind: &str) -> &'static [&'static str] {
    match kind {
        "vae" | "ae" => &["hidden=24", "latent=6"],
        "vae-conv" => &["filters1=4", "filters2=6", "dense=8"],
        "gan" => &["hidden=24", "units=10", "latent=12"],
        "dcgan" => &["width=6", "latent=12"],
        "wavegan" => &["width=2", "latent=10"],
        "biggan" => &["width=4", "widest=16", "embedding=8"],
        "progan" => &["width=4", "widest=8", "latent=16", "fade_steps=3", "stable_steps=2"],
        "pixelcnn" => &["hidden=6", "blocks=2", "height=8", "width=9"],
        "pixelcnn-gated" => &["hidden=6", "height=9", "width=8"],
        "pixelrnn" => &["hidden=6", "height=8", "width=7"],
        "pixelcnn++" => &["filters=6", "blocks=1", "components=3", "height=8", "width=12"],
        "gmm" => &["components=4"],
        "classifier" => &["width=4", "features=16"],
        kind => panic!("nothing is known of {kind}"),
    }
}

/// Trains a preset made small for a few steps.
fn trained(place: &Path, folder: &str, preset: &str, steps: &str, more: &[&str]) -> PathBuf {
    let config = Config::preset(preset).expect("a preset");
    let out = place.join(folder);
    let mut args = vec!["train", preset, "--steps", steps, "--batch", "4", "--device", "cpu", "--quiet", "--out"];
    args.push(text(&out));
    let mut set = vec!["train.samples=1".to_string(), "train.eval_every=0".into(), "train.views_every=0".into()];
    set.extend(small(config.model.kind()).iter().map(|setting| format!("model.{setting}")));
    args.extend(set.iter().flat_map(|setting| ["--set", setting]));
    if config.data.source == "cifar10" {
        args.extend(["--data", "fashion-mini", "--color"]);
    }
    args.extend(more);
    limn(&args).good();
    out
}

/// Exports a run, and returns the folder.
fn exported(run: &Path) -> PathBuf {
    limn(&["export", text(run), "--format", "pytorch", "--device", "cpu", "--quiet"]).good();
    run.join("pytorch")
}

type Named = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Inputs of a model, and what limn makes of them by each of its functions and measures.
fn expected(session: &mut Session) -> Named {
    let (geometry, classes) = (session.model.geometry(), session.model.classes());
    let [c, h, w] = geometry;
    let latent = match session.model.family() {
        Family::Latent(model) => Some(model.latent()),
        _ => None,
    };
    let mut all = Named::new();
    let spread = |v: &f32| 0.5 + 0.5 * (1.7 * v).sin();
    let images: Vec<f32> = normals(31, N * c * h * w).iter().map(spread).collect();
    all.insert("in.images".into(), (vec![N, c, h, w], images));
    if let Some(latent) = latent {
        all.insert("in.z".into(), (vec![N, latent], normals(32, N * latent)));
    }
    if classes > 0 {
        let one_hot = (0..N * classes).map(|i| f32::from(u8::from(i % classes == (3 * (i / classes)) % classes)));
        all.insert("in.labels".into(), (vec![N, classes], one_hot.collect()));
    }
    for function in Function::all(session) {
        let graph = function.graph(session, N).expect("a graph");
        let names: &[&str] = match function {
            Function::Decode => &["images"],
            Function::Encode => &["z"],
            Function::Logits => &["logits"],
            Function::Features => &["features"],
            Function::Components => &["weights", "means"],
        };
        let called = |name: &str| if names.len() == 1 { function.to_string() } else { name.to_string() };
        let source = graph.finish().expect("a graph that is whole");
        compute(session, &source, names, &called, &mut all);
    }
    let graph = session.graph(limn::kernels::philox::Domain::Sample, 0, "a clock");
    let batch = Batch::given(&graph, session.model.as_ref(), N);
    let mut names = Vec::new();
    for metric in session.model.evaluate(&batch) {
        let name = match (metric.name, metric.unit) {
            ("d_real", unit) => unit,
            ("nll", _) if latent.is_none() && session.config.kind() == "gmm" => "nll",
            ("cross_entropy", _) => "cross_entropy",
            _ => continue,
        };
        graph.output(name, &metric.values);
        names.push(name);
    }
    if !names.is_empty() {
        let source = graph.finish().expect("a graph that is whole");
        compute(session, &source, &names, &|name| name.to_string(), &mut all);
    }
    all
}

/// Adds these outputs of a program, as `called` calls them.
fn compute(
    session: &mut Session,
    source: &limn::program::Source,
    names: &[&str],
    called: &dyn Fn(&str) -> String,
    all: &mut Named,
) {
    let mut runner = session.prepare(source).expect("a program");
    let inputs: Vec<String> = runner.program().inputs.iter().map(|(name, _)| name.clone()).collect();
    for name in inputs {
        runner.write(&name, &all[&format!("in.{name}")].1).expect("an input");
    }
    runner.run().expect("a run");
    for name in names {
        let shape =
            source.outputs.iter().find(|output| output.0 == *name).map(|output| source.values[output.1].shape.clone());
        let values = runner.read(name).expect("an output");
        all.insert(format!("out.{}", called(name)), (shape.expect("an output"), values));
    }
}

/// Writes named tensors.
fn write(path: &Path, tensors: &Named) {
    let all: Vec<(&str, &[usize], &[f32])> =
        tensors.iter().map(|(name, (shape, values))| (name.as_str(), &shape[..], &values[..])).collect();
    save(path, &all);
}

/// Trains, exports and writes what is expected into the folder of the export.
fn prepared(place: &Path, folder: &str, preset: &str, steps: &str, more: &[&str]) -> PathBuf {
    let run = trained(place, folder, preset, steps, more);
    let out = exported(&run);
    let named = place.join(format!("{folder}-out"));
    std::fs::rename(out, &named).expect("a folder");
    let (mut session, _) = RunDir::open(&run).expect("a run").session(Device::Cpu, None).expect("a session");
    write(&named.join("expected.safetensors"), &expected(&mut session));
    named
}

#[test]
fn every_preset_computes_the_same_in_pytorch() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let mut folders: Vec<PathBuf> =
        presets().iter().map(|(preset, _)| prepared(place, preset, preset, "4", &[])).collect();
    // Networks at other stages of growing; what presets do not set.
    for (folder, preset, steps, more) in [
        ("progan-4", "progan", "2", &[][..]),
        ("progan-whole", "progan", "15", &["--set", "model.width=16", "--set", "model.widest=32"]),
        ("spectral", "dcgan-conditional", "4", &["--set", "model.discriminator_norm=spectral"]),
        ("wide", "dcgan", "4", &["--set", "model.image_height=64", "--set", "model.image_width=80"]),
        ("averaged", "vae", "4", &["--set", "train.ema=0.9"]),
        ("gaussian", "vae-conv", "4", &["--set", "model.decoder=gaussian"]),
        ("logistic", "vae-conv", "4", &["--set", "model.decoder=discretised-logistic"]),
        ("grey", "pixelcnn++", "4", &["--set", "model.channels=1"]),
        ("levels", "pixelrnn-diagonal", "4", &["--set", "model.channels=3", "--set", "model.levels=8"]),
        ("colours", "pixelrnn-row", "4", &["--set", "model.channels=3", "--set", "model.levels=8"]),
        ("binary-colours", "pixelcnn", "4", &["--set", "model.channels=3"]),
        ("no-blocks", "pixelcnn-256", "4", &["--set", "model.blocks=0", "--set", "model.levels=4"]),
        ("no-attention", "biggan-small", "4", &["--set", "model.attention=0"]),
    ] {
        folders.push(prepared(place, folder, preset, steps, more));
    }
    let printed = script(&python, "check", &folders);
    let mut worst = (0.0, String::new());
    for line in printed.lines() {
        let [folder, name, difference] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let difference: f64 = difference.parse().expect("a number");
        let near = if name == "nll" { NEAR_DENSITY } else { NEAR };
        assert!(difference <= near, "{line}\n{printed}");
        if name != "nll" && difference > worst.0 {
            worst = (difference, format!("{folder} {name}"));
        }
    }
    for folder in &folders {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(printed.lines().any(|line| line.split(' ').next() == Some(name)), "nothing of {name}");
        let model = std::fs::read_to_string(folder.join("model.py")).expect("a model");
        assert!(!model.contains("{{") && model.lines().all(|line| line.chars().count() <= 120), "{name}");
    }
    println!("{printed}the largest difference: {worst:?}");
}

#[test]
fn what_pytorch_changes_comes_back_as_it_was_saved() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().expect("a folder");
    for preset in ["vae", "biggan-small", "pixelcnn++-small", "ae"] {
        let out = prepared(place.path(), preset, preset, "2", &[]);
        script(&python, "change", std::slice::from_ref(&out));
        let changed = out.join("changed.safetensors");
        let more = ["--init", text(&changed), "--set", "train.keep=2"];
        let run = trained(place.path(), &format!("{preset}-again"), preset, "1", &more);
        let run = RunDir::open(&run).expect("a run");
        let initial = run.provenance().expect("provenance").sittings[0].initial.clone().expect("it was given weights");
        assert_eq!((&initial.missing, &initial.left), (&vec![], &vec![]), "{preset}");
        let config = &run.config;
        let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).expect("a session");
        let first = run.path.join("checkpoints/step-0.safetensors");
        checkpoint::load(&first, &mut session).expect("what the run began with");
        let (got, want) = (expected(&mut session), load(&out.join("after.safetensors")));
        let mut compared = 0;
        for (name, (_, values)) in got.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("out.")?, tensor))) {
            let largest = want[name].1.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
            let worst = std::iter::zip(values, &want[name].1).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(f64::from(worst / largest) <= NEAR, "{preset} {name}: {worst} of {largest}");
            compared += 1;
        }
        assert!(compared > 0, "{preset}");
    }
}

/// The weights, statistics and averages of a checkpoint.
fn weights(path: &Path) -> Named {
    let bytes = std::fs::read(path).expect("a file");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let floats = |view: safetensors::tensor::TensorView| {
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        (view.shape().to_vec(), values.collect())
    };
    let known = |name: &str| !name.starts_with("optim.") && name != "clock";
    file.iter().filter(|(name, _)| known(name)).map(|(name, view)| (name.to_string(), floats(view))).collect()
}

/// What a run that keeps its checkpoints began with.
fn begun(run: &Path) -> Named {
    weights(&run.join("checkpoints/step-0.safetensors"))
}

/// Flags of a run that starts from a file and keeps its first checkpoint.
fn from(file: &Path) -> [&str; 4] {
    ["--init", text(file), "--set", "train.keep=2"]
}

#[test]
fn a_run_starts_from_the_weights_of_another_and_its_averages_are_copies() {
    let place = tempfile::tempdir().expect("a folder");
    let place = place.path();
    let run = trained(place, "first", "vae", "3", &[]);
    let file = run.join("checkpoint.safetensors");
    let mut more = from(&file).to_vec();
    more.extend(["--seed", "9", "--set", "train.ema=0.9"]);
    let again = trained(place, "again", "vae", "1", &more);
    let (was, is) = (weights(&file), begun(&again));
    for (name, tensor) in &was {
        assert_eq!((&is[name], &is[&format!("average.{name}")]), (tensor, tensor), "{name}");
    }
    assert_eq!(is.len(), 2 * was.len());
    let provenance = std::fs::read_to_string(again.join("provenance.json")).expect("provenance");
    assert!(
        provenance.contains("\"sha256\"") && provenance.contains(&format!("\"taken\": {}", was.len())),
        "{provenance}"
    );
    let log = std::fs::read_to_string(again.join("log.txt")).expect("a log");
    assert!(log.contains(&format!("starts from {}, of which {} tensors fit", file.display(), was.len())), "{log}");
    // It has moved on.
    assert_ne!(weights(&again.join("checkpoint.safetensors"))["fc1.weight"], was["fc1.weight"]);
}

#[test]
fn the_page_beside_them_is_short_and_says_what_to_do() {
    let place = tempfile::tempdir().expect("a folder");
    let said = ["# ", "A run of", "model.py", "weights.safetensors", "`torch`", "save_file", "load()", "images"];
    for preset in ["vae", "vae-conditional", "wavegan-small", "frames-small", "pixelcnn-small", "classifier"] {
        let folder = exported(&trained(place.path(), preset, preset, "1", &[]));
        let page = std::fs::read_to_string(folder.join("README.md")).expect("a page");
        let lines: Vec<&str> = page.lines().collect();
        assert!((8..=12).contains(&lines.len()) && lines.iter().all(|line| line.len() <= 120), "{page}");
        let back = format!("limn train {preset} --init FILE.safetensors");
        let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
        said.iter().copied().chain([back.as_str()]).for_each(|word| assert!(words.contains(word), "{word}: {page}"));
    }
}

#[test]
fn exported_weights_under_their_parametrisations_come_back() {
    let place = tempfile::tempdir().expect("a folder");
    for preset in ["biggan-small", "pixelcnn++-small", "gmm-small", "progan-small"] {
        let run = trained(place.path(), preset, preset, "2", &[]);
        let file = exported(&run).join("weights.safetensors");
        let again = trained(place.path(), &format!("{preset}-again"), preset, "1", &from(&file));
        let (was, is) = (weights(&run.join("checkpoint.safetensors")), begun(&again));
        let mut compared = 0;
        for name in was.keys().filter(|name| !name.starts_with("average.") && !name.starts_with("pass.")) {
            // Networks that make images are exported with their averages.
            let want = was.get(&format!("average.{name}")).unwrap_or(&was[name]);
            assert_eq!(&is[name], want, "{preset}: {name}");
            compared += 1;
        }
        assert!(compared > 2, "{preset}");
    }
}

#[test]
fn a_run_that_was_given_weights_begins_again_with_them() {
    let place = tempfile::tempdir().expect("a folder");
    for preset in ["vae", "pixelcnn++-small"] {
        let file = trained(place.path(), preset, preset, "2", &[]).join("checkpoint.safetensors");
        let again = trained(place.path(), &format!("{preset}-again"), preset, "2", &from(&file));
        let end = std::fs::read(again.join("checkpoint.safetensors")).expect("a checkpoint");
        limn(&["train", "--resume", text(&again), "--from", "0", "--quiet"]).good();
        assert!(std::fs::read(again.join("checkpoint.safetensors")).expect("a checkpoint") == end, "{preset}");
    }
}

#[test]
fn what_does_not_fit_is_listed_by_name() {
    let place = tempfile::tempdir().expect("a folder");
    let run = trained(place.path(), "first", "vae", "2", &[]);
    let mut some = weights(&run.join("checkpoint.safetensors"));
    some.remove("fc4.bias");
    some.insert("head.weight".into(), (vec![3], vec![1.0, 2.0, 3.0]));
    some.insert("bn.num_batches_tracked".into(), (vec![1], vec![1.0]));
    let file = place.path().join("some.safetensors");
    write(&file, &some);
    let again = trained(place.path(), "again", "vae", "1", &from(&file));
    let log = std::fs::read_to_string(again.join("log.txt")).expect("a log");
    let lacks = "1 tensor of the model are not in the file, so that they start as in any new run: fc4.bias";
    assert!(log.contains(lacks) && log.contains("1 tensor of the file are not the model's: head.weight\n"), "{log}");
    let fresh = trained(place.path(), "fresh", "vae", "1", &["--set", "optim.lr=1e-30"]);
    assert_eq!(begun(&again)["fc4.bias"], weights(&fresh.join("checkpoint.safetensors"))["fc4.bias"]);
    assert_eq!(begun(&again)["fc1.weight"], some["fc1.weight"]);
}

#[test]
fn weights_that_cannot_be_taken_are_refused_and_nothing_stays() {
    let place = tempfile::tempdir().expect("a folder");
    let run = trained(place.path(), "first", "vae", "2", &[]);
    let good = weights(&run.join("checkpoint.safetensors"));
    let file = |name: &str, change: &dyn Fn(&mut Named)| {
        let (path, mut tensors) = (place.path().join(name), good.clone());
        change(&mut tensors);
        write(&path, &tensors);
        path
    };
    let bytes = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    let wrong = |t: &mut Named| drop(t.insert("fc21.weight".into(), (vec![3, 24], vec![0.0; 72])));
    let nan = |t: &mut Named| t.get_mut("fc21.bias").expect("a bias").1[2] = f32::NAN;
    let other = |t: &mut Named| *t = [("w".to_string(), (vec![1], vec![1.0]))].into();
    let whole = {
        let path = place.path().join("whole.safetensors");
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![6], &[0; 48]).expect("numbers");
        std::fs::write(&path, safetensors::serialize([("fc21.bias", view)], None).expect("bytes")).expect("a file");
        path
    };
    let mut damaged = std::fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint");
    let last = damaged.len() - 1;
    damaged[last] ^= 0x40;
    let refused: [(PathBuf, &[&str]); 10] = [
        (file("wrong.safetensors", &wrong), &["fc21.weight", "[3, 24]", "[6, 24]"]),
        (file("nan.safetensors", &nan), &["fc21.bias", "not finite"]),
        (file("other.safetensors", &other), &["has no tensor with the name", "it has w", "fc1.weight"]),
        (whole, &["fc21.bias", "I64"]),
        (bytes("text.safetensors", b"no tensors at all"), &["is no safetensors file"]),
        (bytes("empty.safetensors", b""), &["it is empty"]),
        (bytes("state.pt", b"PK\x03\x04 and so on"), &["is pickled", "save_file"]),
        (bytes("damaged.safetensors", &damaged), &["checksum"]),
        (place.path().to_path_buf(), &["is a folder"]),
        (place.path().join("nothing.safetensors"), &["cannot read"]),
    ];
    let out = place.path().join("out");
    let call = |file: &Path| -> Call {
        let set = ["--set", "model.hidden=24", "--set", "model.latent=6", "--device", "cpu", "--steps", "1"];
        limn(&[&["train", "vae", "--init", text(file), "--out", text(&out)], &set[..]].concat())
    };
    for (path, words) in refused {
        call(&path).bad(words);
        assert!(!out.exists(), "{}", path.display());
    }
    let both = limn(&["train", "--resume", text(&run), "--init", text(&run.join("checkpoint.safetensors"))]);
    assert_eq!(both.code, Some(2), "{}", both.err);
    // In half precision and as PyTorch's wrappers name them they are the same to a part in a thousand.
    let half: Vec<(String, Vec<usize>, Vec<u8>)> = good
        .iter()
        .map(|(name, (shape, values))| {
            let bits = values.iter().flat_map(|v| ((v.to_bits() >> 16) as u16).to_le_bytes());
            (format!("module.{name}"), shape.clone(), bits.collect())
        })
        .collect();
    let views = half.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::BF16, shape.clone(), bytes);
        (name.as_str(), view.expect("numbers"))
    });
    let path = bytes("half.safetensors", &safetensors::serialize(views, None).expect("bytes"));
    let again = trained(place.path(), "half", "vae", "1", &from(&path));
    for (name, (_, values)) in &good {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= b.abs() / 120.0;
        assert!(std::iter::zip(&begun(&again)[name].1, values).all(near), "{name}");
    }
}
