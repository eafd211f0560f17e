//! A folder of films: animated GIFs, or folders of numbered frames.

use super::gather::{Unit, Way};
use super::walk::{self, Found};
use super::{Error, Geometry, Opened, Options, clips, folder, geometry, medium::frame};
use image::{AnimationDecoder, DynamicImage, ImageDecoder, Limits, codecs::gif::GifDecoder};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Frames of one GIF, at most.
const MOST: usize = 10_000;

/// Bytes that decoding one frame may take.
const MAX_DECODED: u64 = 256 << 20;

/// Cuts every film of `folder` into clips of `frames` frames, one below the other. A film is an animated GIF in it or in
/// a direct sub-folder, or a sub-folder of pictures, or the folder itself where it has pictures; these are put in order
/// by their names' lengths and then by the names, so that 10 comes after 9. What is left of a film is left out.
pub(super) fn load(folder: &Path, wanted: Geometry, frames: usize, options: &Options) -> Result<Opened, Error> {
    let Found { files, left_out } = walk::find(folder, &["gif"])?;
    let mut films: Vec<Unit> = files.into_iter().map(Unit::from).collect();
    let Found { files, left_out: others } = walk::find(folder, folder::PICTURES)?;
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        let of = file.parent().unwrap_or(folder).to_path_buf();
        folders.entry(of).or_default().push(file);
    }
    films.extend(folders.into_iter().map(|(path, files)| Unit { path, files }));
    films.sort_by(|a, b| a.path.cmp(&b.path));
    if films.is_empty() {
        let looked_for = "animated .gif files, and folders of frames (.png, .jpg and the like)";
        return Err(Error::NoFiles { folder: folder.into(), what: "films", looked_for });
    }
    let one = frame(wanted, frames);
    let (name, how) = (folder.display().to_string(), format!("films of {frames}"));
    let way = Way { name: &name, geometry: wanted, how: &how, each: None };
    clips::load(folder, films, left_out.both(&others), ("film", way), options, |path| {
        let all = if path.is_dir() { numbered(path, one)? } else { gif(path, one)? };
        let clips = all.chunks_exact(frames);
        Ok(clips.flat_map(|clip| stacked(clip, one)).collect())
    })
}

/// Frames [c,h,w] as [c,frames,h,w].
pub(super) fn stacked(clip: &[Vec<u8>], frame: Geometry) -> Vec<u8> {
    let plane = frame.height * frame.width;
    let planes = (0..frame.channels).flat_map(|c| clip.iter().map(move |f| &f[c * plane..(c + 1) * plane]));
    planes.flatten().copied().collect()
}

fn gif(path: &Path, frame: Geometry) -> Result<Vec<Vec<u8>>, Error> {
    let bad = |e: image::ImageError| Error::Damaged { path: path.into(), why: format!("it is no readable GIF: {e}") };
    let file = BufReader::new(File::open(path).map_err(Error::io("open", path))?);
    let mut decoder = GifDecoder::new(file).map_err(bad)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    decoder.set_limits(limits).map_err(bad)?;
    let frames = decoder.into_frames().take(MOST);
    frames.map(|f| Ok(geometry::fit(DynamicImage::ImageRgba8(f.map_err(bad)?.into_buffer()), frame))).collect()
}

fn numbered(folder: &Path, frame: Geometry) -> Result<Vec<Vec<u8>>, Error> {
    let is_here = |p: &PathBuf| p.parent() == Some(folder);
    let mut pictures: Vec<PathBuf> = walk::find(folder, folder::PICTURES)?.files.into_iter().filter(is_here).collect();
    pictures.sort_by_cached_key(|p| {
        let name = p.file_stem().unwrap_or_default().to_os_string();
        (name.len(), name)
    });
    pictures.iter().map(|path| Ok(folder::read_image(path, Some(frame))?.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, GrayImage, Luma, Rgba, RgbaImage};

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
        assert!(source.warnings[0].contains("1 of 3 films") && source.warnings[1].contains("short.gif"));
        let one = load(&frames, Geometry::new(1, 2 * 4, 4), 2, &Options::default()).unwrap();
        assert_eq!((firsts(&one.train), firsts(&one.test.unwrap())), (vec![80, 90], vec![100, 110]));
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
