//! Claiming the folder of a new run: where it is, whose it is, and that it holds nothing.

use super::checkpoint;
use super::folder::{CHECKPOINT, CHOICES, CONFIG, LOCK, RunError, SAMPLES};
use super::provenance::{PROVENANCE, Provenance};
use crate::files::{is_temporary_of, read_small, system};
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder that this process has locked, and that holds nothing yet. What a start left there that
/// was killed before its run was one is gone, so that nothing of it gets into the new run. Unless it is kept, everything
/// that was made for it is taken away again.
pub(super) struct Claim {
    path: PathBuf,
    lock: Option<File>,
    /// Folders that were made, the outermost first.
    made: Vec<PathBuf>,
    /// Whether the lock's file was made here.
    made_lock: bool,
    /// Whether the folder was seen to be empty under the lock, so that what is in it is this run's.
    empty: bool,
    kept: bool,
}

impl Claim {
    /// Claims the folder at `path`, which [`resolve`] has given; it is made where it is not there.
    /// Whether it is empty is looked at under its lock, so that of two who want it one gets it.
    ///
    /// # Errors
    /// [`RunError::Locked`], [`RunError::InUse`], or what the system said; then nothing has
    /// changed.
    pub(super) fn of(path: &Path) -> Result<Claim, RunError> {
        let mut claim =
            Claim { path: near(path), lock: None, made: Vec::new(), made_lock: false, empty: false, kept: false };
        make(path, &mut claim.made)?;
        claim.lock()?;
        match occupied(path) {
            Ok(true) => return Err(in_use(&claim.path)),
            Ok(false) => claim.empty = true,
            Err(error) => return Err(RunError::io("read", path)(error)),
        }
        match claim.clear() {
            None => Ok(claim),
            Some((left, error)) => Err(RunError::io("remove", &left)(error)),
        }
    }

    /// Claims `parent/NAME-N` for the first N from 1 that nobody has.
    pub(super) fn fresh(parent: &Path, name: &str) -> Result<Claim, RunError> {
        // A name comes from a file and may hold anything.
        let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name: String = name.chars().map(|c| if fine(c) { c } else { '-' }).collect();
        let parent = resolve(parent).map_err(RunError::io("create", parent))?;
        let mut made = Vec::new();
        make(&parent, &mut made)?;
        for n in 1u64.. {
            let path = parent.join(format!("{name}-{n}"));
            match system::create_dir(&path) {
                Ok(()) => {}
                // Somebody has it, or was faster: whoever makes the folder claims it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(RunError::io("create", &path)(error)),
            }
            match Claim::of(&path) {
                Ok(mut claim) => {
                    made.push(path);
                    claim.made = made;
                    return Ok(claim);
                }
                Err(RunError::Locked { .. } | RunError::InUse { .. }) => {}
                Err(error) => {
                    let _ = system::remove_dir(&path);
                    return Err(error);
                }
            }
        }
        Err(RunError::InUse { path: parent, run: false })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the folder to the run that is now in it, and hands over its lock.
    pub(super) fn keep(mut self) -> Option<File> {
        self.kept = true;
        self.lock.take()
    }

    /// Takes away what a start makes, but for the lock; returns the first that cannot be.
    fn clear(&self) -> Option<(PathBuf, io::Error)> {
        let mut failed = None;
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name == LOCK || !(left_over(&name) || MADE.iter().any(|made| name == *made)) {
                continue;
            }
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let gone = if is_folder { system::remove_dir(&entry.path()) } else { system::remove_file(&entry.path()) };
            failed = failed.or_else(|| gone.err().map(|error| (entry.path(), error)));
        }
        failed
    }

    fn lock(&mut self) -> Result<(), RunError> {
        let file = self.path.join(LOCK);
        // A start that fails takes its file away, and whoever waited for that has the lock of a
        // file that is gone.
        for _ in 0..TRIES {
            let new = system::Written::new(&file);
            self.made_lock = new.is_ok();
            drop(new);
            let lock = lock(&self.path)?;
            if same(&lock, &file) {
                self.lock = Some(lock);
                return Ok(());
            }
        }
        Err(RunError::Locked { path: self.path.clone() })
    }
}

/// Makes a folder and those above it that are not there, and notes in `made` which.
fn make(path: &Path, made: &mut Vec<PathBuf>) -> Result<(), RunError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match system::create_dir(folder) {
            Ok(()) => made.push(folder.into()),
            // Made by somebody else meanwhile.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Err(RunError::io("create", folder)(error)),
        }
    }
    match path.is_dir() {
        true => Ok(()),
        false => Err(RunError::io("create", path)(io::Error::other("it is no folder"))),
    }
}

