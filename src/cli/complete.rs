//! `limn complete`: images of which a part is hidden.

use super::images::{ImagesArg, ScaleArg, class};
use super::sample::drawing;
use super::{Error, TrainedArg, report, term};
use crate::data::{self, Binarisation, Geometry};
use crate::files;
use crate::models::{Family, Model};
use crate::program::room;
use crate::sample::{self, Grid};
use crate::train::RunDir;
use crate::words::either;
use std::path::{Path, PathBuf};

/// Arguments of `limn complete`.
#[derive(clap::Args, Debug)]
pub struct CompleteArgs {
    #[command(flatten)]
    trained: TrainedArg,
    #[command(flatten)]
    of: ImagesArg,
    /// Image to complete, a folder of images, or `test` for images of the run's test set; they are
    /// cropped and scaled as in training
    #[arg(long, value_name = "FILE|DIR|test")]
    images: String,
    /// How many images of a folder or of the test set
    #[arg(long, short, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    n: u32,
    /// What is kept: upper-half, left-half, box (all but a box in the middle), or a mask, of which
    /// what is white is kept, and what is black or transparent hidden
    #[arg(long, value_name = "upper-half|left-half|box|MASK.png", default_value = "upper-half")]
    keep: String,
    /// Complete as images of this class, where the model has classes; by default test images have
    /// their own, and those of a folder that of the folder's name that they lie in
    #[arg(long, value_name = "K|NAME")]
    class: Option<String>,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture to write, in the format of its extension, or a folder that gets each image in a file
    /// of its own; by default completed.png in the run folder
    #[arg(long, value_name = "FILE|DIR/")]
    out: Option<PathBuf>,
    #[command(flatten)]
    scale: ScaleArg,
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
    let place = args.scale.place(args.out.as_deref(), &run.path, "completed.png", medium)?;
    // Before pictures are read, which may take long.
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
    let (originals, labels) = originals(args, &run, session.model.as_ref())?;
    let size = geometry.elements();
    place.roomy([c, h, w], originals.len() / size * (2 + TRIES))?;
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
    report::renew(&run, args.out.as_deref());
    term::written(&place, format!("original, what is kept, {TRIES} completions: {written}"))
}

/// Completions of each image.
const TRIES: usize = 4;
/// The grey that stands for hidden pixels.
const HIDDEN: f32 = 0.35;

/// The images to complete [n,c,h,w], made binary or rounded to levels where the model knows them
/// so, and their labels if it has classes.
fn originals(args: &CompleteArgs, run: &RunDir, model: &dyn Model) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let path = Path::new(&args.images);
    let class = args.class.as_deref().map(|name| class(run, name)).transpose()?;
    let (grey, own) = if args.images == "test" {
        let test = args.of.open(run, model)?.test.spread(args.n as usize);
        (test.gather(&(0..test.len() as u32).collect::<Vec<u32>>(), 0.0, 1.0), test.labels.unwrap_or_default())
    } else if path.is_dir() {
        of_folder(args, run, model, class)?
    } else if path.exists() {
        (pixels(path, run, model)?, Vec::new())
    } else {
        let what = "there is no such file or folder; give a picture, a folder of pictures, or test";
        return Err(Error::new(format!("--images {}: {what}", args.images)));
    };
    let n = grey.len() / model.geometry().iter().product::<usize>();
    let labels = match (model.classes(), class) {
        (0, _) | (_, Some(_)) => sample::labels(model, n, class)?,
        (_, None) if own.len() == n => own,
        (_, None) => {
            return Err(Error::new("this model draws images of a class; say with --class which this one is of"));
        }
    };
    let last = last_level(model);
    Ok((grey.iter().map(|v| (v * last).round() / last).collect(), labels))
}

/// The last of the levels, counted from 0, that a model knows of a pixel.
fn last_level(model: &dyn Model) -> f32 {
    let images = model.images();
    let last = match images.binarisation {
        Binarisation::None => images.levels - 1,
        Binarisation::Dynamic | Binarisation::Static => 1,
    };
    last as f32
}

