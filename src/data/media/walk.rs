//! The files of a folder, at any depth, and what was left out.

use super::Error;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Files that were left out, by why.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LeftOut {
    counts: BTreeMap<String, usize>,
    /// Those of them that somebody would look for, as they are below the folder.
    named: BTreeMap<String, Vec<String>>,
}

/// How many that were left out for the same reason are named.
const NAMED: usize = 3;

impl LeftOut {
    /// Counts one more that is `what`, a noun in the singular.
    pub(super) fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// The same of one that is to be named.
    fn name(&mut self, what: &str, path: &Path, folder: &Path) {
        self.count(what);
        let path = path.strip_prefix(folder).unwrap_or(path);
        self.named.entry(what.into()).or_default().push(path.display().to_string());
    }

    /// Takes one back that turned out to be of use.
    pub(super) fn uncount(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = self.counts.remove(what),
        }
    }

    /// Counts so many.
    pub(super) fn add(&mut self, what: impl Into<String>, count: usize) {
        if count > 0 {
            *self.counts.entry(what.into()).or_default() += count;
        }
    }

    /// What is there instead of what was looked for, to go on a sentence with; nothing where there
    /// is nothing.
    pub(super) fn instead(&self) -> String {
        self.words().map_or(String::new(), |words| format!(", only {words}"))
    }

    /// "3 .txt files, 1 unreadable folder (b/private)", the most first; `None` where nothing was left out.
    pub(super) fn words(&self) -> Option<String> {
        let mut all: Vec<(&String, &usize)> = self.counts.iter().collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let several = |what: &String| match what.split_once(' ') {
            Some((noun @ ("file" | "folder"), which)) => format!("{noun}s {which}"),
            _ => format!("{what}s"),
        };
        let one = |(what, count): (&String, &usize)| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {}", several(what)),
        };
        let one = |entry: (&String, &usize)| match self.named.get(entry.0) {
            Some(names) => {
                let more = if names.len() > NAMED { ", ..." } else { "" };
                let first = &names[..names.len().min(NAMED)];
                format!("{} ({}{more})", one(entry), first.join(", "))
            }
            None => one(entry),
        };
        (!all.is_empty()).then(|| all.into_iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

/// What lies in a folder and below it.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files with one of the wanted extensions, in the order of their paths.
    pub(super) files: Vec<PathBuf>,
    /// The others.
    pub(super) left_out: LeftOut,
}

/// Looks for files with one of these extensions in a folder, at any depth. Links are followed, but
/// nothing is found twice, and never in circles. Hidden names are left out (macOS leaves a
/// `._x.png` that is no image), and so are folders of runs, and what may not be looked into.
///
/// # Errors
/// The folder itself cannot be read, or the disk fails.
pub(super) fn find(folder: &Path, extensions: &[&str]) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut linked = false;
    let hidden = |entry: &DirEntry| entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
    let mut entries = WalkDir::new(folder).follow_links(true).into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().map(Path::to_path_buf);
                let what = refusal(error, folder)?;
                match path {
                    Some(path) if what != CIRCULAR => found.left_out.name(what, &path, folder),
                    _ => found.left_out.count(what),
                }
                continue;
            }
        };
        let is_folder = entry.file_type().is_dir();
        linked |= entry.path_is_symlink();
        if is_folder && entry.depth() > 0 && is_run(entry.path()) {
            // A run in the folder of its data leaves pictures there that are none of them.
            found.left_out.count("folder of a run");
            entries.skip_current_dir();
        } else if hidden(&entry) {
            found.left_out.count(if is_folder { "hidden folder" } else { "hidden file" });
            if is_folder {
                entries.skip_current_dir();
            }
        } else if entry.file_type().is_file() {
            let extension = entry.path().extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
            match extensions.contains(&&*extension) {
                true => found.files.push(entry.into_path()),
                false if extension.is_empty() => found.left_out.count("extensionless file"),
                false => found.left_out.count(format!(".{extension} file")),
            }
        } else if !is_folder {
            found.left_out.count("special file");
        }
    }
    found.files.sort();
    if linked {
        once(&mut found);
    }
    Ok(found)
}

/// Whether a folder is that of a run of limn's.
fn is_run(folder: &Path) -> bool {
    ["config.toml", "provenance.json"].iter().all(|name| folder.join(name).is_file())
}

