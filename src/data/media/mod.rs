//! Sets of files that people have: folders of pictures, films and sounds, decoded side by side and
//! kept in the cache.

mod arrange;
mod cache;
mod clips;
mod files;
pub(super) mod films;
pub(super) mod folder;
mod gather;
mod grey_tiff;
mod joined;
mod jpeg;
mod labels;
pub(super) mod pictures;
#[cfg(feature = "cli")]
pub(super) mod readers;
mod reading;
pub(super) mod sounds;
mod values;
mod walk;
mod wav;
mod waves;
mod wrapping;

pub use cache::clean;
pub use folder::picture_files;
pub use pictures::{Picture, read_image, read_mask, read_picture};

use super::{
    Error, Geometry, Levels, Look, Opened, Options, Range, Sizes, Split, geometry, identity, medium, split, spread,
    to_hold_out,
};
