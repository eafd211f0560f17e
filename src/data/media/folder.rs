//! A folder of pictures.

use std::path::{Path, PathBuf};

use super::arrange::arrange;
use super::files::FromFiles;
use super::gather::{Decoded, Unit, Way, gather};
use super::labels::Table;
use super::pictures::{self, Picture, read_picture, seen};
use super::walk::{self, Found};
use super::{Error, Geometry, Look, Opened, Options, Sizes, spread};
use rayon::prelude::*;

/// Reads all images of `folder`, at any depth, in the order of their paths. Folders that are named
/// so are splits and classes: see [`arrange`]. Those that cannot be read are left out and named in
/// the warnings.
pub(in crate::data) fn load(folder: &Path, wanted: Option<Geometry>, options: &Options) -> Result<Opened, Error> {
    let Found { files, mut left_out } = walk::find(folder, pictures::EXTENSIONS)?;
    if files.is_empty() {
        return Err(Error::NoImages { folder: folder.into(), rest: left_out.instead() });
    }
    let table = Table::beside(folder)?;
    if let Some(table) = &table
        && table.path.parent() == Some(folder)
    {
        left_out.uncount(".csv file");
    }
    let arranged = arrange(folder, files, table.as_ref(), &mut left_out);
    let none = |first: String| {
        let (folder, count) = (folder.into(), arranged.files.len());
        Error::AllUnreadable { folder, count, first }
    };
    let (geometry, native) = first_readable(&arranged.files, wanted, options)?.map_err(none)?;
    let name = folder.display().to_string();
    let units: Vec<Unit> = arranged.files.iter().cloned().map(Unit::from).collect();
    let way = Way { name: &name, geometry, how: "pictures", each: Some(1) };
    let gathered = gather(&units, way, options, |path, stretch| {
        let picture = read_picture(path, Some(geometry), stretch, options.flag())?;
        let Picture { bytes, levels, native, transparent, .. } = picture;
        let sizes = Sizes { transparent: usize::from(transparent), ..Sizes::of(native, geometry) };
        Ok(Decoded { images: bytes, levels, sizes: Some(sizes), remark: None })
    })?;
    let set = FromFiles { folder, geometry, native, arranged, gathered, left_out, noun: "picture" };
    set.opened()
}

/// The pictures in `folder`, at any depth, in the order of their paths, and in words what else there
/// is.
///
/// # Errors
/// [`Error::NoImages`] where there is none, [`Error::Io`].
pub fn picture_files(folder: &Path) -> Result<(Vec<PathBuf>, Option<String>), Error> {
    let Found { files, left_out } = walk::find(folder, pictures::EXTENSIONS)?;
    match files.is_empty() {
        true => Err(Error::NoImages { folder: folder.into(), rest: left_out.instead() }),
        false => Ok((files, left_out.words())),
    }
}

/// How many pictures are looked at before all are read.
const LOOKED_AT: usize = 16;

/// Looks at a few of the pictures; those that cannot be read are passed over.
pub(in crate::data) fn look(folder: &Path, options: &Options) -> Result<Look, Error> {
    let Found { files, .. } = walk::find(folder, pictures::EXTENSIONS)?;
    let seen: Vec<_> = spread(LOOKED_AT, files.len()).par_iter().map(|i| seen(&files[*i], options.flag())).collect();
    let seen = seen.into_iter().filter(|seen| seen.as_ref().map_or_else(Error::ends_reading, |_| true));
    Ok(Look { count: files.len(), seen: seen.collect::<Result<_, Error>>()? })
}

