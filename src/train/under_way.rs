//! A run under way: the loop over its steps.

use super::batches::Images;
use super::checkpoint::{self, CheckpointError};
use super::folder::{Lock, RunDir};
use super::log::{Log, Progress};
use super::metrics::{Metrics, Row};
use super::run::{Hooks, Outcome, Phase, TrainError};
use super::stage::Stage;
use super::{HISTORY_ROWS, Session};
use crate::bench::quantile;
use crate::kernels::Class;
use crate::program::{Pending, Ring};
use crate::words::{duration, quoted};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

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

/// What a run needs before its first step.
pub(super) struct Parts<'a> {
    /// Its folder.
    pub(super) run: RunDir,
    /// What keeps others from training there.
    pub(super) lock: Lock,
    /// Its model.
    pub(super) session: Session,
    /// What takes the first steps.
    pub(super) stage: Stage,
    /// Its images.
    pub(super) images: Images,
    /// Its log.
    pub(super) log: Log<'a>,
    /// Its losses.
    pub(super) metrics: Metrics,
    /// What is called and asked on the way.
    pub(super) hooks: Hooks<'a>,
    /// Batches in a pass over the images.
    pub(super) steps_per_epoch: u64,
    /// Steps it is to have.
    pub(super) total: u64,
    /// Steps done.
    pub(super) step: u64,
}

/// A run under way.
pub(super) struct Loop<'a> {
    run: RunDir,
    _lock: Lock,
    session: Session,
    /// What takes the steps; none between two stages.
    stage: Option<Stage>,
    /// Losses of the last steps.
    history: Ring,
    images: Images,
    log: Log<'a>,
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

impl<'a> Loop<'a> {
    /// A run that is about to take its next step.
    pub(super) fn new(parts: Parts<'a>) -> Result<Loop<'a>, TrainError> {
        let Parts { run, lock, session, stage, images, log, metrics, hooks, steps_per_epoch, total, step } = parts;
        let history = session.store.ring("history")?;
        let now = Tick { wall: metrics.seconds, active: 0.0 };
        let software = session.store.device().caps().is_some_and(|caps| caps.class == Class::Lanes);
        Ok(Loop {
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
        })
    }

    /// Writes into the log why training stopped.
    pub(super) fn note(&mut self, error: &TrainError) {
        self.log.note(&error.to_string());
    }

    /// Takes the steps that are left, or those until it is to stop, and saves.
    pub(super) fn train(&mut self) -> Result<(), TrainError> {
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
        self.log.step(self.step);
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

    /// Saves a checkpoint once all losses up to here are known to be finite, and on the disk.
    fn save(&mut self) -> Result<(), TrainError> {
        self.collect(true)?;
        let keep = self.run.config.train.keep;
        if let Some(last) = self.saved.filter(|last| keep > 1 && *last != self.step)
            && let Err(error) = self.run.keep_last(last)
        {
            self.log.say(&format!("the checkpoint of step {last} could not be kept: {error}"));
        }
        let (file, batch) = (self.run.checkpoint(), self.run.config.train.batch);
        let saved = self.metrics.synced(|| checkpoint::save(&file, &self.session, self.step, batch));
        match saved.map_err(|e| self.stopped(e))? {
            Ok(()) => {
                self.saved = Some(self.step);
                self.run.prune(keep - 1);
                Ok(())
            }
            Err(CheckpointError::NotFinite { tensor }) => {
                let why = format!("training broke down: {tensor} is no longer finite after step {}", self.step);
                Err(TrainError::Stopped { why, saved: self.saved_before() })
            }
            Err(error) => Err(self.stopped(error)),
        }
    }

    /// Draws a picture of samples. A picture that fails is no reason to stop.
    fn draw(&mut self) {
        self.sampled = Some(self.step);
        let Some(sampler) = &mut self.hooks.sampler else { return };
        let path = self.run.samples().join(format!("step-{}.png", self.step));
        (self.hooks.phase)(Phase::Drawing);
        let samples = self.run.config.train.samples;
        let drawn = match self.session.go_to(self.step) {
            Ok(()) => self.session.with_averages(|session| sampler(session, samples, &path)),
            Err(error) => Err(error.into()),
        };
        (self.hooks.phase)(Phase::Training);
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

    /// What of the run is saved where its numbers broke down, and how to do better: the same steps would end as these
    /// did.
    fn saved_before(&self) -> String {
        let dir = quoted(&self.run.path);
        match (self.saved, self.run.config.optim.lr()) {
            (Some(step), Some(lr)) => format!(
                "step {step} is saved, go on from it with a smaller rate: `limn train --resume {dir} --set optim.lr={:?}`",
                (lr / 10.0) as f32
            ),
            (None, Some(_)) => "no checkpoint had been saved yet; begin again with a smaller optim.lr".into(),
            (_, None) => self.saved(),
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
        TrainError::Diverged { step, loss, value, tensor, saved: self.saved_before() }
    }

    fn host_ms(&self) -> f64 {
        let mut host: Vec<f64> = self.host.iter().map(|us| f64::from(*us) / 1e3).collect();
        quantile(&mut host, 0.5)
    }

    /// How it ended.
    pub(super) fn outcome(self) -> Outcome {
        let host_ms = self.host_ms();
        let losses = std::iter::zip(self.session.model.losses().iter().copied(), self.last).collect();
        Outcome { run: self.run, step: self.step, total: self.total, losses, host_ms }
    }
}
