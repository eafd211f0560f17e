//! Decoded sets, kept so that a second start need not decode again and sets may be larger than
//! memory.
//!
//! A set is two files in `decoded/` of the cache folder: `KEY.pixels`, its images one after the
//! other, and `KEY.json`, what is known of the files they were made of. The key is a digest of the
//! names, sizes and times of these files and of how they were decoded. Files are written under
//! other names and renamed when they are whole, and never changed after. Together they take at most
//! half of what the disk would have free without them; the sets that were not used for longest go
//! first.

use super::gather::{Gathered, Unit, Way};
use super::identity::stamp;
use super::{Error, Levels, Range, Sizes, split::Pixels};
use crate::files::read_small;
use crate::words::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Raised whenever the same files come to be decoded to other images, or more is noted of them.
const DECODERS: u32 = 3;

/// How long nobody takes to write a set.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The decoded sets of a cache folder.
pub(super) struct Cache {
    folder: PathBuf,
}

/// One set, kept or not.
pub(super) struct CacheEntry<'a> {
    cache: &'a Cache,
    key: String,
    units: usize,
    /// Bytes of an image.
    elements: usize,
}

/// What is kept beside the images.
#[derive(Serialize, Deserialize)]
pub(super) struct Notes {
    bytes: u64,
    /// The [`stamp`] of the images: a file that was changed since is no set.
    #[serde(default)]
    stamp: String,
    digest: String,
    levels: Option<Levels>,
    /// Sets of earlier versions have none.
    #[serde(default)]
    sizes: Option<Sizes>,
    stretched: bool,
    counts: Vec<usize>,
    remarks: Vec<(usize, String)>,
}

impl Notes {
    /// The set of these images, of so many bytes each; nothing where they are not those that the notes are of.
    pub(super) fn with(self, pixels: Pixels, elements: usize) -> Option<Gathered> {
        let Notes { bytes, digest, levels, sizes, stretched, counts, remarks, .. } = self;
        let images = counts.iter().try_fold(0usize, |sum, count| sum.checked_add(*count))?;
        let of_units = remarks.iter().all(|(unit, _)| *unit < counts.len());
        let fit = pixels.len() as u64 == bytes && images.checked_mul(elements) == Some(pixels.len()) && of_units;
        let levels = levels.unwrap_or(Levels::NONE);
        fit.then_some(Gathered { pixels, digest, levels, sizes, stretched, counts, remarks })
    }
}

impl Cache {
    /// Those of the cache folder `root`.
    pub(super) fn new(root: &Path) -> Cache {
        Cache { folder: root.join("decoded") }
    }

    /// The entry of a set that is made of these units; none where a file cannot be looked at.
    pub(super) fn entry<'a>(&'a self, units: &[Unit], way: Way, range: Range) -> Option<CacheEntry<'a>> {
        let mut hasher = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(&DECODERS.to_le_bytes());
        add(env!("CARGO_PKG_VERSION").as_bytes());
        add(format!("{:?} {} {range:?}", way.geometry, way.how).as_bytes());
        for unit in units {
            add(stamp(&unit.files)?.as_bytes());
        }
        Some(CacheEntry {
            cache: self,
            key: hex(&hasher.finalize()[..16]),
            units: units.len(),
            elements: way.geometry.elements(),
        })
    }

    /// The sets that are kept: when each was used last, its key, and its bytes; the oldest first.
    fn kept(&self) -> Vec<(SystemTime, String, u64)> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let one = |entry: fs::DirEntry| {
            let path = entry.path();
            let key = path.file_stem()?.to_str()?.to_string();
            let used = fs::metadata(self.folder.join(format!("{key}.json"))).and_then(|meta| meta.modified());
            let is_pixels = path.extension().is_some_and(|e| e == "pixels");
            is_pixels.then_some((used.unwrap_or(SystemTime::UNIX_EPOCH), key, entry.metadata().ok()?.len()))
        };
        let mut kept: Vec<_> = entries.filter_map(|entry| one(entry.ok()?)).collect();
        kept.sort();
        kept
    }

    fn remove(&self, key: &str) {
        // The notes go first: images without them are none.
        for file in [format!("{key}.json"), format!("{key}.pixels")] {
            let _ = fs::remove_file(self.folder.join(file));
        }
    }

    /// Removes what processes that were killed a day ago or more had begun to write.
    fn tidy(&self) {
        let is_old = |path: &Path| {
            let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
            path.extension().is_some_and(|e| e == "part" || e == "tmp")
                && modified.and_then(|then| then.elapsed().ok()).is_some_and(|age| age > DAY)
        };
        let entries = fs::read_dir(&self.folder).into_iter().flatten();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_old(path)) {
            let _ = fs::remove_file(path);
        }
    }

    /// Makes room for `needs` bytes more, with `free` bytes on the disk; the error is the room that
    /// there can be.
    fn make_room(&self, needs: u64, free: u64) -> Result<(), u64> {
        let kept = self.kept();
        let mut used: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
        let limit = (free + used) / 2;
        if needs > limit {
            return Err(limit);
        }
        for (_, key, bytes) in kept {
            if used + needs <= limit {
                break;
            }
            self.remove(&key);
            used -= bytes;
        }
        Ok(())
    }
}

