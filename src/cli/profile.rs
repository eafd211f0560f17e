//! `limn profile`: where the GPU time of a training step goes.

use super::{DeviceArg, Error, PrecisionArg, SettingsArg, TuneArg, device, term, tune};
use crate::bench::{Clock, Roof};
use crate::train::{self, Profile, ProfileRow, Session};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `limn profile`.
#[derive(clap::Args, Debug)]
pub struct ProfileArgs {
    #[command(flatten)]
    of: SettingsArg,
    /// Steps to average over
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Write a trace for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// One JSON object per kernel
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArg,
    #[command(flatten)]
    tune: TuneArg,
    #[command(flatten)]
    precision: PrecisionArg,
}

/// Launches of the same kernel, shapes and variant, which are one line.
#[derive(Default)]
struct Group {
    times: usize,
    ms: f64,
    gflop: f64,
    /// What the nearer ceiling would let them take.
    least_ms: f64,
}

/// Times every launch of a training step.
pub fn profile(args: &ProfileArgs) -> Result<(), Error> {
    let config = args.of.config()?;
    let device = device::open_for(args.device.device.as_deref(), args.precision.of(&config))?;
    let mut session = Session::new(&config.model, &config.optimizer(), config.train.seed, device)?;
    session.recompute = config.train.recompute;
    let mut tuner = tune::tuner(args.tune, session.store.device());
    tune::tune(&mut session, config.train.batch, 1, tune::ONCE, tuner.as_mut())?;
    let profile = train::profile(&mut session, config.train.batch, args.steps as usize)?;
    let roof = Roof::measure(session.store.device().gpu())?;
    if let Some(path) = &args.trace {
        trace(&profile, path)?;
    }
    if args.json {
        return profile.rows.iter().try_for_each(|row| term::say(serde_json::to_string(row)?));
    }
    let total: f64 = profile.rows.iter().map(|r| r.ms).sum();
    let mut groups: BTreeMap<(&str, &str, &str), Group> = BTreeMap::new();
    for r in &profile.rows {
        let group = groups.entry((r.kernel, &r.shape, r.variant)).or_default();
        group.times += 1;
        group.ms += r.ms;
        group.gflop += r.cost.flops as f64 / 1e9;
        group.least_ms += r.ms * roof.share(r.cost, r.arithmetic, r.ms);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.ms.total_cmp(&a.1.ms));
    term::say("     ms  share  times  GFLOP/s  ceiling  kernel")?;
    for ((kernel, shape, variant), Group { times, ms, gflop, least_ms }) in groups {
        let [share, near] = [ms / total.max(1e-9), least_ms / ms.max(1e-9)].map(|part| 100.0 * part);
        let rate = 1e3 * gflop / ms.max(1e-9);
        term::say(format!("{ms:7.3} {share:5.1}% {times:6} {rate:8.2} {near:7.1}%  {kernel} {shape} [{variant}]"))?;
    }
    let how = match profile.clock {
        Clock::Stamps => "the device's timestamps",
        Clock::Differences => "running each again and again, as it has no timestamps that hold",
        Clock::Host => "the clock around each",
    };
    term::say(format!("{total:7.3} ms a step in {} launches, by {how}", profile.rows.len()))
}

/// Writes the launches as a trace of complete events, one after the other.
fn trace(profile: &Profile, path: &Path) -> Result<(), Error> {
    let mut at = 0.0;
    let event = |r: &ProfileRow| {
        let start = at;
        at += 1e3 * r.ms;
        let name = format!("{} {}", r.kernel, r.shape);
        let args = json!({ "variant": r.variant, "gflops": r.gflops, "gbps": r.gbps, "scope": r.scope });
        json!({ "name": name, "cat": r.scope, "ph": "X", "ts": start, "dur": 1e3 * r.ms, "pid": 1, "tid": 1, "args": args })
    };
    let events: Vec<_> = profile.rows.iter().map(event).collect();
    let text = json!({ "traceEvents": events, "displayTimeUnit": "ms" }).to_string();
    crate::files::replace(path, |file| file.write_all(text.as_bytes()))
        .map_err(|e| Error::new(format!("the trace {} could not be written: {e}", path.display())))
}
