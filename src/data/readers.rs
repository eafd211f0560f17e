//! The readers of images, by bytes; see [`crate::readers`].

use super::{cifar, fetch, idx, media};
use crate::readers::{Reader, file, text, unpacked};
use std::path::Path;

/// Those of this room.
pub(crate) const READERS: &[Reader] = &[
    Reader {
        name: "idx-images",
        read: |bytes| told(idx::parse_images(bytes, bytes.len() as u64, Path::new("images"))),
        most: unpacked,
    },
    Reader {
        name: "idx-labels",
        read: |bytes| told(idx::parse_labels(bytes, bytes.len() as u64, Path::new("labels"))),
        most: unpacked,
    },
    Reader { name: "cifar", read: |bytes| file("batch.bin", bytes, cifar::load_file), most: text },
    Reader { name: "archive", read: |bytes| archive(bytes), most: unpacked },
    media::readers::PICTURE,
    media::readers::SEEN,
    media::readers::FILM,
    media::readers::SOUND,
    media::readers::LABELS,
    media::readers::NOTES,
];

fn told<T>(read: Result<T, super::Error>) -> Result<(), String> {
    read.map(drop).map_err(|error| error.to_string())
}

/// What a package's archive holds, and what a known set is made of it.
fn archive(bytes: &[u8]) -> Result<(), String> {
    let files = fetch::untar(bytes, |_| true)?;
    fetch::cifar_from_png(&files).map(drop)
}
