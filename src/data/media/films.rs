//! A folder of films: animated GIFs, or folders of numbered frames.

use super::gather::{Decoded, Unit, Way};
use super::reading::Reading;
use super::walk::{self, Found};
use super::{
    Error, Geometry, Levels, Opened, Options, clips, geometry,
    medium::{frame, stacked},
    pictures,
    pictures::read_picture,
    values,
};
use image::{AnimationDecoder, DynamicImage, ImageDecoder, Limits, codecs::gif::GifDecoder};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Frames of one GIF, at most.
const MOST: usize = 10_000;

/// Pixels of all frames of one GIF, at most: a thousand frames of two screens. A frame of a few bytes can be a change of
/// any canvas, and all of it is looked at; so that a file of any length is read in a minute;
/// where a fuzzer watches, in seconds.
const MOST_PIXELS: u64 = if cfg!(fuzzing) { 8_000_000 } else { 4_000_000_000 };

/// The byte that ends a GIF.
const TRAILER: u8 = 0x3b;

/// Bytes that decoding one frame may take.
const MAX_DECODED: u64 = 256 << 20;

/// Cuts every film of `folder` into clips of `frames` frames, one below the other. A film is an
/// animated GIF in it or in a direct sub-folder, or a sub-folder of pictures, or the folder itself
/// where it has pictures; these are put in order by their names, numbers in them by their values,
/// so that 10 comes after 9. What is left of a film is left out.
pub(in crate::data) fn load(
    folder: &Path,
    wanted: Geometry,
    frames: usize,
    options: &Options,
) -> Result<Opened, Error> {
    let Found { files, left_out } = walk::find(folder, pictures::EXTENSIONS)?;
    let is_gif = |file: &PathBuf| file.extension().is_some_and(|e| e.eq_ignore_ascii_case("gif"));
    let (gifs, stills): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(is_gif);
    let mut films: Vec<Unit> = gifs.into_iter().map(Unit::from).collect();
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in stills {
        let of = file.parent().unwrap_or(folder).to_path_buf();
        folders.entry(of).or_default().push(file);
    }
    films.extend(folders.iter().map(|(path, files)| Unit { path: path.clone(), files: files.clone() }));
    films.sort_by(|a, b| a.path.cmp(&b.path));
    if films.is_empty() {
        let looked_for = "animated .gif files, and folders of frames (.png, .jpg and the like)";
        let (folder, rest) = (folder.into(), left_out.instead());
        return Err(Error::NoFiles { folder, rest, what: "films", looked_for });
    }
    let one = frame(wanted, frames);
    let (name, how) = (folder.display().to_string(), format!("films of {frames}"));
    let way = Way { name: &name, geometry: wanted, how: &how, each: None };
    clips::load(folder, films, left_out, ("film", way), options, |path, stretch| {
        let (all, remark) = match folders.get(path) {
            Some(frames) => (numbered(frames, one, stretch, options)?, None),
            None => gif(path, one, stretch, options)?,
        };
        let levels = all.iter().map(|(_, levels)| *levels).fold(Levels::NONE, Levels::join);
        let all: Vec<Vec<u8>> = all.into_iter().map(|(bytes, _)| bytes).collect();
        let images = all.chunks_exact(frames).flat_map(|clip| stacked(clip, one)).collect();
        Ok(Decoded { images, levels, sizes: None, remark })
    })
}

/// A frame in the wanted size, and the values it had.
pub(super) type Fitted = (Vec<u8>, Levels);

/// The frames of a GIF, and what is to be said of it: one without its trailer may be whole or cut
/// between two frames.
pub(super) fn gif(
    path: &Path,
    frame: Geometry,
    stretch: Option<Levels>,
    options: &Options,
) -> Result<(Vec<Fitted>, Option<String>), Error> {
    let reading = Reading::new(path, options.flag());
    let mut bytes = reading.bytes()?;
    let bad = |e: image::ImageError| reading.damaged(format!("it is no readable GIF: {e}"));
    let Outline { width, height, frames, has_trailer } =
        outline(&bytes).ok_or_else(|| reading.damaged("it is no readable GIF, or is cut short"))?;
    let work = u64::from(width) * u64::from(height) * frames as u64;
    if work == 0 {
        return Err(reading.damaged(format!("{frames} frames of {width}x{height} are no film")));
    }
    if frames > MOST || work > MOST_PIXELS {
        return Err(reading.damaged(format!("{frames} frames of {width}x{height} are more than limn decodes")));
    }
    let remark = (!has_trailer).then(|| {
        bytes.push(TRAILER);
        format!("{} ends without the trailer of a GIF, as if it were cut: {frames} frames of it", path.display())
    });
    let mut decoder = GifDecoder::new(Cursor::new(&bytes)).map_err(bad)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    decoder.set_limits(limits).map_err(bad)?;
    let fitted = |f: image::ImageResult<image::Frame>| {
        reading.go_on()?;
        let image = DynamicImage::ImageRgba8(f.map_err(bad)?.into_buffer());
        let found = values::of_image(&image).unwrap_or(Levels::NONE);
        let image = match stretch {
            Some(levels) => values::stretched(image, levels),
            None => image,
        };
        Ok((geometry::fit(image, frame), found))
    };
    let fitted: Result<Vec<Fitted>, Error> = decoder.into_frames().map(fitted).collect();
    Ok((fitted?, remark))
}

