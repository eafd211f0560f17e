//! `metrics.csv`: the losses of every step.

use super::folder::RunError;
use crate::files::system::Written;
use crate::files::{Appended, read_in_memory, replace};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

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

/// The open file.
pub(super) struct Metrics {
    file: Appended,
    path: PathBuf,
    /// The last row's seconds.
    pub(super) seconds: f64,
}

impl Metrics {
    /// Opens the file for the steps after `step`. Rows after it go: those steps will be done again.
    /// Every row up to it stays, wherever others are missing or broken. Where lines cannot be read,
    /// or a run begins again, the file as it was is set aside. Returns a remark if rows are
    /// missing.
    pub(super) fn open(path: &Path, losses: &[&str], step: u64) -> Result<(Metrics, Option<String>), RunError> {
        let fail = |e| RunError::io("write", path)(e);
        let old = match read_in_memory(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(RunError::io("read", path)(e)),
        };
        let header = format!("step,epoch,{},images_per_s,seconds", losses.join(","));
        let Kept { text, rows, seconds, foreign, later } =
            kept(&header, &String::from_utf8_lossy(&old), losses.len() + 4, step);
        let mut aside = String::new();
        if text.as_bytes() != old {
            if foreign || (step == 0 && later > 0) {
                let left = set_aside(path, &old, step).map_err(fail)?;
                aside = format!("; the file as it was is {}", left.display());
            }
            replace(path, |file| file.write_all(text.as_bytes())).map_err(fail)?;
        }
        let file = Appended::open(path).map_err(fail)?;
        let missing = step.saturating_sub(rows);
        let remark = match missing {
            0 if aside.is_empty() => None,
            0 if step == 0 && !foreign => {
                Some(format!("metrics.csv had the rows of {later} steps that no checkpoint has{aside}"))
            }
            0 => Some(format!("metrics.csv had lines that are no rows of this run{aside}")),
            _ => Some(format!("metrics.csv lacks the rows of {missing} of the first {step} steps{aside}")),
        };
        Ok((Metrics { file, path: path.into(), seconds }, remark))
    }

    /// Adds a row; the system has it after [`Metrics::flush`].
    pub(super) fn write(&mut self, row: &Row) -> Result<(), RunError> {
        let mut line = format!("{},{}", row.step, row.epoch);
        for loss in row.losses {
            // Writing to a string cannot fail.
            let _ = write!(line, ",{loss}");
        }
        self.seconds = row.seconds;
        writeln!(self.file, "{line},{:.1},{:.3}", row.rate, row.seconds).map_err(RunError::io("write", &self.path))
    }

    /// Hands all rows to the system.
    pub(super) fn flush(&mut self) -> Result<(), RunError> {
        self.file.flush().map_err(RunError::io("write", &self.path))
    }

    /// Has all rows on the disk, and then does `save`, which relies on them.
    ///
    /// # Errors
    /// What the system said of the rows; then nothing is saved.
    pub(super) fn synced<T>(&mut self, save: impl FnOnce() -> T) -> Result<T, RunError> {
        self.file.sync().map_err(RunError::io("write", &self.path))?;
        Ok(save())
    }
}

