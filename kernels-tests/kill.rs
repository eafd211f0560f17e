//! A run killed at random moments and resumed ends bitwise where the uninterrupted one does.

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

fn start(folder: &Path, dir: &Path) -> Command {
    let mut command = limn(folder);
    command.args(["train", "vae", "--steps", "1000", "--batch", "32", "--seed", "7", "--out"]).arg(dir).args(SETTINGS);
    command
}

#[test]
fn a_run_killed_three_times_ends_like_one_that_was_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (limn, start) = (|| limn(folder.path()), |dir: &Path| start(folder.path(), dir));
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    assert!(start(&whole).status().expect("a run").success());
    assert!(whole.join("choices.json").exists());
    let (mut kills, mut over) = (0, false);
    // Waits that no step or save divides; a run that is done before its kill is not counted.
    for wait in [970, 1430, 1210, 800, 1090] {
        let mut run = match broken.join("config.toml").exists() {
            false => start(&broken),
            true => {
                let mut again = limn();
                again.args(["train", "--resume"]).arg(&broken);
                again
            }
        };
        let mut child = run.spawn().expect("a run");
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
        let resumed = match broken.join("config.toml").exists() {
            true => limn().args(["train", "--resume"]).arg(&broken).status(),
            false => start(&broken).status(),
        };
        assert!(resumed.expect("a run").success());
    }
    let checkpoint = |dir: &Path| std::fs::read(dir.join("checkpoint.safetensors")).expect("a checkpoint");
    assert!(checkpoint(&whole) == checkpoint(&broken), "the checkpoints differ after {kills} kills");
}
