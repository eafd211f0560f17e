//! `limn latent`: pictures of a latent space.

mod arithmetic;
mod space;

use super::images::{ImagesArg, ScaleArg, class};
use super::{Error, TrainedArg, report, term};
use crate::data::{Dataset, Medium};
use crate::models::Family;
use crate::sample::{self, Film, FilmFormat, Grid};
use crate::train::Session;
use space::Space;
use std::path::PathBuf;

/// Arguments of `limn latent`.
#[derive(clap::Args, Debug)]
pub struct LatentArgs {
    #[command(flatten)]
    trained: TrainedArg,
    #[command(flatten)]
    of: ImagesArg,
    /// What to draw
    #[arg(value_enum)]
    view: View,
    /// Of images of this class, where the model has classes
    #[arg(long, value_name = "K|NAME")]
    class: Option<String>,
    #[command(flatten)]
    arithmetic: arithmetic::ArithmeticArgs,
    /// Seed of the noise, where there is any
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// A film that goes on for ever, of a manifold, traverse, interpolate or arithmetic: a GIF, or a
    /// WebP in all colours, where --out is called so. Those names need no --film
    #[arg(long, visible_alias = "gif")]
    film: bool,
    /// Frames a second of a film, 0.1 to 50; by default 12.5
    #[arg(long, value_name = "N", value_parser = rate)]
    fps: Option<f32>,
    /// Picture to write, in the format of its extension, or a folder that gets each image in a file
    /// of its own; by default named after the view, in the run folder
    #[arg(long, value_name = "FILE|DIR/")]
    out: Option<PathBuf>,
    #[command(flatten)]
    scale: ScaleArg,
}

/// What to draw of a latent space.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq)]
enum View {
    /// A grid of decoded points that covers the prior, or, of more than two dimensions, goes from draw
    /// to draw; as a film, walks in circles
    Manifold,
    /// One latent dimension after the other
    Traverse,
    /// Between pairs of test images
    Interpolate,
    /// Test images beside their reconstructions
    Reconstruct,
    /// Test images of one class, moved by the difference of the mean codes of two
    Arithmetic,
    /// The mean images of a mixture, the most probable first
    Components,
}

/// Opens the images of the run, where a view needs them.
type Images<'a> = dyn Fn(&Session) -> Result<Dataset, Error> + 'a;

/// Images to show.
struct Shown {
    /// [rows, columns, c,h,w] in [0, 1].
    images: Vec<f32>,
    columns: usize,
    /// As a film, whether the last column leads back to the first.
    is_loop: bool,
}

impl Shown {
    fn still(images: Vec<f32>, columns: usize) -> Shown {
        Shown { images, columns, is_loop: false }
    }
}

/// Draws the latent space into one picture.
pub fn latent(args: &LatentArgs) -> Result<(), Error> {
    let moves = matches!(args.view, View::Manifold | View::Traverse | View::Interpolate | View::Arithmetic);
    if args.film && !moves {
        return Err(Error::new(
            "--film: this view does not move; it is for manifold, traverse, interpolate, arithmetic",
        ));
    }
    if args.view != View::Arithmetic {
        args.arithmetic.refuse()?;
    }
    let (run, mut session, _) = args.trained.open()?;
    let name = format!("{:?}", args.view).to_lowercase();
    let own = session.model.images().medium;
    // Of models that make films themselves a GIF shows these.
    let named = args.out.as_deref().is_some_and(|out| FilmFormat::of(out).is_some() && !out.is_dir());
    let film = args.film || (moves && named && own == Medium::Pictures);
    if args.fps.is_some() && !film {
        return Err(Error::new("--fps is for films; add --film, or call --out .gif or .webp"));
    }
    let file = format!("{name}.{}", if film { "gif" } else { "png" });
    let medium = if film { Medium::Pictures } else { own };
    let place = args.scale.place(args.out.as_deref(), &run.path, &file, own)?;
    if film {
        place.takes_film()?;
    }
    let shown = match (args.view, session.model.family()) {
        (View::Components, Family::Mixture(_)) => components(&mut session)?,
        (View::Components, _) => return Err(Error::new("only mixtures have components; train a gmm preset for that")),
        (_, Family::Mixture(_)) => {
            return Err(Error::new("what is latent in a mixture is the component; try `limn latent DIR components`"));
        }
        (_, Family::Pixels(_)) => {
            return Err(Error::new("this model draws pixel by pixel and has no latent space; try `limn complete`"));
        }
        (_, Family::Features(_)) => {
            return Err(Error::new(
                "this model has no latent space; it makes features, for `limn eval DIR --features`",
            ));
        }
        (view, Family::Latent(model)) => {
            let class = args.class.as_deref().map(|name| class(&run, name)).transpose()?;
            let space = Space { latent: model.latent(), prior: model.prior(), class, seed: args.seed, film };
            let images = |session: &Session| args.of.open(&run, session.model.as_ref());
            // A class that the model does not have is refused before anything is done.
            space.labels(&session, 1, 1)?;
            match view {
                View::Traverse => space.traverse(&mut session)?,
                View::Interpolate => space.interpolate(&mut session, &images)?,
                View::Reconstruct => space.reconstruct(&mut session, &images)?,
                View::Arithmetic => space.arithmetic(&mut session, &run, &images, &args.arithmetic)?,
                View::Manifold | View::Components => space.manifold(&mut session)?,
            }
        }
    };
    let (images, geometry, columns) = (&shown.images[..], session.model.geometry(), shown.columns);
    let written = match film {
        true => {
            let rate = args.fps.unwrap_or(Film::RATE);
            place.save_film(&Film { images, geometry, frames: columns, is_loop: shown.is_loop, rate })?
        }
        false => place.save(&Grid { images, geometry, columns }, medium)?,
    };
    report::renew(&run, args.out.as_deref());
    term::written(&place, format!("{name}: {written}"))
}

/// The means of a mixture, and how probable they are.
fn components(session: &mut Session) -> Result<Shown, Error> {
    let (means, weights) = sample::components(session)?;
    let percent = |weight: Option<&f32>| 100.0 * weight.copied().unwrap_or_default();
    let [most, least] = [weights.first(), weights.last()].map(percent);
    term::say(format!("{} components, of {most:.1}% to {least:.1}% of the images", weights.len()))?;
    Ok(Shown::still(means, (weights.len() as f64).sqrt().ceil() as usize))
}

/// Frames a second: what formats can tell, and people can see.
pub(super) fn rate(text: &str) -> Result<f32, String> {
    let rate = text.parse().map_err(|_| "it is no number")?;
    if (0.1..=50.0).contains(&rate) { Ok(rate) } else { Err("it must be between 0.1 and 50".into()) }
}
