//! A run killed at random moments and resumed ends bitwise where the uninterrupted one does.

use crate::support::device_flag;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const SETTINGS: [&str; 6] =
    ["--set", "train.checkpoint_every=5", "--set", "train.sample_every=0", "--set", "model.hidden=32"];

/// A call with a cache of its own, so that variants are chosen within the test.
fn limn(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.env("LIMN_CACHE", folder.join("cache")).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs to the end, which must be a good one.
fn ends_well(mut command: Command) {
    let output = command.stderr(Stdio::piped()).output().expect("a run");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

fn start(folder: &Path, dir: &Path) -> Command {
    let mut command = limn(folder);
    command.args(["train", "vae", "--steps", "1000", "--batch", "32", "--seed", "7", "--out"]).arg(dir).args(SETTINGS);
    command.args(device_flag());
    command
}

/// Has everything measured that a run would measure: one run may not get to all, and then the next
/// takes others.
fn measured(folder: &Path) {
    let mut before = String::new();
    for i in 0..40 {
        let dir = folder.join(format!("measuring-{i}"));
        let mut short = limn(folder);
        short.args(["train", "vae", "--steps", "1", "--batch", "32", "--seed", "7", "--out"]).arg(&dir).args(SETTINGS);
        short.args(device_flag());
        ends_well(short);
        let choices = std::fs::read_to_string(dir.join("choices.json")).expect("choices");
        if choices == before {
            return;
        }
        before = choices;
    }
    panic!("every run chose anew");
}

#[test]
fn a_run_killed_three_times_ends_like_one_that_was_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |dir: &Path| start(folder.path(), dir);
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let go_on = || match broken.join("config.toml").exists() {
        false => start(&broken),
        true => {
            let mut again = limn(folder.path());
            again.args(["train", "--resume"]).arg(&broken).args(device_flag());
            again
        }
    };
    measured(folder.path());
    ends_well(start(&whole));
    let (mut kills, mut over) = (0, false);
    // Waits that no step or save divides; a run that is done before its kill is not counted.
    for wait in [970, 1430, 1210, 800, 1090] {
        let mut child = go_on().spawn().expect("a run");
        std::thread::sleep(Duration::from_millis(wait));
        if child.try_wait().expect("a child").is_none() {
            child.kill().expect("kill -9");
            kills += 1;
        }
        over = child.wait().expect("a child").success();
        if kills == 3 || over {
            break;
        }
    }
    assert!(kills > 0, "every run was over before it could be killed");
    println!("killed {kills} times");
    if !over {
        ends_well(go_on());
    }
    let checkpoint = |dir: &Path| std::fs::read(dir.join("checkpoint.safetensors")).expect("a checkpoint");
    assert!(checkpoint(&whole) == checkpoint(&broken), "the checkpoints differ after {kills} kills");
}

/// `timeout` and job schedulers tell a process and its group, so that it hears everything twice.
#[cfg(unix)]
#[test]
fn a_run_told_twice_at_once_to_stop_saves() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    let mut command = limn(folder.path());
    // Its steps are long enough for the second to come within one.
    command.args(["train", "vae", "--steps", "1000000", "--batch", "4000", "--device", "cpu", "--out"]).arg(&dir);
    command.args([
        "--set",
        "train.sample_every=0",
        "--set",
        "train.checkpoint_every=1000000",
        "--set",
        "train.log_every=1",
    ]);
    let mut child = command.spawn().expect("a run");
    let under_way = || std::fs::read_to_string(dir.join("metrics.csv")).is_ok_and(|csv| csv.lines().count() > 1);
    while !under_way() {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id();
    let told =
        Command::new("sh").args(["-c", &format!("kill -TERM {pid}; sleep 0.1; kill -TERM {pid} || true")]).status();
    assert!(told.expect("a shell").success());
    let status = child.wait().expect("a child");
    assert!(dir.join("checkpoint.safetensors").exists(), "{status}");
}
