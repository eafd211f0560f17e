//! What limn is built from is what its lock says: wherever a command stands that builds, and for the fuzzed program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What may name a command that builds.
const PLACES: [&str; 10] =
    ["Makefile", ".ci", "benches", "docs", "README.md", "ARCHITECTURE.md", "examples", "src", "kernels-tests", "fuzz"];

/// Commands of cargo that resolve crates.
const BUILDS: [&str; 10] = ["bench", "build", "check", "clippy", "doc", "install", "metadata", "run", "test", "tree"];

/// How cargo is called.
const CARGO: [&str; 4] = ["cargo ", "$(CARGO) ", "${CARGO:-cargo}\" ", "$CARGO "];

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The texts at and below a path.
fn texts(path: &Path, all: &mut Vec<(PathBuf, String)>) {
    let is_ours = |path: &Path| !["target", "corpus", "finds"].iter().any(|name| path.ends_with(name));
    if path.is_dir() && is_ours(path) {
        let entries = fs::read_dir(path).expect("a folder");
        entries.for_each(|entry| texts(&entry.expect("an entry").path(), all));
    } else if let Ok(text) = fs::read_to_string(path) {
        all.push((path.into(), text));
    }
}

/// Commands of a line that build, and do not say that they keep to the lock.
fn unlocked(line: &str) -> Vec<&str> {
    let starts = CARGO.iter().flat_map(|cargo| line.match_indices(cargo).map(|(at, found)| at + found.len()));
    let commands = starts.map(|at| line[at..].split('`').next().unwrap_or_default());
    let builds = |command: &&str| {
        let mut words = command.split_whitespace().skip_while(|word| word.starts_with('+'));
        let verb = words.next().unwrap_or_default().trim_end_matches(|c: char| !c.is_alphabetic());
        BUILDS.contains(&verb) && !command.contains("--locked")
    };
    commands.filter(builds).collect()
}

/// A crate that has other features with tests than without is another crate, and so is all that stands on it: limn would
/// be compiled once for its tests and once for its command.
#[test]
fn dependencies_of_tests_give_crates_no_other_features() {
    let crates = |more: &[&str]| -> BTreeSet<String> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p} {f}"]).args(more);
        let listed = cargo.current_dir(repository()).output().expect("cargo");
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let lines = String::from_utf8(listed.stdout).expect("text");
        lines.lines().map(|line| line.trim_end_matches(" (*)").trim_end().to_string()).collect()
    };
    let (without, with) = (crates(&["--edges", "no-dev"]), crates(&[]));
    assert!(without.len() > 100, "{without:?}");
    let others: Vec<_> = without.difference(&with).collect();
    assert!(others.is_empty(), "these have other features with the dependencies of tests: {others:?}");
}

#[test]
fn every_command_that_builds_keeps_to_the_lock() {
    let (mut all, mut faults, mut seen) = (Vec::new(), Vec::new(), 0);
    PLACES.iter().for_each(|place| texts(&repository().join(place), &mut all));
    for (path, text) in &all {
        for (number, line) in (1..).zip(text.lines()) {
            seen += usize::from(line.contains("--locked"));
            // What is looked for stands here itself.
            if !path.ends_with("supply.rs") {
                faults.extend(unlocked(line).iter().map(|c| format!("{}, line {number}: cargo {c}", path.display())));
            }
        }
    }
    assert!(faults.is_empty(), "without --locked:\n{}", faults.join("\n"));
    assert!(seen > 20, "{seen}");
    for line in [
        "\tcargo build --release",
        "`cargo +nightly test x`, then --locked",
        "$(CARGO) clippy -- -D warnings",
        "cargo run",
    ] {
        assert_eq!(unlocked(line).len(), 1, "{line}");
    }
    for line in ["\t$(CARGO) build --release --locked", "cargo fmt --check", "a new cargo testament", "cargo"] {
        assert_eq!(unlocked(line).len(), 0, "{line}");
    }
}

/// Names and versions of the crates in a lock.
fn locked(path: &str) -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(repository().join(path)).expect("a lock");
    let lock: toml::Table = text.parse().expect("TOML");
    let packages = lock["package"].as_array().expect("packages");
    let word = |package: &toml::Value, key: &str| package[key].as_str().expect("a word").to_string();
    packages.iter().map(|package| (word(package, "name"), word(package, "version"))).collect()
}

#[test]
fn what_is_fuzzed_is_built_of_the_same_crates() {
    let (own, fuzzed) = (locked("Cargo.lock"), locked("fuzz/Cargo.lock"));
    let names: BTreeSet<&String> = own.iter().map(|(name, _)| name).collect();
    let others: Vec<_> = fuzzed.iter().filter(|krate| names.contains(&krate.0) && !own.contains(krate)).collect();
    assert!(others.is_empty(), "fuzz/Cargo.lock has {others:?}; copy Cargo.lock over it, and build");
    assert!(fuzzed.len() > 100);
}
