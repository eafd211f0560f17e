//! The training loop.

use super::batches::Images;
use super::checkpoint::{self, CheckpointError};
use super::folder::{RunDir, RunError};
use super::images::of_any_classes;
use super::log::{Log, Metrics, Progress, Row, duration};
use super::stage::Stage;
use super::{Config, ConfigError, HISTORY_ROWS, Session, SessionError};
use crate::data::{self, Dataset, Order};
use crate::kernels::{Class, Precision};
use crate::program::{Device, DeviceError, Pending, Ring};
use crate::tune;
use crate::words::quoted;
use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What to train.
#[expect(clippy::large_enum_variant, reason = "there is one of it in a run")]
pub enum Start {
    /// A new run.
    New {
        /// Its settings.
        config: Config,
        /// Its folder; `runs/NAME-N` without one.
        out: Option<PathBuf>,
    },
    /// A run that goes on from its checkpoint, or from the start if it has none yet.
    Resume {
        /// Its folder.
        dir: PathBuf,
        /// A new end, in steps.
        steps: Option<u64>,
        /// A new end, in epochs.
        epochs: Option<u64>,
    },
}

/// Draws this many samples of the session's model into the picture at this path.
pub type Sampler<'a> = dyn FnMut(&mut Session, usize, &Path) -> Result<(), Box<dyn std::error::Error>> + 'a;

/// Chooses the variants of the kernels of a session's training steps, for this batch and up to this step.
pub type Tune<'a> = dyn FnMut(&mut Session, usize, u64) -> Result<tune::Report, SessionError> + 'a;

