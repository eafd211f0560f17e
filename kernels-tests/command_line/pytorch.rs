//! `limn run` on tensors whose results PyTorch computed.

use super::{fixture, limn, limn_on_device, text};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A tensor: shape and elements.
pub type Tensor = (Vec<usize>, Vec<f32>);

pub fn load(path: &Path) -> BTreeMap<String, Tensor> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("four bytes"));
    let tensor = |v: TensorView| (v.shape().to_vec(), v.data().chunks_exact(4).map(number).collect());
    file.iter().map(|(name, view)| (name.to_string(), tensor(view))).collect()
}

pub fn save(path: &Path, tensors: &[(&str, &[usize], &[f32])]) {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| t.2.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let view = |((name, shape, _), bytes): (&(&str, &[usize], _), _)| {
        (name.to_string(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("sizes agree"))
    };
    let views: Vec<_> = std::iter::zip(tensors, bytes.iter().map(Vec::as_slice)).map(view).collect();
    std::fs::write(path, safetensors::serialize(views, None).expect("tensors serialise")).expect("a file");
}

/// The largest difference over the largest magnitude.
fn distance(got: &[f32], want: &[f32]) -> f32 {
    let scale = want.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let worst = std::iter::zip(got, want).map(|(g, w)| (g - w).abs());
    // NaN must not get lost in a maximum.
    worst.fold(0.0, |m: f32, d| if d.is_nan() { f32::INFINITY } else { m.max(d) }) / scale
}

fn every_case(run: impl Fn(&[&str]) -> super::Call) {
    let cases = std::fs::read(fixture("cases.json")).expect("the cases");
    let cases: Vec<Value> = serde_json::from_slice(&cases).expect("JSON");
    assert_eq!(cases.len(), 29);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        let input = fixture(&format!("{name}.in.safetensors"));
        let op = case["op"].as_str().expect("an op");
        let settings = case["set"].as_object().expect("settings");
        let settings: Vec<String> =
            settings.iter().map(|(k, v)| format!("--set={k}={}", v.as_str().expect("text"))).collect();
        let mut args = vec!["run", op, "--in", text(&input), "--out", text(&out), "--grad"];
        args.extend(settings.iter().map(String::as_str));
        run(&args).good();
        let (mut got, want) = (load(&out), load(&fixture(&format!("{name}.out.safetensors"))));
        assert_eq!(got.remove("eps").is_some(), op == "reparameterize");
        assert!(got.keys().eq(want.keys()), "{name}: {:?}", got.keys());
        for (tensor, (shape, data)) in &want {
            assert_eq!(got[tensor].0, *shape, "{name} {tensor}");
            let distance = distance(&got[tensor].1, data);
            assert!(distance <= 1e-5, "{name} {tensor}: {distance:e}");
        }
    }
}

#[test]
fn the_device_agrees_with_pytorch() {
    every_case(limn_on_device);
}

#[test]
fn the_cpu_agrees_with_pytorch() {
    every_case(|args| limn(&[args, &["--device", "cpu"]].concat()));
}

#[test]
fn short_forms_of_settings_mean_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = fixture("conv2d-3x3-s2-p1.in.safetensors");
    let run = |settings: &[&str]| {
        let out = folder.path().join("out.safetensors");
        let args =
            [&["run", "conv2d", "--device", "cpu", "--in", text(&input), "--out", text(&out)], settings].concat();
        limn(&args).good();
        load(&out)
    };
    let long = run(&["--set", "stride=2,2", "--set", "padding=1,1,1,1"]);
    assert_eq!(long, run(&["--set", "stride=2", "--set", "padding=1"]));
    assert_eq!(long, run(&["--set", "stride=2", "--set", "padding=1,1"]));
    // Settings of its relatives are taken where they change nothing.
    assert_eq!(long, run(&["--set=stride=2", "--set=padding=1", "--set=output_padding=0,0", "--set=groups=1"]));
    // Without --grad there are no gradients.
    assert_eq!(long.keys().collect::<Vec<_>>(), ["y"]);
}

#[test]
fn reparameterize_takes_vectors_and_either_gradient() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    let row = [0.5, -1.0, 2.0];
    save(&input, &[("mu", &[3], &row), ("logvar", &[3], &[0.0; 3]), ("dkl", &[], &[1.0])]);
    for run in [|args: &[&str]| limn_on_device(args), |args: &[&str]| limn(&[args, &["--device", "cpu"]].concat())] {
        run(&["run", "reparameterize", "--in", text(&input), "--out", text(&out), "--grad"]).good();
        let got = load(&out);
        assert_eq!((got["z"].0.as_slice(), got["kl"].0.as_slice()), (&[3][..], &[][..]));
        assert!(distance(&got["kl"].1, &[0.5 * (0.25 + 1.0 + 4.0)]) <= 1e-6);
        // dz is absent and counts as zero: what is left is the gradient of the divergence.
        assert!(distance(&got["dmu"].1, &row) <= 1e-6);
        assert!(got["dlogvar"].1.iter().all(|v| v.abs() <= 1e-6));
    }
}

