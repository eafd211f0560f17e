//! The images of a run.

use super::folder::{RunDir, RunError};
use crate::data::{self, Binarisation, Dataset, Geometry, Identity, Options};
use crate::files::{read_small, replace};
use crate::models::Model;

/// The file that keeps what the images of a run are.
const IDENTITY: &str = "data.json";

/// The images at `source` as `model` takes them: of its geometry, binary where that is drawn once,
/// in its levels, and with labels where it has classes.
///
/// # Errors
/// Those of [`data::open_medium`]; labels that are missing or that the model does not know.
pub fn images(source: &str, model: &dyn Model, options: &Options) -> Result<Dataset, data::Error> {
    let dataset = of_any_classes(source, model, options)?;
    if model.classes() > 0 {
        dataset.require_labels(model.classes())?;
    }
    Ok(dataset)
}

/// The same, whatever their labels.
pub(super) fn of_any_classes(source: &str, model: &dyn Model, options: &Options) -> Result<Dataset, data::Error> {
    let [channels, height, width] = model.geometry();
    let dataset = data::open_medium(source, Geometry::new(channels, height, width), model.images().medium, options)?;
    Ok(match (model.images().binarisation, model.images().levels) {
        (Binarisation::Static, _) => dataset.binarised(),
        (_, levels) if levels < 256 => dataset.in_levels(levels),
        _ => dataset,
    })
}

impl RunDir {
    /// The images of the run, where `moved` says that they are now, or else where they were. They
    /// must be the same ones unless `changed` ones are accepted.
    ///
    /// # Errors
    /// Those of [`images`], and [`data::Error::Changed`].
    pub fn images(
        &self,
        model: &dyn Model,
        moved: Option<&str>,
        changed: bool,
        options: &Options,
    ) -> Result<Dataset, RunError> {
        let options = &Options { range: self.config.data.range, ..options.clone() };
        let source = moved.unwrap_or(&self.config.data.source);
        let dataset = images(source, model, options).map_err(|error| error.moved(moved.is_some()))?;
        match self.identity()? {
            Some(was) if !changed => was.require(&dataset.identity, &dataset.name)?,
            _ => {}
        }
        Ok(dataset)
    }

    /// What the images of the run are; nothing is known of those of runs from before it was kept.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn identity(&self) -> Result<Option<Identity>, RunError> {
        let path = self.path.join(IDENTITY);
        match read_small(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| RunError::io("read", &path)(e.into())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(RunError::io("read", &path)(e)),
        }
    }

    /// Keeps what the images of the run are.
    pub(super) fn keep_identity(&self, identity: &Identity) -> Result<(), RunError> {
        let path = self.path.join(IDENTITY);
        let text = serde_json::to_vec_pretty(identity).map_err(|e| RunError::io("save", &path)(e.into()))?;
        replace(&path, |file| file.write_all(&text)).map_err(RunError::io("save", &path))
    }
}
