//! Files that are replaced whole or not at all.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

mod appended;
pub(crate) mod system;
mod whole;

pub(crate) use appended::Appended;
use system::Written;

/// A flag that nobody sets, for what is done where nothing can be stopped.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

#[cfg(feature = "media")]
pub(crate) use whole::Unread;
pub(crate) use whole::{each_line, read_in_memory, read_small, read_whole};

/// Links that are followed from one to the next, at most.
const LINKS: usize = 40;

/// Temporary names that are tried, at most.
const TRIES: usize = 100;

/// What temporaries are called: `.NAME.PROCESS-NUMBER.limn-tmp`.
const ENDING: &str = ".limn-tmp";

/// A temporary that is no older may belong to somebody who has not locked it yet, or not any more.
const YOUNG: Duration = Duration::from_secs(60);

/// A place that a file is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file, there or not yet there, which is replaced whole.
    File(PathBuf),
    /// A device or a pipe, which is written into.
    Stream(PathBuf),
}

impl Target {
    /// The place that `path` stands for: links are followed, also those to what is not there yet.
    ///
    /// # Errors
    /// A folder, or no name of a file.
    pub fn of(path: &Path) -> io::Result<Target> {
        let mut path = path.to_path_buf();
        for _ in 0..LINKS {
            match fs::symlink_metadata(&path).map(|m| m.file_type()) {
                Ok(kind) if kind.is_symlink() => {
                    // A link of the system's own, such as /dev/stdout, may lead to what has no
                    // path.
                    if fs::metadata(&path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
                        return Ok(Target::Stream(path));
                    }
                    let to = fs::read_link(&path)?;
                    path = path.parent().unwrap_or(Path::new("")).join(to);
                }
                Ok(kind) if kind.is_dir() => {
                    return Err(io::Error::new(ErrorKind::IsADirectory, "it is a folder; name a file in it"));
                }
                Ok(kind) if !kind.is_file() => return Ok(Target::Stream(path)),
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                Ok(_) | Err(_) if path.file_name().is_none() || ends_in_separator(&path) => {
                    return Err(io::Error::new(ErrorKind::InvalidInput, "it names no file"));
                }
                Ok(_) | Err(_) => return Ok(Target::File(path)),
            }
        }
        Err(io::Error::new(ErrorKind::InvalidInput, "its links go in circles"))
    }

    /// Writes what `write` does: into a device or pipe as it comes; a file to a temporary name
    /// beside it, synced, renamed, the folder synced. On any error the temporary is removed and the
    /// old file is as it was; whenever the machine stops, either the old or the new file is there,
    /// whole.
    pub fn write(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let path = match self {
            Target::Stream(path) => return write(&mut OpenOptions::new().write(true).open(path)?),
            Target::File(path) => path,
        };
        sweep(folder_of(path));
        let (temporary, mut file) = temporary(path, new_file)?;
        let written = write(&mut file).and_then(|()| file.sync()).and_then(|()| {
            // Windows renames no file that is open; elsewhere it stays locked until it has its
            // name.
            if cfg!(windows) {
                drop(file);
                system::rename(&temporary, path)
            } else {
                system::rename(&temporary, path).map(|()| drop(file))
            }
        });
        if let Err(error) = written {
            // The first error is the one to tell.
            let _ = system::remove_file(&temporary);
            return Err(error);
        }
        system::sync_folder(folder_of(path));
        Ok(())
    }
}

/// Whether a name is one that a temporary of the file `of` may have.
pub(crate) fn is_temporary_of(name: &OsStr, of: &str) -> bool {
    let name = name.to_string_lossy();
    name.strip_prefix('.')
        .and_then(|name| name.strip_prefix(of))
        .is_some_and(|rest| rest.strip_prefix('.').is_some_and(|rest| rest.ends_with(ENDING)))
}

/// Whether a path is written as that of a folder.
pub(crate) fn ends_in_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|last| std::path::is_separator(char::from(*last)))
}

