//! Runs that go on: the device and the settings they go on with, checkpoints that are checked and
//! kept, and rows of `metrics.csv` that stay.

use crate::support::gpu;
use crate::support::runs::{bytes, losses, resume, run, run_until, start, vae};
use limn::choices::key;
use limn::eval::{self, Figure};
use limn::program::Device;
use limn::train::{
    Hooks, Outcome, Provenance, Resume, RunDir, Session, SessionError, Setting, Start, TrainError, checkpoint, train,
};
use limn::tune::{Budget, Report, Tuner};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Goes on until `steps`, with these settings, from the last checkpoint or that of a step.
fn go_on(dir: &Path, steps: u64, set: &[&str], from: Option<u64>) -> Result<Outcome, TrainError> {
    let set = Setting::all(set).expect("settings");
    run(Start::Resume(Resume { dir: dir.into(), steps: Some(steps), set, from, ..Resume::default() }))
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Puts text in the place of other text in a run's settings.
fn edit(dir: &Path, from: &str, to: &str) {
    let text = read(dir.join("config.toml"));
    assert!(text.contains(from), "{text}");
    std::fs::write(dir.join("config.toml"), text.replace(from, to)).expect("settings");
}

#[test]
fn a_flipped_bit_anywhere_in_a_checkpoint_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&["model.hidden=2", "train.ema=0.5"]), &out)).expect("a run");
    let (file, good) = (out.join("checkpoint.safetensors"), bytes(&out));
    let header = 8 + u64::from_le_bytes(good[..8].try_into().expect("8 bytes")) as usize;
    // Every byte of the header, and of the tensors one in every few.
    let tensors = (header..good.len()).step_by(997).chain([good.len() - 1]);
    for (i, at) in (0..header).chain(tensors).enumerate() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (i % 8);
        std::fs::write(&file, &bad).expect("a file");
        // Padding of the header says nothing.
        let padding = at < header && good[at] == b' ' && good[at..header].iter().all(|byte| *byte == b' ');
        assert!(checkpoint::info(&file).is_err() || padding, "byte {at} of {}, header {header}", good.len());
    }
    let mut bad = good.clone();
    bad[header + 1000] ^= 1;
    std::fs::write(&file, &bad).expect("a file");
    let error = RunDir::open(&out).expect("a run").session(Device::Cpu, None).err().expect("damage").to_string();
    assert!(error.contains("damaged") && error.contains("checksum"), "{error}");
    let error = go_on(&out, 9, &[], None).expect_err("damage").to_string();
    assert!(error.contains("damaged") && !error.contains("--from"), "{error}");
    std::fs::write(&file, &good).expect("a file");
    go_on(&out, 9, &[], None).expect("whole again");
}

#[test]
fn a_checkpoint_from_before_there_were_checksums_loads_with_a_remark() {
    let dir = tempfile::tempdir().expect("a folder");
    let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
    run(start(&vae(&[]), &old)).expect("a run");
    run(start(&vae(&["train.steps=9"]), &new)).expect("a run");
    // As it was written then: no checksum, no optimiser, and no provenance beside it.
    let good = bytes(&old);
    let file = safetensors::SafeTensors::deserialize(&good).expect("safetensors");
    let (_, header) = safetensors::SafeTensors::read_metadata(&good).expect("metadata");
    let text = header.metadata().as_ref().expect("metadata")["limn"].clone();
    let mut info: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let fields = info.as_object_mut().expect("an object");
    ["checksum", "optim", "ema", "batch"].iter().for_each(|key| drop(fields.remove(*key).expect("a field")));
    info["format"] = 1.into();
    let metadata = std::collections::HashMap::from([("limn".to_string(), info.to_string())]);
    let written = safetensors::serialize(file.tensors(), Some(metadata)).expect("a file");
    std::fs::write(old.join("checkpoint.safetensors"), written).expect("a file");
    std::fs::remove_file(old.join("provenance.json")).expect("gone");
    let (session, step) = RunDir::open(&old).expect("a run").session(Device::Cpu, None).expect("a session");
    assert_eq!((step, session.remarks.len()), (7, 1));
    assert!(session.remarks[0].contains("has no checksum"), "{}", session.remarks[0]);
    go_on(&old, 9, &[], None).expect("it goes on");
    assert!(read(old.join("log.txt")).contains("has no checksum"));
    assert!(bytes(&old) == bytes(&new));
    // What has lost its checksum since has been tampered with.
    info["format"] = 2.into();
    let metadata = std::collections::HashMap::from([("limn".to_string(), info.to_string())]);
    let written = safetensors::serialize(file.tensors(), Some(metadata)).expect("a file");
    std::fs::write(old.join("checkpoint.safetensors"), written).expect("a file");
    assert!(checkpoint::info(&old.join("checkpoint.safetensors")).is_err());
}