/// What else a start makes, the settings last: with them its run is one.
const MADE: [&str; 3] = [SAMPLES, CHECKPOINT, CONFIG];

/// How often a lock is taken that somebody takes away, or may let go of in a moment.
const TRIES: usize = 8;

/// What is waited for then.
const MOMENT: Duration = Duration::from_millis(10);

impl Drop for Claim {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // What cannot be taken away stays; the error that led here is the one to tell.
        if self.empty {
            let _ = self.clear();
        }
        if self.lock.is_some() && (self.empty || self.made_lock) {
            let _ = system::remove_file(&self.path.join(LOCK));
        }
        for folder in self.made.iter().rev() {
            // A folder that somebody else has put something into stays.
            let _ = system::remove_dir(folder);
        }
    }
}

/// Refuses a folder that is in use already, before anything is done for a run that it will not
/// take. Whether it is free is decided by [`Claim::of`].
pub(super) fn look(path: &Path) -> Result<(), RunError> {
    if is_locked(path) {
        return Err(RunError::Locked { path: near(path) });
    }
    match occupied(path) {
        Ok(false) => Ok(()),
        Ok(true) => Err(in_use(&near(path))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(RunError::io("create", path)(io::Error::other("it is no folder")))
        }
        Err(error) => Err(RunError::io("read", path)(error)),
    }
}

/// Whether a process has the lock of a folder.
pub(super) fn is_locked(path: &Path) -> bool {
    File::open(path.join(LOCK)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Takes the lock that keeps other processes from training in a folder, for as long as the file
/// lives.
pub(super) fn lock(path: &Path) -> Result<File, RunError> {
    let file = path.join(LOCK);
    let lock = system::to_lock(&file).map_err(RunError::io("create", &file))?;
    // A process that has just let go of it may be starting another, which has all that is open until it begins.
    for _ in 0..TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(MOMENT),
            // Not once more, to be sure: Windows gives nobody a lock twice. Where the file system knows no locks, two
            // processes are the user's own affair.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(lock),
        }
    }
    Err(RunError::Locked { path: path.into() })
}

/// That a folder is in use, and whether by a run that can go on.
fn in_use(path: &Path) -> RunError {
    RunError::InUse { path: path.into(), run: path.join(CONFIG).is_file() }
}

/// Whether a folder holds something that is not left from a start that was killed before its run
/// was one.
fn occupied(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_left = left_over(&name)
            || (name == SAMPLES && fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none()))
            || (name == CHECKPOINT && is_beginning(path));
        if !is_left {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a name is that of a file which holds nothing of anybody's before a run is one, or of the
/// temporary of one that a start writes.
fn left_over(name: &OsStr) -> bool {
    [LOCK, CHOICES, PROVENANCE].iter().any(|known| name == *known || is_temporary_of(name, known))
        || [CHECKPOINT, CONFIG].iter().any(|known| is_temporary_of(name, known))
}

/// Whether a folder's checkpoint is what a start made of weights that it was given, and holds no
/// step of training: so it says itself, and so does the provenance beside it.
fn is_beginning(path: &Path) -> bool {
    let text = read_small(&path.join(PROVENANCE)).unwrap_or_default();
    let given = |known: &Provenance| matches!(known.sittings.as_slice(), [only] if only.initial.is_some());
    serde_json::from_slice::<Provenance>(&text).is_ok_and(|known| given(&known))
        && checkpoint::info(&path.join(CHECKPOINT)).is_ok_and(|info| info.step == 0)
}

/// Whether an open file is the one of that name.
#[cfg(unix)]
fn same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |m: &fs::Metadata| (m.dev(), m.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if id(&a) == id(&b))
}

/// Whether an open file is the one of that name: here an open file keeps its name.
#[cfg(not(unix))]
fn same(_: &File, path: &Path) -> bool {
    path.exists()
}

/// A path as it is shortest from the current folder.
fn near(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    match here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf)) {
        Some(inside) if inside.as_os_str().is_empty() => ".".into(),
        Some(inside) => inside,
        None => path.into(),
    }
}

/// Links that are followed on a way before it is taken for a circle.
#[cfg(unix)]
const LINKS: usize = 40;

