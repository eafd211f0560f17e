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

/// Images a program makes at once.
const CHUNK: usize = 64;

/// `n` new images [n,c,h,w] in [0, 1]. The same seed gives the same images on every device, up to
/// rounding; `drawing` is for models that draw pixel by pixel.
pub fn samples(session: &mut Session, n: usize, seed: u64, drawing: Drawing) -> Result<Vec<f32>, SessionError> {
    let [c, h, w] = session.model.geometry();
    match session.model.family() {
        Family::Latent(model) => {
            let z = prior(model.prior(), n, model.latent(), seed);
            decode(session, &z)
        }
        Family::Pixels(_) => {
            let size = c * h * w;
            complete(session, &vec![0.0; n * size], &vec![0.0; size], seed, drawing)
        }
    }
}
