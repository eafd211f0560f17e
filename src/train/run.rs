//! Training: what is asked for, and what becomes of it.

use super::breakdown::{Breakdown, Cure};
use super::folder::{RunDir, RunError};
use super::log::Watch;
use super::logs::LogKind;
use super::prepare::Prepared;
use super::tracing::TraceSteps;
use super::{Config, ConfigError, Session, SessionError, Setting, Tested, together};
use crate::data::{self, Split};
use crate::files;
use crate::models::Model;
use crate::program::{Device, DeviceError, Together, speak};
use crate::tune;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What to train.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub enum Start {
    /// A new run.
    New {
        /// Its settings.
        config: Config,
        /// Its folder; `runs/NAME-N` without one.
        out: Option<PathBuf>,
        /// The file of the weights it starts from, by name: a state dict of PyTorch's in
        /// safetensors, or a checkpoint; freshly drawn ones without it.
        init: Option<PathBuf>,
    },
    /// A run that goes on from its checkpoint, or from the start if it has none yet.
    Resume(Resume),
}

/// How a run goes on.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// Its folder.
    pub dir: PathBuf,
    /// A new end, in steps.
    pub steps: Option<u64>,
    /// A new end, in epochs.
    pub epochs: Option<u64>,
    /// Settings to change, as `key=value`.
    pub set: Vec<Setting>,
    /// The step whose checkpoint it goes on from; the last one's without it.
    pub from: Option<u64>,
}

/// Draws this many samples of the session's model into the picture at this path, and tells how far
/// they are from each other, where that says something of the model: see
/// [`deviation`](super::deviation). On another rank than the first the path is empty, and nothing is to
/// be written.
pub type Sampler<'a> = dyn FnMut(&mut Session, usize, &Path) -> Result<Option<f64>, Box<dyn std::error::Error>> + 'a;

/// Figures of the session's model on so many of these test images, which are called so; none for
/// models that have no figure which tells of progress. Of the first one less is better.
pub type Evaluator<'a> =
    dyn FnMut(&mut Session, &Split, &str, usize) -> Result<Vec<Tested>, Box<dyn std::error::Error>> + 'a;

/// Makes a page about the run in this folder, as far as it has come; told whether it ends here.
pub type Reporter<'a> = dyn FnMut(&RunDir, bool) -> Result<(), Box<dyn std::error::Error>> + 'a;

/// Draws pictures of what the session's model can do beside samples into a folder, of these test
/// images; into none on another rank than the first.
pub type Viewer<'a> = dyn FnMut(&mut Session, &Split, &Path) -> Result<(), Box<dyn std::error::Error>> + 'a;

/// Chooses the variants of the kernels of a session's training steps, for this batch and up to this
/// step.
pub type Tune<'a> = dyn FnMut(&mut Session, usize, u64) -> Result<tune::Report, SessionError> + 'a;

/// Told the settings of the run, the seconds that a step takes lately, and how long is left, whenever
/// that is known anew; a sentence that it returns is a line of the log.
pub type Pace<'a> = dyn FnMut(&Config, f64, Duration) -> Option<String> + 'a;

/// What training is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What comes before the first step: reading data, measuring variants. Nothing has been made or
    /// changed.
    Preparing,
    /// Steps, and saving.
    Training,
    /// A picture of samples.
    Drawing,
}

/// What the loop calls and asks on its way.
pub struct Hooks<'a> {
    /// Chooses variants before a run begins on a device; without it the best guesses are taken.
    pub tune: Option<&'a mut Tune<'a>>,
    /// Draws pictures of samples; `sample::picture` is one of them.
    pub sampler: Option<&'a mut Sampler<'a>>,
    /// Measures it on test images, as often as `train.eval_every` says; see
    /// [`crate::eval::followed`].
    pub evaluate: Option<&'a mut Evaluator<'a>>,
    /// Draws what else the model can do, as often as `train.views_every` says; `sample::views` is
    /// one of them.
    pub views: Option<&'a mut Viewer<'a>>,
    /// Logs that the run keeps for other programs.
    pub logs: &'a [LogKind],
    /// Tells of the run whenever a picture was drawn or a checkpoint saved, and at the end; see
    /// [`crate::report::Live`].
    pub report: Option<&'a mut Reporter<'a>>,
    /// Told how long steps take.
    pub pace: Option<&'a mut Pace<'a>>,
    /// Becomes true when the run shall stop after the step it is at, or before the first.
    pub stop: &'a AtomicBool,
    /// Told what training is at.
    pub phase: &'a (dyn Fn(Phase) + 'a),
    /// Shows how it goes.
    pub watch: Option<&'a mut dyn Watch>,
    /// Records what happens in some steps, which are waited for one by one.
    pub trace: Option<TraceSteps>,
    /// How its images are read.
    pub reading: Reading<'a>,
    /// The ranks that train with it; this one is the first. The others [take part](super::take_part).
    pub ranks: Option<Together>,
}

