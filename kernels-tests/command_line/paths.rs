//! Where a run and what is made of it may lie: folders with spaces, with signs that shells know, and very deep ones.

use super::{call, fixture, text};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder for a run: what lies around it, and the name that it is given by.
fn trained(around: &Path, run: &str) {
    let limn = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
        command.args(words).current_dir(around).env("LIMN_CACHE", around.join("cache of it"));
        call(&mut command).good()
    };
    let picture = Path::new(run).join("new ones.png");
    let page = Path::new(run).join("its page.html");
    limn(&["train", "vae", "--steps", "3", "--batch", "8", "--set", "model.hidden=8", "--device", "cpu", "--out", run]);
    limn(&["train", "--resume", run, "--steps", "5", "--device", "cpu"]);
    limn(&["sample", run, "--n", "4", "--device", "cpu", "--out", text(&picture)]);
    limn(&["report", run, "--out", text(&page)]);
    for file in [picture, page, Path::new(run).join("checkpoint.safetensors")] {
        assert!(around.join(&file).exists(), "{}", file.display());
    }
    // What is said to do next can be typed.
    let again = Command::new(env!("CARGO_BIN_EXE_limn"))
        .args(["train", "vae", "--steps", "1", "--device", "cpu", "--out", run])
        .current_dir(around)
        .output()
        .expect("limn starts");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(2), "{said}");
    let name = Path::new(run).file_name().expect("a name").to_string_lossy();
    assert!(["\"", "'"].iter().any(|quote| said.contains(&format!("{name}{quote}"))) || !name.contains(' '), "{said}");
}

/// The same in a folder of this name.
fn trained_in(name: &str, run: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let around = folder.path().join(name);
    std::fs::create_dir(&around).expect("a folder");
    trained(&around, run);
}

#[test]
fn folders_with_spaces_and_signs() {
    trained_in("Eigene Bilder (alt) & $HOME's", "my first run");
}

#[test]
fn folders_of_umlauts() {
    trained_in("Läufe von 日本", "übung é");
}

/// A way of more than 260 characters, which Windows' older functions do not know.
fn deep() -> PathBuf {
    (0..6).map(|i| format!("{i}{}", "-deep".repeat(10))).collect()
}

#[test]
fn folders_that_lie_very_deep() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = deep().join("a run");
    assert!(text(&folder.path().join(&run)).len() > 300);
    trained(folder.path(), text(&run));
    trained(folder.path(), text(&folder.path().join(deep()).join("b")));
    let tensors = folder.path().join(deep()).join("out.safetensors");
    let input = fixture("conv2d-plain.in.safetensors");
    let run = ["run", "conv2d", "--in", text(&input), "--out", text(&tensors), "--device", "cpu"];
    super::limn(&run).good();
    assert!(tensors.exists());
}

#[cfg(windows)]
#[test]
fn folders_by_either_separator() {
    let folder = tempfile::tempdir().expect("a folder");
    trained(folder.path(), "runs\\of mine\\first");
    trained(folder.path(), "runs/of mine/second");
    trained(folder.path(), ".\\runs\\.\\of mine\\..\\third one");
}
