//! Training steps that one program takes.

use super::batches::{Batches, Images};
use super::{Session, SessionError};
use crate::program::Runner;
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
        let images = self.batches.next().map_err(|e| e.to_string())?;
        let images = images.ok_or("the thread that prepares batches ended early")?;
        self.runner.run_with(images).map_err(|e| e.to_string())?;
        let host = self.runner.take_host_time();
        if wait {
            self.runner.wait().map_err(|e| e.to_string())?;
        }
        Ok(host)
    }
}
