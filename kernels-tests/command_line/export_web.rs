//! Trained models as pages: what is in them, and that a browser draws what limn draws.

use super::*;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// A small model of each family that a page has controls for, in seconds of training.
const MODELS: [(&str, &[&str]); 6] = [
    ("vae", &["model.hidden=40", "model.latent=6"]),
    ("vae-conditional", &["model.hidden=40", "model.latent=2"]),
    ("dcgan-28-small", &["model.width=4"]),
    ("pixelcnn-small", &["model.hidden=4", "model.blocks=1"]),
    ("pixelcnn-gated-conditional-small", &["model.hidden=4", "model.dilations=[1]"]),
    ("gmm-small", &["model.components=6"]),
];

fn train(dir: &Path, preset: &str, settings: &[&str]) -> String {
    let out = dir.join(preset).display().to_string();
    let mut args = vec!["train", preset, "--out", &out, "--device", "cpu", "--steps", "8", "--batch", "8"];
    settings.iter().for_each(|setting| args.extend(["--set", setting]));
    limn(&args).good();
    out
}

/// What stands in an element of a page, unpacked.
fn packed(page: &str, id: &str) -> (usize, Vec<u8>) {
    let begin = page.find(&format!("id=\"{id}\">")).unwrap() + id.len() + 6;
    let text = &page[begin..begin + page[begin..].find("</script>").unwrap()];
    let bytes = BASE64_STANDARD.decode(text.trim()).unwrap();
    let mut all = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut all).unwrap();
    (text.len(), all)
}

#[test]
fn a_page_holds_its_programs_their_kernels_and_its_weights() {
    let dir = tempfile::tempdir().unwrap();
    for (preset, settings) in [MODELS[0], MODELS[3]] {
        let run = train(dir.path(), preset, settings);
        let said = limn(&["export", &run, "--format", "web", "--device", "cpu"]).good().out;
        assert!(said.contains("model.html"), "{said}");
        let page = std::fs::read_to_string(Path::new(&run).join("model.html")).unwrap();
        let ((_, content), (weights, numbers)) = (packed(&page, "content"), packed(&page, "weights"));
        assert!(page.len() - weights < 150_000, "{preset}: {} bytes without weights", page.len() - weights);
        let content: Value = serde_json::from_slice(&content).unwrap();
        for (name, code) in
            content["modules"].as_array().unwrap().iter().map(|m| (m[0].as_str().unwrap(), m[1].as_str().unwrap()))
        {
            let module = naga::front::wgsl::parse_str(code).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(module.entry_points.iter().any(|entry| entry.name == "main"), "{name}");
        }
        let last = content["tensors"].as_array().unwrap().last().unwrap();
        assert!(last["at"].as_u64().unwrap() < numbers.len() as u64);
        for kind in ["gpu", "lanes"] {
            for (name, program) in content["programs"][kind].as_object().unwrap() {
                let dispatches = program["dispatches"].as_array().unwrap();
                assert!(!dispatches.is_empty(), "{preset}: {name}");
                for dispatch in dispatches {
                    // WebGPU binds from multiples of 256 bytes on, and eight storage buffers at most.
                    let bound = dispatch["bind"].as_array().unwrap();
                    let aligned = |place: &Value| place.is_null() || place[1].as_u64().unwrap().is_multiple_of(64);
                    assert!(bound.len() <= 8 && bound.iter().all(aligned), "{preset}: {dispatch}");
                    assert!(dispatch["params"][0].as_u64().unwrap().is_multiple_of(256));
                }
            }
        }
        assert_eq!(content["about"]["step"], 8);
    }
}

/// Names and WGSL of what the dispatches of a program run.
fn kernels<'a>(content: &'a Value, class: &str, program: &str) -> Vec<[&'a str; 2]> {
    let dispatches = content["programs"][class][program]["dispatches"].as_array().unwrap();
    let index = |value: &Value| value.as_u64().unwrap() as usize;
    let module = |d: &Value| &content["modules"][index(&content["pipelines"][index(&d["pipeline"])]["module"])];
    dispatches.iter().map(|d| [0, 1].map(|k| module(d)[k].as_str().unwrap())).collect()
}

#[test]
fn one_image_is_made_by_kernels_that_are_soon_compiled() {
    let dir = tempfile::tempdir().unwrap();
    for (preset, settings) in &MODELS[..3] {
        let run = train(dir.path(), preset, settings);
        limn(&["export", &run, "--format", "web", "--device", "cpu"]).good();
        let page = std::fs::read_to_string(Path::new(&run).join("model.html")).unwrap();
        let content: Value = serde_json::from_slice(&packed(&page, "content").1).unwrap();
        // A software device makes coroutines of what waits at barriers.
        for [name, code] in kernels(&content, "lanes", "decode") {
            assert!(!code.contains("workgroupBarrier()"), "{preset}: {name}");
        }
        // A tile of 64 rows would be empty but for one.
        if preset.starts_with("vae") {
            let gpu = kernels(&content, "gpu", "decode");
            assert!(gpu.iter().all(|[name, _]| !name.starts_with("tile")), "{preset}: {gpu:?}");
        }
    }
}