/// The geometry to bring all images to, and that of the first image that can be read, or why none
/// can.
fn first_readable(
    paths: &[PathBuf],
    wanted: Option<Geometry>,
    options: &Options,
) -> Result<Result<(Geometry, Geometry), String>, Error> {
    let mut first = None;
    for path in paths {
        match read_picture(path, wanted, None, options.flag()) {
            Ok(picture) => return Ok(Ok((picture.geometry, picture.native))),
            Err(e) if e.ends_reading() => return Err(e),
            Err(e) => _ = first.get_or_insert(e.to_string()),
        }
    }
    Ok(Err(first.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    const SMALL: Geometry = Geometry::new(1, 4, 4);

    fn grey(path: &Path, value: u8) {
        GrayImage::from_pixel(9, 6, Luma([value])).save(path).unwrap();
    }

    fn firsts(split: &Split) -> Vec<u8> {
        (0..split.len()).map(|i| split.image(i)[0]).collect()
    }

    #[test]
    fn reads_formats_sorted_at_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("b/deep")).unwrap();
        grey(&dir.path().join("b/deep/x.png"), 20);
        grey(&dir.path().join("a.PNG"), 10);
        RgbImage::from_pixel(8, 8, Rgb([30, 30, 30])).save(dir.path().join("c.webp")).unwrap();
        RgbImage::from_pixel(8, 8, Rgb([40, 40, 40])).save(dir.path().join("d.jpg")).unwrap();
        std::fs::write(dir.path().join("._a.png"), b"not an image").unwrap();
        std::fs::write(dir.path().join("notes.txt"), b"hello").unwrap();
        let set = load(dir.path(), Some(SMALL), &Options::default()).unwrap();
        assert_eq!(set.warnings[0], "4 pictures in 2 folders; left out: 1 .txt file, 1 hidden file");
        assert_eq!((firsts(&set.train), firsts(&set.test.unwrap())), (vec![10, 20, 30], vec![40]));
        assert_eq!(set.native, Geometry::new(1, 6, 9));
        assert_eq!(load(dir.path(), None, &Options::default()).unwrap().train.geometry, Geometry::new(1, 6, 9));
    }

    #[test]
    fn a_bad_image_is_skipped_named_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..12 {
            grey(&dir.path().join(format!("{i:02}.png")), i);
        }
        let good = std::fs::read(dir.path().join("03.png")).unwrap();
        std::fs::write(dir.path().join("03.png"), &good[..good.len() / 2]).unwrap();
        std::fs::write(dir.path().join("07.jpg"), b"").unwrap();
        let set = load(dir.path(), Some(SMALL), &Options::default()).unwrap();
        assert_eq!(firsts(&set.train), [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(firsts(&set.test.unwrap()), [11]);
        assert!(set.warnings[0].contains("skipped 2 of 13 pictures"));
        assert!(set.warnings[1].contains("03.png"), "{:?}", set.warnings);
        assert!(set.warnings[2].contains("07.jpg"), "{:?}", set.warnings);
        assert!(set.warnings[3].contains("11 pictures in 1 folder; nothing else left out"), "{:?}", set.warnings);
        // One is told of in a line.
        std::fs::remove_file(dir.path().join("07.jpg")).unwrap();
        let warnings = load(dir.path(), Some(SMALL), &Options::default()).unwrap().warnings;
        assert!(warnings[0].contains("skipped 1 of 12 pictures: ") && warnings[0].contains("03.png"), "{warnings:?}");
        assert_eq!(warnings.iter().filter(|line| line.contains("03.png") || line.contains("skipped")).count(), 1);
        assert_eq!(warnings[1], "11 pictures in 1 folder; nothing else left out");
    }

    #[test]
    fn folders_of_nothing_readable_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let e = load(dir.path(), None, &Options::default()).err().unwrap();
        assert!(matches!(e, Error::NoImages { .. }));
        assert!(e.to_string().contains(&dir.path().display().to_string()));
        std::fs::write(dir.path().join("x.avif"), b"nonsense").unwrap();
        let e = load(dir.path(), None, &Options::default()).err().unwrap().to_string();
        assert!(e.contains("holds no images, only 1 .avif file; limn looks for"), "{e}");
        std::fs::write(dir.path().join("a.png"), b"nonsense").unwrap();
        std::fs::write(dir.path().join("b.webp"), b"RIFF1234WEBP").unwrap();
        let e = load(dir.path(), Some(SMALL), &Options::default()).err().unwrap();
        assert!(matches!(e, Error::AllUnreadable { count: 2, .. }));
        assert!(e.to_string().contains("a.png"), "{e}");
    }

    #[test]
    fn splits_and_classes_of_folders_and_of_a_table() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, value: u8| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            grey(&path, value);
        };
        let open = || load(dir.path(), Some(SMALL), &Options::default()).unwrap();
        for (name, value) in [("train/cat/1.png", 1), ("train/dog/2.png", 2), ("train/dog/3.png", 3)] {
            put(name, value);
        }
        put("test/dog/4.png", 4);
        put("val/cat/5.png", 5);
        let set = open();
        let test = set.test.unwrap();
        assert_eq!((firsts(&set.train), firsts(&test)), (vec![1, 2, 3], vec![4]));
        assert_eq!((set.train.labels.unwrap(), test.labels.unwrap()), (vec![0, 1, 1], vec![1]));
        assert_eq!(set.classes, ["cat", "dog"]);
        assert!(set.warnings[0].contains("1 validation file"), "{:?}", set.warnings);
        assert!(set.warnings[1].contains("cat (1 + 0), dog (2 + 1)"), "{:?}", set.warnings);
        // A bad picture does not shift what the others are.
        std::fs::write(dir.path().join("train/dog/2.png"), b"bad").unwrap();
        assert_eq!(open().train.labels.unwrap(), [0, 1]);
        std::fs::write(dir.path().join("labels.csv"), "name,label\n1.png,b\n3.png,a\n4.png,b\n9.png,b\n").unwrap();
        let set = open();
        assert_eq!((set.classes.len(), firsts(&set.train), set.train.labels.unwrap()), (2, vec![1, 3], vec![1, 0]));
        assert!(set.warnings.iter().any(|w| w.contains("1 of the 4 rows")), "{:?}", set.warnings);
    }

    #[test]
    fn a_kept_set_is_the_decoded_one() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for i in 0..30 {
            grey(&dir.path().join(format!("{i:02}.png")), i);
        }
        std::fs::write(dir.path().join("07.png"), b"bad").unwrap();
        let spec = dir.path().to_str().unwrap();
        let decoded = std::sync::atomic::AtomicUsize::new(0);
        let progress = |done: usize, _: usize| decoded.store(done, std::sync::atomic::Ordering::Relaxed);
        let options = Options { cache: Some(cache.path().into()), progress: Some(&progress), ..Options::default() };
        let open = |options: &Options| crate::data::open(spec, Some(SMALL), options).unwrap();
        let (plain, first) = (open(&Options::default()), open(&options));
        assert_eq!(decoded.swap(0, std::sync::atomic::Ordering::Relaxed), 30);
        let second = open(&options);
        assert_eq!(decoded.load(std::sync::atomic::Ordering::Relaxed), 0, "nothing is decoded again");
        for set in [&first, &second] {
            assert_eq!((&set.identity, &set.warnings), (&plain.identity, &plain.warnings));
            assert_eq!((firsts(&set.train), firsts(&set.test)), (firsts(&plain.train), firsts(&plain.test)));
        }
        // Another picture makes another set.
        grey(&dir.path().join("99.png"), 99);
        assert!(plain.identity.difference(&open(&options).identity).unwrap().contains("27 images to train on"));
        let stop = std::sync::atomic::AtomicBool::new(true);
        let stopped = crate::data::open(spec, Some(SMALL), &Options { stop: Some(&stop), ..Options::default() });
        assert!(matches!(stopped, Err(Error::Stopped { .. })));
    }
}
