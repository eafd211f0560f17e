//! The images of a run.

use crate::data::{self, Binarisation, Dataset, Geometry};
use crate::models::Model;

/// The images at `source` as `model` takes them: of its geometry, and binary where that is drawn once.
///
/// # Errors
/// Those of [`data::open`].
pub fn images(source: &str, model: &dyn Model) -> Result<Dataset, data::Error> {
    let [channels, height, width] = model.geometry();
    let dataset = data::open(source, Some(Geometry::new(channels, height, width)))?;
    Ok(if model.binarisation() == Binarisation::Static { dataset.binarised() } else { dataset })
}
