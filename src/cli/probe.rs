//! `limn probe`: what a discriminator has learnt, by a linear classifier on its activations.

use super::images::{ChangedArg, open_run, reading};
use super::{Error, TrainedArg, eval};
use crate::train;

/// Arguments of `limn probe`.
#[derive(clap::Args, Debug)]
pub struct ProbeArgs {
    #[command(flatten)]
    trained: TrainedArg,
    /// Dataset with labels: fashion-mini, mnist, fashion-mnist, cifar10, or IDX or CIFAR-10 files, or a
    /// folder with a folder for each class; by default the run's own
    #[arg(long, value_name = "D")]
    data: Option<String>,
    #[command(flatten)]
    changed: ChangedArg,
    /// How many training images, evenly spread; by default all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(5..))]
    images: Option<u32>,
    /// One JSON object per figure
    #[arg(long)]
    json: bool,
}

/// Prints the classifier's accuracy and its protocol.
pub fn probe(args: &ProbeArgs) -> Result<(), Error> {
    let (run, mut session, step) = args.trained.open()?;
    let data = match args.data.as_deref() {
        Some(other) => reading(None, |options| train::images(other, session.model.as_ref(), options))?,
        None => open_run(&run, session.model.as_ref(), None, &args.changed)?,
    };
    let all = data.train.len();
    let images = args.images.map_or(all, |n| n as usize);
    if images > all {
        return Err(Error::new(format!("--images {images}: {} has {all} training images", data.name)));
    }
    let figures = crate::eval::probe(&mut session, &data, images)?;
    eval::keep(&run, step, &figures);
    eval::show(&figures, args.json)
}
