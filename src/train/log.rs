//! What a run says: lines in `log.txt`, and for whoever watches.

use super::folder::RunError;
use crate::words::{duration, hanging};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
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
    /// Time left.
    pub left: Duration,
}

impl Progress<'_> {
    /// Rate and losses for people.
    pub fn numbers(&self) -> String {
        let mut line = format!("{:.0} images/s", self.rate);
        for (name, value) in self.losses {
            // Writing to a string cannot fail.
            let _ = write!(line, "  {name} {value:.4}");
        }
        line
    }

    /// All of it in a line.
    pub fn line(&self) -> String {
        format!("step {}/{}  {}  {} left", self.step, self.total, self.numbers(), duration(self.left))
    }
}

/// What shows people how a run goes: a terminal, a window, a page.
pub trait Watch {
    /// A line of the log; nothing in it steers a terminal.
    fn line(&mut self, line: &str);

    /// Where the run stands, every `train.log_every` steps.
    fn progress(&mut self, progress: &Progress);

    /// Steps done, between two reports.
    fn step(&mut self, _step: u64) {}

    /// The run has ended or stopped.
    fn finish(&mut self) {}
}

/// `log.txt`, and whoever watches. Losing a line of it is no reason to lose a run, so errors are
/// not told here: a full disk shows at the next checkpoint.
pub(super) struct Log<'a> {
    file: File,
    watch: Option<&'a mut dyn Watch>,
}

impl<'a> Log<'a> {
    /// Appends to the log at `path`.
    pub(super) fn open(path: &Path, watch: Option<&'a mut dyn Watch>) -> Result<Log<'a>, RunError> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(RunError::io("write", path))?;
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

    /// Steps done, between two reports.
    pub(super) fn step(&mut self, step: u64) {
        if let Some(watch) = &mut self.watch {
            watch.step(step);
        }
    }

    /// The run has ended or stopped.
    pub(super) fn finish(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.finish();
        }
    }
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}
