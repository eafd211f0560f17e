//! `limn bench`: the time of kernels, of whole training steps, and of sampling.

use super::bench_sample::{self, SampleArgs};
use super::times;
use super::{Error, PrecisionArg, SettingsArg, Switch, TuneArg, bench_kernels, config, device, term, tune, usage};
use crate::bench::Roof;
use crate::choices::Verdict;
use crate::gpu::Gpu;
use crate::kernels::{Arithmetic, Class, Precision};
use crate::train::{Session, presets, time_steps};
use crate::tune::Budget;
use serde_json::json;
use std::path::PathBuf;

const SHAPE: &str = "Time one kernel in this shape, and the kernels of its gradients, each held against the reference \
    before";

/// Arguments of `limn bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Kernels to time, by name or a part of it; all without any
    pub(super) names: Vec<String>,
    #[arg(long, value_name = "SHAPE", help = SHAPE, long_help = format!("{SHAPE}\n\n{}", super::bench_shape::manual()))]
    pub(super) shape: Option<String>,
    /// Only the variants of this name
    #[arg(long, value_name = "V")]
    pub(super) variant: Option<String>,
    /// Keep the times, to compare others with
    #[arg(long, value_name = "FILE.json")]
    pub(super) save: Option<PathBuf>,
    /// Compare with times that were kept: the ratio, where it lies with 95 % confidence, and
    /// whether it is more than noise (rank-sum test, p < 0.01)
    #[arg(long, value_name = "FILE.json")]
    pub(super) baseline: Option<PathBuf>,
    /// Draw a roofline with every kernel on it: a page, or by the name's end a picture
    #[arg(long, value_name = "FILE.html|.svg|.png")]
    pub(super) report: Option<PathBuf>,
    /// Choose variants anew, by measuring, for the presets named; for all without any
    #[arg(long)]
    tune: bool,
    /// Device: `cpu`, `reference`, or a number or a part of a name from `limn devices`; without one
    /// the fastest, which is a GPU, or else `cpu`
    #[arg(long, value_name = "D", global = true)]
    pub(super) device: Option<String>,
    /// One JSON object per kernel, shape and variant, or per preset
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) precision: PrecisionArg,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    #[command(after_help = super::examples::BENCH_STEP)]
    /// Whole training steps of a preset: median of at least 7 after warm-up
    Step(StepArgs),
    #[command(after_help = super::examples::BENCH_SAMPLE)]
    /// Sampling pixel by pixel: whole images cached, some pixels the naive way, and their ratio
    Sample(SampleArgs),
    #[command(after_help = super::examples::BENCH_ROOF)]
    /// What the device can multiply and add, and copy, at most
    ///
    /// Multiplying and adding is measured in f32; in f16 where the device has it; and by matrix
    /// units, of f16 added in f32, where it has some that agree with the CPU. The shares of a
    /// ceiling that `bench` and `profile` print are those of the nearer one, copying or arithmetic:
    /// the matrix units' for variants that use them, f32 for all others, for they add in f32 even
    /// where mixed precision rounds what they multiply to f16. Only multiply_add itself has a
    /// variant that adds in f16.
    Roof,
}

/// Arguments of `limn bench step`.
#[derive(clap::Args, Debug)]
struct StepArgs {
    #[command(flatten)]
    of: SettingsArg,
    #[command(flatten)]
    tune: TuneArg,
}

/// Times kernels or steps.
pub fn bench(args: &BenchArgs) -> Result<(), Error> {
    let kernels_only = [
        (args.shape.is_some(), "--shape"),
        (args.variant.is_some(), "--variant"),
        (args.save.is_some(), "--save"),
        (args.baseline.is_some(), "--baseline"),
        (args.report.is_some(), "--report"),
    ];
    if (args.command.is_some() || args.tune)
        && let Some((_, flag)) = kernels_only.iter().find(|(given, _)| *given)
    {
        return Err(Error::new(format!("{flag} is for the times of kernels, as in `limn bench conv2d {flag} ...`")));
    }
    match &args.command {
        Some(_) if args.tune => Err(Error::new("`limn bench --tune` takes the names of presets and no command")),
        None if args.tune => retune(args),
        Some(_) if !args.names.is_empty() => {
            Err(Error::new("`limn bench` times either kernels, or a step, or sampling, or the device's ceilings"))
        }
        Some(Command::Roof) if args.precision.precision.is_some() => {
            Err(Error::new("the device's ceilings are those of every precision it has; leave --precision out"))
        }
        Some(Command::Roof) => roof(args.device.as_deref(), args.json),
        Some(Command::Sample(sample_args)) => bench_sample::bench(sample_args, args.device.as_deref(), args.json),
        Some(Command::Step(step_args)) => step(step_args, args),
        None => bench_kernels::kernels(args),
    }
}

fn roof(wanted: Option<&str>, json: bool) -> Result<(), Error> {
    let mut device = device::open_to_compute(wanted, Precision::Full)?;
    let capable = |gpu: &&Gpu| gpu.caps().f16 && gpu.caps().class == Class::Gpu;
    if let Some(gpu) = device.gpu().filter(capable) {
        // Once more, with its matrix units, if they can be trusted.
        device = device::open_for(Some(&gpu.desc().index.to_string()), Precision::Mixed)?;
    }
    let roof = Roof::measure(device.gpu())?;
    if json {
        return term::say(json!({
            "device": device.name(), "gflops": roof.gflops, "f16_gflops": roof.f16_gflops,
            "matrix_gflops": roof.matrix_gflops, "gb_per_s": roof.gbps, "cached": roof.cached,
        }));
    }
    term::say(format!("ceilings of {}", device.name()))?;
    let arithmetic = [
        (Some(roof.gflops), "multiplying and adding"),
        (roof.f16_gflops, "multiplying and adding in f16"),
        (roof.matrix_gflops, "by matrix units, products of f16 added in f32"),
    ];
    for (rate, what) in arithmetic {
        rate.map_or(Ok(()), |rate| term::say(format!("  {rate:>10.2} GFLOP/s {what}")))?;
    }
    for copied in &roof.cached {
        term::say(format!("  {:>10.2} GB/s copying in {}", copied.gbps, term::size(copied.bytes)))?;
    }
    term::say(format!("  {:>10.2} GB/s copying more than caches hold", roof.gbps))
}

