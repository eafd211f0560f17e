//! What Windows tells a program in a console, and what others do to its files there.

use super::{call, end, limn, text};
use std::fs::OpenOptions;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use windows_sys::Win32::Storage::FileSystem::FILE_SHARE_READ;
use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_BREAK_EVENT, CTRL_C_EVENT, FreeConsole, GenerateConsoleCtrlEvent, GetConsoleWindow,
    SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::Threading::CREATE_NEW_CONSOLE;
use windows_sys::Win32::UI::WindowsAndMessaging::{PostMessageW, WM_CLOSE};

/// What a process of this test is started with that tells another something: `EVENT PROCESS`.
const TELL: &str = "LIMN_TEST_TELLS";

/// Ends a run as its own console would. A console belongs to a process, so that it takes one to do this.
#[test]
#[allow(unsafe_code, reason = "only the system's own functions tell a process of a console")]
fn tells() {
    let Ok(asked) = std::env::var(TELL) else { return };
    let (event, process) = asked.split_once(' ').expect("an event and a process");
    let process = process.parse().expect("a process");
    // SAFETY: numbers go in and out, and no pointers.
    let told = unsafe {
        FreeConsole();
        assert_ne!(AttachConsole(process), 0, "{}", std::io::Error::last_os_error());
        if event == "close" {
            let window = GetConsoleWindow();
            assert!(!window.is_null(), "there is no window");
            FreeConsole();
            PostMessageW(window, WM_CLOSE, 0, 0)
        } else {
            SetConsoleCtrlHandler(None, 1);
            GenerateConsoleCtrlEvent(if event == "c" { CTRL_C_EVENT } else { CTRL_BREAK_EVENT }, 0)
        }
    };
    assert_ne!(told, 0, "{}", std::io::Error::last_os_error());
    // Who breaks is told as well, and ends by it.
    std::thread::sleep(Duration::from_millis(200));
}

fn tell(child: &Child, event: &str) {
    let this = std::env::current_exe().expect("this program");
    let mut teller = Command::new(this);
    teller.args(["windows::tells", "--exact", "--nocapture"]).env(TELL, format!("{event} {}", child.id()));
    let told = teller.stdin(Stdio::null()).output().expect("it starts");
    assert!(told.status.success() || event == "break", "{}", String::from_utf8_lossy(&told.stderr));
}

/// A run that does not end of itself, in a console of its own, at its second row or later.
#[track_caller]
fn endless(folder: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.args(["train", "vae", "--steps", "10000000", "--batch", "8", "--device", "cpu", "--out"]);
    command.arg(folder.join("run")).args(["--set", "train.sample_every=0", "--set", "train.log_every=1"]);
    command.env("LIMN_CACHE", folder.join("cache")).creation_flags(CREATE_NEW_CONSOLE);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(folder.join("words")).expect("a file"));
    let mut child = command.spawn().expect("a run");
    let start = Instant::now();
    while std::fs::read_to_string(folder.join("run/metrics.csv")).map_or(0, |csv| csv.lines().count()) < 2 {
        let words = std::fs::read_to_string(folder.join("words")).expect("words");
        assert!(child.try_wait().expect("a child").is_none(), "the run ended: {words}");
        assert!(start.elapsed() < Duration::from_secs(100), "it took no step: {words}");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// A run that is told something saves itself, and goes on from there.
fn saves_itself(event: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = endless(folder.path());
    tell(&child, event);
    let status = end(&mut child, 60.0);
    let words = std::fs::read_to_string(folder.path().join("words")).expect("words");
    let run = folder.path().join("run");
    assert!(run.join("checkpoint.safetensors").exists(), "{status} {words}");
    assert!(words.contains("stopping after this step"), "{words}");
    assert_eq!(status.code(), Some(130), "{words}");
    let rows = std::fs::read_to_string(run.join("metrics.csv")).expect("rows");
    let last = rows.lines().last().and_then(|row| row.split(',').next()).expect("a row");
    let further = (last.parse::<u64>().expect("a step") + 2).to_string();
    limn(&["train", "--resume", text(&run), "--device", "cpu", "--steps", &further]).good();
}

#[test]
fn a_run_saves_itself_at_ctrl_c() {
    saves_itself("c");
}

#[test]
fn a_run_saves_itself_at_ctrl_break() {
    saves_itself("break");
}

#[test]
fn a_run_saves_itself_where_its_window_is_closed() {
    saves_itself("close");
}

#[test]
fn a_second_ctrl_c_ends_a_long_step_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.args([
        "train",
        "pixelcnn-gated",
        "--batch",
        "512",
        "--set",
        "train.accumulate=16",
        "--device",
        "cpu",
        "--out",
    ]);
    command.arg(folder.path().join("run")).env("LIMN_CACHE", folder.path().join("cache"));
    command.creation_flags(CREATE_NEW_CONSOLE).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(folder.path().join("words")).expect("a file"));
    let mut child = command.spawn().expect("a run");
    let start = Instant::now();
    while !folder.path().join("run/log.txt").exists() {
        assert!(start.elapsed() < Duration::from_secs(100), "that never was");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(500));
    tell(&child, "c");
    std::thread::sleep(Duration::from_millis(800));
    assert!(child.try_wait().expect("a child").is_none(), "the step was too short");
    tell(&child, "c");
    assert_eq!(end(&mut child, 10.0).code(), Some(130));
    assert!(!folder.path().join("run/checkpoint.safetensors").exists());
}

/// A run of two steps, and what trains in its folder.
fn short(folder: &Path) -> (PathBuf, impl Fn(&[&str]) -> super::Call) {
    let (run, cache) = (folder.join("run"), folder.join("cache"));
    let train = move |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
        command.arg("train").args(more).args(["--device", "cpu"]).env("LIMN_CACHE", &cache);
        call(&mut command)
    };
    train(&["vae", "--steps", "2", "--batch", "8", "--set", "model.hidden=8", "--out", text(&run)]).good();
    (run, train)
}

#[test]
fn files_that_others_read_are_replaced_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (run, train) = short(folder.path());
    // As a viewer or a backup has them open, which lets others replace them.
    let names = ["checkpoint.safetensors", "metrics.csv", "report.html", "log.txt"];
    let open = names.map(|name| std::fs::File::open(run.join(name)).expect("a file"));
    let went_on = train(&["--resume", text(&run), "--steps", "4"]).good();
    assert!(!went_on.err.contains("cannot"), "{}", went_on.err);
    drop(open);
}

#[test]
fn a_file_that_somebody_keeps_from_others_ends_a_run_in_a_sentence_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (run, train) = short(folder.path());
    let checkpoint = || std::fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint");
    let before = checkpoint();
    // As an office program has a table that it shows: others may read it, and no more.
    for name in ["metrics.csv", "checkpoint.safetensors"] {
        let held = OpenOptions::new().read(true).share_mode(FILE_SHARE_READ).open(run.join(name)).expect("a file");
        train(&["--resume", text(&run), "--steps", "4"]).bad(&[name, "os error"]);
        drop(held);
        assert_eq!(checkpoint(), before, "{name}");
    }
    train(&["--resume", text(&run), "--steps", "4"]).good();
    assert_ne!(checkpoint(), before);
}

#[test]
fn devices_and_names_that_windows_keeps_are_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("a<b|c");
    limn(&["train", "vae", "--steps", "1", "--device", "cpu", "--out", text(&out)]).bad(&["a<b|c"]);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
