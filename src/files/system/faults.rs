//! Faults on purpose: a disk that fails at the Nth call of a thread, once or from then on, or is cut off from power.

use super::Call;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What becomes of the Nth call and of those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, and all others go well.
    Once,
    /// It fails, of a write when half of it is on the disk, and all others go well.
    Half,
    /// It fails, and so does everything behind it: as if the process had been killed there.
    Dead,
    /// The same, and of what was written since it was last synced nothing is on the disk: as if the power had gone.
    PowerCut,
}

/// What a thread's disk does.
struct Disk {
    fault: Fault,
    at: usize,
    calls: Vec<(Call, PathBuf)>,
    /// Files that were opened to be written, and their bytes that are on the disk.
    written: Vec<(File, u64)>,
}

thread_local! {
    static DISK: RefCell<Option<Disk>> = const { RefCell::new(None) };
}

/// Runs `run` on a disk whose call number `at`, from 0, fails so. Returns the calls it saw as well.
pub(crate) fn with<T>(fault: Fault, at: usize, run: impl FnOnce() -> T) -> (T, Vec<(Call, PathBuf)>) {
    let disk = Disk { fault, at, calls: Vec::new(), written: Vec::new() };
    DISK.with(|known| assert!(known.replace(Some(disk)).is_none(), "one disk at a time"));
    let result = run();
    let disk = DISK.with(|known| known.take()).expect("it was put there");
    if fault == Fault::PowerCut && disk.calls.len() > at {
        for (file, synced) in disk.written {
            // What was synced is longer where the file has been cut since.
            let there = file.metadata().expect("an open file").len();
            file.set_len(there.min(synced)).expect("an open file");
        }
    }
    (result, disk.calls)
}

fn on_disk<T>(ask: impl FnOnce(&mut Disk) -> T) -> Option<T> {
    DISK.with(|disk| disk.borrow_mut().as_mut().map(ask))
}

fn failed() -> io::Error {
    io::Error::new(ErrorKind::StorageFull, "no space is left, as a test wants it")
}

pub(super) fn ask(call: Call, path: &Path) -> io::Result<()> {
    let fails = on_disk(|disk| {
        let number = disk.calls.len();
        disk.calls.push((call, path.to_path_buf()));
        match disk.fault {
            Fault::Once | Fault::Half => number == disk.at,
            Fault::Dead | Fault::PowerCut => number >= disk.at,
        }
    });
    if fails == Some(true) { Err(failed()) } else { Ok(()) }
}

/// Writes half of the bytes where the next call is the one that fails half way.
pub(super) fn half(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let now = on_disk(|disk| disk.fault == Fault::Half && disk.calls.len() == disk.at);
    if now == Some(true) {
        file.write_all(&bytes[..bytes.len() / 2])?;
        return ask(Call::Write, path);
    }
    Ok(())
}

pub(super) fn opened(_path: &Path, file: &File) {
    on_disk(|disk| {
        let there = file.metadata().expect("an open file").len();
        disk.written.push((file.try_clone().expect("an open file"), there));
    });
}

pub(super) fn synced(file: &File) {
    let id = |file: &File| {
        use std::os::unix::fs::MetadataExt;
        let about = file.metadata().expect("an open file");
        (about.dev(), about.ino(), about.len())
    };
    on_disk(|disk| {
        let (device, number, len) = id(file);
        for (other, synced) in &mut disk.written {
            let (d, n, _) = id(other);
            if (d, n) == (device, number) {
                *synced = len;
            }
        }
    });
}
