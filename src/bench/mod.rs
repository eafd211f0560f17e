//! How fast a variant runs on a device, and how fast anything could.
//!
//! ```
//! use limn::bench::time_call;
//! use limn::kernels::{Kernel, matmul::MatMul};
//!
//! let product = MatMul::new(64, 64, 64);
//! let median_ms = time_call(&product, 0.01, |reads, writes| product.host(reads, writes));
//! println!("{} on the processor: {median_ms} ms", product.label()); // on a GPU: `bench::time`
//! assert!(median_ms > 0.0);
//! ```

mod clock;
mod noise;
mod roof;
mod trace;

pub use clock::{Clock, Launches, Stages, Timer, clock, quantile};
pub use noise::Comparison;
pub use roof::{Copied, Roof};
pub use trace::{Trace, Track};

use crate::check::{Example, Trial};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{Kernel, Recipe};
use std::time::Instant;

/// What one variant of one shape took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Median time of one launch, all stages, in milliseconds.
    pub median_ms: f64,
    /// Arithmetic per second, in 10^9 floating-point operations; dead taps do not count.
    pub gflops: f64,
    /// Minimal traffic per second, in 10^9 bytes.
    pub gbps: f64,
    /// Samples behind the median; each may hold several launches.
    pub runs: usize,
}

/// Operations of a launch above which a shape is for GPUs: the CPU and software devices take
/// seconds for it.
const LARGE: u64 = 3_000_000_000;

/// Whether a shape is worth timing on the CPU or on a software device.
pub fn for_software(kernel: &dyn Kernel) -> bool {
    kernel.flops() <= LARGE
}

/// Seconds of a sample, which holds as many launches as it takes.
const PART: f64 = 0.004;

/// Times `recipe` for about `seconds`; the median of the samples is taken, of which there are few
/// where launches are long. The first submission, which compiles, is not counted.
///
/// # Errors
/// What the device says of the recipe, or that it is gone.
pub fn time(gpu: &Gpu, kernel: &dyn Kernel, recipe: &Recipe, seconds: f64) -> Result<Timing, GpuError> {
    let trial = Trial::new(gpu, &Example::inputs(kernel, 1, 0.0), recipe, false)?;
    trial.run(gpu)?;
    let mut timer = Timer::new(Stages { gpu, stages: trial.stages() }, clock(gpu)?, PART)?;
    let mut samples = timer.samples(seconds, 1)?;
    let median = quantile(&mut samples, 0.5).max(1e-12);
    let cost = kernel.cost();
    Ok(Timing {
        median_ms: 1e3 * median,
        gflops: 1e-9 * cost.flops as f64 / median,
        gbps: 1e-9 * cost.bytes as f64 / median,
        runs: samples.len(),
    })
}

/// How something is timed in rounds, so that its times can be compared with those of another day.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// About how long it takes altogether.
    pub seconds: f64,
    /// Rounds there are at least, however long that takes.
    pub least: usize,
    /// Rounds there are at most.
    pub most: usize,
}

impl Rounds {
    /// What each round gives, until there are enough.
    fn take<E>(self, mut round: impl FnMut(f64) -> Result<f64, E>) -> Result<Vec<f64>, E> {
        let begun = Instant::now();
        let mut rounds = Vec::new();
        while rounds.len() < self.least || (rounds.len() < self.most && begun.elapsed().as_secs_f64() < self.seconds) {
            rounds.push(round(self.seconds / self.most as f64)?);
        }
        Ok(rounds)
    }
}

/// Times `recipe` in rounds: the median of each, in milliseconds of a launch.
///
/// # Errors
/// Those of [`time`].
pub fn time_rounds(gpu: &Gpu, kernel: &dyn Kernel, recipe: &Recipe, rounds: Rounds) -> Result<Vec<f64>, GpuError> {
    let trial = Trial::new(gpu, &Example::inputs(kernel, 1, 0.0), recipe, false)?;
    trial.run(gpu)?;
    let mut timer = Timer::new(Stages { gpu, stages: trial.stages() }, clock(gpu)?, PART)?;
    rounds.take(|seconds| Ok(1e3 * quantile(&mut timer.samples(seconds, 1)?, 0.5)))
}

/// The same of calls on the CPU.
pub fn call_rounds(kernel: &dyn Kernel, rounds: Rounds, run: impl Fn(&[&[f32]], &mut [&mut [f32]])) -> Vec<f64> {
    calls(kernel, run, |call| {
        let round = |seconds: f64| {
            let mut times = vec![call()];
            while times.len() < 1000 && times.iter().sum::<f64>() < seconds {
                times.push(call());
            }
            Ok::<_, std::convert::Infallible>(1e3 * quantile(&mut times, 0.5))
        };
        rounds.take(round).unwrap_or_default()
    })
}

/// The median of some calls on the CPU after a warm-up, in milliseconds.
pub fn time_call(kernel: &dyn Kernel, seconds: f64, run: impl Fn(&[&[f32]], &mut [&mut [f32]])) -> f64 {
    calls(kernel, run, |call| {
        let mut times = vec![call()];
        while times.len() < 100 && times.iter().sum::<f64>() < seconds {
            times.push(call());
        }
        1e3 * quantile(&mut times, 0.5)
    })
}

/// What `take` makes of calls on the CPU after a warm-up, each of which says how many seconds it
/// took.
fn calls<T>(
    kernel: &dyn Kernel,
    run: impl Fn(&[&[f32]], &mut [&mut [f32]]),
    take: impl FnOnce(&mut dyn FnMut() -> f64) -> T,
) -> T {
    let example = Example::inputs(kernel, 1, 0.0);
    let reads: Vec<&[f32]> = example.reads.iter().map(Vec::as_slice).collect();
    let mut writes = example.old.clone();
    let mut writes: Vec<&mut [f32]> = writes.iter_mut().map(Vec::as_mut_slice).collect();
    let mut call = || {
        let start = Instant::now();
        run(&reads, &mut writes);
        start.elapsed().as_secs_f64()
    };
    call();
    take(&mut call)
}
