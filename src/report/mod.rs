//! A page about one run or several: curves, pictures, settings, data and devices in a single HTML
//! file that opens without a network.
//!
//! [`page`] reads run folders and nothing else, so that a page can be made while a run goes on, and
//! of runs from elsewhere.

mod curves;
mod frame;
pub mod kernels;
mod live;
mod overview;
mod pictures;
#[cfg(feature = "plot")]
pub mod plot;
#[cfg(feature = "cli")]
mod readers;

pub(crate) use frame::{escaped, filled};
#[cfg(feature = "cli")]
pub(crate) use readers::READERS;

use crate::data::{Geometry, Identity};
use crate::eval::{self, KeptFigure};
use crate::models::meaning;
use crate::train::{Breakdown, Config, Provenance, RunDir, RunError, StepProfile, TestCurve, presets};
use curves::Curves;
pub use live::Live;
pub(crate) use overview::told_apart;
pub use overview::{Best, Difference, Overview, State, differences, folders};
use pictures::{Picture, Read};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that a run's page has in its folder.
pub const FILE: &str = "report.html";

/// What can go wrong with a page.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A run that cannot be read.
    #[error("{0}")]
    Run(#[from] RunError),
    /// A page that cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What the page knows of a run.
#[derive(Serialize)]
struct Run {
    /// The folder's name.
    name: String,
    folder: String,
    model: &'static str,
    parameters: usize,
    /// Steps done, by the losses that were written, and steps that it is to have.
    step: u64,
    total: Option<u64>,
    /// What each loss is, in a sentence.
    meanings: BTreeMap<String, &'static str>,
    curves: Curves,
    /// Figures of test images on the way.
    tests: Vec<TestCurve>,
    /// How it broke down, where it did.
    broke_down: Option<Breakdown>,
    /// What looked wrong on the way.
    warnings: Vec<String>,
    /// Pictures of samples on the way, the earliest first.
    progress: Vec<Picture>,
    /// What else the model can do: reconstructions, completions, a latent plane.
    views: Vec<Picture>,
    /// The other pictures in its folder.
    pictures: Vec<Picture>,
    settings: Vec<Setting>,
    /// The preset that the settings stand beside: the one they came from, or of those with such a
    /// model the one they differ least from.
    preset: Option<String>,
    /// What was measured of it.
    figures: Vec<KeptFigure>,
    /// Where the time of a step goes, where that was measured.
    profile: Option<StepProfile>,
    data: Data,
    sittings: Provenance,
}

/// A setting of a run, and what its preset has.
#[derive(Serialize)]
struct Setting {
    key: String,
    value: String,
    /// What the preset says, where that is something else.
    preset: Option<String>,
}

/// What a run is trained on.
#[derive(Serialize)]
struct Data {
    source: String,
    medium: String,
    /// How large each is, in words.
    size: Option<String>,
    identity: Option<Identity>,
}

/// Writes the page about these runs to `out`, in one piece.
///
/// # Errors
/// A folder that is no run, files of it that cannot be read, or a page that cannot be written.
pub fn write(runs: &[RunDir], out: &Path) -> Result<(), ReportError> {
    frame::put(&page(runs)?, out)
}

/// The page about these runs.
///
/// # Errors
/// Files of a run that cannot be read.
pub fn page(runs: &[RunDir]) -> Result<String, ReportError> {
    page_with(runs, &mut Read::default())
}

/// The same with pictures that were read before.
fn page_with(runs: &[RunDir], pictures: &mut Read) -> Result<String, ReportError> {
    let named = std::iter::zip(runs, told_apart(runs));
    let runs = named
        .map(|(run, name)| Ok(Run { name, ..Run::of(run, pictures)? }))
        .collect::<Result<Vec<_>, ReportError>>()?;
    pictures.forget_others();
    let title = match &runs[..] {
        [one] => one.name.clone(),
        several => several.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    Ok(frame::page(&title, include_str!("page/run.html"), include_str!("page/run.js"), &runs))
}

/// The losses of runs over their steps, a chart each, with test figures as dots; by `smoothing`
/// each point is what came before, and with `log` losses that are above zero are in equal factors.
///
/// # Errors
/// Files of a run that cannot be read.
#[cfg(feature = "plot")]
pub fn charts(runs: &[RunDir], log: bool, smoothing: f64) -> Result<Vec<plot::Chart>, RunError> {
    use plot::{Axis, Chart, Mark, Series};
    let mut all = Vec::new();
    for (run, name) in std::iter::zip(runs, told_apart(runs)) {
        all.push((name, Curves::read(&run.metrics())?, run.tests()?));
    }
    let mut names: Vec<&String> = Vec::new();
    for (_, curves, tests) in &all {
        for name in curves.names().chain(tests.iter().map(|test| &test.name)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let chart = |name: &String| {
        let mut series = Vec::new();
        for (k, (run, curves, tests)) in all.iter().enumerate() {
            // Where two have the same values, both show.
            let (line, dots) = if k % 2 == 0 { (Mark::Line, Mark::Dots) } else { (Mark::Broken, Mark::Rings) };
            let (run, tested) = match all.len() {
                1 => ("training".to_string(), "test".to_string()),
                _ => (run.clone(), format!("{run}, test")),
            };
            let points = curves.smooth(name, smoothing);
            series.extend((!points.is_empty()).then(|| Series { mark: line, ..Series::line(run, k, points) }));
            if let Some(test) = tests.iter().find(|test| test.name == *name) {
                let steps = test.step.iter().map(|step| *step as f64);
                let points: Vec<_> = std::iter::zip(steps, test.value.iter().copied()).collect();
                // A line leads from one to the next, and has no name of its own.
                series.push(Series { mark: line, ..Series::line("", k, points.clone()) });
                series.push(Series { mark: dots, ..Series::dots(tested, k, points) });
            }
        }
        let above = series.iter().flat_map(|series| &series.points).all(|point| point.1.is_nan() || point.1 > 0.0);
        let linear = if log && !above { " (linear: not all of it is above 0)" } else { "" };
        let y = Axis { label: format!("{name}{linear}"), log: log && above };
        Chart { title: name.clone(), x: Axis::linear("step"), y, series }
    };
    Ok(names.into_iter().map(chart).collect())
}

impl Run {
    fn of(run: &RunDir, read: &mut Read) -> Result<Run, RunError> {
        let config = &run.config;
        let model = config.validate()?;
        let (curves, tests) = (Curves::read(&run.metrics())?, run.tests()?);
        let known = |name: &String| Some((name.clone(), meaning(name)?));
        let preset = preset_of(config);
        let (identity, medium) = (run.identity()?, model.images().medium);
        let geometry = |identity: &Identity| {
            let [channels, height, width] = identity.geometry;
            Geometry::new(channels, height, width)
        };
        let kept = eval::kept(run);
        let figures =
            kept.map_err(|source| RunError::Io { doing: "read the figures of", path: run.path.clone(), source })?;
        let progress = read.of_training(&run.samples());
        // What training drew itself stands there already.
        let mut pictures = read.beside(&run.path);
        pictures.retain(|picture| !progress.iter().any(|drawn| drawn.shows_as(picture)));
        Ok(Run {
            name: overview::name_of(&run.path),
            folder: run.path.display().to_string(),
            model: config.model.kind(),
            parameters: model.parameters(),
            step: curves.steps(),
            total: config.train.steps,
            meanings: curves.names().chain(tests.iter().map(|test| &test.name)).filter_map(known).collect(),
            tests,
            warnings: run.warnings(),
            progress,
            views: read.views(&run.samples()),
            pictures,
            settings: settings(config, preset.as_ref(), identity.as_ref().map(|identity| identity.train)),
            preset: preset.map(|preset| preset.name),
            figures,
            // One that cannot be read, as of another version, is measured again and no fault of the run.
            profile: StepProfile::read(&run.path.join(StepProfile::FILE)).ok(),
            broke_down: run.broke_down()?,
            data: Data {
                source: config.data.source.clone(),
                medium: medium.plural().into(),
                size: identity.as_ref().map(|identity| medium.describe(geometry(identity))),
                identity,
            },
            sittings: run.provenance()?,
            curves,
        })
    }
}

/// The preset of the run's name, or, as a file of settings has a name of its own, that of those
/// with the same kind of model from which the fewest settings differ.
fn preset_of(config: &Config) -> Option<Config> {
    let named = Config::preset(&config.name).ok();
    let same = |preset: &Config| preset.model.kind() == config.model.kind();
    let others = || presets().iter().filter_map(|(name, _)| Config::preset(name).ok()).filter(same);
    named.filter(same).or_else(|| others().min_by_key(|preset| differences(&[preset, config]).len()))
}

/// The settings of a run that trains on so many images by their keys, beside those of a preset:
/// what somebody chose, not what the run filled in by itself.
fn settings(config: &Config, preset: Option<&Config>, images: Option<usize>) -> Vec<Setting> {
    let filled = preset.zip(images).map(|(preset, images)| config.filled_in(preset, images)).unwrap_or_default();
    let preset = preset.map(Config::by_keys);
    let all = config.by_keys();
    let row = |(key, value): (String, String)| {
        let was = preset.as_ref().map(|preset| preset.get(&key).cloned().unwrap_or_else(|| "unset".into()));
        let chosen = !WRITTEN.contains(&key.as_str()) && filled.get(&key) != Some(&value);
        let preset = was.filter(|was| *was != value && chosen);
        Setting { key, value, preset }
    };
    all.into_iter().map(row).collect()
}

/// What a run is called, and what its images say of themselves.
const WRITTEN: [&str; 2] = ["name", "data.classes"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Precision;
    use crate::kernels::optimisers::schedule::Falling;
    use crate::models::ModelConfig;

    #[test]
    fn every_loss_of_every_preset_has_a_meaning() {
        let models = presets().iter().map(|(name, _)| Config::preset(name).unwrap().model);
        for model in models.map(|model: ModelConfig| model.build().unwrap()) {
            for loss in model.losses() {
                assert!(meaning(loss).is_some(), "{loss}");
            }
        }
        assert!(meaning("somebody's own").is_none());
    }

    #[test]
    fn settings_stand_beside_the_presets_where_they_differ() {
        let mut config = Config::preset("vae").unwrap();
        config.train.batch = 32;
        config.train.ema_warm_up = Some(true);
        let preset = preset_of(&config).unwrap();
        assert_eq!(preset.name, "vae");
        let all = settings(&config, Some(&preset), Some(6000));
        let differ: Vec<_> =
            all.iter().filter_map(|s| Some((s.key.as_str(), s.value.as_str(), s.preset.as_deref()?))).collect();
        assert_eq!(differ, [("train.batch", "32", "128")]);
        let chosen = |config: &Config, images| -> Vec<String> {
            let all = settings(config, preset_of(config).as_ref(), images);
            all.into_iter().filter(|setting| setting.preset.is_some()).map(|setting| setting.key).collect()
        };
        // Steps that follow from epochs are nobody's choice, and others are.
        let epochs = config.train.epochs;
        config.train.steps = Some(187 * epochs);
        assert_eq!(chosen(&config, Some(6000)), ["train.batch"]);
        config.train.steps = Some(50);
        assert_eq!(chosen(&config, Some(6000)), ["train.batch", "train.steps"]);
        config.train.lr_schedule = Falling::Cosine;
        config.train.lr_steps = 50;
        assert_eq!(chosen(&config, Some(6000)), ["train.batch", "train.lr_schedule", "train.steps"]);
        config.train.lr_steps = 40;
        assert!(chosen(&config, Some(6000)).contains(&"train.lr_steps".to_string()));
        config.train.precision = Precision::Mixed;
        assert!(chosen(&config, None).contains(&"train.precision".to_string()));
        // A file's own name is none of a preset's.
        let mine = Config { name: "my".into(), ..Config::preset("vae-conv").unwrap() };
        assert_eq!(preset_of(&mine).unwrap().name, "vae-conv");
    }
}