/// What the loop calls and asks on its way.
pub struct Hooks<'a> {
    /// Chooses variants before a run begins on a device; without it the best guesses are taken.
    pub tune: Option<&'a mut Tune<'a>>,
    /// Draws pictures of samples.
    pub sampler: &'a mut Sampler<'a>,
    /// Becomes true when the run shall stop after the step it is at.
    pub stop: &'a AtomicBool,
    /// Whether to show progress.
    pub screen: bool,
    /// How its images are read.
    pub reading: Reading<'a>,
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
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its images.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// Its model on the device.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Nothing is left to do.
    #[error("the run in {} is complete ({step} steps); to train on, resume it with a larger --steps", .dir.display())]
    Complete {
        /// The folder.
        dir: PathBuf,
        /// Steps done.
        step: u64,
    },
    /// A loss that is not a number, or is infinite.
    #[error(
        "training broke down: {loss} is {value} at step {step}, and {tensor}; a smaller optim.lr may help; {saved}"
    )]
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
    let (mut config, resumed, out) = match start {
        Start::New { mut config, out } => {
            config.validate()?;
            if config.train.ema > 0.0 {
                config.train.ema_warm_up.get_or_insert(true);
            }
            if let Some(out) = &out {
                RunDir::free(out)?;
            }
            (config, None, out)
        }
        Start::Resume { dir, steps, epochs } => {
            let run = RunDir::open(&dir)?;
            let lock = run.lock()?;
            let mut config = run.config.clone();
            if let Some(epochs) = epochs {
                (config.train.epochs, config.train.steps) = (epochs, None);
            }
            config.train.steps = steps.or(config.train.steps);
            config.data.source = hooks.reading.moved.clone().unwrap_or(config.data.source);
            config.validate()?;
            (config, Some((run, lock)), None)
        }
    };
    config.train.precision = device.precision();
    let dataset = match (open_data(&mut config, &hooks), &resumed) {
        (Err(TrainError::Data(error)), Some(_)) => return Err(error.moved().into()),
        (opened, _) => opened?,
    };
    if let Some((run, _)) = &resumed
        && let Some(was) = run.identity()?.filter(|_| !hooks.reading.changed)
    {
        was.require(&dataset.identity, &dataset.name)?;
    }
    let mut session = Session::new(&config.model, &config.optimizer(), config.train.seed, device)?;
    session.recompute = config.train.recompute;
    let per_step = session.model.batches_per_step() as u64;
    let order = Order::new(dataset.train.len(), config.train.batch, config.train.seed)?;
    let steps_per_epoch = order.steps_per_epoch();
    config.optim.settle(steps_per_epoch);
    session.optim = config.optimizer();
    let total =
        config.train.steps.unwrap_or_else(|| config.train.epochs.saturating_mul(steps_per_epoch).div_ceil(per_step));
    config.train.steps = Some(total);
    config.validate()?;
    let step = match &resumed {
        Some((run, _)) if run.checkpoint().exists() => {
            checkpoint::load(&run.checkpoint(), &mut session).map_err(RunError::from)?
        }
        _ => 0,
    };
    if let Some((run, _)) = &resumed
        && step >= total
    {
        return Err(TrainError::Complete { dir: run.path.clone(), step });
    }
    session.go_to(step)?;
    let going = resumed.as_ref().map(|(run, _)| run);
    let tuned = choose(&mut session, config.train.batch, total, going, hooks.tune.as_deref_mut())?;
    session.check_later(config.train.batch, total)?;
    let Dataset { name, train, identity, warnings, .. } = dataset;
    let labelled = session.model.classes() > 0;
    let images = Images { split: Arc::new(train), order: Arc::new(order), per_step, labelled };
    if step == 0 {
        session.start(config.train.batch, &images.words(0))?;
    }
    let stage = Stage::new(&mut session, &images, step..total)?;

    let (run, lock) = match resumed {
        Some((mut run, lock)) => {
            run.config = config;
            run.write_config()?;
            (run, lock)
        }
        None => {
            let run = RunDir::create(config, out.as_deref(), session.choices.as_ref())?;
            let lock = run.lock()?;
            (run, lock)
        }
    };
    run.keep_identity(&identity)?;
    let mut log = Log::open(&run.log(), hooks.screen)?;
    warnings.iter().for_each(|w| log.say(w));
    let geometry = session.model.medium().describe(images.split.geometry);
    let data = format!("{name}, {} images of {geometry}", images.split.len());
    introduce(&mut log, &run, &session, &data, step..total);
    tuned.iter().flat_map(tune::Report::lines).for_each(|line| log.say(&line));
    let metrics = Metrics::open(&run.metrics(), session.model.losses(), step)?;
    let history = session.store.ring("history")?;
    let now = Tick { wall: metrics.seconds, active: 0.0 };
    let software = session.store.device().caps().is_some_and(|caps| caps.class == Class::Lanes);
    let mut training = Loop {
        run,
        _lock: lock,
        session,
        stage: Some(stage),
        history,
        images,
        log,
        metrics,
        hooks,
        steps_per_epoch,
        total,
        step,
        saved: (step > 0).then_some(step),
        sampled: None,
        blocks: VecDeque::new(),
        asked: step,
        ticks: VecDeque::new(),
        before: now,
        began: Instant::now(),
        offset: now.wall,
        paused: Duration::ZERO,
        software,
        last: Vec::new(),
        host: Vec::new(),
    };
    let result = training.train();
    if let Err(error) = &result {
        // The screen gets it from whoever called.
        training.log.note(&error.to_string());
    }
    result?;
    Ok(training.outcome())
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
    let none = tune::Choices::new(gpu.desc());
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
    let build = |config: &Config| config.model.build().map_err(ConfigError::Value);
    let dataset = of_any_classes(&config.data.source, build(config)?.as_ref(), &hooks.reading.options)?;
    config.adopt_classes(&dataset)?;
    let classes = build(config)?.classes();
    if classes > 0 {
        dataset.require_labels(classes)?;
    }
    config.data.classes.clone_from(&dataset.classes);
    let source = &mut config.data.source;
    let known = source == "builtin" || data::list().iter().any(|set| set.name == source);
    if !known
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

/// When a step was handed to the device, in seconds.
#[derive(Clone, Copy)]
struct Tick {
    /// Since the run began, earlier sittings included.
    wall: f64,
    /// In this sitting, time for checkpoints and pictures left out.
    active: f64,
}

/// Losses of some steps on their way from the device.
struct Block {
    steps: Range<u64>,
    history: Pending,
}

/// A run under way.
struct Loop<'a> {
    run: RunDir,
    _lock: File,
    session: Session,
    /// What takes the steps; none between two stages.
    stage: Option<Stage>,
    /// Losses of the last steps.
    history: Ring,
    images: Images,
    log: Log,
    metrics: Metrics,
    hooks: Hooks<'a>,
    steps_per_epoch: u64,
    total: u64,
    /// Steps done.
    step: u64,
    /// The step of the checkpoint on disk.
    saved: Option<u64>,
    /// The step of the last picture.
    sampled: Option<u64>,
    blocks: VecDeque<Block>,
    /// Steps whose losses have been asked for.
    asked: u64,
    /// One for each step whose losses have not arrived.
    ticks: VecDeque<Tick>,
    /// The tick of the last step whose losses have arrived.
    before: Tick,
    began: Instant,
    /// Seconds of earlier sittings.
    offset: f64,
    paused: Duration,
    /// Whether the device is a software one.
    software: bool,
    /// Losses of the last step that has arrived.
    last: Vec<f32>,
    /// Host time of each step in microseconds.
    host: Vec<f32>,
}

