//! Folders of new runs: where `--out` leads, who gets it, and what a start that fails leaves
//! behind.

use super::{call, text};
use crate::support::runs::{bytes, run, start, vae};
use limn::train::RunDir;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A start of a small run on the processor.
fn begin(out: &Path, seed: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.args(["train", "vae", "--steps", "300", "--batch", "8", "--device", "cpu", "--seed", &seed.to_string()]);
    command.args(["--set", "model.hidden=8", "--set", "train.sample_every=0", "--out"]).arg(out);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_detour_over_a_folder_that_is_not_there_destroys_no_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let good = dir.path().join("run");
    run(start(&vae(&[]), &good)).expect("a run");
    let before = bytes(&good);
    for detour in ["nope/../run", "run/../run", "run/samples/..", "./nope/./../run/"] {
        let error = run(start(&vae(&["train.seed=9"]), &dir.path().join(detour))).expect_err("in use").to_string();
        assert!(error.contains("not empty"), "{error}");
    }
    assert!(bytes(&good) == before);
    assert_eq!(RunDir::open(&good).expect("a run").config.train.seed, 0);
    assert!(!dir.path().join("nope").exists());
    run(start(&vae(&[]), &dir.path().join("nope/../fresh"))).expect("a run");
    assert!(dir.path().join("fresh/checkpoint.safetensors").exists() && !dir.path().join("nope").exists());
}

#[cfg(unix)]
#[test]
fn links_to_a_run_lead_to_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let good = dir.path().join("run");
    run(start(&vae(&[]), &good)).expect("a run");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, dir.path().join(name)).expect("a link");
    link("run", "here");
    link("later/run", "there");
    let error = run(start(&vae(&[]), &dir.path().join("here"))).expect_err("in use").to_string();
    assert!(error.contains("not empty"), "{error}");
    run(start(&vae(&[]), &dir.path().join("there"))).expect("a run where the link leads");
    assert!(bytes(&dir.path().join("later/run")) == bytes(&good));
}

#[test]
fn a_start_that_fails_takes_its_folders_away() {
    let dir = tempfile::tempdir().expect("a folder");
    let error = run(start(&vae(&[]), &dir.path().join("a/b").join("x".repeat(300)))).expect_err("too long a name");
    assert!(error.to_string().contains("cannot"), "{error}");
    std::fs::write(dir.path().join("file"), "mine").expect("a file");
    let error = run(start(&vae(&[]), &dir.path().join("file"))).expect_err("a file").to_string();
    assert!(error.contains("it is no folder"), "{error}");
    assert!(run(start(&vae(&[]), &dir.path().join("file/run"))).is_err());
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["file"]);
}

#[test]
fn of_two_runs_started_into_one_folder_one_wins_and_the_other_is_told() {
    for round in 0..3 {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path().join("deep/run");
        let pair = [2 * round, 2 * round + 1].map(|seed| begin(&out, seed).spawn().expect("limn starts"));
        let ends: [Output; 2] = pair.map(|child| child.wait_with_output().expect("it ends"));
        let winner = ends.iter().position(|end| end.status.success()).expect("one wins");
        let other = &ends[1 - winner];
        let said = String::from_utf8_lossy(&other.stderr);
        assert_eq!((other.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains("another limn is training") || said.contains("not empty"), "{said}");
        let run = RunDir::open(&out).expect("a run");
        assert_eq!(run.config.train.seed, (2 * round + winner) as u64);
        let rows = std::fs::read_to_string(run.metrics()).expect("metrics").lines().count();
        assert_eq!(rows, 1 + 300);
    }
}

#[test]
fn a_resumed_run_takes_its_own_device_unless_told_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let limn = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_limn")).args(args).output().expect("limn starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout) + &text(&output.stderr)
    };
    let path = out.to_str().expect("UTF-8");
    let small = ["--batch", "4", "--set", "model.hidden=4", "--set", "train.sample_every=0", "--out", path];
    let said = limn(&[&["train", "vae", "--steps", "2", "--device", "reference"][..], &small[..]].concat());
    // No machine takes the reference unasked, so what is to be tried next names them.
    assert!(said.contains(" --device reference"), "{said}");
    let next = said.lines().find(|line| line.trim_start().starts_with("limn sample")).expect("a hint").trim();
    limn(&next.split(' ').skip(1).collect::<Vec<_>>());
    let said = limn(&["train", "--resume", path, "--steps", "3"]);
    assert!(said.contains("on reference") && !said.contains("bits"), "{said}");
    let said = limn(&["train", "--resume", path, "--steps", "4", "--device", "cpu"]);
    assert!(
        said.contains("it was made on reference and now runs on cpu: from step 4 on its bits will differ"),
        "{said}"
    );
    let said = limn(&["train", "--resume", path, "--steps", "5"]);
    assert!(said.contains("on cpu") && !said.contains("bits"), "{said}");
}

/// Several of one limn that a launcher starts at once would write the same run into one folder.
#[test]
fn a_limn_without_mpi_is_not_started_several_times() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let args = ["train", "vae", "--device", "cpu", "--steps", "1", "--out", text(&out)];
    let started = call(Command::new(env!("CARGO_BIN_EXE_limn")).args(args).env("PMI_SIZE", "4").env("PMI_RANK", "0"));
    if cfg!(feature = "mpi") {
        started.bad(&["4 processes were started together, but MPI tells each that it is alone"]);
    } else {
        started.bad(&["4 processes were started together", "`make mpi` builds one that does"]);
    }
    assert!(!out.exists());
}