#[test]
fn settings_edited_by_hand_meet_the_checkpoint() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&[]), &out)).expect("a run");
    let before = bytes(&out);
    let settings = read(out.join("config.toml"));
    let looked = || RunDir::open(&out).expect("a run").session(Device::Cpu, None).map(|_| ());
    for (from, to, words, looks) in [
        ("beta = 1.0", "beta = 4.0", "model.beta = 1.0, and the settings say 4.0", false),
        ("seed = 0", "seed = 3", "train.seed = 0, and the settings say 3", true),
        ("beta1 = 0.9", "beta1 = 0.5", "optim.beta1 = 0.9, and the settings say 0.5", true),
        ("batch = 4", "batch = 8", "train.batch = 4 can become 8 only where", true),
    ] {
        edit(&out, from, to);
        let error = go_on(&out, 9, &[], None).expect_err("refused").to_string();
        assert!(error.contains(words), "{error}\n{words}");
        assert_eq!(looked().is_ok(), looks, "{to}");
        std::fs::write(out.join("config.toml"), &settings).expect("settings");
        assert!(bytes(&out) == before);
    }
    edit(&out, "lr = 0.001", "lr = 0.0005");
    go_on(&out, 9, &[], None).expect("a rate may change");
    assert!(read(out.join("log.txt")).contains("from step 8 on optim.lr changes from 0.001 to 0.0005"));
}

#[test]
fn settings_that_may_change_change_and_are_written_down() {
    let dir = tempfile::tempdir().expect("a folder");
    let [plain, slow, reference] = ["plain", "slow", "reference"].map(|name| dir.path().join(name));
    for out in [&plain, &slow, &reference] {
        run(start(&vae(&[]), out)).expect("a run");
    }
    let settings = read(slow.join("config.toml"));
    for (setting, words) in [
        ("model.beta=4", "model.beta = 1.0 cannot become 4.0"),
        ("optim.kind=sgd", "optim.kind = \"adam\" cannot become \"sgd\""),
        ("optim.beta2=0.9", "moments"),
        ("train.seed=5", "drawn from it"),
        ("train.precision=mixed", "chosen anew where the run goes on"),
        ("data.source=mnist", "images it began with"),
        ("train.batch=5", "the next such place is step "),
        ("optim.lr=0", "optim.lr = 0 must be above 0"),
        ("optim.rate=1", "unknown key"),
        ("train.keep=0", "train.keep = 0 must be at least 1"),
    ] {
        let error = go_on(&slow, 12, &[setting], None).expect_err("refused").to_string();
        assert!(error.contains(words), "{error}\n{words}");
        assert_eq!(read(slow.join("config.toml")), settings, "{setting}");
    }
    go_on(&plain, 12, &[], None).expect("more steps");
    let set = ["optim.lr=1e-5", "train.log_every=2", "train.samples=4"];
    for out in [&slow, &reference] {
        go_on(out, 12, &set, None).expect("more steps");
    }
    assert!(bytes(&slow) == bytes(&reference) && bytes(&slow) != bytes(&plain));
    let config = RunDir::open(&slow).expect("a run").config;
    assert_eq!((config.train.log_every, config.train.samples, config.train.steps), (2, 4, Some(12)));
    assert!(read(slow.join("config.toml")).contains("lr = 0.00001"));
    assert!(read(slow.join("log.txt")).contains("from step 8 on optim.lr changes from 0.001 to 0.00001"));
    let provenance = RunDir::open(&slow).expect("a run").provenance().expect("a provenance");
    let keys: Vec<&str> = provenance.sittings[1].changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys, ["optim.lr", "train.log_every", "train.samples"]);
    // Intervals decide no bit.
    let rows = |dir: &Path| losses(dir)[..8].to_vec();
    assert_eq!(rows(&slow), rows(&plain));
    go_on(&slow, 13, &["optim.lr=1e-5"], None).expect("the same is no change");
    assert!(RunDir::open(&slow).expect("a run").provenance().expect("one").sittings[2].changes.is_empty());
}

