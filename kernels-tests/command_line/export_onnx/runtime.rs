//! ONNX Runtime and limn on the same numbers. Where there is no Python with both, a line says so.

use super::super::models::Place;
use super::super::python;
use super::super::{call, limn, support::normals, text};
use super::trained;
use limn::export::onnx::model;
use limn::program::Device;
use limn::sample::Function;
use limn::train::{Config, Session};
use prost::Message;
use safetensors::tensor::{Dtype, TensorView};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How far results may be apart, as a share of the largest number of a result, or of 1.
const NEAR: f64 = 1e-4;

/// Reads models, inputs and what limn makes of these; tells how far ONNX Runtime's are from them.
const COMPARE: &str = "
import sys, numpy, onnx, onnxruntime
from safetensors.numpy import load_file
worst = 0.0
for path in sys.argv[1:]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_outputs()]
    for n in (1, 2, 5):
        tensors = load_file(f'{path}.{n}.safetensors')
        given = {name[3:]: value for name, value in tensors.items() if name.startswith('in.')}
        made = session.run(None, given)
        far = 0.0
        for name, value in zip(names, made):
            wanted = tensors[f'out.{name}']
            assert value.shape == wanted.shape, (path, name, value.shape, wanted.shape)
            assert numpy.isfinite(wanted).all(), (path, name)
            apart = numpy.abs(value.astype('f8') - wanted).max() / max(1.0, numpy.abs(wanted).max())
            far = max(far, float(apart))
        print(path, n, f'{far:.3g}')
        assert far <= float(NEAR), (path, n, far)
        worst = max(worst, far)
print('worst', worst)
";

/// Python with ONNX and its runtime.
pub(super) fn runtime() -> Option<String> {
    python("numpy, onnx, onnxruntime, safetensors.numpy", "models in ONNX by ONNX Runtime")
}

/// Writes a function of a model into a folder, and beside it what limn makes of some inputs, for 1,
/// 2 and 5 images.
pub(super) fn write(folder: &Path, name: &str, function: Function, session: &mut Session) -> PathBuf {
    let path = folder.join(format!("{name}-{function}.onnx"));
    let made = model(function, session).unwrap_or_else(|e| panic!("{name}: {e}"));
    std::fs::write(&path, made.encode_to_vec()).expect("a file");
    for n in [1, 2, 5] {
        let graph = function.graph(session, n).expect("a graph");
        let source = graph.finish().expect("a graph");
        let mut runner = session.runner(&graph).expect("a program");
        let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        let declared = made.graph.as_ref().expect("a graph").input.iter().map(|input| input.name.as_str());
        for (k, input) in declared.enumerate() {
            let place = limn::program::Place::Input(input.into());
            let shape = source.values.iter().find(|value| value.place == place).expect("an input").shape.clone();
            let values = numbers(input, &shape, 10 * n as u32 + k as u32);
            runner.write(input, &values).expect("an input");
            tensors.push((format!("in.{input}"), shape, values));
        }
        runner.run().expect("limn runs");
        for (output, id) in &source.outputs {
            let values = runner.read(output).expect("an output");
            tensors.push((format!("out.{output}"), source.values[*id].shape.clone(), values));
        }
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, shape, values)| (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor")));
        let file = safetensors::serialize(views, None).expect("tensors");
        std::fs::write(format!("{}.{n}.safetensors", path.display()), file).expect("a file");
    }
    path
}

/// Latent vectors, images, or a one in a column of each row.
fn numbers(input: &str, shape: &[usize], stream: u32) -> Vec<f32> {
    let len = shape.iter().product();
    match input {
        "images" => normals(stream, len).into_iter().map(|v| (0.5 + 0.3 * v).clamp(0.0, 1.0)).collect(),
        "labels" => (0..len).map(|at| f32::from(at % shape[1] == (7 * (at / shape[1]) + 3) % shape[1])).collect(),
        _ => normals(stream, len),
    }
}

/// Expects ONNX Runtime to make of each file what limn does.
#[track_caller]
pub(super) fn agree(python: &str, files: &[PathBuf]) {
    let script = COMPARE.replace("NEAR", &format!("'{NEAR}'"));
    let paths: Vec<&str> = files.iter().map(|path| text(path)).collect();
    let told = call(Command::new(python).args(["-c", &script]).args(paths)).good().out;
    assert!(told.contains("worst"), "{told}");
    println!("{told}");
}

/// Presets of every family, and what makes them small enough to train in a moment.
const PRESETS: [(&str, &[&str]); 20] = [
    ("vae", &["model.hidden=32", "model.latent=4"]),
    ("ae", &["model.hidden=32", "model.latent=4"]),
    ("vae-conditional", &["model.hidden=32", "model.latent=4"]),
    ("vae-conv-small", &[]),
    ("vae-iwae-small", &[]),
    ("gan-small", &[]),
    ("dcgan-28-small", &["train.ema=0.9"]),
    ("dcgan-conditional-small", &[]),
    ("wgan-gp-small", &[]),
    ("biggan-small", &[]),
    // In the middle of the second stage, which fades in.
    ("progan-small", &["model.stable_steps=2", "model.fade_steps=4"]),
    ("pixelcnn-small", &[]),
    ("pixelcnn-cifar-small", &["model.hidden=6", "model.blocks=2"]),
    ("pixelcnn-gated-conditional-small", &[]),
    ("pixelrnn-row-small", &[]),
    ("pixelrnn-diagonal-small", &[]),
    ("gmm-small", &["train.batch=32"]),
    ("classifier", &[]),
    ("wavegan-small", &[]),
    ("frames-small", &[]),
];

#[test]
fn onnx_runtime_makes_what_limn_does_of_every_family() {
    let Some(python) = runtime() else { return };
    let place = Place::new();
    let mut files = Vec::new();
    let pp = ["model.filters=6", "model.blocks=1", "model.components=3"];
    let all = PRESETS.iter().map(|(name, sizes)| (*name, *sizes)).chain([("pixelcnn++-small", &pp[..])]);
    for (preset, sizes) in all {
        let folder = place.path(preset);
        let mut args = vec!["train", preset, "--steps", "4", "--device", "cpu", "--out", text(&folder)];
        let quick = ["train.batch=4", "train.sample_every=0", "train.eval_every=0"];
        quick.iter().chain(sizes).for_each(|setting| args.extend(["--set", setting]));
        limn(&args).good();
        let mut session = trained(&folder).session;
        for function in Function::all(&session) {
            files.push(write(&place.path(""), preset, function, &mut session));
        }
    }
    agree(&python, &files);
}

#[test]
fn onnx_runtime_makes_what_limn_does_of_the_largest_presets() {
    let Some(python) = runtime() else { return };
    let place = Place::new();
    let mut files = Vec::new();
    for preset in ["pixelcnn++", "progan", "biggan"] {
        let config = Config::preset(preset).expect("a preset");
        let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).expect("a session");
        // What grows has grown.
        session.go_to(u64::from(u32::MAX)).expect("a later step");
        for function in Function::all(&session) {
            files.push(write(&place.path(""), preset, function, &mut session));
        }
    }
    agree(&python, &files);
}
