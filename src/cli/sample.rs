//! `limn sample`: pictures a trained model draws.

use super::images::{ImagesArg, class};
use super::{Error, TrainedArg, term};
use crate::bench::quantile;
use crate::data::Dataset;
use crate::eval::{self, Neighbour};
use crate::models::Family;
use crate::sample::{self, Drawing, Grid, Output};
use crate::train::{Session, Weights};
use std::path::PathBuf;

/// Arguments of `limn sample`.
#[derive(clap::Args, Debug)]
pub struct SampleArgs {
    #[command(flatten)]
    trained: TrainedArg,
    #[command(flatten)]
    of: ImagesArg,
    /// How many images; by default 64, or 10 with --neighbours
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    n: Option<u32>,
    /// Draw images of this class only, where the model has classes; by default every column is a
    /// class
    #[arg(long, value_name = "K|NAME")]
    class: Option<String>,
    /// Draw each latent number again until it is within T of the mean: fewer kinds of images, of
    /// better quality
    #[arg(long, value_name = "T", value_parser = bound)]
    truncation: Option<f32>,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture to write, in the format of its extension, or a folder (with a / at its end, if it is
    /// new) that gets each image in a file of its own; by default samples.png, or neighbours.png,
    /// in the run folder
    #[arg(long, value_name = "FILE|DIR/")]
    out: Option<PathBuf>,
    /// Run the whole network on the whole image for every pixel, as a check: slow, the same images
    #[arg(long)]
    naive: bool,
    /// Show beside each image the K training images that are nearest to it, as a check that it is
    /// new
    #[arg(long, value_name = "K", num_args = 0..=1, default_missing_value = "5",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    neighbours: Option<u32>,
}

/// Draws samples into one picture.
pub fn sample(args: &SampleArgs) -> Result<(), Error> {
    let (run, mut session, step) = args.trained.open()?;
    let (few, name) = if args.neighbours.is_some() { (10, "neighbours.png") } else { (64, "samples.png") };
    let n = args.n.unwrap_or(few) as usize;
    let drawing = drawing(&session, args.naive);
    let place = Output::new(args.out.as_deref(), &run.path, name, session.model.images().medium)?;
    sample::roomy(&session, n)?;
    if let Family::Latent(model) = session.model.family()
        && let Some(caveat) = model.caveat()
    {
        term::note(caveat);
    }
    let class = args.class.as_deref().map(|name| class(&run, name)).transpose()?;
    let images = images(args, &mut session, (n, class), drawing)?;
    if let Some(k) = args.neighbours {
        let data = args.of.open(&run, session.model.as_ref())?;
        return neighbours(&data, &mut session, &images, k as usize, &place);
    }
    let written = place.save(&Grid::of(&session, &images, class), session.model.images().medium)?;
    let averaged = if session.weights == Weights::Averaged { ", with averaged weights" } else { "" };
    term::written(&place, format!("{n} samples after {step} training steps{averaged}: {written}"))
}

/// A bound of truncation; far smaller ones would take for ever to draw.
fn bound(text: &str) -> Result<f32, String> {
    let bound = text.parse().map_err(|_| "it is no number")?;
    if (0.01..=100.0).contains(&bound) { Ok(bound) } else { Err("it must be between 0.01 and 100".into()) }
}

/// The images that are asked for.
fn images(
    args: &SampleArgs,
    session: &mut Session,
    (n, class): (usize, Option<usize>),
    drawing: Drawing,
) -> Result<Vec<f32>, Error> {
    let Some(bound) = args.truncation else {
        return Ok(sample::samples(session, n, class, args.seed, drawing)?);
    };
    let Family::Latent(model) = session.model.family() else {
        return Err(Error::new("--truncation is for models with latent vectors, and this one draws pixel by pixel"));
    };
    let z = sample::truncated(model.prior(), n, model.latent(), bound, args.seed);
    let labels = sample::labels(session.model.as_ref(), n, class)?;
    Ok(sample::decode(session, &z, &labels)?)
}

/// Each image and then its nearest training images in a row, and how near they are. Where they are
/// much nearer than those of test images, the model has learnt images by heart.
fn neighbours(data: &Dataset, session: &mut Session, images: &[f32], k: usize, place: &Output) -> Result<(), Error> {
    let (geometry, size) = (session.model.geometry(), data.geometry().elements());
    let k = k.min(data.train.len());
    let found = eval::nearest(session, images, &data.train, k)?;
    let row = |(image, near): (&[f32], &Vec<Neighbour>)| -> Vec<f32> {
        let indices: Vec<u32> = near.iter().map(|n| n.index as u32).collect();
        [image, &data.train.gather(&indices, 0.0, 1.0)].concat()
    };
    let rows: Vec<f32> = std::iter::zip(images.chunks(size), &found).flat_map(row).collect();
    let written = place.save(&Grid { images: &rows, geometry, columns: k + 1 }, session.model.images().medium)?;
    let n = found.len();
    let unseen = data.test.spread(n);
    let all: Vec<u32> = (0..unseen.len() as u32).collect();
    let beside = eval::nearest(session, &unseen.gather(&all, 0.0, 1.0), &data.train, 1)?;
    term::written(
        place,
        format!("{n} samples, each before its {k} nearest training images of {}: {written}", data.name),
    )?;
    term::say(format!(
        "the nearest is at {}; that of {} test images at {} (Euclidean distance of pixels in [0, 1])",
        distances(&found),
        unseen.len(),
        distances(&beside)
    ))
}

/// Least and median distance of each one's nearest.
fn distances(found: &[Vec<Neighbour>]) -> String {
    let mut all: Vec<f64> = found.iter().filter_map(|near| near.first()).map(|near| near.distance).collect();
    let [median, least] = [0.5, 0.0].map(|share| quantile(&mut all, share));
    format!("{median:.2} (median), {least:.2} (least)")
}

/// How a model's pixels are drawn; says so where the fast way is wanted and cannot be had.
pub(super) fn drawing(session: &Session, naive: bool) -> Drawing {
    if naive {
        return Drawing::Naive;
    }
    if let (Family::Pixels(_), Some(why)) = (session.model.family(), sample::refusal(session)) {
        term::note(why);
    }
    Drawing::Cached
}
