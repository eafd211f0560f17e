//! A trained model as a folder for the Hub.

use super::{ExportError, Options, Package, Trained};

/// Makes it.
pub(super) fn package(_trained: &mut Trained, _options: Options) -> Result<Package, ExportError> {
    Err(ExportError::Unsupported { format: "the Hub", why: "not written yet".into() })
}
