//! `metrics.csv`: the losses of every step.

use super::folder::RunError;
use crate::files::replace;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
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
    file: BufWriter<File>,
    path: PathBuf,
    /// The last row's seconds.
    pub(super) seconds: f64,
}

impl Metrics {
    /// Opens the file for the steps after `step`. Rows after it go: those steps will be done again. Every row up to it
    /// stays, wherever others are missing or broken. Returns a remark if rows are missing.
    pub(super) fn open(path: &Path, losses: &[&str], step: u64) -> Result<(Metrics, Option<String>), RunError> {
        let fail = |e| RunError::io("write", path)(e);
        let old = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(RunError::io("read", path)(e)),
        };
        let header = format!("step,epoch,{},images_per_s,seconds", losses.join(","));
        let Kept { text, rows, seconds } = kept(&header, &String::from_utf8_lossy(&old), losses.len() + 4, step);
        if text.as_bytes() != old {
            replace(path, |file| file.write_all(text.as_bytes())).map_err(fail)?;
        }
        let file = OpenOptions::new().append(true).open(path).map_err(fail)?;
        let missing = step.saturating_sub(rows);
        let remark =
            (missing > 0).then(|| format!("metrics.csv lacks the rows of {missing} of the first {step} steps"));
        Ok((Metrics { file: BufWriter::new(file), path: path.into(), seconds }, remark))
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

    /// Has all rows on the disk, for a checkpoint that relies on them.
    pub(super) fn sync(&mut self) -> Result<(), RunError> {
        self.flush()?;
        match self.file.get_ref().sync_data() {
            // A pipe or a device has nothing to sync.
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            other => other.map_err(RunError::io("write", &self.path)),
        }
    }
}

/// What stays of a file.
struct Kept {
    text: String,
    rows: u64,
    /// Of the last row.
    seconds: f64,
}

/// The rows of steps up to `step`, in their order; of two of one step the later.
fn kept(header: &str, old: &str, columns: usize, step: u64) -> Kept {
    let mut rows = std::collections::BTreeMap::new();
    // A line without an end may have lost the end of its last number.
    let whole = old.rfind('\n').map_or("", |end| &old[..end]);
    for line in whole.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        let numbers = cells.len() == columns && cells.iter().all(|cell| cell.trim().parse::<f64>().is_ok());
        let of = cells[0].parse::<u64>().ok().filter(|of| numbers && (1..=step).contains(of));
        if let Some((of, seconds)) = of.zip(cells[cells.len() - 1].trim().parse().ok()) {
            rows.insert(of, (line, seconds));
        }
    }
    let mut text = format!("{header}\n");
    rows.values().for_each(|(line, _)| text.extend([line, "\n"]));
    Kept { text, rows: rows.len() as u64, seconds: rows.last_key_value().map_or(0.0, |(_, (_, seconds))| *seconds) }
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
        m.sync().unwrap();
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
            assert_eq!(remark.is_some(), (steps.len() as u64) < step, "{remark:?}");
            steps
        };
        let joined = |rows: &[&str]| format!("{}\n", rows.join("\n"));
        // A row taken out, the header taken out, a row broken off in the middle with the next in the same line.
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
