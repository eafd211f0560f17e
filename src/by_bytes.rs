//! Readers of files that people give or that may be damaged, as functions of a file's bytes: each layer keeps its own,
//! and `readers` has all of them.

use std::fmt::Display;
use std::path::Path;
use tempfile::TempDir;

/// One reader.
pub struct Reader {
    /// Its name, which is that of the folder of its files in `fuzz/corpus` too.
    pub name: &'static str,
    /// Reads a file of these bytes. The error is what a person is told.
    pub read: fn(&[u8]) -> Result<(), String>,
    /// The most bytes of memory that it may hold at once for a file of so many.
    pub most: fn(u64) -> u64,
}

/// What a file of text, or of numbers one by one, may take: its bytes, what is made of them, some
/// of it twice where a list grows, and the reader's own tables.
pub(crate) fn text(bytes: u64) -> u64 {
    (4 << 20) + 256 * bytes
}

/// What a file may take that is packed by deflate, which makes at most 1032 bytes of one: these, a
/// list of them that grows, and numbers made of them.
pub(crate) fn unpacked(bytes: u64) -> u64 {
    (4 << 20) + 8 * 1032 * bytes
}

/// What a picture, a film or a sound may take: half a gigabyte as it is decoded, whatever the file's
/// size, and four times as much as it is turned into colours in eight bits.
pub(crate) fn decoded(bytes: u64) -> u64 {
    (5 << 29) + text(bytes)
}

/// Has a file of these bytes read by its path.
pub(crate) fn file<T, E: Display>(
    name: &str,
    bytes: &[u8],
    read: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<(), String> {
    in_folder(|folder| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
        read(&path).map(drop).map_err(|error| error.to_string())
    })
}

/// Works in the folder that this thread's files are put in, which goes with it: in memory where the
/// system has such a place, as disks take their time for thousands of files.
fn in_folder(work: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    thread_local!(static FOLDER: std::io::Result<TempDir> =
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()));
    FOLDER.with(|folder| match folder {
        Ok(folder) => work(folder.path()),
        Err(error) => Err(format!("no folder for files: {error}")),
    })
}
