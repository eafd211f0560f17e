//! Pictures of what a session's model makes.

use super::{Drawing, Grid, PictureError, samples};
use crate::train::{Session, SessionError, deviation};
use std::path::Path;

/// Why there is no picture of samples.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// Nothing was made.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// What was made could not be saved.
    #[error("{0}")]
    Picture(#[from] PictureError),
}

/// Saves a picture of `n` samples, the same noise every time, so that pictures can be compared: of
/// one class, or without one of each class a column, if the model has classes. Tells how far the
/// samples are from each other. Of several ranks that [share](Session::share_work) the work the first
/// one saves it.
///
/// # Errors
/// All that can be wrong with a model, a device or a disk.
pub fn picture(
    session: &mut Session,
    n: usize,
    class: Option<usize>,
    seed: u64,
    drawing: Drawing,
    path: &Path,
) -> Result<f64, DrawError> {
    let images = samples(session, n, class, seed, drawing)?;
    if session.is_first() {
        Grid::of(session, &images, class).save_medium(session.model.images().medium, path)?;
    }
    Ok(deviation(&images, n))
}