/// Removes every decoded set from a cache folder; says how many there were, and their bytes.
///
/// # Errors
/// One that cannot be removed.
pub fn clean(root: &Path) -> Result<(usize, u64), Error> {
    let cache = Cache::new(root);
    let kept = cache.kept();
    match fs::remove_dir_all(&cache.folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &cache.folder)(e)),
        _ => Ok((kept.len(), kept.iter().map(|(_, _, bytes)| bytes).sum())),
    }
}

impl<'a> CacheEntry<'a> {
    fn pixels(&self) -> PathBuf {
        self.cache.folder.join(format!("{}.pixels", self.key))
    }

    fn notes(&self) -> PathBuf {
        self.cache.folder.join(format!("{}.json", self.key))
    }

    /// The set, if it is kept and whole.
    pub(super) fn load(&self) -> Option<Gathered> {
        let notes: Notes = serde_json::from_slice(&read_small(&self.notes()).ok()?).ok()?;
        if notes.counts.len() != self.units || stamp(&[self.pixels()])? != notes.stamp {
            return None;
        }
        let gathered = notes.with(map(&self.pixels())?, self.elements)?;
        // When it was used last decides what goes first; that this fails does no harm.
        let _ = File::options().append(true).open(self.notes()).and_then(|file| file.set_modified(SystemTime::now()));
        Some(gathered)
    }

    /// Begins to write the set, of `needs` bytes as far as is known; the error is the room that
    /// there is.
    pub(super) fn writer(self, needs: u64) -> Result<Writer<'a>, u64> {
        let folder = &self.cache.folder;
        let free = fs::create_dir_all(folder).and_then(|()| fs4::available_space(folder)).map_err(|_| 0u64)?;
        self.cache.make_room(needs, free)?;
        self.cache.tidy();
        let part = tempfile::Builder::new().prefix(&self.key).suffix(".part").tempfile_in(folder).map_err(|_| 0u64)?;
        Ok(Writer { file: BufWriter::with_capacity(1 << 20, part), bytes: 0, entry: self })
    }
}

/// A set that is being written. Dropped before it is whole, it leaves nothing.
pub(super) struct Writer<'a> {
    entry: CacheEntry<'a>,
    file: BufWriter<tempfile::NamedTempFile>,
    bytes: u64,
}

impl Writer<'_> {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::io("write", &self.entry.pixels()))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Brings all that was pushed to the disk.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().as_file().sync_all());
        flushed.map_err(Error::io("write", &self.entry.pixels()))
    }

    /// What was written, read back into memory, where the disk took no more than that; `None` where
    /// memory has no room for it either.
    pub(super) fn rescue(self) -> Option<Vec<u8>> {
        if self.bytes > crate::machine::memory_available() / 4 * 3 {
            return None;
        }
        let (part, rest) = self.file.into_parts();
        let mut all = Vec::new();
        all.try_reserve_exact(usize::try_from(self.bytes).ok()?).ok()?;
        File::open(part.path()).and_then(|mut file| file.read_to_end(&mut all)).ok()?;
        all.extend(rest.ok()?);
        // Of what was pushed last a part may be there.
        all.truncate(self.bytes as usize);
        (all.len() as u64 == self.bytes).then_some(all)
    }

    /// Keeps the set, which [`Writer::flush`] has brought to the disk, and returns it with the
    /// images that were written.
    pub(super) fn finish(self, gathered: Gathered) -> Result<Gathered, Error> {
        let (pixels, notes) = (self.entry.pixels(), self.entry.notes());
        let failed = |e: io::Error| Error::io("write", &pixels)(e);
        let part = self.file.into_inner().map_err(|e| failed(e.into_error()))?;
        // Where another process keeps the same set, and the system will not replace what it reads,
        // that one is as good.
        if let Err(error) = part.persist(&pixels)
            && fs::metadata(&pixels).map(|meta| meta.len()).ok() != Some(self.bytes)
        {
            return Err(failed(error.error));
        }
        let Gathered { digest, levels, sizes, stretched, counts, remarks, .. } = gathered;
        let kept = Notes {
            bytes: self.bytes,
            stamp: stamp(std::slice::from_ref(&pixels)).unwrap_or_default(),
            digest: digest.clone(),
            // No number of JSON is infinite.
            levels: Some(levels).filter(|levels| levels.low.is_finite()),
            sizes,
            stretched,
            counts: counts.clone(),
            remarks: remarks.clone(),
        };
        let text = serde_json::to_vec(&kept).map_err(|e| failed(e.into()))?;
        // Where the disk has no room for them the set is not kept, which does no harm.
        let _ = crate::files::replace(&notes, |file| file.write_all(&text));
        let pixels = map(&pixels).ok_or_else(|| failed(io::Error::other("it cannot be mapped into memory")))?;
        Ok(Gathered { pixels, digest, levels, sizes, stretched, counts, remarks })
    }
}

