//! `limn sample`: pictures a trained model draws.

use super::images::{ImagesArg, ScaleArg, class};
use super::ranks::{self, Rank};
use super::{Error, TrainedArg, report, term};
use crate::bench::quantile;
use crate::data::Dataset;
use crate::eval::{self, Neighbour};
use crate::models::Family;
use crate::sample::{self, ArrayFormat, Arrays, Drawing, Grid, Output};
use crate::train::{RunDir, Session, Weights};
use std::path::{Path, PathBuf};

/// Arguments of `limn sample`.
#[derive(clap::Args, Debug)]
pub struct SampleArgs {
    #[command(flatten)]
    trained: TrainedArg,
    #[command(flatten)]
    of: ImagesArg,
    /// How many images; by default 64, or 10 with --neighbours
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    n: Option<u32>,
    /// Draw images of this class only, where the model has classes; by default every column is a
    /// class
    #[arg(long, value_name = "K|NAME")]
    class: Option<String>,
    /// Draw each latent number again until it is within T of the mean: fewer kinds of images, of
    /// better quality
    #[arg(long, value_name = "T", value_parser = bound)]
    truncation: Option<f32>,
    /// Decode these latent vectors instead of drawing some: [n, latent] from a .npz, .npy,
    /// .safetensors or .csv file, where there are several arrays the one called latents; labels in it
    /// are classes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["n", "truncation", "seed"])]
    latents: Option<PathBuf>,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture to write, in the format of its extension; a folder (with a / at its end, if it is
    /// new) that gets each image in a file of its own; or .npz or .safetensors: images [n,c,h,w] from
    /// 0 to 1, their latents and labels. By default samples.png, or neighbours.png, in the run folder
    #[arg(long, value_name = "FILE|DIR/")]
    out: Option<PathBuf>,
    #[command(flatten)]
    scale: ScaleArg,
    /// Run the whole network on the whole image for every pixel, as a check: slow, the same images
    #[arg(long)]
    naive: bool,
    /// Show beside each image the K training images that are nearest to it, as a check that it is
    /// new
    #[arg(long, value_name = "K", num_args = 0..=1, default_missing_value = "5",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    neighbours: Option<u32>,
}

/// Images, and what they were made of.
struct Made {
    /// [n,c,h,w] in [0, 1].
    images: Vec<f32>,
    /// [n,latent], of models that have them.
    latents: Option<Vec<f32>>,
    /// [n], of models that have classes.
    labels: Vec<u8>,
}

/// Where they go.
enum Place {
    Pictures(Output),
    Arrays(ArrayFormat, PathBuf),
    /// Nowhere from here.
    Elsewhere,
}

/// Draws samples into one picture, or into a file of arrays.
pub fn sample(args: &SampleArgs) -> Result<(), Error> {
    ranks::all(|rank| sample_as(rank, args))
}

fn sample_as(rank: Option<&Rank>, args: &SampleArgs) -> Result<(), Error> {
    let (run, mut session, step) = args.trained.open_as(rank)?;
    let (few, name) = if args.neighbours.is_some() { (10, "neighbours.png") } else { (64, "samples.png") };
    let medium = session.model.images().medium;
    let place = match args.out.as_deref().and_then(|out| Some((ArrayFormat::of(out)?, out))) {
        // Only the first of several ranks writes, to where the others may not.
        _ if !session.is_first() => Place::Elsewhere,
        Some((format, out)) if !out.is_dir() => {
            args.no_pictures()?;
            Arrays::can_be_at(out)?;
            Place::Arrays(format, out.into())
        }
        _ => Place::Pictures(args.scale.place(args.out.as_deref(), &run.path, name, medium)?),
    };
    if let Family::Latent(model) = session.model.family()
        && let Some(caveat) = model.caveat()
    {
        term::note(caveat);
    }
    let class = args.class.as_deref().map(|name| class(&run, name)).transpose()?;
    let roomy = |session: &Session, n: usize| -> Result<(), Error> {
        sample::roomy(session, n)?;
        match &place {
            Place::Pictures(place) => Ok(place.roomy(session.model.geometry(), n)?),
            Place::Arrays(..) | Place::Elsewhere => Ok(()),
        }
    };
    let made = match &args.latents {
        Some(file) => decoded(&mut session, file, class, roomy)?,
        None => {
            let n = args.n.unwrap_or(few) as usize;
            roomy(&session, n)?;
            let drawing = drawing(&session, args.naive);
            drawn(args, &mut session, (n, class), drawing)?
        }
    };
    let told = match place {
        Place::Elsewhere => return Ok(()),
        Place::Pictures(place) if args.neighbours.is_some() => {
            session.share_work(None);
            args.neighbours(&run, &mut session, &made.images, &place)
        }
        Place::Pictures(place) => {
            let written = place.save(&Grid::of(&session, &made.images, class), medium)?;
            term::written(&place, told(&session, &made, step, &written))
        }
        Place::Arrays(format, path) => {
            let geometry = session.model.geometry();
            let arrays =
                Arrays { images: &made.images, geometry, latents: made.latents.as_deref(), labels: &made.labels };
            arrays.save(format, &path)?;
            let parts: Vec<String> = arrays.shapes().iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
            term::say(format!("{} ({})", told(&session, &made, step, &path.display().to_string()), parts.join(", ")))
        }
    };
    report::renew(&run, args.out.as_deref());
    told
}

/// What was made, and where it is.
fn told(session: &Session, made: &Made, step: u64, written: &str) -> String {
    let n = made.images.len() / session.model.geometry().iter().product::<usize>();
    let averaged = if session.weights == Weights::Averaged { ", with averaged weights" } else { "" };
    let s = |count: u64| if count == 1 { "" } else { "s" };
    format!("{n} sample{} after {step} training step{}{averaged}: {written}", s(n as u64), s(step))
}

impl SampleArgs {
    /// Refuses what is about pictures, where there are none.
    fn no_pictures(&self) -> Result<(), Error> {
        match (self.neighbours, &self.out) {
            (Some(_), Some(out)) => {
                let name = out.display();
                Err(Error::new(format!("--neighbours is a picture, and {name} is no file of one; call it .png")))
            }
            _ => self.scale.no_pictures(),
        }
    }