/// Writes the bytes of a file beside it, under a name that is free.
fn set_aside(path: &Path, bytes: &[u8], step: u64) -> io::Result<PathBuf> {
    let numbered = |n: u64| if n == 1 { String::new() } else { format!("-{n}") };
    for n in 1u64.. {
        let left = path.with_file_name(format!("metrics-left-at-step-{step}{}.csv", numbered(n)));
        match Written::new(&left) {
            Ok(mut file) => {
                file.write_all(bytes)?;
                return file.sync().map(|()| left);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// What stays of a file.
pub(super) struct Kept {
    text: String,
    rows: u64,
    /// Whether there are lines besides the first that are rows of no step.
    foreign: bool,
    /// Rows of later steps.
    later: u64,
    /// Of the last row.
    seconds: f64,
}

/// The rows of steps up to `step`, in their order; of two of one step the later.
pub(super) fn kept(header: &str, old: &str, columns: usize, step: u64) -> Kept {
    let mut rows = std::collections::BTreeMap::new();
    // A line without an end may have lost the end of its last number.
    let whole = old.rfind('\n').map_or("", |end| &old[..end]);
    let (mut foreign, mut after) = (false, 0);
    for (at, line) in whole.lines().enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let numbers = cells.len() == columns && cells.iter().all(|cell| cell.trim().parse::<f64>().is_ok());
        let of = cells[0].parse::<u64>().ok().filter(|of| numbers && (1..=step).contains(of));
        let later = numbers && cells[0].parse::<u64>().is_ok_and(|of| of > step);
        foreign |= of.is_none() && at > 0 && !line.trim().is_empty() && !later;
        after += u64::from(later);
        if let Some((of, seconds)) = of.zip(cells[cells.len() - 1].trim().parse().ok()) {
            rows.insert(of, (line, seconds));
        }
    }
    let mut text = format!("{header}\n");
    rows.values().for_each(|(line, _)| text.extend([line, "\n"]));
    let seconds = rows.last_key_value().map_or(0.0, |(_, (_, seconds))| *seconds);
    Kept { text, rows: rows.len() as u64, foreign, later: after, seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSSES: [&str; 2] = ["a", "b"];

    /// A file with five rows.
    fn written(path: &Path) -> String {
        let (mut m, _) = Metrics::open(path, &LOSSES, 0).unwrap();
        for step in 1..=5 {
            let losses = [0.1 * step as f32, 2.0];
            m.write(&Row { step, epoch: 1, losses: &losses, rate: 10.0, seconds: step as f64 }).unwrap();
        }
        m.synced(|| ()).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn metrics_go_back_to_a_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let whole = written(&path);
        assert!(whole.starts_with("step,epoch,a,b,images_per_s,seconds\n1,1,0.1,2,10.0,1.000\n"), "{whole}");
        let (metrics, remark) = Metrics::open(&path, &LOSSES, 3).unwrap();
        assert_eq!((metrics.seconds, remark), (3.0, None));
        // Windows replaces no file that is open.
        drop(metrics);
        let lines: Vec<&str> = whole.lines().take(4).collect();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().collect::<Vec<_>>(), lines);
        let (metrics, remark) = Metrics::open(&path, &LOSSES, 5).unwrap();
        assert_eq!((metrics.seconds, remark.unwrap().contains("lacks the rows of 2 of the first 5")), (3.0, true));
    }

    #[cfg(unix)]
    #[test]
    fn rows_are_on_the_disk_before_the_checkpoint_that_relies_on_them() {
        use crate::files::system::Call;
        use crate::files::system::faults::{Fault, with};
        let dir = tempfile::tempdir().unwrap();
        for (n, good) in [usize::MAX, 2, 1].into_iter().enumerate() {
            let path = dir.path().join(format!("{n}.csv"));
            std::fs::write(&path, "step,epoch,a,b,images_per_s,seconds\n").unwrap();
            let mut rows_at_save = None;
            let (saved, calls) = with(Fault::Once, good.saturating_add(1), || {
                let (mut metrics, _) = Metrics::open(&path, &LOSSES, 0)?;
                metrics.write(&Row { step: 1, epoch: 1, losses: &[1.0, 2.0], rate: 1.0, seconds: 1.0 })?;
                metrics.synced(|| rows_at_save = std::fs::read_to_string(&path).ok())
            });
            let calls: Vec<Call> = calls.into_iter().map(|(call, _)| call).skip(2).take(2).collect();
            match good {
                usize::MAX => assert_eq!(calls, [Call::Write, Call::Sync]),
                _ => assert!(saved.is_err() && rows_at_save.is_none()),
            }
            if saved.is_ok() {
                assert!(rows_at_save.unwrap().ends_with("\n1,1,1,2,1.0,1.000\n"));
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let whole = written(&path);
        let left = || {
            let names = std::fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.path());
            let mut left: Vec<PathBuf> = names.filter(|name| *name != path).collect();
            left.sort();
            left
        };
        // A program that writes semicolons, a remark of somebody's own, another column; rows that
        // begin again.
        let noted = whole.replacen("3,1,", "# the rate was too high here\n3,1,", 1);
        let remarks = [
            (whole.replace(',', ";"), 5, "lacks the rows of 5 of the first 5 steps; the file as it was is"),
            (noted, 5, "had lines that are no rows of this run; the file as it was is"),
            (whole.replace(".000\n", ".000,mine\n"), 3, "lacks the rows of 3 of the first 3 steps; the file"),
            (whole.clone(), 0, "had the rows of 5 steps that no checkpoint has; the file as it was is"),
        ];
        for (n, (text, step, words)) in remarks.iter().enumerate() {
            std::fs::write(&path, text).unwrap();
            let before = left();
            let remark = Metrics::open(&path, &LOSSES, *step).unwrap().1.unwrap();
            assert!(remark.contains(words), "{remark}");
            let new: Vec<PathBuf> = left().into_iter().filter(|name| !before.contains(name)).collect();
            assert_eq!((new.len(), left().len()), (1, n + 1));
            assert_eq!(&std::fs::read_to_string(&new[0]).unwrap(), text);
        }
        // Nothing is lost with a row that will come again, a line's end of Windows, or the half of
        // a row.
        let halved = &whole[..whole.len() - 3];
        for (text, step) in [(whole.as_str(), 3), (&whole.replace('\n', "\r\n"), 5), (halved, 5), ("", 0)] {
            std::fs::write(&path, text).unwrap();
            Metrics::open(&path, &LOSSES, step).unwrap();
        }
        assert_eq!(left().len(), remarks.len());
    }

    #[test]
    fn rows_that_are_missing_or_broken_take_no_others_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        let whole = written(&path);
        let rows: Vec<&str> = whole.lines().collect();
        let opened = |text: &[u8], step| {
            std::fs::write(&path, text).unwrap();
            let (_, remark) = Metrics::open(&path, &LOSSES, step).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().next(), Some(rows[0]));
            let steps: Vec<u64> =
                text.lines().skip(1).map(|row| row.split_once(',').unwrap().0.parse().unwrap()).collect();
            let lacks = remark.as_ref().is_some_and(|remark| remark.contains("lacks"));
            assert_eq!(lacks, (steps.len() as u64) < step, "{remark:?}");
            steps
        };
        let joined = |rows: &[&str]| format!("{}\n", rows.join("\n"));
        // A row taken out, the header taken out, a row broken off in the middle with the next in
        // the same line.
        assert_eq!(opened(joined(&[&rows[..2], &rows[3..]].concat()).as_bytes(), 5), [1, 3, 4, 5]);
        assert_eq!(opened(joined(&rows[1..]).as_bytes(), 5), [1, 2, 3, 4, 5]);
        assert_eq!(opened(whole.replace("2.000\n3,", "2.0003,").as_bytes(), 5), [1, 4, 5]);
        assert_eq!(opened(whole.replace("3,1,0.3", "3,1,x").as_bytes(), 4), [1, 2, 4]);
        assert_eq!(opened(whole.replace('\n', "\r\n").as_bytes(), 5), [1, 2, 3, 4, 5]);
        assert_eq!(opened(&[whole.as_bytes(), b"\xff\xfe,\n"].concat(), 5), [1, 2, 3, 4, 5]);
        // A machine that stops may leave zeros where rows were.
        let zeros = whole.replace(rows[2], &"\0".repeat(rows[2].len()));
        assert_eq!(opened(zeros.as_bytes(), 5), [1, 3, 4, 5]);
        // The last number may be cut where it still is one.
        assert_eq!(opened(&whole.as_bytes()[..whole.len() - 3], 5), [1, 2, 3, 4]);
        // Steps that were done twice count once.
        assert_eq!(opened(joined(&[&rows[..], &rows[3..]].concat()).as_bytes(), 5), [1, 2, 3, 4, 5]);
        assert!(opened(b"", 2).is_empty());
    }
}
