//! What a driver is asked for, under Khronos's validation layer with its validation of synchronisation: not a word may be
//! said of checks, training, evaluation and sampling. That words would be said is shown by a layer in front (`lost.c`)
//! that leaves out all barriers. In short some models are tried, with `LIMN_TRUST` (`make trust`) one of every family
//! and every kernel.

use crate::lost::layer;
use crate::support::{device_flag, is_long, not_tested};
use crate::{call_within, text};
use limn::gpu::Gpu;
use limn::kernels::{self, Class, Precision};
use limn::program::Device;
use limn::train::{Config, Hooks, Setting, Start, presets, train};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const LAYER: &str = "VK_LAYER_KHRONOS_validation";

/// Whose steps are validated: one of every family where there is time.
fn models() -> Vec<&'static str> {
    let few = ["vae", "dcgan-28-small", "pixelcnn-small"];
    let all = presets().iter().map(|(name, _)| *name);
    let others = ["ae", "classifier", "beta-vae", "vae-conditional", "vae-static", "vae"];
    if is_long() { all.filter(|name| name.ends_with("-small") || others.contains(name)).collect() } else { few.into() }
}

fn skipped(why: &str) {
    not_tested(&format!("what the driver is asked for, by Khronos's validation: {why}"));
}

/// The folder with the layer's manifest.
fn validation() -> Option<PathBuf> {
    let places =
        ["/usr/share", "/usr/local/share", "/etc"].map(|place| Path::new(place).join("vulkan/explicit_layer.d"));
    let found = places.into_iter().find(|folder| folder.join("VkLayer_khronos_validation.json").is_file());
    if found.is_none() {
        skipped("the layer is not installed (on Debian: vulkan-validationlayers)");
    }
    found
}

/// Has a command's calls of Vulkan be validated, and maybe its barriers be left out before; then says what was said.
fn said(folder: &Path, layers: &Path, command: &mut Command, without_barriers: bool) -> String {
    let log = folder.join("said.txt");
    let _ = std::fs::remove_file(&log);
    let settings = [
        ("debug_action", "VK_DBG_LAYER_ACTION_LOG_MSG"),
        ("report_flags", "error,warn"),
        ("log_filename", text(&log)),
        // By the names of versions until 1.3.250, and of those since.
        ("enables", "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT"),
        ("validate_sync", "true"),
        ("syncval_shader_accesses_heuristic", "true"),
    ];
    let lines: Vec<String> =
        settings.iter().map(|(key, value)| format!("khronos_validation.{key} = {value}\n")).collect();
    std::fs::write(folder.join("vk_layer_settings.txt"), lines.concat()).expect("settings");
    let names = if without_barriers { format!("VK_LAYER_LIMN_lose:{LAYER}") } else { LAYER.into() };
    let paths = std::env::join_paths([folder, layers]).expect("paths");
    command.env("VK_INSTANCE_LAYERS", names).env("VK_LAYER_PATH", paths).env("VK_LAYER_SETTINGS_PATH", folder);
    command.env("LIMN_CACHE", folder.join("cache"));
    if without_barriers {
        command.env("LIMN_LOSE", "barriers:0");
    }
    let done = call_within(command, Duration::from_secs(if is_long() { 3600 } else { 120 }));
    assert!(without_barriers || done.code == Some(0), "{}{}", done.out, done.err);
    // The layer makes it where it begins to watch.
    std::fs::read_to_string(&log).expect("nothing was validated")
}

fn limn(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.args(args).args(device_flag());
    command
}

/// Trains a model as on a GPU, for the test below.
#[test]
fn child_that_trains_as_on_a_gpu() {
    let Some(out) = std::env::var_os("LIMN_VALIDATED_IN").map(PathBuf::from) else { return };
    let model = std::env::var("LIMN_VALIDATED").expect("a preset");
    let mut config = Config::preset(&model).expect("a preset");
    config.set_all(&Setting::all(&["train.steps=2"]).expect("settings")).expect("settings");
    let gpu = Gpu::open_as_class(Some("0"), Precision::Full, Class::Gpu).expect("a device");
    let start = Start::New { config, out: Some(out), init: None };
    train(start, Device::Gpu(Arc::new(gpu)), Hooks::default()).expect("a run");
}

#[test]
fn the_validation_layer_has_nothing_to_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (Some(()), Some(layers)) = (layer(folder, "what the driver is asked for"), validation()) else { return };
    let child = |model: &str, without_barriers| {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["validation::child_that_trains_as_on_a_gpu", "--exact"]);
        command
            .env("LIMN_VALIDATED", model)
            .env("LIMN_VALIDATED_IN", folder.join(format!("{model}-{without_barriers}")));
        said(folder, &layers, &mut command, without_barriers)
    };
    // What it would say of a launch that reads what another writes, with nobody to wait for that.
    let words = child("vae", true);
    if !words.contains("vkCmdDispatch") {
        skipped(
            "this version of the layer misses no barrier where all are left out, so it says nothing of those there are",
        );
    }
    println!("without barriers: {} messages", words.matches("SYNC-HAZARD").count());
    let run = folder.join("run");
    for model in models() {
        let _ = std::fs::remove_dir_all(&run);
        let mut command = limn(&["train", model, "--steps", "2", "--tune", "off", "--out", text(&run)]);
        command.args(["--set", "train.eval_every=0"]);
        let words = said(folder, &layers, &mut command, false);
        assert!(words.is_empty(), "{model}: {words}");
        let words = child(model, false);
        assert!(words.is_empty(), "{model} as on a GPU: {words}");
        println!("{model}: not a word");
    }
    // A checkpoint is there: the last model's.
    let png = folder.join("samples.png");
    for args in [&["sample", text(&run), "--n", "4", "--out", text(&png)][..], &["eval", text(&run), "--images", "16"]]
    {
        let words = said(folder, &layers, &mut limn(args), false);
        assert!(words.is_empty(), "{args:?}: {words}");
    }
    // Each by itself, since the layer gives back nothing that it took.
    for name in kernels::all().into_iter().map(|entry| entry.name).filter(|name| is_long() || *name == "batch_norm") {
        let words = said(folder, &layers, &mut limn(&["check", name]), false);
        assert!(words.is_empty(), "{name}: {words}");
        println!("{name} checked: not a word");
    }
}