#[test]
fn a_batch_changes_at_the_end_of_a_pass() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    // Of 6000 images, two steps a pass, and then three.
    run(start(&vae(&["train.batch=3000", "train.steps=2"]), &out)).expect("a run");
    let error = go_on(&out, 3, &["train.batch=2000"], None).expect_err("three do not end there").to_string();
    assert!(error.contains("the next such place is step 6"), "{error}");
    go_on(&out, 6, &[], None).expect("on until there");
    go_on(&out, 8, &["train.batch=2000"], None).expect("a pass of both ends here");
    assert_eq!(RunDir::open(&out).expect("a run").config.train.batch, 2000);
    go_on(&out, 9, &[], None).expect("and on with it");
    // Three passes of two steps, and those of three steps behind them.
    let passes: Vec<String> =
        losses(&out).iter().skip(1).map(|row| row.split(',').nth(1).expect("a pass").into()).collect();
    assert_eq!(passes, ["1", "1", "2", "2", "3", "3", "4", "4", "4"]);
    let five = Resume { dir: out.clone(), epochs: Some(5), ..Resume::default() };
    assert_eq!(run(Start::Resume(five)).expect("a fifth pass").step, 12);
}

#[test]
fn the_last_checkpoints_are_kept_and_one_goes_on_from_any() {
    let dir = tempfile::tempdir().expect("a folder");
    let [whole, out] = ["whole", "out"].map(|name| dir.path().join(name));
    let settings = ["train.keep=3", "train.steps=11", "train.sample_every=3"];
    run(start(&vae(&settings), &whole)).expect("a run");
    run(start(&vae(&settings), &out)).expect("a run");
    let kept = |dir: &Path| RunDir::open(dir).expect("a run").kept();
    assert_eq!(kept(&out), [8, 10]);
    let step = |path: &str| checkpoint::info(&out.join(path)).expect("a checkpoint").step;
    assert_eq!((step("checkpoint.safetensors"), step("checkpoints/step-8.safetensors")), (11, 8));
    let error = go_on(&out, 12, &[], Some(7)).expect_err("not kept").to_string();
    assert!(error.contains("no checkpoint of step 7") && error.contains("steps 8, 10, 11"), "{error}");
    // Damage to the last one loses no run.
    let last = bytes(&out);
    let mut bad = last.clone();
    *bad.last_mut().expect("bytes") ^= 1;
    std::fs::write(out.join("checkpoint.safetensors"), bad).expect("a file");
    let error = go_on(&out, 12, &[], None).expect_err("damaged").to_string();
    assert!(error.contains("damaged") && error.contains("kept, of step 10"), "{error}");
    std::fs::write(out.join("checkpoint.safetensors"), &last).expect("a file");

    let metrics = read(out.join("metrics.csv"));
    let figure = Figure { name: "loss".into(), value: 1.0, unit: "nats".into(), protocol: "mean over three".into() };
    let run = RunDir::open(&out).expect("a run");
    for step in [8, 11] {
        eval::keep(&run, step, std::slice::from_ref(&figure)).expect("figures");
    }
    let measured = |out: &Path| eval::kept(&RunDir::open(out).expect("a run")).expect("figures");
    let tests = std::fs::read(out.join("tests.csv")).ok();
    go_on(&out, 11, &[], Some(8)).expect("from there");
    // What was measured of a course that was left is no figure of the new one.
    assert_eq!(measured(&out).iter().map(|kept| kept.step).collect::<Vec<_>>(), [8]);
    assert!(bytes(&out) == last && losses(&out) == losses(&whole));
    let aside = out.join("left-at-step-8");
    assert_eq!(read(aside.join("metrics.csv")), metrics);
    assert_eq!(read(aside.join("figures.jsonl")).lines().count(), 2);
    assert_eq!(std::fs::read(aside.join("tests.csv")).ok(), tests);
    assert!(std::fs::read(aside.join("checkpoint.safetensors")).expect("set aside") == last);
    assert!(aside.join("step-10.safetensors").exists());
    assert!(read(out.join("log.txt")).contains("what came after step 8 is set aside in"));
    assert_eq!(kept(&out), [8, 10]);
    // The last one is no way back, and fewer are kept from now on.
    go_on(&out, 13, &["train.keep=1"], Some(11)).expect("on");
    assert!(!out.join("left-at-step-11").exists() && !out.join("checkpoints").exists());
}

#[test]
fn rows_of_metrics_stay_whatever_is_missing() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&["train.steps=20"]), &out)).expect("a run");
    let whole = losses(&out);
    let text = read(out.join("metrics.csv"));
    let without: Vec<&str> = text.lines().enumerate().filter(|(i, _)| *i != 5).map(|(_, row)| row).collect();
    std::fs::write(out.join("metrics.csv"), without.join("\n") + "\n").expect("metrics");
    go_on(&out, 22, &[], None).expect("more steps");
    let now = losses(&out);
    assert_eq!((now.len(), &now[..5], &now[5..20]), (1 + 19 + 2, &whole[..5], &whole[6..]));
    assert!(read(out.join("log.txt")).contains("lacks the rows of 1 of the first 20 steps"));
}

