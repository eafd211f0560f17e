//! A trained model as a page for a browser.

use super::{ExportError, Options, Package, Trained};

/// Makes it.
pub(super) fn package(_trained: &mut Trained, _options: Options) -> Result<Package, ExportError> {
    Err(ExportError::Unsupported { format: "Web", why: "not written yet".into() })
}
