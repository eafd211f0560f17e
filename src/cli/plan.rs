//! `limn plan`: the program of a preset.

use super::{DeviceArg, Error, PrecisionArg, SettingsArg, device, term};
use crate::graph::Shard;
use crate::program::{Capacity, DeviceError};
use crate::train::{MemoryUse, StepSpec};
use crate::words::{count, size};
use serde_json::json;

/// Arguments of `limn plan`.
#[derive(clap::Args, Debug)]
pub struct PlanArgs {
    #[command(flatten)]
    of: SettingsArg,
    /// Training steps done before, for a model whose steps change as it grows
    #[arg(long, value_name = "N", default_value_t = 0)]
    at: u64,
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
    let config = args.of.config()?;
    let device = device::open_for(args.device.device.as_deref(), args.precision.of(&config))?;
    let model = config.model.at(args.at)?;
    let batch = config.train.batch;
    let (seed, recompute) = (config.train.seed, config.train.recompute);
    let optim = config.optimizer();
    let step = StepSpec { model: model.as_ref(), optim: &optim, seed, recompute, choices: None, shard: Shard::WHOLE };
    let program = step.program(batch, device.caps()).map_err(|error| step.refusal(error, batch, &device))?;
    let (totals, memory) = (program.totals(), MemoryUse::of(&program, model.as_ref(), &optim));
    let recompute_saves = match recompute {
        true => {
            let plain = StepSpec { recompute: false, ..step }.program(batch, device.caps());
            plain.map_or(0, |plain| plain.totals().memory - totals.memory)
        }
        false => 0,
    };
    let fits = Capacity::of(&device).check(&program);
    if args.json {
        let row = json!({
            "preset": args.of.preset,
            "batch": config.train.batch,
            "device": device.name(),
            "parameters": model.parameters(),
            "launches": totals.launches,
            "gflop_per_step": totals.flops as f64 / 1e9,
            "bytes_per_step": totals.bytes,
            "parameter_bytes": memory.parameters,
            "optimizer_bytes": memory.optimizer,
            "gradient_bytes": memory.gradients,
            "record_bytes": memory.records,
            "input_bytes": memory.inputs,
            "activation_bytes": memory.activations,
            "shared_bytes": memory.shared,
            "reuse_saved_bytes": memory.reuse_saves(),
            "recompute_saved_bytes": recompute_saves,
            "peak_bytes": memory.peak(),
            "fits": fits.is_ok(),
            "program": program.rows(),
        });
        return term::say(row);
    }
    for net in model.networks() {
        term::say(format!("{} ({} parameters)", net.name, count(net.count())))?;
        for p in &net.params {
            let shape: Vec<String> = p.shape.iter().map(usize::to_string).collect();
            term::say(format!("  {:<28} {:<16} {:>9}", p.name, shape.join("x"), p.len()))?;
        }
    }
    term::say("")?;
    term::say(format!("the training step, batch {}, on {}:", config.train.batch, device.name()))?;
    program.listing().lines().try_for_each(term::say)?;
    term::say("")?;
    term::say(format!("launches     {}", totals.launches))?;
    term::say(format!("arithmetic   {:.3} GFLOP a step", totals.flops as f64 / 1e9))?;
    for (what, bytes) in [
        ("weights", memory.parameters),
        ("optimiser", memory.optimizer),
        ("gradients", memory.gradients),
        ("records", memory.records),
        ("inputs", memory.inputs),
        ("activations", memory.shared),
    ] {
        term::say(format!("{what:<12} {:>10}", size(bytes)))?;
    }
    let [alone, saved] = [memory.activations, memory.reuse_saves()].map(size);
    term::say(format!("peak         {:>10}", size(memory.peak())))?;
    term::say(format!("activations would take {alone} if none shared memory: reuse saves {saved}"))?;
    if recompute {
        term::say(format!("without recomputation more would be held: it saves {}", size(recompute_saves)))?;
    }
    if let Err(exceeded) = fits {
        term::note(step.refusal(DeviceError::from(exceeded).into(), batch, &device));
    }
    term::say(format!("parameters: {}", count(model.parameters())))
}
