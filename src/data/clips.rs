//! Sets of files that hold several images each: films cut into clips, sounds cut into pieces.

use super::{Error, Geometry, Source, folder::spread, held_out, reserve};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Files that cannot be used and are named one by one; the others are only counted.
const NAMED: usize = 20;

/// Reads the images [geometry] of every file by `read`, one after the other, none where a file has too little. A tenth
/// of the files is held out for testing, or of the images where there is one file only.
pub(super) fn load(
    folder: &Path,
    files: &[PathBuf],
    geometry: Geometry,
    read: impl Fn(&Path) -> Result<Vec<u8>, Error> + Sync,
) -> Result<Source, Error> {
    let results: Vec<Result<Vec<u8>, Error>> = files.par_iter().map(|file| read(file)).collect();
    let mut source = Source::new(geometry);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (file, result) in std::iter::zip(files, results) {
        match result {
            Ok(bytes) if bytes.is_empty() => bad.push(format!("{} is too short", file.display())),
            Ok(bytes) => good.push(bytes),
            Err(error) => bad.push(error.to_string()),
        }
    }
    if good.is_empty() {
        let first = bad.into_iter().next().unwrap_or_default();
        return Err(Error::AllUnreadable { folder: folder.into(), count: files.len(), first });
    }
    let joined = |parts: &[Vec<u8>]| -> Result<Vec<u8>, Error> {
        let len: usize = parts.iter().map(Vec::len).sum();
        let mut all = reserve(len / geometry.elements(), geometry, || folder.display().to_string())?;
        parts.iter().for_each(|part| all.extend_from_slice(part));
        Ok(all)
    };
    let name = || folder.display().to_string();
    if let [one] = &mut good[..] {
        let n = one.len() / geometry.elements();
        if n < 2 {
            return Err(Error::TooFew { name: name() });
        }
        let test = one.split_off((n - held_out(n)) * geometry.elements());
        source.test = Some((test, None));
        source.train = (std::mem::take(one), None);
    } else {
        let (train, test) = spread(&(0..good.len()).collect::<Vec<_>>());
        let mut pick =
            |which: Vec<usize>| joined(&which.into_iter().map(|i| std::mem::take(&mut good[i])).collect::<Vec<_>>());
        source.train = (pick(train)?, None);
        source.test = Some((pick(test)?, None));
    }
    if !bad.is_empty() {
        let head = format!("skipped {} of {} files in {}", bad.len(), files.len(), folder.display());
        let rest = bad.len().saturating_sub(NAMED);
        let named = bad.into_iter().take(NAMED).map(|why| format!("skipped: {why}"));
        let more = (rest > 0).then(|| format!("skipped: and {rest} more"));
        source.warnings = std::iter::once(head).chain(named).chain(more).collect();
    }
    Ok(source)
}
