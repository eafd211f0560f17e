//! Running another program with a time limit.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long it is waited for at a time.
const SLICE: Duration = Duration::from_millis(20);

/// Runs `program` in `folder` for at most `limit`, in which time that this process stood still does not count, and returns
/// what it wrote to its standard output. Where it is missing, fails or overruns (it is killed then), says so in one
/// sentence.
///
/// Its output goes through files in `folder`, not pipes: a pipe that nobody empties would stall it,
/// and one that a grandchild keeps open would stall us.
pub(super) fn run(program: &str, args: &[&str], folder: &Path, limit: Duration) -> Result<String, String> {
    let shown = format!("`{program} {}`", args.join(" "));
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => format!("{program} is not installed"),
        _ => format!("{shown} did not start: {e}"),
    };
    let (out_path, err_path) = (folder.join("stdout.txt"), folder.join("stderr.txt"));
    let file = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(file(&out_path)?)
        .stderr(file(&err_path)?)
        .spawn()
        .map_err(failed)?;
    let mut waited = Duration::ZERO;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if waited < limit => {
                std::thread::sleep(SLICE);
                waited += SLICE;
            }
            stopped => {
                // Killing may fail only because it has just ended; either way it is reaped.
                let _ = child.kill();
                let _ = child.wait();
                return Err(match stopped {
                    Err(e) => format!("{shown} was lost: {e}"),
                    _ => format!("{shown} took longer than {} s", limit.as_secs()),
                });
            }
        }
    };
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    if status.success() {
        return Ok(read(&out_path));
    }
    let said = last_words(&read(&err_path));
    Err(format!("{shown} failed ({status}): {said}"))
}

/// The last three lines that say anything, on one line.
fn last_words(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::time::Instant;

    fn sh(script: &str, seconds: u64) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        run("sh", &["-c", script], dir.path(), Duration::from_secs(seconds))
    }

    #[test]
    fn output_failure_and_absence() {
        assert_eq!(sh("echo hello", 10).unwrap(), "hello\n");
        let e = sh("echo a; echo no such thing >&2; exit 3", 10).unwrap_err();
        assert!(e.contains("no such thing") && e.contains('3'), "{e}");
        let dir = tempfile::tempdir().unwrap();
        let e = run("limn-no-such-program", &[], dir.path(), Duration::from_secs(1)).unwrap_err();
        assert_eq!(e, "limn-no-such-program is not installed");
    }

    #[test]
    fn an_overrun_is_killed() {
        let start = Instant::now();
        let e = sh("sleep 60", 1).unwrap_err();
        assert!(e.contains("longer than 1 s"), "{e}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
