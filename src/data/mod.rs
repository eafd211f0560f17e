//! Images to train on: the built-in set, known sets that are fetched, IDX, CIFAR-10 binary, and
//! folders of pictures. All end up as bytes, planar per image, in a [`Dataset`].
//!
//! ```
//! let data = limn::data::open("fashion-mini", None, &limn::data::Options::default())?;
//! println!("{}: {} to train on, {} to test on", data.geometry(), data.train.len(), data.test.len());
//! let batch = data.train.gather(&[0, 7], -1.0, 1.0); // two images, black as -1 and white as 1
//! assert_eq!(batch.len(), 2 * data.geometry().elements());
//! # Ok::<(), limn::data::Error>(())
//! ```

use crate::words::hex;
use sha2::{Digest, Sha256};

mod binarise;
mod cifar;
mod error;
#[cfg(feature = "fetch")]
mod fetch;
mod formats;
mod geometry;
mod identity;
mod idx;
mod levels;
mod look;
#[cfg(feature = "media")]
mod media;
#[cfg(not(feature = "media"))]
#[path = "no_media.rs"]
mod media;
mod medium;
mod options;
mod order;
mod own;
#[cfg(feature = "fetch")]
mod process;
#[cfg(feature = "cli")]
mod readers;
mod sets;
mod sizes;
mod split;
mod synthetic;

pub use binarise::Binarisation;
pub use error::Error;
#[cfg(feature = "fetch")]
pub use fetch::{Progress, get};
pub use formats::in_words;
pub use geometry::Geometry;
pub use identity::Identity;
pub use levels::{Levels, Range};
pub use look::{Look, look};
#[cfg(feature = "media")]
pub use media::{Picture, clean, picture_files, read_image, read_mask, read_picture};
pub use medium::{Medium, companded, expanded, open_medium};
pub use options::Options;
pub use order::Order;
pub use own::{is_known, register};
#[cfg(feature = "cli")]
pub(crate) use readers::READERS;
pub use sets::{KnownSet, Whereabouts, cache_dir, known_name, licence, list};
pub use sizes::Sizes;
pub use split::{Pixels, Split, spread, spread_at};

/// A set of images with a training and a test split, both of the same geometry.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The set's name, or the path it was read from.
    pub name: String,
    /// The geometry of the images as they were stored (for a folder: of its first image). The
    /// splits differ from it when another geometry was asked for.
    pub native: Geometry,
    /// The sizes that pictures of a folder had as they were stored, where they are known.
    pub sizes: Option<Sizes>,
    /// Images to train on; at least 1.
    pub train: Split,
    /// Images to test on; at least 1, none of them in `train`.
    pub test: Split,
    /// Whether the images to test on are some that would else be trained on, as the source has no
    /// others.
    pub held_out: bool,
    /// The names of the classes, in the order of the labels; empty where the set does not name
    /// them.
    pub classes: Vec<String>,
    /// What makes it this set.
    pub identity: Identity,
    /// One sentence each about what was found, left out or missing. Worth printing.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// The geometry of every image in both splits.
    pub fn geometry(&self) -> Geometry {
        self.train.geometry
    }

    /// How many classes there are: as many as the set names, or as its labels count; `None` without
    /// labels.
    pub fn class_count(&self) -> Option<usize> {
        if !self.classes.is_empty() {
            return Some(self.classes.len());
        }
        let labels = [&self.train, &self.test].map(|split| split.labels.as_ref()?.iter().max().copied());
        Some(1 + usize::from(labels[0]?.max(labels[1]?)))
    }

    /// The classes, each with how many images of it there are to train and to test on; none without
    /// labels.
    pub fn class_counts(&self) -> Vec<(String, usize, usize)> {
        let Some(count) = self.class_count() else { return Vec::new() };
        let of =
            |split: &Split, class: usize| split.labels.iter().flatten().filter(|l| usize::from(**l) == class).count();
        let name = |class: usize| self.classes.get(class).cloned().unwrap_or_else(|| class.to_string());
        (0..count).map(|class| (name(class), of(&self.train, class), of(&self.test, class))).collect()
    }

    /// An error naming this set unless every image has a label below `classes`.
    pub fn require_labels(&self, classes: usize) -> Result<(), Error> {
        let name = || self.name.clone();
        for split in [&self.train, &self.test] {
            let labels = split.labels.as_ref().filter(|labels| labels.len() == split.len());
            let labels = labels.ok_or_else(|| Error::Unlabelled { name: name() })?;
            if let Some(label) = labels.iter().copied().max().filter(|label| usize::from(*label) >= classes) {
                return Err(Error::MoreClasses { name: name(), label, classes });
            }
        }
        Ok(())
    }

    /// [`Error::Mismatch`] naming this set unless its images are what a model takes.
    pub fn require(&self, wants: Geometry) -> Result<(), Error> {
        self.geometry().require(wants, &self.name)
    }
}

