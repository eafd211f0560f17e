//! `limn film`: a model that learns, as a film.

use super::latent::rate;
use super::{Error, report, term};
use crate::files::{ends_in_separator, free_name, make_folder_of};
use crate::models::Family;
use crate::report::{Overview, State};
use crate::sample::{FilmFormat, TrainingFilm};
use crate::train::RunDir;
use std::path::PathBuf;

/// Arguments of `limn film`.
#[derive(clap::Args, Debug)]
pub struct FilmArgs {
    /// Run folder
    dir: PathBuf,
    /// Film to write: a .gif, or a .webp in all colours; by default training.gif in the run folder
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Pictures a second, 0.1 to 50
    #[arg(long, value_name = "N", default_value_t = 4.0, value_parser = rate)]
    fps: f32,
}

/// What the film is called.
const NAME: &str = "training.gif";

/// Writes the pictures of samples that training left behind one after the other.
pub fn film(args: &FilmArgs) -> Result<(), Error> {
    let run = RunDir::open(&args.dir)?;
    let out = match &args.out {
        None => run.path.join(NAME),
        // In somebody's folder nothing is written over that nobody named.
        Some(out) if out.is_dir() || ends_in_separator(out) => free_name(&out.join(NAME)),
        Some(out) => out.clone(),
    };
    if FilmFormat::of(&out).is_none() {
        let name = out.display();
        return Err(Error::new(format!("--out {name}: what moves is a GIF or a WebP; call it .gif or .webp")));
    }
    let film = TrainingFilm::of(&run.samples()).ok_or_else(|| Error::new(no_pictures(&run)))?;
    film.remarks.iter().for_each(term::note);
    if args.out.is_some() {
        make_folder_of(&out).map_err(|e| Error::new(format!("--out {}: {e}", out.display())))?;
    }
    film.save(args.fps, &out)?;
    report::renew(&run, Some(&out));
    let steps = film.steps();
    let (first, last) = (steps.first().copied().unwrap_or_default(), steps.last().copied().unwrap_or_default());
    let pictures = match steps.len() {
        1 => format!("1 picture, of step {first}"),
        n => format!("{n} pictures, of steps {first} to {last}"),
    };
    term::say(format!("{pictures}: {}", out.display()))
}

/// What is wrong where there is nothing to make a film of, and what to do.
fn no_pictures(run: &RunDir) -> String {
    let missing = format!("there are no pictures of samples in {}", run.samples().display());
    let dir = term::quoted(&run.path);
    let overview = Overview::of(run).ok();
    match (run.config.validate(), overview.map(|overview| overview.state)) {
        (Ok(model), _) if matches!(model.family(), Family::Features(_)) => format!("{missing}: this model draws none"),
        (_, Some(State::Done)) => format!("{missing} any more; `limn sample {dir}` draws what it makes now"),
        (_, Some(State::Running)) => {
            format!("{missing} yet; training leaves them there on its way, so wait for the first")
        }
        _ => format!(
            "{missing} yet; training leaves them there on its way: go on with it by `limn train --resume {dir}`, more \
             often with --set train.sample_every=N"
        ),
    }
}
