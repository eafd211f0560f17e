//! A run under way: the loop over its steps.

use super::Session;
use super::batches::{Images, Passes};
use super::breakdown::Breakdown;
use super::checkpoint::{self, CheckpointError};
use super::folder::{CONFIG, Lock, RunDir};
use super::health::Health;
use super::log::{Log, Progress};
use super::logs::Followers;
use super::losses::{Arrived, Losses};
use super::metrics::{Metrics, Row};
use super::pace::Pace;
use super::prepare::Prepared;
use super::provenance::Unfinished;
use super::recent::Recent;
use super::run::{Hooks, Outcome, Resume, Saved, Start, TrainError};
use super::share::Share;
use super::step_runner::StepRunner;
use super::stopwatch::Stopwatch;
use super::testing::Testing;
use super::together::{self, Agreed, Next};
use super::tracing::Tracing;
use super::turns::Turns;
use crate::bench::Track;
use crate::data::Split;
use crate::kernels::Class;
use crate::program::Device;
use crate::ranks::Pause;
use std::fs;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The share of a run's time that pictures beside those of samples take at most at its end, where
/// nothing else is said.
const VIEWS: Share = Share::of(0.02);

/// How often losses are shown to whoever watches.
const LIVE: Duration = Duration::from_millis(250);

/// A run under way.
pub(super) struct Loop<'a> {
    /// Its folder.
    pub(super) run: RunDir,
    /// What keeps others from training there.
    pub(super) _lock: Lock,
    /// Its model.
    pub(super) session: Session,
    /// What takes the steps; none between two stages.
    pub(super) stage: Option<StepRunner>,
    /// Its images.
    pub(super) images: Images,
    /// Images for pictures of what else the model can do.
    pub(super) test: Split,
    /// How long the slowest picture of samples took.
    pub(super) drew: Duration,
    /// Logs for other programs.
    pub(super) followers: Followers,
    /// Its log.
    pub(super) log: Log<'a>,
    /// Where its losses are written.
    pub(super) metrics: Metrics,
    /// Its losses on their way.
    pub(super) losses: Losses,
    /// Losses since the log last told of them.
    pub(super) recent: Recent,
    /// Whether it goes well.
    pub(super) health: Health,
    /// How far images of the data are from each other, once it was asked.
    pub(super) spread: Option<f64>,
    /// When pictures are drawn.
    pub(super) pictures: Turns,
    /// How fast it goes.
    pub(super) pace: Pace,
    /// When the losses were last asked for, and shown.
    pub(super) shown: Instant,
    /// What it is measured on, where it is.
    pub(super) testing: Option<Testing>,
    /// Its time.
    pub(super) watch: Stopwatch,
    /// What is called and asked on the way.
    pub(super) hooks: Hooks<'a>,
    pub(super) passes: Passes,
    /// What the step that it goes on from still lacks.
    pub(super) unfinished: Option<Unfinished>,
    /// Steps it is to have.
    pub(super) total: u64,
    /// Steps done.
    pub(super) step: u64,
    /// The step of the checkpoint on disk.
    pub(super) saved: Option<u64>,
    /// Whether it was saved because of the time, and not of its step.
    pub(super) by_time: bool,
    /// When the last one was saved, or the sitting began.
    pub(super) saved_at: Instant,
    /// The step of the last picture.
    pub(super) sampled: Option<u64>,
    /// Losses of the last step that has arrived.
    pub(super) last: Vec<f32>,
    /// A trace of some of its steps.
    pub(super) tracing: Option<Tracing>,
}

