//! Devices that are lost, hang, or have no memory left: a layer between limn and the driver (`lost.c`) takes them away at
//! the Nth call. A run goes back to its last checkpoint on the device opened anew, once, and ends with the same bits; or
//! it ends with a sentence that says what is saved. In short some N are tried, with `LIMN_TRUST` (`make trust`) all, one
//! after the other, until a run passes untouched.

use crate::support::{device, device_flag, is_long, not_tested};
use crate::{Call, call, text};
use limn::gpu::Gpu;
use limn::kernels::{Class, Precision};
use limn::program::Device;
use limn::train::{Config, Hooks, Resume, Sampler, Session, Setting, Start, TrainError, checkpoint, train};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const STEPS: &str = "train.steps=30";

const SETTINGS: [&str; 7] = [
    STEPS,
    "train.batch=16",
    "model.hidden=16",
    "train.checkpoint_every=7",
    "train.log_every=5",
    "train.sample_every=10",
    "train.eval_every=0",
];

/// Makes the layer in a folder; says aloud why `what` is not tested where it cannot be.
pub fn layer(folder: &Path, what: &str) -> Option<()> {
    let skipped = |why: &str| not_tested(&format!("{what}: {why}"));
    if device_flag().is_empty() || !cfg!(target_os = "linux") {
        skipped("there is no Vulkan device here");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/command_line/lost.c");
    let library = folder.join("lost.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"];
    let Ok(made) = Command::new(&compiler).args(flags).arg(&library).arg(source).output() else {
        skipped(&format!("there is no C compiler ({compiler})"));
        return None;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let manifest = serde_json::json!({
        "file_format_version": "1.0.0",
        "layer": {
            "name": "VK_LAYER_LIMN_lose", "type": "GLOBAL", "library_path": library, "api_version": "1.3.0",
            "implementation_version": "1", "description": "takes a device away",
        },
    });
    std::fs::write(folder.join("layer.json"), manifest.to_string()).expect("a file");
    Some(())
}

/// Has a command's device be lost as `plan` says; all that it opens, with `again`.
fn losing<'a>(command: &'a mut Command, folder: &Path, plan: &str, again: bool) -> &'a mut Command {
    command.env("VK_LAYER_PATH", folder).env("VK_INSTANCE_LAYERS", "VK_LAYER_LIMN_lose").env("LIMN_LOSE", plan);
    if again {
        command.env("LIMN_LOSE_AGAIN", "1");
    }
    command
}

fn limn(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.env("LIMN_CACHE", folder.join("cache"));
    command
}

/// A new run that measures variants first.
fn measuring_run(folder: &Path, out: &Path) -> Command {
    let mut command = limn(folder);
    command.args(["train", "vae", "--out"]).arg(out).args(device_flag());
    SETTINGS.iter().for_each(|setting| _ = command.args(["--set", setting]));
    command
}

fn new_run(folder: &Path, out: &Path) -> Command {
    let mut command = measuring_run(folder, out);
    command.args(["--tune", "off"]);
    command
}

fn resumed(folder: &Path, out: &Path) -> Command {
    let mut command = limn(folder);
    command.args(["train", "--tune", "off", "--resume"]).arg(out).args(device_flag());
    command
}

fn bits(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint")
}

/// One run on a device that is lost so: what it says, whether it met the loss, and that it comes to the same bits in the
/// end. Tells whether it did.
fn meets(folder: &Path, whole: &[u8], plan: &str, again: bool) -> bool {
    let out = folder.join("run");
    let _ = std::fs::remove_dir_all(&out);
    let Call { code, out: told, err } = call(losing(&mut new_run(folder, &out), folder, plan, again));
    let what = format!("{plan} {again}: {err}");
    let met = err.contains("the layer: ");
    let checkpoint = out.join("checkpoint.safetensors");
    match code {
        // One that is found to be lost when all is done has nothing to go on with.
        Some(0) if plan.starts_with("room") || plan.starts_with("wait") => {}
        Some(0) => assert!(!met || told.contains("opened anew"), "{what}"),
        Some(2) => {
            let line = err.lines().last().unwrap_or_default();
            assert!(met && line.starts_with("limn: "), "{what}");
            assert!(line.contains("lost") || line.contains("memory") || line.contains("could not be opened"), "{what}");
            if let Ok(info) = checkpoint::info(&checkpoint) {
                let saved = format!("step {} is saved", info.step);
                assert!(line.contains(&saved) && line.contains("limn train --resume"), "{what}");
            }
            let mut next =
                if out.join("config.toml").is_file() { resumed(folder, &out) } else { new_run(folder, &out) };
            call(&mut next).good();
        }
        _ => panic!("{code:?} {what}"),
    }
    assert!(bits(&out) == whole, "other bits: {what}");
    met
}

