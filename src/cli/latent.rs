//! `limn latent`: pictures of a latent space.

use super::{Error, TrainedArg, term};
use crate::models::{Batch, Family, Prior};
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
    /// Of images of this class, where the model has classes
    #[arg(long, value_name = "K")]
    class: Option<usize>,
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
    let space = Space { latent: model.latent(), prior: model.prior(), class: args.class, seed: args.seed };
    // A class that the model does not have is refused before anything is done.
    space.rows(&session, 1, 1)?;
    let (images, columns, name) = match args.view {
        View::Manifold => (space.manifold(&mut session)?, SIDE, "manifold"),
        View::Traverse => (space.traverse(&mut session)?, COLUMNS, "traverse"),
        View::Interpolate => (space.interpolate(&mut session, &run)?, COLUMNS, "interpolate"),
        View::Reconstruct => (space.reconstruct(&mut session, &run)?, PAIRS, "reconstruct"),
    };
    let out = args.out.clone().unwrap_or_else(|| run.path.join(format!("{name}.png")));
    Grid { images: &images, geometry: session.model.geometry(), columns }.save_medium(session.model.medium(), &out)?;
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

/// What pictures of a latent space need to know.
struct Space {
    latent: usize,
    prior: Prior,
    /// The class of all images, where the model has classes and it was given.
    class: Option<usize>,
    seed: u64,
}

impl Space {
    /// The labels of so many rows of images, each of one class: the given one, or the model's in turn.
    fn rows(&self, session: &Session, rows: usize, columns: usize) -> Result<Vec<u8>, Error> {
        let labels = sample::labels(session.model.as_ref(), rows, self.class)?;
        Ok(labels.iter().flat_map(|label| vec![*label; columns]).collect())
    }

    /// A grid over the prior, of the given class or the first.
    fn manifold(&self, session: &mut Session) -> Result<Vec<f32>, Error> {
        let labels = self.rows(session, 1, SIDE * SIDE)?;
        Ok(sample::decode(session, &sample::manifold(self.prior, self.latent, SIDE), &labels)?)
    }

    /// One dimension a row, around the prior's mean; GANs, for which the mean is no likely place,
    /// around a draw from the prior.
    fn traverse(&self, session: &mut Session) -> Result<Vec<f32>, Error> {
        let centre = match encodes(session) {
            true => vec![0.0; self.latent],
            false => sample::prior(self.prior, 1, self.latent, self.seed),
        };
        let rows = ROWS.min(self.latent);
        let labels = self.rows(session, rows, COLUMNS)?;
        Ok(sample::decode(session, &sample::traverse(self.prior, &centre, rows, COLUMNS), &labels)?)
    }

    /// From one test image to another; for models without an encoder from one draw to another.
    fn interpolate(&self, session: &mut Session, run: &RunDir) -> Result<Vec<f32>, Error> {
        let (ends, labels) = if encodes(session) {
            let (images, labels) = first_images(session, run, 2 * ROWS)?;
            let ends = sample::encode(session, &images, &labels)?;
            // A row is of the class of the image it begins with, unless one was given.
            let begins = labels.iter().step_by(2).flat_map(|label| [*label; COLUMNS]).collect();
            (ends, if self.class.is_some() { self.rows(session, ROWS, COLUMNS)? } else { begins })
        } else {
            let ends = sample::prior(self.prior, 2 * ROWS, self.latent, self.seed);
            (ends, self.rows(session, ROWS, COLUMNS)?)
        };
        let rows = ends.chunks_exact(2 * self.latent).map(|pair| pair.split_at(self.latent));
        let z: Vec<f32> = rows.flat_map(|(a, b)| sample::interpolate(self.prior, a, b, COLUMNS)).collect();
        Ok(sample::decode(session, &z, &labels)?)
    }

    /// A row of test images above the row of their reconstructions, four times.
    fn reconstruct(&self, session: &mut Session, run: &RunDir) -> Result<Vec<f32>, Error> {
        if !encodes(session) {
            return Err(Error::new(
                "a GAN has no encoder, so it cannot reconstruct; try `limn latent DIR interpolate`",
            ));
        }
        if self.class.is_some() {
            return Err(Error::new("--class: images are reconstructed as what they are; leave it away"));
        }
        let (images, labels) = first_images(session, run, 4 * PAIRS)?;
        let z = sample::encode(session, &images, &labels)?;
        let again = sample::decode(session, &z, &labels)?;
        let row = PAIRS * session.model.geometry().iter().product::<usize>();
        Ok(std::iter::zip(images.chunks(row), again.chunks(row)).flat_map(|(a, b)| [a, b].concat()).collect())
    }
}

/// Whether the model has an encoder, asked of a graph that is thrown away.
fn encodes(session: &Session) -> bool {
    let graph = session.graph(crate::kernels::philox::Domain::Sample, 0, "sample.clock");
    match session.model.family() {
        Family::Latent(model) => model.encode(&Batch::given(&graph, session.model.as_ref(), 1)).is_some(),
        Family::Pixels(_) => false,
    }
}

/// The first `n` test images in [0, 1], from the start again where there are fewer, and their labels if the
/// model has classes.
fn first_images(session: &Session, run: &RunDir, n: usize) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let test = train::images(&run.config.data.source, session.model.as_ref())?.test;
    let indices: Vec<u32> = (0..n).map(|k| (k % test.len()) as u32).collect();
    let labels = match session.model.classes() {
        0 => Vec::new(),
        _ => indices.iter().filter_map(|i| test.label(*i as usize)).collect(),
    };
    Ok((test.gather(&indices, 0.0, 1.0), labels))
}
