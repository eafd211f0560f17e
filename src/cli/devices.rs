//! `limn devices`: what there is to run on.

use super::{Error, device, term};
use crate::gpu::{self, AdapterDesc, Reason};
use crate::ranks;
use serde_json::{Value, json};

/// Arguments of `limn devices`.
#[derive(clap::Args, Debug)]
pub struct DevicesArgs {
    /// One JSON object per device
    #[arg(long)]
    json: bool,
}

/// Lists every adapter and the built-in cpu device; of several ranks, who has which.
pub fn devices(args: &DevicesArgs) -> Result<(), Error> {
    if let Some(count) = ranks::started_by_many() {
        return of_ranks(args, count);
    }
    let adapters = gpu::adapters();
    let default = gpu::fastest(&adapters);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for adapter in &adapters {
        let chosen = default.filter(|(default, _)| default.index == adapter.index).map(|(_, reason)| reason);
        if args.json {
            term::say(object(adapter, chosen.is_some()))?;
        } else {
            describe(adapter, chosen)?;
        }
    }
    if args.json {
        let cpu = json!({
            "index": null, "name": "cpu", "backend": "cpu", "kind": "built_in", "default": default.is_none(),
            "driver": null, "threads": threads, "features": [],
        });
        term::say(cpu)?;
    } else {
        let mark = match (default, adapters.as_slice()) {
            (Some(_), _) => "",
            (None, []) => "  (default: there is no GPU)",
            (None, _) => "  (default: there is no GPU, and a software driver is slower)",
        };
        term::say(format!("cpu  the processor{mark}"))?;
        term::say(format!("     built in, {threads} threads, always there"))?;
        if default.is_none() && !adapters.is_empty() {
            term::sentence(&format!("     {}", device::why_no_gpu(&adapters))).iter().try_for_each(term::say)?;
        }
        term::say("     `reference` instead of `cpu` runs the reference every kernel is checked against, slowly")?;
    }
    match device::container_hint(&adapters) {
        Some(hint) if default.is_some() || args.json => term::note(hint),
        Some(_) if !adapters.is_empty() => {}
        Some(hint) => term::note(hint),
        None if adapters.is_empty() => term::note(device::NO_ADAPTER),
        None => {}
    }
    Ok(())
}

/// Lists which rank has which device, once for all of them.
#[cfg(feature = "mpi")]
fn of_ranks(args: &DevicesArgs, _count: usize) -> Result<(), Error> {
    use crate::ranks::Ranks;
    let Some(mut mpi) = ranks::mpi::join()? else { return Ok(()) };
    let name = device::of_rank(None, mpi.local_rank()).and_then(|number| {
        let name = device::quiet_name(Some(number.as_deref().unwrap_or("cpu")))?;
        Ok(json!({ "device": number, "name": name }))
    });
    // Who has none says so for all to see.
    let mine = name.unwrap_or_else(|error| json!({ "device": null, "name": error.to_string() }));
    let all = mpi.gather(mine.to_string().as_bytes())?;
    if mpi.rank() > 0 {
        return Ok(());
    }
    let hosts: Vec<String> = mpi.hosts().into_iter().map(str::to_string).collect();
    let mut rows = vec![["rank", "host", "device", ""].map(str::to_string).to_vec()];
    for (rank, (host, bytes)) in std::iter::zip(hosts, all).enumerate() {
        let theirs: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |key: &str| theirs[key].as_str().map(str::to_string);
        if args.json {
            term::say(json!({ "rank": rank, "host": host, "device": theirs["device"], "name": theirs["name"] }))?;
        } else {
            let number = text("device").unwrap_or_else(|| "cpu".into());
            rows.push(vec![rank.to_string(), host, number, text("name").unwrap_or_default()]);
        }
    }
    if args.json { Ok(()) } else { term::table(&rows).iter().try_for_each(term::say) }
}

/// Says that this program trains by itself.
#[cfg(not(feature = "mpi"))]
fn of_ranks(_args: &DevicesArgs, count: usize) -> Result<(), Error> {
    Err(super::ranks::alone(count))
}

fn object(a: &AdapterDesc, chosen: bool) -> Value {
    json!({
        "index": a.index, "name": a.name, "backend": a.backend, "kind": a.kind, "default": chosen,
        "driver": a.driver, "max_binding_bytes": a.max_binding_bytes, "max_workgroup_bytes": a.max_workgroup_bytes,
        "max_invocations": a.max_invocations, "subgroup_min": a.subgroup.0, "subgroup_max": a.subgroup.1,
        "features": a.features,
    })
}

fn describe(a: &AdapterDesc, chosen: Option<Reason>) -> Result<(), Error> {
    let mark = match chosen {
        Some(Reason::Kind) => "  (default: the fastest kind there is)".into(),
        Some(Reason::Asked(variable)) => format!("  (default: {variable} asks for it)"),
        None => String::new(),
    };
    term::say(format!("{:<4} {}{mark}", a.index, a.name))?;
    let kind = if a.is_software() { "software" } else { a.kind };
    term::say(format!("     {}, {kind}, driver {}", a.backend, a.driver))?;
    let subgroup = match a.subgroup {
        (low, high) if low == high => low.to_string(),
        (low, high) => format!("{low} to {high}"),
    };
    term::say(format!(
        "     buffers to {}, workgroups of {} with {}, subgroups of {subgroup}",
        term::size(a.max_binding_bytes),
        a.max_invocations,
        term::size(a.max_workgroup_bytes.into()),
    ))?;
    term::say(format!("     features: {}", if a.features.is_empty() { "none".into() } else { a.features.join(", ") }))
}
