//! Images to train on: the built-in set, known sets that are fetched, IDX, CIFAR-10 binary, and
//! folders of pictures. All end up as bytes, planar per image, in a [`Dataset`].

use std::path::Path;

use rayon::prelude::*;

mod binarise;
mod cifar;
mod clips;
mod error;
mod fetch;
mod films;
mod folder;
mod geometry;
mod idx;
mod medium;
mod order;
mod process;
mod sets;
mod sounds;
mod synthetic;

pub use binarise::Binarisation;
pub use error::Error;
pub use fetch::{Progress, get};
pub use folder::read_image;
pub use geometry::Geometry;
pub use medium::{Medium, companded, expanded, open_medium};
pub use order::Order;
pub use sets::{Entry, Place, cache_dir, list};

/// A set of images with a training and a test split, both of the same geometry.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The set's name, or the path it was read from.
    pub name: String,
    /// The geometry of the images as they were stored (for a folder: of its first image). The
    /// splits differ from it when another geometry was asked for.
    pub native: Geometry,
    /// Images to train on; at least 1.
    pub train: Split,
    /// Images to test on; at least 1, none of them in `train`.
    pub test: Split,
    /// One sentence each about what was left out or missing. Worth printing.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// The geometry of every image in both splits.
    pub fn geometry(&self) -> Geometry {
        self.train.geometry
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

/// Images of one geometry, as bytes 0..=255.
#[derive(Clone, Debug)]
pub struct Split {
    /// Geometry of each image.
    pub geometry: Geometry,
    /// All images, one after the other: [len, channels, height, width].
    pub images: Vec<u8>,
    /// One class label per image, where the source has them.
    pub labels: Option<Vec<u8>>,
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len() / self.geometry.elements().max(1)
    }

    /// Whether there are no images; never so in a [`Dataset`].
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Image `i`, planar: [channels, height, width].
    ///
    /// # Panics
    /// If `i` is not below [`Split::len`]; the indices of an [`Order`] of that length are.
    pub fn image(&self, i: usize) -> &[u8] {
        let elements = self.geometry.elements();
        &self.images[i * elements..(i + 1) * elements]
    }

    /// The images at `indices` as a program takes them: the bytes of all, and where it is `labelled`
    /// behind them the label of each. An image without a label counts as one of class 0; see
    /// [`Dataset::require_labels`].
    ///
    /// # Panics
    /// As [`Split::image`].
    pub fn upload(&self, indices: impl Iterator<Item = usize> + Clone, labelled: bool, bytes: &mut Vec<u8>) {
        bytes.clear();
        indices.clone().for_each(|i| bytes.extend_from_slice(self.image(i)));
        if labelled {
            bytes.extend(indices.map(|i| self.label(i).unwrap_or(0)));
        }
    }

    /// The label of image `i`, if there are labels.
    pub fn label(&self, i: usize) -> Option<u8> {
        self.labels.as_ref()?.get(i).copied()
    }

    /// The images at `indices` as one batch [indices, channels, height, width], bytes 0..=255
    /// mapped linearly to `low..=high` (0 to 1 for a VAE, -1 to 1 for a DCGAN).
    ///
    /// # Panics
    /// As [`Split::image`].
    pub fn gather(&self, indices: &[u32], low: f32, high: f32) -> Vec<f32> {
        let value = |byte: u8| low + (high - low) * (f32::from(byte) / 255.0);
        let table: Vec<f32> = (0..=255).map(value).collect();
        let images = indices.iter().flat_map(|&i| self.image(i as usize));
        images.map(|&byte| table[usize::from(byte)]).collect()
    }
}

/// Opens a dataset: `builtin` (or `fashion-mini`), `mnist`, `fashion-mnist`, `cifar10`, or the path
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
pub fn open(spec: &str, wanted: Option<Geometry>) -> Result<Dataset, Error> {
    let wanted = wanted.map(Geometry::check).transpose()?;
    let known = sets::find(spec);
    if let Some(set) = known {
        medium::fits(set, Medium::Pictures)?;
    }
    let source = match known {
        Some(set) => sets::load(set)?,
        None => read_path(spec, wanted)?,
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

/// Tells by what is there which reader a path needs.
fn read_path(spec: &str, wanted: Option<Geometry>) -> Result<Source, Error> {
    let path = Path::new(spec);
    if path.is_dir() {
        if let Some(train) = idx::in_folder(path) {
            return idx::load(&train);
        }
        if let Some(folder) = cifar::in_folder(path) {
            return cifar::load_folder(&folder);
        }
        return folder::load(path, wanted);
    }
    if !path.exists() {
        return Err(Error::Unknown { name: spec.into(), hint: sets::nearest(spec) });
    }
    if !path.is_file() {
        let why = "it is neither a file nor a folder".into();
        return Err(Error::Damaged { path: path.into(), why });
    }
    let start = start(path)?;
    if folder::looks_like_image(&start) {
        return Err(Error::SingleImage { path: path.into() });
    }
    let is_bin = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bin"));
    if is_bin && !start.starts_with(&idx::IMAGES.to_be_bytes()) {
        return cifar::load_file(path);
    }
    idx::load(path)
}

/// The first bytes of a file, up to 12.
fn start(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let mut start = Vec::new();
    file.take(12).read_to_end(&mut start).map_err(Error::io("read", path))?;
    Ok(start)
}

/// How many of `n` images to hold out for testing.
fn held_out(n: usize) -> usize {
    (n / 10).clamp(1, 1000)
}

fn split(name: &str, source: Source, wanted: Option<Geometry>) -> Result<Dataset, Error> {
    let has = source.geometry;
    let (mut images, mut labels) = source.train;
    let (test_images, test_labels) = match source.test {
        Some(test) => test,
        None => {
            let n = images.len() / has.elements().max(1);
            if n < 2 {
                return Err(Error::TooFew { name: name.into() });
            }
            let at = n - held_out(n);
            (images.split_off(at * has.elements()), labels.as_mut().map(|l| l.split_off(at)))
        }
    };
    let wanted = wanted.unwrap_or(has);
    let fitted = |images, labels| -> Result<Split, Error> {
        Ok(Split { geometry: wanted, images: refit_all(name, images, has, wanted)?, labels })
    };
    Ok(Dataset {
        name: name.into(),
        native: source.native,
        train: fitted(images, labels)?,
        test: fitted(test_images, test_labels)?,
        warnings: source.warnings,
    })
}

fn refit_all(name: &str, images: Vec<u8>, has: Geometry, wanted: Geometry) -> Result<Vec<u8>, Error> {
    if has == wanted {
        return Ok(images);
    }
    let n = images.len() / has.elements();
    let mut out = reserve(n, wanted, || name.into())?;
    out.resize(n * wanted.elements(), 0);
    out.par_chunks_mut(wanted.elements())
        .zip(images.par_chunks(has.elements()))
        .for_each(|(to, from)| to.copy_from_slice(&geometry::refit(from, has, wanted)));
    Ok(out)
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
