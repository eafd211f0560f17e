//! What a trained model makes: samples, completions, latent pictures, and the grids they are
//! shown in.
//!
//! ```
//! use limn::program::Device;
//! use limn::sample::{Drawing, Grid, samples};
//! use limn::train::{Config, Session};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::preset("vae")?;
//! let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu)?;
//! let images = samples(&mut session, 9, None, 0, Drawing::Cached)?;
//! let picture = Grid { images: &images, geometry: session.model.geometry(), columns: 3 }.render();
//! assert_eq!(picture.width(), picture.height());
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "media")]
mod arrays;
mod cached;
mod classes;
#[cfg(feature = "media")]
mod film;
mod function;
mod grid;
mod latent;
#[cfg(feature = "media")]
mod medium;
mod mixture;
#[cfg(feature = "media")]
mod output;
#[cfg(feature = "media")]
mod picture;
mod pixels;
#[cfg(feature = "media")]
mod training;
#[cfg(feature = "media")]
mod views;
#[cfg(feature = "media")]
mod webp;

#[cfg(feature = "media")]
pub use arrays::{ArrayError, ArrayFormat, Arrays, Latents, read_latents};
pub use cached::{PixelLoop, refusal};
pub use classes::labels;
pub(crate) use classes::one_hot;
#[cfg(feature = "media")]
pub use film::{Film, FilmFormat};
pub use function::Function;
pub use grid::{Grid, PictureError};
pub use latent::{
    circles, decode, encode, great_circles, interpolate, manifold, mean, moved, prior, sheet, traverse, truncated,
};
pub use mixture::{components, mixture_graph};
#[cfg(feature = "media")]
pub use output::Output;
#[cfg(feature = "media")]
pub use picture::{DrawError, picture};
pub use pixels::{Drawing, REGIONS, complete, keep_mask};
#[cfg(feature = "media")]
pub use training::{TrainingFilm, step_pictures};
#[cfg(feature = "media")]
pub use views::views;

use crate::models::Family;
use crate::program::room;
use crate::train::{Session, SessionError};
use std::ops::Range;

/// What a model made, if all of it is finite.
fn finite(made: Vec<f32>) -> Result<Vec<f32>, SessionError> {
    match made.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(SessionError::Config(format!(
            "what the model makes of its parameters is {v} in places: they are not finite, or too large; go back to an \
             earlier checkpoint, or train anew with a smaller optim.lr"
        ))),
        None => Ok(made),
    }
}

/// Images a program makes at once.
const CHUNK: usize = 64;

/// `n` new images `[n,c,h,w]` in [0, 1], of the [`labels`] of `class` if the model has classes. The
/// same seed gives the same images on every device, up to rounding; `drawing` is for models that
/// draw pixel by pixel.
pub fn samples(
    session: &mut Session,
    n: usize,
    class: Option<usize>,
    seed: u64,
    drawing: Drawing,
) -> Result<Vec<f32>, SessionError> {
    roomy(session, n)?;
    numbered(session, 0..n, class, seed, drawing)
}

/// Refuses a number of images for which there is no memory, with their latent vectors and the
/// picture of them.
///
/// # Errors
/// A sentence with what is needed and what is free.
pub fn roomy(session: &Session, n: usize) -> Result<(), SessionError> {
    let [c, h, w] = session.model.geometry();
    let latent = match session.model.family() {
        Family::Latent(model) => model.latent(),
        _ => 0,
    };
    let numbers = (2 * c * h * w + latent + session.model.classes()) as u64;
    // A picture of them, as pixels and as a file.
    let bytes = 4 * numbers + 2 * grid::pixels([c, h, w], None);
    Ok(room((n as u64).saturating_mul(bytes), &format!("{n} images"), "ask for fewer")?)
}

/// Shows `see` the images of [`samples`], of all classes in turn, a piece at a time, so that memory
/// does not go with their number: how many came before, and the piece.
///
/// # Errors
/// What `see` says, and all that can be wrong with a device.
pub fn in_pieces(
    session: &mut Session,
    n: usize,
    seed: u64,
    drawing: Drawing,
    mut see: impl FnMut(&mut Session, usize, &[f32]) -> Result<(), SessionError>,
) -> Result<(), SessionError> {
    // Whole chunks of every class, and one for every rank that makes some of them.
    let piece = match session.model.classes() {
        0 => PIECE.max(CHUNK * session.sharing()),
        classes => CHUNK * classes,
    };
    for first in (0..n).step_by(piece) {
        session.going(|| format!("{first} of {n} samples"))?;
        let images = numbered(session, first..n.min(first + piece), None, seed, drawing)?;
        see(session, first, &images)?;
    }
    Ok(())
}

/// Images that [`in_pieces`] makes at once, of a model without classes: a multiple of [`CHUNK`].
const PIECE: usize = 8 * CHUNK;

/// The images of these numbers among all that the seed gives; the first is at the beginning of a
/// piece.
fn numbered(
    session: &mut Session,
    range: Range<usize>,
    class: Option<usize>,
    seed: u64,
    drawing: Drawing,
) -> Result<Vec<f32>, SessionError> {
    let (size, n) = (session.model.geometry().iter().product(), range.len());
    let labels = labels(session.model.as_ref(), n, class)?;
    match session.model.family() {
        Family::Latent(model) => {
            let z = latent::prior_from(model.prior(), range, model.latent(), seed);
            decode(session, &z, &labels)
        }
        Family::Mixture(_) => mixture::draw(session, range, seed),
        Family::Pixels(_) => {
            // Images of a class are drawn together, and have their own seeds chunk by chunk.
            let classes = if class.is_some() { 1 } else { session.model.classes().max(1) };
            let seed = seed.wrapping_add((range.start / (CHUNK * classes)) as u64);
            complete(session, &vec![0.0; n * size], &vec![0.0; size], &labels, seed, drawing)
        }
        Family::Features(_) => Err(SessionError::NoImages),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Device;
    use crate::train::{Config, Setting};

    #[test]
    fn pieces_are_the_images_that_are_drawn_at_once() {
        for (preset, settings) in [
            ("vae", &["model.hidden=4", "model.latent=2"][..]),
            ("vae-conditional", &["model.hidden=4", "model.latent=2"]),
            ("gmm-small", &[]),
            ("pixelcnn-small", &["model.hidden=2", "model.blocks=1"]),
        ] {
            let mut config = Config::preset(preset).unwrap();
            config.set_all(&Setting::all(settings).unwrap()).unwrap();
            let mut session = Session::new(&config.model, &config.optimizer(), 3, Device::Cpu).unwrap();
            let n = 10 * CHUNK + 70;
            let all = samples(&mut session, n, None, 5, Drawing::Cached).unwrap();
            let mut pieces = Vec::new();
            let mut see = |_: &mut Session, first: usize, images: &[f32]| {
                assert_eq!(first * 784, pieces.len());
                pieces.extend_from_slice(images);
                Ok(())
            };
            in_pieces(&mut session, n, 5, Drawing::Cached, &mut see).unwrap();
            assert!(pieces == all, "{preset}");
        }
    }
}
