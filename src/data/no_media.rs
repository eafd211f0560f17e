//! In the place of the readers of people's files, where limn is built without them.

use super::Error;

/// What every reader says.
fn refuse<T>(path: &std::path::Path) -> Result<T, Error> {
    Err(Error::WithoutMedia { path: path.into() })
}

/// Folders of pictures.
pub(super) mod folder {
    use crate::data::{Error, Geometry, Look, Opened, Options};
    use std::path::Path;

    pub(in crate::data) fn load(folder: &Path, _: Option<Geometry>, _: &Options) -> Result<Opened, Error> {
        super::refuse(folder)
    }

    pub(in crate::data) fn look(folder: &Path, _: &Options) -> Result<Look, Error> {
        super::refuse(folder)
    }
}

/// Folders of films.
pub(super) mod films {
    use crate::data::{Error, Geometry, Opened, Options};
    use std::path::Path;

    pub(in crate::data) fn load(folder: &Path, _: Geometry, _: usize, _: &Options) -> Result<Opened, Error> {
        super::refuse(folder)
    }
}

/// Folders of sounds.
pub(super) mod sounds {
    use crate::data::{Error, Geometry, Opened, Options};
    use std::path::Path;

    pub(in crate::data) fn load(folder: &Path, _: Geometry, _: u32, _: &Options) -> Result<Opened, Error> {
        super::refuse(folder)
    }
}

/// Single pictures.
pub(super) mod pictures {
    pub(in crate::data) fn looks_like_image(_: &[u8]) -> bool {
        false
    }

    pub(in crate::data) fn extensions() -> String {
        "none".into()
    }
}
