//! `limn profile`: where the GPU time of a training step goes.

use super::{DeviceArg, Error, not_yet};
use std::path::PathBuf;

/// Arguments of `limn profile`.
#[derive(clap::Args, Debug)]
pub struct ProfileArgs {
    /// Preset or a TOML file
    preset: String,
    /// Steps to average over
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Images per step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Write a trace for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// One JSON object per kernel
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArg,
}

/// Times every launch of a training step.
pub fn profile(args: &ProfileArgs) -> Result<(), Error> {
    let _ = args;
    Err(not_yet("profile"))
}
