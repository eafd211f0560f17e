//! One file that is being read: how much may be made of it, and when to leave off.

use super::Error;
use crate::files;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that one file may have, and that may be made of it, a picture's or a sound's. A small file
/// can promise a huge picture, and several are decoded at once.
pub(super) const MOST: u64 = 512 << 20;

/// A file, by which errors are named, with the flag that stops reading it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub path: &'a Path,
    pub stop: &'a AtomicBool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(path: &'a Path, stop: &'a AtomicBool) -> Self {
        Reading { path, stop }
    }

    /// [`Error::Stopped`] once the flag is set; to be asked between pieces of work of a fraction of
    /// a second.
    pub(super) fn go_on(&self) -> Result<(), Error> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(Error::Stopped { path: self.path.into() }),
            false => Ok(()),
        }
    }

    /// All bytes of the file. What the system refuses is [`Error::Io`], a file that is too large or
    /// empty is damaged.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Error> {
        let bytes = files::read_whole(self.path, MOST, self.stop).map_err(|e| match e {
            files::Unread::Io(source) => Error::Io { doing: "read", path: self.path.into(), source },
            files::Unread::Stopped => Error::Stopped { path: self.path.into() },
            files::Unread::Kind(why) => self.damaged(why),
        })?;
        if bytes.is_empty() { Err(self.damaged("it is empty")) } else { Ok(bytes) }
    }

    /// Refuses to make `bytes` of the file where that is more than [`MOST`]; `what` is said of it.
    pub(super) fn afford(&self, bytes: u64, what: impl FnOnce() -> String) -> Result<(), Error> {
        if bytes <= MOST {
            return Ok(());
        }
        let what = what();
        Err(self.damaged(format!("{what} would take {bytes} bytes, and limn makes at most {MOST} of one file")))
    }

    pub(super) fn damaged(&self, why: impl Into<String>) -> Error {
        Error::Damaged { path: self.path.into(), why: why.into() }
    }
}

/// What a file that no reader knows is, where that can be seen.
pub(super) fn stand_in(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"version https://git-lfs") {
        return Some("it is the note that Git LFS has in the file's place; `git lfs pull` fetches the file");
    }
    let is_page = bytes.trim_ascii_start().starts_with(b"<");
    is_page.then_some("it is a web page or the like, perhaps what a site said instead of giving the file")
}
