//! Where pictures go that somebody asked for: a file in the format of its extension, a device, or a
//! folder that gets each image in a file of its own.

use super::film::{Film, FilmFormat};
use super::grid::{Grid, PictureError, encoded, format_of, level, pixels};
use crate::data::Medium;
use crate::files::{Target, create, ends_in_separator, make_folder_of, names_near};
use crate::program::{NoRoom, room};
use image::{ImageFormat, Rgb, RgbImage};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where pictures go.
#[derive(Debug)]
pub struct Output {
    kind: Kind,
    /// Whether the name was chosen by limn, so that what stands there is limn's own.
    ours: bool,
    /// Pixels of a picture to one of an image, on each side; without, small images are enlarged in
    /// grids, and single files have their own size.
    scale: Option<usize>,
}

#[derive(Debug)]
enum Kind {
    /// One picture.
    File(PathBuf),
    /// A file for each image, of names that begin with the stem.
    Folder(PathBuf, String),
}

/// What was written, for people.
pub type Written = String;

impl Output {
    /// The place that `out` names, or else `name` in `folder`.
    ///
    /// # Errors
    /// An extension that stands for no format, or a place that cannot be written to.
    pub fn new(out: Option<&Path>, folder: &Path, name: &str, medium: Medium) -> Result<Output, PictureError> {
        let Some(out) = out else { return Ok(Output { kind: Kind::File(folder.join(name)), ours: true, scale: None }) };
        if out.is_dir() || ends_in_separator(out) {
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem).trim_end_matches('s').to_string();
            return Ok(Output { kind: Kind::Folder(out.to_path_buf(), stem), ours: false, scale: None });
        }
        let target = Target::of(out).map_err(|e| PictureError::new(out, e))?;
        // What a film or a sound is by itself is no picture.
        if matches!(target, Target::File(_)) && !is_medium(out, medium) {
            format_of(out)?;
        }
        Ok(Output { kind: Kind::File(out.to_path_buf()), ours: false, scale: None })
    }

    /// The same place for pictures in which each pixel of an image is a square of so many by so
    /// many.
    #[must_use]
    pub fn enlarged(self, scale: Option<usize>) -> Output {
        Output { scale, ..self }
    }

    /// Refuses a picture of so many images for which there is no memory, as pixels and as a file.
    ///
    /// # Errors
    /// A sentence with what is needed and what is free.
    pub fn roomy(&self, geometry: [usize; 3], images: usize) -> Result<(), NoRoom> {
        let bytes = (images as u64).saturating_mul(2 * pixels(geometry, self.scale));
        room(bytes, &format!("a picture of {images} images"), "ask for fewer, or at a smaller scale")
    }

    /// Whether it is a device or a pipe, such as the one behind stdout.
    pub fn is_stream(&self) -> bool {
        matches!(&self.kind, Kind::File(path) if is_stream(path))
    }

    /// Saves a grid of images, and beside a picture of them what moves (`.gif`) or can be heard
    /// (`.wav`): in a place that somebody named, under a name that is free.
    pub fn save(&self, grid: &Grid, medium: Medium) -> Result<Written, PictureError> {
        let images = grid.images.len() / grid.geometry.iter().product::<usize>().max(1);
        let roomy = |path: &Path| self.roomy(grid.geometry, images).map_err(|e| PictureError::new(path, e));
        if let Kind::File(path) = &self.kind {
            roomy(path)?;
            self.make_folder(path)?;
        }
        match &self.kind {
            Kind::Folder(folder, stem) => each(grid, medium, self.scale, folder, stem),
            Kind::File(path) if self.ours => {
                let beside = grid.save_medium_enlarged(medium, self.scale, path)?;
                Ok(listed(path, beside.as_deref()))
            }
            Kind::File(path) if is_medium(path, medium) => {
                let (_, bytes) = grid.medium(medium, self.scale, path)?.unwrap_or_default();
                super::grid::write(path, &bytes)?;
                Ok(listed(path, None))
            }
            Kind::File(path) => {
                grid.save_enlarged(self.scale, path)?;
                let beside = match grid.medium(medium, self.scale, path)?.filter(|_| !is_stream(path)) {
                    Some((extension, bytes)) => Some(write_free(names_near(&path.with_extension(extension)), &bytes)?),
                    None => None,
                };
                Ok(listed(path, beside.as_deref()))
            }
        }
    }

    /// Makes the folders that somebody named, where they are not there.
    fn make_folder(&self, path: &Path) -> Result<(), PictureError> {
        match self.ours {
            true => Ok(()),
            false => make_folder_of(path).map_err(|e| PictureError::new(path, e)),
        }
    }

    /// Refuses a place for a film that is no medium of the model, such as a walk through a latent
    /// space.
    ///
    /// # Errors
    /// An extension other than that of a film.
    pub fn takes_film(&self) -> Result<(), PictureError> {
        match &self.kind {
            Kind::File(path) if !self.ours && FilmFormat::of(path).is_none() && !is_stream(path) => {
                Err(PictureError::new(path, "what moves is a GIF or a WebP; call it .gif or .webp"))
            }
            _ => Ok(()),
        }
    }

    /// Saves such a film.
    ///
    /// # Errors
    /// Those of [`Output::takes_film`], and what the system said.
    pub fn save_film(&self, film: &Film) -> Result<Written, PictureError> {
        self.takes_film()?;
        let place = match &self.kind {
            Kind::Folder(path, _) | Kind::File(path) => path,
        };
        let rows = film.images.len() / (film.frames * film.geometry.iter().product::<usize>()).max(1);
        self.roomy(film.geometry, rows).map_err(|e| PictureError::new(place, e))?;
        let path = match &self.kind {
            Kind::Folder(folder, stem) => {
                std::fs::create_dir_all(folder).map_err(|e| PictureError::new(folder, e))?;
                let near = folder.join(stem).with_extension("gif");
                write_free(names_near(&near), &film.bytes(self.scale, &near)?)?
            }
            Kind::File(path) => {
                self.make_folder(path)?;
                super::grid::write(path, &film.bytes(self.scale, path)?)?;
                path.clone()
            }
        };
        Ok(listed(&path, None))
    }
}