#[test]
fn a_run_knows_where_it_was_made_and_every_time_it_went_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run_until(start(&vae(&["train.sample_every=1"]), &out), 3);
    go_on(&out, 7, &[], None).expect("the rest");
    let provenance = RunDir::open(&out).expect("a run").provenance().expect("a provenance");
    let known: Vec<_> = provenance.sittings.iter().map(|s| (s.step, &s.device.name[..], &s.limn[..])).collect();
    assert_eq!(known, [(0, "cpu", env!("CARGO_PKG_VERSION")), (3, "cpu", env!("CARGO_PKG_VERSION"))]);
    assert!(provenance.sittings[0].began.ends_with('Z') && provenance.sittings[0].began.starts_with("20"));
    assert!(!read(out.join("log.txt")).contains("bits"));
    // The run as it would be if a card that is not here had made it.
    let mut elsewhere: Provenance = provenance.clone();
    for sitting in &mut elsewhere.sittings {
        (sitting.device.name, sitting.device.backend) = ("Voodoo 2".into(), "vulkan".into());
    }
    let write = |provenance: &Provenance| {
        std::fs::write(out.join("provenance.json"), serde_json::to_string(provenance).expect("JSON")).expect("a file");
    };
    write(&elsewhere);
    go_on(&out, 9, &[], None).expect("it goes on");
    let log = read(out.join("log.txt"));
    assert!(log.contains("it was made on Voodoo 2 (vulkan) and now runs on cpu: from step 8 on its bits will differ"));
    std::fs::write(out.join("provenance.json"), "{").expect("a file");
    let error = go_on(&out, 11, &[], None).expect_err("damaged").to_string();
    assert!(error.contains("provenance.json is damaged"), "{error}");
}

#[test]
fn a_run_that_lost_its_checkpoint_loses_nothing_more() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let settings = ["train.keep=3", "train.checkpoint_every=2", "train.steps=6"];
    run(start(&vae(&settings), &out)).expect("a run");
    let rows = read(out.join("metrics.csv"));
    std::fs::remove_file(out.join("checkpoint.safetensors")).expect("it goes");
    // Beginning again would leave what is kept.
    let error = go_on(&out, 8, &[], None).expect_err("it is gone").to_string();
    assert!(error.contains("has no checkpoint.safetensors any more") && error.contains("kept, of step 4"), "{error}");
    assert_eq!(read(out.join("metrics.csv")), rows);
    go_on(&out, 6, &[], Some(4)).expect("on from step 4");
    // Without any it begins again, says so, and keeps the rows it had.
    let rows = read(out.join("metrics.csv"));
    std::fs::remove_file(out.join("checkpoint.safetensors")).expect("it goes");
    std::fs::remove_dir_all(out.join("checkpoints")).expect("they go");
    assert_eq!(go_on(&out, 2, &[], None).expect("a beginning").step, 2);
    assert!(read(out.join("log.txt")).contains("no checkpoint is there: it begins again with step 1"));
    assert_eq!(read(out.join("metrics-left-at-step-0.csv")), rows);
}

#[cfg(unix)]
#[test]
fn a_device_in_the_place_of_a_runs_file_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&[]), &out)).expect("a run");
    for name in ["checkpoint.safetensors", "provenance.json", "data.json", "metrics.csv", "config.toml"] {
        let (file, kept) = (out.join(name), dir.path().join("kept"));
        std::fs::rename(&file, &kept).expect("it moves");
        // One that never ends.
        std::os::unix::fs::symlink("/dev/zero", &file).expect("a link");
        let error = match RunDir::open(&out) {
            Ok(_) => go_on(&out, 9, &[], None).expect_err("no file").to_string(),
            Err(error) => error.to_string(),
        };
        let wanted = if name == "config.toml" { "no config.toml" } else { "device or a pipe" };
        assert!(error.contains(name) && error.contains(wanted), "{error}");
        std::fs::remove_file(&file).expect("it goes");
        std::fs::rename(&kept, &file).expect("it comes back");
    }
    go_on(&out, 9, &[], None).expect("as it was");
}

#[test]
fn a_run_that_does_not_know_its_device_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&[]), &out)).expect("a run");
    std::fs::remove_file(out.join("provenance.json")).expect("it goes");
    go_on(&out, 9, &[], None).expect("on");
    let words = "nothing says on what it was made: if not on cpu, its bits differ from step";
    assert!(read(out.join("log.txt")).contains(words), "{}", read(out.join("log.txt")));
    // From then on it knows.
    go_on(&out, 11, &[], None).expect("on");
    assert_eq!(read(out.join("log.txt")).matches("nothing says").count(), 1);
}