/// Replaces what `path` stands for by what `write` writes; see [`Target::write`].
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    Target::of(path)?.write(write)
}

/// Writes a new file at `path`, whole or not at all, and leaves what is there already.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] where the name is taken, also by somebody who was faster; what the
/// system said.
#[cfg(feature = "media")]
pub(crate) fn create(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    sweep(folder_of(path));
    let (temporary, mut file) = temporary(path, new_file)?;
    let linked = write(&mut file).and_then(|()| file.sync()).and_then(|()| {
        match system::hard_link(&temporary, path) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                // A file system without second names: the name is taken first. Windows lets nobody read what is locked.
                drop(file);
                OpenOptions::new().write(true).create_new(true).open(path)?.write_all(&fs::read(&temporary)?)
            }
            other => other,
        }
    });
    let _ = system::remove_file(&temporary);
    linked
}

/// Makes the folder `path` with all that `write` puts into it, or not at all; those that it lies in
/// as well.
///
/// # Errors
/// The folder is there and not empty; what the system said.
pub(crate) fn create_folder(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if path.file_name().is_none() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it names no folder"));
    }
    system::create_dir_all(folder_of(path))?;
    sweep(folder_of(path));
    let (temporary, _locked) = temporary(path, new_folder)?;
    let written = write(&temporary).and_then(|()| system::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = system::remove_dir_all(&temporary);
    }
    written
}

/// `path` itself, and then such names with a number.
#[cfg(feature = "media")]
pub(crate) fn names_near(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let path = path.to_path_buf();
    let stem = path.file_stem().unwrap_or_default().to_owned();
    let extension = path.extension().map(OsStr::to_owned);
    (0usize..).map(move |k| {
        let mut name = stem.clone();
        if k > 0 {
            name.push(format!("-{k}"));
        }
        if let Some(extension) = &extension {
            name.push(".");
            name.push(extension);
        }
        path.with_file_name(name)
    })
}

/// The first of these names that nothing has: for what is written where nobody named a file.
#[cfg(feature = "cli")]
pub(crate) fn free_name(path: &Path) -> PathBuf {
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound);
    names_near(path).take(usize::from(u16::MAX)).find(is_free).unwrap_or_else(|| path.into())
}

/// Makes the folder that `path` is to lie in, and those around it, where they are not there.
///
/// # Errors
/// What the system said.
pub(crate) fn make_folder_of(path: &Path) -> io::Result<()> {
    system::create_dir_all(folder_of(path))
}

/// Makes the folder that `path` is to lie in, but none around it: what lay around may have been moved since, and is not
/// to come back empty in its old place.
///
/// # Errors
/// What the system said.
pub(crate) fn make_innermost_folder_of(path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    system::create_dir(folder).or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) })
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file, locked for as long as it is open.
fn new_file(path: &Path) -> io::Result<Written> {
    Written::new(path).map(Written::locked)
}

/// A new folder, locked likewise where the system opens folders.
fn new_folder(path: &Path) -> io::Result<Option<File>> {
    system::create_dir(path)?;
    Ok(File::open(path).ok().inspect(|folder| drop(folder.try_lock())))
}