/// Where a path leads, absolute and without `..`: links are followed as far as there is something,
/// and from there on `..` takes a name away. So nothing needs to be made to find out, as the system
/// would want for `nowhere/../run`.
#[cfg(unix)]
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    use std::path::Component;
    let parts = |path: &Path| path.components().map(|c| c.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut todo = parts(&std::path::absolute(path)?);
    todo.reverse();
    let (mut resolved, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = todo.pop() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => drop(resolved.pop()),
            Some(Component::Normal(name)) => {
                let next = resolved.join(name);
                match fs::read_link(&next) {
                    Ok(target) => {
                        links += 1;
                        if links > LINKS {
                            return Err(io::Error::other("its links lead in a circle"));
                        }
                        todo.extend(parts(&target).into_iter().rev());
                    }
                    // No link, or nothing at all.
                    Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => resolved = next,
                    Err(e) => return Err(e),
                }
            }
            Some(Component::RootDir) => resolved = PathBuf::from("/"),
            _ => {}
        }
    }
    Ok(resolved)
}

/// Where a path leads, absolute and without `..`, which this system takes by name.
#[cfg(not(unix))]
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_is_resolved_without_making_anything() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("there/deep")).unwrap();
        symlink(root.join("there/deep"), root.join("link")).unwrap();
        symlink("nowhere/run", root.join("dangling")).unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        for (path, wanted) in [
            ("x/nope/../run", "x/run"),
            ("there/../there/./deep", "there/deep"),
            ("link/../new", "there/new"),
            ("link", "there/deep"),
            ("dangling", "nowhere/run"),
            ("../../../../../../../../..", "/"),
        ] {
            assert_eq!(resolve(&root.join(path)).unwrap(), root.join(wanted), "{path}");
        }
        assert!(resolve(&root.join("a/run")).unwrap_err().to_string().contains("circle"));
        assert!(resolve(&root.join("file/run")).is_err());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 6);
    }

    #[test]
    fn a_claim_that_is_dropped_leaves_nothing_and_one_that_is_refused_leaves_all() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let path = root.join("a/b/run");
        drop(Claim::of(&path).unwrap());
        assert!(!root.join("a").exists());
        // One that was there stays, and is empty again.
        fs::create_dir_all(&path).unwrap();
        let claim = Claim::of(&path).unwrap();
        assert!(matches!(Claim::of(&path), Err(RunError::Locked { .. })));
        assert!(matches!(look(&path), Err(RunError::Locked { .. })));
        fs::write(path.join("config.toml"), "").unwrap();
        drop(claim);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::write(path.join("mine.png"), "mine").unwrap();
        let refused = Claim::of(&path).err().unwrap().to_string();
        assert!(matches!(Claim::of(&path), Err(RunError::InUse { .. })));
        // No command is given that would fail.
        assert!(!refused.contains("--resume"), "{refused}");
        assert!(matches!(look(&path), Err(RunError::InUse { .. })));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        assert!(matches!(Claim::of(&path.join("mine.png")), Err(RunError::Io { .. })));
        assert!(look(&path.join("mine.png")).is_err());
        assert_eq!(fs::read(path.join("mine.png")).unwrap(), b"mine");
    }

    #[test]
    fn files_whose_names_are_like_ours_are_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(dir.path()).unwrap().join("run");
        fs::create_dir(&path).unwrap();
        let others = ["Cargo.lock", "choices.json.bak", ".provenance.json.swp", "my provenance.json"];
        for name in others.into_iter().chain(["samples", CHECKPOINT, ".config.toml.swp"]) {
            fs::write(path.join(name), "mine").unwrap();
            assert!(matches!(Claim::of(&path), Err(RunError::InUse { run: false, .. })), "{name}");
            assert_eq!(fs::read(path.join(name)).unwrap(), b"mine");
            fs::remove_file(path.join(name)).unwrap();
        }
        for name in [".lock", "choices.json", ".provenance.json.12-0.limn-tmp", ".config.toml.12-1.limn-tmp"] {
            fs::write(path.join(name), "").unwrap();
        }
        fs::create_dir(path.join("samples")).unwrap();
        let claim = Claim::of(&path).unwrap();
        // Nothing of it gets into the run.
        assert!(fs::read_dir(&path).unwrap().all(|entry| entry.unwrap().file_name() == LOCK));
        // What somebody puts there meanwhile stays where the start fails.
        fs::write(path.join("notes.txt"), "mine").unwrap();
        drop(claim);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn names_with_numbers_go_to_whoever_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let claims: Vec<Claim> = std::thread::scope(|scope| {
            let fresh = || Claim::fresh(&root.join("runs"), "a/b").unwrap();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(fresh)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut paths: Vec<_> = claims.iter().map(|claim| claim.path().to_path_buf()).collect();
        paths.sort();
        assert_eq!(paths, [1, 2, 3, 4].map(|n| root.join(format!("runs/a-b-{n}"))));
        drop(claims);
        assert!(paths.iter().all(|path| !path.exists()));
    }
}
