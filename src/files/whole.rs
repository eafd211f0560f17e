//! Files that are read whole or not at all.

use crate::machine::memory_available;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
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
    let len = regular(path)?;
    if len > most {
        return Err(large(len));
    }
    let mut file = super::system::open(path)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len as usize).map_err(|_| Unread::Kind("there is no memory for its bytes".into()))?;
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

/// The bytes that a regular file has; nothing else is one.
fn regular(path: &Path) -> Result<u64, Unread> {
    let about = fs::metadata(path)?;
    if about.is_dir() {
        return Err(Unread::Kind("it is a folder".into()));
    }
    if !about.is_file() {
        return Err(Unread::Kind("it is a device or a pipe; give a file".into()));
    }
    Ok(about.len())
}

/// Bytes of the longest line that [`each_line`] gives whole.
const LINE: u64 = 1 << 20;

/// Calls `each` with every line of a regular file, as it is now, without their ends and one after the other, so that a
/// file of any length takes little memory. A line of more than a megabyte comes in pieces.
pub(crate) fn each_line(path: &Path, mut each: impl FnMut(&str)) -> io::Result<()> {
    let len = regular(path).map_err(said)?;
    let mut file = BufReader::with_capacity(1 << 16, super::system::open(path)?.take(len));
    let mut line = Vec::new();
    while (&mut file).take(LINE).read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        each(text.strip_suffix('\r').unwrap_or(text));
        line.clear();
    }
    Ok(())
}

fn said(unread: Unread) -> io::Error {
    match unread {
        Unread::Io(error) => error,
        other => io::Error::other(other.to_string()),
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
    read_whole(path, most, &super::NEVER).map_err(said)
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

    #[test]
    fn lines_come_one_by_one_however_they_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut long = vec![b'x'; LINE as usize + 3];
        long.push(b'\n');
        fs::write(&path, [b"1,2\n\r\n3\r\n", &long[..], b"\xff\nlast"].concat()).unwrap();
        let mut lines = Vec::new();
        each_line(&path, |line| lines.push(if line.len() > 9 { line.len().to_string() } else { line.into() })).unwrap();
        assert_eq!(lines, ["1,2", "", "3", "1048576", "xxx", "\u{fffd}", "last"]);
        assert!(each_line(dir.path(), |_| ()).unwrap_err().to_string().contains("folder"));
        assert_eq!(each_line(&dir.path().join("b"), |_| ()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
