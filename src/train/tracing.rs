//! What happens in some steps of a training, for Perfetto.

use crate::bench::{Trace, Track};
use crate::program::{Program, Traced, What};
use serde_json::json;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The track of what hands over steps.
pub(super) const TRAINING: Track = Track::Host("training");

/// Steps of a run whose trace is recorded.
#[derive(Clone, Debug)]
pub struct TraceSteps {
    /// The file it is written to.
    pub path: PathBuf,
    /// How many.
    pub steps: u64,
}

/// Steps before those, so that nothing is compiled or allocated in them.
const WARM: u64 = 3;

/// A trace being recorded.
pub(super) struct Tracing {
    path: PathBuf,
    /// The steps, from 0.
    steps: Range<u64>,
    pub trace: Trace,
}

impl Tracing {
    /// Of those steps of a run that come next, and that there are.
    pub(super) fn new(wanted: &TraceSteps, device: &str, todo: Range<u64>) -> Tracing {
        let count = wanted.steps.min(todo.end - todo.start);
        let start = (todo.start + WARM).min(todo.end - count);
        Tracing { path: wanted.path.clone(), steps: start..start + count, trace: Trace::new(device) }
    }

    /// Whether this step is one of them.
    pub(super) fn takes(&self, step: u64) -> bool {
        self.steps.contains(&step)
    }

    /// Whether it is the last of them.
    pub(super) fn ends(&self, step: u64) -> bool {
        step + 1 == self.steps.end
    }

    /// Writes down what there is.
    pub(super) fn write(&self) -> Result<String, String> {
        let written: io::Result<()> = self.trace.write(&self.path);
        let path = self.path.display();
        written.map_err(|e| format!("the trace {path} could not be written: {e}"))?;
        let Range { start, end } = self.steps;
        Ok(format!("a trace of steps {} to {end} is in {path}; ui.perfetto.dev shows it", start + 1))
    }
}

/// Adds what happened in a run of a program.
pub(super) fn add_run(trace: &mut Trace, program: &Program, run: &[Traced]) {
    for Traced { what, start, took } in run {
        let (start, took) = (*start, *took);
        match what {
            What::Record => trace.add(TRAINING, "record and hand over", start, took),
            What::Wait => trace.add(TRAINING, "wait for the device", start, took),
            What::Upload => trace.add(Track::Uploads, "images", start, took),
            What::Launches(count) => {
                let why = json!({ "launches": count, "why": "the device has no timestamps that hold" });
                trace.add_with(Track::Kernels("all launches".into()), "launches", start, took, why);
            }
            What::Launch(i) => {
                let launch = &program.launches[*i];
                let (kernel, cost) = (launch.kernel.signature().name, launch.kernel.cost());
                let seconds = took.max(Duration::from_nanos(1)).as_secs_f64();
                let args = json!({
                    "part": &*launch.scope, "shape": launch.kernel.label(),
                    "variant": launch.recipe.as_ref().map_or("cpu", |recipe| recipe.name),
                    "gflops": 1e-9 * cost.flops as f64 / seconds, "gbs": 1e-9 * cost.bytes as f64 / seconds,
                });
                trace.add_with(Track::of_part(&launch.scope), kernel, start, took, args);
            }
        }
    }
}

/// Calls `work` and takes note of how long it took.
pub(super) fn spanned<T>(trace: &mut Trace, track: Track, name: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let made = work();
    trace.add(track, name, start, start.elapsed());
    made
}
