//! Films as animated GIFs and sounds as WAV files, beside the pictures of them.

use super::film::{FilmFormat, movie};
use super::grid::{Grid, PictureError, write};
use crate::data::{Medium, expanded};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// How long a frame of a GIF is shown, in milliseconds.
const FRAME_MS: u32 = 100;

/// Silence between two sounds, as a share of a second.
const PAUSE: f32 = 0.25;

impl Grid<'_> {
    /// Saves the picture, and beside it, under the same name, what moves (`.gif`) or can be heard
    /// (`.wav`, all sounds one after the other). Says where the latter is.
    pub fn save_medium(&self, medium: Medium, path: &Path) -> Result<Option<PathBuf>, PictureError> {
        self.save_medium_enlarged(medium, None, path)
    }

    /// The same at a scale.
    pub(super) fn save_medium_enlarged(
        &self,
        medium: Medium,
        scale: Option<usize>,
        path: &Path,
    ) -> Result<Option<PathBuf>, PictureError> {
        self.save_enlarged(scale, path)?;
        let Some((extension, bytes)) = self.medium(medium, scale, path)? else { return Ok(None) };
        let beside = path.with_extension(extension);
        write(&beside, &bytes)?;
        Ok(Some(beside))
    }

    /// What moves or can be heard, and the extension of its files; nothing of pictures. `path` is
    /// for errors.
    pub(super) fn medium(
        &self,
        medium: Medium,
        scale: Option<usize>,
        path: &Path,
    ) -> Result<Option<(&'static str, Vec<u8>)>, PictureError> {
        Ok(Some(match medium {
            Medium::Pictures => return Ok(None),
            Medium::Films { frames } => ("gif", self.gif(frames, scale).map_err(|e| PictureError::new(path, e))?),
            Medium::Sounds { rate } => ("wav", self.wav(rate).map_err(|e| PictureError::new(path, e))?),
        }))
    }

    /// The grid frame by frame.
    fn gif(&self, frames: usize, scale: Option<usize>) -> image::ImageResult<Vec<u8>> {
        let [c, h, w] = self.geometry;
        let plane = h / frames * w;
        let pictures = (0..frames).map(|t| {
            let planes = self.images.chunks_exact(h * w);
            let images: Vec<f32> = planes.flat_map(|film| film[t * plane..(t + 1) * plane].iter().copied()).collect();
            Grid { images: &images, geometry: [c, h / frames, w], columns: self.columns }.enlarged(scale)
        });
        movie(FilmFormat::Gif, pictures.map(|picture| (picture, FRAME_MS)))
    }

    /// All sounds with pauses between them, in 16 bits.
    fn wav(&self, rate: u32) -> Result<Vec<u8>, hound::Error> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
        for sound in self.images.chunks_exact(self.geometry[2]) {
            for stored in sound {
                writer.write_sample((f32::from(i16::MAX) * expanded(*stored)) as i16)?;
            }
            for _ in 0..(PAUSE * rate as f32) as usize {
                writer.write_sample(0i16)?;
            }
        }
        writer.finalize()?;
        Ok(bytes.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::companded;
    use image::AnimationDecoder;
    use image::codecs::gif::GifDecoder;

    #[test]
    fn films_move_and_sounds_are_heard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let (frames, size) = (3, 4 * 4);
        let films: Vec<f32> = (0..2 * frames * size).map(|i| (i / size) as f32 / 6.0).collect();
        let grid = Grid { images: &films, geometry: [1, 12, 4], columns: 2 };
        let gif = grid.save_medium(Medium::Films { frames }, &path).unwrap().unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&gif).unwrap());
        let shown = GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(shown.len(), frames);
        let at = |t: usize, x: u32| shown[t].buffer().get_pixel(x, 10)[0];
        assert!(at(0, 10) < at(1, 10) && at(1, 10) < at(2, 10) && at(2, 10) < at(0, 70));
        let sounds: Vec<f32> = [0.0, 0.5, -0.5, 1.0, -1.0, 0.25].map(companded).to_vec();
        let grid = Grid { images: &sounds, geometry: [1, 1, 3], columns: 1 };
        let wav = grid.save_medium(Medium::Sounds { rate: 8 }, &path).unwrap().unwrap();
        let mut reader = hound::WavReader::open(&wav).unwrap();
        assert_eq!(reader.spec().sample_rate, 8);
        let heard: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        let want = [0, 16383, -16383, 0, 0, 32767, -32767, 8191, 0, 0];
        assert!(std::iter::zip(&heard, want).all(|(a, b)| (i32::from(*a) - b).abs() <= 2), "{heard:?}");
        assert_eq!(heard.len(), want.len());
        assert_eq!(grid.save_medium(Medium::Pictures, &path).unwrap(), None);
    }
}
