//! Images of one geometry, wherever their bytes are.

use super::{Error, Geometry};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// The bytes of images, one image after the other: in memory, or in a file that the system reads as
/// they are needed.
#[derive(Clone, Debug)]
pub struct Pixels(Arc<Storage>);

#[derive(Debug)]
enum Storage {
    Memory(Vec<u8>),
    File(memmap2::Mmap),
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Storage::Memory(bytes) => bytes,
            Storage::File(map) => map,
        }
    }
}

impl From<Vec<u8>> for Pixels {
    fn from(bytes: Vec<u8>) -> Pixels {
        Pixels(Arc::new(Storage::Memory(bytes)))
    }
}

impl From<memmap2::Mmap> for Pixels {
    fn from(map: memmap2::Mmap) -> Pixels {
        Pixels(Arc::new(Storage::File(map)))
    }
}

/// Images of one geometry, as bytes 0..=255.
#[derive(Clone, Debug)]
pub struct Split {
    /// Geometry of each image.
    pub geometry: Geometry,
    /// One class label per image, where the source has them.
    pub labels: Option<Vec<u8>>,
    pixels: Pixels,
    which: Which,
    tones: Vec<Tones>,
    /// Where this is a part of a split: which of its images these are.
    part: Option<Arc<[u32]>>,
}

/// Which of the images that lie together are a split's own.
#[derive(Clone, Debug)]
enum Which {
    Run(Range<usize>),
    Listed(Arc<[u32]>),
}

/// What is made of an image's bytes when it is asked for.
#[derive(Clone, Debug)]
pub(super) enum Tones {
    /// Each by what stands at its place.
    Table(Box<[u8; 256]>),
    /// All, by a function of the image's number.
    Drawn(fn(usize, &mut [u8], &[u8; 10]), [u8; 10]),
}

impl Split {
    /// Images [n, channels, height, width], one after the other.
    pub fn new(geometry: Geometry, images: impl Into<Pixels>, labels: Option<Vec<u8>>) -> Split {
        let pixels = images.into();
        let n = pixels.len() / geometry.elements().max(1);
        Split { geometry, labels, pixels, which: Which::Run(0..n), tones: Vec::new(), part: None }
    }

    /// Those at `list` of images that lie together.
    pub(super) fn listed(geometry: Geometry, pixels: Pixels, list: &[u32], labels: Option<Vec<u8>>) -> Split {
        // Neighbours need no list.
        let run = list.first().map_or(0..0, |first| *first as usize..*first as usize + list.len());
        let is_run = list.iter().enumerate().all(|(i, at)| run.start + i == *at as usize);
        let which = if is_run { Which::Run(run) } else { Which::Listed(list.into()) };
        Split { geometry, labels, pixels, which, tones: Vec::new(), part: None }
    }

    /// The images before `at`, and the others.
    pub(super) fn split_at(self, at: usize) -> (Split, Split) {
        let list: Vec<u32> = (0..self.len()).map(|i| self.place(i) as u32).collect();
        let part = |list: &[u32], labels| Split::listed(self.geometry, self.pixels.clone(), list, labels);
        let mut labels = self.labels.clone();
        let rest = labels.as_mut().map(|labels| labels.split_off(at));
        (part(&list[..at], labels), part(&list[at..], rest))
    }

    /// Tells a digest which images these are, and of which classes.
    pub(super) fn identify(&self, hasher: &mut impl sha2::Digest) {
        hasher.update((self.len() as u64).to_le_bytes());
        (0..self.len()).for_each(|i| hasher.update((self.place(i) as u32).to_le_bytes()));
        hasher.update([u8::from(self.labels.is_some())]);
        hasher.update(self.labels.as_deref().unwrap_or_default());
    }

    /// Adds something that is made of the bytes of every image.
    pub(super) fn toned(&mut self, tones: Tones) {
        self.tones.push(tones);
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        match (&self.part, &self.which) {
            (Some(part), _) => part.len(),
            (None, Which::Run(run)) => run.len(),
            (None, Which::Listed(list)) => list.len(),
        }
    }

    /// The number that image `i` has in the whole split.
    fn number(&self, i: usize) -> usize {
        assert!(i < self.len(), "image {i} of {}", self.len());
        self.part.as_ref().map_or(i, |part| part[i] as usize)
    }

