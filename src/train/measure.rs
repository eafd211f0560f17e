//! Timing whole training steps and the launches inside them.

use super::{Session, SessionError, pack, tracing};
use crate::bench::{Clock, Trace, Track, clock, quantile};
use crate::kernels::philox::{Domain, Stream};
use crate::kernels::{Arithmetic, Cost, Recipe};
use crate::program::{DeviceError, Launch, Runner, StagingRing};
use std::sync::mpsc::channel;
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
    /// Median wall time of a step in milliseconds, each to its end on the device.
    pub median_ms: f64,
    /// Wall time of many steps over their number, in milliseconds: nobody waits for one of them, as
    /// in training.
    pub pipelined_ms: f64,
    /// Images trained on in a second, by `median_ms`.
    pub images_per_s: f64,
    /// Time on the device in milliseconds: by timestamps where they can be believed, else the wall
    /// time less the host's.
    pub gpu_ms: f64,
    /// Median time the host spends on handing over a step, outside waiting; threads of their own
    /// fill the uploads and record the commands meanwhile.
    pub host_ms: f64,
    /// Arithmetic of a step in 10⁹ operations; dead taps and padding do not count.
    pub gflop_per_step: f64,
    /// The part of it that matrix units do.
    pub matrix_gflop_per_step: f64,
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
    /// What computes in it.
    #[serde(skip)]
    pub arithmetic: Arithmetic,
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
    /// What the times were taken by.
    pub clock: Clock,
    /// Median milliseconds of a step in which nothing is timed inside, to its end on the device.
    pub step_ms: f64,
    /// What happened when in one step of its own.
    pub trace: Trace,
}

/// A step's images, neither zeros nor constant, and their labels, as bytes.
fn images(session: &Session, batch: usize) -> Vec<u8> {
    let size: usize = session.model.geometry().iter().product();
    let draw = Stream { seed: 1, domain: Domain::Sample as u32, stream: 7, step: 0, first: 0 };
    let n = batch * session.model.batches_per_step();
    let mut bytes: Vec<u8> = (0..n * size).map(|i| (255.0 * draw.uniform(i)) as u8).collect();
    if session.model.classes() > 0 {
        bytes.extend((0..n).map(|i| (i % session.model.classes()) as u8));
    }
    bytes
}

/// Steps that are timed while nobody waits for one of them: for about so many seconds, within these
/// numbers.
const PIPELINED: (f64, f64, f64) = (0.5, 3.0, 200.0);

/// Times at least `steps` whole steps after `warm` untimed ones, each to the end of its work on the
/// device, and then many in a row. As in training, the images are put where the device takes them
/// meanwhile.
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
    let [median_ms, host_ms] = [&mut wall, &mut host].map(|times| quantile(times, 0.5));
    let (seconds, least, most) = PIPELINED;
    let pipelined_ms = pipelined(&mut step, feed, images, (1e3 * seconds / median_ms).clamp(least, most) as u32)?;
    let totals = step.program().totals();
    // Where they cannot be believed a profile would run launches again and again.
    let stamped = session.store.device().gpu().map_or(Ok(Clock::Host), clock).map_err(DeviceError::from)?;
    let gpu_ms = match stamped {
        Clock::Stamps => step.profile()?.0.iter().sum::<f64>() / 1e6,
        Clock::Differences | Clock::Host => (median_ms - host_ms).max(0.0),
    };
    let gflop = totals.flops as f64 / 1e9;
    let by_matrix = step.program().launches.iter().filter(|launch| arithmetic(launch) == Arithmetic::Matrix);
    Ok(StepTiming {
        preset: preset.into(),
        batch,
        device: session.store.device().name(),
        median_ms,
        pipelined_ms,
        images_per_s: batch as f64 * 1e3 / median_ms,
        gpu_ms,
        host_ms,
        gflop_per_step: gflop,
        matrix_gflop_per_step: by_matrix.fold(0.0, |sum, launch| sum + launch.kernel.flops() as f64 / 1e9),
        gflops: gflop * 1e3 / median_ms,
        peak_bytes: totals.memory,
        launches: totals.launches,
        steps,
    })
}

