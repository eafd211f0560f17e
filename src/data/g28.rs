//! Grey images of 28x28 pixels, a byte each, one behind the other.

use super::{Error, Geometry, Source};
use std::path::Path;

/// Reads a file as training split.
pub(super) fn load(path: &Path) -> Result<Source, Error> {
    let mut source = Source::new(Geometry::new(1, 28, 28));
    source.train.0 = crate::files::read_in_memory(path).map_err(Error::io("read", path))?;
    match source.train.0.len() % 784 {
        0 => Ok(source),
        rest => Err(Error::Damaged { path: path.into(), why: format!("its last image has {rest} bytes of 784") }),
    }
}
