//! `limn latent`: pictures of a latent space.

use super::{DeviceArg, Error, not_yet};
use std::path::PathBuf;

/// Arguments of `limn latent`.
#[derive(clap::Args, Debug)]
pub struct LatentArgs {
    /// Run folder
    dir: PathBuf,
    /// What to draw
    #[arg(value_enum)]
    view: View,
    /// Seed of the noise, where there is any
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture to write; by default named after the view, in the run folder
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArg,
}

/// What to draw of a latent space.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum View {
    /// A grid of decoded points that covers the prior
    Manifold,
    /// One latent dimension after the other
    Traverse,
    /// Between pairs of test images
    Interpolate,
    /// Test images beside their reconstructions
    Reconstruct,
}

/// Draws the latent space into one picture.
pub fn latent(args: &LatentArgs) -> Result<(), Error> {
    let _ = args;
    Err(not_yet("latent"))
}
