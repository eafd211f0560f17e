//! A page about one run or several: curves, pictures, settings, data and devices in a single HTML
//! file that opens without a network.
//!
//! [`page`] reads run folders and nothing else, so that a page can be made while a run goes on, and
//! of runs from elsewhere.

mod curves;
pub mod kernels;
mod pictures;
#[cfg(feature = "plot")]
pub mod plot;

use crate::data::Identity;
use crate::files;
use crate::models::meaning;
use crate::train::{Config, Provenance, RunDir, RunError, TestCurve};
use curves::Curves;
use pictures::Picture;
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
    /// Pictures of samples on the way, the earliest first.
    progress: Vec<Picture>,
    /// The other pictures in its folder.
    pictures: Vec<Picture>,
    settings: Vec<Setting>,
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
    identity: Option<Identity>,
}

/// Writes the page about these runs to `out`, in one piece.
///
/// # Errors
/// A folder that is no run, files of it that cannot be read, or a page that cannot be written.
pub fn write(runs: &[RunDir], out: &Path) -> Result<(), ReportError> {
    let text = page(runs)?;
    let written = files::replace(out, |file| file.write_all(text.as_bytes()));
    written.map_err(|source| ReportError::Write { path: out.into(), source })
}

/// The page about these runs.
///
/// # Errors
/// Files of a run that cannot be read.
pub fn page(runs: &[RunDir]) -> Result<String, ReportError> {
    let runs = runs.iter().map(Run::of).collect::<Result<Vec<_>, _>>()?;
    let title = match &runs[..] {
        [one] => one.name.clone(),
        several => several.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    Ok(include_str!("page/page.html")
        .replace("{{title}}", &escaped(&title))
        .replace("{{style}}", include_str!("page/style.css"))
        .replace("{{script}}", include_str!("page/page.js"))
        .replace("{{data}}", &embedded(&runs)))
}

/// Text in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// JSON inside of a script element, which nothing in it can end.
fn embedded(value: &impl Serialize) -> String {
    // Everything here is made of strings, numbers and lists of them.
    serde_json::to_string(value).unwrap_or_default().replace('<', "\\u003c")
}

impl Run {
    fn of(run: &RunDir) -> Result<Run, RunError> {
        let config = &run.config;
        let model = config.validate()?;
        let (curves, tests) = (Curves::read(&run.metrics())?, run.tests()?);
        let known = |name: &String| Some((name.clone(), meaning(name)?));
        let absolute = std::path::absolute(&run.path).unwrap_or_else(|_| run.path.clone());
        let name = absolute.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Run {
            name,
            folder: run.path.display().to_string(),
            model: config.model.kind(),
            parameters: model.parameters(),
            step: curves.steps(),
            total: config.train.steps,
            meanings: curves.names().chain(tests.iter().map(|test| &test.name)).filter_map(known).collect(),
            tests,
            progress: pictures::of_training(&run.samples()),
            pictures: pictures::beside(&run.path),
            settings: settings(config),
            data: Data {
                source: config.data.source.clone(),
                medium: model.images().medium.plural().into(),
                identity: run.identity()?,
            },
            sittings: run.provenance()?,
            curves,
        })
    }
}

/// The settings of a run by their keys, beside those of the preset that it began with.
fn settings(config: &Config) -> Vec<Setting> {
    let preset = Config::preset(&config.name).ok().map(|preset| preset.by_keys());
    let all = config.by_keys();
    let row = |(key, value): (String, String)| {
        let was = preset.as_ref().map(|preset| preset.get(&key).cloned().unwrap_or_else(|| "unset".into()));
        let preset = was.filter(|was| *was != value && !WRITTEN.contains(&key.as_str()));
        Setting { key, value, preset }
    };
    all.into_iter().map(row).collect()
}

/// Settings that training writes down by itself.
const WRITTEN: [&str; 4] = ["name", "data.classes", "train.ema_warm_up", "train.precision"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ModelConfig;
    use crate::train::presets;

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
        let all = settings(&config);
        let differ: Vec<_> =
            all.iter().filter_map(|s| Some((s.key.as_str(), s.value.as_str(), s.preset.as_deref()?))).collect();
        assert_eq!(differ, [("train.batch", "32", "128")]);
    }

    #[test]
    fn nothing_in_a_run_ends_the_script_that_it_stands_in() {
        assert_eq!(embedded(&["</script><b>"]), r#"["\u003c/script>\u003cb>"]"#);
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
