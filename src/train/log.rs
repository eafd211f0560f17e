//! What a run says: lines in `log.txt`, and for whoever watches.

use super::Tested;
use super::folder::{RunDir, RunError};
use crate::files::read_in_memory;
use crate::files::system::Written;
use crate::words::{duration, four, hanging};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Where a run stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
    /// Images a second, lately.
    pub rate: f64,
    /// Mean losses, lately.
    pub losses: &'a [(&'static str, f64)],
    /// Time left, pictures and figures included; none before the second step.
    pub left: Option<Duration>,
}

impl Progress<'_> {
    /// Rate and losses for people.
    pub fn numbers(&self) -> String {
        let mut line = format!("{:.0} images/s", self.rate);
        for (name, value) in self.losses {
            // Writing to a string cannot fail.
            let _ = write!(line, "  {name} {}", four(*value));
        }
        line
    }

    /// All of it in a line.
    pub fn line(&self) -> String {
        let left = self.left.map_or(String::new(), |left| format!("  {} left", duration(left)));
        format!("step {}/{}  {}{left}", self.step, self.total, self.numbers())
    }
}

/// What shows people how a run goes: a terminal, a window, a page.
pub trait Watch {
    /// A line of the log; nothing in it steers a terminal.
    fn line(&mut self, line: &str);

    /// What is being done before the first step, in words: "reading the images".
    fn preparing(&mut self, _words: &str) {}

    /// The run in this folder begins, or goes on, behind so many of its steps.
    fn begin(&mut self, _run: &RunDir, _step: u64, _total: u64) {}

    /// Where the run stands, every `train.log_every` steps.
    fn progress(&mut self, progress: &Progress);

    /// Where it stands between two of those, a few times a second: losses are those that have
    /// arrived last, none before the first.
    fn live(&mut self, _progress: &Progress) {}

    /// Figures of test images, and whether they are the best so far. They have a line of the log as
    /// well.
    fn tested(&mut self, _step: u64, _figures: &[Tested], _best: bool) {}

    /// A picture of samples was drawn.
    fn drawn(&mut self, _step: u64, _picture: &Path) {}

    /// Something that looks wrong, and what to do about it.
    fn warn(&mut self, warning: &str) {
        self.line(&format!("warning: {warning}"));
    }

    /// The run has ended or stopped.
    fn finish(&mut self) {}
}

/// What a line of the log begins with that tells of something wrong.
const WARNING: &str = "warning: ";

/// `log.txt`, and whoever watches. Losing a line of it is no reason to lose a run, so errors are
/// not told here: a full disk shows at the next checkpoint.
pub(super) struct Log<'a> {
    file: Written,
    watch: Option<&'a mut dyn Watch>,
}

impl<'a> Log<'a> {
    /// Appends to the log at `path`.
    pub(super) fn open(path: &Path, watch: Option<&'a mut dyn Watch>) -> Result<Log<'a>, RunError> {
        let file = Written::append(path).map_err(RunError::io("write", path))?;
        Ok(Log { file, watch })
    }

    /// One line, everywhere.
    pub(super) fn say(&mut self, line: &str) {
        self.note(line);
        if let Some(watch) = &mut self.watch {
            watch.line(&hanging(line));
        }
    }

    /// A line for the log only.
    pub(super) fn note(&mut self, line: &str) {
        let _ = writeln!(self.file, "{}", hanging(line));
    }

    /// Where the run stands.
    pub(super) fn progress(&mut self, progress: &Progress) {
        self.note(&progress.line());
        if let Some(watch) = &mut self.watch {
            watch.progress(progress);
        }
    }

    /// Something that looks wrong.
    pub(super) fn warn(&mut self, warning: &str) {
        self.note(&format!("{WARNING}{warning}"));
        if let Some(watch) = &mut self.watch {
            watch.warn(&hanging(warning));
        }
    }

    /// Whoever watches, for what the log does not keep.
    pub(super) fn watch(&mut self) -> Option<&mut (dyn Watch + 'a)> {
        self.watch.as_deref_mut()
    }

    /// Ends it; whoever watches goes on with another.
    pub(super) fn leave(mut self) -> Option<&'a mut dyn Watch> {
        self.watch.take()
    }

    /// The run has ended or stopped.
    pub(super) fn finish(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.finish();
        }
    }
}

impl RunDir {
    /// What looked wrong on the way of the run, by its log, each thing once. A log that cannot be
    /// read has nothing to say.
    pub fn warnings(&self) -> Vec<String> {
        let log = read_in_memory(&self.log()).unwrap_or_default();
        let (text, mut known) = (String::from_utf8_lossy(&log), HashSet::new());
        let warnings = text.lines().filter_map(|line| line.strip_prefix(WARNING));
        warnings.filter(|warning| known.insert(*warning)).map(String::from).collect()
    }
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}
