//! Figures of test images on the way: `tests.csv`, and the checkpoint that did best on them.

use super::checkpoint;
use super::folder::{RunDir, RunError};
use super::turns::Turns;
use crate::data::Split;
use crate::files::{Appended, read_in_memory, replace};
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Test images of a measurement, at most.
const IMAGES: u64 = 1000;
/// Images that are trained on for each one that is measured in all: as measuring takes a third of
/// training, some two hundredths of the time.
const TRAINED_FOR_ONE: u64 = 70;
/// A figure of test images; of the first of them less is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Tested {
    /// Its name.
    pub name: String,
    /// The mean over the images.
    pub value: f64,
}

/// What a run is tested on, how often, and how it did.
pub(super) struct Testing {
    /// The images.
    pub split: Split,
    /// What they are called.
    pub data: String,
    /// How many of them count.
    pub images: usize,
    turns: Turns,
    file: PathBuf,
    /// The least first figure so far.
    best: Option<f64>,
}

impl Testing {
    /// For a run that takes `total` steps of so many images and has done `step` of them; `every` is
    /// the setting `train.eval_every`. Rows after `step` go: those steps will be taken again.
    pub(super) fn new(
        run: &RunDir,
        (split, data): (Split, String),
        every: Option<u64>,
        [step, total, batch]: [u64; 3],
    ) -> Result<Testing, RunError> {
        let file = run.path.join(FILE);
        let images = (total.saturating_mul(batch) / TRAINED_FOR_ONE).clamp(batch.min(IMAGES), IMAGES);
        let rows = rows(&file)?;
        let (kept, gone): (Vec<_>, Vec<_>) = rows.1.into_iter().partition(|row| row.0 <= step);
        // A run that goes on is measured on as many as before, so that its figures are alike.
        let before = kept.iter().find_map(|row| images_of(&row.2));
        let images = before.unwrap_or(images as usize).min(split.len());
        // A line that a full disk broke off would take the next one with it.
        if !gone.is_empty() || !rows.2 {
            let text: String = (Some(&rows.0).filter(|header| !header.is_empty()).into_iter())
                .chain(kept.iter().map(|row| &row.2))
                .fold(String::new(), |text, line| text + line + "\n");
            replace(&file, |file| file.write_all(text.as_bytes())).map_err(RunError::io("write", &file))?;
        }
        // Where the checkpoint of the best row is not there, the next to be measured is the best
        // there is.
        let held = checkpoint::info(&run.best()).ok().map(|info| info.step);
        let alike = kept.iter().filter(|row| images_of(&row.2) == Some(images));
        let least = alike.map(|row| (row.1, row.0)).min_by(|a, b| a.0.total_cmp(&b.0));
        let best = least.filter(|(_, step)| held == Some(*step)).map(|(least, _)| least);
        let turns = Turns::new(every, total, every.is_none());
        Ok(Testing { split, data, images, turns, file, best })
    }

    /// What the figures are of, in words.
    pub(super) fn basis(&self) -> String {
        match self.split.len() {
            1 => "test: the only image".into(),
            all if all == self.images => format!("test: all {all}"),
            all => format!("test: {} of {all}", self.images),
        }
    }

    /// Whether the run is measured after `step` of `total` steps, `active` seconds after it began
    /// or went on.
    pub(super) fn due(&self, step: u64, total: u64, active: f64) -> bool {
        self.turns.due(step, active) || step == total && self.turns.wanted()
    }

    /// Takes note of what a measurement took, and the checkpoint that it was worth.
    pub(super) fn took(&mut self, time: Duration) {
        self.turns.took(time);
    }

    /// Writes figures down, and says whether they are the best so far.
    pub(super) fn record(&mut self, (step, seconds): (u64, f64), figures: &[Tested]) -> Result<bool, RunError> {
        let failed = |e| RunError::io("write", &self.file)(e);
        let mut text = String::new();
        if fs::metadata(&self.file).map_or(true, |about| about.len() == 0) {
            let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
            text = format!("step,seconds,images,{}\n", names.join(","));
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{step},{seconds:.3},{}", self.images);
        figures.iter().for_each(|figure| _ = write!(text, ",{}", figure.value));
        text.push('\n');
        let mut file = Appended::open(&self.file).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync()).map_err(failed)?;
        let Some(first) = figures.first().filter(|figure| figure.value.is_finite()) else { return Ok(false) };
        let best = self.best.is_none_or(|least| first.value < least);
        if best {
            self.best = Some(first.value);
        }
        Ok(best)
    }
}

/// The file of the figures.
pub(super) const FILE: &str = "tests.csv";

/// A row of the file: its step, its first figure, and the line.
type Row = (u64, f64, String);

/// The header and the rows of a file, and whether its last line has an end. What is no row is passed over.
fn rows(path: &Path) -> Result<(String, Vec<Row>, bool), RunError> {
    let bytes = match read_in_memory(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((String::new(), Vec::new(), true)),
        read => read.map_err(RunError::io("read", path))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    // A line without an end may have lost the end of its last number.
    let mut lines = text.rfind('\n').map_or("", |end| &text[..end]).lines();
    let header = lines.next().unwrap_or_default().to_string();
    let row = |line: &str| {
        let mut cells = line.split(',');
        Some((cells.next()?.parse().ok()?, cells.nth(2)?.parse().ok()?, line.to_string()))
    };
    Ok((header, lines.filter_map(row).collect(), text.is_empty() || text.ends_with('\n')))
}

/// The number of test images that a row is of.
fn images_of(line: &str) -> Option<usize> {
    line.split(',').nth(2)?.trim().parse().ok().filter(|images| *images > 0)
}

/// Figures of test images on the way of a run.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct TestCurve {
    /// The figure's name.
    pub name: String,
    /// Steps done.
    pub step: Vec<u64>,
    /// Seconds of training.
    pub seconds: Vec<f64>,
    /// The figure.
    pub value: Vec<f64>,
}

impl RunDir {
    /// Where the checkpoint is that did best on test images, if the run was measured.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Figures of test images on the way.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn tests(&self) -> Result<Vec<TestCurve>, RunError> {
        let (header, rows, _) = rows(&self.path.join(FILE))?;
        let names = header.split(',').skip(3).map(|name| TestCurve { name: name.into(), ..TestCurve::default() });
        let mut curves: Vec<TestCurve> = names.collect();
        for (step, _, line) in rows {
            let cells: Option<Vec<f64>> = line.split(',').map(|cell| cell.parse().ok()).collect();
            let Some(cells) = cells.filter(|cells| cells.len() == curves.len() + 3) else { continue };
            for (curve, value) in std::iter::zip(&mut curves, &cells[3..]) {
                curve.step.push(step);
                curve.seconds.push(cells[1]);
                curve.value.push(*value);
            }
        }
        Ok(curves)
    }
}
