//! The pictures of a run, as parts of a page.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

/// Pictures of training that a page shows, at most.
const SHOWN: usize = 24;

/// Bytes of a picture that a page takes, at most, and of all of a run.
const LARGEST: u64 = 4 << 20;
const ALL: u64 = 24 << 20;

/// Pictures that were read, by their files: how long each is, when it was written, and what stands
/// for it on a page.
#[derive(Default)]
pub(super) struct Read(HashMap<PathBuf, (u64, Option<SystemTime>, Rc<str>)>);

/// A picture and what it shows.
#[derive(Serialize)]
pub(super) struct Picture {
    /// Its step, or what its file is called.
    title: String,
    /// Of one that training drew, the steps that had been taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    /// The picture itself, as a `data:` address.
    #[serde(serialize_with = "shared")]
    src: Rc<str>,
}

impl Picture {
    /// Whether another one is the same file.
    pub(super) fn shows_as(&self, other: &Picture) -> bool {
        self.src == other.src
    }
}

fn shared<S: serde::Serializer>(text: &Rc<str>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text)
}

impl Read {
    /// Pictures of samples on the way of training, the earliest first: evenly spread ones, where there
    /// are many.
    pub(super) fn of_training(&mut self, folder: &Path) -> Vec<Picture> {
        let step = |path: &PathBuf| path.file_stem()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
        let mut all: Vec<(u64, PathBuf)> =
            files(folder).into_iter().filter_map(|path| Some((step(&path)?, path))).collect();
        all.sort();
        let spread = crate::data::spread(all.len().min(SHOWN), all.len());
        // The last is the one that people look for.
        let chosen = spread.into_iter().map(|k| &all[k]).filter(|one| Some(*one) != all.last()).chain(all.last());
        self.read(chosen.map(|(step, path)| (format!("step {step}"), Some(*step), path.as_path())))
    }

    /// Pictures of what else a model can do, which training puts beside those of samples.
    pub(super) fn views(&mut self, folder: &Path) -> Vec<Picture> {
        let all = VIEWS.map(|(file, title)| (title.to_string(), folder.join(file)));
        self.read(all.iter().map(|(title, path)| (title.clone(), None, path.as_path())))
    }

    /// The pictures in a run's own folder, by name.
    pub(super) fn beside(&mut self, folder: &Path) -> Vec<Picture> {
        let mut all = files(folder);
        all.sort();
        self.read(all.iter().map(|path| {
            let title = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            (title, None, path.as_path())
        }))
    }
}

/// What else a model can do, by the names of the files in which `sample::views` draws it.
const VIEWS: [(&str, &str); 3] = [
    ("reconstructions.png", "test images, and below them what the model makes of their codes"),
    ("completions.png", "test images, what is kept of each, and what the model adds to that"),
    ("plane.png", "the latent plane, from one end of the prior to the other"),
];

/// The pictures in a folder; one that cannot be looked at has none.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| kind(path).is_some()).collect()
}

/// What a browser calls the format of a picture, of those that commands write and it shows.
fn kind(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "png" => Some("png"),
        "gif" => Some("gif"),
        "webp" => Some("webp"),
        "jpg" | "jpeg" => Some("jpeg"),
        _ => None,
    }
}

impl Read {
    /// Lets go of pictures that are on no page now: a long run draws thousands, and shows others of them each time.
    pub(super) fn forget_others(&mut self) {
        self.0.retain(|_, (_, _, src)| Rc::strong_count(src) > 1);
    }

    /// Those that can be read and are not too large for a page.
    fn read<'a>(&mut self, named: impl Iterator<Item = (String, Option<u64>, &'a Path)>) -> Vec<Picture> {
        let mut left = ALL;
        let mut all = Vec::new();
        for (title, step, path) in named {
            let Ok(about) = fs::metadata(path) else { continue };
            if !about.is_file() || about.len() > LARGEST.min(left) {
                continue;
            }
            let now = (about.len(), about.modified().ok());
            let src = match self.0.get(path) {
                Some((length, written, src)) if (*length, *written) == now && now.1.is_some() => src.clone(),
                _ => {
                    let Ok(bytes) = fs::read(path) else { continue };
                    let kind = kind(path).unwrap_or("png");
                    let src: Rc<str> = format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(bytes)).into();
                    self.0.insert(path.into(), (now.0, now.1, src.clone()));
                    src
                }
            };
            left -= about.len();
            all.push(Picture { title, step, src });
        }
        all
    }
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
        let mut read = Read::default();
        let all = read.of_training(folder.path());
        assert!(all.len() <= SHOWN + 1 && all.len() > SHOWN / 2, "{}", all.len());
        assert_eq!((all[0].title.as_str(), &*all[0].src), ("step 10", "data:image/png;base64,AQ=="));
        assert_eq!((all.last().unwrap().title.as_str(), all.last().unwrap().step), ("step 1000", Some(1000)));
        assert!(read.of_training(&folder.path().join("gone")).is_empty());
        // One that is another is read again, and others are not.
        fs::write(folder.path().join("step-10.png"), [7, 7]).unwrap();
        let again = read.of_training(folder.path());
        assert_eq!(&*again[0].src, "data:image/png;base64,Bwc=");
        assert!(Rc::ptr_eq(&again[1].src, &all[1].src) && !Rc::ptr_eq(&again[0].src, &all[0].src));
        fs::write(folder.path().join("plane.png"), [1]).unwrap();
        assert!(read.views(folder.path())[0].title.contains("latent plane"));
        // What is on no page any more is not kept.
        drop(all);
        read.forget_others();
        assert_eq!(read.0.len(), again.len());
        drop(again);
        read.forget_others();
        assert!(read.0.is_empty());
    }
}