/// Milliseconds of a step when so many are handed over one after the other, their images by a
/// thread of its own.
fn pipelined(step: &mut Runner, feed: StagingRing, images: Vec<u8>, steps: u32) -> Result<f64, SessionError> {
    let (send, uploads) = channel();
    // It ends when it has filled all, or with the runner, and nobody waits for it: a device that is
    // lost gives no room back.
    std::thread::spawn(move || {
        for _ in 0..steps {
            let Some(mut upload) = feed.next() else { return };
            let filled = upload.fill(&images).map(|()| upload);
            if send.send(filled).is_err() {
                return;
            }
        }
    });
    let start = Instant::now();
    for upload in uploads {
        step.run_with(upload?)?;
    }
    step.wait()?;
    Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(steps))
}

fn arithmetic(launch: &Launch) -> Arithmetic {
    launch.recipe.as_ref().map_or(Arithmetic::F32, Recipe::arithmetic)
}

/// Runs before those that are timed, so that the device has raised its clock.
const WARM: usize = 3;

/// Times every launch of a training step, as the mean of `steps` runs after some others, which are
/// timed as a whole.
pub fn profile(session: &mut Session, batch: usize, steps: usize) -> Result<Profile, SessionError> {
    let mut step = session.train_step(batch)?;
    step.write("images", &pack(images(session, batch)))?;
    let mut whole = Vec::new();
    for i in 0..WARM + steps.max(1) {
        let start = Instant::now();
        step.run()?;
        step.wait()?;
        if i >= WARM {
            whole.push(1e3 * start.elapsed().as_secs_f64());
        }
    }
    let mut sums = vec![0.0; step.program().launches.len()];
    let (mut clock, mut done) = (Clock::Host, 0);
    // Where launches are run again and again, each is a mean already.
    while done < steps.max(1) && !(done == 1 && clock == Clock::Differences) {
        let (times, by) = step.profile()?;
        clock = by;
        done += 1;
        std::iter::zip(&mut sums, times).for_each(|(sum, t)| *sum += t);
    }
    let rows = std::iter::zip(&step.program().launches, sums).map(|(launch, sum)| {
        let (ms, cost) = (sum / 1e6 / done as f64, launch.kernel.cost());
        ProfileRow {
            scope: launch.scope.to_string(),
            kernel: launch.kernel.signature().name,
            shape: launch.kernel.label(),
            variant: launch.recipe.as_ref().map_or("cpu", |r| r.name),
            arithmetic: arithmetic(launch),
            ms,
            gflops: cost.flops as f64 / 1e6 / ms.max(1e-9),
            gbps: cost.bytes as f64 / 1e6 / ms.max(1e-9),
            cost,
        }
    });
    let rows: Vec<ProfileRow> = rows.collect();
    let trace = traced(session, &mut step, batch)?;
    Ok(Profile { rows, clock, step_ms: quantile(&mut whole, 0.5), trace })
}

/// A step with what happens around it: its images are prepared and uploaded, and its losses read.
fn traced(session: &mut Session, step: &mut Runner, batch: usize) -> Result<Trace, SessionError> {
    let mut trace = Trace::new(session.store.device().name());
    let feed = step.feed("images")?;
    let start = Instant::now();
    let mut upload = feed.next().ok_or_else(|| SessionError::Config("the device took no more uploads".into()))?;
    upload.fill(&images(session, batch))?;
    trace.add(tracing::TRAINING, "prepare images", start, start.elapsed());
    let run = step.run_traced(Some(upload))?;
    tracing::add_run(&mut trace, step.program(), &run);
    let losses = || session.store.read("history");
    tracing::spanned(&mut trace, Track::Readbacks, "losses", losses)?;
    Ok(trace)
}
