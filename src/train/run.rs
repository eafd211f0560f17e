//! Training: what is asked for, what becomes of it, and all that is done before the first step.

use super::batches::Images;
use super::claim::{self, Claim};
use super::folder::{RunDir, RunError};
use super::going_on::GoingOn;
use super::images::of_any_classes;
use super::log::{Log, Watch};
use super::metrics::Metrics;
use super::provenance::{Provenance, Sitting};
use super::stage::Stage;
use super::under_way::{Loop, Parts};
use super::{Config, ConfigError, Session, SessionError, Setting};
use crate::choices::Choices;
use crate::data::{self, Dataset, Order};
use crate::kernels::Precision;
use crate::program::{Device, DeviceError};
use crate::tune;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What to train.
pub enum Start {
    /// A new run.
    New {
        /// Its settings.
        config: Config,
        /// Its folder; `runs/NAME-N` without one.
        out: Option<PathBuf>,
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

/// Draws this many samples of the session's model into the picture at this path.
pub type Sampler<'a> = dyn FnMut(&mut Session, usize, &Path) -> Result<(), Box<dyn std::error::Error>> + 'a;

/// Chooses the variants of the kernels of a session's training steps, for this batch and up to this step.
pub type Tune<'a> = dyn FnMut(&mut Session, usize, u64) -> Result<tune::Report, SessionError> + 'a;

/// What training is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What comes before the first step: reading data, measuring variants. Nothing has been made or changed.
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
    /// Draws pictures of samples; see [`crate::sample::picture`].
    pub sampler: Option<&'a mut Sampler<'a>>,
    /// Becomes true when the run shall stop after the step it is at, or before the first.
    pub stop: &'a AtomicBool,
    /// Told what training is at.
    pub phase: &'a (dyn Fn(Phase) + 'a),
    /// Shows how it goes.
    pub watch: Option<&'a mut dyn Watch>,
    /// How its images are read.
    pub reading: Reading<'a>,
}

impl Default for Hooks<'_> {
    /// Nothing is chosen, drawn, shown or stopped.
    fn default() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Hooks { tune: None, sampler: None, stop: &NEVER, phase: &|_| (), watch: None, reading: Reading::default() }
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
    /// A loss that is not a number, or is infinite.
    #[error("training broke down: {loss} is {value} at step {step}, and {tensor}; {saved}")]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: &'static str,
        /// Its value.
        value: f32,
        /// The first parameter that is not finite, in words.
        tensor: String,
        /// What is saved, in words.
        saved: String,
    },
    /// Something failed while training.
    #[error("{why}; {saved}")]
    Stopped {
        /// What failed.
        why: String,
        /// What is saved, in words.
        saved: String,
    },
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
pub fn train(start: Start, device: Device, mut hooks: Hooks) -> Result<Outcome, TrainError> {
    let (mut config, mut resumed, out) = match start {
        Start::New { mut config, out } => {
            config.validate()?;
            if config.train.ema > 0.0 {
                config.train.ema_warm_up.get_or_insert(true);
            }
            let resolved = |out: PathBuf| claim::resolve(&out).map_err(RunError::io("create", &out));
            let out = out.map(resolved).transpose()?;
            if let Some(out) = &out {
                claim::look(out)?;
            }
            (config, None, out)
        }
        Start::Resume(resume) => {
            let lock = RunDir::open(&resume.dir)?.lock()?;
            let going = GoingOn::new(resume, lock)?;
            let mut config = going.config()?;
            config.data.source = hooks.reading.moved.clone().unwrap_or(config.data.source);
            (config, Some(going), None)
        }
    };
    config.train.precision = device.precision();
    let dataset = match (open_data(&mut config, &hooks), &resumed) {
        (Err(TrainError::Data(error)), Some(_)) => return Err(error.moved().into()),
        (opened, _) => opened?,
    };
    if let Some(going) = &resumed
        && let Some(was) = going.run.identity()?.filter(|_| !hooks.reading.changed)
    {
        was.require(&dataset.identity, &dataset.name)?;
    }
    let mut session = Session::new(&config.model, &config.optimizer(), config.train.seed, device)?;
    session.recompute = config.train.recompute;
    going(&hooks)?;
    let per_step = session.model.batches_per_step() as u64;
    let order = Order::new(dataset.train.len(), config.train.batch, config.train.seed)?;
    let steps_per_epoch = order.steps_per_epoch();
    config.optim.settle(steps_per_epoch);
    session.optim = config.optimizer();
    let total =
        config.train.steps.unwrap_or_else(|| config.train.epochs.saturating_mul(steps_per_epoch).div_ceil(per_step));
    config.train.steps = Some(total);
    config.validate()?;
    let step = match &mut resumed {
        Some(going) => going.load(&mut session, &config, (&order, dataset.train.len()), per_step)?,
        None => 0,
    };
    if let Some(going) = &resumed
        && step >= total
    {
        return Err(TrainError::Complete { dir: going.run.path.clone(), step });
    }
    session.go_to(step)?;
    let earlier = resumed.as_ref().map(|going| &going.run);
    let tuned = choose(&mut session, config.train.batch, total, earlier, hooks.tune.as_deref_mut())?;
    going(&hooks)?;
    session.check_later(config.train.batch, total)?;
    let Dataset { name, train, identity, warnings, .. } = dataset;
    let labelled = session.model.classes() > 0;
    let images = Images { split: Arc::new(train), order: Arc::new(order), per_step, labelled };
    if step == 0 {
        session.start(config.train.batch, &images.words(0))?;
    }
    let stage = Stage::new(&mut session, &images, step..total)?;

    (hooks.phase)(Phase::Training);
    going(&hooks)?;
    let (run, lock, remarks) = match resumed {
        Some(going) => going.go_on(config, &session, step)?,
        None => {
            let claim = match &out {
                Some(out) => Claim::of(out)?,
                None => Claim::fresh(Path::new("runs"), &config.name_or_kind())?,
            };
            let begun = Sitting::now(session.store.device(), session.choices.as_ref(), 0, Vec::new());
            let provenance = Provenance { sittings: vec![begun] };
            let (run, lock) = RunDir::create(config, claim, session.choices.as_ref(), &provenance)?;
            (run, lock, Vec::new())
        }
    };
    run.keep_identity(&identity)?;
    let mut log = Log::open(&run.log(), hooks.watch.take())?;
    warnings.iter().for_each(|w| log.say(w));
    let geometry = session.model.images().medium.describe(images.split.geometry);
    let data = format!("{name}, {} images of {geometry}", images.split.len());
    introduce(&mut log, &run, &session, &data, step..total);
    tuned.iter().flat_map(tune::Report::lines).for_each(|line| log.say(&line));
    let (metrics, missing) = Metrics::open(&run.metrics(), session.model.losses(), step)?;
    remarks.iter().chain(&missing).for_each(|remark| log.say(remark));
    let parts = Parts { run, lock, session, stage, images, log, metrics, hooks, steps_per_epoch, total, step };
    let mut training = Loop::new(parts)?;
    let result = training.train();
    if let Err(error) = &result {
        // The screen gets it from whoever called.
        training.note(error);
    }
    result?;
    Ok(training.outcome())
}

