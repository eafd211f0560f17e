//! Sets of files that hold several images each: films cut into clips, sounds cut into pieces.

use super::arrange::arrange;
use super::files::FromFiles;
use super::gather::{Decoded, Unit, Way, gather};
use super::walk::LeftOut;
use super::{Error, Levels, Opened, Options};
use std::collections::HashSet;
use std::path::Path;

/// Reads the images of every unit by `read`, one after the other, none where it has too little.
/// Folders that are named so are splits and classes, as with pictures.
pub(super) fn load(
    folder: &Path,
    units: Vec<Unit>,
    left_out: LeftOut,
    (noun, way): (&'static str, Way),
    options: &Options,
    read: impl Fn(&Path, Option<Levels>) -> Result<Decoded, Error> + Sync,
) -> Result<Opened, Error> {
    let mut left_out = left_out;
    let arranged = arrange(folder, units.iter().map(|unit| unit.path.clone()).collect(), None, &mut left_out);
    let is_used: HashSet<&Path> = arranged.files.iter().map(|file| &**file).collect();
    let used: Vec<Unit> = units.into_iter().filter(|unit| is_used.contains(&*unit.path)).collect();
    let gathered = gather(&used, way, options, read)?;
    let (geometry, native) = (way.geometry, way.geometry);
    FromFiles { folder, geometry, native, arranged, gathered, left_out, noun }.opened()
}
