//! `limn plan`: the program of a preset.

use super::{DeviceArg, Error, PrecisionArg, Setting, config, device, setting, term};
use crate::program::{Options, Totals, plan as make};
use crate::train::train_source;
use serde_json::json;

/// Arguments of `limn plan`.
#[derive(clap::Args, Debug)]
pub struct PlanArgs {
    /// Preset or a TOML file
    preset: String,
    /// Images per step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Change a setting of the preset; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Setting>,
    /// One JSON object per program
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArg,
    #[command(flatten)]
    precision: PrecisionArg,
}

/// Prints the listing, the parameters and the memory.
pub fn plan(args: &PlanArgs) -> Result<(), Error> {
    let config = config(&args.preset, args.batch, &args.set)?;
    let device = device::open_for(args.device.device.as_deref(), args.precision.of(&config))?;
    let model = config.model.build().map_err(Error::new)?;
    let source = train_source(model.as_ref(), &config.optim, config.train.batch, config.train.seed)?;
    let program = make(&source, &Options::new(device.caps()))?;
    let totals: Totals = program.totals();
    if args.json {
        let row = json!({
            "preset": args.preset,
            "batch": config.train.batch,
            "device": device.name(),
            "parameters": model.parameters(),
            "launches": totals.launches,
            "gflop_per_step": totals.flops as f64 / 1e9,
            "bytes_per_step": totals.bytes,
            "memory_bytes": totals.memory,
            "temporary_bytes": totals.temporary,
            "unshared_bytes": totals.unshared,
        });
        return term::say(row);
    }
    for net in model.networks() {
        term::say(format!("{} ({} parameters)", net.name, net.count()))?;
        for p in &net.params {
            let shape: Vec<String> = p.shape.iter().map(usize::to_string).collect();
            term::say(format!("  {:<28} {:<16} {:>9}", p.name, shape.join("x"), p.len()))?;
        }
    }
    term::say(format!("\nthe training step, batch {}, on {}:", config.train.batch, device.name()))?;
    term::say(program.listing())?;
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    term::say(format!("launches    {}", totals.launches))?;
    term::say(format!("arithmetic  {:.3} GFLOP a step", totals.flops as f64 / 1e9))?;
    term::say(format!("memory      {} in all", mb(totals.memory)))?;
    term::say(format!(
        "temporaries {} in shared buffers; {} if each had its own",
        mb(totals.temporary),
        mb(totals.unshared)
    ))?;
    term::say(format!("parameters: {}", model.parameters()))
}
