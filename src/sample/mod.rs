//! What a trained model makes: samples, completions, latent pictures, and the grids they are
//! shown in.

mod cached;
mod grid;
mod latent;
mod pixels;

pub use cached::refusal;
pub use grid::{Grid, PictureError};
pub use latent::{decode, encode, interpolate, manifold, prior, traverse};
pub use pixels::{Drawing, complete, keep_mask};

use crate::models::Family;
use crate::train::{Session, SessionError};
use std::ops::Range;

/// Images a program makes at once.
const CHUNK: usize = 64;

/// `n` new images [n,c,h,w] in [0, 1]. The same seed gives the same images on every device, up to
/// rounding; `drawing` is for models that draw pixel by pixel.
pub fn samples(session: &mut Session, n: usize, seed: u64, drawing: Drawing) -> Result<Vec<f32>, SessionError> {
    numbered(session, 0..n, seed, drawing)
}

/// Images that [`in_pieces`] makes at once: a multiple of [`CHUNK`].
const PIECE: usize = 8 * CHUNK;

/// Shows `see` the images of [`samples`] a piece at a time, so that memory does not go with their number: how many
/// came before, and the piece.
///
/// # Errors
/// What `see` says, and all that can be wrong with a device.
pub fn in_pieces(
    session: &mut Session,
    n: usize,
    seed: u64,
    drawing: Drawing,
    mut see: impl FnMut(usize, &[f32]) -> Result<(), SessionError>,
) -> Result<(), SessionError> {
    for first in (0..n).step_by(PIECE) {
        see(first, &numbered(session, first..n.min(first + PIECE), seed, drawing)?)?;
    }
    Ok(())
}

/// The images of these numbers among all that the seed gives; the first is a multiple of [`CHUNK`].
fn numbered(session: &mut Session, range: Range<usize>, seed: u64, drawing: Drawing) -> Result<Vec<f32>, SessionError> {
    let (size, n) = (session.model.geometry().iter().product(), range.len());
    match session.model.family() {
        Family::Latent(model) => {
            let z = latent::prior_from(model.prior(), range, model.latent(), seed);
            decode(session, &z)
        }
        Family::Pixels(_) => {
            let seed = seed.wrapping_add((range.start / CHUNK) as u64);
            complete(session, &vec![0.0; n * size], &vec![0.0; size], seed, drawing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Device;
    use crate::train::Config;

    #[test]
    fn pieces_are_the_images_that_are_drawn_at_once() {
        for (preset, settings) in [
            ("vae", &["model.hidden=4", "model.latent=2"][..]),
            ("pixelcnn-small", &["model.hidden=2", "model.blocks=1"]),
        ] {
            let mut config = Config::preset(preset).unwrap();
            config.set_all(settings).unwrap();
            let mut session = Session::new(&config.model, &config.optimizer(), 3, Device::Cpu).unwrap();
            let n = PIECE + 70;
            let all = samples(&mut session, n, 5, Drawing::Cached).unwrap();
            let mut pieces = Vec::new();
            let mut see = |first: usize, images: &[f32]| {
                assert_eq!(first * 784, pieces.len());
                pieces.extend_from_slice(images);
                Ok(())
            };
            in_pieces(&mut session, n, 5, Drawing::Cached, &mut see).unwrap();
            assert!(pieces == all, "{preset}");
        }
    }
}
