//! Ways through a latent space.

use super::{Error, Images, Shown};
use crate::models::Prior;
use crate::sample;
use crate::train::Session;

/// Rows and columns of a manifold.
const SIDE: usize = 20;
/// Columns of a traversal or an interpolation, and frames of what moves.
const COLUMNS: usize = 11;
const FRAMES: usize = 24;
/// Rows of a traversal or an interpolation.
pub(super) const ROWS: usize = 8;
/// Images above their reconstructions in a row, at most, and such rows.
const PAIRS: usize = 10;
const ROWS_OF_PAIRS: usize = 4;
/// Dimensions that a grid over the whole prior shows all of.
const PLANE: usize = 2;
/// Walks through a space of more dimensions.
const WALKS: usize = 9;
/// What share of the prior lies within the circles that a walk goes along, on each axis.
const CIRCLES: [f64; 3] = [0.3, 0.6, 0.9];

/// What pictures of a latent space need to know.
pub(super) struct Space {
    pub latent: usize,
    pub prior: Prior,
    /// The class of all images, where the model has classes and it was given.
    pub class: Option<usize>,
    pub seed: u64,
    /// Whether the columns are frames.
    pub film: bool,
}

impl Space {
    /// Steps of a way.
    pub fn columns(&self) -> usize {
        if self.film { FRAMES } else { COLUMNS }
    }

    /// The labels of so many rows of images, each of one class: the given one, or the model's in
    /// turn.
    pub fn labels(&self, session: &Session, rows: usize, columns: usize) -> Result<Vec<u8>, Error> {
        let labels = sample::labels(session.model.as_ref(), rows, self.class)?;
        Ok(labels.iter().flat_map(|label| vec![*label; columns]).collect())
    }

    /// A grid over the prior, or circles through it, of the given class or the first; of more than
    /// two dimensions a sheet through draws from the prior, or circles through them.
    pub fn manifold(&self, session: &mut Session) -> Result<Shown, Error> {
        let (prior, latent, frames) = (self.prior, self.latent, 2 * FRAMES);
        let (z, columns) = match (self.film, latent <= PLANE) {
            (false, true) => (sample::manifold(prior, latent, SIDE), SIDE),
            (true, true) => (sample::circles(prior, latent, &CIRCLES, frames), frames),
            (false, false) => (sample::sheet(prior, latent, SIDE, self.seed), SIDE),
            (true, false) => (sample::great_circles(prior, latent, WALKS, frames, self.seed), frames),
        };
        let labels = self.labels(session, 1, z.len() / self.latent)?;
        Ok(Shown { images: sample::decode(session, &z, &labels)?, columns, is_loop: true })
    }

    /// One dimension a row, around the prior's mean; GANs, for which the mean is no likely place,
    /// around a draw from the prior.
    pub fn traverse(&self, session: &mut Session) -> Result<Shown, Error> {
        let centre = match encodes(session) {
            true => vec![0.0; self.latent],
            false => sample::prior(self.prior, 1, self.latent, self.seed),
        };
        let (rows, columns) = (ROWS.min(self.latent), self.columns());
        let labels = self.labels(session, rows, columns)?;
        let z = sample::traverse(self.prior, &centre, rows, columns);
        Ok(Shown::still(sample::decode(session, &z, &labels)?, columns))
    }

    /// From one test image to another; for models without an encoder from one draw to another.
    pub fn interpolate(&self, session: &mut Session, images: &Images) -> Result<Shown, Error> {
        let columns = self.columns();
        let (ends, labels) = if encodes(session) {
            let (images, labels) = some_images(session, images, |all| 2 * ROWS.min(all / 2))?;
            if images.is_empty() {
                return Err(Error::new(
                    "there is one test image only, and an interpolation goes from one to another; give more with --data",
                ));
            }
            let ends = sample::encode(session, &images, &labels)?;
            // A row is of the class of the image it begins with, unless one was given.
            let begins = labels.iter().step_by(2).flat_map(|label| vec![*label; columns]).collect();
            let rows = ends.len() / (2 * self.latent);
            (ends, if self.class.is_some() { self.labels(session, rows, columns)? } else { begins })
        } else {
            let ends = sample::prior(self.prior, 2 * ROWS, self.latent, self.seed);
            (ends, self.labels(session, ROWS, columns)?)
        };
        let rows = ends.chunks_exact(2 * self.latent).map(|pair| pair.split_at(self.latent));
        let z: Vec<f32> = rows.flat_map(|(a, b)| sample::interpolate(self.prior, a, b, columns)).collect();
        Ok(Shown::still(sample::decode(session, &z, &labels)?, columns))
    }

    /// A row of test images above the row of their reconstructions, four times, or as often as there
    /// are images.
    pub fn reconstruct(&self, session: &mut Session, images: &Images) -> Result<Shown, Error> {
        if !encodes(session) {
            return Err(Error::new(
                "a GAN has no encoder, so it cannot reconstruct; try `limn latent DIR interpolate`",
            ));
        }
        if self.class.is_some() {
            return Err(Error::new("--class: images are reconstructed as what they are; leave it away"));
        }
        let (images, labels) = some_images(session, images, |all| pairs(all).iter().product())?;
        let z = sample::encode(session, &images, &labels)?;
        let again = sample::decode(session, &z, &labels)?;
        let size = session.model.geometry().iter().product::<usize>();
        let [_, columns] = pairs(images.len() / size);
        let rows = std::iter::zip(images.chunks(columns * size), again.chunks(columns * size));
        Ok(Shown::still(rows.flat_map(|(a, b)| [a, b].concat()).collect(), columns))
    }
}

/// Whether the model has an encoder.
pub(super) fn encodes(session: &Session) -> bool {
    session.model.family().encoder().is_some()
}

/// Rows and columns of pairs that show most of so many images, all rows full.
fn pairs(images: usize) -> [usize; 2] {
    let rows = images.div_ceil(PAIRS).clamp(1, ROWS_OF_PAIRS);
    [rows, (images / rows).min(PAIRS)]
}

/// Test images in [0, 1], evenly spread, as many as `count` makes of all there are, and their labels
/// if the model has classes.
fn some_images(
    session: &Session,
    images: &Images,
    count: impl Fn(usize) -> usize,
) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let test = images(session)?.test;
    let test = test.spread(count(test.len()));
    let indices: Vec<u32> = (0..test.len() as u32).collect();
    let labels = match session.model.classes() {
        0 => Vec::new(),
        _ => indices.iter().filter_map(|i| test.label(*i as usize)).collect(),
    };
    Ok((test.gather(&indices, 0.0, 1.0), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_image_is_shown_twice_and_rows_are_full() {
        for (images, wanted) in [(1, [1, 1]), (7, [1, 7]), (10, [1, 10]), (13, [2, 6]), (39, [4, 9]), (1000, [4, 10])] {
            assert_eq!(pairs(images), wanted, "{images}");
        }
        for images in 1..200 {
            let shown: usize = pairs(images).iter().product();
            assert!(shown <= images && (shown == 40 || images - shown < 4), "{images}: {shown}");
        }
    }
}
