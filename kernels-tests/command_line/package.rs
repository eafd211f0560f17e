//! What the published crate is made of.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of all its files: those of the built-in images are three millions, and the rest is text.
const MOST: u64 = 7 << 20;

/// Files below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// The literals that the arguments of `include_str!` and its like begin with, outside of tests: a
/// file, or the folder that the files of a macro are in.
fn included(source: &str) -> impl Iterator<Item = &str> {
    let program = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let calls = ["include_str!(", "include_bytes!(", "include_dir!("];
    let arguments = calls.into_iter().flat_map(move |call| program.split(call).skip(1));
    // Every other piece between quotes is a literal.
    arguments.filter_map(|rest| rest.split('"').skip(1).step_by(2).find(|literal| *literal != "CARGO_MANIFEST_DIR"))
}

#[test]
fn the_package_holds_all_that_is_built_in_and_is_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Command::new(env!("CARGO"));
    let listed = cargo.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(root).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    // Some of the list are made by cargo.
    let files: HashSet<PathBuf> = listed
        .lines()
        .map(|name| root.join(name))
        .filter(|file| file.is_file())
        .map(|f| f.canonicalize().unwrap())
        .collect();
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes < MOST, "{bytes} bytes");
    let mut seen = 0;
    let sources = below(&root.join("src")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    for source in sources.filter(|path| !path.to_string_lossy().ends_with("tests.rs")) {
        assert!(files.contains(&source.canonicalize().unwrap()), "{}", source.display());
        for literal in included(&std::fs::read_to_string(&source).unwrap()) {
            // From the root of the crate, or from the file's folder.
            let path = match literal.trim_start_matches("$CARGO_MANIFEST_DIR").strip_prefix('/') {
                Some(path) => root.join(path),
                None => source.with_file_name(literal),
            };
            let needed = if path.is_dir() { below(&path) } else { vec![path] };
            for file in needed {
                let file = file.canonicalize().unwrap_or_else(|e| panic!("{}: {literal}: {e}", source.display()));
                assert!(files.contains(&file), "{} includes {}", source.display(), file.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 150, "{seen} files are built in");
}
