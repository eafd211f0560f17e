//! What a path may lead to: one table, by which readers are found, and which help and errors are
//! read from.

use super::media::{films, folder, pictures, sounds};
use super::{Error, Geometry, Look, Medium, Opened, Options, Source, Split, cifar, idx, sets};
use crate::words::either;
use std::io::Read;
use std::path::Path;

/// How a format is read, by what its images are.
enum Reader {
    Pictures(fn(&Path, Option<Geometry>, &Options) -> Result<Opened, Error>),
    /// The same, with a reader of a few of them, where all of them take long.
    Folder(fn(&Path, Option<Geometry>, &Options) -> Result<Opened, Error>, fn(&Path, &Options) -> Result<Look, Error>),
    Films(fn(&Path, Geometry, usize, &Options) -> Result<Opened, Error>),
    Sounds(fn(&Path, Geometry, u32, &Options) -> Result<Opened, Error>),
}

/// A row of the table.
struct Format {
    /// What a person has, behind "a" or "an".
    name: &'static str,
    /// Whether a folder holds it; without one it is a file.
    in_folder: Option<fn(&Path) -> bool>,
    /// Whether a file with these first bytes is one; of folders it is not asked.
    in_file: fn(&Path, &[u8]) -> bool,
    reader: Reader,
}

/// The formats, in the order in which they are looked for.
const FORMATS: &[Format] = &[
    Format {
        name: "a folder of IDX files",
        in_folder: Some(|path| idx::in_folder(path).is_some()),
        in_file: no_file,
        reader: Reader::Pictures(|path, _, options| {
            let images = idx::in_folder(path).unwrap_or_else(|| path.into());
            opened(idx::load(&images)?, path, options)
        }),
    },
    Format {
        name: "a folder of CIFAR-10 files",
        in_folder: Some(|path| cifar::in_folder(path).is_some()),
        in_file: no_file,
        reader: Reader::Pictures(|path, _, options| {
            let folder = cifar::in_folder(path).unwrap_or_else(|| path.into());
            opened(cifar::load_folder(&folder)?, path, options)
        }),
    },
    Format {
        name: "a folder of pictures",
        in_folder: Some(|_| true),
        in_file: no_file,
        reader: Reader::Folder(folder::load, folder::look),
    },
    Format {
        name: "a CIFAR-10 .bin file",
        in_folder: None,
        in_file: |path, start| {
            let is_bin = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bin"));
            is_bin && !start.starts_with(&idx::IMAGES.to_be_bytes())
        },
        reader: Reader::Pictures(|path, _, options| opened(cifar::load_file(path)?, path, options)),
    },
    // Its reader says best what is wrong with a file of no other format.
    Format {
        name: "an IDX file",
        in_folder: None,
        in_file: |_, _| true,
        reader: Reader::Pictures(|path, _, options| opened(idx::load(path)?, path, options)),
    },
    Format {
        name: "a folder of animated GIFs or of folders with numbered frames",
        in_folder: Some(|_| true),
        in_file: no_file,
        reader: Reader::Films(films::load),
    },
    Format {
        name: "a folder of WAV, FLAC, MP3 or Ogg files",
        in_folder: Some(|_| true),
        in_file: no_file,
        reader: Reader::Sounds(sounds::load),
    },
];

fn no_file(_: &Path, _: &[u8]) -> bool {
    false
}

fn opened(source: Source, path: &Path, options: &Options) -> Result<Opened, Error> {
    Ok(source.opened(&path.display().to_string(), options))
}

impl Format {
    fn is_of(&self, medium: Medium) -> bool {
        matches!(
            (&self.reader, medium),
            (Reader::Pictures(_) | Reader::Folder(..), Medium::Pictures)
                | (Reader::Films(_), Medium::Films { .. })
                | (Reader::Sounds(_), Medium::Sounds { .. })
        )
    }
}

/// The formats of a medium.
fn of(medium: Medium) -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().filter(move |format| format.is_of(medium))
}

/// The formats of a medium in words.
pub(super) fn names(medium: Medium) -> String {
    let names: Vec<&str> = of(medium).map(|format| format.name).collect();
    either(&names)
}