#[test]
fn a_run_whose_device_is_lost_goes_on_once_and_says_what_is_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let Some(()) = layer(folder, "devices that are lost") else { return };
    let whole = folder.join("whole");
    call(&mut new_run(folder, &whole)).good();
    let whole = bits(&whole);
    if !is_long() {
        for (plan, again) in
            [("lost:30", false), ("wait:30", false), ("memory:30", false), ("lost:4", true), ("room:1", true)]
        {
            assert!(meets(folder, &whole, plan, again), "{plan} was not met");
        }
        return;
    }
    for how in ["lost", "wait", "memory", "room"] {
        for again in [false, true] {
            // A run waits, and asks how far the device is, some thousand times.
            let step = if how == "wait" { 37 } else { 1 };
            let untouched =
                (1..).step_by(step).find(|n| !meets(folder, &whole, &format!("{how}:{n}"), again)).expect("an end");
            println!(
                "{how}, {}: {} runs",
                if again { "every device" } else { "the first device" },
                (untouched - 1) / step
            );
            assert!(untouched > if how == "room" { 1 } else { 30 }, "{how} was hardly met");
        }
    }
}

/// Where a run's variants are measured first, much is submitted before its first step.
#[test]
fn a_device_that_is_lost_while_variants_are_measured_is_opened_anew_and_that_variant_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let Some(()) = layer(folder, "devices that are lost while variants are measured") else { return };
    let measured = |plan: Option<&str>, out: &str| {
        let mut command = measuring_run(folder, &folder.join(out));
        call(plan.iter().fold(&mut command, |command, plan| losing(command, folder, plan, false)))
    };
    let refused = || {
        let files = std::fs::read_dir(folder.join("cache/tune")).expect("what is known").map(|file| file.expect("one"));
        let known = files.map(|file| std::fs::read_to_string(file.path()).expect("text"));
        known.map(|text| text.lines().filter(|line| line.contains("lost")).count()).sum::<usize>()
    };
    // Under the first variants: of later ones it depends on the machine whether there is time for them.
    const EARLY: &str = "lost:40";
    let told = measured(Some(EARLY), "once");
    let out = told.good().out;
    assert!(out.contains("was measured, which is not tried again; the device was opened anew"), "{out}");
    assert!(out.contains("step 30"), "{out}");
    assert_eq!(refused(), 1);
    // The next run tries another variant, and one on a device that keeps neither of the two.
    measured(Some(EARLY), "twice").good();
    assert_eq!(refused(), 2);
    measured(None, "thrice").good();
    assert_eq!(refused(), 2);
    // Before the first variant, as the device's clock is tried, no variant is to blame.
    let _ = std::fs::remove_dir_all(folder.join("cache"));
    let out = measured(Some("lost:5"), "clock").good().out;
    assert!(out.contains("; the device was opened anew") && !out.contains("tried again"), "{out}");
}

#[test]
fn what_a_trained_model_is_asked_on_a_lost_device_ends_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let Some(()) = layer(folder, "devices that are lost") else { return };
    let run = folder.join("whole");
    call(&mut new_run(folder, &run)).good();
    let png = folder.join("a.png");
    for args in [&["sample", text(&run), "--out", text(&png)][..], &["eval", text(&run)], &["bench", "concat"]] {
        for plan in ["lost:2", "memory:2"] {
            let mut command = limn(folder);
            command.args(args).args(device_flag());
            call(losing(&mut command, folder, plan, false)).bad(&["lost"]);
        }
    }
}

