//! `limn shader`: the WGSL that a device is given for a kernel.

use super::{DeviceArg, Error, PrecisionArg, device, nearest, term};
use crate::kernels::{self, Caps, Kernel, Precision, Recipe, Slot, Stage};

/// Arguments of `limn shader`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  limn shader adam --variant vec4 > adam.wgsl\n  limn shader conv2d --stage 2")]
pub struct ShaderArgs {
    /// Kernel, by its name in `limn check`
    kernel: String,
    /// Variant, by its name in `limn check`; without one the first that the device has, which is
    /// the best guess
    #[arg(long, value_name = "V")]
    variant: Option<String>,
    /// Only this stage of the variant, counted from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stage: Option<u32>,
    #[command(flatten)]
    device: DeviceArg,
    #[command(flatten)]
    precision: PrecisionArg,
}

/// Prints every stage's module, behind a comment with its entry point, constants, bindings and
/// grid.
pub fn shader(args: &ShaderArgs) -> Result<(), Error> {
    let entries = kernels::all();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    let Some(entry) = entries.iter().find(|entry| entry.name == args.kernel) else {
        return Err(Error::new(format!(
            "no kernel is called \"{}\"; {}",
            args.kernel,
            nearest(&args.kernel, names.iter().copied())
        )));
    };
    let device = match args.precision.precision {
        Some(Precision::Mixed) => device::open_for(args.device.device.as_deref(), Precision::Mixed)?,
        _ => device::open(args.device.device.as_deref())?,
    };
    if device.caps().is_none() {
        term::note(format!("{} runs no shaders; these are for a GPU with WebGPU's default limits", device.name()));
    }
    let caps = device.caps().unwrap_or(Caps::WEBGPU);
    let kernels: Vec<Box<dyn Kernel>> = (entry.shapes)().into_iter().chain((entry.cases)()).collect();
    let all: Vec<(String, Recipe)> = kernels
        .iter()
        .flat_map(|kernel| kernel.variants(&caps).into_iter().map(|recipe| (kernel.label(), recipe)))
        .collect();
    let Some((label, recipe)) = all.iter().find(|(_, recipe)| args.variant.as_ref().is_none_or(|v| v == recipe.name))
    else {
        return Err(unknown_variant(args, &all));
    };
    let count = recipe.stages.len();
    if let Some(stage) = args.stage.filter(|stage| *stage as usize > count) {
        let of = format!("{} of {} has {count} stage{}", recipe.name, entry.name, if count == 1 { "" } else { "s" });
        return Err(Error::new(format!("{of}, and --stage {stage} is none of them")));
    }
    for (i, stage) in recipe.stages.iter().enumerate() {
        if args.stage.is_some_and(|wanted| wanted as usize != i + 1) {
            continue;
        }
        let which = if count == 1 { String::new() } else { format!(", stage {} of {count}", i + 1) };
        term::say(format!("// {} ({label}), variant {}{which}: {}", entry.name, recipe.name, stage.shader.name))?;
        facts(stage).iter().try_for_each(|fact| term::say(format!("// {fact}")))?;
        term::say("")?;
        stage.shader.source()?.lines().try_for_each(term::say)?;
    }
    Ok(())
}

/// What a device is told of a stage beside its module.
fn facts(stage: &Stage) -> Vec<String> {
    let constants: Vec<String> = stage.constants.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let bound = stage.bind.iter().enumerate().map(|(i, (name, slot))| {
        let what = match slot {
            Slot::Read(_) => "read",
            Slot::Write(_) => "write",
            Slot::ScratchIn(_) => "scratch, read",
            Slot::ScratchOut(_) => "scratch, written",
        };
        format!("{} {name} ({what})", i + 1)
    });
    let bound: Vec<String> = std::iter::once("0 p (parameters)".to_string()).chain(bound).collect();
    let mut facts = vec!["entry point: main".to_string()];
    if !constants.is_empty() {
        facts.push(format!("override constants: {}", constants.join(", ")));
    }
    facts.push(format!("bindings of group 0: {}", bound.join(", ")));
    facts.push(format!("workgroups: {}", stage.grid.map(|n| n.to_string()).join(" x ")));
    facts
}

fn unknown_variant(args: &ShaderArgs, all: &[(String, Recipe)]) -> Error {
    let mut names: Vec<&str> = Vec::new();
    for (_, recipe) in all {
        if !names.contains(&recipe.name) {
            names.push(recipe.name);
        }
    }
    let wanted = args.variant.as_deref().unwrap_or_default();
    let hint = if names.is_empty() { "it has none".into() } else { nearest(wanted, names.iter().copied()) };
    Error::new(format!("no variant of {} that this device can run is called \"{wanted}\"; {hint}", args.kernel))
}
