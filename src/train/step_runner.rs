//! Training steps that one program takes.

use super::batches::{Batch, Batches, Images};
use super::tracing::{self, TRAINING};
use super::{Session, SessionError};
use crate::bench::{Trace, Track};
use crate::program::{DeviceError, Runner, What};
use std::io;
use std::ops::Range;
use std::time::Duration;

/// The steps of a run until its model changes what a step is, and what takes them.
pub(super) struct StepRunner {
    runner: Runner,
    batches: Batches,
    /// The first step that is not its own.
    pub end: u64,
}

impl StepRunner {
    /// Makes ready the program of the session's stage, for those of `steps` that are its own.
    pub(super) fn new(session: &mut Session, images: &Images, steps: Range<u64>) -> Result<StepRunner, SessionError> {
        let end = session.model.stage().and_then(|stage| stage.end).map_or(steps.end, |end| end.min(steps.end));
        let mut runner = session.train_step(images.batch())?;
        let thread = |e: io::Error| SessionError::Config(format!("no thread to prepare batches: {e}"));
        let batches = Batches::start(runner.feed("images")?, images.clone(), steps.start..end).map_err(thread)?;
        Ok(StepRunner { runner, batches, end })
    }

    /// Hands the next step to the device, and with `wait` waits for it. Returns the time the host
    /// spent on handing over, or what failed, in words.
    pub(super) fn step(&mut self, wait: bool) -> Result<Duration, String> {
        self.runner.run_with(self.batch()?.upload).map_err(|e| e.to_string())?;
        let host = self.runner.take_host_time();
        if wait {
            self.runner.wait().map_err(|e| e.to_string())?;
        }
        Ok(host)
    }

    /// Waits for all steps that were handed over.
    ///
    /// # Errors
    /// A device that is lost.
    pub(super) fn wait(&mut self) -> Result<(), DeviceError> {
        self.runner.wait()
    }

    /// The same as a step, waited for, and what happened in it.
    pub(super) fn step_traced(&mut self, trace: &mut Trace) -> Result<Duration, String> {
        let batch = tracing::spanned(trace, TRAINING, "wait for images", || self.batch())?;
        trace.add(Track::Host("batches"), "prepare images", batch.began, batch.took);
        let run = self.runner.run_traced(Some(batch.upload)).map_err(|e| e.to_string())?;
        tracing::add_run(trace, self.runner.program(), &run);
        Ok(run.iter().filter(|traced| traced.what == What::Record).map(|traced| traced.took).sum())
    }

    fn batch(&self) -> Result<Batch, String> {
        let batch = self.batches.next().map_err(|e| e.to_string())?;
        Ok(batch.ok_or("the thread that prepares batches ended early")?)
    }
}
