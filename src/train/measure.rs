//! Timing whole training steps and the launches inside them.

use super::pack;
use super::{Session, SessionError};
use crate::kernels::Cost;
use crate::kernels::philox::{Domain, Stream};
use std::time::Instant;

/// How fast a training step is.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StepTiming {
    /// Preset name.
    pub preset: String,
    /// Images a step trains on.
    pub batch: usize,
    /// Device name.
    pub device: String,
    /// Median wall time of a step in milliseconds.
    pub median_ms: f64,
    /// Images trained on in a second.
    pub images_per_s: f64,
    /// Time on the device in milliseconds: by timestamps where it has them, else the wall time less
    /// the host's.
    pub gpu_ms: f64,
    /// Median time the host spends on handing over a step, outside waiting; threads of their own fill
    /// the uploads and record the commands meanwhile.
    pub host_ms: f64,
    /// Arithmetic of a step in 10⁹ operations; dead taps and padding do not count.
    pub gflop_per_step: f64,
    /// `gflop_per_step` over `median_ms`.
    pub gflops: f64,
    /// Bytes of all buffers of the step's program.
    pub peak_bytes: u64,
    /// Launches a step.
    pub launches: usize,
    /// Steps timed.
    pub steps: usize,
}

/// Where a training step's time goes: one row for each kernel and shape.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ProfileRow {
    /// Part of the model.
    pub scope: String,
    /// Kernel name.
    pub kernel: &'static str,
    /// Its shapes.
    pub shape: String,
    /// Variant.
    pub variant: &'static str,
    /// Mean milliseconds.
    pub ms: f64,
    /// 10⁹ operations a second.
    pub gflops: f64,
    /// 10⁹ bytes a second.
    pub gbps: f64,
    /// Arithmetic and minimal traffic.
    #[serde(skip)]
    pub cost: Cost,
}

/// A profile of a training step.
#[derive(Clone, Debug)]
pub struct Profile {
    /// One row for each launch, in order.
    pub rows: Vec<ProfileRow>,
    /// Whether the device's own timestamps were used, or the clock around single launches.
    pub timestamps: bool,
}

/// A step's images, neither zeros nor constant, and their labels, as bytes.
fn images(session: &Session, batch: usize) -> Vec<u8> {
    let size: usize = session.model.geometry().iter().product();
    let draw = Stream { seed: 1, domain: Domain::Sample as u32, stream: 7, step: 0 };
    let n = batch * session.model.batches_per_step();
    let mut bytes: Vec<u8> = (0..n * size).map(|i| (255.0 * draw.uniform(i)) as u8).collect();
    if session.model.classes() > 0 {
        bytes.extend((0..n).map(|i| (i % session.model.classes()) as u8));
    }
    bytes
}

/// Times at least `steps` whole steps after `warm` untimed ones, each to the end of its work on the
/// device. As in training, the images are put where the device takes them meanwhile.
pub fn time_steps(
    session: &mut Session,
    preset: &str,
    batch: usize,
    warm: usize,
    steps: usize,
) -> Result<StepTiming, SessionError> {
    let mut step = session.train_step(batch)?;
    let images = images(session, batch);
    let feed = step.feed("images")?;
    let gone = || SessionError::Config("the device took no more uploads".into());
    let (mut wall, mut host) = (Vec::new(), Vec::new());
    for i in 0..warm + steps {
        let mut upload = feed.next().ok_or_else(gone)?;
        upload.fill(&images)?;
        let start = Instant::now();
        step.take_host_time();
        step.run_with(upload)?;
        step.wait()?;
        if i >= warm {
            wall.push(start.elapsed().as_secs_f64() * 1e3);
            host.push(step.take_host_time().as_secs_f64() * 1e3);
        }
    }
    let totals = step.program().totals();
    let (median_ms, host_ms) = (median(&mut wall), median(&mut host));
    let (times, stamped) = step.profile()?;
    let gpu_ms = if stamped { times.iter().sum::<f64>() / 1e6 } else { (median_ms - host_ms).max(0.0) };
    let gflop = totals.flops as f64 / 1e9;
    Ok(StepTiming {
        preset: preset.into(),
        batch,
        device: session.store.device().name(),
        median_ms,
        images_per_s: batch as f64 * 1e3 / median_ms,
        gpu_ms,
        host_ms,
        gflop_per_step: gflop,
        gflops: gflop * 1e3 / median_ms,
        peak_bytes: totals.memory,
        launches: totals.launches,
        steps,
    })
}

/// Times every launch of a training step, as the mean of `steps` runs after a warm one.
pub fn profile(session: &mut Session, batch: usize, steps: usize) -> Result<Profile, SessionError> {
    let mut step = session.train_step(batch)?;
    step.write("images", &pack(images(session, batch)))?;
    step.run()?;
    let mut sums = vec![0.0; step.program().launches.len()];
    let mut timestamps = false;
    for _ in 0..steps.max(1) {
        let (times, stamped) = step.profile()?;
        timestamps = stamped;
        std::iter::zip(&mut sums, times).for_each(|(sum, t)| *sum += t);
    }
    let rows = std::iter::zip(&step.program().launches, sums).map(|(launch, sum)| {
        let (ms, cost) = (sum / 1e6 / steps.max(1) as f64, launch.kernel.cost());
        ProfileRow {
            scope: launch.scope.to_string(),
            kernel: launch.kernel.signature().name,
            shape: launch.kernel.label(),
            variant: launch.recipe.as_ref().map_or("cpu", |r| r.name),
            ms,
            gflops: cost.flops as f64 / 1e6 / ms.max(1e-9),
            gbps: cost.bytes as f64 / 1e6 / ms.max(1e-9),
            cost,
        }
    });
    Ok(Profile { rows: rows.collect(), timestamps })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