/// What the blocks of a GIF say before any is decoded.
#[derive(Debug, PartialEq)]
struct Outline {
    width: u16,
    height: u16,
    frames: usize,
    has_trailer: bool,
}

/// Goes through the blocks of a GIF (GIF89a, CompuServe 1990); `None` where one is cut.
fn outline(bytes: &[u8]) -> Option<Outline> {
    let word = |at: usize| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let sub_blocks = |mut at: usize| loop {
        match bytes.get(at)? {
            0 => return Some(at + 1),
            len => at += 1 + usize::from(*len),
        }
    };
    let (width, height) = (word(6)?, word(8)?);
    let (mut at, mut frames) = (13 + table(*bytes.get(10)?), 0);
    while let Some(block) = bytes.get(at).filter(|block| **block != TRAILER) {
        match block {
            0x21 => at = sub_blocks(at + 2)?,
            0x2c => {
                at = sub_blocks(at + 11 + table(*bytes.get(at + 9)?))?;
                frames += 1;
            }
            _ => return None,
        }
    }
    let is_whole = at <= bytes.len() && bytes.starts_with(b"GIF8");
    is_whole.then_some(Outline { width, height, frames, has_trailer: at < bytes.len() })
}

/// The pictures of a folder, in the order of their names and the numbers in these.
fn numbered(
    frames: &[PathBuf],
    frame: Geometry,
    stretch: Option<Levels>,
    options: &Options,
) -> Result<Vec<Fitted>, Error> {
    let mut frames: Vec<&PathBuf> = frames.iter().collect();
    let names = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    frames.sort_by(|a, b| in_words(&names(a)).cmp(&in_words(&names(b))).then_with(|| a.cmp(b)));
    let read = |path: &&PathBuf| {
        read_picture(path, Some(frame), stretch, options.flag()).map(|picture| (picture.bytes, picture.levels))
    };
    frames.iter().map(read).collect()
}

