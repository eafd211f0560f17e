//! A film of a model that learns: the pictures of samples that training left behind.

use super::film::{FilmFormat, milliseconds, movie};
use super::grid::{BACKGROUND, PictureError, write};
use crate::data::{read_image, spread};
use image::{Rgb, RgbImage, imageops};
use std::fs;
use std::path::{Path, PathBuf};

/// Frames of a film, at most.
const FRAMES: usize = 500;
/// How long the last one stays, at least, in milliseconds.
const REST: u32 = 2000;
/// Height of the bar that shows how far training is, and its colour.
const BAR: u32 = 4;
const DONE: Rgb<u8> = Rgb([236, 168, 60]);

/// The pictures of samples in a folder with the steps they were drawn after, the earliest first.
pub fn step_pictures(folder: &Path) -> Vec<(u64, PathBuf)> {
    let step = |path: &Path| -> Option<u64> {
        let is_picture = path.extension()? == "png" && path.is_file();
        path.file_stem()?.to_str()?.strip_prefix("step-")?.parse().ok().filter(|_| is_picture)
    };
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<(u64, PathBuf)> = paths.filter_map(|path| Some((step(&path)?, path))).collect();
    all.sort();
    all
}

/// Pictures of samples as a film: one after the other, above a bar that shows how far training is.
pub struct TrainingFilm {
    /// The steps and pictures that are shown.
    frames: Vec<(u64, PathBuf)>,
    /// The width and height that all of them fit into.
    size: (u32, u32),
    /// One sentence for each picture that cannot be read.
    pub remarks: Vec<String>,
}

impl TrainingFilm {
    /// The film of the pictures in a folder; evenly spread ones, where there are very many.
    /// Nothing, where there is none that can be read.
    pub fn of(folder: &Path) -> Option<TrainingFilm> {
        let all = step_pictures(folder);
        // The last is the one that people look for.
        let last = all.len().saturating_sub(1);
        let mut chosen = spread(FRAMES, all.len());
        if chosen.last().is_some_and(|k| *k != last) {
            chosen.pop();
            chosen.push(last);
        }
        let mut film = TrainingFilm { frames: Vec::new(), size: (0, 0), remarks: Vec::new() };
        for (step, path) in chosen.into_iter().map(|k| all[k].clone()) {
            match read(&path) {
                Ok(picture) => {
                    let (w, h) = picture.dimensions();
                    film.size = (film.size.0.max(w), film.size.1.max(h));
                    film.frames.push((step, path));
                }
                Err(error) => film.remarks.push(format!("left out: {error}")),
            }
        }
        (!film.frames.is_empty()).then_some(film)
    }

    /// The steps of its frames.
    pub fn steps(&self) -> Vec<u64> {
        self.frames.iter().map(|(step, _)| *step).collect()
    }

    /// Saves it, so many pictures a second, and the last for longer, over and over: a WebP where the
    /// file is called so, and otherwise a GIF.
    ///
    /// # Errors
    /// A picture that can be read no more; what the system said.
    pub fn save(&self, rate: f32, path: &Path) -> Result<(), PictureError> {
        let mut fault = None;
        let shown =
            |k: usize| if k + 1 == self.frames.len() { REST.max(milliseconds(rate)) } else { milliseconds(rate) };
        let frames = (0..self.frames.len()).map_while(|k| match self.frame(k) {
            Ok(picture) => Some((picture, shown(k))),
            Err(error) => {
                fault = Some(error);
                None
            }
        });
        let bytes = movie(FilmFormat::of(path).unwrap_or(FilmFormat::Gif), frames);
        match fault {
            Some(error) => Err(PictureError::new(path, error)),
            None => write(path, &bytes.map_err(|e| PictureError::new(path, e))?),
        }
    }

    /// One picture, and the bar.
    fn frame(&self, k: usize) -> Result<RgbImage, crate::data::Error> {
        let (step, path) = &self.frames[k];
        let last = self.frames.last().map_or(1, |(step, _)| *step).max(1);
        let (w, h) = self.size;
        let mut frame = RgbImage::from_pixel(w, h + BAR, BACKGROUND);
        imageops::replace(&mut frame, &read(path)?, 0, 0);
        let done = (f64::from(w) * (*step as f64 / last as f64)).round() as u32;
        for (x, y) in (0..done.min(w)).flat_map(|x| (h..h + BAR).map(move |y| (x, y))) {
            frame.put_pixel(x, y, DONE);
        }
        Ok(frame)
    }
}

/// A picture in its own size.
fn read(path: &Path) -> Result<RgbImage, crate::data::Error> {
    let (bytes, geometry, _) = read_image(path, None)?;
    let (plane, width) = (geometry.height * geometry.width, geometry.width);
    Ok(RgbImage::from_fn(geometry.width as u32, geometry.height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        Rgb([0, 1, 2].map(|channel: usize| bytes[channel.min(geometry.channels - 1) * plane + at]))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::AnimationDecoder;
    use image::codecs::{gif::GifDecoder, webp::WebPDecoder};
    use std::io::Cursor;

    #[test]
    fn pictures_follow_each_other_by_their_steps_and_the_last_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (step, size, level) in [(1000, (40, 20), 200), (200, (40, 20), 100), (50, (30, 24), 0)] {
            RgbImage::from_pixel(size.0, size.1, Rgb([level; 3])).save(at(&format!("step-{step}.png"))).unwrap();
        }
        for name in ["step-700.png", "step-x.png", "notes.png", "step-3.txt"] {
            fs::write(at(name), "no picture").unwrap();
        }
        fs::create_dir(at("step-9.png")).unwrap();
        let film = TrainingFilm::of(folder.path()).unwrap();
        assert_eq!(film.steps(), [50, 200, 1000]);
        assert!(film.remarks.len() == 1 && film.remarks[0].contains("step-700.png"), "{:?}", film.remarks);
        for name in ["a.gif", "a.webp"] {
            film.save(2.0, &at(name)).unwrap();
            let bytes = Cursor::new(fs::read(at(name)).unwrap());
            let frames = match name {
                "a.gif" => GifDecoder::new(bytes).unwrap().into_frames(),
                _ => WebPDecoder::new(bytes).unwrap().into_frames(),
            };
            let frames = frames.collect_frames().unwrap();
            let shown: Vec<u32> = frames.iter().map(|frame| frame.delay().numer_denom_ms().0).collect();
            assert_eq!(shown, [500, 500, 2000]);
            for (frame, (level, done)) in std::iter::zip(&frames, [(0, 2), (100, 8), (200, 40)]) {
                assert_eq!(frame.buffer().dimensions(), (40, 24 + BAR));
                assert_eq!(frame.buffer().get_pixel(5, 5).0[0], level);
                let bar = (0..40).filter(|x| frame.buffer().get_pixel(*x, 25).0[..3] == DONE.0).count();
                assert_eq!(bar, done);
            }
        }
        fs::remove_file(at("step-200.png")).unwrap();
        let error = film.save(2.0, &at("b.gif")).unwrap_err().to_string();
        assert!(error.contains("step-200.png") && !at("b.gif").exists(), "{error}");
        assert!(TrainingFilm::of(&at("nowhere")).is_none());
    }

    #[test]
    fn very_many_pictures_are_thinned_and_the_last_one_is_among_them() {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..=FRAMES + 7 {
            RgbImage::new(1, 1).save(folder.path().join(format!("step-{step}.png"))).unwrap();
        }
        let steps = TrainingFilm::of(folder.path()).unwrap().steps();
        assert_eq!((steps.len(), steps[0], steps[FRAMES - 1]), (FRAMES, 1, FRAMES as u64 + 7));
    }
}