/// Reads what a path leads to. Where no `geometry` is given, pictures keep their own; films and
/// sounds have none.
pub(super) fn read(spec: &str, geometry: Option<Geometry>, medium: Medium, options: &Options) -> Result<Opened, Error> {
    let path = Path::new(spec);
    match (found(spec, medium)?.map(|format| &format.reader), medium, geometry) {
        (Some(Reader::Pictures(load) | Reader::Folder(load, _)), ..) => load(path, geometry, options),
        (Some(Reader::Films(load)), Medium::Films { frames }, Some(geometry)) => load(path, geometry, frames, options),
        (Some(Reader::Sounds(load)), Medium::Sounds { rate }, Some(geometry)) => load(path, geometry, rate, options),
        _ => Err(Error::NotAFolder { path: path.into(), wants: medium.plural() }),
    }
}

/// What a look at what a path leads to shows.
pub(super) fn look(spec: &str, medium: Medium, options: &Options) -> Result<Look, Error> {
    if let Some(Format { reader: Reader::Folder(_, look), .. }) = found(spec, medium)? {
        return look(Path::new(spec), options);
    }
    let opened = read(spec, None, medium, options)?;
    let count = opened.train.len() + opened.test.as_ref().map_or(0, Split::len);
    Ok(Look { count, seen: vec![opened.native] })
}

/// The format of what a path leads to.
fn found(spec: &str, medium: Medium) -> Result<Option<&'static Format>, Error> {
    let path = Path::new(spec);
    if !path.exists() {
        return Err(Error::Unknown { name: spec.into(), hint: sets::nearest(spec) });
    }
    Ok(if path.is_dir() {
        of(medium).find(|format| format.in_folder.is_some_and(|is| is(path)))
    } else if !matches!(medium, Medium::Pictures) {
        None
    } else if !path.is_file() {
        let why = "it is neither a file nor a folder".into();
        return Err(Error::Damaged { path: path.into(), why });
    } else {
        let start = start(path)?;
        if pictures::looks_like_image(&start) {
            return Err(Error::SingleImage { path: path.into() });
        }
        of(medium).find(|format| format.in_folder.is_none() && (format.in_file)(path, &start))
    })
}

/// The first bytes of a file, up to 12.
fn start(path: &Path) -> Result<Vec<u8>, Error> {
    let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let mut start = Vec::new();
    file.take(12).read_to_end(&mut start).map_err(Error::io("read", path))?;
    Ok(start)
}

/// What images may be opened by, for the help of a flag: known sets and what a path may lead to.
pub fn in_words() -> String {
    let told = |medium: Medium| format!("{}, {}", sets::names(medium).join(", "), names(medium));
    format!(
        "{}; for films {}; for sounds {}",
        told(Medium::Pictures),
        told(Medium::Films { frames: 1 }),
        told(Medium::Sounds { rate: 1 })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_tells_every_set_and_every_format() {
        let words = in_words();
        for name in FORMATS.iter().map(|format| format.name).chain(sets::SETS.iter().map(|set| set.name)) {
            assert!(words.contains(name), "{name}: {words}");
        }
        assert!(words.starts_with("fashion-mini, mnist, "), "{words}");
    }

    #[test]
    fn files_go_by_what_they_begin_with() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str, bytes: &[u8], medium: Medium| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            read(path.to_str().unwrap(), Some(Geometry::new(1, 2, 2)), medium, &Options::default()).unwrap_err()
        };
        assert!(matches!(read("a.wav", b"RIFF", Medium::Sounds { rate: 8000 }), Error::NotAFolder { .. }));
        let images = idx::encode(idx::IMAGES, &[2, 2, 2], &[1; 8]);
        let path = dir.path().join("set.bin");
        std::fs::write(&path, images).unwrap();
        let set = super::read(path.to_str().unwrap(), None, Medium::Pictures, &Options::default()).unwrap();
        assert_eq!(set.native, Geometry::new(1, 2, 2));
        let gone = super::read("no/such/path", None, Medium::Pictures, &Options::default()).unwrap_err();
        assert!(matches!(gone, Error::Unknown { .. }));
    }
}
