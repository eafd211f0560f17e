//! The readers of images, by bytes; see [`crate::by_bytes`].

use super::{cifar, fetch, idx, media};
use crate::by_bytes::{Reader, file, text, unpacked};
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
    Reader { name: "archive", read: |bytes| archive(bytes), most: set },
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

/// What an archive may take: what it holds, and of a set's 60,000 images 3072 bytes each, beside those of one file
/// in up to four times two bytes a pixel and in three.
fn set(bytes: u64) -> u64 {
    unpacked(bytes) + 60_000 * 3072 + 10_000 * 1024 * (8 + 3)
}

/// What a package's archive holds, and what a known set is made of it.
fn archive(bytes: &[u8]) -> Result<(), String> {
    let files = fetch::untar(bytes, |_| true)?;
    fetch::cifar_from_png(&files).map(drop)
}