impl Loop<'_> {
    /// Writes into the log why training stopped.
    pub(super) fn note(&mut self, error: &TrainError) {
        self.log.note(&error.to_string());
    }

    /// A line of its log.
    pub(super) fn say(&mut self, line: &str) {
        self.log.say(line);
    }

    /// Its device opened anew, where it is lost and can be.
    pub(super) fn fresh_device(&self) -> Option<Device> {
        // The other ranks have states that go on from where they are.
        let alone = self.session.store.together().is_none();
        alone.then(|| self.session.store.device().anew())?
    }

    /// Goes on from the last checkpoint on another device.
    ///
    /// # Errors
    /// Those of a run that goes on.
    pub(super) fn go_on(self, device: Device) -> Result<Self, TrainError> {
        let Loop { run, _lock: lock, log, mut hooks, session, stage, losses, metrics, followers, .. } = self;
        // What is there twice otherwise: the folder's lock, its open files, and what is left on the device.
        drop((lock, stage, losses, session, metrics, followers));
        hooks.watch = log.leave();
        let resume = Start::Resume(Resume { dir: run.path, ..Resume::default() });
        Prepared::new(resume, device, &mut hooks)?.begin(hooks)
    }

    /// Takes the steps that are left, or those until it is to stop, and saves.
    pub(super) fn train(&mut self) -> Result<(), TrainError> {
        let (log_every, checkpoint_every, views_every) = {
            let t = &self.run.config.train;
            (t.log_every, t.checkpoint_every, t.views_every)
        };
        self.make_up()?;
        while self.step < self.total && !self.is_to_stop()? {
            self.one_step(log_every)?;
            let before_end = self.step < self.total;
            let due = |every: u64| before_end && every > 0 && self.step.is_multiple_of(every);
            let (regular, view) = (due(checkpoint_every), due(views_every.unwrap_or(0)));
            let save = regular || before_end && checkpoint_every > 0 && self.is_late();
            let draw = before_end && self.pictures.due(self.step, self.watch.now().active);
            let test = before_end && self.is_measured();
            if save || draw || test || view {
                // What is still running is training, not pause.
                self.collect(true)?;
                self.is_there()?;
            }
            // What belongs to a step comes before its checkpoint: whenever the run is killed, it goes on from one
            // that has all of it.
            let pause = Instant::now();
            let pausing = self.pausing(save || draw || test || view);
            if draw {
                self.draw()?;
            }
            if test {
                self.measure()?;
            }
            if view {
                self.view()?;
            }
            if save {
                self.save()?;
                self.by_time = !regular;
            }
            drop(pausing);
            if save || draw || test || view {
                self.report(false);
                self.watch.pause(pause);
            }
        }
        self.collect(true)?;
        self.is_there()?;
        let _pausing = self.pausing(true);
        if let Some(tracing) = self.tracing.take().filter(|tracing| !tracing.trace.is_empty()) {
            self.end_trace(tracing)?;
        }
        if self.sampled != Some(self.step) && self.step == self.total {
            self.draw()?;
        }
        if self.step == self.total && self.is_measured() {
            self.measure()?;
        }
        // They are fewer images than one of samples, and of those that are completed half is there.
        let cheap = || VIEWS.allows(self.drew / 2, self.watch.now().active);
        if self.step == self.total && views_every.map_or_else(cheap, |every| every > 0) {
            self.view()?;
        }
        if self.saved != Some(self.step) {
            self.save()?;
        }
        self.report(true);
        self.agree(Next::End, 0)?;
        self.log.finish();
        // On a built-in device the host computes the step itself, and nothing is waited for.
        let host = self.session.store.device().gpu().map_or(String::new(), |_| {
            format!("; the host spent {:.2} ms on a step (median), waiting left out", self.watch.host_ms())
        });
        self.log.note(&format!("step {} done after {}{host}", self.step, self.watch.spent()));
        Ok(())
    }

    /// Whether this rank or another is to stop.
    fn is_to_stop(&self) -> Result<bool, TrainError> {
        let agreed = self.agree(Next::Step, 0)?;
        Ok(agreed.map_or_else(|| self.hooks.stop.load(Ordering::Relaxed), |agreed| agreed.stop))
    }

    /// Tells the other ranks what is done next, where there are any.
    fn agree(&self, next: Next, images: usize) -> Result<Option<Agreed>, TrainError> {
        let together = self.session.store.together();
        let agreed = together.map(|together| together::agree(together, &self.hooks, next, images)).transpose();
        agreed.map_err(|e| self.stopped(e))
    }

    /// Shares what is done now with the other ranks, where they all can.
    pub(super) fn share(&mut self, next: Next, images: usize) -> Result<(), TrainError> {
        let all = self.agree(next, images)?.is_some_and(|agreed| agreed.all);
        let together = self.session.store.together().filter(|_| all).cloned();
        self.session.share_work(together);
        Ok(())
    }

    /// Has other ranks wait for this one, however long it takes.
    pub(super) fn pausing(&self, wanted: bool) -> Option<Pause> {
        together::pause(self.session.store.together().filter(|_| wanted))
    }

    /// Hands one step to the device and takes the losses that have come back.
    fn one_step(&mut self, log_every: u64) -> Result<(), TrainError> {
        let stage = match self.stage.take() {
            Some(stage) if self.step < stage.end => stage,
            earlier => self.next_stage(earlier)?,
        };
        let stage = self.stage.insert(stage);
        // Asked for losses, a software device would wait all the same, and that count as the host's
        // time.
        let caps = self.session.store.device().caps();
        let software = caps.is_some_and(|caps| caps.class == Class::Lanes);
        // Whoever watches sees losses before the log has its line.
        let live = self.log.watch().is_some() && self.shown.elapsed() >= LIVE;
        let ask = live || (self.step + 1).is_multiple_of(log_every);
        let mut tracing = self.tracing.take();
        let traced = tracing.as_mut().filter(|tracing| tracing.takes(self.step));
        let stepped = match traced {
            Some(tracing) => stage.step_traced(&mut tracing.trace),
            None => stage.step(software && ask),
        };
        let mut host = stepped.map_err(|e| self.stopped(e))?;
        self.step += 1;
        let rest = Instant::now();
        self.losses.queue(self.watch.now());
        self.pace.step(self.step, rest);
        if ask {
            self.losses.ask();
        }
        match tracing {
            Some(tracing) if tracing.ends(self.step - 1) => self.end_trace(tracing)?,
            open => self.tracing = open,
        }
        self.collect(false)?;
        if live {
            self.show();
        }
        host += rest.elapsed();
        self.watch.step(host);
        Ok(())
    }

    /// Reads the losses back that are on their way, as the last thing a trace shows, and writes it.
    fn end_trace(&mut self, mut tracing: Tracing) -> Result<(), TrainError> {
        let start = Instant::now();
        self.collect(true)?;
        tracing.trace.add(Track::Readbacks, "losses", start, start.elapsed());
        let told = tracing.write().unwrap_or_else(|failed| failed);
        self.log.say(&told);
        Ok(())
    }

    /// Makes ready the program of the stage that begins now, once that of the one before is gone.
    fn next_stage(&mut self, earlier: Option<StepRunner>) -> Result<StepRunner, TrainError> {
        self.collect(true)?;
        let pause = Instant::now();
        let _pausing = self.pausing(true);
        drop(earlier);
        let made = self.session.go_to(self.step);
        let made = made.and_then(|()| StepRunner::new(&mut self.session, &self.images, self.step..self.total));
        let stage = made.map_err(|e| self.stopped(e))?;
        if let Some(stage) = self.session.model.stage() {
            self.log.say(&format!("from step {}: {}", self.step + 1, stage.name));
        }
        self.pace.restart();
        self.watch.pause(pause);
        Ok(stage)
    }

    /// Takes the losses that have arrived; with `all`, waits for those of every step done.
    fn collect(&mut self, all: bool) -> Result<(), TrainError> {
        if all {
            self.losses.ask();
        }
        while let Some(arrived) = self.losses.next(all, || self.watch.now()).map_err(|e| self.stopped(e))? {
            self.record(&arrived)?;
        }
        Ok(())
    }

    /// Writes the losses of some steps to `metrics.csv` and shows their mean.
    fn record(&mut self, arrived: &Arrived) -> Result<(), TrainError> {
        let names = self.session.model.losses();
        let per_step = self.images.per_step;
        let images = (self.images.batch() as u64 * per_step) as f64;
        let count = (arrived.steps.end - arrived.steps.start) as f64;
        let rate = images * count / arrived.seconds;
        for (step, tick, losses) in arrived.rows() {
            if let Some(bad) = losses.iter().position(|l| !l.is_finite()) {
                return Err(self.diverged(step + 1, names[bad], losses[bad]));
            }
            self.recent.add(losses);
            if let Some(warning) = self.health.step(step + 1, losses) {
                self.log.warn(&warning);
            }
            let epoch = self.passes.of(step * per_step);
            let row = Row { step: step + 1, epoch, losses, rate, seconds: tick.wall };
            self.metrics.write(&row).map_err(|e| self.stopped(e))?;
            self.followers.each(&mut self.log, |log| log.step(names, &row));
            self.last = losses.to_vec();
        }
        self.followers.each(&mut self.log, |log| log.flush());
        self.metrics.flush().map_err(|e| self.stopped(e))?;
        self.recent.took(images * count, arrived.seconds);
        let (step, total) = (arrived.steps.end, self.total);
        if step.is_multiple_of(self.run.config.train.log_every) || step == total {
            let recent = self.recent.take();
            let (rate, losses, left) = (recent.rate(), recent.means(names), self.pace.left(total));
            self.log.progress(&Progress { step, total, rate, losses: &losses, left });
            if let (Some(pace), Some(left)) = (&mut self.hooks.pace, left)
                && let Some(line) = pace(&self.run.config, images / rate, left)
            {
                self.log.say(&line);
            }
        }
        Ok(())
    }

    /// Shows where the run stands, between two lines of the log.
    fn show(&mut self) {
        self.shown = Instant::now();
        let (step, total, left) = (self.step, self.total, self.pace.left(self.total));
        let (rate, losses) = (self.recent.rate(), self.recent.means(self.session.model.losses()));
        if let Some(watch) = self.log.watch() {
            watch.live(&Progress { step, total, rate, losses: &losses, left });
        }
        // Where steps are slow, the log's first line is minutes away.
        if self.pace.settles()
            && let (Some(pace), Some(left)) = (&mut self.hooks.pace, left)
            && let Some(line) =
                pace(&self.run.config, left.as_secs_f64() / total.saturating_sub(step).max(1) as f64, left)
        {
            self.log.say(&line);
        }
    }

    /// Refuses to write into a folder that is no run's any more: whoever took it away would find the half of one.
    fn is_there(&self) -> Result<(), TrainError> {
        match fs::metadata(self.run.path.join(CONFIG)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let dir = self.run.path.display();
                let why = "somebody moved the run, and it can go on where it is now, or took it away";
                Err(self.stopped(format!("{dir} has no config.toml any more: {why}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the last checkpoint is so old that another is due whatever the step.
    fn is_late(&self) -> bool {
        let minutes = self.run.config.train.checkpoint_minutes;
        minutes > 0.0 && self.saved_at.elapsed().as_secs_f64() >= 60.0 * minutes
    }

    /// Saves a checkpoint once all losses up to here are known to be finite, and on the disk.
    fn save(&mut self) -> Result<(), TrainError> {
        self.collect(true)?;
        let keep = self.run.config.train.keep;
        // One that the time asked for is in nobody's way: those of their steps are to stay.
        if let Some(last) = self.saved.filter(|last| keep > 1 && *last != self.step && !self.by_time)
            && let Err(error) = self.run.keep_last(last)
        {
            self.log.say(&format!("the checkpoint of step {last} could not be kept: {error}"));
        }
        self.followers.each(&mut self.log, |log| log.sync());
        let (file, batch) = (self.run.checkpoint(), self.run.config.train.batch);
        let saved = self.metrics.synced(|| checkpoint::save(&file, &self.session, self.step, batch));
        match saved.map_err(|e| self.stopped(e))? {
            Ok(()) => {
                (self.saved, self.by_time, self.saved_at) = (Some(self.step), false, Instant::now());
                self.followers.each(&mut self.log, |log| log.saved(self.step, &self.session));
                self.run.prune(keep - 1);
                Ok(())
            }
            Err(CheckpointError::NotFinite { tensor }) => {
                Err(self.broke_down(self.step, format!("{tensor} is no longer finite after it")))
            }
            Err(error) => Err(self.stopped(error)),
        }
    }

    /// What of the run is saved.
    pub(super) fn saved(&self) -> Saved {
        let step = self.saved.filter(|_| self.run.checkpoint().is_file());
        Saved { dir: self.run.path.clone(), step }
    }

    pub(super) fn stopped(&self, why: impl ToString) -> TrainError {
        TrainError::Stopped { why: why.to_string(), saved: self.saved() }
    }

    fn diverged(&self, step: u64, loss: &'static str, value: f32) -> TrainError {
        let tensor = match checkpoint::not_finite(&self.session) {
            Ok(Some(tensor)) => format!("{tensor} is the first tensor that is not finite"),
            Ok(None) => "all parameters are still finite".into(),
            Err(error) => format!("the parameters cannot be read ({error})"),
        };
        self.broke_down(step, format!("{loss} is {value}, and {tensor}"))
    }

    fn broke_down(&self, step: u64, why: String) -> TrainError {
        let cure = self.run.cure();
        TrainError::BrokeDown { how: Breakdown { step, why }, saved: self.saved(), cure }
    }

    /// How it ended.
    pub(super) fn outcome(self) -> Outcome {
        let host_ms = self.watch.host_ms();
        let losses = std::iter::zip(self.session.model.losses().iter().copied(), self.last).collect();
        Outcome { run: self.run, model: self.session.model, step: self.step, total: self.total, losses, host_ms }
    }
}
