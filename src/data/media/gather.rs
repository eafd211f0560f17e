//! Decoding many files side by side, into memory or into a file of the cache.

use super::cache::{Cache, CacheEntry};
use super::{Error, Geometry, Levels, Options, Range, Sizes, split::Pixels};
use crate::machine::memory_available;
use crate::words::hex;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Bytes of decoded images that are held in memory at once.
const TOGETHER: usize = 64 << 20;

/// What images are made of: a file, or a folder of frames.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// What is named and decoded.
    pub(super) path: PathBuf,
    /// The files that its images depend on.
    pub(super) files: Vec<PathBuf>,
}

impl From<PathBuf> for Unit {
    fn from(path: PathBuf) -> Unit {
        Unit { files: vec![path.clone()], path }
    }
}

/// The images of many units, one after the other.
#[derive(Debug)]
pub(super) struct Gathered {
    /// All images.
    pub(super) pixels: Pixels,
    /// SHA-256 of them.
    pub(super) digest: String,
    /// How many images each unit has; none where it cannot be used.
    pub(super) counts: Vec<usize>,
    /// The smallest and the largest value of the files, as their formats have them.
    pub(super) levels: Levels,
    /// The sizes of pictures as they are stored.
    pub(super) sizes: Option<Sizes>,
    /// Whether these were made black and white.
    pub(super) stretched: bool,
    /// What is to be said of units, by their numbers: why one cannot be used, or what one lacks
    /// that is used.
    pub(super) remarks: Vec<(usize, String)>,
}

/// What one unit holds.
pub(super) struct Decoded {
    /// Its images, one after the other.
    pub(super) images: Vec<u8>,
    /// The values of the file, before they were rounded or stretched.
    pub(super) levels: Levels,
    /// What a picture was before it was brought to the geometry of all.
    pub(super) sizes: Option<Sizes>,
    /// What is to be said of the unit although it is used.
    pub(super) remark: Option<String>,
}

/// How images are decoded: a different way makes different images of the same file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    /// The set, for messages.
    pub(super) name: &'a str,
    /// What every image is brought to.
    pub(super) geometry: Geometry,
    /// What else the images depend on, in words.
    pub(super) how: &'a str,
    /// Images of a unit, where they are known beforehand.
    pub(super) each: Option<usize>,
}

/// Decodes the units side by side. Those that fail are left out, but a disk that cannot be read
/// ends it. Where the range is automatic, all are decoded once before to find the levels that are
/// then stretched.
pub(super) fn gather(
    units: &[Unit],
    way: Way,
    options: &Options,
    decode: impl Fn(&Path, Option<Levels>) -> Result<Decoded, Error> + Sync,
) -> Result<Gathered, Error> {
    let cache = options.cache.as_deref().map(Cache::new);
    let entry = cache.as_ref().and_then(|cache| cache.entry(units, way, options.range));
    if let Some(found) = entry.as_ref().and_then(CacheEntry::load) {
        return Ok(found);
    }
    let needs = way.each.map(|each| (units.len() * each).saturating_mul(way.geometry.elements()) as u64);
    let mut sink = Sink::new(entry, needs, way)?;
    let stretch = match options.range {
        Range::Full => None,
        Range::Auto => measured(units, options, &decode)?,
    };
    let mut gathered = Parts { stretched: stretch.is_some(), ..Parts::default() };
    // So many that all processors are busy, and few enough to be held.
    let piece = (TOGETHER / (way.geometry.elements() * way.each.unwrap_or(16)).max(1)).clamp(8, 512);
    for (k, units_of_piece) in units.chunks(piece).enumerate() {
        let results: Vec<Result<Decoded, Error>> = units_of_piece
            .par_iter()
            .map(|unit| match options.stopped() {
                true => Err(Error::Stopped { path: unit.path.clone() }),
                false => decode(&unit.path, stretch),
            })
            .collect();
        for (i, result) in results.into_iter().enumerate() {
            gathered.take(k * piece + i, &units_of_piece[i].path, result, way.geometry, &mut sink)?;
        }
        options.tell(k * piece + units_of_piece.len(), units.len());
    }
    sink.finish(gathered)
}

/// The levels of all units that can be used, if there are two that can be told apart.
fn measured(
    units: &[Unit],
    options: &Options,
    decode: impl Fn(&Path, Option<Levels>) -> Result<Decoded, Error> + Sync,
) -> Result<Option<Levels>, Error> {
    let one = |unit: &Unit| match decode(&unit.path, None) {
        Ok(decoded) => Ok(decoded.levels),
        Err(error) if error.ends_reading() => Err(error),
        Err(_) => Ok(Levels::NONE),
    };
    let mut levels = Levels::NONE;
    for (k, piece) in units.chunks(512).enumerate() {
        let found: Result<Vec<Levels>, Error> = piece.par_iter().map(one).collect();
        levels = found?.into_iter().fold(levels, Levels::join);
        options.tell(512 * k + piece.len(), units.len());
    }
    Ok(Some(levels).filter(|levels| levels.is_spread()))
}