fn is_stream(path: &Path) -> bool {
    matches!(Target::of(path), Ok(Target::Stream(_)))
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// Whether a path is that of the medium itself.
fn is_medium(path: &Path, medium: Medium) -> bool {
    match medium {
        Medium::Pictures => false,
        Medium::Films { .. } => has_extension(path, "gif"),
        Medium::Sounds { .. } => has_extension(path, "wav"),
    }
}

fn listed(path: &Path, beside: Option<&Path>) -> Written {
    let beside = beside.map(|path| format!(", {}", path.display())).unwrap_or_default();
    format!("{}{beside}", path.display())
}

/// Each image in a file of its own, enlarged so many times, numbered behind those that are there.
fn each(grid: &Grid, medium: Medium, scale: Option<usize>, folder: &Path, stem: &str) -> Result<Written, PictureError> {
    let fail = |e: std::io::Error| PictureError::new(folder, e);
    std::fs::create_dir_all(folder).map_err(fail)?;
    let [c, h, w] = grid.geometry;
    let extension = match medium {
        Medium::Pictures => "png",
        Medium::Films { .. } => "gif",
        Medium::Sounds { .. } => "wav",
    };
    let number = |name: &str| -> Option<usize> {
        let (name, _) = name.strip_prefix(stem)?.strip_prefix('-')?.rsplit_once('.')?;
        name.parse().ok()
    };
    let there = std::fs::read_dir(folder).map_err(fail)?.flatten();
    let last = there.filter_map(|entry| number(&entry.file_name().to_string_lossy())).max().unwrap_or(0);
    // Others may number theirs at the same time.
    let start = last.saturating_add(1);
    let name = |k: usize| folder.join(format!("{stem}-{k:04}.{extension}"));
    let mut names = (start..=usize::MAX).map(name);
    let mut written: Vec<PathBuf> = Vec::new();
    for image in grid.images.chunks_exact((c * h * w).max(1)) {
        let path = folder.join(stem);
        let one = Grid { images: image, geometry: grid.geometry, columns: 1 };
        let bytes = match medium {
            Medium::Pictures => encoded(&single(image, grid.geometry, scale.unwrap_or(1)), ImageFormat::Png, &path)?,
            Medium::Films { .. } | Medium::Sounds { .. } => one.medium(medium, scale, &path)?.unwrap_or_default().1,
        };
        written.push(write_free(names.by_ref(), &bytes)?);
    }
    match written.as_slice() {
        [] => Ok(listed(folder, None)),
        [one] => Ok(listed(one, None)),
        [first, .., last] => {
            let (count, first, last) = (written.len(), first.display(), last.display());
            // What others put between is not this one's.
            let between = if names.next() == Some(name(start.saturating_add(count))) { "" } else { "between " };
            let to = if between.is_empty() { "to" } else { "and" };
            Ok(format!("{count} files, {between}{first} {to} {last}"))
        }
    }
}

/// One image [c,h,w] in [0, 1], a square of so many pixels by so many for a pixel.
fn single(image: &[f32], [c, h, w]: [usize; 3], scale: usize) -> RgbImage {
    RgbImage::from_fn((w * scale) as u32, (h * scale) as u32, |x, y| {
        let at = |channel: usize| level(image[(channel.min(c - 1) * h + y as usize / scale) * w + x as usize / scale]);
        Rgb([at(0), at(1), at(2)])
    })
}

/// Writes a new file at the first path that is free, and returns that; of several who do so at once
/// each gets one.
fn write_free(mut paths: impl Iterator<Item = PathBuf>, bytes: &[u8]) -> Result<PathBuf, PictureError> {
    loop {
        let path = paths.next().unwrap_or_default();
        match create(&path, |file| file.write_all(bytes)) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.file_name().is_some() => {}
            Err(e) => return Err(PictureError::new(&path, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(images: &[f32]) -> Grid<'_> {
        Grid { images, geometry: [1, 4, 6], columns: 2 }
    }

    #[test]
    fn files_are_in_the_format_of_their_extension() {
        let dir = tempfile::tempdir().unwrap();
        let images = [0.5; 2 * 24];
        for (extension, format) in [("png", ImageFormat::Png), ("JPG", ImageFormat::Jpeg), ("bmp", ImageFormat::Bmp)] {
            let path = dir.path().join(format!("a.{extension}"));
            let place = Output::new(Some(&path), dir.path(), "samples.png", Medium::Pictures).unwrap();
            place.save(&grid(&images), Medium::Pictures).unwrap();
            assert_eq!(image::guess_format(&std::fs::read(&path).unwrap()).unwrap(), format);
        }
        for name in ["a.xyz", "a", "a.txt"] {
            let path = dir.path().join(name);
            let error = Output::new(Some(&path), dir.path(), "samples.png", Medium::Pictures).unwrap_err().to_string();
            assert!(error.contains("png") && error.contains("jpg") && !path.exists(), "{error}");
        }
    }

    #[test]
    fn a_folder_gets_a_file_for_each_image_and_loses_none() {
        let dir = tempfile::tempdir().unwrap();
        let folder = PathBuf::from(format!("{}/new/", dir.path().display()));
        let images: Vec<f32> = (0..3 * 24).map(|i| (i / 24) as f32 / 2.0).collect();
        for round in 1..=2 {
            let place = Output::new(Some(&folder), dir.path(), "samples.png", Medium::Pictures).unwrap();
            let written = place.save(&grid(&images), Medium::Pictures).unwrap();
            assert!(written.starts_with("3 files"), "{written}");
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3 * round);
        }
        let third = image::open(folder.join("sample-0003.png")).unwrap().into_rgb8();
        assert_eq!((third.dimensions(), third.get_pixel(5, 3).0), ((6, 4), [255; 3]));
    }

    #[test]
    fn pixels_are_squares_of_the_size_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let images: Vec<f32> = (0..24).map(|i| i as f32 / 24.0).collect();
        let (file, folder) = (dir.path().join("a.png"), dir.path().join("b"));
        std::fs::create_dir(&folder).unwrap();
        for scale in [1, 3, 16] {
            for (path, at, gap) in [(&file, file.clone(), 2), (&folder, folder.join("sample-0001.png"), 0)] {
                let place = Output::new(Some(path), dir.path(), "samples.png", Medium::Pictures).unwrap();
                place.enlarged(Some(scale)).save(&grid(&images), Medium::Pictures).unwrap();
                let made = image::open(&at).unwrap().into_rgb8();
                let n = scale as u32;
                assert_eq!(made.dimensions(), (6 * n + 2 * gap, 4 * n + 2 * gap));
                for (x, y) in [(0, 0), (n - 1, n - 1), (n, 0), (5 * n, 3 * n), (6 * n - 1, 4 * n - 1)] {
                    let wanted = level(images[((y / n) * 6 + x / n) as usize]);
                    assert_eq!(made.get_pixel(gap + x, gap + y).0, [wanted; 3], "{scale} {x} {y}");
                }
                std::fs::remove_file(at).unwrap();
            }
        }
        let place = Output::new(None, dir.path(), "samples.png", Medium::Pictures).unwrap();
        assert!(place.enlarged(Some(16)).roomy([3, 4096, 4096], usize::MAX).is_err());
    }

    #[test]
    fn of_several_who_number_at_once_each_keeps_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let images = [0.5; 20 * 24];
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let place = Output::new(Some(dir.path()), dir.path(), "samples.png", Medium::Pictures).unwrap();
                    place.save(&grid(&images), Medium::Pictures).unwrap();
                });
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 80);
    }

    #[test]
    fn what_goes_with_a_picture_overwrites_nothing_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let sounds = [0.5; 8];
        let grid = Grid { images: &sounds, geometry: [1, 1, 8], columns: 1 };
        let medium = Medium::Sounds { rate: 8 };
        let (picture, song) = (dir.path().join("song.png"), dir.path().join("song.wav"));
        std::fs::write(&song, b"somebody's").unwrap();
        let place = Output::new(Some(&picture), dir.path(), "samples.png", medium).unwrap();
        let written = place.save(&grid, medium).unwrap();
        assert!(written.contains("song-1.wav"), "{written}");
        assert_eq!(std::fs::read(&song).unwrap(), b"somebody's");
        // Whoever names the sound gets the sound.
        Output::new(Some(&song), dir.path(), "samples.png", medium).unwrap().save(&grid, medium).unwrap();
        assert_eq!(&std::fs::read(&song).unwrap()[..4], b"RIFF");
    }

    #[test]
    fn films_are_called_gif_or_webp() {
        let dir = tempfile::tempdir().unwrap();
        let place =
            |name: &str| Output::new(Some(&dir.path().join(name)), dir.path(), "a.gif", Medium::Pictures).unwrap();
        let film = Film { images: &[0.5; 2 * 24], geometry: [1, 4, 6], frames: 2, is_loop: true, rate: Film::RATE };
        assert!(place("b.png").takes_film().is_err() && place("b.png").save_film(&film).is_err());
        for (name, wanted) in [("b.gif", "b.gif"), ("b.gif", "b.gif"), ("", "a.gif"), ("", "a-1.gif")] {
            let written = place(name).save_film(&film).unwrap();
            assert_eq!(written, dir.path().join(wanted).display().to_string());
            assert_eq!(&std::fs::read(written).unwrap()[..4], b"GIF8");
        }
        let written = place("b.webp").save_film(&film).unwrap();
        assert_eq!(&std::fs::read(written).unwrap()[8..16], b"WEBPVP8X");
    }
}
