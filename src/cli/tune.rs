//! Choosing variants before something is trained or timed.

use super::{Switch, TuneArg, term};
use crate::data;
use crate::program::Device;
use crate::train::{Session, SessionError};
use crate::tune::{Budget, Report, Tuner};
use std::time::Duration;

/// A tuner that keeps its choices in the user's cache folder; none where it is switched off, or
/// where the device is the CPU, which has no variants.
pub fn tuner(arg: TuneArg, device: &Device) -> Option<Tuner> {
    let Device::Gpu(gpu) = device else { return None };
    let folder = data::cache_dir().ok().map(|cache| cache.join("tune"));
    (arg.tune == Switch::On).then(|| Tuner::new(gpu.clone(), folder.as_deref()))
}

/// What measuring may take before one step is timed: what is left then is measured the next time.
pub const ONCE: Budget = Budget::Time(Duration::from_secs(10));

/// Has the tuner choose the variants of a session's training steps up to `end`, with a line of
/// progress.
pub fn tune(
    session: &mut Session,
    batch: usize,
    end: u64,
    budget: Budget,
    tuner: Option<&mut Tuner>,
) -> Result<Report, SessionError> {
    let Some(tuner) = tuner else { return Ok(Report::default()) };
    let mut progress = term::Progress::new();
    session.tune(batch, end, tuner, budget, &mut |done, all, kernel| {
        progress.show(format!("choosing variants by measuring, {} of {all}: {kernel}", done + 1));
    })
}
