//! What a run says: lines on the screen and in `log.txt`.

use super::folder::RunError;
use crate::words::{columns, harmless};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where there is no terminal, progress is told no more often than this.
const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// Where a run stands, for people.
pub(super) struct Progress<'a> {
    /// Steps done.
    pub(super) step: u64,
    /// Steps in all.
    pub(super) total: u64,
    /// Images a second, lately.
    pub(super) rate: f64,
    /// Mean losses, lately.
    pub(super) losses: &'a [(&'static str, f64)],
    /// Time left.
    pub(super) left: Duration,
}

impl Progress<'_> {
    fn numbers(&self) -> String {
        let mut line = format!("{:.0} images/s", self.rate);
        for (name, value) in self.losses {
            // Writing to a string cannot fail.
            let _ = write!(line, "  {name} {value:.4}");
        }
        line
    }
}

/// The screen and `log.txt`. Losing a line of either is no reason to lose a run, so errors are not
/// told here: a full disk shows at the next checkpoint.
pub(super) struct Log {
    file: File,
    screen: bool,
    bar: Option<ProgressBar>,
    plain: Option<Instant>,
}

impl Log {
    /// Appends to the log at `path`; on the screen, too, if `screen`.
    pub(super) fn open(path: &Path, screen: bool) -> Result<Log, RunError> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(RunError::io("write", path))?;
        Ok(Log { file, screen, bar: None, plain: None })
    }

    /// One line, everywhere.
    pub(super) fn say(&mut self, line: &str) {
        let line = harmless(line);
        let _ = writeln!(self.file, "{line}");
        match (&self.bar, self.screen) {
            (Some(bar), true) => bar.println(&*line),
            (None, true) => {
                let _ = writeln!(io::stdout().lock(), "{line}");
            }
            (_, false) => {}
        }
    }

    /// A line for the log only.
    pub(super) fn note(&mut self, line: &str) {
        let line = harmless(line);
        let _ = writeln!(self.file, "{line}");
    }

    /// Where the run stands: a bar on a terminal, a line now and then elsewhere.
    pub(super) fn progress(&mut self, p: &Progress) {
        let line = format!("step {}/{}  {}  {} left", p.step, p.total, p.numbers(), duration(p.left));
        self.note(&line);
        if !self.screen {
            return;
        }
        if io::stdout().is_terminal() && io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| bar(p.total));
            bar.set_position(p.step);
            bar.set_message(format!("{}  {} left", p.numbers(), duration(p.left)));
        } else if self.plain.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) || p.step == p.total {
            self.plain = Some(Instant::now());
            let _ = writeln!(io::stdout().lock(), "{line}");
        }
    }

    /// Moves the bar between two reports.
    pub(super) fn tick(&self, step: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    // On a narrow terminal the numbers are worth more.
    let template = match columns() {
        Some(narrow) if narrow < 72 => "{pos}/{len}  {wide_msg}",
        _ => "{bar:24} {pos}/{len}  {wide_msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// A duration for people.
pub(super) fn duration(d: Duration) -> String {
    match d.as_secs() {
        s if s >= 3600 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        s if s >= 60 => format!("{}m{:02}s", s / 60, s % 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let show = |s| duration(Duration::from_secs(s));
        assert_eq!([show(9), show(75), show(7260)], ["9s", "1m15s", "2h01m"]);
    }
}