/// What `make` makes new beside `path`, which nobody else writes to.
fn temporary<T>(path: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut last = io::Error::from(ErrorKind::AlreadyExists);
    for _ in 0..TRIES {
        let mut name = std::ffi::OsString::from(".");
        // Names have an end: the file's own may use all of it.
        name.push(
            path.file_name().map(|n| n.to_string_lossy().chars().take(40).collect::<String>()).unwrap_or_default(),
        );
        name.push(format!(".{}-{}{ENDING}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let temporary = path.with_file_name(name);
        match make(&temporary) {
            Ok(made) => return Ok((temporary, made)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => last = e,
            Err(e) => return Err(e),
        }
    }
    Err(last)
}

/// Removes temporaries that processes left behind which were killed: they are locked no more. Looks
/// into a folder once in the life of a process.
fn sweep(folder: &Path) {
    static SEEN: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.get_or_insert_default().insert(folder.to_path_buf()) {
        drop(seen);
        remove_stale(folder, YOUNG);
    }
}

fn remove_stale(folder: &Path, young: Duration) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.as_encoded_bytes().first() == Some(&b'.') && name.to_string_lossy().ends_with(ENDING);
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
        if !ours || age.is_none_or(|age| age < young) {
            continue;
        }
        let (path, folder) = (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir()));
        if let Ok(opened) = OpenOptions::new().read(folder).write(!folder).open(&path)
            && opened.try_lock().is_ok()
        {
            // Somebody else may sweep as well.
            let _ = if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_half_way_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.safetensors");
        replace(&path, |f| f.write_all(b"old")).unwrap();
        let error = replace(&path, |f| {
            f.write_all(b"half of the n")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        replace(&path, |f| f.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_a_kill_left_behind_goes_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        let (kept, file) = temporary(&path, new_file).unwrap();
        let (left, killed) = temporary(&path, new_file).unwrap();
        drop(killed);
        let (kept_folder, folder) = temporary(&path, new_folder).unwrap();
        let (left_folder, killed) = temporary(&path, new_folder).unwrap();
        fs::write(left_folder.join("half"), b"of it").unwrap();
        drop(killed);
        fs::write(dir.path().join(".mine.tmp"), b"somebody's").unwrap();
        remove_stale(dir.path(), YOUNG);
        assert!(left.exists(), "it is young");
        remove_stale(dir.path(), Duration::ZERO);
        assert!(!left.exists() && kept.exists() && dir.path().join(".mine.tmp").exists());
        assert!(kept_folder.exists() && (!left_folder.exists() || cfg!(windows)));
        drop((file, folder));
    }

    #[test]
    fn two_writers_of_one_file_have_their_own_temporaries() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        replace(&path, |outer| {
            outer.write_all(b"outer")?;
            replace(&path, |inner| inner.write_all(b"inner"))
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"outer");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(replace(dir.path(), |_| Ok(())).unwrap_err().to_string().contains("it is a folder"));
        assert!(Target::of(&dir.path().join("none/")).unwrap_err().to_string().contains("names no file"));
        assert!(Target::of(Path::new("")).is_err());
    }

    #[cfg(windows)]
    #[test]
    fn a_file_that_somebody_keeps_from_others_is_replaced_once_it_can_be_and_stays_as_it_was_till_then() {
        use std::os::windows::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.safetensors");
        replace(&path, |f| f.write_all(b"old")).unwrap();
        // As a scanner does, for a moment.
        let alone = || OpenOptions::new().read(true).share_mode(0).open(&path).unwrap();
        let scanner = alone();
        let lets_go = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(scanner);
        });
        replace(&path, |f| f.write_all(b"newest")).unwrap();
        lets_go.join().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newest");
        // And as somebody who does not let go.
        let held = alone();
        assert!(replace(&path, |f| f.write_all(b"never")).is_err());
        drop(held);
        assert_eq!(fs::read(&path).unwrap(), b"newest");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_are_written_into() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("there")).unwrap();
        symlink("there/file", at("link")).unwrap();
        symlink(at("link"), at("further")).unwrap();
        for bytes in [b"one", b"two"] {
            replace(&at("further"), |f| f.write_all(bytes)).unwrap();
            assert_eq!(fs::read(at("there/file")).unwrap(), bytes);
            assert!(fs::symlink_metadata(at("further")).unwrap().is_symlink());
        }
        symlink("round", at("round")).unwrap();
        assert!(replace(&at("round"), |_| Ok(())).is_err());
        replace(Path::new("/dev/null"), |f| f.write_all(b"gone")).unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}
