//! Commands on models, from training to pictures, and bad input to each of them: one plain
//! sentence, exit code 2, and nothing lost.

use super::{Call, limn, text};
use std::path::{Path, PathBuf};

/// A folder to work in, with runs inside.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Place {
        Place(tempfile::tempdir().expect("a folder"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// Trains a preset made tiny, into a folder of that name.
    pub(super) fn train(&self, preset: &str, more: &[&str]) -> PathBuf {
        self.train_in(preset, preset, more)
    }

    pub(super) fn train_in(&self, folder: &str, preset: &str, more: &[&str]) -> PathBuf {
        let out = self.path(folder);
        let args = ["train", preset, "--steps", "2", "--batch", "4", "--device", "cpu", "--out", text(&out)];
        limn(&[&args, more].concat()).good();
        out
    }

    pub(super) fn vae(&self) -> PathBuf {
        self.vae_in("vae")
    }

    pub(super) fn vae_in(&self, folder: &str) -> PathBuf {
        let tiny = ["--set", "model.hidden=8", "--set", "model.latent=2", "--set", "train.samples=4"];
        self.train_in(folder, "vae", &tiny)
    }

    pub(super) fn pixelcnn(&self) -> PathBuf {
        let tiny = ["--set", "model.hidden=2", "--set", "model.blocks=1", "--set", "train.samples=1"];
        self.train("pixelcnn-small", &tiny)
    }
}

pub(super) fn on_cpu(args: &[&str]) -> Call {
    limn(&[args, &["--device", "cpu"]].concat())
}

/// Expects a PNG and gives its width and height.
#[track_caller]
pub(super) fn picture(path: &Path) -> (u32, u32) {
    let picture = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (picture.width(), picture.height())
}

#[test]
fn a_run_holds_what_it_should_and_every_command_works_on_it() {
    let place = Place::new();
    let run = place.vae();
    for file in ["config.toml", "metrics.csv", "checkpoint.safetensors", "samples/step-2.png"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    on_cpu(&["sample", text(&run), "--n", "5", "--seed", "1"]).good();
    assert_eq!(picture(&run.join("samples.png")), (3 * 58 + 2, 2 * 58 + 2));
    for view in ["manifold", "traverse", "interpolate", "reconstruct"] {
        on_cpu(&["latent", text(&run), view]).good();
        picture(&run.join(format!("{view}.png")));
    }
    let rows = on_cpu(&["eval", text(&run), "--json"]).good().rows();
    let names: Vec<_> = rows.iter().map(|r| r["name"].as_str().expect("a name")).collect();
    // Of grey levels a Bernoulli decoder has no probability.
    assert_eq!(names, ["loss", "elbo", "bce", "kl"]);
    for row in &rows {
        assert!(row["value"].as_f64().expect("a value").is_finite());
        assert!(row["unit"].is_string() && row["protocol"].as_str().expect("a protocol").contains("seed 0"));
    }
    let value = |i: usize| rows[i]["value"].as_f64().expect("a value");
    assert!((value(0) - value(2) - value(3)).abs() < 1e-3 && value(0) == -value(1));
    on_cpu(&["complete", text(&run), "--images", "test"]).bad(&["pixel by pixel"]);
}

#[test]
fn eval_measures_what_the_model_has_and_refuses_the_rest() {
    let place = Place::new();
    let run = place.vae();
    let eval = |run: &Path, more: &[&str]| on_cpu(&[&["eval", text(run)], more].concat());
    let names = |call: Call| -> Vec<String> {
        call.good().rows().iter().map(|r| r["name"].as_str().expect("a name").to_string()).collect()
    };
    assert_eq!(names(eval(&run, &["--metric", "elbo", "--images", "3", "--json"])).len(), 4);
    assert_eq!(names(eval(&run, &["--metric", "iwae-7", "--images", "3", "--json"])), ["iwae_7"]);
    assert!(eval(&run, &["--images", "3"]).good().out.contains("cross-entropies, and no log-likelihoods"));
    eval(&run, &["--metric", "log-p"]).bad(&["no probability of grey levels", "model.binarisation", "iwae-5000"]);
    let run = place.path("binary");
    let tiny = ["--set", "model.hidden=8", "--set", "model.latent=2", "--steps", "1", "--out", text(&run)];
    on_cpu(&[&["train", "vae", "--set", "model.binarisation=static"][..], &tiny].concat()).good();
    assert_eq!(names(eval(&run, &["--images", "3", "--json"])), ["loss", "elbo", "bits_per_dim", "bce", "kl"]);
    assert_eq!(
        names(eval(&run, &["--metric", "iwae-7", "--images", "3", "--json"])),
        ["iwae_7", "nll", "bits_per_dim"]
    );
    let call = eval(&run, &["--metric", "log-p", "--images", "2"]).good();
    assert!(call.out.contains("log_p") && call.out.contains("2 evenly spread of the 1000 test images"), "{}", call.out);
    eval(&run, &["--metric", "fid"]).bad(&["metric fid", "elbo, iwae-K", "log-p"]);
    for bad in ["iwae-0", "iwae-", "iwae-x", "iwae-1000001"] {
        eval(&run, &["--metric", bad]).bad(&[bad, "1 to 1000000"]);
    }
    eval(&run, &["--images", "1001"]).bad(&["--images 1001", "1000 test images"]);
    assert_eq!(eval(&run, &["--images", "0"]).code, Some(2));
    let pixels = place.pixelcnn();
    assert_eq!(names(eval(&pixels, &["--metric", "nll", "--images", "2", "--json"])), ["nll", "bits_per_dim"]);
    eval(&pixels, &["--metric", "log-p"]).bad(&["log-p", "it has nll"]);
}

#[test]
fn an_autoencoder_says_what_its_samples_are() {
    let place = Place::new();
    let run = place.train("ae", &["--set", "model.hidden=8", "--set", "model.latent=3", "--set", "train.samples=4"]);
    let call = on_cpu(&["sample", text(&run), "--n", "4"]).good();
    assert!(call.err.contains("no prior"), "{}", call.err);
    for view in ["manifold", "traverse", "interpolate", "reconstruct"] {
        on_cpu(&["latent", text(&run), view]).good();
        picture(&run.join(format!("{view}.png")));
    }
    let rows = on_cpu(&["eval", text(&run), "--json"]).good().rows();
    assert_eq!((rows.len(), &rows[0]["name"]), (1, &"mse".into()));
    on_cpu(&["eval", text(&run), "--metric", "iwae-5"]).bad(&["it has mse"]);
}

#[test]
fn models_with_averaged_weights_are_looked_at_by_them_unless_told_otherwise() {
    let place = Place::new();
    let far = ["--set", "optim.lr=0.05", "--set", "train.ema=0.99", "--set", "train.samples=4"];
    let tiny = ["--set", "model.hidden=8", "--set", "model.latent=2"];
    let run = place.train("vae", &[&far[..], &tiny].concat());
    let drawn = |weights: &[&str]| {
        let out = place.path("picture.png");
        let said = on_cpu(&[&["sample", text(&run), "--n", "4", "--out", text(&out)], weights].concat()).good().out;
        (std::fs::read(&out).expect("a picture"), said.contains("with averaged weights"))
    };
    let [default, averaged, trained] = [&[][..], &["--weights", "averaged"], &["--weights", "trained"]].map(drawn);
    assert!(default == averaged && default.1 && !trained.1 && default.0 != trained.0);
    // The run's own picture of its last step is of the same noise.
    assert_eq!(std::fs::read(run.join("samples/step-2.png")).expect("a picture"), default.0);
    let loss = |weights: &str| {
        let row = on_cpu(&["eval", text(&run), "--weights", weights, "--json"]).good().rows().remove(0);
        let protocol = row["protocol"].as_str().expect("a protocol").contains("averaged weights");
        (row["value"].as_f64().expect("a value"), protocol)
    };
    let [averaged, trained] = ["averaged", "trained"].map(loss);
    assert!(averaged.0 != trained.0 && averaged.1 && !trained.1);
    let call = on_cpu(&["latent", text(&run), "manifold", "--weights", "best"]);
    assert!(call.code == Some(2) && call.err.contains("it is trained or averaged"), "{}", call.err);
    let plain = place.vae_in("plain");
    on_cpu(&["sample", text(&plain), "--weights", "averaged"]).bad(&["keeps no averaged weights", "train.ema"]);
    let bytes = |ema: &str| {
        let rows = on_cpu(&["plan", "vae", "--set", ema, "--json"]).good().rows();
        ["optimizer_bytes", "parameter_bytes", "peak_bytes", "launches"].map(|key| rows[0][key].as_u64().expect(key))
    };
    let ([optimizer, parameters, peak, launches], with) = (bytes("train.ema=0"), bytes("train.ema=0.999"));
    assert_eq!(with, [optimizer + parameters, parameters, peak + parameters, launches]);
}

#[test]
fn pixelcnn_completes_what_is_hidden_and_keeps_what_is_known() {
    let place = Place::new();
    let run = place.pixelcnn();
    let mask = place.path("mask.png");
    let mut white = image::GrayImage::from_pixel(28, 28, image::Luma([255]));
    (0..28).for_each(|x| white.put_pixel(x, 27, image::Luma([0])));
    white.save(&mask).expect("a mask");
    let out = place.path("c.png");
    on_cpu(&["complete", text(&run), "--images", text(&mask), "--keep", text(&mask), "--out", text(&out)]).good();
    assert_eq!(picture(&out), (6 * 58 + 2, 58 + 2));
    let naive = place.path("n.png");
    let same =
        ["complete", text(&run), "--images", text(&mask), "--keep", text(&mask), "--naive", "--out", text(&naive)];
    on_cpu(&same).good();
    assert_eq!(std::fs::read(&out).expect("a picture"), std::fs::read(&naive).expect("a picture"));
    let complete = |more: &[&str]| on_cpu(&[&["complete", text(&run)], more].concat());
    complete(&["--images", "test", "--keep", "upper-hafl"]).bad(&["upper-hafl", "upper-half"]);
    complete(&["--images", "nowhere.png"]).bad(&["nowhere.png"]);
    let small = place.path("small.png");
    image::GrayImage::new(5, 5).save(&small).expect("a mask");
    complete(&["--images", "test", "--keep", text(&small)]).bad(&["5x5", "28x28"]);
    on_cpu(&["latent", text(&run), "manifold"]).bad(&["no latent space"]);
}

#[test]
fn a_batch_that_does_not_fit_is_refused_with_the_largest_that_does() {
    let place = Place::new();
    let out = place.path("run");
    for device in ["cpu", "reference", "0"] {
        let refused = |command: &[&str], batch: &str| {
            let words = [&format!("batch {batch} does not fit"), "the largest batch that fits is"];
            limn(&[command, &["--batch", batch, "--device", device]].concat()).bad(&words);
        };
        refused(&["plan", "vae"], "4294967295");
        refused(&["plan", "pixelcnn", "--set", "train.recompute=true"], "3000000");
        refused(&["bench", "step", "dcgan"], "3000000");
        refused(&["profile", "vae"], "3000000");
        // A run that is refused leaves no folder behind.
        let wide = ["train", "pixelcnn", "--batch", "6000", "--set", "model.hidden=240", "--out", text(&out)];
        limn(&[&wide[..], &["--device", device]].concat())
            .bad(&["batch 6000 does not fit", "the largest batch that fits is"]);
        assert!(!out.exists());
    }
    let rows = on_cpu(&["plan", "vae", "--json"]).good().rows();
    let bytes = |key: &str| rows[0][key].as_u64().expect("bytes");
    let parts = ["parameter", "optimizer", "gradient", "record", "input", "shared"];
    assert_eq!(parts.iter().map(|part| bytes(&format!("{part}_bytes"))).sum::<u64>(), bytes("peak_bytes"));
    assert!(bytes("parameter_bytes") >= 4 * 652_824 && bytes("optimizer_bytes") == 2 * bytes("parameter_bytes"));
    assert_eq!(bytes("activation_bytes") - bytes("shared_bytes"), bytes("reuse_saved_bytes"));
    assert_eq!(rows[0]["fits"], true);
}

#[test]
fn plans_benches_and_profiles_speak_of_presets() {
    let out = on_cpu(&["plan", "vae"]).good().out;
    assert!(out.contains("fc1.weight") && out.trim_end().ends_with("parameters: 652,824"), "{out}");
    let rows = on_cpu(&["plan", "pixelcnn", "--json"]).good().rows();
    assert_eq!(rows[0]["parameters"], 53569);
    let rows = on_cpu(&["bench", "step", "vae", "--batch", "64", "--json"]).good().rows();
    for key in ["median_ms", "images_per_s", "gpu_ms", "host_ms", "gflop_per_step", "gflops", "peak_bytes"] {
        assert!(rows[0][key].as_f64().is_some_and(f64::is_finite), "{key}");
    }
    assert_eq!((&rows[0]["preset"], &rows[0]["batch"]), (&"vae".into(), &64.into()));
    // Each weight of a product is multiplied and added up for the output, for its own gradient, and
    // but for those that see images for the input's; the rest of the step is little beside.
    let [first, others] = [784 * 400, 400 * 40 + 20 * 400 + 400 * 784].map(|weights| 2.0 * 64.0 * f64::from(weights));
    let (products, number) = (2.0 * first + 3.0 * others, |key: &str| rows[0][key].as_f64().expect("a number"));
    assert!((1.0..1.05).contains(&(number("gflop_per_step") * 1e9 / products)), "{}", rows[0]);
    let per_ms = |what: f64| what / number("median_ms");
    let is = |key: &str, value: f64| assert!((number(key) / value - 1.0).abs() < 1e-3, "{key} of {}", rows[0]);
    is("images_per_s", per_ms(64e3));
    is("gflops", per_ms(1e3 * number("gflop_per_step")));
    let args = ["bench", "sample", "pixelcnn-small", "--batch", "1", "--naive-pixels", "1", "--json"];
    let rows = on_cpu(&args).good().rows();
    for key in ["cached_s", "cached_images_per_s", "naive_s_per_pixel", "naive_s", "ratio"] {
        assert!(rows[0][key].as_f64().is_some_and(f64::is_finite), "{key}");
    }
    on_cpu(&["bench", "sample", "vae"]).bad(&["pixel by pixel"]);
    let place = Place::new();
    let trace = place.path("trace.json");
    let args = ["profile", "vae", "--steps", "1", "--batch", "2", "--trace", text(&trace), "--json"];
    let rows = on_cpu(&args).good().rows();
    assert!(rows.iter().any(|r| r["kernel"] == "matmul") && rows.iter().all(|r| r["ms"].is_f64()));
    let launches = crate::engineer::spans(&trace, 2).iter().filter(|span| span["args"]["shape"].is_string()).count();
    assert_eq!(launches, rows.len());
    for command in [&["plan", "vea"][..], &["profile", "vea"], &["bench", "step", "vea"]] {
        on_cpu(command).bad(&["vea", "vae"]);
    }
}

#[test]
fn bad_words_to_train() {
    let place = Place::new();
    let out = place.path("run");
    let empty = place.path("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let syntax = place.file("syntax.toml", b"preset = \"vae\"\n[model\n");
    let kind = place.file("type.toml", b"preset = \"vae\"\n[model]\nhidden = \"many\"\n");
    let key = place.file("key.toml", b"preset = \"vae\"\n[model]\nhiden = 3\n");
    let short = place.file("short-idx3-ubyte", &[0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2]);
    let magic = place.file("magic-idx3-ubyte", &[1; 64]);
    let nothing = place.file("nothing-idx3-ubyte", b"");
    let train = |args: &[&str], words: &[&str]| {
        on_cpu(&[&["train"], args, &["--out", text(&out)]].concat()).bad(words);
        assert!(!out.exists(), "{args:?} left a folder behind");
    };
    train(&["vea"], &["vea", "vae"]);
    train(&["missing.toml"], &["missing.toml"]);
    train(&[text(&syntax)], &["syntax.toml:2"]);
    train(&[text(&kind)], &["type.toml:3", "model.hidden"]);
    train(&[text(&key)], &["key.toml:3", "hiden", "hidden"]);
    train(&["vae", "--set", "model.hiden=3"], &["hiden", "hidden"]);
    train(&["vae", "--set", "model.hidden=0"], &["model.hidden"]);
    train(&["vae", "--set", "optim.lr=fast"], &["optim.lr"]);
    train(&["vae", "--set", "optim.lr=-1"], &["optim.lr"]);
    for bad in ["1", "1.0", "-0.1", "nan", "inf"] {
        train(&["vae", "--set", &format!("train.ema={bad}")], &["train.ema", "at least 0 and below 1"]);
    }
    train(&["vae", "--set", "train.ema=often"], &["train.ema", "expected a number, found a string"]);
    train(&["vae", "--data", "mnits"], &["mnits", "mnist"]);
    train(&["vae", "--data", text(&empty)], &["empty"]);
    train(&["vae", "--data", text(&short)], &["short-idx3-ubyte"]);
    train(&["vae", "--data", text(&magic)], &["magic-idx3-ubyte"]);
    train(&["vae", "--data", text(&nothing)], &["nothing-idx3-ubyte"]);
    train(&["dcgan-28", "--set", "model.image=30"], &["model.image", "28"]);
    let device = limn(&["train", "vae", "--device", "voodoo", "--out", text(&out)]);
    device.bad(&["voodoo", "cpu"]);
    assert!(!out.exists());
}

#[test]
fn folders_that_are_no_runs_and_checkpoints_that_are_damaged() {
    let place = Place::new();
    let run = place.vae();
    for command in [&["sample"][..], &["eval"], &["train", "--resume"]] {
        on_cpu(&[command, &[text(&place.path("nowhere"))]].concat()).bad(&["nowhere"]);
        on_cpu(&[command, &[text(place.0.path())]].concat()).bad(&["config.toml"]);
    }
    on_cpu(&["train", "vae", "--out", text(&run)]).bad(&[text(&run)]);
    let checkpoint = run.join("checkpoint.safetensors");
    let whole = std::fs::read(&checkpoint).expect("a checkpoint");
    let damaged = [&whole[..whole.len() / 2], &b"not a checkpoint"[..], &[]];
    for bytes in damaged {
        std::fs::write(&checkpoint, bytes).expect("damage");
        for command in [&["sample"][..], &["eval"], &["train", "--steps", "4", "--resume"]] {
            on_cpu(&[command, &[text(&run)]].concat()).bad(&["checkpoint.safetensors"]);
        }
        assert_eq!(std::fs::read(&checkpoint).expect("a checkpoint"), bytes, "the file was touched");
    }
    std::fs::write(&checkpoint, &whole).expect("repair");
    let nowhere = place.path("file").join("a.png");
    place.file("file", b"");
    on_cpu(&["sample", text(&run), "--n", "1", "--out", text(&nowhere)]).bad(&["a.png"]);
}

#[test]
fn classes_are_asked_for_by_number() {
    let place = Place::new();
    let tiny = ["--set", "model.hidden=8", "--set", "model.latent=2", "--set", "train.samples=20"];
    let run = place.train("vae-conditional", &tiny);
    assert_eq!(picture(&run.join("samples/step-2.png")), (10 * 58 + 2, 2 * 58 + 2), "a column for each class");
    let out = place.path("a.png");
    let draw = |more: &[&str]| on_cpu(&[&[more[0], text(&run)], &more[1..], &["--out", text(&out)]].concat());
    draw(&["sample", "--n", "9", "--class", "3"]).good();
    assert_eq!(picture(&out), (3 * 58 + 2, 3 * 58 + 2));
    draw(&["sample", "--class", "10"]).bad(&["class 10", "classes are 0 to 9"]);
    for view in ["manifold", "traverse", "interpolate"] {
        draw(&["latent", view]).good();
        draw(&["latent", view, "--class", "9"]).good();
        draw(&["latent", view, "--class", "11"]).bad(&["class 11", "classes are 0 to 9"]);
    }
    draw(&["latent", "reconstruct"]).good();
    draw(&["latent", "reconstruct", "--class", "1"]).bad(&["--class", "leave it away"]);
    on_cpu(&["eval", text(&run), "--images", "10"]).good();
    on_cpu(&["sample", text(&place.vae()), "--class", "1"]).bad(&["class 1", "not told classes", "leave --class away"]);
    let train = |more: &[&str]| {
        let refused = place.path("refused");
        let args = ["train", "vae-conditional", "--steps", "1", "--out", text(&refused)];
        on_cpu(&[&args, more].concat())
    };
    train(&["--set", "model.classes=4"]).bad(&["of class 9", "set model.classes=10 or more"]);
    std::fs::create_dir(place.path("pictures")).expect("a folder");
    for name in ["pictures/a.png", "pictures/b.png", "pictures/c.png"] {
        image::RgbImage::new(28, 28).save(place.path(name)).expect("a picture");
    }
    train(&["--data", text(&place.path("pictures")), "--batch", "1"]).bad(&["have no labels", "model.classes=0"]);
}

#[test]
fn a_mixture_is_trained_drawn_and_looked_at() {
    let place = Place::new();
    let tiny = ["--set", "model.components=4", "--set", "train.samples=4"];
    let run = place.train("gmm-small", &tiny);
    assert!(std::fs::read_to_string(run.join("config.toml")).expect("settings").contains("batches = 1500"));
    on_cpu(&["sample", text(&run), "--n", "4"]).good();
    let call = on_cpu(&["latent", text(&run), "components"]).good();
    assert!(call.out.contains("4 components, of "), "{}", call.out);
    assert_eq!(picture(&run.join("components.png")), (2 * 58 + 2, 2 * 58 + 2));
    on_cpu(&["latent", text(&run), "manifold"]).bad(&["latent DIR components"]);
    on_cpu(&["latent", text(&place.vae()), "components"]).bad(&["only mixtures", "gmm"]);
    on_cpu(&["complete", text(&run), "--images", "test"]).bad(&["pixel by pixel"]);
    let rows = on_cpu(&["eval", text(&run), "--images", "9", "--json"]).good().rows();
    assert_eq!((rows.len(), &rows[0]["name"]), (1, &"nll".into()));
    on_cpu(&["eval", text(&run), "--metric", "log-p"]).bad(&["it has nll"]);
    on_cpu(&["plan", "gmm-small", "--json"]).good();
    for (setting, words) in [
        ("model.components=5", "train.batch = 4 must be at least model.components = 5"),
        ("optim.kind=adam", "set optim.kind=em"),
        ("train.ema=0.9", "set train.ema=0"),
    ] {
        let out = place.path("refused");
        let args = ["train", "gmm-small", "--batch", "4", "--set", "model.components=4", "--set", setting];
        on_cpu(&[&args[..], &["--out", text(&out)]].concat()).bad(&[words]);
        assert!(!out.exists());
    }
}

#[test]
fn codes_can_be_added_and_pictures_can_move() {
    let place = Place::new();
    let run = place.vae();
    let out = place.path("a.gif");
    let latent = |run: &Path, more: &[&str]| on_cpu(&[&["latent", text(run)], more].concat());
    latent(&run, &["arithmetic", "--from", "3", "--to", "8"]).good();
    assert_eq!(picture(&run.join("arithmetic.png")), (11 * 58 + 2, 8 * 58 + 2));
    latent(&run, &["arithmetic", "--from", "3", "--to", "8", "--plus", "5"]).good();
    latent(&run, &["arithmetic", "--z", "3+7+12,5,9", "--seed", "2"]).good();
    assert_eq!(picture(&run.join("arithmetic.png")), (11 * 58 + 2, 58 + 2));
    for (view, size) in [("manifold", [2, 2]), ("traverse", [2, 1]), ("interpolate", [3, 3])] {
        latent(&run, &[view, "--gif", "--out", text(&out)]).good();
        assert_eq!(picture(&out), (size[0] * 58 + 2, size[1] * 58 + 2), "{view}");
        latent(&run, &[view, "--gif"]).good();
        assert!(run.join(format!("{view}.gif")).is_file());
    }
    latent(&run, &["arithmetic", "--from", "1", "--to", "2", "--gif"]).good();
    latent(&run, &["reconstruct", "--gif"]).bad(&["--film", "does not move"]);
    latent(&run, &["arithmetic", "--z", "1,2,3", "--gif"]).bad(&["--film", "do not move"]);
    latent(&run, &["arithmetic"]).bad(&["two classes", "--from 3 --to 8"]);
    latent(&run, &["arithmetic", "--from", "3"]).bad(&["two classes"]);
    latent(&run, &["arithmetic", "--from", "3", "--to", "77"]).bad(&["class 77"]);
    latent(&run, &["arithmetic", "--z", "1,2"]).bad(&["--z 1,2", "three numbers"]);
    latent(&run, &["arithmetic", "--z", "1,2,3", "--to", "1"]).bad(&["--z"]);
    latent(&run, &["manifold", "--from", "3"]).bad(&["--from", "arithmetic"]);
    let conditional = place.train("vae-conditional", &["--set", "model.hidden=8", "--set", "train.samples=4"]);
    latent(&conditional, &["arithmetic", "--from", "3", "--to", "8"]).bad(&["--class K"]);
    let gan = place.train("dcgan-28-small", &["--set", "model.width=2", "--set", "train.samples=1"]);
    latent(&gan, &["arithmetic", "--z", "0+1+2,3,4"]).good();
    latent(&gan, &["arithmetic", "--from", "3", "--to", "8"]).bad(&["no encoder", "--z"]);
    latent(&gan, &["interpolate", "--gif"]).good();
}