#[test]
fn halves_are_smaller_and_say_what_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let run = train(dir.path(), MODELS[0].0, MODELS[0].1);
    let out = |name: &str| dir.path().join(name).display().to_string();
    limn(&["export", &run, "--format", "web", "--device", "cpu", "--out", &out("a.html")]).good();
    let call = limn(&["export", &run, "--format", "web", "--device", "cpu", "--f16", "--out", &out("b.html")]).good();
    assert!(call.err.contains("f16") && call.err.contains("at most"), "{}", call.err);
    let [a, b] = ["a.html", "b.html"].map(|name| std::fs::read_to_string(out(name)).unwrap());
    let [a, b] = [a, b].map(|page| packed(&page, "weights").1.len());
    assert!(b * 10 < a * 6, "{a} and {b} bytes");
}

#[test]
fn what_cannot_be_a_page_is_told_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let web = ["--format", "web", "--device", "cpu"];
    let export = |run: &str, more: &[&str]| limn(&[&["export", run][..], &web, more].concat());
    let empty = dir.path().join("none").display().to_string();
    export(&empty, &[]).bad(&["does not exist"]);
    let run = train(dir.path(), MODELS[0].0, MODELS[0].1);
    let inside = format!("{run}/config.toml/page.html");
    export(&run, &["--out", &inside]).bad(&["cannot write", "config.toml"]);
    export(&run, &["--out", &run]).bad(&["cannot write", "folder"]);
    let call = limn(&["export", &run, "--format", "word"]);
    assert!(call.code == Some(2) && call.err.contains("it is web, pytorch, onnx or hub"), "{}", call.err);
    let classifier = train(dir.path(), "classifier", &["model.width=2", "model.features=4"]);
    export(&classifier, &[]).bad(&["features"]);
    assert!(!Path::new(&classifier).join("model.html").exists());
    std::fs::remove_file(Path::new(&run).join("checkpoint.safetensors")).unwrap();
    export(&run, &[]).bad(&["checkpoint"]);
    assert!(!Path::new(&run).join("model.html").exists());
}

#[test]
fn a_model_too_large_for_a_page_is_told_how_large_it_would_be() {
    let dir = tempfile::tempdir().unwrap();
    // Of one latent number, so that all is in two matrices: the first makes too long a page, the second
    // too large a buffer, whose numbers are f32 whatever those of the page are.
    let cases: [(&str, &[&str]); 2] = [
        (
            "model.hidden=41000",
            &["the page would take", "browsers load 268.4 MB at most", "with weights in f16", "--f16"],
        ),
        ("model.hidden=43000", &["it needs a buffer of 270.", "at most 268.4 MB", "WebGPU's default limits"]),
    ];
    for (hidden, words) in cases {
        let run = dir.path().join("vae").display().to_string();
        let small = ["--steps", "1", "--batch", "1", "--device", "cpu", "--set", "model.latent=1", "--set", hidden];
        limn(&[&["train", "vae", "--out", &run][..], &small].concat()).good();
        let out = dir.path().join("pages/page.html").display().to_string();
        let call = limn(&["export", &run, "--format", "web", "--device", "cpu", "--out", &out]);
        assert_eq!(call.err.contains("--f16"), words.contains(&"--f16"), "{}", call.err);
        call.bad(words);
        assert!(!dir.path().join("pages").exists());
        std::fs::remove_dir_all(run).unwrap();
    }
}

#[test]
fn pages_draw_in_a_browser_what_limn_draws() {
    let Some(python) = python("json", "pages of models in a browser") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/web_test.py");
    let asked = Command::new(&python).arg(script).output().unwrap();
    if asked.status.code() == Some(77) {
        let told = String::from_utf8_lossy(&asked.stdout);
        return not_tested(&format!("pages of models in a browser: {told}"));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut pages = Vec::new();
    for (preset, settings) in MODELS {
        let run = train(dir.path(), preset, settings);
        let at = |ending: &str| dir.path().join(format!("{preset}.{ending}")).display().to_string();
        limn(&["export", &run, "--format", "web", "--device", "cpu", "--out", &at("html")]).good();
        limn(&["sample", &run, "--n", "18", "--device", "cpu", "--out", &at("safetensors")]).good();
        pages.push(format!("{}={}", at("html"), at("safetensors")));
    }
    let tested = Command::new(python).arg(script).args(&pages).output().unwrap();
    let told = String::from_utf8_lossy(&tested.stdout);
    assert_eq!(tested.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&tested.stderr));
}
