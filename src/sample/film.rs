//! Images that move, in one GIF or WebP.

use super::grid::{Grid, PictureError, write};
use super::webp;
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, ImageResult, RgbImage};
use std::path::Path;

/// How fast colours are chosen, from 1, the best, to 30.
const SPEED: i32 = 10;

/// The formats of files that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilmFormat {
    /// Every browser and chat shows them; 256 colours a frame.
    Gif,
    /// All colours, without loss.
    WebP,
}

impl FilmFormat {
    /// The format that a file's extension stands for.
    pub fn of(path: &Path) -> Option<FilmFormat> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "gif" => Some(FilmFormat::Gif),
            "webp" => Some(FilmFormat::WebP),
            _ => None,
        }
    }
}

/// Images `[rows,frames,c,h,w]` in [0, 1]: side by side, each row moves from one frame to the next.
pub struct Film<'a> {
    /// The numbers.
    pub images: &'a [f32],
    /// Channels (1 or 3), height and width.
    pub geometry: [usize; 3],
    /// Frames.
    pub frames: usize,
    /// Whether the last frame leads on to the first; otherwise they are shown backwards as well.
    pub is_loop: bool,
    /// Frames a second.
    pub rate: f32,
}

impl Film<'_> {
    /// Frames a second that suit a walk through a latent space.
    pub const RATE: f32 = 12.5;

    /// The frames in the order they are shown, once.
    fn order(&self) -> Vec<usize> {
        let forth = 0..self.frames;
        match self.is_loop {
            true => forth.collect(),
            false => forth.chain((1..self.frames.saturating_sub(1)).rev()).collect(),
        }
    }

    /// Saves a film that goes on for ever, whole or not at all: a WebP where the file is called so,
    /// and otherwise a GIF.
    pub fn save(&self, path: &Path) -> Result<(), PictureError> {
        write(path, &self.bytes(None, path)?)
    }

    /// The film that is to stand at `path`, at a scale.
    pub(super) fn bytes(&self, scale: Option<usize>, path: &Path) -> Result<Vec<u8>, PictureError> {
        let size = self.geometry.iter().product::<usize>();
        let rows = self.images.len() / (size * self.frames).max(1);
        let columns = (rows as f64).sqrt().ceil() as usize;
        let shown = milliseconds(self.rate);
        let pictures = self.order().into_iter().map(|frame| {
            let at = |row: usize| (row * self.frames + frame) * size;
            let images: Vec<f32> = (0..rows).flat_map(|row| &self.images[at(row)..at(row) + size]).copied().collect();
            (Grid { images: &images, geometry: self.geometry, columns }.enlarged(scale), shown)
        });
        let format = FilmFormat::of(path).unwrap_or(FilmFormat::Gif);
        movie(format, pictures).map_err(|e| PictureError::new(path, e))
    }
}

/// How long a frame is shown at so many a second.
pub(super) fn milliseconds(rate: f32) -> u32 {
    (1000.0 / rate).round() as u32
}

/// Pictures as a film that goes on for ever, each shown so many milliseconds.
pub(super) fn movie(format: FilmFormat, pictures: impl Iterator<Item = (RgbImage, u32)>) -> ImageResult<Vec<u8>> {
    if format == FilmFormat::WebP {
        return webp::animation(pictures);
    }
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    for (picture, shown) in pictures {
        let picture = DynamicImage::ImageRgb8(picture).into_rgba8();
        encoder.encode_frame(Frame::from_parts(picture, 0, 0, Delay::from_numer_denom_ms(shown, 1)))?;
    }
    drop(encoder);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::AnimationDecoder;
    use image::codecs::{gif::GifDecoder, webp::WebPDecoder};
    use std::io::Cursor;

    #[test]
    fn frames_go_there_and_back_or_round_and_never_end() {
        // Two rows of four frames, which grow brighter and darker.
        let images: Vec<f32> = [0.0, 0.3, 0.6, 0.9, 0.9, 0.6, 0.3, 0.0].iter().flat_map(|v| [*v; 64 * 64]).collect();
        let film = |is_loop| Film { images: &images, geometry: [1, 64, 64], frames: 4, is_loop, rate: 4.0 };
        let folder = tempfile::tempdir().unwrap();
        for (name, endless) in
            [("new/a.gif", &b"NETSCAPE2.0\x03\x01\0\0"[..]), ("new/a.WebP", b"ANIM\x06\0\0\0\0\0\0\xff\0\0")]
        {
            let path = folder.path().join(name);
            for (is_loop, shown) in [(true, vec![0, 1, 2, 3]), (false, vec![0, 1, 2, 3, 2, 1])] {
                film(is_loop).save(&path).unwrap();
                let bytes = std::fs::read(&path).unwrap();
                assert!(bytes.windows(endless.len()).any(|w| w == endless), "{name} goes on for ever");
                let frames = match FilmFormat::of(&path) {
                    Some(FilmFormat::WebP) => WebPDecoder::new(Cursor::new(bytes)).unwrap().into_frames(),
                    _ => GifDecoder::new(Cursor::new(bytes)).unwrap().into_frames(),
                };
                let frames = frames.collect_frames().unwrap();
                assert_eq!(frames.len(), shown.len());
                for (frame, k) in std::iter::zip(&frames, shown) {
                    assert_eq!(frame.delay().numer_denom_ms(), (250, 1));
                    assert_eq!(frame.buffer().dimensions(), (2 * 66 + 2, 66 + 2));
                    let [left, right] = [30, 96].map(|x| i32::from(frame.buffer().get_pixel(x, 30).0[0]));
                    assert!((left - 77 * k).abs() < 4 && (right - 77 * (3 - k)).abs() < 4, "{k}: {left} {right}");
                }
            }
        }
        assert!(film(true).save(Path::new("/proc/nowhere/a.gif")).is_err());
    }

    #[test]
    fn a_film_of_a_width_that_its_format_has_no_number_for_is_an_error() {
        for (format, width) in [(FilmFormat::Gif, 65_536), (FilmFormat::WebP, 16_385)] {
            let frame = RgbImage::new(width, 1);
            assert!(movie(format, [(frame, 10)].into_iter()).is_err(), "{format:?}");
        }
    }
}