/// A file as bytes that the system reads when they are needed.
#[allow(unsafe_code, reason = "the file must not change")]
fn map(path: &Path) -> Option<Pixels> {
    let file = File::open(path).ok()?;
    if file.metadata().ok()?.len() == 0 {
        return Some(Vec::new().into());
    }
    // SAFETY: limn never changes a file of its cache that has this name: it is renamed to it when
    // it is whole, and removed as a whole, which leaves what is mapped as it is.
    let map = unsafe { memmap2::Mmap::map(&file) }.ok()?;
    // Training asks for images in no order.
    #[cfg(unix)]
    let _ = map.advise(memmap2::Advice::Random);
    Some(map.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Geometry;

    const WAY: Way = Way { name: "x", geometry: Geometry::new(1, 1, 2), how: "", each: Some(1) };

    fn units(folder: &Path, n: usize) -> Vec<Unit> {
        let path = |i: usize| folder.join(format!("{i}"));
        (0..n).for_each(|i| fs::write(path(i), [i as u8]).unwrap());
        (0..n).map(|i| path(i).into()).collect()
    }

    fn keep(entry: CacheEntry, pixels: &[u8]) -> Gathered {
        let mut writer = entry.writer(pixels.len() as u64).ok().unwrap();
        writer.push(pixels).unwrap();
        let parts = (vec![1; pixels.len() / 2], vec![(0, "why".to_string())]);
        let gathered = Gathered {
            pixels: Vec::new().into(),
            digest: "d".into(),
            levels: Levels { low: 0.0, high: 0.5 },
            sizes: None,
            stretched: false,
            counts: parts.0,
            remarks: parts.1,
        };
        writer.finish(gathered).unwrap()
    }

    #[test]
    fn a_set_is_kept_until_one_of_its_files_changes() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = Cache::new(dir.path());
        let units = units(files.path(), 3);
        assert!(cache.entry(&units, WAY, Range::Full).unwrap().load().is_none());
        assert_eq!(
            &keep(cache.entry(&units, WAY, Range::Full).unwrap(), &[1, 2, 3, 4, 5, 6]).pixels[..],
            [1, 2, 3, 4, 5, 6]
        );
        let found = cache.entry(&units, WAY, Range::Full).unwrap().load().unwrap();
        assert_eq!((&found.pixels[..], found.counts.len(), found.remarks.len()), (&[1u8, 2, 3, 4, 5, 6][..], 3, 1));
        for way in [Way { how: "other", ..WAY }, Way { geometry: Geometry::new(1, 2, 1), ..WAY }] {
            assert!(cache.entry(&units, way, Range::Full).unwrap().load().is_none());
        }
        assert!(cache.entry(&units[1..], WAY, Range::Full).unwrap().load().is_none());
        fs::write(&units[1].path, b"longer").unwrap();
        assert!(cache.entry(&units, WAY, Range::Full).unwrap().load().is_none());
        // Windows takes no file away that is mapped, and whoever reads it goes on.
        if cfg!(windows) {
            assert!(clean(dir.path()).is_err());
        }
        assert_eq!(found.pixels[..], [1, 2, 3, 4, 5, 6]);
        drop(found);
        assert_eq!(clean(dir.path()).unwrap(), (1, 6));
        assert_eq!(clean(dir.path()).unwrap(), (0, 0));
    }

    #[test]
    fn a_cut_file_is_no_set_and_a_dropped_writer_leaves_nothing() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = Cache::new(dir.path());
        let units = units(files.path(), 2);
        drop(cache.entry(&units, WAY, Range::Full).unwrap().writer(4).ok().unwrap());
        assert_eq!(fs::read_dir(dir.path().join("decoded")).unwrap().count(), 0);
        keep(cache.entry(&units, WAY, Range::Full).unwrap(), &[1, 2, 3, 4]);
        let pixels = cache.entry(&units, WAY, Range::Full).unwrap().pixels();
        fs::write(&pixels, [1, 2, 3]).unwrap();
        assert!(cache.entry(&units, WAY, Range::Full).unwrap().load().is_none());
    }

    #[test]
    fn what_is_mapped_stays_as_it_is_whatever_becomes_of_the_set() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = Cache::new(dir.path());
        let units = units(files.path(), 2);
        let mapped = keep(cache.entry(&units, WAY, Range::Full).unwrap(), &[1, 2, 3, 4]);
        let loaded = cache.entry(&units, WAY, Range::Full).unwrap().load().unwrap();
        keep(cache.entry(&units, WAY, Range::Full).unwrap(), &[5, 6, 7, 8]);
        let other = cache.entry(&units, WAY, Range::Full).unwrap().load().unwrap();
        if cfg!(unix) {
            clean(dir.path()).unwrap();
        }
        assert_eq!((&mapped.pixels[..], &loaded.pixels[..]), (&[1, 2, 3, 4][..], &[1, 2, 3, 4][..]));
        // Windows replaces no file that is mapped: of the same files, the set that is there is as good.
        assert_eq!(other.pixels[..], if cfg!(windows) { [1, 2, 3, 4] } else { [5, 6, 7, 8] });
    }

    #[test]
    fn notes_that_are_not_of_the_images_are_no_set() {
        let with = |change: fn(&mut Notes)| {
            let mut notes = Notes {
                bytes: 8,
                stamp: String::new(),
                digest: String::new(),
                levels: None,
                sizes: None,
                stretched: false,
                counts: vec![1, 3],
                remarks: vec![(1, "why".into())],
            };
            change(&mut notes);
            notes.with(vec![0; 8].into(), 2).is_some()
        };
        assert!(with(|_| ()));
        assert!(!with(|notes| notes.bytes = 9));
        assert!(!with(|notes| notes.counts = vec![1, 4]));
        assert!(!with(|notes| notes.counts = vec![usize::MAX, 5]));
        assert!(!with(|notes| notes.counts = vec![1 << 63, 1 << 62]));
        assert!(!with(|notes| notes.remarks[0].0 = 2));
    }

    #[test]
    fn images_that_were_changed_are_no_set() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = Cache::new(dir.path());
        let units = units(files.path(), 2);
        keep(cache.entry(&units, WAY, Range::Full).unwrap(), &[1, 2, 3, 4]);
        let entry = cache.entry(&units, WAY, Range::Full).unwrap();
        assert!(entry.load().is_some());
        // As many bytes as before, at another time.
        let then = SystemTime::now() + Duration::from_secs(1);
        fs::write(entry.pixels(), [1, 2, 3, 5]).unwrap();
        File::options().append(true).open(entry.pixels()).unwrap().set_modified(then).unwrap();
        assert!(entry.load().is_none());
    }

    #[test]
    fn what_a_full_disk_took_is_read_back() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = Cache::new(dir.path());
        let units = units(files.path(), 2);
        let mut writer = cache.entry(&units, WAY, Range::Full).unwrap().writer(0).ok().unwrap();
        let all: Vec<u8> = (0..3_000_000).map(|i| (i % 251) as u8).collect();
        for piece in all.chunks(700_001) {
            writer.push(piece).unwrap();
        }
        assert!(writer.rescue().is_some_and(|read| read == all));
        assert_eq!(fs::read_dir(dir.path().join("decoded")).unwrap().count(), 0);
    }

    #[test]
    fn the_sets_not_used_for_longest_make_room() {
        let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = Cache::new(dir.path());
        let units = units(files.path(), 3);
        for (age, units) in units.chunks(1).enumerate() {
            let entry = cache.entry(units, WAY, Range::Full).unwrap();
            let notes = entry.notes();
            keep(entry, &[0; 100]);
            let when = SystemTime::now() - Duration::from_secs(1000 - 100 * age as u64);
            File::options().append(true).open(notes).unwrap().set_modified(when).unwrap();
        }
        // Half of 300 kept and 300 free.
        assert_eq!(cache.make_room(301, 300), Err(300));
        assert_eq!(cache.make_room(150, 300), Ok(()));
        let left: Vec<bool> =
            units.chunks(1).map(|u| cache.entry(u, WAY, Range::Full).unwrap().pixels().exists()).collect();
        assert_eq!(left, [false, false, true]);
    }
}
