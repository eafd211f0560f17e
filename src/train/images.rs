//! The images of a run.

use crate::data::{self, Binarisation, Dataset, Geometry};
use crate::models::Model;

/// The images at `source` as `model` takes them: of its geometry, binary where that is drawn once, in its levels, and
/// with labels where it has classes.
///
/// # Errors
/// Those of [`data::open_medium`]; labels that are missing or that the model does not know.
pub fn images(source: &str, model: &dyn Model) -> Result<Dataset, data::Error> {
    let [channels, height, width] = model.geometry();
    let dataset = data::open_medium(source, Geometry::new(channels, height, width), model.medium())?;
    if model.classes() > 0 {
        dataset.require_labels(model.classes())?;
    }
    Ok(match (model.binarisation(), model.levels()) {
        (Binarisation::Static, _) => dataset.binarised(),
        (_, levels) if levels < 256 => dataset.in_levels(levels),
        _ => dataset,
    })
}