    /// Whether there are no images; never so in a [`Dataset`](super::Dataset).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Image `i`, planar: [channels, height, width].
    ///
    /// # Panics
    /// If `i` is not below [`Split::len`]; the indices of an [`Order`](super::Order) of that length
    /// are.
    pub fn image(&self, i: usize) -> Cow<'_, [u8]> {
        let stored = self.stored(i);
        if self.tones.is_empty() {
            return Cow::Borrowed(stored);
        }
        let mut image = stored.to_vec();
        self.tone(i, &mut image);
        Cow::Owned(image)
    }

    /// Where image `i` lies among those that lie together.
    fn place(&self, i: usize) -> usize {
        let number = self.number(i);
        match &self.which {
            Which::Run(run) => run.start + number,
            Which::Listed(list) => list[number] as usize,
        }
    }

    fn stored(&self, i: usize) -> &[u8] {
        let at = self.place(i);
        let elements = self.geometry.elements();
        &self.pixels[at * elements..(at + 1) * elements]
    }

    fn tone(&self, i: usize, image: &mut [u8]) {
        for tones in &self.tones {
            match tones {
                Tones::Table(table) => image.iter_mut().for_each(|pixel| *pixel = table[usize::from(*pixel)]),
                Tones::Drawn(draw, key) => draw(self.number(i), image, key),
            }
        }
    }

    /// The images at `indices` as a program takes them: the bytes of all, and where it is
    /// `labelled` behind them the label of each. An image without a label counts as one of class 0;
    /// see [`Dataset::require_labels`](super::Dataset::require_labels).
    ///
    /// # Panics
    /// As [`Split::image`].
    pub fn upload(&self, indices: impl Iterator<Item = usize> + Clone, labelled: bool, bytes: &mut Vec<u8>) {
        bytes.clear();
        for i in indices.clone() {
            let at = bytes.len();
            bytes.extend_from_slice(self.stored(i));
            self.tone(i, &mut bytes[at..]);
        }
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
        let mut all = Vec::with_capacity(indices.len() * self.geometry.elements());
        for i in indices {
            all.extend(self.image(*i as usize).iter().map(|byte| table[usize::from(*byte)]));
        }
        all
    }

    /// The images at `indices` as a split of their own.
    ///
    /// # Panics
    /// As [`Split::image`].
    pub fn pick(&self, indices: &[usize]) -> Split {
        let labels = self.labels.as_ref().map(|labels| indices.iter().map(|i| labels[*i]).collect());
        let part = indices.iter().map(|i| self.number(*i) as u32).collect();
        Split { labels, part: Some(part), ..self.clone() }
    }

    /// So many of the images, see [`spread`].
    pub fn spread(&self, count: usize) -> Split {
        self.pick(&spread(count, self.len()))
    }

    /// The split with every image brought to another geometry.
    pub(super) fn refit(self, name: &str, wanted: Geometry) -> Result<Split, Error> {
        if self.geometry == wanted {
            return Ok(self);
        }
        let mut out = super::reserve(self.len(), wanted, || name.into())?;
        out.resize(self.len() * wanted.elements(), 0);
        out.par_chunks_mut(wanted.elements())
            .enumerate()
            .for_each(|(i, to)| to.copy_from_slice(&super::geometry::refit(&self.image(i), self.geometry, wanted)));
        Ok(Split::new(wanted, out, self.labels))
    }
}

/// `count` numbers below `all`, all of them if there are no more, evenly spread from 0 on: the
/// first images of a folder may all be of one class.
pub fn spread(count: usize, all: usize) -> Vec<usize> {
    let count = count.min(all);
    (0..count).map(|k| spread_at(k, count, all)).collect()
}

/// Number `k` of them, where `count` is at most `all`.
pub fn spread_at(k: usize, count: usize, all: usize) -> usize {
    (k as u128 * all as u128 / count.max(1) as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Geometry = Geometry::new(1, 1, 2);

    #[test]
    fn gather_maps_bytes_linearly() {
        let split = Split::new(TWO, vec![0, 255, 51, 0, 255, 255], None);
        assert_eq!(split.gather(&[2, 0], -1.0, 1.0), [1.0, 1.0, -1.0, 1.0]);
        assert_eq!(split.gather(&[1], 0.0, 1.0), [0.2, 0.0]);
    }

    #[test]
    fn splits_of_the_same_bytes_have_their_own_images() {
        let pixels = Pixels::from((0..20).collect::<Vec<u8>>());
        let listed = Split::listed(TWO, pixels.clone(), &[1, 4, 8], Some(vec![7, 8, 9]));
        assert_eq!((listed.len(), &*listed.image(1), listed.label(2)), (3, &[8, 9][..], Some(9)));
        let run = Split::listed(TWO, pixels.clone(), &[5, 6, 7], None);
        assert_eq!((run.len(), &*run.image(2)), (3, &[14, 15][..]));
        assert!(Split::listed(TWO, pixels, &[], None).is_empty());
        let mut bytes = Vec::new();
        listed.upload([2, 0].into_iter(), true, &mut bytes);
        assert_eq!(bytes, [16, 17, 2, 3, 9, 7]);
    }

    #[test]
    fn a_part_is_spread_over_the_whole() {
        let split = Split::new(Geometry::new(1, 1, 1), (0..10).collect::<Vec<u8>>(), Some((10..20).collect()));
        let part = |count| split.spread(count);
        let bytes = |split: &Split| -> Vec<u8> { (0..split.len()).map(|i| split.image(i)[0]).collect() };
        assert_eq!(bytes(&part(10)), bytes(&split));
        assert_eq!((part(99).len(), part(0).len()), (10, 0));
        assert_eq!((bytes(&part(4)), part(4).labels), (vec![0, 2, 5, 7], Some(vec![10, 12, 15, 17])));
        assert_eq!(bytes(&part(4).spread(2)), [0, 5]);
        // What is made of an image depends on its number in the whole.
        let mut toned = split.clone();
        toned.toned(Tones::Drawn(|i, pixels, _| pixels.fill(100 + i as u8), [0; 10]));
        assert_eq!(bytes(&toned.spread(2)), [100, 105]);
    }
}
