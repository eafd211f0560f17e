//! Images side by side in one PNG.

use crate::data::expanded;
use crate::files::{Target, make_innermost_folder_of, replace};
use crate::train::Session;
use image::{ImageFormat, Rgb, RgbImage};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// A picture that could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("the picture {path} could not be saved: {reason}")]
pub struct PictureError {
    /// The file.
    pub(super) path: PathBuf,
    /// Why.
    pub(super) reason: String,
}

impl PictureError {
    pub(super) fn new(path: &Path, reason: impl ToString) -> PictureError {
        // Encoders have causes in lines of their own.
        let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        PictureError { path: path.to_path_buf(), reason }
    }
}

/// Space between images, in pixels of the picture.
const GAP: u32 = 2;
/// What shows between images.
pub(super) const BACKGROUND: Rgb<u8> = Rgb([48, 48, 52]);
/// Width and height of a waveform.
const WAVEFORM: [u32; 2] = [256, 56];
/// Small images are enlarged by whole factors until their side is at least this.
const SIDE: usize = 56;

/// Images `[n,c,h,w]` in [0, 1], laid out in rows.
pub struct Grid<'a> {
    /// The numbers.
    pub images: &'a [f32],
    /// Channels (1 or 3), height and width.
    pub geometry: [usize; 3],
    /// Images in a row.
    pub columns: usize,
}

impl<'a> Grid<'a> {
    /// Images of a session's model in a square, or with a class in each column where there are
    /// several.
    pub fn of(session: &Session, images: &'a [f32], class: Option<usize>) -> Grid<'a> {
        let geometry = session.model.geometry();
        let n = images.len() / geometry.iter().product::<usize>();
        let columns = match session.model.classes() {
            classes if classes > 0 && class.is_none() => classes,
            _ => (n as f64).sqrt().ceil() as usize,
        };
        Grid { images, geometry, columns }
    }
}

impl Grid<'_> {
    /// The grid as a picture. Values outside [0, 1] saturate; NaN shows as magenta. Small images are
    /// enlarged.
    pub fn render(&self) -> RgbImage {
        self.enlarged(None)
    }

    /// The same, each pixel of an image as a square of so many by so many.
    pub fn enlarged(&self, scale: Option<usize>) -> RgbImage {
        if self.geometry[1] == 1 && self.geometry[2] > 1 {
            return self.waveforms();
        }
        let [c, h, w] = self.geometry;
        let n = self.images.len() / (c * h * w).max(1);
        let columns = self.columns.clamp(1, n.max(1));
        let scale = scale_of(self.geometry, scale);
        let (wide, tall) = ((w * scale) as u32 + GAP, (h * scale) as u32 + GAP);
        let rows = n.div_ceil(columns) as u32;
        let mut picture = RgbImage::from_pixel(columns as u32 * wide + GAP, rows * tall + GAP, BACKGROUND);
        for (k, image) in self.images.chunks_exact((c * h * w).max(1)).enumerate() {
            let (left, top) = ((k % columns) as u32 * wide + GAP, (k / columns) as u32 * tall + GAP);
            for y in 0..h * scale {
                for x in 0..w * scale {
                    let at = |channel: usize| image[(channel.min(c - 1) * h + y / scale) * w + x / scale];
                    let pixel = Rgb([at(0), at(1), at(2)].map(level));
                    let pixel = if at(0).is_nan() { Rgb([255, 0, 255]) } else { pixel };
                    picture.put_pixel(left + x as u32, top + y as u32, pixel);
                }
            }
        }
        picture
    }

