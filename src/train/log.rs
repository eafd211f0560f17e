//! What a run leaves in writing: lines on the screen, `log.txt`, `metrics.csv`.

use super::folder::RunError;
use crate::files::replace;
use crate::words::harmless;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
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
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len}  {wide_msg}") {
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

/// One training step in `metrics.csv`.
pub(super) struct Row<'a> {
    /// Steps done.
    pub(super) step: u64,
    /// The epoch, from 1.
    pub(super) epoch: u64,
    /// The losses.
    pub(super) losses: &'a [f32],
    /// Images a second over the steps read back together.
    pub(super) rate: f64,
    /// Since the run began, time between sittings left out.
    pub(super) seconds: f64,
}

/// `metrics.csv`: the losses of every step.
pub(super) struct Metrics {
    file: BufWriter<File>,
    path: PathBuf,
    /// The last row's seconds.
    pub(super) seconds: f64,
}

impl Metrics {
    /// Opens the file and drops every row after `step`: those steps will be done again.
    pub(super) fn open(path: &Path, losses: &[&str], step: u64) -> Result<Metrics, RunError> {
        let fail = |e| RunError::io("write", path)(e);
        let header = format!("step,epoch,{},images_per_s,seconds", losses.join(","));
        let old = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(RunError::io("read", path)(e)),
        };
        let columns = losses.len() + 4;
        let (mut text, mut seconds, mut next) = (header + "\n", 0.0, 1);
        for line in old.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            // A row cut short by a crash ends what can be trusted.
            if cells.len() != columns || cells[0].parse() != Ok(next) || next > step {
                break;
            }
            let Ok(at) = cells[columns - 1].parse() else { break };
            (seconds, next) = (at, next + 1);
            text.push_str(line);
            text.push('\n');
        }
        replace(path, |file| file.write_all(text.as_bytes())).map_err(fail)?;
        let file = OpenOptions::new().append(true).open(path).map_err(fail)?;
        Ok(Metrics { file: BufWriter::new(file), path: path.into(), seconds })
    }

    /// Adds a row; it is on the disk after [`Metrics::flush`].
    pub(super) fn write(&mut self, row: &Row) -> Result<(), RunError> {
        let mut line = format!("{},{}", row.step, row.epoch);
        for loss in row.losses {
            let _ = write!(line, ",{loss}");
        }
        self.seconds = row.seconds;
        writeln!(self.file, "{line},{:.1},{:.3}", row.rate, row.seconds).map_err(RunError::io("write", &self.path))
    }

    /// Hands all rows to the system.
    pub(super) fn flush(&mut self) -> Result<(), RunError> {
        self.file.flush().map_err(RunError::io("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_go_back_to_a_step_and_drop_what_was_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let mut m = Metrics::open(&path, &["a", "b"], 0).unwrap();
        for step in 1..=5 {
            let losses = [0.1 * step as f32, 2.0];
            m.write(&Row { step, epoch: 1, losses: &losses, rate: 10.0, seconds: step as f64 }).unwrap();
        }
        m.flush().unwrap();
        // Windows replaces no file that is open.
        drop(m);
        let whole = std::fs::read_to_string(&path).unwrap();
        assert!(whole.starts_with("step,epoch,a,b,images_per_s,seconds\n1,1,0.1,2,10.0,1.000\n"), "{whole}");
        assert_eq!(Metrics::open(&path, &["a", "b"], 3).unwrap().seconds, 3.0);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);
        std::fs::write(&path, &whole[..whole.len() - 12]).unwrap();
        assert_eq!(Metrics::open(&path, &["a", "b"], 9).unwrap().seconds, 4.0);
    }

    #[test]
    fn durations_are_short() {
        let show = |s| duration(Duration::from_secs(s));
        assert_eq!([show(9), show(75), show(7260)], ["9s", "1m15s", "2h01m"]);
    }
}
