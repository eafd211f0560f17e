//! The readers of people's files, by bytes; see [`crate::by_bytes`].

use super::labels::Table;
use super::reading::Reading;
use super::{Error, Geometry, Options, cache, films, pictures, sounds, waves};
use crate::by_bytes::{Reader, decoded, file, text};
use crate::data::Levels;
use crate::files::NEVER;
use std::path::Path;

/// What the levels of pictures and sounds are stretched from here.
const STRETCH: Option<Levels> = Some(Levels { low: 0.25, high: 0.75 });

pub(in crate::data) const PICTURE: Reader = Reader {
    name: "picture",
    read: |bytes| {
        file("picture", bytes, |path| {
            pictures::read_picture(path, Some(Geometry::new(1, 8, 8)), STRETCH, &NEVER)?;
            pictures::read_picture(path, Some(Geometry::new(3, 6, 9)), None, &NEVER)
        })
    },
    most: decoded,
};

pub(in crate::data) const SEEN: Reader = Reader {
    name: "picture-size",
    read: |bytes| file("seen", bytes, |path| pictures::seen(path, &NEVER)),
    most: decoded,
};

pub(in crate::data) const FILM: Reader = Reader {
    name: "film",
    read: |bytes| {
        file("film.gif", bytes, |path| films::gif(path, Geometry::new(1, 4, 4), STRETCH, &Options::default()))
    },
    most: decoded,
};

pub(in crate::data) const SOUND: Reader = Reader {
    name: "sound",
    read: |bytes| {
        file("sound", bytes, |path| -> Result<(), Error> {
            let reading = Reading::new(path, &NEVER);
            for sound in waves::read(&reading)? {
                sounds::at_rate(&reading, sound, 8000)?;
            }
            Ok(())
        })
    },
    most: decoded,
};

pub(in crate::data) const LABELS: Reader = Reader {
    name: "labels",
    read: |bytes| {
        file("labels.csv", bytes, |path| {
            let table = Table::read(path)?;
            table.label(Path::new("root"), Path::new("root/1.png"));
            Ok::<_, Error>(())
        })
    },
    most: text,
};

pub(in crate::data) const NOTES: Reader = Reader {
    name: "decoded-notes",
    read: |bytes| {
        let notes: cache::Notes = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        notes.with(vec![0; 64].into(), 16).map(drop).ok_or_else(|| "they are of other images".into())
    },
    most: text,
};
