//! `limn latent`: pictures of a latent space.

use super::{Error, TrainedArg, term};
use crate::data::Split;
use crate::models::{Family, Prior};
use crate::sample::{self, Grid};
use crate::train::{self, RunDir, Session};
use std::path::PathBuf;

/// Arguments of `limn latent`.
#[derive(clap::Args, Debug)]
pub struct LatentArgs {
    #[command(flatten)]
    trained: TrainedArg,
    /// What to draw
    #[arg(value_enum)]
    view: View,
    /// Seed of the noise, where there is any
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Picture to write; by default named after the view, in the run folder
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
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
    let (run, mut session, _) = args.trained.open()?;
    let Family::Latent(model) = session.model.family() else {
        return Err(Error::new("this model draws pixel by pixel and has no latent space; try `limn complete`"));
    };
    let (latent, prior) = (model.latent(), model.prior());
    let (images, columns, name) = match args.view {
        View::Manifold => (sample::decode(&mut session, &sample::manifold(prior, latent, SIDE))?, SIDE, "manifold"),
        View::Traverse => (traverse(&mut session, prior, latent, args.seed)?, COLUMNS, "traverse"),
        View::Interpolate => (interpolate(&mut session, &run, (prior, latent), args.seed)?, COLUMNS, "interpolate"),
        View::Reconstruct => (reconstruct(&mut session, &run)?, PAIRS, "reconstruct"),
    };
    let out = args.out.clone().unwrap_or_else(|| run.path.join(format!("{name}.png")));
    Grid { images: &images, geometry: session.model.geometry(), columns }.save(&out)?;
    term::say(format!("{name}: {}", out.display()))
}

/// Rows and columns of a manifold.
const SIDE: usize = 20;
/// Columns of a traversal or an interpolation.
const COLUMNS: usize = 11;
/// Rows of a traversal or an interpolation.
const ROWS: usize = 8;
/// Images beside their reconstructions in a row, pairs counted once; four rows of pairs.
const PAIRS: usize = 10;

/// One dimension a row, around the prior's mean; GANs, for which the mean is no likely place,
/// around a draw from the prior.
fn traverse(session: &mut Session, prior: Prior, latent: usize, seed: u64) -> Result<Vec<f32>, Error> {
    let has_encoder = encodes(session);
    let centre = if has_encoder { vec![0.0; latent] } else { sample::prior(prior, 1, latent, seed) };
    Ok(sample::decode(session, &sample::traverse(prior, &centre, ROWS, COLUMNS))?)
}

/// From one test image to another; for models without an encoder from one draw to another.
fn interpolate(
    session: &mut Session,
    run: &RunDir,
    (prior, latent): (Prior, usize),
    seed: u64,
) -> Result<Vec<f32>, Error> {
    let ends = if encodes(session) {
        let images = first_images(&test_images(session, run)?, 2 * ROWS);
        sample::encode(session, &images)?
    } else {
        sample::prior(prior, 2 * ROWS, latent, seed)
    };
    let rows = ends.chunks_exact(2 * latent).map(|pair| pair.split_at(latent));
    let z: Vec<f32> = rows.flat_map(|(a, b)| sample::interpolate(prior, a, b, COLUMNS)).collect();
    Ok(sample::decode(session, &z)?)
}

/// A row of test images above the row of their reconstructions, four times.
fn reconstruct(session: &mut Session, run: &RunDir) -> Result<Vec<f32>, Error> {
    if !encodes(session) {
        return Err(Error::new("a GAN has no encoder, so it cannot reconstruct; try `limn latent DIR interpolate`"));
    }
    let images = first_images(&test_images(session, run)?, 4 * PAIRS);
    let z = sample::encode(session, &images)?;
    let again = sample::decode(session, &z)?;
    let row = PAIRS * session.model.geometry().iter().product::<usize>();
    Ok(std::iter::zip(images.chunks(row), again.chunks(row)).flat_map(|(a, b)| [a, b].concat()).collect())
}

/// Whether the model has an encoder, asked of a graph that is thrown away.
fn encodes(session: &Session) -> bool {
    let [c, h, w] = session.model.geometry();
    let graph = session.graph(crate::kernels::philox::Domain::Sample, 0, "sample.clock");
    match session.model.family() {
        Family::Latent(model) => model.encode(&graph.input("images", &[1, c, h, w])).is_some(),
        Family::Pixels(_) => false,
    }
}

fn test_images(session: &Session, run: &RunDir) -> Result<Split, Error> {
    Ok(train::images(&run.config.data.source, session.model.as_ref())?.test)
}

/// The first `n` images in [0, 1], from the start again where there are fewer.
fn first_images(test: &Split, n: usize) -> Vec<f32> {
    let indices: Vec<u32> = (0..n).map(|k| (k % test.len()) as u32).collect();
    test.gather(&indices, 0.0, 1.0)
}
