//! A folder of PNG, JPEG and WebP images.

use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use rayon::prelude::*;

use super::{Error, Geometry, Source, geometry};

/// Unreadable images that are named one by one; the others are only counted.
const NAMED: usize = 20;
/// Extensions of the files that are read.
pub(super) const PICTURES: &[&str] = &["png", "jpg", "jpeg", "webp"];
/// Bytes one decoded image may take. A small file can claim to be a huge picture, and several are
/// decoded at once.
const MAX_DECODED: u64 = 256 << 20;

/// Decodes one image file and brings it to `wanted` (`None`: its own size, grey or RGB).
/// Returns its planar bytes, the geometry they have, and the geometry of the file.
///
/// # Errors
/// [`Error::BadImage`], [`Error::Io`], [`Error::BadGeometry`].
pub fn read_image(path: &Path, wanted: Option<Geometry>) -> Result<(Vec<u8>, Geometry, Geometry), Error> {
    let image = decode(path)?;
    let channels = if image.color().has_color() { 3 } else { 1 };
    let native = Geometry::new(channels, image.height() as usize, image.width() as usize);
    let wanted = wanted.unwrap_or(native).check()?;
    Ok((geometry::fit(image, wanted), wanted, native))
}

fn decode(path: &Path) -> Result<DynamicImage, Error> {
    let bad = |e: image::ImageError| Error::BadImage { path: path.into(), why: e.to_string() };
    let mut reader =
        ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(Error::io("read", path))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(32768);
    limits.max_image_height = Some(32768);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(bad)?;
    // Phones store photographs lying down, with a note which side is up.
    let orientation = decoder.orientation().map_err(bad)?;
    if decoder.total_bytes() > MAX_DECODED {
        let (w, h) = decoder.dimensions();
        let why = format!("{w}x{h} pixels are more than limn decodes");
        return Err(Error::BadImage { path: path.into(), why });
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(bad)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Reads all images of `folder` and of its direct sub-folders, in the order of their names.
/// Those that cannot be read are left out and named in the warnings.
pub(super) fn load(folder: &Path, wanted: Option<Geometry>) -> Result<Source, Error> {
    let paths = find(folder, PICTURES)?;
    if paths.is_empty() {
        return Err(Error::NoImages { folder: folder.into() });
    }
    let none = |first: String| {
        let (folder, count) = (folder.into(), paths.len());
        Error::AllUnreadable { folder, count, first }
    };
    let (geometry, native) = first_readable(&paths, wanted).map_err(none)?;
    let elements = geometry.elements();
    let name = || folder.display().to_string();
    let mut bytes = super::reserve(paths.len(), geometry, name)?;
    bytes.resize(paths.len() * elements, 0);
    let results: Vec<Result<(), Error>> = bytes
        .par_chunks_mut(elements)
        .zip(&paths)
        .map(|(to, path)| {
            to.copy_from_slice(&read_image(path, Some(geometry))?.0);
            Ok(())
        })
        .collect();
    let good: Vec<usize> = (0..paths.len()).filter(|&i| results[i].is_ok()).collect();
    if good.len() < 2 {
        return Err(Error::TooFew { name: name() });
    }
    let (train, test) = spread(&good);
    let mut source = Source::new(geometry);
    source.native = native;
    let test = test.iter().flat_map(|&i| &bytes[i * elements..(i + 1) * elements]);
    source.test = Some((test.copied().collect(), None));
    // In place, as `train` rises: the bytes of a large folder are not held twice.
    for (to, &from) in train.iter().enumerate() {
        bytes.copy_within(from * elements..(from + 1) * elements, to * elements);
    }
    bytes.truncate(train.len() * elements);
    source.train = (bytes, None);
    source.warnings = warnings(folder, paths.len(), results);
    Ok(source)
}

/// The geometry to bring all images to, and that of the first image that can be read.
fn first_readable(paths: &[PathBuf], wanted: Option<Geometry>) -> Result<(Geometry, Geometry), String> {
    let mut first = None;
    for path in paths {
        match read_image(path, wanted) {
            Ok((_, geometry, native)) => return Ok((geometry, native)),
            Err(e) => _ = first.get_or_insert(e.to_string()),
        }
    }
    Err(first.unwrap_or_default())
}

/// Splits the readable images into training and test. A tenth (at most 1000) is held out, taken
/// evenly from all of them: the last files of a folder sorted by name are often all of one class.
pub(super) fn spread(good: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (n, held) = (good.len(), super::held_out(good.len()));
    // Image k is held out where floor(k * held / n) steps up.
    let (test, train): (Vec<_>, Vec<_>) = (0..n).partition(|k| (k + 1) * held / n > k * held / n);
    let pick = |ks: Vec<usize>| ks.into_iter().map(|k| good[k]).collect();
    (pick(train), pick(test))
}

fn warnings(folder: &Path, tried: usize, results: Vec<Result<(), Error>>) -> Vec<String> {
    let bad: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
    if bad.is_empty() {
        return Vec::new();
    }
    let head = format!("skipped {} of {tried} images in {}", bad.len(), folder.display());
    let rest = bad.len().saturating_sub(NAMED);
    std::iter::once(head)
        .chain(bad.iter().take(NAMED).map(|e| format!("skipped: {e}")))
        .chain((rest > 0).then(|| format!("skipped: and {rest} more")))
        .collect()
}

/// The files with one of these extensions in a folder and in its direct sub-folders, in the order of their paths.
pub(super) fn find(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Error> {
    let fits = |path: &PathBuf| {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        extensions.iter().any(|e| extension.eq_ignore_ascii_case(e)) && path.is_file()
    };
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            found.extend(entries(&path)?.into_iter().filter(fits));
        } else if fits(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What a folder holds, without hidden names: macOS leaves a `._x.png` that is no image.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Whether a file begins like one of the image formats limn reads.
pub(super) fn looks_like_image(start: &[u8]) -> bool {
    start.starts_with(b"\x89PNG")
        || start.starts_with(b"\xff\xd8\xff")
        || (start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    const SMALL: Geometry = Geometry::new(1, 4, 4);

    fn grey(path: &Path, value: u8) {
        GrayImage::from_pixel(9, 6, Luma([value])).save(path).unwrap();
    }

    #[test]
    fn reads_three_formats_sorted_with_subfolders() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        grey(&dir.path().join("b/x.png"), 20);
        grey(&dir.path().join("a.PNG"), 10);
        RgbImage::from_pixel(8, 8, Rgb([30, 30, 30])).save(dir.path().join("c.webp")).unwrap();
        RgbImage::from_pixel(8, 8, Rgb([40, 40, 40])).save(dir.path().join("d.jpg")).unwrap();
        std::fs::write(dir.path().join("._a.png"), b"not an image").unwrap();
        std::fs::write(dir.path().join("notes.txt"), b"hello").unwrap();
        let source = load(dir.path(), Some(SMALL)).unwrap();
        assert!(source.warnings.is_empty(), "{:?}", source.warnings);
        let values: Vec<u8> = source.train.0.chunks(16).map(|i| i[0]).collect();
        assert_eq!(values, [10, 20, 30]);
        assert_eq!(source.test, Some((vec![40; 16], None)));
        assert_eq!(source.native, Geometry::new(1, 6, 9));
        assert_eq!(load(dir.path(), None).unwrap().geometry, Geometry::new(1, 6, 9));
    }

    #[test]
    fn a_bad_image_is_skipped_and_named() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..12 {
            grey(&dir.path().join(format!("{i:02}.png")), i);
        }
        let good = std::fs::read(dir.path().join("03.png")).unwrap();
        std::fs::write(dir.path().join("03.png"), &good[..good.len() / 2]).unwrap();
        std::fs::write(dir.path().join("07.jpg"), b"").unwrap();
        let source = load(dir.path(), Some(SMALL)).unwrap();
        assert_eq!(source.train.0.len(), 10 * 16);
        assert_eq!(source.test.unwrap().0, vec![11; 16]);
        let kept: Vec<u8> = source.train.0.chunks(16).map(|i| i[0]).collect();
        assert_eq!(kept, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]);
        assert!(source.warnings[0].contains("skipped 2 of 13 images"));
        assert!(source.warnings[1].contains("03.png"), "{:?}", source.warnings);
        assert!(source.warnings[2].contains("07.jpg"), "{:?}", source.warnings);
    }

    #[test]
    fn folders_of_nothing_readable_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let e = load(dir.path(), None).err().unwrap();
        assert!(matches!(e, Error::NoImages { .. }));
        assert!(e.to_string().contains(&dir.path().display().to_string()));
        std::fs::write(dir.path().join("a.png"), b"nonsense").unwrap();
        std::fs::write(dir.path().join("b.webp"), b"RIFF1234WEBP").unwrap();
        let e = load(dir.path(), Some(SMALL)).err().unwrap();
        assert!(matches!(e, Error::AllUnreadable { count: 2, .. }));
        assert!(e.to_string().contains("a.png"), "{e}");
    }

    #[test]
    fn any_bytes_decode_or_fail_without_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.png");
        for extension in ["png", "jpg", "webp"] {
            let whole = dir.path().join(format!("whole.{extension}"));
            RgbImage::from_fn(13, 7, |x, y| Rgb([x as u8 * 9, y as u8 * 30, 5])).save(&whole).unwrap();
            let bytes = std::fs::read(whole).unwrap();
            for i in 0..bytes.len() {
                let mut broken = bytes.clone();
                broken[i] ^= 0xff;
                std::fs::write(&path, &broken).unwrap();
                let _ = read_image(&path, Some(SMALL));
            }
        }
    }

    #[test]
    fn held_out_images_are_spread_evenly() {
        let (train, test) = spread(&(100..140).collect::<Vec<_>>());
        assert_eq!(test, [109, 119, 129, 139]);
        assert_eq!(train.len(), 36);
        assert_eq!(spread(&[4, 9]), (vec![4], vec![9]));
    }
}
