//! How a set is opened.

use super::Range;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// What opening a set may use, asks, and tells.
#[derive(Clone, Default)]
pub struct Options<'a> {
    /// The cache folder that decoded sets are kept in; without one they are decoded into memory
    /// every time.
    pub cache: Option<PathBuf>,
    /// Becomes true when reading shall end, with [`super::Error::Stopped`].
    pub stop: Option<&'a AtomicBool>,
    /// What the values of the set are taken for.
    pub range: Range,
    /// Is told how many files of how many have been decoded.
    pub progress: Option<&'a (dyn Fn(usize, usize) + Sync)>,
}

#[cfg(feature = "media")]
impl Options<'_> {
    /// Whether reading shall end.
    pub(super) fn stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// What a decoder asks whether it shall end.
    pub(super) fn flag(&self) -> &AtomicBool {
        self.stop.unwrap_or(&crate::files::NEVER)
    }

    pub(super) fn tell(&self, done: usize, all: usize) {
        if let Some(progress) = self.progress {
            progress(done, all);
        }
    }
}
