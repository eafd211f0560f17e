//! `limn check`: kernels held against their CPU reference.

use super::{DeviceArg, Error, PrecisionArg, device, kernels_named, term};
use crate::check::{self, Outcome};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{Entry, Precision, Recipe};
use crate::program::Device;
use crate::report::kernels as pages;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

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
    let width = entries.iter().map(|e| e.name.len()).max().unwrap_or(0);
    let (mut total, mut failed, mut all) = (0, 0, Vec::new());
    for entry in &entries {
        let outcomes = outcomes(&device, entry);
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

/// Every case and variant of a kernel. A case that no variant can take is a failure of its own.
fn outcomes(device: &Device, entry: &Entry) -> Vec<Outcome> {
    let cases = (entry.cases)();
    let mut progress = term::Progress::new();
    let mut outcomes = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        progress.show(format!("{}: case {} of {}, {}", entry.name, i + 1, cases.len(), case.label()));
        let found = match device {
            Device::Gpu(gpu) => check::check(gpu, entry.name, case.as_ref(), SEED),
            _ => vec![check::check_host(entry.name, case.as_ref(), SEED)],
        };
        if found.is_empty() {
            let failure = Some("no variant fits this device's limits".into());
            outcomes.push(Outcome { failure, ..Outcome::new(entry.name, "none", case.as_ref()) });
        }
        outcomes.extend(found);
    }
    outcomes
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