/// Opens a dataset: `fashion-mini` (or `builtin`), `mnist`, `fashion-mnist`, `cifar10`, or the path
/// of an IDX images file, a CIFAR-10 .bin file, or a folder of either or of PNG, JPEG and WebP
/// images. A known name wins over a file of that name; `./mnist` means the file.
///
/// An IDX file brings along the labels and the test images that lie beside it under MNIST's names
/// (`train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, ..., also with `.gz`).
///
/// With `wanted`, images of another geometry are scaled so that the shorter side fits, cropped to
/// the middle, and turned to grey or RGB; without, they keep their own.
///
/// A source without a test split has max(1, min(n / 10, 1000)) of its images held out: the last
/// ones of a file, evenly spread ones of a folder.
///
/// # Errors
/// Whatever is wrong with the name, the files or the images, in one sentence: see [`Error`].
pub fn open(spec: &str, wanted: Option<Geometry>, options: &Options) -> Result<Dataset, Error> {
    let wanted = wanted.map(Geometry::check).transpose()?;
    let known = sets::find(spec);
    if let Some(set) = known {
        medium::fits(set, Medium::Pictures)?;
    }
    let source = match known {
        Some(set) => sets::load(set)?.opened(set.name, options),
        None => formats::read(spec, wanted, Medium::Pictures, options)?,
    };
    let name = known.map_or(spec, |set| set.name);
    split(name, source, wanted)
}

/// What a reader found, before held-out images are split off and sizes are fitted.
#[derive(Debug)]
struct Source {
    /// The geometry that `train` and `test` have.
    geometry: Geometry,
    /// The geometry that the stored images have.
    native: Geometry,
    /// Bytes and labels.
    train: (Vec<u8>, Option<Vec<u8>>),
    test: Option<(Vec<u8>, Option<Vec<u8>>)>,
    warnings: Vec<String>,
}

impl Source {
    fn new(geometry: Geometry) -> Self {
        let train = (Vec::new(), None);
        Source { geometry, native: geometry, train, test: None, warnings: Vec::new() }
    }
}

/// A set as its reader leaves it, before images are held out of one without a test split and sizes
/// are fitted.
#[derive(Debug)]
struct Opened {
    native: Geometry,
    /// The sizes of pictures as they are stored.
    sizes: Option<Sizes>,
    train: Split,
    test: Option<Split>,
    /// Whether `test` is some of the images to train on.
    held_out: bool,
    classes: Vec<String>,
    /// SHA-256 of all images as they lie together, where that is known.
    digest: Option<String>,
    /// The values that were made black and white, if any were.
    stretched: Option<Levels>,
    warnings: Vec<String>,
}

impl Source {
    /// The set, its values stretched if that is wanted.
    fn opened(mut self, name: &str, options: &Options) -> Opened {
        let test = self.test.as_ref().map_or(Levels::NONE, |test| Levels::of_bytes(&test.0));
        let levels = Levels::of_bytes(&self.train.0).join(test);
        let stretched = Some(levels).filter(|levels| options.range == Range::Auto && levels.is_spread());
        match stretched {
            Some(levels) => {
                levels.stretch_bytes(&mut self.train.0);
                self.test.iter_mut().for_each(|test| levels.stretch_bytes(&mut test.0));
            }
            None => self.warnings.extend(levels.warning(name)),
        }
        let split = |(images, labels): (Vec<u8>, Option<Vec<u8>>)| Split::new(self.geometry, images, labels);
        Opened {
            native: self.native,
            sizes: None,
            train: split(self.train),
            test: self.test.map(split),
            held_out: false,
            classes: Vec::new(),
            digest: None,
            stretched,
            warnings: self.warnings,
        }
    }
}

/// How many of `n` images to hold out for testing.
fn to_hold_out(n: usize) -> usize {
    (n / 10).clamp(1, 1000)
}

fn split(name: &str, source: Opened, wanted: Option<Geometry>) -> Result<Dataset, Error> {
    let Opened { native, sizes, train, test, held_out: some, classes, digest, stretched, warnings } = source;
    let held_out = some || test.is_none();
    let (train, test) = match test {
        Some(test) => (train, test),
        None => {
            let n = train.len();
            if n < 2 {
                return Err(Error::TooFew { name: name.into(), rest: String::new() });
            }
            train.split_at(n - to_hold_out(n))
        }
    };
    let mut hasher = Sha256::new();
    match digest {
        Some(digest) => hasher.update(digest),
        None => [&train, &test].iter().for_each(|split| (0..split.len()).for_each(|i| hasher.update(split.image(i)))),
    }
    for split in [&train, &test] {
        split.identify(&mut hasher);
    }
    let wanted = wanted.unwrap_or(train.geometry);
    let identity = Identity {
        train: train.len(),
        test: test.len(),
        geometry: [wanted.channels, wanted.height, wanted.width],
        classes: classes.clone(),
        digest: hex(&hasher.finalize()),
        stretched,
        counts: counts([&train, &test]),
    };
    let (train, test) = (train.refit(name, wanted)?, test.refit(name, wanted)?);
    Ok(Dataset { name: name.into(), native, sizes, train, test, held_out, classes, identity, warnings })
}

/// Images of each class in two splits; none where there are no labels.
fn counts(splits: [&Split; 2]) -> Vec<[usize; 2]> {
    let mut counts = Vec::new();
    for (k, split) in splits.into_iter().enumerate() {
        for label in split.labels.iter().flatten().map(|label| usize::from(*label)) {
            counts.resize(counts.len().max(label + 1), [0; 2]);
            counts[label][k] += 1;
        }
    }
    counts
}

/// Room for `n` images, or an error where the machine has none; running out later would abort.
fn reserve(n: usize, geometry: Geometry, name: impl Fn() -> String) -> Result<Vec<u8>, Error> {
    let bytes = n.saturating_mul(geometry.elements());
    let mut room = Vec::new();
    match room.try_reserve_exact(bytes) {
        Ok(()) => Ok(room),
        Err(_) => Err(Error::TooLarge { name: name(), bytes: bytes as u64, geometry }),
    }
}

#[cfg(test)]
mod tests;
