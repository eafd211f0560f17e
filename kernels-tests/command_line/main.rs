//! The command as a user calls it: results, exit codes, and one plain sentence for bad input.

mod among_files;
mod bad_input;
#[cfg(unix)]
mod disks;
#[cfg(unix)]
mod docs;
mod engineer;
mod export_hub;
mod export_onnx;
mod export_pytorch;
mod export_web;
mod figures;
mod kill;
mod leading_on;
mod lists;
mod lost;
mod media;
mod mixed;
mod models;
mod outputs;
mod own_pictures;
mod package;
mod paths;
mod pictures;
mod pytorch;
mod run_folders;
mod shader;
#[cfg(unix)]
mod signals;
mod supply;
#[path = "../support/mod.rs"]
mod support;
mod validation;
mod watching;
#[cfg(windows)]
mod windows;

use crate::support::{device_flag, not_tested};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a call of limn left behind.
struct Call {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Python with these modules, if there is one: `LIMN_PYTHON`, or `python3`. Says aloud what is not
/// tested without.
fn python(modules: &str, untested: &str) -> Option<String> {
    let python = std::env::var("LIMN_PYTHON").unwrap_or_else(|_| "python3".into());
    let import = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    let found = import.is_ok_and(|call| call.status.success());
    if !found {
        not_tested(&format!("{untested}: {python} has no {modules}"));
    }
    found.then_some(python)
}

/// Calls limn and waits, for five minutes at most; nothing may panic, whatever the arguments.
fn limn(args: &[&str]) -> Call {
    call(Command::new(env!("CARGO_BIN_EXE_limn")).args(args))
}

fn call(command: &mut Command) -> Call {
    call_within(command, Duration::from_secs(300))
}

/// The same with so much time.
fn call_within(command: &mut Command, most: Duration) -> Call {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("limn starts");
    let drain = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = drain(Box::new(child.stdout.take().expect("piped")));
    let err = drain(Box::new(child.stderr.take().expect("piped")));
    let start = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().expect("limn can be waited for") {
            break status.code();
        }
        if start.elapsed() > most {
            let _ = child.kill();
            panic!("{command:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (out, err) = (out.join().expect("drained"), err.join().expect("drained"));
    assert!(!err.contains("panicked") && !err.contains("mistake in limn"), "{command:?}: {err}");
    Call { code, out, err }
}

/// The end of a child that is expected within so many seconds.
#[track_caller]
fn end(child: &mut Child, seconds: f64) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if start.elapsed().as_secs_f64() > seconds {
            let _ = child.kill();
            panic!("it goes on after {seconds} s");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Call {
    /// Expects success.
    #[track_caller]
    fn good(self) -> Call {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    /// Expects exit code 2 and one sentence that holds all of `words`.
    #[track_caller]
    fn bad(self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "{}{}", self.out, self.err);
        let line = self.err.lines().last().unwrap_or_default();
        assert!(line.starts_with("limn: "), "{}", self.err);
        words.iter().for_each(|word| assert!(line.contains(word), "no \"{word}\" in: {line}"));
        assert!(!line.contains("Error {") && !line.contains("Some("), "{line}");
    }

    /// Every line as a JSON object.
    #[track_caller]
    fn rows(&self) -> Vec<Value> {
        let row = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let rows: Vec<Value> = self.out.lines().map(row).collect();
        let snake = |key: &String| key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        for row in &rows {
            assert!(row.as_object().expect("an object").keys().all(snake), "{row}");
        }
        rows
    }
}

/// Calls limn on the device under test.
fn limn_on_device(args: &[&str]) -> Call {
    let device = device_flag();
    limn(&args.iter().copied().chain(device.iter().map(String::as_str)).collect::<Vec<_>>())
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/fixtures/run").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

#[test]
fn devices_lists_adapters_and_the_cpu() {
    let rows = limn(&["devices", "--json"]).good().rows();
    let cpu = rows.last().expect("there is always the cpu");
    assert_eq!(cpu["name"], "cpu");
    assert!(cpu["threads"].as_u64() > Some(0));
    assert_eq!(rows.iter().filter(|r| r["default"] == true).count(), 1);
    for (i, row) in rows[..rows.len() - 1].iter().enumerate() {
        assert_eq!(row["index"], i);
        assert!(row["max_binding_bytes"].as_u64() > Some(0) && row["features"].is_array(), "{row}");
    }
    let words = limn(&["devices"]).good().out;
    assert!(words.contains("reference") && words.matches("(default: ").count() == 1, "{words}");
}

#[test]
fn without_a_name_it_is_a_gpu_or_else_the_processor_with_a_word_about_it() {
    let input = fixture("conv2d-plain.in.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let run = ["run", "conv2d", "--in", text(&input), "--out", text(&out)];
    let rows = limn(&["devices", "--json"]).good().rows();
    let is_gpu = |row: &&Value| row["index"].is_number() && row["kind"] != "cpu";
    let default = rows.iter().find(|row| row["default"] == true).expect("a default");
    // What is done in a moment says nothing of it, what computes for long does, in a line.
    assert_eq!(limn(&run).good().err, "");
    let bench = ["bench", "step", "vae", "--batch", "1", "--set", "model.hidden=2"];
    let said = limn(&bench).good().err;
    if rows.iter().any(|row| is_gpu(&row)) {
        assert!(is_gpu(&default) && said.is_empty(), "{said}");
        return;
    }
    assert_eq!(default["name"], "cpu");
    assert!(said.lines().count() == 1 && said.contains("no GPU was found") && said.contains("(cpu)"), "{said}");
    assert!(said.trim_end().len() <= 80 && said.contains("`limn devices`"), "{said}");
    assert_eq!(limn(&[&bench[..], &["--quiet"]].concat()).good().err, "");
    // A software driver is taken by name, by number, or because the environment asks for it.
    let Some(software) = rows.iter().find(|row| row["index"].is_number()) else { return };
    let told = limn(&["devices"]).good().out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("no GPU was found") && told.contains("--device 0 takes the software driver"), "{told}");
    // Kernels of GPUs are checked on it, and that is said first.
    let check = limn(&["check", "Concat"]).good();
    assert!(check.err.contains("software driver") && check.err.contains("--device cpu"), "{}", check.err);
    assert!(check.out.starts_with("concat "), "{}", check.out);
    let name = software["name"].as_str().expect("a name");
    for device in ["0", "vulkan", name] {
        assert_eq!(limn(&[&run[..], &["--device", device]].concat()).good().err, "");
    }
    let mut asked = Command::new(env!("CARGO_BIN_EXE_limn"));
    assert_eq!(call(asked.args(run).env("WGPU_ADAPTER_NAME", name)).good().err, "");
}

#[test]
fn stderr_stays_empty_where_nothing_is_wrong() {
    let here = limn(&["devices", "--json"]).good();
    // A machine without an adapter is told how to get a driver.
    if here.rows().len() > 1 {
        assert_eq!(here.err, "");
    }
}

#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_is_no_error() {
    let script = format!("set -o pipefail; '{}' data list | head -1", env!("CARGO_BIN_EXE_limn"));
    let call = call(Command::new("bash").args(["-c", &script])).good();
    assert_eq!((call.out.lines().count(), call.err.as_str()), (1, ""));
}

#[test]
fn check_shows_the_worst_error_beside_its_bound() {
    let rows = limn_on_device(&["check", "concat", "--json"]).good().rows();
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!((&row["kernel"], &row["ok"], &row["failure"]), (&"concat".into(), &true.into(), &Value::Null));
        for key in ["worst_error", "bound", "ratio"] {
            assert!(row[key].is_number(), "{key} in {row}");
        }
    }
    let table = limn_on_device(&["check", "concat", "avg_pool"]).good().out;
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.starts_with("concat") && table.contains("all within their bounds"), "{table}");
}

#[test]
fn check_refuses_what_it_cannot_do() {
    limn(&["check", "conv3d"]).bad(&["conv3d", "conv2d"]);
    limn(&["check", "conv2d", "--device", "reference"]).bad(&["reference", "cpu"]);
    assert!(limn(&["check", "copy", "--device", "cpu"]).good().out.contains("checks on cpu"));
}

#[test]
fn bench_times_every_shape_and_variant() {
    let args = ["bench", "concat", "--json"];
    for call in [limn_on_device(&args), limn(&[&args[..], &["--device", "cpu"]].concat())] {
        let rows = call.good().rows();
        assert!(!rows.is_empty());
        for row in &rows {
            for key in ["ms", "gflops", "gb_per_s"] {
                assert!(row[key].is_number(), "{key} in {row}");
            }
            assert!(row["ms"].as_f64() > Some(0.0) && row["shape"].is_string() && row["variant"].is_string(), "{row}");
        }
    }
    limn(&["bench", "conv3d"]).bad(&["conv3d", "conv2d"]);
}

#[test]
fn data_lists_the_known_sets() {
    let rows = limn(&["data", "list", "--json"]).good().rows();
    let names: Vec<&str> = rows.iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(names, ["fashion-mini", "mnist", "fashion-mnist", "cifar10", "bouncing", "drums"]);
    assert_eq!((&rows[0]["place"], &rows[0]["train"]), (&"built_in".into(), &6000.into()));
    assert!(limn(&["data", "list"]).good().out.contains("cifar10"));
    limn(&["data", "get", "mnis"]).bad(&["mnis", "mnist"]);
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    for args in
        [&["trian"][..], &["run"], &["devices", "--jsn"], &["run", "conv2d", "--in", "a", "--out", "b", "--set", "x"]]
    {
        let call = limn(args);
        assert_eq!(call.code, Some(2), "{args:?}: {}", call.err);
        assert!(!call.err.is_empty() && call.out.is_empty());
    }
    assert!(limn(&["--help"]).good().out.contains("devices"));
    assert!(limn(&["run", "--help"]).good().out.contains("conv_transpose2d"));
    assert!(limn(&["--version"]).good().out.starts_with("limn "));
}

#[test]
fn a_device_that_is_not_there_is_named_with_those_that_are() {
    for device in ["warp9", "99", ""] {
        limn(&["bench", "concat", "--device", device]).bad(&["no device", "cpu"]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_an_adapter_the_cpu_takes_over_and_says_so() {
    let bare = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
        // Vulkan's loader finds no driver then, by either of the names it has had.
        command.args(args).env("VK_DRIVER_FILES", "/dev/null").env("VK_ICD_FILENAMES", "/dev/null");
        call(&mut command)
    };
    let devices = bare(&["devices", "--json"]).good();
    assert_eq!((devices.rows().len(), &devices.rows()[0]["default"]), (1, &true.into()));
    assert!(devices.err.contains("mesa-vulkan-drivers"), "{}", devices.err);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.safetensors");
    let input = fixture("conv2d-plain.in.safetensors");
    let run = ["run", "conv2d", "--in", text(&input), "--out", text(&out)];
    assert_eq!(bare(&run).good().err, "");
    let call = bare(&["bench", "step", "vae", "--batch", "1", "--set", "model.hidden=2"]).good();
    assert_eq!(call.err.lines().count(), 1, "{}", call.err);
    assert!(call.err.contains("(cpu)"), "{}", call.err);
    bare(&["check"]).bad(&["no adapter to check", "mesa-vulkan-drivers"]);
    bare(&["bench", "concat", "--device", "0"]).bad(&["no device", "cpu"]);
}
