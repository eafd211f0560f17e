//! What befalls a run's folder from outside: a disk that is full, a file that may grow no further, a folder that cannot be
//! written, one that is taken away or moved, and a clock that is set. A run ends with a sentence, and goes on with the same
//! bits once there is room again.

use crate::support::not_tested;
use crate::{call, text};
use limn::train::checkpoint;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SETTINGS: [&str; 6] = [
    "train.batch=16",
    "model.hidden=32",
    "train.checkpoint_every=5",
    "train.sample_every=5",
    "train.keep=50",
    "train.log_every=1",
];

fn arguments(out: &Path, steps: u64) -> Vec<String> {
    let mut all: Vec<String> =
        ["train", "vae", "--device", "cpu", "--out", text(out), "--steps"].map(Into::into).to_vec();
    all.push(steps.to_string());
    SETTINGS.iter().for_each(|setting| all.extend(["--set".into(), setting.to_string()]));
    all
}

fn limn(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.env("LIMN_CACHE", folder.join("cache"));
    command
}

fn bits(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint")
}

/// The run says which step is saved, and so it is.
#[cfg(target_os = "linux")]
fn says_what_is_saved(run: &Path, call: crate::Call, words: &str) {
    let step = checkpoint::info(&run.join("checkpoint.safetensors")).expect("a whole checkpoint").step;
    call.bad(&[words, &format!("step {step} is saved"), "limn train --resume"]);
}

/// Goes on and ends like a run that was not interrupted.
fn goes_on(folder: &Path, run: &Path, whole: &Path) {
    call(limn(folder).args(["train", "--resume", text(run)])).good();
    assert!(bits(run) == bits(whole));
    let rows = std::fs::read_to_string(run.join("metrics.csv")).expect("metrics").lines().count();
    assert_eq!(rows, std::fs::read_to_string(whole.join("metrics.csv")).expect("metrics").lines().count());
}

/// A file system of its own, for as long as it lives.
#[cfg(target_os = "linux")]
struct Small(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Small {
    fn new(folder: &Path, kilobytes: usize) -> Option<Small> {
        std::fs::create_dir(folder).expect("a folder");
        let size = format!("size={kilobytes}k");
        let made = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        if !made.is_ok_and(|made| made.status.success()) {
            not_tested("a full disk: nothing can be mounted here");
            return None;
        }
        Some(Small(folder.into()))
    }

    fn again(&self, options: &str) {
        let how = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &how]).arg(&self.0).status().expect("mount").success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_a_run_with_what_is_saved_and_room_lets_it_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let whole = folder.join("whole");
    call(limn(folder).args(arguments(&whole, 60))).good();
    let Some(small) = Small::new(&folder.join("small"), 3000) else { return };
    let run = small.0.join("run");
    says_what_is_saved(&run, call(limn(folder).args(arguments(&run, 60))), "No space left on device");
    small.again("size=64m");
    goes_on(folder, &run, &whole);
    // No room for anything at all.
    small.again("ro");
    call(limn(folder).args(arguments(&small.0.join("other"), 5))).bad(&["cannot create", "Read-only file system"]);
    let mut resume = limn(folder);
    call(resume.args(["train", "--resume", text(&run), "--steps", "70"])).bad(&["Read-only file system"]);
}

#[test]
#[cfg(unix)]
fn a_file_that_may_grow_no_further_ends_a_run_with_what_is_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (whole, run) = (folder.join("whole"), folder.join("run"));
    call(limn(folder).args(arguments(&whole, 300))).good();
    // metrics.csv outgrows the limit before the end, and the checkpoint does from the start of the second run.
    let checkpoint = bits(&whole).len() as u64;
    let rows = std::fs::metadata(whole.join("metrics.csv")).expect("metrics").len();
    assert!(rows < checkpoint);
    let limited = |out: &Path, kilobytes: u64| {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("ulimit -f {kilobytes}; exec \"$@\""), "bash", env!("CARGO_BIN_EXE_limn")]);
        command.args(arguments(out, 300)).env("LIMN_CACHE", folder.join("cache"));
        call(&mut command)
    };
    limited(&run, checkpoint / 1024 - 10).bad(&["File too large", "no checkpoint is saved", "limn train --resume"]);
    goes_on(folder, &run, &whole);
}

#[test]
#[cfg(unix)]
fn a_folder_that_cannot_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).expect("a folder");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).expect("modes");
    if std::fs::write(closed.join("probe"), "").is_ok() {
        let _ = std::fs::remove_file(closed.join("probe"));
        not_tested("a folder without the right to write: root has it everywhere, and a read-only disk stands for it");
        return;
    }
    call(limn(folder.path()).args(arguments(&closed.join("run"), 5))).bad(&["cannot create", "Permission denied"]);
}

#[test]
#[cfg(unix)]
fn a_folder_that_is_taken_away_or_moved_ends_its_run_and_nothing_of_it_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let whole = folder.join("whole");
    call(limn(folder).args(arguments(&whole, 40))).good();
    for moved in [false, true] {
        let (run, elsewhere) = (folder.join(format!("run-{moved}")), folder.join("elsewhere"));
        let mut command = limn(folder);
        command.args(arguments(&run, 10_000_000)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().expect("a run");
        let start = Instant::now();
        while !run.join("checkpoint.safetensors").exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing is saved");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::rename(&run, &elsewhere).expect("another name");
        if !moved {
            std::fs::remove_dir_all(&elsewhere).expect("no folder");
        }
        let done = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        let line = said.lines().last().unwrap_or_default();
        assert!(line.starts_with("limn: ") && line.contains(text(&run)) && !line.contains("is saved;"), "{said}");
        assert!(!run.join("checkpoint.safetensors").exists() && !run.join("config.toml").exists(), "{said}");
        if moved {
            let step = checkpoint::info(&elsewhere.join("checkpoint.safetensors")).expect("a checkpoint").step;
            let end = (step + 5).to_string();
            call(limn(folder).args(["train", "--resume", text(&elsewhere), "--steps", &end])).good();
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_clock_that_is_set_back_and_forth_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let library = folder.join("clock.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/command_line/clock.c");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let made =
        Command::new(&compiler).args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").output();
    let Ok(made) = made else {
        return not_tested(&format!("a clock that is set: there is no C compiler ({compiler})"));
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (whole, run) = (folder.join("whole"), folder.join("run"));
    call(limn(folder).args(arguments(&whole, 30))).good();
    let set = |args: &[String]| {
        let done = call(limn(folder).args(args).env("LD_PRELOAD", &library)).good();
        assert!(!done.err.contains("warning"), "{}", done.err);
    };
    set(&arguments(&run, 10));
    set(&["train", "--resume", text(&run), "--steps", "30"].map(String::from));
    assert!(bits(&run) == bits(&whole));
    // Time since the run began is not taken from that clock.
    let rows = std::fs::read_to_string(run.join("metrics.csv")).expect("metrics");
    let seconds: Vec<f64> = rows.lines().skip(1).map(|row| row.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert!(seconds.len() == 30 && seconds.is_sorted() && seconds[29] < 120.0, "{seconds:?}");
}
