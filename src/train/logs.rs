//! Logs of a run for other programs: TensorBoard's event files, and JSON lines.

use super::events::Events;
use super::folder::{RunDir, RunError};
use super::log::Log;
use super::metrics::Row;
use super::testing::Tested;
use super::{Session, jsonl::JsonLines};
use std::io;
use std::path::Path;

/// A log that a run may keep beside `metrics.csv`, which it always has.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames, strum::VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum LogKind {
    /// Event files that TensorBoard reads: scalars, pictures of samples, histograms of weights.
    Tensorboard,
    /// `metrics.jsonl`: an object for each step, and one for each measurement on test images.
    Jsonl,
}

/// What is written as a run goes on.
pub(super) trait Follow {
    /// A step's losses, by these names.
    fn step(&mut self, names: &[&str], row: &Row) -> io::Result<()>;

    /// Figures of test images after so many steps and seconds.
    fn tests(&mut self, at: (u64, f64), figures: &[Tested]) -> io::Result<()>;

    /// A picture of samples.
    fn picture(&mut self, _step: u64, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// The model, whenever it is saved.
    fn saved(&mut self, _step: u64, _session: &Session) -> io::Result<()> {
        Ok(())
    }

    /// Hands all that was written to the system.
    fn flush(&mut self) -> io::Result<()>;

    /// Has all of it on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The logs of a run. One that cannot be written is no reason to stop, and is told of once.
pub(super) struct Followers(Vec<(LogKind, Box<dyn Follow>)>);

impl Followers {
    /// Opens logs of these kinds, and those that the run has had, for the steps after `step`. What
    /// they say of later steps goes, or is said to be outdated.
    pub(super) fn open(run: &RunDir, wanted: &[LogKind], step: u64) -> Result<Followers, RunError> {
        let mut all: Vec<(LogKind, Box<dyn Follow>)> = Vec::new();
        let failed = |e| RunError::io("write a log into", &run.path)(e);
        if wanted.contains(&LogKind::Tensorboard) || Events::are_in(&run.path) {
            all.push((LogKind::Tensorboard, Box::new(Events::open(&run.path, step).map_err(failed)?)));
        }
        let lines = JsonLines::file(&run.path);
        if wanted.contains(&LogKind::Jsonl) || lines.exists() {
            all.push((LogKind::Jsonl, Box::new(JsonLines::open(&lines, step).map_err(failed)?)));
        }
        Ok(Followers(all))
    }

    /// Has each log written to; one that fails is left.
    pub(super) fn each(&mut self, log: &mut Log, mut write: impl FnMut(&mut dyn Follow) -> io::Result<()>) {
        self.0.retain_mut(|(kind, follower)| match write(follower.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                log.say(&format!("the {kind} log ends here, as it cannot be written: {error}"));
                false
            }
        });
    }
}