    /// Films with their frames side by side, a film a row.
    pub fn strips(&self, frames: usize, scale: Option<usize>) -> RgbImage {
        let [c, h, w] = self.geometry;
        let (tall, plane) = (h / frames, h / frames * w);
        let frame = |film: &'_ [f32], t: usize| -> Vec<f32> {
            film.chunks_exact(h * w).flat_map(|channel| &channel[t * plane..(t + 1) * plane]).copied().collect()
        };
        let films = self.images.chunks_exact(c * h * w);
        let images: Vec<f32> = films.flat_map(|film| (0..frames).flat_map(move |t| frame(film, t))).collect();
        Grid { images: &images, geometry: [c, tall, w], columns: frames }.enlarged(scale)
    }

    /// Images of one row are sounds: each a bar from the least to the greatest amplitude for every
    /// column of its cell.
    fn waveforms(&self) -> RgbImage {
        let len = self.geometry[2];
        let n = self.images.len() / len;
        let columns = self.columns.clamp(1, n.max(1));
        let (wide, tall) = (WAVEFORM[0] + GAP, WAVEFORM[1] + GAP);
        let rows = n.div_ceil(columns) as u32;
        let mut picture = RgbImage::from_pixel(columns as u32 * wide + GAP, rows * tall + GAP, BACKGROUND);
        for (k, sound) in self.images.chunks_exact(len).enumerate() {
            let (left, top) = ((k % columns) as u32 * wide + GAP, (k / columns) as u32 * tall + GAP);
            for x in 0..WAVEFORM[0] {
                let at = |x: u32| (x as usize * len / WAVEFORM[0] as usize).min(len - 1);
                let part = &sound[at(x)..at(x + 1).max(at(x) + 1)];
                let row = |v: f32| ((1.0 - expanded(v)) * 0.5 * (WAVEFORM[1] - 1) as f32).round() as u32;
                let (least, most) = part.iter().fold((1.0f32, 0.0f32), |(a, b), v| (a.min(*v), b.max(*v)));
                let broken = part.iter().any(|v| v.is_nan());
                for y in 0..WAVEFORM[1] {
                    let inside = (row(most)..=row(least)).contains(&y);
                    let level = if broken { Rgb([255, 0, 255]) } else { Rgb([if inside { 255 } else { 0 }; 3]) };
                    picture.put_pixel(left + x, top + y, level);
                }
            }
        }
        picture
    }

    /// Saves the grid in the format of the file's extension, whole or not at all, so that a viewer
    /// never sees half. The folder it lies in is made where it is not there, but none around that.
    pub fn save(&self, path: &Path) -> Result<(), PictureError> {
        self.save_enlarged(None, path)
    }

    /// The same at a scale.
    pub(super) fn save_enlarged(&self, scale: Option<usize>, path: &Path) -> Result<(), PictureError> {
        let format = match Target::of(path) {
            Ok(Target::Stream(_)) => format_of(path).unwrap_or(ImageFormat::Png),
            _ => format_of(path)?,
        };
        let picture = self.enlarged(scale);
        let (side, most) = (picture.width().max(picture.height()), largest_side(format));
        if side > most {
            let kind = format.extensions_str().first().copied().unwrap_or_default();
            let (w, h) = (picture.width(), picture.height());
            let words = format!("it is {w}x{h} pixels, and a .{kind} has at most {most} on a side; call it .png");
            return Err(PictureError::new(path, words));
        }
        write(path, &encoded(&picture, format, path)?)
    }
}

/// Pixels of a picture to one of an image, on each side: those asked for, or as many as a small
/// image needs.
fn scale_of([_, h, w]: [usize; 3], asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| SIDE.div_ceil(h.min(w).max(1))).max(1)
}

/// Bytes of a picture for one image of it.
pub(super) fn pixels([c, h, w]: [usize; 3], scale: Option<usize>) -> u64 {
    let scale = scale_of([c, h, w], scale);
    let [tall, wide] = [h, w].map(|side| (side * scale) as u64 + u64::from(GAP));
    3 * tall * wide
}

