//! What a run has come to, in few numbers, without reading all of it.

use crate::eval;
use crate::train::{Breakdown, Config, RunDir, RunError};
use crate::words::count;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum State {
    /// A process trains it.
    Running,
    /// It has steps left, and nobody takes them.
    Stopped,
    /// The same, as its numbers broke down.
    BrokeDown,
    /// All its steps are taken.
    Done,
}

/// A figure by which a run is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Best {
    /// Its name.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Steps that had been taken.
    pub step: u64,
}

/// A run in few numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// The preset or the file that it came from.
    pub from: String,
    /// The kind of its model.
    pub model: String,
    /// What it is trained on.
    pub data: String,
    /// Where it stands.
    pub state: State,
    /// How it broke down, where it did.
    pub broke_down: Option<Breakdown>,
    /// Steps taken.
    pub step: u64,
    /// Steps that it is to have.
    pub steps: Option<u64>,
    /// Seconds of training.
    pub seconds: f64,
    /// Images a second over all of its training.
    pub rate: Option<f64>,
    /// The losses of its last step.
    pub losses: Vec<(String, f64)>,
    /// The least of the figure of test images that it is followed by; where it is not followed, the
    /// last figure that was measured of it.
    pub best: Option<Best>,
    /// When it began, in UTC.
    pub began: Option<String>,
    /// The device of its last sitting.
    pub device: Option<String>,
}

impl Overview {
    /// Reads what a run's folder says of it.
    ///
    /// # Errors
    /// Files of it that are there and cannot be read.
    pub fn of(run: &RunDir) -> Result<Overview, RunError> {
        let config = &run.config;
        let row = last_row(&run.metrics()).unwrap_or_default();
        let number = |wanted: &str| row.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        let step = number("step").map_or(0, |step| step as u64);
        let losses = row.iter().filter(|(name, _)| !COLUMNS.contains(&name.as_str())).cloned().collect();
        let steps = config.train.steps;
        let broke_down = run.broke_down()?;
        let state = match run.is_training() {
            true => State::Running,
            false if broke_down.is_some() => State::BrokeDown,
            false if steps.is_some_and(|steps| step >= steps) => State::Done,
            false => State::Stopped,
        };
        let provenance = run.provenance()?;
        let seconds = number("seconds").unwrap_or(0.0);
        let per_step = config.validate()?.batches_per_step() as u64;
        let batches = provenance.batches(config.train.batch as u64, step);
        let images = batches.into_iter().map(|[steps, batch]| steps.saturating_mul(batch).saturating_mul(per_step));
        let images = images.fold(0, u64::saturating_add);
        Ok(Overview {
            name: name_of(&run.path),
            folder: run.path.clone(),
            from: config.name_or_kind(),
            model: config.model.kind().into(),
            data: config.data.source.clone(),
            state,
            broke_down,
            step,
            steps,
            seconds,
            rate: (seconds > 0.0 && step > 0).then(|| images as f64 / seconds),
            losses,
            best: best(run)?,
            began: provenance.sittings.first().map(|sitting| sitting.began.clone()),
            device: provenance.sittings.last().map(|sitting| sitting.device.to_string()),
        })
    }

    /// Where it stands, in words.
    pub fn standing(&self) -> String {
        match &self.broke_down {
            Some(how) if self.state == State::BrokeDown => format!("broke down at {}", count(how.step)),
            _ => self.state.to_string(),
        }
    }

    /// How long ago it began.
    pub fn age(&self) -> Option<Duration> {
        let began = humantime::parse_rfc3339(self.began.as_ref()?).ok()?;
        SystemTime::now().duration_since(began).ok()
    }
}

/// The names of runs; where two have the same, their folders as they were given.
pub fn told_apart(runs: &[RunDir]) -> Vec<String> {
    let names: Vec<String> = runs.iter().map(|run| name_of(&run.path)).collect();
    let is_one_of_several = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    let told = |(run, name): (&RunDir, &String)| match is_one_of_several(name) {
        true => run.path.display().to_string(),
        false => name.clone(),
    };
    std::iter::zip(runs, &names).map(told).collect()
}

/// A folder's own name, however it was given.
pub(super) fn name_of(path: &Path) -> String {
    let absolute = fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into());
    absolute.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Columns of `metrics.csv` that are no losses.
const COLUMNS: [&str; 4] = ["step", "epoch", "images_per_s", "seconds"];

/// Bytes at the end of a file in which its last row is.
const TAIL: u64 = 8192;

/// The last whole row of a table and the names of its columns.
pub(super) fn last_row(path: &Path) -> Option<Vec<(String, f64)>> {
    let mut file = File::open(path).ok()?;
    let mut read = |from: u64| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from)).ok()?;
        (&mut file).take(TAIL).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let head = read(0)?;
    let names: Vec<&str> = head.lines().next()?.split(',').collect();
    let tail = read(fs::metadata(path).ok()?.len().saturating_sub(TAIL))?;
    // A line without an end may have lost the end of its last number.
    let whole = &tail[..tail.rfind('\n')?];
    whole.lines().rev().find_map(|line| {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.trim().parse().ok()).collect::<Option<_>>()?;
        (cells.len() == names.len())
            .then(|| std::iter::zip(&names, cells).map(|(name, value)| ((*name).to_string(), value)).collect())
    })
}

