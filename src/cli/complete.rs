//! `limn complete`: images of which a part is hidden.

use super::images::{ImagesArg, class};
use super::sample::drawing;
use super::{Error, TrainedArg, nearest, term};
use crate::data::{self, Binarisation, Geometry};
use crate::files;
use crate::models::{Family, Model};
use crate::sample::{self, Grid, Output};
use crate::train::RunDir;
use std::path::{Path, PathBuf};

/// Arguments of `limn complete`.
#[derive(clap::Args, Debug)]
pub struct CompleteArgs {
    #[command(flatten)]
    trained: TrainedArg,
    #[command(flatten)]
    of: ImagesArg,
    /// Image to complete, or `test` for images of the run's test set
    #[arg(long, value_name = "FILE|test")]
    images: String,
    /// What is kept: upper-half, left-half, box (all but a box in the middle), or a mask, of which
    /// what is white is kept, and what is black or transparent hidden
    #[arg(long, value_name = "upper-half|left-half|box|MASK.png", default_value = "upper-half")]
    keep: String,
    /// Complete as images of this class, where the model has classes; test images have their own by
    /// default
    #[arg(long, value_name = "K|NAME")]
    class: Option<String>,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture to write, in the format of its extension, or a folder that gets each image in a file
    /// of its own; by default completed.png in the run folder
    #[arg(long, value_name = "FILE|DIR/")]
    out: Option<PathBuf>,
    /// Run the whole network on the whole image for every pixel, as a check: slow, the same images
    #[arg(long)]
    naive: bool,
}

/// Completes images into one picture.
pub fn complete(args: &CompleteArgs) -> Result<(), Error> {
    let (run, mut session, _) = args.trained.open()?;
    if !matches!(session.model.family(), Family::Pixels(_)) {
        return Err(Error::new(
            "only models that draw pixel by pixel complete images; train a pixelcnn preset for that",
        ));
    }
    let [c, h, w] = session.model.geometry();
    let geometry = Geometry::new(c, h, w);
    let medium = session.model.images().medium;
    let place = Output::new(args.out.as_deref(), &run.path, "completed.png", medium)?;
    let (originals, labels) = originals(args, &run, session.model.as_ref())?;
    let keep = keep(&args.keep, geometry)?;
    match keep.iter().filter(|k| **k == 0.0).count() {
        0 => {
            return Err(Error::new(format!("--keep {}: it hides nothing, so there is nothing to complete", args.keep)));
        }
        all if all == keep.len() => {
            let why = "it hides everything; for new images there is `limn sample`";
            return Err(Error::new(format!("--keep {}: {why}", args.keep)));
        }
        _ => {}
    }
    let size = geometry.elements();
    let repeated: Vec<f32> = originals.chunks(size).flat_map(|image| image.repeat(TRIES)).collect();
    let labels: Vec<u8> = labels.iter().flat_map(|label| [*label; TRIES]).collect();
    let drawing = drawing(&session, args.naive);
    let drawn = sample::complete(&mut session, &repeated, &keep, &labels, args.seed, drawing)?;
    // Each row: the original, what is kept of it, and the completions.
    let rows = std::iter::zip(originals.chunks(size), drawn.chunks(TRIES * size));
    let picture: Vec<f32> = rows
        .flat_map(|(original, tries)| {
            let hidden: Vec<f32> =
                std::iter::zip(original, &keep).map(|(v, k)| if *k == 0.0 { HIDDEN } else { *v }).collect();
            [original, &hidden, tries].concat()
        })
        .collect();
    let written = place.save(&Grid { images: &picture, geometry: [c, h, w], columns: 2 + TRIES }, medium)?;
    term::written(&place, format!("original, what is kept, {TRIES} completions: {written}"))
}

/// Completions of each image.
const TRIES: usize = 4;
/// Test images completed.
const IMAGES: usize = 10;
/// The grey that stands for hidden pixels.
const HIDDEN: f32 = 0.35;

/// The images to complete [n,c,h,w], made binary or rounded to levels where the model knows them
/// so, and their labels if it has classes.
fn originals(args: &CompleteArgs, run: &RunDir, model: &dyn Model) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let [c, h, w] = model.geometry();
    let (grey, mut labels) = if args.images == "test" {
        let test = args.of.open(run, model)?.test.spread(IMAGES);
        (test.gather(&(0..test.len() as u32).collect::<Vec<u32>>(), 0.0, 1.0), test.labels.unwrap_or_default())
    } else {
        if model.classes() > 0 && args.class.is_none() {
            return Err(Error::new("this model draws images of a class; say with --class which this one is of"));
        }
        let stretch = run.identity()?.and_then(|of| of.stretched);
        let (path, wanted) = (Path::new(&args.images), Geometry::new(c, h, w));
        let picture = data::read_picture(path, Some(wanted), stretch, &files::NEVER)?;
        if let Some(made) = picture.native.made(wanted) {
            term::note(format!("{} is {made}", path.display()));
        }
        (picture.bytes.iter().map(|b| f32::from(*b) / 255.0).collect(), Vec::new())
    };
    if model.classes() == 0 || args.class.is_some() {
        let class = args.class.as_deref().map(|name| class(run, name)).transpose()?;
        labels = sample::labels(model, grey.len() / (c * h * w), class)?;
    }
    let last = match model.images().binarisation {
        Binarisation::None => model.images().levels - 1,
        Binarisation::Dynamic | Binarisation::Static => 1,
    } as f32;
    Ok((grey.iter().map(|v| (v * last).round() / last).collect(), labels))
}

/// What is known of an image [c,h,w], from a region's name or a picture of the model's size.
fn keep(what: &str, geometry: Geometry) -> Result<Vec<f32>, Error> {
    if let Some(mask) = sample::keep_mask(what, geometry.height, geometry.width) {
        return Ok(mask.repeat(geometry.channels));
    }
    let path = Path::new(what);
    if !path.exists() {
        let hint = nearest(what, ["upper-half", "left-half", "box"]);
        return Err(Error::new(format!("--keep {what}: there is no such region or file; {hint}")));
    }
    let (kept, native) = data::read_mask(path)?;
    if (native.height, native.width) != (geometry.height, geometry.width) {
        let size = |g: Geometry| format!("{}x{}", g.height, g.width);
        let words = format!("the mask {what} is {} and the model's images are {}", size(native), size(geometry));
        return Err(Error::new(words));
    }
    Ok(kept.repeat(geometry.channels))
}
