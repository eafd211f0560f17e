//! Files that grow by whole pieces.

use super::system::Written;
use std::io::{self, Write};
use std::path::Path;

/// A file that is written on from its end. What is written waits in memory until it is flushed, and is then in the file
/// as a whole, or where the system fails not at all: nothing is left of half a line.
#[derive(Debug)]
pub(crate) struct Appended {
    file: Written,
    waiting: Vec<u8>,
}

impl Appended {
    /// The file at `path`, which is made where it is not there.
    pub fn open(path: &Path) -> io::Result<Appended> {
        Ok(Appended { file: Written::append(path)?, waiting: Vec::new() })
    }

    /// A new file.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], or what the system said.
    pub fn new(path: &Path) -> io::Result<Appended> {
        Ok(Appended { file: Written::new(path)?, waiting: Vec::new() })
    }

    /// Has all that was written on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync()
    }
}

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let before = self.file.len()?;
        self.file.write_all(&waiting).inspect_err(|_| {
            // The first error is the one to tell.
            let _ = self.file.cut(before);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_on_from_its_end_can_be_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        std::fs::write(&path, "first\n").unwrap();
        let mut file = Written::append(&path).unwrap();
        file.write_all(b"seco").unwrap();
        file.cut(6).unwrap();
        file.write_all(b"third\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first\nthird\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_piece_is_there_as_a_whole_or_not_at_all() {
        use crate::files::system::faults::{Fault, with};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        let text = || std::fs::read_to_string(&path).unwrap();
        let (result, _) = with(Fault::Half, 2, || {
            let mut file = Appended::open(&path)?;
            writeln!(file, "first")?;
            assert_eq!(text(), "");
            file.flush()?;
            writeln!(file, "second")?;
            assert!(file.flush().is_err());
            assert_eq!(text(), "first\n");
            writeln!(file, "third")?;
            file.sync()
        });
        result.unwrap();
        assert_eq!(text(), "first\nthird\n");
    }
}