/// Figures of a game, of which neither more nor less is better.
const VERDICTS: [&str; 3] = ["value", "d_real", "d_fake"];

/// The figure that a run is told by.
fn best(run: &RunDir) -> Result<Option<Best>, RunError> {
    let tests = run.tests()?;
    if let Some(curve) = tests.first() {
        let rows = std::iter::zip(&curve.value, &curve.step).filter(|(value, _)| value.is_finite());
        let least = rows.min_by(|a, b| a.0.total_cmp(b.0));
        return Ok(least.map(|(value, step)| Best { name: curve.name.clone(), value: *value, step: *step }));
    }
    // What cannot be read of them is told where it is asked for.
    let verdict = |kept: &eval::KeptFigure| VERDICTS.contains(&kept.figure.name.as_str());
    let last = eval::kept(run).unwrap_or_default().into_iter().rfind(|kept| !verdict(kept));
    Ok(last.map(|kept| Best { name: kept.figure.name, value: kept.figure.value, step: kept.step }))
}

/// The folders of runs at `path`: itself, or those some levels below it, in no order.
///
/// # Errors
/// A folder that cannot be looked at.
pub fn folders(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.join("config.toml").is_file() {
        return Ok(vec![path.into()]);
    }
    let mut found = Vec::new();
    let mut todo = vec![(path.to_path_buf(), 0)];
    while let Some((folder, depth)) = todo.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if depth == 0 => return Err(error),
            entries => entries.into_iter().flatten(),
        };
        for inside in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
            match inside.join("config.toml").is_file() {
                true => found.push(inside),
                false if depth + 1 < DEPTH => todo.push((inside, depth + 1)),
                false => {}
            }
        }
    }
    Ok(found)
}

/// How many levels below a folder runs are looked for.
const DEPTH: usize = 3;

/// A setting that runs do not share, and what each has, in their order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its key, such as `train.batch`.
    pub key: String,
    /// What each run has; `None` where it has no such setting.
    pub values: Vec<Option<String>>,
}

/// The settings in which runs differ.
pub fn differences(configs: &[&Config]) -> Vec<Difference> {
    let all: Vec<_> = configs.iter().map(|config| config.by_keys()).collect();
    let keys: std::collections::BTreeSet<&String> = all.iter().flat_map(|settings| settings.keys()).collect();
    let of = |key: &String| all.iter().map(|settings| settings.get(key).cloned()).collect::<Vec<_>>();
    let differ = |values: &Vec<Option<String>>| values.iter().any(|value| *value != values[0]);
    let row = |key: &String| Some(of(key)).filter(differ).map(|values| Difference { key: key.clone(), values });
    keys.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_row_is_found_in_long_and_broken_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut text = String::from("step,epoch,loss,images_per_s,seconds\n");
        assert_eq!(last_row(&path), None);
        fs::write(&path, &text).unwrap();
        assert_eq!(last_row(&path), None);
        (1..=2000).for_each(|step| text += &format!("{step},1,0.5,10.0,{step}.5\n"));
        fs::write(&path, format!("{text}2001,1,0.5,10.0,2")).unwrap();
        let row = last_row(&path).unwrap();
        assert_eq!((row[0].clone(), row[4].clone()), (("step".into(), 2000.0), ("seconds".into(), 2000.5)));
        fs::write(&path, format!("{text}no row\n")).unwrap();
        assert_eq!(last_row(&path).unwrap()[0].1, 2000.0);
    }

    #[test]
    fn runs_are_found_below_a_folder_and_not_inside_of_others() {
        let folder = tempfile::tempdir().unwrap();
        for run in ["a", "sweep/b", "a/samples/c", "1/2/3/too-deep"] {
            fs::create_dir_all(folder.path().join(run)).unwrap();
            fs::write(folder.path().join(run).join("config.toml"), "").unwrap();
        }
        let mut found = folders(folder.path()).unwrap();
        found.sort();
        assert_eq!(found, ["a", "sweep/b"].map(|run| folder.path().join(run)));
        assert_eq!(folders(&found[0]).unwrap(), [found[0].clone()]);
        assert!(folders(&folder.path().join("gone")).is_err());
    }

    #[test]
    fn settings_that_differ_are_told_and_others_not() {
        let one = Config::preset("vae").unwrap();
        let mut other = one.clone();
        other.train.batch = 7;
        other.train.eval_every = Some(5);
        let told = differences(&[&one, &other, &one]);
        let words: Vec<_> = told.iter().map(|d| (d.key.as_str(), d.values[1].as_deref())).collect();
        assert_eq!(words, [("train.batch", Some("7")), ("train.eval_every", Some("5"))]);
        assert_eq!(told[1].values[0], None);
        assert!(differences(&[&one, &one]).is_empty());
    }
}
