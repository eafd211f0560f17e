//! What ends a training from outside, and what it leaves: Ctrl-C at every stage of it, twice, and
//! hang-ups.

use super::end;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A training with a cache of its own, whose words are kept.
fn train(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.env("LIMN_CACHE", folder.join("cache")).arg("train").args(args).arg("--out").arg(folder.join("run"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(folder.join("words")).expect("a file"));
    command
}

fn words(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("words")).expect("words")
}

/// Waits until something holds of a run that goes on.
#[track_caller]
fn until(child: &mut Child, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended");
        assert!(start.elapsed() < Duration::from_secs(100), "that never was");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn tell(child: &Child, signal: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status();
    assert!(status.expect("a shell").success());
}

const SMALL: [&str; 10] =
    ["vae", "--steps", "10000000", "--batch", "8", "--device", "cpu", "--set", "train.sample_every=0", "--set"];

#[test]
fn an_interrupted_run_saves_and_exits_130() {
    for signal in ["INT", "TERM", "HUP"] {
        let folder = tempfile::tempdir().expect("a folder");
        let rows =
            || std::fs::read_to_string(folder.path().join("run/metrics.csv")).map_or(0, |csv| csv.lines().count());
        let mut child = train(folder.path(), &[&SMALL[..], &["train.log_every=1"]].concat()).spawn().expect("a run");
        until(&mut child, || rows() > 1);
        tell(&child, signal);
        assert_eq!(end(&mut child, 60.0).code(), Some(130), "{signal}");
        assert!(folder.path().join("run/checkpoint.safetensors").exists());
        assert!(words(folder.path()).contains("stopping after this step"), "{}", words(folder.path()));
    }
}

#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = || std::fs::read_to_string(folder.path().join("run/metrics.csv")).map_or(0, |csv| csv.lines().count());
    let plain = train(folder.path(), &[&SMALL[..], &["train.log_every=1"]].concat());
    // As nohup begins a program, and a shell one in the background.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP INT; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    command.env("LIMN_CACHE", folder.path().join("cache")).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null());
    let mut child = command.spawn().expect("a run");
    until(&mut child, || rows() > 1);
    tell(&child, "HUP");
    tell(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    let before = rows();
    until(&mut child, || rows() > before + 2);
    tell(&child, "TERM");
    assert_eq!(end(&mut child, 60.0).code(), Some(130));
    assert!(folder.path().join("run/checkpoint.safetensors").exists());
}

#[test]
fn a_second_signal_ends_a_long_step_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // A step of seconds on many cores, and of half a minute on two, in the memory of 32 images.
    let long = ["pixelcnn-gated", "--batch", "512", "--set", "train.accumulate=16", "--device", "cpu"];
    let mut child = train(folder.path(), &long).spawn().expect("a run");
    until(&mut child, || folder.path().join("run/log.txt").exists());
    std::thread::sleep(Duration::from_millis(200));
    tell(&child, "INT");
    std::thread::sleep(Duration::from_millis(700));
    assert!(child.try_wait().expect("a child").is_none(), "the step was too short");
    tell(&child, "INT");
    assert_eq!(end(&mut child, 10.0).code(), Some(130));
    assert!(!folder.path().join("run/checkpoint.safetensors").exists());
    assert!(words(folder.path()).contains("once more to stop at once, without saving"));
}

#[test]
fn a_picture_that_is_being_drawn_is_left() {
    let device = crate::support::device_flag();
    let devices = ["cpu".to_string()].into_iter().chain(device.get(1).cloned());
    for device in devices.filter(|device| device != "reference") {
        let folder = tempfile::tempdir().expect("a folder");
        // A picture of some minutes after the first step.
        let args = ["pixelcnn", "--batch", "4", "--steps", "3", "--tune", "off", "--device", &device, "--set"];
        let often = ["model.hidden=8", "--set", "train.sample_every=1", "--set", "train.checkpoint_every=1", "--set"];
        let mut child =
            train(folder.path(), &[&args[..], &often, &["train.samples=4096"]].concat()).spawn().expect("a run");
        let rows =
            || std::fs::read_to_string(folder.path().join("run/metrics.csv")).map_or(0, |csv| csv.lines().count());
        until(&mut child, || rows() > 1);
        std::thread::sleep(Duration::from_millis(500));
        tell(&child, "INT");
        // A driver that has not met the kernel compiles it first, which nothing interrupts.
        let seconds = if device == "cpu" { 10.0 } else { 60.0 };
        assert_eq!(end(&mut child, seconds).code(), Some(130), "{device}");
        assert!(words(folder.path()).contains("leaving the picture"), "{}", words(folder.path()));
        let log = std::fs::read_to_string(folder.path().join("run/log.txt")).expect("a log");
        assert!(log.contains("the picture of step 1 is left, as the run is to stop"), "{log}");
    }
}

/// Whether a process has taken the signals into its own hands.
#[cfg(target_os = "linux")]
fn listens(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    // SIGINT is the second.
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 2 != 0)
}

#[cfg(target_os = "linux")]
#[test]
fn measuring_is_left_and_nothing_is_made() {
    let device = crate::support::device_flag();
    if device.is_empty() || ["cpu", "reference"].contains(&device[1].as_str()) {
        // Nothing is measured without a driver.
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["vae-conv", "--steps", "100000", "--device", &device[1]];
    let mut child = train(folder.path(), &args).spawn().expect("a run");
    let id = child.id();
    until(&mut child, || listens(id));
    std::thread::sleep(Duration::from_millis(500));
    tell(&child, "INT");
    assert_eq!(end(&mut child, 10.0).code(), Some(130));
    assert!(words(folder.path()).contains("stopping before the first step"), "{}", words(folder.path()));
    assert!(!folder.path().join("run").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn decoding_is_left_and_nothing_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).expect("a folder");
    // Many seconds of decoding on any machine, on little disk.
    let first = pictures.join("0.png");
    image::GrayImage::from_fn(3000, 3000, |x, y| image::Luma([(x ^ y) as u8])).save(&first).expect("a picture");
    (1..400).for_each(|i| std::fs::hard_link(&first, pictures.join(format!("{i}.png"))).expect("a name"));
    let data = pictures.to_str().expect("a path");
    let mut child = train(folder.path(), &["vae", "--data", data, "--device", "cpu"]).spawn().expect("a run");
    let decoded = || {
        let files = std::fs::read_dir(folder.path().join("cache/decoded")).into_iter().flatten();
        files.map(|file| file.expect("an entry").file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    until(&mut child, || !decoded().is_empty());
    std::thread::sleep(Duration::from_millis(300));
    tell(&child, "INT");
    assert_eq!(end(&mut child, 10.0).code(), Some(130), "{}", words(folder.path()));
    assert!(words(folder.path()).contains("stopping before the first step"), "{}", words(folder.path()));
    assert!(!folder.path().join("run").exists());
    assert_eq!(decoded(), [""; 0]);
}
