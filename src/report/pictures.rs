//! The pictures of a run, as parts of a page.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Pictures of training that a page shows, at most.
const SHOWN: usize = 24;

/// Bytes of a picture that a page takes, at most, and of all of a run.
const LARGEST: u64 = 4 << 20;
const ALL: u64 = 24 << 20;

/// A picture and what it shows.
#[derive(Serialize)]
pub(super) struct Picture {
    /// Its step, or what its file is called.
    title: String,
    /// The picture itself, as a `data:` address.
    src: String,
}

/// Pictures of samples on the way of training, the earliest first: evenly spread ones, where there
/// are many.
pub(super) fn of_training(folder: &Path) -> Vec<Picture> {
    let step = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
    let mut all: Vec<(u64, PathBuf)> =
        files(folder).into_iter().filter_map(|path| Some((step(&path)?, path))).collect();
    all.sort();
    let spread = crate::data::spread(all.len().min(SHOWN), all.len());
    // The last is the one that people look for.
    let chosen = spread.into_iter().map(|k| &all[k]).filter(|one| Some(*one) != all.last()).chain(all.last());
    read(chosen.map(|(step, path)| (format!("step {step}"), path.as_path())))
}

/// The pictures in a run's own folder, by name.
pub(super) fn beside(folder: &Path) -> Vec<Picture> {
    let mut all = files(folder);
    all.sort();
    read(all.iter().map(|path| {
        let title = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        (title, path.as_path())
    }))
}

/// The pictures in a folder; one that cannot be looked at has none.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| path.extension().is_some_and(|e| e == "png" || e == "gif")).collect()
}

/// Those that can be read and are not too large for a page.
fn read<'a>(named: impl Iterator<Item = (String, &'a Path)>) -> Vec<Picture> {
    let mut left = ALL;
    let mut all = Vec::new();
    for (title, path) in named {
        let Ok(about) = fs::metadata(path) else { continue };
        if !about.is_file() || about.len() > LARGEST.min(left) {
            continue;
        }
        let Ok(bytes) = fs::read(path) else { continue };
        left -= about.len();
        let kind = if path.extension().is_some_and(|e| e == "gif") { "gif" } else { "png" };
        all.push(Picture { title, src: format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(bytes)) });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_training_are_in_the_order_of_their_steps_and_not_too_many() {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..=100u8 {
            fs::write(folder.path().join(format!("step-{}.png", 10 * u32::from(step))), [step]).unwrap();
        }
        fs::write(folder.path().join("step-x.png"), "no step").unwrap();
        let all = of_training(folder.path());
        assert!(all.len() <= SHOWN + 1 && all.len() > SHOWN / 2, "{}", all.len());
        assert_eq!((all[0].title.as_str(), all[0].src.as_str()), ("step 10", "data:image/png;base64,AQ=="));
        assert_eq!(all.last().unwrap().title, "step 1000");
        assert!(of_training(&folder.path().join("gone")).is_empty());
    }
}
