//! limn as its users start it several times.

use crate::{mpirun, under_mpirun};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What limn printed, and what it complained of.
fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Calls limn so many times at once, or once by itself; none where there is no mpirun.
fn limn(ranks: usize, dir: &Path, args: &[&str]) -> Option<Output> {
    let program = env!("CARGO_BIN_EXE_limn");
    let mut command = match ranks {
        1 => Command::new(program),
        _ => {
            let mut command = mpirun(ranks);
            command.arg(program);
            command
        }
    };
    under_mpirun(command.args(args).current_dir(dir).stdin(Stdio::null()))
}

/// A short training of so many ranks on the processor.
const TRAIN: [&str; 10] =
    ["train", "vae", "--device", "cpu", "--tune=off", "--batch", "12", "--set", "model.hidden=8", "--steps"];

#[test]
fn figures_and_samples_are_those_of_one_and_are_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let Some(trained) = limn(2, dir, &[&TRAIN[..], &["20", "--out", "run", "--set", "train.eval_every=10"]].concat())
    else {
        return;
    };
    let (out, err) = told(&trained);
    assert!(trained.status.success(), "{out}{err}");
    assert_eq!(
        out.matches("step 20").count(),
        err.matches("step 20").count() + out.matches("step 20").count(),
        "{err}"
    );
    let tests = std::fs::read_to_string(dir.join("run/tests.csv")).unwrap();
    assert_eq!(tests.lines().count(), 3, "{tests}");
    for args in [
        &["eval", "run", "--json", "--device", "cpu"][..],
        &["eval", "run", "--metric", "iwae-20", "--images", "40", "--device", "cpu"],
    ] {
        let [one, two] = [1, 2].map(|ranks| limn(ranks, dir, args).unwrap());
        assert!(two.status.success(), "{}", told(&two).1);
        assert_eq!(told(&one).0, told(&two).0);
    }
    for (name, n) in [("samples.npz", "200"), ("sheet.png", "80")] {
        let [one, two] = [1, 2].map(|ranks| {
            let out = format!("{ranks}-{name}");
            let drawn = limn(ranks, dir, &["sample", "run", "-n", n, "--device", "cpu", "--out", &out]).unwrap();
            assert!(drawn.status.success() && told(&drawn).0.lines().count() == 1, "{:?}", told(&drawn));
            std::fs::read(dir.join(out)).unwrap()
        });
        assert!(one == two, "{name} of two ranks is another");
    }
}

#[test]
fn what_is_wrong_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let wrong: [(&[&str], &str); 6] = [
        (&["train", "vae", "--batch"], "--batch"),
        (&["train", "vea"], "vea"),
        (&["eval", "no-run"], "no-run"),
        (&["export", "no-run", "--format", "web", "--out", "x"], "3 processes were started together"),
        (&["presets"], "start it by itself"),
        (&["train", "vae", "--device", "cpu,no-such-device"], "no-such-device"),
    ];
    for (args, words) in wrong {
        let Some(output) = limn(3, dir, args) else { return };
        let (out, err) = told(&output);
        assert!(!output.status.success(), "{out}{err}");
        let lines: Vec<&str> = err.lines().filter(|line| line.starts_with("limn: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains(words), "{args:?}: {err}");
    }
}

#[test]
fn ctrl_c_is_answered_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut command = mpirun(3);
    command.env("OMPI_MCA_odls_base_sigkill_timeout", "20");
    command.arg(env!("CARGO_BIN_EXE_limn")).args(TRAIN).args(["1000000", "--out", "run"]);
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(running) = command.spawn() else { return };
    let until = Instant::now() + Duration::from_secs(60);
    let has_begun = || std::fs::read_to_string(dir.join("run/metrics.csv")).is_ok_and(|text| text.lines().count() > 5);
    while !has_begun() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    let (out, err) = told(&running.wait_with_output().unwrap());
    let said = err.lines().filter(|line| line.starts_with("limn: ")).collect::<Vec<_>>();
    assert!(said.len() == 1 && said[0].contains("stopping after this step"), "{out}{err}");
    assert!(dir.join("run/checkpoint.safetensors").exists(), "{out}{err}");
}
