//! `limn plan`: the program of a preset.

use super::times::Times;
use super::{DeviceArg, Error, PrecisionArg, SettingsArg, device, term};
use crate::graph::Shard;
use crate::program::{Capacity, DeviceError, Network, Program, Scaling};
use crate::train::{Config, MemoryUse, StepSpec};
use crate::words::{count, size};
use serde_json::{Value, json};

/// Arguments of `limn plan`.
#[derive(clap::Args, Debug)]
pub struct PlanArgs {
    #[command(flatten)]
    of: SettingsArg,
    /// Training steps done before, for a model whose steps change as it grows
    #[arg(long, value_name = "N", default_value_t = 0)]
    at: u64,
    /// The step of one of so many ranks that train together, each with its part of the batch, and
    /// what they are expected to get done
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    ranks: u32,
    /// GB that a rank sends in a second, while it receives as much
    #[arg(long, value_name = "GB/s", default_value_t = 10.0, requires = "ranks", value_parser = positive)]
    network: f64,
    /// Milliseconds that a rank's part of a step takes without the others; where it is not said, what
    /// is known of this device
    #[arg(long, value_name = "MS", requires = "ranks", value_parser = positive)]
    step_ms: Option<f64>,
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
    let parts = config.train.accumulate;
    let shard = Shard { ranks: args.ranks as usize, synchronised: config.train.sync_batch_norm, parts, ..Shard::WHOLE };
    let step = StepSpec { model: model.as_ref(), optim: &optim, seed, recompute, choices: None, shard };
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
    let together = match args.ranks {
        1 => None,
        ranks => {
            let alone = StepSpec { shard: Shard { parts, ..Shard::WHOLE }, ..step }
                .program(batch / ranks as usize, device.caps())?;
            Some(Together::of(args, &config, [&program, &alone], &device.name()))
        }
    };
    if args.json {
        let mut row = json!({
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
        if let Some(together) = &together {
            row["ranks"] = together.row();
        }
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
    if let Some(together) = &together {
        together.tell(batch)?;
    }
    term::say(format!("parameters: {}", count(model.parameters())))
}

/// What several ranks are expected to get done.
struct Together {
    network: Network,
    /// Seconds that a rank's part of a step takes by itself, where that is known.
    alone: Option<f64>,
    scaling: Scaling,
}

impl Together {
    fn of(args: &PlanArgs, config: &Config, [program, one]: [&Program; 2], device: &str) -> Together {
        let network = Network { ranks: args.ranks as usize, bytes_per_second: 1e9 * args.network };
        // A preset's step is known with its whole batch, and a part takes that part of it, or more.
        let known =
            || Some(Times::load().run(device, config)? / config.planned_steps()? as f64 / f64::from(args.ranks));
        let alone = args.step_ms.map(|ms| ms / 1e3).or_else(known);
        Together { network, alone, scaling: program.scaling(network, one, alone.unwrap_or(0.0)) }
    }

    fn row(&self) -> Value {
        let s = &self.scaling;
        let ms = |seconds: f64| term::number(1e3 * seconds);
        json!({
            "ranks": self.network.ranks,
            "network_gb_per_s": self.network.bytes_per_second / 1e9,
            "means": s.means,
            "mean_bytes": s.mean_bytes,
            "sent_bytes": s.sent_bytes,
            "messages": s.messages,
            "reduction_ms": ms(s.reduction),
            "step_alone_ms": self.alone.map(ms),
            "computing_ms": self.alone.map(|_| ms(s.computing)),
            "step_ms": self.alone.map(|_| ms(s.computing + s.waiting)),
            "efficiency": self.alone.map(|alone| s.efficiency(alone)),
            "efficiency_without_overlap": self.alone.map(|alone| s.efficiency_without_overlap(alone)),
        })
    }

    fn tell(&self, batch: usize) -> Result<(), Error> {
        let (s, ranks) = (&self.scaling, self.network.ranks);
        term::say("")?;
        term::say(format!(
            "{ranks} ranks, {} images each, {} GB/s:",
            batch / ranks,
            self.network.bytes_per_second / 1e9
        ))?;
        term::say(format!("means        {} a step, over {}", s.means, size(s.mean_bytes)))?;
        term::say(format!("each sends   {} in {} messages", size(s.sent_bytes), s.messages))?;
        term::say(format!("reduction    {:.3} ms a step", 1e3 * s.reduction))?;
        let Some(alone) = self.alone else {
            return term::say("how long a step takes here is not known yet; --step-ms MS says it");
        };
        let [step, more, waits] =
            [s.computing + s.waiting, s.computing - alone, s.waiting].map(|seconds| 1e3 * seconds);
        term::say(format!(
            "a step       {step:.3} ms, {more:.3} ms more of it computing than by itself, and {waits:.3} ms waiting for others"
        ))?;
        let shares = [s.efficiency(alone), s.efficiency_without_overlap(alone)].map(|share| 100.0 * share);
        term::say(format!("efficiency   {:.1}%, or {:.1}% if nothing was sent on the way", shares[0], shares[1]))
    }
}

/// A number above zero.
fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "it is a number above 0".into())
}