/// A name as what stands before each number in it, the number's digits without zeros before them,
/// shorter ones first, and with them.
fn in_words(name: &str) -> Vec<(&str, usize, &str, usize)> {
    let mut words = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (text, behind) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (digits, behind) = behind.split_at(behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len()));
        let number = digits.trim_start_matches('0');
        words.push((text, number.len(), number, digits.len()));
        rest = behind;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, GrayImage, Luma, Rgba, RgbaImage};
    use std::fs::File;

    const FILM: Geometry = Geometry::new(1, 3 * 4, 4);

    fn write_gif(path: &Path, levels: &[u8]) {
        let mut encoder = GifEncoder::new(File::create(path).unwrap());
        for level in levels {
            let picture = RgbaImage::from_pixel(8, 8, Rgba([*level, *level, *level, 255]));
            encoder.encode_frame(Frame::from_parts(picture, 0, 0, Delay::from_numer_denom_ms(50, 1))).unwrap();
        }
    }

    #[test]
    fn gifs_and_numbered_frames_become_clips() {
        let dir = tempfile::tempdir().unwrap();
        write_gif(&dir.path().join("a.gif"), &[0, 100, 200, 10, 110, 210, 20]);
        let frames = dir.path().join("b");
        std::fs::create_dir(&frames).unwrap();
        for i in 8..12u8 {
            GrayImage::from_pixel(8, 8, Luma([i * 10])).save(frames.join(format!("f{i}.png"))).unwrap();
        }
        write_gif(&dir.path().join("short.gif"), &[1, 2]);
        let source = load(dir.path(), FILM, 3, &Options::default()).unwrap();
        let frames_of = |split: &Split, i: usize| split.image(i).chunks(16).map(|f| f[0]).collect::<Vec<u8>>();
        let firsts = |split: &Split| -> Vec<u8> { (0..split.len()).flat_map(|i| frames_of(split, i)).collect() };
        assert_eq!(firsts(&source.train), [0, 100, 200, 10, 110, 210]);
        assert_eq!(firsts(&source.test.unwrap()), [80, 90, 100]);
        assert!(source.warnings[0].contains("1 of 3 films") && source.warnings[0].contains("short.gif"));
        let one = load(&frames, Geometry::new(1, 2 * 4, 4), 2, &Options::default()).unwrap();
        assert_eq!((firsts(&one.train), firsts(&one.test.unwrap())), (vec![80, 90], vec![100, 110]));
    }

    #[test]
    fn frames_are_in_the_order_of_their_numbers() {
        let mut names = ["b1", "a10", "a9", "b12", "a1", "b2", "a", "x2y10", "x2y9", "x10y1", "007", "7", "08", ""];
        names.sort_by(|a, b| in_words(a).cmp(&in_words(b)));
        assert_eq!(names, ["", "7", "007", "08", "a", "a1", "a9", "a10", "b1", "b2", "b12", "x2y9", "x2y10", "x10y1"]);
        let huge = ["f99999999999999999999999", "f100000000000000000000000"];
        assert!(in_words(huge[0]) < in_words(huge[1]));
    }

    #[test]
    fn a_test_film_is_no_training_film() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: String, level: u8| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            GrayImage::from_pixel(4, 4, Luma([level])).save(path).unwrap();
        };
        // In the order of their paths the folder's own frames lie on both sides of a sub-folder's.
        for i in 0..3 {
            put(format!("a{i}.png"), i);
            put(format!("b/{i}.png"), 100 + i);
            put(format!("c{i}.png"), 50 + i);
        }
        let source = load(dir.path(), FILM, 3, &Options::default()).unwrap();
        let frames_of = |split: &Split, i: usize| split.image(i).chunks(16).map(|f| f[0]).collect::<Vec<u8>>();
        let firsts = |split: &Split| -> Vec<u8> { (0..split.len()).flat_map(|i| frames_of(split, i)).collect() };
        let (train, test) = (firsts(&source.train), firsts(&source.test.unwrap()));
        assert_eq!((train, test), (vec![0, 1, 2, 50, 51, 52], vec![100, 101, 102]));
    }

    #[test]
    fn a_gif_that_is_cut_anywhere_or_promises_too_much_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.gif");
        write_gif(&path, &[0, 50, 100, 150]);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(outline(&whole), Some(Outline { width: 8, height: 8, frames: 4, has_trailer: true }));
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            gif(&path, Geometry::new(1, 4, 4), None, &Options::default())
        };
        let (all, remark) = read(&whole).unwrap();
        assert_eq!((all.len(), remark), (4, None));
        let mut between_frames = Vec::new();
        for len in 0..whole.len() {
            match read(&whole[..len]) {
                Err(error) => assert!(error.to_string().contains("x.gif"), "{len}"),
                Ok((frames, remark)) => {
                    assert!(remark.is_some_and(|remark| remark.contains("x.gif")), "{len}");
                    let pixels = |frames: &[Fitted]| frames.iter().map(|(bytes, _)| bytes.clone()).collect::<Vec<_>>();
                    assert_eq!(pixels(&frames), pixels(&all[..frames.len()]), "{len}");
                    between_frames.push(frames.len());
                }
            }
        }
        between_frames.dedup();
        assert_eq!(between_frames, [1, 2, 3, 4]);
        // Programs that leave the trailer out are believed, and what is odd is said.
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("y.gif"), &whole[..whole.len() - 1]).unwrap();
        write_gif(&dir.path().join("z.gif"), &[0, 50, 100, 150]);
        let source = load(dir.path(), FILM, 3, &Options::default()).unwrap();
        assert_eq!((source.train.len(), source.test.unwrap().len()), (1, 1));
        assert!(source.warnings[0].contains("y.gif ends without the trailer"), "{:?}", source.warnings);
        let no_columns =
            [b"GIF89a\0\0\x08\0\0\0\0" as &[u8], b"\x2c\0\0\0\0\0\0\x08\0\0\x02\x02\x4c\x01\0\x3b"].concat();
        assert!(read(&no_columns).unwrap_err().to_string().contains("0x8"));
        // Ten thousand frames of 5000x5000 in few bytes: nothing of it is decoded.
        let mut bomb = b"GIF89a\x88\x13\x88\x13\0\0\0".to_vec();
        let frame = b"\x2c\0\0\0\0\x88\x13\x88\x13\0\x02\x02\x4c\x01\0";
        (0..10_000).for_each(|_| bomb.extend_from_slice(frame));
        bomb.push(0x3b);
        assert!(read(&bomb).unwrap_err().to_string().contains("10000 frames of 5000x5000"));
    }

    #[test]
    fn colours_are_planes_of_all_frames() {
        let clip = [vec![1, 2, 3], vec![4, 5, 6]];
        assert_eq!(stacked(&clip, Geometry::new(3, 1, 1)), [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn what_is_no_film_is_skipped_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let e = load(dir.path(), FILM, 3, &Options::default()).unwrap_err().to_string();
        assert!(e.contains("holds no films") && e.contains(".gif"), "{e}");
        let path = dir.path().join("x.gif");
        write_gif(&path, &[0, 50, 100, 150, 200, 250]);
        let whole = std::fs::read(&path).unwrap();
        assert!(load(dir.path(), FILM, 3, &Options::default()).is_ok());
        for i in (0..whole.len()).step_by(3) {
            let mut broken = whole.clone();
            broken[i] ^= 0xff;
            std::fs::write(&path, &broken).unwrap();
            let _ = load(dir.path(), FILM, 3, &Options::default());
        }
        std::fs::write(&path, &whole[..20]).unwrap();
        assert!(load(dir.path(), FILM, 3, &Options::default()).unwrap_err().to_string().contains("x.gif"));
    }
}
