//! `limn complete`: images of which a part is hidden.

use super::{DeviceArg, Error, not_yet};
use std::path::PathBuf;

/// Arguments of `limn complete`.
#[derive(clap::Args, Debug)]
pub struct CompleteArgs {
    /// Run folder
    dir: PathBuf,
    /// Image to complete, or `test` for images of the run's test set
    #[arg(long, value_name = "FILE|test")]
    images: String,
    /// What is kept: upper-half, left-half, box (all but a box in the middle), or a mask whose white is kept
    #[arg(long, value_name = "upper-half|left-half|box|MASK.png", default_value = "upper-half")]
    keep: String,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture to write; by default completed.png in the run folder
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArg,
}

/// Completes images into one picture.
pub fn complete(args: &CompleteArgs) -> Result<(), Error> {
    let _ = args;
    Err(not_yet("complete"))
}
