//! `limn plan`: the program of a preset.

use super::{DeviceArg, Error, Setting, not_yet, setting};

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
}

/// Prints the listing, the parameters and the memory.
pub fn plan(args: &PlanArgs) -> Result<(), Error> {
    let _ = args;
    Err(not_yet("plan"))
}