/// Refuses to go on with what comes before the first step once the run is to stop.
fn going(hooks: &Hooks) -> Result<(), TrainError> {
    if hooks.stop.load(Ordering::Relaxed) { Err(TrainError::Interrupted) } else { Ok(()) }
}

/// Chooses the variants of a session's kernels: those of the run that goes on, where it is on the same device,
/// else by measuring, if that is wanted.
fn choose(
    session: &mut Session,
    batch: usize,
    end: u64,
    resumed: Option<&RunDir>,
    tune: Option<&mut Tune>,
) -> Result<Option<tune::Report>, TrainError> {
    let Some(gpu) = session.store.device().gpu() else { return Ok(None) };
    let none = Choices::new(gpu.desc());
    session.choices = match resumed {
        Some(run) => run.load_choices(session.store.device())?,
        None => None,
    };
    match tune {
        Some(tune) if session.choices.is_none() => Ok(Some(tune(session, batch, end)?)),
        _ => {
            session.choices.get_or_insert(none);
            Ok(None)
        }
    }
}

/// Opens the images, and makes a path absolute so that `config.toml` works from any folder. A model that is told of
/// classes gets as many as there are, unless somebody said how many.
fn open_data(config: &mut Config, hooks: &Hooks) -> Result<Dataset, TrainError> {
    let build = |config: &Config| config.model.build().map_err(ConfigError::from);
    let dataset = of_any_classes(
        &config.data.source,
        build(config)?.as_ref(),
        &data::Options { range: config.data.range, ..hooks.reading.options.clone() },
    )?;
    config.adopt_classes(&dataset)?;
    let classes = build(config)?.classes();
    if classes > 0 {
        dataset.require_labels(classes)?;
    }
    config.data.classes.clone_from(&dataset.classes);
    let source = &mut config.data.source;
    if !data::is_known(source)
        && let Ok(path) = std::path::absolute(&source)
        && let Some(path) = path.to_str()
    {
        *source = path.into();
    }
    Ok(dataset)
}

/// What the run is, in a few lines.
fn introduce(log: &mut Log, run: &RunDir, session: &Session, data: &str, steps: Range<u64>) {
    let t = &run.config.train;
    let mixed = if t.precision == Precision::Mixed { " in mixed precision" } else { "" };
    let head = format!(
        "limn {}: {} ({} parameters) on {data}, batch {}, on {}{mixed}",
        env!("CARGO_PKG_VERSION"),
        run.config.name_or_kind(),
        session.model.parameters(),
        t.batch,
        session.store.device().name(),
    );
    log.say(&head);
    let verb = if steps.start == 0 { "steps" } else { "goes on with steps" };
    log.say(&format!("{verb} {} to {}, seed {}, in {}", steps.start + 1, steps.end, t.seed, run.path.display()));
    session.optim.average_in_words().iter().for_each(|words| log.say(words));
    if let Some(stage) = session.model.stage() {
        log.say(&format!("from step {}: {}", steps.start + 1, stage.name));
    }
}
