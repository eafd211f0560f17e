//! Calls to the system that open, write, sync, rename or make something: all that a run leaves on a disk goes through
//! here, so that tests can have the Nth of them fail, or everything from it on (`faults`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(all(test, unix))]
pub(crate) mod faults;

/// What the system is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Open,
    Write,
    Sync,
    Rename,
    Link,
    Folder,
    Remove,
}

/// Asks for `call`, of `path`.
#[cfg(all(test, unix))]
fn ask(call: Call, path: &Path) -> io::Result<()> {
    faults::ask(call, path)
}

/// Asks for `call`, of `path`: nothing fails here but what the system refuses.
#[cfg(not(all(test, unix)))]
#[inline]
fn ask(_: Call, _: &Path) -> io::Result<()> {
    Ok(())
}

/// A file that is written.
#[derive(Debug)]
pub(crate) struct Written {
    file: File,
    path: PathBuf,
}

impl Written {
    /// A new file, locked for as long as it is open.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], or what the system said.
    pub fn new(path: &Path) -> io::Result<Written> {
        Written::open(path, OpenOptions::new().write(true).create_new(true))
    }

    /// A file that is made where it is not there, and written on from its end.
    pub fn append(path: &Path) -> io::Result<Written> {
        Written::open(path, OpenOptions::new().create(true).append(true))
    }

    fn open(path: &Path, how: &OpenOptions) -> io::Result<Written> {
        ask(Call::Open, path)?;
        let file = how.open(path)?;
        #[cfg(all(test, unix))]
        faults::opened(path, &file);
        Ok(Written { file, path: path.into() })
    }

    /// Locks it until it is closed. Where the file system knows no locks, its age is what protects it.
    pub fn locked(self) -> Written {
        let _ = self.file.try_lock();
        self
    }

    /// Its bytes.
    pub fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|about| about.len())
    }

    /// Leaves its first `len` bytes.
    pub fn cut(&self, len: u64) -> io::Result<()> {
        ask(Call::Write, &self.path)?;
        if cfg!(windows) {
            // What is opened to be written on from its end may not be cut there.
            return OpenOptions::new().write(true).open(&self.path)?.set_len(len);
        }
        self.file.set_len(len)
    }

    /// Has all that was written on the disk.
    pub fn sync(&self) -> io::Result<()> {
        ask(Call::Sync, &self.path)?;
        match self.file.sync_all() {
            // Not every file system knows it.
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {}
            other => other?,
        }
        #[cfg(all(test, unix))]
        faults::synced(&self.file);
        Ok(())
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(all(test, unix))]
        faults::half(&mut self.file, &self.path, bytes)?;
        ask(Call::Write, &self.path)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file whose lock is to be had, which is made where it is not there.
pub(crate) fn to_lock(path: &Path) -> io::Result<File> {
    ask(Call::Open, path)?;
    OpenOptions::new().write(true).create(true).truncate(false).open(path)
}

/// A file to read.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    ask(Call::Open, path)?;
    File::open(path)
}

/// Gives what is at `from` the name `to`, whatever had it.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    ask(Call::Rename, to)?;
    patiently(|| fs::rename(from, to))
}

/// Tries again what fails since another process has the file open. On Windows a scanner for viruses, an index or a
/// viewer that looks into a file keeps others from renaming it, mostly for a moment; a run is not to end by that.
fn patiently<T>(what: impl Fn() -> io::Result<T>) -> io::Result<T> {
    // ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION.
    let is_in_use = |error: &io::Error| cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33));
    for milliseconds in [10, 20, 50, 100, 200, 500, 1000] {
        match what() {
            Err(error) if is_in_use(&error) => std::thread::sleep(Duration::from_millis(milliseconds)),
            done => return done,
        }
    }
    what()
}

/// Gives a file a second name, which nothing has.
pub(crate) fn hard_link(from: &Path, to: &Path) -> io::Result<()> {
    ask(Call::Link, to)?;
    fs::hard_link(from, to)
}

/// Makes a folder.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    ask(Call::Folder, path)?;
    fs::create_dir(path)
}

/// Makes a folder and those that it lies in, where they are not there.
pub(crate) fn create_dir_all(path: &Path) -> io::Result<()> {
    ask(Call::Folder, path)?;
    fs::create_dir_all(path)
}

/// Takes a file away.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    ask(Call::Remove, path)?;
    fs::remove_file(path)
}

/// Takes an empty folder away.
pub(crate) fn remove_dir(path: &Path) -> io::Result<()> {
    ask(Call::Remove, path)?;
    fs::remove_dir(path)
}

/// Takes a folder away with all that is in it.
pub(crate) fn remove_dir_all(path: &Path) -> io::Result<()> {
    ask(Call::Remove, path)?;
    fs::remove_dir_all(path)
}

/// Has the names in a folder on the disk. Not every file system can, and a crash before it would has one whole file
/// under each name all the same.
pub(crate) fn sync_folder(path: &Path) {
    if cfg!(unix) {
        let _ = open(path).and_then(|folder| ask(Call::Sync, path).and_then(|()| folder.sync_all()));
    }
}
