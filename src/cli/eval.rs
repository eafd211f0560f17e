//! `limn eval`: the test loss with its parts.

use super::{DeviceArg, Error, not_yet};
use std::path::PathBuf;

/// Arguments of `limn eval`.
#[derive(clap::Args, Debug)]
pub struct EvalArgs {
    /// Run folder
    dir: PathBuf,
    /// One JSON object per metric
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArg,
}

/// Prints each metric with value, unit and protocol.
pub fn eval(args: &EvalArgs) -> Result<(), Error> {
    let _ = args;
    Err(not_yet("eval"))
}
