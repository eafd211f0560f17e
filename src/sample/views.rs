//! A few pictures of what a model can do beside drawing samples, for the end of its training.

use super::{DrawError, Drawing, Grid, complete, decode, encode, keep_mask, labels, manifold, refusal};
use crate::data::{Binarisation, Split};
use crate::models::Family;
use crate::train::Session;
use std::path::{Path, PathBuf};

/// Test images above their reconstructions.
const PAIRS: usize = 10;
/// Rows and columns of a latent plane.
const SIDE: usize = 12;
/// Test images that are completed, and how often each.
const COMPLETED: usize = 5;
const TRIES: usize = 3;
/// The grey that stands for hidden pixels.
const HIDDEN: f32 = 0.35;

/// Draws into `folder` what the model has of these: `reconstructions.png`, test images above what
/// an encoder and a decoder make of them; `plane.png`, a latent space of two dimensions;
/// `completions.png`, in each row a test image, the upper half of it, and what the model adds to
/// that. Models that complete images the slow way alone are spared it. Of several ranks that
/// [share](Session::share_work) the work the first one saves them.
///
/// # Errors
/// All that can be wrong with a model, a device or a disk.
pub fn views(session: &mut Session, test: &Split, seed: u64, folder: &Path) -> Result<Vec<PathBuf>, DrawError> {
    let geometry = session.model.geometry();
    let mut drawn = Vec::new();
    let is_first = session.is_first();
    let mut save = |name: &str, images: &[f32], columns: usize| {
        if is_first {
            let path = folder.join(name);
            Grid { images, geometry, columns }.save(&path)?;
            drawn.push(path);
        }
        Ok::<_, DrawError>(())
    };
    if session.model.family().encoder().is_some() && matches!(session.model.family(), Family::Latent(_)) {
        let (images, labels) = some(session, test, PAIRS);
        let z = encode(session, &images, &labels)?;
        let again = decode(session, &z, &labels)?;
        save("reconstructions.png", &[images, again].concat(), PAIRS.min(test.len()))?;
    }
    if let Family::Latent(model) = session.model.family()
        && model.latent() == 2
    {
        let z = manifold(model.prior(), 2, SIDE);
        let class = labels(session.model.as_ref(), 1, None)?;
        let labels: Vec<u8> = class.iter().flat_map(|class| [*class; SIDE * SIDE]).collect();
        save("plane.png", &decode(session, &z, &labels)?, SIDE)?;
    }
    if let Family::Pixels(_) = session.model.family()
        && refusal(session).is_none()
    {
        let (images, labels) = some(session, test, COMPLETED);
        let last = match session.model.images().binarisation {
            Binarisation::None => session.model.images().levels - 1,
            Binarisation::Dynamic | Binarisation::Static => 1,
        } as f32;
        let images: Vec<f32> = images.iter().map(|v| (v * last).round() / last).collect();
        let [channels, height, width] = geometry;
        let keep = keep_mask("upper-half", height, width).unwrap_or_default().repeat(channels);
        let size = keep.len();
        let repeated: Vec<f32> = images.chunks(size).flat_map(|image| image.repeat(TRIES)).collect();
        let labels: Vec<u8> = labels.iter().flat_map(|label| [*label; TRIES]).collect();
        let made = complete(session, &repeated, &keep, &labels, seed, Drawing::Cached)?;
        let rows = std::iter::zip(images.chunks(size), made.chunks(TRIES * size)).flat_map(|(image, tries)| {
            let kept = std::iter::zip(image, &keep).map(|(v, keep)| if *keep == 0.0 { HIDDEN } else { *v });
            [image, &kept.collect::<Vec<f32>>(), tries].concat()
        });
        save("completions.png", &rows.collect::<Vec<f32>>(), 2 + TRIES)?;
    }
    Ok(drawn)
}

/// Some test images in [0, 1], evenly spread, and their labels if the model has classes.
fn some(session: &Session, test: &Split, n: usize) -> (Vec<f32>, Vec<u8>) {
    let test = test.spread(n.min(test.len()));
    let indices: Vec<u32> = (0..test.len() as u32).collect();
    let labels = match session.model.classes() {
        0 => Vec::new(),
        _ => indices.iter().filter_map(|i| test.label(*i as usize)).collect(),
    };
    (test.gather(&indices, 0.0, 1.0), labels)
}
