//! Files that are read whole or not at all.

use crate::machine::memory_available;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why [`read_whole`] gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something that has no end, or too much of it.
    #[error("{0}")]
    Kind(String),
    /// The flag was set.
    #[error("stopped")]
    Stopped,
}

/// The bytes of a regular file that has at most `most` of them; `stop` ends reading between two
/// pieces. Devices and pipes are refused before they are opened: they may have no end, or nobody at
/// the other one.
pub(crate) fn read_whole(path: &Path, most: u64, stop: &AtomicBool) -> Result<Vec<u8>, Unread> {
    let large =
        |len: u64| Unread::Kind(format!("it has {len} bytes or more, and limn reads at most {most} of such a file"));
    let about = fs::metadata(path)?;
    if about.is_dir() {
        return Err(Unread::Kind("it is a folder".into()));
    }
    if !about.is_file() {
        return Err(Unread::Kind("it is a device or a pipe; give a file".into()));
    }
    if about.len() > most {
        return Err(large(about.len()));
    }
    let mut file = super::system::open(path)?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(about.len() as usize)
        .map_err(|_| Unread::Kind("there is no memory for its bytes".into()))?;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Unread::Stopped);
        }
        let read = (&mut file).take(1 << 22).read_to_end(&mut bytes)?;
        match read {
            0 => return Ok(bytes),
            // It grew, or the system did not know its length.
            _ if bytes.len() as u64 > most => return Err(large(bytes.len() as u64)),
            _ => {}
        }
    }
}

/// Bytes of a small file that limn writes itself, at most.
const SMALL: u64 = 64 << 20;

/// Reads a small file that limn wrote, or one that took its place; see [`read_whole`].
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    read(path, SMALL)
}

/// Reads a file that memory holds; see [`read_whole`].
pub(crate) fn read_in_memory(path: &Path) -> io::Result<Vec<u8>> {
    read(path, memory_available())
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_whole(path, most, &super::NEVER).map_err(|unread| match unread {
        Unread::Io(error) => error,
        other => io::Error::other(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read() {
        let never = AtomicBool::new(false);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_whole(&path, 5, &never).unwrap(), b"12345");
        assert!(matches!(read_whole(&path, 4, &never), Err(Unread::Kind(why)) if why.contains("at most 4")));
        assert!(matches!(read_whole(dir.path(), 4, &never), Err(Unread::Kind(why)) if why.contains("folder")));
        assert!(matches!(read_whole(&dir.path().join("b"), 4, &never), Err(Unread::Io(_))));
        assert!(matches!(read_whole(&path, 5, &AtomicBool::new(true)), Err(Unread::Stopped)));
        if cfg!(unix) {
            assert!(matches!(read_whole(Path::new("/dev/zero"), 4, &never), Err(Unread::Kind(_))));
            for read in [read_small, read_in_memory] {
                assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("device"));
            }
        }
        // Files that tell no length, such as those of /proc, are bounded as they are read.
        if cfg!(target_os = "linux") {
            assert!(read_whole(Path::new("/proc/self/status"), 1 << 20, &never).unwrap().len() > 100);
            assert!(matches!(read_whole(Path::new("/proc/self/status"), 100, &never), Err(Unread::Kind(_))));
        }
    }
}
