//! `limn check`: kernels held against their CPU reference.

use super::{DeviceArg, Error, PrecisionArg, device, kernels_named, term};
use crate::check::{self, Outcome};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{Entry, Kernel, Precision, Recipe};
use crate::program::Device;
use crate::report::kernels as pages;
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Arguments of `limn check`.
#[derive(clap::Args, Debug)]
pub struct CheckArgs {
    /// Kernels to check, by name or a part of it; all without any
    names: Vec<String>,
    #[command(flatten)]
    device: DeviceArg,
    #[command(flatten)]
    precision: PrecisionArg,
    /// Write a page with the error of every check beside its bound
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// One JSON object per case and variant
    #[arg(long)]
    json: bool,
}

/// The seed of every input, so that a failure can be seen again.
const SEED: u64 = 1;

/// Checks every case and variant; false if any falls short.
pub fn check(args: &CheckArgs) -> Result<bool, Error> {
    let mut entries = kernels_named(&args.names)?;
    if let Some(path) = args.report.as_ref().filter(|p| p.extension().is_none_or(|e| !e.eq_ignore_ascii_case("html"))) {
        return Err(Error::new(format!("{}: the report of checks is a page, its name ends in .html", path.display())));
    }
    // Without a name it is an adapter or nothing: nobody should take the processor's kernels for a
    // GPU's.
    let mixed = args.precision.precision == Some(Precision::Mixed);
    let device = match args.device.device.as_deref() {
        wanted if mixed => device::open_for(wanted, Precision::Mixed)?,
        None => match Gpu::open(None) {
            Err(GpuError::NoAdapter) => return Err(Error::new(format!("no adapter to check: {}", device::NO_ADAPTER))),
            gpu => Device::Gpu(Arc::new(gpu?)),
        },
        wanted => device::open(wanted)?,
    };
    if let Some(software) = device.gpu().filter(|gpu| args.device.device.is_none() && gpu.desc().is_software()) {
        let name = software.desc().name.split(" (").next().unwrap_or_default();
        term::note(format!(
            "no GPU was found, so its kernels are checked on the software driver {name}; --device cpu checks those of \
             the processor"
        ));
    }
    if matches!(device, Device::Reference) {
        return Err(Error::new("the reference is what kernels are checked against; check an adapter, or `cpu`"));
    }
    if let Some(caps) = device.caps().filter(|_| mixed) {
        entries.retain(|entry| (entry.cases)().iter().any(|case| case.variants(&caps).iter().any(Recipe::mixed)));
        if entries.is_empty() {
            return Err(Error::new("mixed precision is for convolutions and matmul; the other kernels are the same"));
        }
    }
    let gpus = side_by_side(&device);
    let width = entries.iter().map(|e| e.name.len()).max().unwrap_or(0);
    let (mut total, mut failed, mut all) = (0, 0, Vec::new());
    for entry in &entries {
        let outcomes = outcomes(&gpus, entry);
        total += outcomes.len();
        failed += outcomes.iter().filter(|o| o.failure.is_some()).count();
        if args.json {
            outcomes.iter().try_for_each(|o| term::say(object(o)))?;
        } else {
            report(entry.name, width, &outcomes)?;
        }
        if args.report.is_some() {
            all.extend(outcomes);
        }
    }
    if let Some(path) = &args.report {
        pages::write_page(&pages::checks(&device.name(), mixed, &all), path)?;
    }
    if !args.json {
        let device = device.name();
        let kind = if mixed { " of mixed precision" } else { "" };
        term::say(match failed {
            0 => format!("{total} checks{kind} on {device}: all within their bounds"),
            _ => format!("{failed} of {total} checks{kind} on {device} FAILED"),
        })?;
    }
    Ok(failed == 0)
}

/// Devices to check on, none where it is the processor: where the driver computes there, one for each
/// of its cores.
fn side_by_side(device: &Device) -> Vec<Arc<Gpu>> {
    let Device::Gpu(gpu) = device else { return Vec::new() };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let others = if gpu.desc().is_on_processor() { cores - 1 } else { 0 };
    let others = (0..others).map_while(|_| gpu.again().ok()).map(Arc::new);
    std::iter::once(gpu.clone()).chain(others).collect()
}

/// Every case and variant of a kernel. A case that no variant can take is a failure of its own.
fn outcomes(gpus: &[Arc<Gpu>], entry: &Entry) -> Vec<Outcome> {
    let cases = (entry.cases)();
    let progress = Mutex::new((term::Progress::new(), 0));
    let begun = |i: usize| {
        if let Ok(mut progress) = progress.lock() {
            progress.1 += 1;
            let words = format!("{}: case {} of {}, {}", entry.name, progress.1, cases.len(), cases[i].label());
            progress.0.show(words);
        }
    };
    let found: Vec<Vec<Outcome>> = if gpus.is_empty() {
        let indices = 0..cases.len();
        let on_host = indices.inspect(|i| begun(*i)).map(|i| check::check_host(entry.name, cases[i].as_ref(), SEED));
        on_host.map(|outcome| vec![outcome]).collect()
    } else {
        check::check_cases(gpus, entry.name, &cases, SEED, &begun)
    };
    let none = |case: &dyn Kernel| {
        let failure = Some("no variant fits this device's limits".into());
        Outcome { failure, ..Outcome::new(entry.name, "none", case) }
    };
    let each = std::iter::zip(found, &cases);
    each.flat_map(|(found, case)| if found.is_empty() { vec![none(case.as_ref())] } else { found }).collect()
}

fn object(o: &Outcome) -> serde_json::Value {
    json!({
        "kernel": o.kernel, "case": o.case, "variant": o.variant, "ok": o.failure.is_none(),
        "worst_error": term::number(o.worst), "bound": term::number(o.bound), "ratio": term::number(o.ratio),
        "failure": o.failure,
    })
}

/// One line for a kernel, and one for each failure.
fn report(name: &str, width: usize, outcomes: &[Outcome]) -> Result<(), Error> {
    let distinct = |of: fn(&Outcome) -> &str| outcomes.iter().map(of).collect::<std::collections::HashSet<_>>().len();
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let counts = [plural(distinct(|o| &o.case), "case"), plural(distinct(|o| o.variant), "variant")].join(", ");
    let verdict = if outcomes.iter().any(|o| o.failure.is_some()) { "FAILED" } else { "ok" };
    let worst = outcomes.iter().max_by(|a, b| a.ratio.total_cmp(&b.ratio));
    let error = match worst {
        Some(o) if o.bound > 0.0 => format!("worst error {:.2e} of {:.2e} allowed ({:.3})", o.worst, o.bound, o.ratio),
        _ => "no error".into(),
    };
    term::say(format!("{name:<width$}  {counts:<24}  {error:<48}  {verdict}"))?;
    for o in outcomes {
        if let Some(why) = &o.failure {
            term::say(format!("  {} [{}]: {why}", o.case, o.variant))?;
        }
    }
    Ok(())
}