impl Default for Hooks<'_> {
    /// Nothing is chosen, drawn, shown or stopped.
    fn default() -> Self {
        Hooks {
            tune: None,
            sampler: None,
            evaluate: None,
            views: None,
            logs: &[],
            report: None,
            pace: None,
            stop: &files::NEVER,
            phase: &|_| (),
            watch: None,
            trace: None,
            reading: Reading::default(),
            ranks: None,
        }
    }
}

impl Hooks<'_> {
    /// Tells whoever watches what is being done before the first step.
    pub(super) fn preparing(&mut self, words: &str) {
        if let Some(watch) = &mut self.watch {
            watch.preparing(words);
        }
    }
}

/// How the images of a run are read.
#[derive(Clone, Default)]
pub struct Reading<'a> {
    /// What it may use, asks and tells.
    pub options: data::Options<'a>,
    /// Where the images of a run that goes on are now, if they have moved.
    pub moved: Option<String>,
    /// Whether other images than those it was trained on will do.
    pub changed: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its folder.
    pub run: RunDir,
    /// Its model.
    pub model: Box<dyn Model>,
    /// Steps done.
    pub step: u64,
    /// Steps it is to have.
    pub total: u64,
    /// The last step's losses.
    pub losses: Vec<(&'static str, f32)>,
    /// Median time the host spent on a step outside waiting, in milliseconds.
    pub host_ms: f64,
}

impl Outcome {
    /// Whether it was stopped before its end.
    pub fn interrupted(&self) -> bool {
        self.step < self.total
    }
}

/// Why a run did not begin, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Its folder, settings or checkpoint.
    #[error("{0}")]
    Run(#[from] RunError),
    /// Its images.
    #[error("{0}")]
    Data(#[from] data::Error),
    /// Its model on the device.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// It was stopped before its first step.
    #[error("stopped before the first step")]
    Interrupted,
    /// Nothing is left to do.
    #[error("the run in {} is complete ({step} steps)", .dir.display())]
    Complete {
        /// The folder.
        dir: PathBuf,
        /// Steps done.
        step: u64,
    },
    /// A loss or a parameter that is not a number, or is infinite.
    #[error("{how}; {saved}")]
    BrokeDown {
        /// How.
        how: Breakdown,
        /// What is saved.
        saved: Saved,
        /// What may help.
        cure: Cure,
    },
    /// Something failed while training.
    #[error("{why}; {saved}")]
    Stopped {
        /// What failed.
        why: String,
        /// What is saved.
        saved: Saved,
    },
}

/// What of a run is saved where it ends before its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// The run's folder.
    pub dir: PathBuf,
    /// The step of its checkpoint, if there is one.
    pub step: Option<u64>,
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {step} is saved"),
            None => f.write_str("no checkpoint is saved"),
        }
    }
}

impl From<ConfigError> for TrainError {
    fn from(e: ConfigError) -> Self {
        TrainError::Run(e.into())
    }
}

impl From<DeviceError> for TrainError {
    fn from(e: DeviceError) -> Self {
        TrainError::Session(e.into())
    }
}

/// Trains a model: the losses of every step go to `metrics.csv`, pictures to `samples/`, and the
/// state of the run to `checkpoint.safetensors` every so often, at the end, and when it is stopped.
/// A run that was resumed ends with the same bits as one that never stopped. The device decides
/// the precision, and `config.toml` keeps it.
///
/// # Errors
/// One sentence. Whatever went wrong, a checkpoint that was there is whole.
pub fn train(start: Start, device: Device, hooks: Hooks) -> Result<Outcome, TrainError> {
    let together = hooks.ranks.clone();
    let trained = train_first(start, device, hooks);
    if let (Some(together), Err(error)) = (together, &trained) {
        speak(&together).leave(&error.to_string());
    }
    trained
}

fn train_first(start: Start, device: Device, mut hooks: Hooks) -> Result<Outcome, TrainError> {
    let pausing = together::pause(hooks.ranks.as_ref());
    // A device that is lost once may have been reset; one that is lost again would be so time and again.
    let (prepared, again) = Prepared::outlasting_a_loss(start, device, &mut hooks)?;
    let mut training = prepared.begin(hooks)?;
    drop(pausing);
    let mut result = training.train();
    if let (Err(error), Some(fresh)) = (&result, training.fresh_device().filter(|_| !again)) {
        let saved = training.saved();
        training.say(&format!("{error}; the device is opened anew, and the run goes on from there"));
        training = training.go_on(fresh).map_err(|error| TrainError::Stopped { why: error.to_string(), saved })?;
        result = training.train();
    }
    if let Err(error) = &result {
        // The screen gets it from whoever called.
        training.note(error);
        if let TrainError::BrokeDown { how, .. } = error {
            training.run.note_breakdown(how);
        }
        training.report(true);
    }
    result?;
    Ok(training.outcome())
}
