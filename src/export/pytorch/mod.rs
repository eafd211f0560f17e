//! A trained model as a module of PyTorch.

use super::{ExportError, Package, Trained};

/// Makes it.
pub(super) fn package(_trained: &mut Trained) -> Result<Package, ExportError> {
    Err(ExportError::Unsupported { format: "PyTorch", why: "not written yet".into() })
}
