//! Going on with a run: from which checkpoint, with which settings, and what is then other than
//! before.

use super::change::{self, Change, ChangeError};
use super::checkpoint::{self, CheckpointError};
use super::folder::{Lock, RunDir, RunError};
use super::provenance::{Provenance, Sitting, Unfinished};
use super::run::{Resume, TrainError};
use super::{Config, Session};
use crate::data::Order;
use crate::models::Model;
use std::fs;
use std::path::PathBuf;

/// A run that is about to go on.
pub(super) struct GoingOn {
    /// The run, with the settings it had.
    pub(super) run: RunDir,
    lock: Lock,
    resume: Resume,
    provenance: Provenance,
    changes: Vec<Change>,
    remarks: Vec<String>,
    /// The step to go back to, where its checkpoint is not the last one.
    back: Option<u64>,
    /// Whether there was a checkpoint.
    pub(super) loaded: bool,
}

impl GoingOn {
    /// The run in a folder whose lock is held.
    pub(super) fn new(resume: Resume, lock: Lock) -> Result<GoingOn, RunError> {
        // What another process wrote before it gave the lock back counts.
        let run = RunDir::open(&resume.dir)?;
        let provenance = run.provenance()?;
        Ok(GoingOn {
            run,
            lock,
            resume,
            provenance,
            changes: Vec::new(),
            remarks: Vec::new(),
            back: None,
            loaded: false,
        })
    }

    /// The settings it goes on with, and their model.
    ///
    /// # Errors
    /// A setting that makes no sense, or that a run cannot go on with.
    pub(super) fn config(&self) -> Result<(Config, Box<dyn Model>), RunError> {
        let (mut config, resume) = (self.run.config.clone(), &self.resume);
        config.set_all(&resume.set)?;
        if let Some(epochs) = resume.epochs {
            (config.train.epochs, config.train.steps) = (epochs, None);
        }
        config.train.steps = resume.steps.or(config.train.steps);
        // What cannot change is no use however sensible it is.
        change::between(&self.run.config, &config)?;
        let model = config.validate()?;
        Ok((config, model))
    }

    /// The checkpoint that it goes on from, and whether that is another than the last one.
    fn checkpoint(&self) -> Result<(PathBuf, bool), RunError> {
        self.resume.from.map_or_else(|| Ok((self.run.checkpoint(), false)), |step| self.run.checkpoint_of(step))
    }

    /// How many passes over so many images the run has begun more than one would have that had taken its batches of now
    /// from the first: an order of images is a function of their size, which changes between two passes.
    pub(super) fn passes_more(&self, now: usize, images: usize, per_step: u64) -> i64 {
        let Some(info) = self.checkpoint().ok().and_then(|(file, _)| checkpoint::info(&file).ok()) else { return 0 };
        let passes = |[steps, batch]: [u64; 2]| steps.saturating_mul(per_step) / (images as u64 / batch.max(1)).max(1);
        let was = self.run.config.train.batch as u64;
        let taken: u64 = self.provenance.batches(was, info.step).into_iter().map(passes).sum();
        taken as i64 - passes([info.step, now as u64]) as i64
    }

    /// What was left of the step that it goes on from.
    pub(super) fn unfinished(&self, step: u64) -> Option<Unfinished> {
        self.provenance.sittings.last()?.unfinished.filter(|unfinished| unfinished.step == step)
    }

    /// Loads the checkpoint, if there is one, and returns the steps done. Settings that were
    /// changed in `config.toml` since it was written count as those that are changed now.
    ///
    /// # Errors
    /// A checkpoint that cannot be used, or of other settings than a run can go on from.
    pub(super) fn load(
        &mut self,
        session: &mut Session,
        config: &Config,
        (order, images): (&Order, usize),
        per_step: u64,
    ) -> Result<u64, TrainError> {
        let (file, back) = self.checkpoint()?;
        let mut was = self.run.config.clone();
        let mut step = 0;
        if fs::symlink_metadata(&file).is_err() {
            match self.run.kept().last() {
                // Beginning again would leave them.
                Some(step) => return Err(RunError::Gone { path: self.run.path.clone(), step: *step }.into()),
                None => self.remarks.push("no checkpoint is there: it begins again with step 1".into()),
            }
        } else {
            let info = checkpoint::load(&file, session).map_err(|error| self.unusable(error))?;
            if let Some(from) = self.resume.from.filter(|from| *from != info.step) {
                let why = format!("is of step {}, and its name says {from}", info.step);
                return Err(RunError::from(CheckpointError::Foreign { path: file, why }).into());
            }
            self.remarks.extend(info.remark());
            was.optim = info.optim.unwrap_or(was.optim);
            was.train.batch = info.batch.unwrap_or(was.train.batch);
            step = info.step;
            self.loaded = true;
            self.back = back.then_some(step);
        }
        // The precision is the device's, and told of beside it.
        was.train.precision = config.train.precision;
        // The images are where they were; only their path may be written otherwise.
        was.data = config.data.clone();
        self.changes = change::between(&was, config).map_err(RunError::from)?;
        if step > 0 && was.train.batch != config.train.batch {
            let before = Order::new(images, was.train.batch, config.train.seed)?;
            change::batch(&config.optim, [&before, order], step, per_step).map_err(RunError::from)?;
        }
        Ok(step)
    }

    /// A checkpoint that cannot be used, with the last of those that are kept beside it.
    fn unusable(&self, error: CheckpointError) -> RunError {
        let kept = self.run.kept().into_iter().rfind(|step| Some(*step) != self.resume.from);
        match (&error, kept) {
            (CheckpointError::Damaged { .. }, Some(step)) => {
                RunError::Earlier { error: Box::new(error), path: self.run.path.clone(), step }
            }
            _ => error.into(),
        }
    }

    /// Writes down what the run goes on with, and returns what is to be said of it.
    pub(super) fn go_on(
        self,
        config: Config,
        session: &Session,
        step: u64,
    ) -> Result<(RunDir, Lock, Vec<String>), RunError> {
        let GoingOn { mut run, lock, mut provenance, changes, mut remarks, back, .. } = self;
        let (device, choices) = (session.store.device(), session.choices.as_ref());
        remarks.extend(changes.iter().map(|change| format!("from step {} on {change}", step + 1)));
        let now = Sitting { ranks: session.shard.ranks, ..Sitting::now(device, choices, step, changes) };
        remarks.extend(match provenance.sittings.last() {
            Some(earlier) => now.differs(earlier),
            None => (step > 0).then(|| now.unknown()),
        });
        if let Some(choices) = choices.filter(|_| device.gpu().is_some()) {
            run.write_choices(choices)?;
        }
        if let Some(step) = back {
            let aside = run.go_back(step)?;
            let what = format!("what came after step {step} is set aside in {}", aside.display());
            remarks.push(format!("{what}: checkpoints, pictures, and tables of losses and figures as they were"));
        }
        run.config = config;
        run.write_config()?;
        provenance.sittings.push(now);
        run.write_provenance(&provenance)?;
        Ok((run, lock, remarks))
    }
}

impl From<ChangeError> for TrainError {
    fn from(e: ChangeError) -> Self {
        TrainError::Run(e.into())
    }
}
