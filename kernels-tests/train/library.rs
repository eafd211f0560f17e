//! What somebody builds on the library: the examples, and a kind of model that limn does not know.

use crate::support::runs::{bytes, losses, resume, run, run_until, start};
use limn::graph::Var;
use limn::models::{Architecture, Autoregressive, Batch, Model, ModelConfig, ModelError, PixelModel, register};
use limn::nn::{Mode, Network, NetworkBuilder, Numbering, OptimConfig, Sequential};
use limn::ops::Mask;
use limn::program::Device;
use limn::train::{Config, RunDir, Session, checkpoint};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;

/// An example as somebody runs it; where this program of tests is built alone, cargo builds it
/// first.
fn example(name: &str, args: &[&Path]) -> String {
    let tests = std::env::current_exe().expect("a path");
    let target = tests.ancestors().nth(3).expect("a folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--locked", "--quiet", "--example", name, "--target-dir"]).arg(target);
    cargo.args((!cfg!(debug_assertions)).then_some("--release"));
    // With what this was built with: all of limn would be compiled once more without.
    cargo.args((!cfg!(feature = "cli")).then_some("--no-default-features"));
    cargo.args(cfg!(feature = "mpi").then_some("--features=mpi"));
    // What cargo tells a test is not for the cargo that a test calls: build scripts watch it, and
    // would run again.
    let told = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"].iter().any(|start| name.starts_with(start))
    });
    told.for_each(|name| {
        cargo.env_remove(name);
    });
    let output = cargo.arg("--").args(args).output().expect("cargo");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn the_examples_run() {
    assert!(example("train_loop", &[]).contains("step 300"));
    assert!(example("custom_kernel", &[]).contains("step 100"));
    example("own_device", &[]);
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    assert!(example("custom_model", &[&run]).contains("after 200 steps"));
    let picture = image::open(run.join("samples/step-200.png")).expect("a picture of samples").into_luma8();
    assert!(picture.pixels().any(|pixel| pixel[0] == 255) && picture.pixels().any(|pixel| pixel[0] == 0));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    width: usize,
    #[serde(default)]
    deeper: bool,
}

impl Architecture for Settings {
    const KIND: &'static str = "somebodys";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        if self.width == 0 {
            return Err(ModelError::setting("width", self.width, "must be at least 1"));
        }
        let mut net = NetworkBuilder::new("pixels", &Numbering::default());
        let layers = net.sequence("layers").masked_conv(Mask::A, 1, self.width, 3, 1).relu();
        let layers = layers.masked_conv(Mask::B, self.width, 1, 1, 1).build();
        Ok(Box::new(Autoregressive(Pixels { net: net.build(), layers })))
    }
}

struct Pixels {
    net: Network,
    layers: Sequential,
}

impl PixelModel for Pixels {
    fn network(&self) -> &Network {
        &self.net
    }

    fn shape(&self) -> [usize; 3] {
        [1, 28, 28]
    }

    fn outputs(&self, batch: &Batch, mode: Mode) -> Var {
        self.layers.forward(&batch.images, mode)
    }
}

/// It is trained, stopped, resumed to the same bits, and sampled, like one of limn's own.
#[test]
fn a_model_of_somebody_elses_has_all_that_limns_have() {
    let dir = tempfile::tempdir().expect("a folder");
    let [whole, parts] = ["whole", "parts"].map(|name| dir.path().join(name));
    let mut config = Config::of(ModelConfig::new(Settings { width: 3, deeper: true }));
    (config.train.steps, config.train.batch, config.train.sample_every) = (Some(6), 4, Some(1));
    run(start(&config, &whole)).expect("a run");
    assert_eq!(run_until(start(&config, &parts), 3).step, 3);

    // Its folder cannot be read before its kind is known, and can from then on.
    let unknown = RunDir::open(&parts).expect_err("a kind nobody knows").to_string();
    assert!(unknown.contains("there is no model \"somebodys\""), "{unknown}");
    register::<Settings>().expect("a new kind");
    register::<Settings>().expect("the same kind once more");
    run(resume(&parts)).expect("a run");
    assert_eq!((bytes(&parts), losses(&parts)), (bytes(&whole), losses(&whole)));

    let opened = RunDir::open(&whole).expect("a run");
    assert_eq!(opened.config.model.downcast_ref(), Some(&Settings { width: 3, deeper: true }));
    let optim = opened.config.optimizer();
    let mut session = Session::new(&opened.config.model, &optim, 0, Device::Cpu).expect("a session");
    checkpoint::load(&opened.checkpoint(), &mut session).expect("a checkpoint");
    let images = limn::sample::samples(&mut session, 2, None, 0, limn::sample::Drawing::Cached).expect("samples");
    assert!(images.len() == 2 * 784 && images.iter().all(|v| *v == 0.0 || *v == 1.0));

    // Settings are held against its own, from files as well.
    let error =
        opened.config.clone().set("model.widht=2".parse().expect("a setting")).expect_err("a key it lacks").to_string();
    assert!(error.contains("model.width"), "{error}");
    let mut config = opened.config;
    config.set("model.width=0".parse().expect("a setting")).expect("a number");
    assert!(config.validate().expect_err("no width").to_string().contains("model.width = 0 must be at least 1"));
    config.set("model.width=2".parse().expect("a setting")).expect("a number");
    config.optim = OptimConfig::Em { floor: 0.1, batches: 1 };
    assert!(config.validate().expect_err("no mixture").to_string().contains("mixtures"));
}

/// Two kinds of one name cannot be told apart in a file.
#[test]
fn names_of_kinds_are_taken_once() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Another {}

    impl Architecture for Another {
        const KIND: &'static str = "vae";

        fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
            Err(ModelError::Settings("it has no network".into()))
        }
    }

    assert!(register::<Another>().expect_err("taken").to_string().contains("\"vae\""));
}