/// A link that leads to where it is.
const CIRCULAR: &str = "circular link";

/// What an entry that cannot be read counts as, or the error if it must not be gone on from.
fn refusal(error: walkdir::Error, folder: &Path) -> Result<&'static str, Error> {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    if error.loop_ancestor().is_some() {
        return Ok(CIRCULAR);
    }
    let path = error.path().unwrap_or(folder).to_path_buf();
    let is_link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    let source = error.into_io_error().unwrap_or_else(|| std::io::Error::other("it cannot be walked"));
    match source.kind() {
        NotFound if is_link => Ok("dangling link"),
        // A link to itself, or to one that comes back to it.
        _ if is_link && is_loop(&source) => Ok(CIRCULAR),
        PermissionDenied if path != folder => Ok("unreadable folder"),
        _ => Err(Error::Io { doing: "read", path, source }),
    }
}

/// Whether following a link led to it again.
fn is_loop(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    let codes = [libc::ELOOP];
    // What Windows says of too many links to follow.
    #[cfg(not(unix))]
    let codes = [1921];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Takes away files that are in the list already, under another name.
fn once(found: &mut Found) {
    let mut seen = HashSet::new();
    let files = std::mem::take(&mut found.files);
    // The file itself before links to it, whatever their names.
    let (links, own): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|file| file.canonicalize().is_ok_and(|real| real.file_name() != file.file_name()));
    for file in own.into_iter().chain(links) {
        let real = file.canonicalize().unwrap_or_else(|_| file.clone());
        match seen.insert(real) {
            true => found.files.push(file),
            false => found.left_out.count("duplicate link"),
        }
    }
    found.files.sort();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn names(folder: &Path, found: &Found) -> Vec<String> {
        let name = |file: &PathBuf| file.strip_prefix(folder).unwrap().display().to_string().replace('\\', "/");
        found.files.iter().map(name).collect()
    }

    #[test]
    fn files_at_any_depth_in_order_and_the_rest_counted() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("b/c/d")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join("runs/vae-1/samples")).unwrap();
        for name in ["b/c/d/z.png", "a.PNG", "b/y.png", "n.txt", "b/m.txt", ".x.png", ".git/q.png", "README"] {
            fs::write(root.join(name), name).unwrap();
        }
        for name in ["config.toml", "provenance.json", "samples/step-1.png"] {
            fs::write(root.join("runs/vae-1").join(name), name).unwrap();
        }
        let found = find(root, &["png"]).unwrap();
        assert_eq!(names(root, &found), ["a.PNG", "b/c/d/z.png", "b/y.png"]);
        let words = found.left_out.words().unwrap();
        assert_eq!(words, "2 .txt files, 1 extensionless file, 1 folder of a run, 1 hidden file, 1 hidden folder");
        assert_eq!(find(&root.join("b/c"), &["png"]).unwrap().left_out.words(), None);
        // Whoever names a run's pictures gets them.
        assert_eq!(find(&root.join("runs/vae-1"), &["png"]).unwrap().files.len(), 1);
        assert!(matches!(find(&root.join("nowhere"), &["png"]), Err(Error::Io { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once_and_never_in_circles() {
        use std::os::unix::fs::symlink;
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = dir.path();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/1.png"), "1").unwrap();
        fs::write(other.path().join("2.png"), "2").unwrap();
        symlink(root, root.join("a/up")).unwrap();
        symlink(root.join("a"), root.join("b")).unwrap();
        symlink(other.path(), root.join("c")).unwrap();
        symlink(root.join("a/1.png"), root.join("0.png")).unwrap();
        symlink(root.join("gone.png"), root.join("z.png")).unwrap();
        symlink(root.join("self.png"), root.join("self.png")).unwrap();
        symlink(root.join("there.png"), root.join("here.png")).unwrap();
        symlink(root.join("here.png"), root.join("there.png")).unwrap();
        let found = find(root, &["png"]).unwrap();
        let real: HashSet<PathBuf> = found.files.iter().map(|file| file.canonicalize().unwrap()).collect();
        assert_eq!((found.files.len(), real.len()), (2, 2), "{found:?}");
        let words = found.left_out.words().unwrap();
        for word in ["1 dangling link", "5 circular links", "duplicate link"] {
            assert!(words.contains(word), "{words}");
        }
    }
}