#[test]
fn slow_steps_are_saved_by_the_clock_and_that_changes_no_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let saves = |name: &str, settings: &[&str]| {
        let dir = folder.path().join(name);
        let mut saves = Vec::new();
        let mut report = |run: &RunDir, _: bool| {
            let last = checkpoint::info(&run.checkpoint()).ok().map(|info| info.step);
            saves.extend(last.filter(|last| saves.last() != Some(last)));
            Ok(())
        };
        let hooks = Hooks { report: Some(&mut report), ..Hooks::default() };
        let outcome = train(start(&vae(settings), &dir), Device::Cpu, hooks).expect("a run");
        (saves, bytes(&dir), outcome.run.kept())
    };
    let rare = "train.checkpoint_every=3";
    let (by_step, bits, _) = saves("by step", &[rare]);
    assert_eq!(by_step, [3, 6, 7]);
    // A ten millionth of a minute is over after any step.
    let now = "train.checkpoint_minutes=0.0000001";
    let (by_time, same, kept) = saves("by time", &[rare, now, "train.keep=9"]);
    assert_eq!(by_time, [1, 2, 3, 4, 5, 6, 7]);
    assert!(bits == same, "saving changed the run");
    // Those of their steps stay, and nothing else does.
    assert_eq!(kept, [3, 6]);
    // Who wants none on the way gets none.
    let (none, ..) = saves("none", &["train.checkpoint_every=0", now]);
    assert_eq!(none, [7]);
    let refused = Setting::all(&["train.checkpoint_minutes=-1"]).expect("a setting");
    let mut config = vae(&[]);
    config.set_all(&refused).expect("a number");
    assert!(config.validate().expect_err("a refusal").to_string().contains("must be 0 or more"));
}

/// Chooses the last variant of every kernel, as if it had been the fastest, and measures nothing.
fn choose_the_last(session: &mut Session, batch: usize, end: u64) -> Result<Report, SessionError> {
    let Device::Gpu(gpu) = session.store.device().clone() else { panic!("a device") };
    let mut tuner = Tuner::new(gpu.clone(), None);
    let report = session.tune(batch, end, &mut tuner, Budget::Time(Duration::ZERO), &mut |_, _, _| {})?;
    let launches = session.train_step(batch)?.program().launches.clone();
    let choices = session.choices.as_mut().expect("choices");
    for kernel in launches.iter().map(|launch| &launch.kernel) {
        if let Some(choice) = choices.kernels.get_mut(&key(kernel.as_ref())) {
            choice.variant = kernel.variants(gpu.caps()).last().expect("a variant").name.into();
        }
    }
    Ok(report)
}

/// Variants add up in orders of their own: a run that goes on takes those that were chosen when it began, and nobody
/// chooses again.
#[test]
fn a_run_goes_on_with_the_variants_that_it_began_with() {
    let dir = tempfile::tempdir().expect("a folder");
    let train_by = |start: Start, until: u64, choose: bool| {
        let stop = AtomicBool::new(false);
        let mut sampler = |_: &mut Session, _: usize, path: &Path| {
            stop.fetch_or(path.ends_with(format!("step-{until}.png")), Ordering::Relaxed);
            Ok(None)
        };
        let mut tune = |session: &mut Session, batch: usize, end: u64| {
            assert!(choose, "the variants are known");
            choose_the_last(session, batch, end)
        };
        let hooks = Hooks { tune: Some(&mut tune), sampler: Some(&mut sampler), stop: &stop, ..Hooks::default() };
        train(start, gpu(), hooks).expect("a run").step
    };
    let config = vae(&["train.sample_every=1", "train.steps=5"]);
    let [whole, first, parts] = ["whole", "first", "parts"].map(|name| dir.path().join(name));
    assert_eq!(train_by(start(&config, &whole), 9, true), 5);
    let stop = AtomicBool::new(false);
    train(start(&config, &first), gpu(), Hooks { stop: &stop, ..Hooks::default() }).expect("a run");
    assert!(bytes(&whole) != bytes(&first), "the last variants give the bits of the first, so that they show nothing");

    assert_eq!(train_by(start(&config, &parts), 3, true), 3);
    let chosen = read(parts.join("choices.json"));
    assert_eq!(train_by(resume(&parts), 9, false), 5);
    assert_eq!(read(parts.join("choices.json")), chosen);
    assert!(bytes(&whole) == bytes(&parts), "the resumed run differs");
}