impl Loop<'_> {
    fn train(&mut self) -> Result<(), TrainError> {
        let (log_every, checkpoint_every, sample_every) = {
            let t = &self.run.config.train;
            (t.log_every, t.checkpoint_every, t.sample_every)
        };
        while self.step < self.total && !self.hooks.stop.load(Ordering::Relaxed) {
            self.one_step(log_every)?;
            let due = |every: u64| every > 0 && self.step.is_multiple_of(every) && self.step < self.total;
            let (save, draw) = (due(checkpoint_every), due(sample_every));
            if save || draw {
                // What is still running is training, not pause.
                self.collect(true)?;
            }
            let pause = Instant::now();
            if save {
                self.save()?;
            }
            if draw {
                self.draw();
            }
            if save || draw {
                self.paused += pause.elapsed();
            }
        }
        self.collect(true)?;
        if self.saved != Some(self.step) {
            self.save()?;
        }
        if self.sampled != Some(self.step) && self.step == self.total {
            self.draw();
        }
        self.log.finish();
        let spent = duration(self.began.elapsed());
        let line = format!(
            "step {} done after {spent}; the host spent {:.2} ms on a step (median), waiting left out",
            self.step,
            self.host_ms()
        );
        self.log.note(&line);
        Ok(())
    }

    /// Hands one step to the device and takes the losses that have come back.
    fn one_step(&mut self, log_every: u64) -> Result<(), TrainError> {
        let stage = match self.stage.take() {
            Some(stage) if self.step < stage.end => stage,
            earlier => self.next_stage(earlier)?,
        };
        let stage = self.stage.insert(stage);
        // Asked for losses, a software device would wait all the same, and that count as the host's time.
        let wait = self.software && (self.step + 1).is_multiple_of(log_every);
        let mut host = stage.step(wait).map_err(|e| self.stopped(e))?;
        self.step += 1;
        let rest = Instant::now();
        self.ticks.push_back(self.now());
        if self.step.is_multiple_of(log_every) {
            self.ask();
        }
        self.collect(false)?;
        self.log.tick(self.step);
        host += rest.elapsed();
        self.host.push(host.as_secs_f32() * 1e6);
        Ok(())
    }

    /// Makes ready the program of the stage that begins now, once that of the one before is gone.
    fn next_stage(&mut self, earlier: Option<Stage>) -> Result<Stage, TrainError> {
        self.collect(true)?;
        let pause = Instant::now();
        drop(earlier);
        let made = self.session.go_to(self.step);
        let made = made.and_then(|()| Stage::new(&mut self.session, &self.images, self.step..self.total));
        let stage = made.map_err(|e| self.stopped(e))?;
        if let Some(stage) = self.session.model.stage() {
            self.log.say(&format!("from step {}: {}", self.step + 1, stage.name));
        }
        self.paused += pause.elapsed();
        Ok(stage)
    }

    fn now(&self) -> Tick {
        let elapsed = self.began.elapsed();
        Tick { wall: self.offset + elapsed.as_secs_f64(), active: (elapsed - self.paused).as_secs_f64() }
    }

    /// Asks the device for the losses of the steps since it was last asked.
    fn ask(&mut self) {
        if self.asked < self.step {
            let history = self.history.start_read();
            self.blocks.push_back(Block { steps: self.asked..self.step, history });
            self.asked = self.step;
        }
    }

    /// Takes the losses that have arrived; with `all`, waits for those of every step done.
    fn collect(&mut self, all: bool) -> Result<(), TrainError> {
        if all {
            self.ask();
        }
        while let Some(block) = self.blocks.front() {
            let history = if all { block.history.take().map(Some) } else { block.history.try_take() };
            match history.map_err(|e| self.stopped(e))? {
                Some(history) => {
                    let steps = block.steps.clone();
                    self.blocks.pop_front();
                    self.record(steps, &history, all && self.blocks.is_empty())?;
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Writes the losses of some steps to `metrics.csv` and shows their mean. `idle` says that the
    /// device has nothing left to do.
    fn record(&mut self, steps: Range<u64>, history: &[f32], idle: bool) -> Result<(), TrainError> {
        let names = self.session.model.losses();
        let count = (steps.end - steps.start) as usize;
        let ticks: Vec<Tick> = self.ticks.drain(..count.min(self.ticks.len())).collect();
        // A step's tick is when it was queued; the last one's end is known only of an idle device.
        let end = if idle { self.now() } else { ticks.last().copied().unwrap_or(self.before) };
        let per_step = self.images.per_step;
        let images = (self.images.batch() as u64 * per_step) as f64;
        let rate = images * count as f64 / (end.active - self.before.active).max(1e-9);
        self.before = end;
        let mut sums = vec![0.0f64; names.len()];
        for (step, tick) in std::iter::zip(steps.clone(), &ticks) {
            let at = (step % HISTORY_ROWS as u64) as usize * names.len();
            let losses = &history[at..at + names.len()];
            if let Some(bad) = losses.iter().position(|l| !l.is_finite()) {
                return Err(self.diverged(step + 1, names[bad], losses[bad]));
            }
            std::iter::zip(&mut sums, losses).for_each(|(sum, l)| *sum += f64::from(*l));
            let epoch = step * per_step / self.steps_per_epoch + 1;
            let row = Row { step: step + 1, epoch, losses, rate, seconds: tick.wall };
            self.metrics.write(&row).map_err(|e| self.stopped(e))?;
            self.last = losses.to_vec();
        }
        self.metrics.flush().map_err(|e| self.stopped(e))?;
        let losses: Vec<(&'static str, f64)> =
            std::iter::zip(names.iter().copied(), sums.iter().map(|s| s / count as f64)).collect();
        let left = Duration::try_from_secs_f64((self.total - steps.end) as f64 * images / rate);
        self.log.progress(&Progress {
            step: steps.end,
            total: self.total,
            rate,
            losses: &losses,
            left: left.unwrap_or_default(),
        });
        Ok(())
    }

    /// Saves a checkpoint once all losses up to here are known to be finite.
    fn save(&mut self) -> Result<(), TrainError> {
        self.collect(true)?;
        match checkpoint::save(&self.run.checkpoint(), &self.session, self.step) {
            Ok(()) => {
                self.saved = Some(self.step);
                Ok(())
            }
            Err(CheckpointError::NotFinite { tensor }) => {
                let why = format!("training broke down: {tensor} is no longer finite after step {}", self.step);
                Err(self.stopped(format!("{why}; a smaller optim.lr may help")))
            }
            Err(error) => Err(self.stopped(error)),
        }
    }

    /// Draws a picture of samples. A picture that fails is no reason to stop.
    fn draw(&mut self) {
        self.sampled = Some(self.step);
        let path = self.run.samples().join(format!("step-{}.png", self.step));
        let (sampler, samples) = (&mut self.hooks.sampler, self.run.config.train.samples);
        let drawn = match self.session.go_to(self.step) {
            Ok(()) => self.session.with_averages(|session| sampler(session, samples, &path)),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = drawn {
            self.log.say(&format!("no picture of samples at step {}: {error}", self.step));
        }
    }

    /// What of the run is saved, for the end of a sentence.
    fn saved(&self) -> String {
        let dir = quoted(&self.run.path);
        match self.saved {
            Some(step) => format!("step {step} is saved, go on from it with `limn train --resume {dir}`"),
            None => "no checkpoint had been saved yet".into(),
        }
    }

    fn stopped(&self, why: impl ToString) -> TrainError {
        TrainError::Stopped { why: why.to_string(), saved: self.saved() }
    }

    fn diverged(&self, step: u64, loss: &'static str, value: f32) -> TrainError {
        let tensor = match checkpoint::not_finite(&self.session) {
            Ok(Some(tensor)) => format!("{tensor} is the first tensor that is not finite"),
            Ok(None) => "all parameters are still finite".into(),
            Err(error) => format!("the parameters cannot be read ({error})"),
        };
        TrainError::Diverged { step, loss, value, tensor, saved: self.saved() }
    }

    fn host_ms(&self) -> f64 {
        let mut host = self.host.clone();
        host.sort_by(f32::total_cmp);
        host.get(host.len() / 2).map_or(0.0, |us| f64::from(*us) / 1e3)
    }

    fn outcome(self) -> Outcome {
        let host_ms = self.host_ms();
        let losses = std::iter::zip(self.session.model.losses().iter().copied(), self.last).collect();
        Outcome { run: self.run, step: self.step, total: self.total, losses, host_ms }
    }
}