/// Measures the variants of every kernel in the training steps of some presets, known or not.
fn retune(args: &BenchArgs) -> Result<(), Error> {
    let all: Vec<String> = presets().iter().map(|(name, _)| name.to_string()).collect();
    let presets = if args.names.is_empty() { &all } else { &args.names };
    let configs = presets.iter().map(|preset| config(preset, None, &[])).collect::<Result<Vec<_>, _>>()?;
    let device = device::open(args.device.as_deref())?;
    let Some(tuner) = tune::tuner(TuneArg { tune: Switch::On }, &device) else {
        return Err(Error::new(format!(
            "{} computes every kernel in one way; there is nothing to choose",
            device.name()
        )));
    };
    let mut tuner = tuner.again();
    for (preset, config) in std::iter::zip(presets, configs) {
        let mut session = Session::new(&config.model, &config.optimizer(), config.train.seed, device.clone())?;
        let report = tune::tune(&mut session, config.train.batch, 1, Budget::All, Some(&mut tuner))?;
        if args.json {
            let kernels = session.choices.unwrap_or_default().kernels;
            term::say(
                json!({ "preset": preset, "device": device.name(), "seconds": report.seconds, "kernels": kernels }),
            )?;
            continue;
        }
        term::say(format!("{preset}, batch {}:", config.train.batch))?;
        report.lines().iter().try_for_each(|line| term::say(format!("  {line}")))?;
        for (kernel, choice) in session.choices.unwrap_or_default().kernels {
            let verdict = |(name, verdict): (&String, &Verdict)| match verdict {
                Verdict::Ms(ms) => format!("{name} {ms:.3} ms"),
                Verdict::Refused(_) => format!("{name} refused"),
            };
            let measured: Vec<String> = choice.measured.iter().map(verdict).collect();
            term::say(format!("  {kernel}: {} ({})", choice.variant, measured.join(", ")))?;
        }
    }
    Ok(())
}

/// Steps before the timed ones.
const WARM: usize = 3;
/// Steps timed.
const STEPS: usize = 9;

fn step(args: &StepArgs, all: &BenchArgs) -> Result<(), Error> {
    usage::refuse_idle(&args.of.set)?;
    let config = args.of.config()?;
    let precision = all.precision.of(&config);
    let device = device::open_to_compute(all.device.as_deref(), precision)?;
    let mut session = Session::new(&config.model, &config.optimizer(), config.train.seed, device)?;
    session.recompute = config.train.recompute;
    session.shard.parts = config.train.accumulate;
    let mut tuner = tune::tuner(args.tune, session.store.device());
    let tuned = tune::tune(&mut session, config.train.batch, 1, tune::ONCE, tuner.as_mut())?;
    let t = time_steps(&mut session, &args.of.preset, config.train.batch, WARM, STEPS)?;
    if precision == Precision::Full {
        times::remember(&session.store.device().name(), &config, t.pipelined_ms / 1e3, false);
    }
    let roof = Roof::measure(session.store.device().gpu())?;
    // What matrix units do and what invocations do take their own times, one after the other.
    let parts = [
        (t.gflop_per_step - t.matrix_gflop_per_step, roof.gflops),
        (t.matrix_gflop_per_step, roof.of(Arithmetic::Matrix)),
    ];
    let least: f64 = parts.iter().map(|(gflop, rate)| gflop / rate).sum();
    let ceiling = if least > 0.0 { t.gflop_per_step / least } else { roof.gflops };
    if all.json {
        let mut object = serde_json::to_value(&t)?;
        object["precision"] = json!(precision);
        object["ceiling_gflops"] = json!(ceiling);
        object["ceiling_share"] = term::number(t.gflops / ceiling);
        object["tuning_s"] = json!(tuned.seconds);
        return term::say(object);
    }
    let head = format!("{} batch {} on {}, {precision} precision", t.preset, t.batch, t.device);
    term::say(format!("{head}: median of {} steps", t.steps))?;
    term::say(format!("  {:>10.2} ms a step, {:.1} images/s", t.median_ms, t.images_per_s))?;
    let rate = 1e3 * t.batch as f64 / t.pipelined_ms;
    term::say(format!("  {:>10.2} ms a step when nobody waits for its end, {rate:.1} images/s", t.pipelined_ms))?;
    term::say(format!(
        "  {:>10.2} ms on the device, {:.3} ms on the host, {} launches",
        t.gpu_ms, t.host_ms, t.launches
    ))?;
    let share = 100.0 * t.gflops / ceiling;
    term::say(format!(
        "  {:>10.2} GFLOP a step, {:.2} GFLOP/s, {share:.1}% of the multiply-add ceiling of {ceiling:.1}",
        t.gflop_per_step, t.gflops
    ))?;
    term::say(format!("  {:>10.1} MB in buffers", t.peak_bytes as f64 / 1e6))?;
    tuned.lines().iter().try_for_each(|line| term::say(format!("  before that, {line}")))
}