/// With the noise in hand anybody can compute z and its gradients.
#[test]
fn reparameterize_gives_its_noise() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    let (mu, logvar, dz) = ([0.5, -1.0, 2.0, 0.0], [0.3, -0.7, 1.1, 0.0], [1.0, -2.0, 0.5, 3.0]);
    save(&input, &[("mu", &[2, 2], &mu), ("logvar", &[2, 2], &logvar), ("dz", &[2, 2], &dz)]);
    for run in [|args: &[&str]| limn_on_device(args), |args: &[&str]| limn(&[args, &["--device", "cpu"]].concat())] {
        let args = ["run", "reparameterize", "--in", text(&input), "--out", text(&out), "--grad", "--set", "seed=5"];
        run(&args).good();
        let got = load(&out);
        assert_eq!(got["eps"].0, [2, 2]);
        for i in 0..4 {
            let noise = (logvar[i] / 2.0_f32).exp() * got["eps"].1[i];
            assert!(noise != 0.0 && (got["z"].1[i] - mu[i] - noise).abs() < 1e-5, "{i}");
            assert!((got["dmu"].1[i] - dz[i]).abs() < 1e-6, "{i}");
            assert!((got["dlogvar"].1[i] - 0.5 * dz[i] * noise).abs() < 1e-5, "{i}");
        }
    }
}

/// Slopes of both signs, and none that devices have as 0 or infinity.
#[test]
fn leaky_relus_of_any_slope_have_their_gradients() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    save(&input, &[("x", &[4], &[-2.0, -0.5, 0.5, 2.0]), ("dy", &[4], &[1.0, 2.0, 3.0, 4.0])]);
    for slope in [-0.5_f32, -2.0, 0.0, -0.0, 0.25, 3.0] {
        let set = format!("slope={slope}");
        for run in [|args: &[&str]| limn_on_device(args), |args: &[&str]| limn(&[args, &["--device", "cpu"]].concat())]
        {
            run(&["run", "leaky_relu", "--in", text(&input), "--out", text(&out), "--grad", "--set", &set]).good();
            let got = load(&out);
            assert_eq!(got["y"].1, [-2.0 * slope, -0.5 * slope, 0.5, 2.0], "{slope}");
            assert_eq!(got["dx"].1, [slope, 2.0 * slope, 3.0, 4.0], "{slope}");
        }
    }
    for (set, is) in [("slope=1e-46", "is 0"), ("slope=-1e39", "is infinite"), ("slope=NaN", "is not a number")] {
        limn(&["run", "leaky_relu", "--in", text(&input), "--out", text(&out), "--set", set]).bad(&[set, is]);
    }
}

#[test]
fn matmul_and_activations_come_with_gradients() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    let (a, b, bias, dc) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, -1.0, 0.5], [10.0], [1.0, 2.0]);
    save(&input, &[("a", &[2, 3], &a), ("b", &[3, 1], &b), ("bias", &[1], &bias), ("dc", &[2, 1], &dc)]);
    limn_on_device(&["run", "matmul", "--in", text(&input), "--out", text(&out), "--grad"]).good();
    let got = load(&out);
    assert_eq!(got["c"], (vec![2, 1], vec![10.5, 12.0]));
    assert_eq!(got["da"], (vec![2, 3], vec![1.0, -1.0, 0.5, 2.0, -2.0, 1.0]));
    assert_eq!(got["db"], (vec![3, 1], vec![9.0, 12.0, 15.0]));
    assert_eq!(got["dbias"], (vec![1], vec![3.0]));

    save(&input, &[("x", &[2, 2], &[-2.0, -0.5, 0.5, 2.0]), ("dy", &[2, 2], &[1.0; 4])]);
    let args = ["run", "leaky_relu", "--in", text(&input), "--out", text(&out), "--grad", "--set", "slope=0.5"];
    limn_on_device(&args).good();
    assert_eq!(load(&out)["y"].1, [-1.0, -0.25, 0.5, 2.0]);
    assert_eq!(load(&out)["dx"].1, [0.5, 0.5, 1.0, 1.0]);
    for op in ["relu", "elu", "tanh", "sigmoid", "softplus", "exp"] {
        limn_on_device(&["run", op, "--in", text(&input), "--out", text(&out), "--grad"]).good();
    }
}