    /// Shows images beside those they are nearest to.
    fn neighbours(&self, run: &RunDir, session: &mut Session, images: &[f32], place: &Output) -> Result<(), Error> {
        let data = self.of.open(run, session.model.as_ref())?;
        neighbours(&data, session, images, self.neighbours.unwrap_or(NEIGHBOURS) as usize, place)
    }
}

/// Training images beside each sample.
const NEIGHBOURS: u32 = 5;

/// A bound of truncation; far smaller ones would take for ever to draw.
fn bound(text: &str) -> Result<f32, String> {
    let bound = text.parse().map_err(|_| "it is no number")?;
    if (0.01..=100.0).contains(&bound) { Ok(bound) } else { Err("it must be between 0.01 and 100".into()) }
}

/// The images that are asked for.
fn drawn(
    args: &SampleArgs,
    session: &mut Session,
    (n, class): (usize, Option<usize>),
    drawing: Drawing,
) -> Result<Made, Error> {
    let labels = sample::labels(session.model.as_ref(), n, class)?;
    let latents = match (session.model.family(), args.truncation) {
        (Family::Latent(model), None) => Some(sample::prior(model.prior(), n, model.latent(), args.seed)),
        (Family::Latent(model), Some(bound)) => {
            Some(sample::truncated(model.prior(), n, model.latent(), bound, args.seed))
        }
        (_, None) => None,
        (_, Some(_)) => {
            return Err(Error::new("--truncation is for models with latent vectors, and this one has none"));
        }
    };
    let images = match &latents {
        Some(z) => sample::decode(session, z, &labels)?,
        None => sample::samples(session, n, class, args.seed, drawing)?,
    };
    Ok(Made { images, latents, labels })
}

/// The images of latent vectors in a file; of the class that is asked for, or of the labels in it.
fn decoded(
    session: &mut Session,
    file: &Path,
    class: Option<usize>,
    roomy: impl Fn(&Session, usize) -> Result<(), Error>,
) -> Result<Made, Error> {
    let Family::Latent(model) = session.model.family() else {
        return Err(Error::new("--latents is for models with latent vectors, and this one has none"));
    };
    let latent = model.latent();
    let read = sample::read_latents(file, latent)?;
    let n = read.codes.len() / latent;
    roomy(session, n)?;
    let labels = match (class, read.labels) {
        (None, Some(labels)) if session.model.classes() > 0 => labels,
        _ => sample::labels(session.model.as_ref(), n, class)?,
    };
    let images = sample::decode(session, &read.codes, &labels)?;
    Ok(Made { images, latents: Some(read.codes), labels })
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
