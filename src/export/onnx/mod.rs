//! A trained model as ONNX.

use super::{ExportError, Package, Trained};

/// Makes it.
pub(super) fn package(_trained: &mut Trained) -> Result<Package, ExportError> {
    Err(ExportError::Unsupported { format: "ONNX", why: "not written yet".into() })
}