/// The format that the extension of a picture's file stands for.
pub(super) fn format_of(path: &Path) -> Result<ImageFormat, PictureError> {
    let written = |format: &ImageFormat| format.can_write() && format.writing_enabled();
    let known = || ImageFormat::all().filter(written);
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    if let Some(extension) = &extension
        && let Some(format) = known().find(|format| format.extensions_str().contains(&extension.as_str()))
    {
        return Ok(format);
    }
    let names: Vec<&str> = known().flat_map(|format| format.extensions_str()).copied().collect();
    let is = extension.map_or("it has no extension".into(), |e| format!("limn writes no .{e}"));
    let folder = "a folder of single files has a / at its end";
    Err(PictureError::new(path, format!("{is}; there are {}; {folder}", names.join(", "))))
}

/// The widest and highest picture that a format has numbers for.
fn largest_side(format: ImageFormat) -> u32 {
    match format {
        ImageFormat::WebP => 16_384,
        ImageFormat::Gif | ImageFormat::Jpeg => 65_535,
        _ => u32::MAX,
    }
}

/// The bytes of a picture's file.
pub(super) fn encoded(picture: &RgbImage, format: ImageFormat, path: &Path) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).map_err(|e| PictureError::new(path, e))?;
    Ok(bytes.into_inner())
}

/// Writes a picture's file, and makes the folder that it lies in where it is not there.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), PictureError> {
    let written = make_innermost_folder_of(path).and_then(|()| replace(path, |file| file.write_all(bytes)));
    written.map_err(|e| PictureError::new(path, e))
}

/// A number in [0, 1] as a byte.
pub(super) fn level(v: f32) -> u8 {
    (v.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_images_out_in_rows_and_shows_nan() {
        let mut images = vec![0.0; 3 * 64 * 64];
        images[64 * 64..2 * 64 * 64].fill(1.0);
        images[2 * 64 * 64] = f32::NAN;
        let picture = Grid { images: &images, geometry: [1, 64, 64], columns: 2 }.render();
        assert_eq!(picture.dimensions(), (2 * 66 + 2, 2 * 66 + 2));
        assert_eq!(picture.get_pixel(2, 2).0, [0, 0, 0]);
        assert_eq!(picture.get_pixel(68, 2).0, [255, 255, 255]);
        assert_eq!(picture.get_pixel(2, 68).0, [255, 0, 255]);
        assert_eq!(*picture.get_pixel(68, 68), BACKGROUND);
    }

    #[test]
    fn frames_of_a_film_are_a_row_in_all_colours() {
        // Two films of two frames of one pixel, whose colours lie one behind the other.
        let films: Vec<f32> = (0..2 * 3 * 2).map(|i| i as f32 / 255.0).collect();
        let picture = Grid { images: &films, geometry: [3, 2, 1], columns: 1 }.strips(2, Some(1));
        assert_eq!(picture.dimensions(), (2 * 3 + 2, 2 * 3 + 2));
        let at = |film: u32, frame: u32| picture.get_pixel(2 + 3 * frame, 2 + 3 * film).0;
        assert_eq!([at(0, 0), at(0, 1), at(1, 0), at(1, 1)], [[0, 2, 4], [1, 3, 5], [6, 8, 10], [7, 9, 11]]);
    }

    #[test]
    fn sounds_are_waveforms() {
        let mut images = vec![0.5; 3 * 1024];
        images[512] = 1.0;
        images[2048] = f32::NAN;
        let picture = Grid { images: &images, geometry: [1, 1, 1024], columns: 2 }.render();
        assert_eq!(picture.dimensions(), (2 * 258 + 2, 2 * 58 + 2));
        assert_eq!((picture.get_pixel(2, 2).0, picture.get_pixel(2 + 128, 2).0), ([0; 3], [255; 3]));
        assert_eq!((picture.get_pixel(2, 2 + 28).0, picture.get_pixel(2, 60).0), ([255; 3], [255, 0, 255]));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let grid = Grid { images: &[0.5], geometry: [1, 1, 1], columns: 1 };
        assert!(grid.save(Path::new("/proc/nowhere/a.png")).is_err());
    }
}