/// What is known of the units decoded so far.
struct Parts {
    levels: Levels,
    sizes: Option<Sizes>,
    stretched: bool,
    counts: Vec<usize>,
    remarks: Vec<(usize, String)>,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts { levels: Levels::NONE, sizes: None, stretched: false, counts: Vec::new(), remarks: Vec::new() }
    }
}

impl Parts {
    fn take(
        &mut self,
        index: usize,
        path: &Path,
        result: Result<Decoded, Error>,
        geometry: Geometry,
        sink: &mut Sink,
    ) -> Result<(), Error> {
        let bytes = match result {
            Ok(Decoded { images, .. }) if images.is_empty() => {
                self.remarks.push((index, format!("{} is too short", path.display())));
                images
            }
            Ok(Decoded { images, levels, sizes, remark }) => {
                self.levels = self.levels.join(levels);
                self.sizes = [self.sizes, sizes].into_iter().flatten().reduce(Sizes::join);
                self.remarks.extend(remark.map(|remark| (index, remark)));
                images
            }
            Err(error) if error.ends_reading() => return Err(error),
            Err(error) => {
                self.remarks.push((index, error.to_string()));
                Vec::new()
            }
        };
        self.counts.push(bytes.len() / geometry.elements().max(1));
        sink.push(&bytes)
    }
}

/// Takes decoded images as they come.
struct Sink<'a> {
    way: Way<'a>,
    hasher: Sha256,
    to: To<'a>,
}

enum To<'a> {
    Memory(Vec<u8>),
    File(super::cache::Writer<'a>),
}

impl<'a> Sink<'a> {
    /// Into the cache where there is one with room for `needs` bytes, else into memory, if it has
    /// the room.
    fn new(entry: Option<CacheEntry<'a>>, needs: Option<u64>, way: Way<'a>) -> Result<Sink<'a>, Error> {
        let hasher = Sha256::new();
        let room = match entry {
            Some(entry) => match entry.writer(needs.unwrap_or(0)) {
                Ok(writer) => return Ok(Sink { way, hasher, to: To::File(writer) }),
                Err(room) => Some(room),
            },
            None => None,
        };
        let memory = memory_available();
        let needs = needs.unwrap_or(0);
        if needs > memory / 4 * 3 {
            let (name, geometry) = (way.name.into(), way.geometry);
            return Err(Error::NoRoom { name, geometry, bytes: needs, memory, disk: room.unwrap_or(0) });
        }
        Ok(Sink { way, hasher, to: To::Memory(Vec::new()) })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        if let To::File(writer) = &mut self.to {
            let Err(error) = writer.push(bytes) else { return Ok(()) };
            self.remember(error)?;
        }
        match &mut self.to {
            To::File(_) => Ok(()),
            To::Memory(all) => match all.try_reserve(bytes.len()) {
                Ok(()) => {
                    all.extend_from_slice(bytes);
                    Ok(())
                }
                Err(_) => {
                    let (name, geometry) = (self.way.name.into(), self.way.geometry);
                    Err(Error::TooLarge { name, bytes: (all.len() + bytes.len()) as u64, geometry })
                }
            },
        }
    }

    /// Goes on in memory where the disk takes no more: a set need not be kept.
    fn remember(&mut self, error: Error) -> Result<(), Error> {
        match std::mem::replace(&mut self.to, To::Memory(Vec::new())) {
            To::File(writer) => self.to = To::Memory(writer.rescue().ok_or(error)?),
            memory => self.to = memory,
        }
        Ok(())
    }

    fn finish(mut self, parts: Parts) -> Result<Gathered, Error> {
        if let To::File(writer) = &mut self.to
            && let Err(error) = writer.flush()
        {
            self.remember(error)?;
        }
        let digest = hex(&self.hasher.finalize());
        let Parts { levels, sizes, stretched, counts, remarks } = parts;
        let gathered = |pixels| Gathered { pixels, digest: digest.clone(), levels, sizes, stretched, counts, remarks };
        match self.to {
            To::Memory(bytes) => Ok(gathered(bytes.into())),
            To::File(writer) => writer.finish(gathered(Vec::new().into())),
        }
    }
}