fn config() -> Config {
    let mut config = Config::preset("vae").expect("a preset");
    config.set_all(&Setting::all(&SETTINGS).expect("settings")).expect("settings");
    config
}

/// Trains on a device that counts as hung after four seconds, for the test below.
#[test]
fn child_on_a_device_that_hangs() {
    let Some(out) = std::env::var_os("LIMN_HANGS_IN").map(PathBuf::from) else { return };
    let gpu = Gpu::open_as_class(Some("0"), Precision::Full, Class::Gpu).expect("a device");
    gpu.wait_no_longer_than(Duration::from_secs(10));
    let start = match out.join("config.toml").is_file() {
        true => Start::Resume(Resume { dir: out, ..Resume::default() }),
        false => Start::New { config: config(), out: Some(out), init: None },
    };
    match train(start, Device::Gpu(Arc::new(gpu)), Hooks::default()) {
        Ok(outcome) => println!("\ndone: {}", outcome.step),
        Err(error) => println!("\nfailed: {error}"),
    }
}

#[test]
fn a_run_whose_device_hangs_goes_on_once_and_names_the_launches() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let Some(()) = layer(folder, "devices that are lost") else { return };
    let child = |run: &str, plan: Option<&str>, again| {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["lost::child_on_a_device_that_hangs", "--exact", "--nocapture"]);
        command.env("LIMN_HANGS_IN", folder.join(run));
        plan.iter().for_each(|plan| _ = losing(&mut command, folder, plan, again));
        // A panic that is caught shows, as nobody hooks it here; none may end the test.
        let done = command.output().expect("a child");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let out = String::from_utf8_lossy(&done.stdout).into_owned();
        out.lines().find(|line| line.starts_with("done") || line.starts_with("failed")).unwrap_or_default().to_string()
    };
    assert_eq!(child("whole", None, false), "done: 30");
    assert_eq!(child("once", Some("hang:40"), false), "done: 30");
    let log = std::fs::read_to_string(folder.join("once/log.txt")).expect("a log");
    let named = ["launch", "a copy to the host"].map(|what| format!("the device hangs: it did not end {what}"));
    assert!(named.iter().any(|words| log.contains(words)) && log.contains("goes on with steps"), "{log}");
    assert!(bits(&folder.join("once")) == bits(&folder.join("whole")), "{log}");
    let said = child("twice", Some("hang:2"), true);
    assert!(said.starts_with("failed: the device hangs: it did not end launches 1 to"), "{said}");
    assert!(said.ends_with("in 10 seconds; no checkpoint is saved"), "{said}");
    assert_eq!(child("twice", None, false), "done: 30");
    assert!(bits(&folder.join("twice")) == bits(&folder.join("whole")));
}

#[test]
fn a_device_that_is_destroyed_is_opened_anew_once() {
    let Some(wanted) = device_flag().get(1).cloned().filter(|name| !["cpu", "reference"].contains(&name.as_str()))
    else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let run = |name: &str, times: usize| {
        let mut left = times;
        let mut sampler = |session: &mut Session, _: usize, _: &Path| {
            if left > 0
                && let Some(gpu) = session.store.device().gpu()
            {
                left -= 1;
                gpu.destroy();
            }
            Ok(None)
        };
        let sampler: &mut Sampler = &mut sampler;
        let start = Start::New { config: config(), out: Some(folder.path().join(name)), init: None };
        let gpu = Device::Gpu(Arc::new(Gpu::open(Some(&wanted)).expect("a device")));
        train(start, gpu, Hooks { sampler: Some(sampler), ..Hooks::default() }).map(|outcome| outcome.step)
    };
    assert_eq!(run("whole", 0).expect("a run"), 30);
    assert_eq!(run("once", 1).expect("a run"), 30);
    assert!(bits(&folder.path().join("whole")) == bits(&folder.path().join("once")));
    match run("twice", 2) {
        Err(TrainError::Stopped { saved, why }) => assert!(saved.step == Some(7) && why.contains("lost"), "{why}"),
        other => panic!("{other:?}"),
    }
    let somebodys = device();
    assert!(!somebodys.is_lost() && somebodys.again().is_ok());
}
