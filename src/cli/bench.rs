//! `limn bench`: the time of kernels, and of whole training steps.

use super::{DeviceArg, Error, device, kernels_named, not_yet, term};
use crate::check::{Bench, Example};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{Cost, Kernel, Operand, Recipe, philox};
use crate::program::Device;
use serde_json::json;
use std::time::{Duration, Instant};

/// Arguments of `limn bench`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Kernels to time, by name or a part of it; all without any
    names: Vec<String>,
    #[command(flatten)]
    device: DeviceArg,
    /// One JSON object per kernel, shape and variant
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Whole training steps of a preset: median of at least 7 after warm-up
    Step(StepArgs),
}

/// Arguments of `limn bench step`.
#[derive(clap::Args, Debug)]
struct StepArgs {
    /// Preset or a TOML file
    preset: String,
    /// Images per step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    #[command(flatten)]
    device: DeviceArg,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Times kernels or steps.
pub fn bench(args: &BenchArgs) -> Result<(), Error> {
    match &args.command {
        Some(Command::Step(args)) => step(args),
        None => kernels(args),
    }
}

fn step(args: &StepArgs) -> Result<(), Error> {
    let _ = args;
    Err(not_yet("bench step"))
}

/// The time of one variant at one shape.
struct Row {
    kernel: &'static str,
    shape: String,
    variant: &'static str,
    ms: f64,
    cost: Cost,
}

impl Row {
    fn gflops(&self) -> f64 {
        self.cost.flops as f64 / self.ms / 1e6
    }

    fn gb_per_s(&self) -> f64 {
        self.cost.bytes as f64 / self.ms / 1e6
    }
}

fn kernels(args: &BenchArgs) -> Result<(), Error> {
    let entries = kernels_named(&args.names)?;
    let device = device::open(args.device.device.as_deref())?;
    let mut progress = term::Progress::new();
    let mut rows = vec![["kernel", "shape", "variant", "ms", "GFLOP/s", "GB/s"].map(String::from).to_vec()];
    for entry in &entries {
        for kernel in (entry.shapes)() {
            progress.show(format!("{} {}", entry.name, kernel.label()));
            let (shape, cost) = (kernel.label(), kernel.cost());
            for (variant, ms) in time_all(&device, kernel.as_ref())? {
                let row = Row { kernel: entry.name, shape: shape.clone(), variant, ms, cost };
                if args.json {
                    progress.clear();
                    term::say(json!({
                        "kernel": row.kernel, "shape": row.shape, "variant": row.variant, "device": device.name(),
                        "ms": row.ms, "gflops": row.gflops(), "gb_per_s": row.gb_per_s(),
                    }))?;
                } else {
                    let figures =
                        [format!("{ms:.4}"), format!("{:.1}", row.gflops()), format!("{:.1}", row.gb_per_s())];
                    let texts = [row.kernel.into(), row.shape, row.variant.into()];
                    rows.push(texts.into_iter().chain(figures).collect());
                }
            }
        }
    }
    progress.clear();
    if args.json {
        return Ok(());
    }
    term::say(format!("on {}", device.name()))?;
    term::table(&rows).iter().try_for_each(term::say)
}

/// Milliseconds of every variant at one shape; the CPU has one, the twin.
fn time_all(device: &Device, kernel: &dyn Kernel) -> Result<Vec<(&'static str, f64)>, Error> {
    let example = inputs(kernel);
    let Device::Gpu(gpu) = device else {
        let reads: Vec<&[f32]> = example.reads.iter().map(Vec::as_slice).collect();
        let mut writes = example.old.clone();
        let mut writes: Vec<&mut [f32]> = writes.iter_mut().map(Vec::as_mut_slice).collect();
        return Ok(vec![(
            "twin",
            median(|n| {
                let start = Instant::now();
                (0..n).for_each(|_| kernel.cpu(&reads, &mut writes));
                Ok::<_, GpuError>(start.elapsed())
            })?,
        )]);
    };
    let variants = kernel.variants(gpu.caps());
    Ok(variants
        .iter()
        .map(|recipe| Ok((recipe.name, time(gpu, &example, recipe)?)))
        .collect::<Result<_, GpuError>>()?)
}

/// Seeded inputs; the twin does not run, which would take longer than everything else.
fn inputs(kernel: &dyn Kernel) -> Example {
    let lens = kernel.lens();
    let fill = |operand, len| {
        let source = philox::Stream { seed: 1, domain: 9, stream: 0, step: 0 };
        let mut next = 0;
        kernel.example(operand, len, &mut || {
            next += 1;
            source.uniform(next - 1)
        })
    };
    let reads = lens.reads.iter().enumerate().map(|(i, n)| fill(Operand::Read(i), *n)).collect();
    let old = lens.writes.iter().enumerate().map(|(i, n)| fill(Operand::Write(i), *n)).collect();
    Example { reads, old, twin: Vec::new(), bounds: Vec::new() }
}

fn time(gpu: &Gpu, example: &Example, recipe: &Recipe) -> Result<f64, GpuError> {
    let bench = Bench::new(gpu, example, recipe, false)?;
    gpu.check()?;
    median(|n| {
        let start = Instant::now();
        gpu.submit(|pass| (0..n).for_each(|_| bench.stages().iter().for_each(|s| s.record(pass))));
        gpu.wait()?;
        Ok(start.elapsed())
    })
}

/// The median of seven rounds after a warm-up, in milliseconds; `round(n)` is the time of n calls.
/// A round has so many calls that submission and the clock's grain do not count.
fn median<E>(mut round: impl FnMut(usize) -> Result<Duration, E>) -> Result<f64, E> {
    round(1)?;
    let once = round(1)?.as_secs_f64();
    let calls = ((0.02 / once.max(1e-6)).ceil() as usize).clamp(1, 1000);
    let mut times = (0..7).map(|_| Ok(round(calls)?.as_secs_f64() / calls as f64)).collect::<Result<Vec<f64>, E>>()?;
    times.sort_by(f64::total_cmp);
    Ok(1e3 * times[3])
}