/// A picture [c,h,w] in [0, 1] as training would have it.
fn pixels(path: &Path, run: &RunDir, model: &dyn Model) -> Result<Vec<f32>, Error> {
    let stretch = run.identity()?.and_then(|of| of.stretched);
    let [c, h, w] = model.geometry();
    let wanted = Geometry::new(c, h, w);
    let picture = data::read_picture(path, Some(wanted), stretch, &files::NEVER)?;
    let pixels: Vec<f32> = picture.bytes.iter().map(|b| f32::from(*b) / 255.0).collect();
    let last = last_level(model);
    let rounded = pixels.iter().any(|v| *v != (v * last).round() / last);
    let levels = match last as usize {
        1 => "made black and white".to_string(),
        last => format!("rounded to {} levels", last + 1),
    };
    let clear = picture.transparent.then(|| "laid on white where it is transparent".to_string());
    let made = [picture.native.made(wanted), clear, (rounded && last < 255.0).then_some(levels)];
    let made: Vec<String> = made.into_iter().flatten().collect();
    if !made.is_empty() {
        term::note(format!("{} is {}", path.display(), made.join(", ")));
    }
    Ok(pixels)
}

/// The first pictures of a folder, and the classes of the folders that they lie in, if the model
/// has classes and none was given.
fn of_folder(
    args: &CompleteArgs,
    run: &RunDir,
    model: &dyn Model,
    class: Option<usize>,
) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let (files, left_out) = data::picture_files(Path::new(&args.images))?;
    if let Some(left_out) = left_out {
        term::note(format!("in {}, left out: {left_out}", args.images));
    }
    let (n, size) = (files.len().min(args.n as usize), model.geometry().iter().product::<usize>());
    let bytes = (4 * size * (4 + 2 * TRIES)) as u64;
    room(bytes.saturating_mul(n as u64), &format!("{n} images and their completions"), "ask for fewer with -n")?;
    let by_folder = model.classes() > 0 && class.is_none();
    let (mut all, mut labels, mut taken, mut tried) = (Vec::new(), Vec::new(), 0, 0);
    let mut first = None;
    for file in &files {
        if taken == args.n as usize {
            break;
        }
        tried += 1;
        match pixels(file, run, model) {
            Ok(image) => {
                if by_folder {
                    labels.push(of_name(file, run)?);
                }
                all.extend(image);
                taken += 1;
            }
            Err(error) => {
                term::note(format!("left out: {error}"));
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if all.is_empty() => return Err(error),
        _ => {}
    }
    if tried < files.len() {
        // Whether those can be read is not known.
        let (more, folder) = (files.len() - tried, &args.images);
        let s = if more == 1 { "" } else { "s" };
        term::note(format!(
            "completed the first {taken}; -n N takes more, of the {more} file{s} of {folder} that follow"
        ));
    }
    Ok((all, labels))
}

/// The class whose name is that of the folder that a picture lies in.
fn of_name(file: &Path, run: &RunDir) -> Result<u8, Error> {
    let folder = file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let known = run.config.data.classes.iter().position(|name| Some(name) == folder.as_ref());
    known.and_then(|class| u8::try_from(class).ok()).ok_or_else(|| {
        let file = file.display();
        Error::new(format!(
            "this model draws images of a class, and {file} lies in no folder that is called like one; say with --class"
        ))
    })
}

/// What is known of an image [c,h,w], from a region's name or a picture of the model's size.
pub(super) fn keep(what: &str, geometry: Geometry) -> Result<Vec<f32>, Error> {
    if let Some(mask) = sample::keep_mask(what, geometry.height, geometry.width) {
        return Ok(mask.repeat(geometry.channels));
    }
    let path = Path::new(what);
    if !path.exists() {
        let regions = either(&sample::REGIONS);
        return Err(Error::new(format!(
            "--keep {what}: there is no such region or file; it is {regions}, or a picture of which what is white is kept"
        )));
    }
    let (kept, native) = data::read_mask(path)?;
    if (native.height, native.width) != (geometry.height, geometry.width) {
        let size = |g: Geometry| format!("{}x{}", g.height, g.width);
        let words = format!("the mask {what} is {} and the model's images are {}", size(native), size(geometry));
        return Err(Error::new(words));
    }
    Ok(kept.repeat(geometry.channels))
}
