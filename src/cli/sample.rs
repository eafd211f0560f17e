//! `limn sample`: pictures a trained model draws.

use super::train::picture;
use super::{Error, TrainedArg, term};
use crate::models::Family;
use crate::sample::{self, Drawing};
use crate::train::{Session, Weights};
use std::path::PathBuf;

/// Arguments of `limn sample`.
#[derive(clap::Args, Debug)]
pub struct SampleArgs {
    #[command(flatten)]
    trained: TrainedArg,
    /// How many images
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    n: u32,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture to write; by default samples.png in the run folder
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Run the whole network on the whole image for every pixel, as a check: slow, the same images
    #[arg(long)]
    naive: bool,
}

/// Draws samples into one picture.
pub fn sample(args: &SampleArgs) -> Result<(), Error> {
    let (run, mut session, step) = args.trained.open()?;
    let n = args.n as usize;
    let drawing = drawing(&session, args.naive);
    let out = args.out.clone().unwrap_or_else(|| run.path.join("samples.png"));
    if let Family::Latent(model) = session.model.family()
        && let Some(caveat) = model.caveat()
    {
        term::note(caveat);
    }
    picture(&mut session, n, args.seed, drawing, &out).map_err(|e| Error::new(e.to_string()))?;
    let averaged = if session.weights == Weights::Averaged { ", with averaged weights" } else { "" };
    term::say(format!("{n} samples after {step} training steps{averaged}: {}", out.display()))
}

/// How a model's pixels are drawn; says so where the fast way is wanted and cannot be had.
pub fn drawing(session: &Session, naive: bool) -> Drawing {
    if naive {
        return Drawing::Naive;
    }
    if let (Family::Pixels(_), Some(why)) = (session.model.family(), sample::refusal(session)) {
        term::note(why);
    }
    Drawing::Cached
}
