//! Images that move, in one GIF.

use super::grid::{Grid, PictureError, write};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, ImageResult, RgbImage};
use std::path::Path;

/// Milliseconds that a frame is shown.
const SHOWN: u32 = 80;
/// How fast colours are chosen, from 1, the best, to 30.
const SPEED: i32 = 10;

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
}

impl Film<'_> {
    /// The frames in the order they are shown, once.
    fn order(&self) -> Vec<usize> {
        let forth = 0..self.frames;
        match self.is_loop {
            true => forth.collect(),
            false => forth.chain((1..self.frames.saturating_sub(1)).rev()).collect(),
        }
    }

    /// Saves a GIF that goes on for ever, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), PictureError> {
        write(path, &self.bytes(path)?)
    }

    /// The GIF that is to stand at `path`.
    pub(super) fn bytes(&self, path: &Path) -> Result<Vec<u8>, PictureError> {
        let size = self.geometry.iter().product::<usize>();
        let rows = self.images.len() / (size * self.frames).max(1);
        let columns = (rows as f64).sqrt().ceil() as usize;
        let pictures = self.order().into_iter().map(|frame| {
            let at = |row: usize| (row * self.frames + frame) * size;
            let images: Vec<f32> = (0..rows).flat_map(|row| &self.images[at(row)..at(row) + size]).copied().collect();
            Grid { images: &images, geometry: self.geometry, columns }.render()
        });
        gif(pictures, SHOWN).map_err(|e| PictureError::new(path, e))
    }
}

/// Pictures as a GIF that goes on for ever, each shown so many milliseconds.
pub(super) fn gif(pictures: impl Iterator<Item = RgbImage>, shown: u32) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    for picture in pictures {
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

    #[test]
    fn frames_go_there_and_back_or_round_and_never_end() {
        // Two rows of four frames, which grow brighter and darker.
        let images: Vec<f32> = [0.0, 0.3, 0.6, 0.9, 0.9, 0.6, 0.3, 0.0].iter().flat_map(|v| [*v; 64 * 64]).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.gif");
        for (is_loop, shown) in [(true, vec![0, 1, 2, 3]), (false, vec![0, 1, 2, 3, 2, 1])] {
            let film = Film { images: &images, geometry: [1, 64, 64], frames: 4, is_loop };
            film.save(&path).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert!(bytes.windows(11).any(|w| w == b"NETSCAPE2.0"), "it goes on for ever");
            let decoder = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(bytes)).unwrap();
            let frames = decoder.into_frames().collect_frames().unwrap();
            assert_eq!(frames.len(), shown.len());
            for (frame, k) in std::iter::zip(&frames, shown) {
                assert_eq!(frame.buffer().dimensions(), (2 * 66 + 2, 66 + 2));
                let [left, right] = [30, 96].map(|x| i32::from(frame.buffer().get_pixel(x, 30).0[0]));
                assert!((left - 77 * k).abs() < 4 && (right - 77 * (3 - k)).abs() < 4, "{k}: {left} {right}");
            }
        }
        assert!(
            Film { images: &images, geometry: [1, 64, 64], frames: 4, is_loop: true }
                .save(Path::new("/proc/nowhere/a.gif"))
                .is_err()
        );
    }
}
