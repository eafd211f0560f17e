//! Numbers inside of a page: compressed, and as text.

use super::super::ExportError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use half::f16;
use serde::Serialize;
use std::io::Write;

/// Arrays one behind the other.
#[derive(Default)]
pub(super) struct Blob {
    bytes: Vec<u8>,
    index: Vec<Entry>,
    half: bool,
    /// The largest change of a number by rounding, relative to it, among those that are normal
    /// numbers of f16.
    rounded: f32,
    /// An array with numbers that f16 does not reach.
    overflow: Option<String>,
}

/// Where an array is.
#[derive(Clone, Serialize)]
pub(super) struct Entry {
    name: String,
    /// `f32`, `f16`, `u32` or `u8`.
    kind: &'static str,
    /// First byte.
    at: usize,
    /// Numbers.
    len: usize,
}

impl Blob {
    /// An empty one, that takes floats as f16 if they are to be `half` as large.
    pub fn new(half: bool) -> Blob {
        Blob { half, ..Blob::default() }
    }

    /// Adds floats.
    pub fn floats(&mut self, name: &str, values: &[f32]) {
        if !self.half {
            return self.push(name, "f32", values.len(), bytemuck::cast_slice(values));
        }
        if values.iter().any(|v| v.abs() > f16::MAX.to_f32()) {
            self.overflow.get_or_insert(name.into());
        }
        let halves: Vec<u16> = values.iter().map(|v| f16::from_f32(*v).to_bits()).collect();
        for (value, half) in std::iter::zip(values, &halves) {
            if value.abs() >= f16::MIN_POSITIVE.to_f32() {
                let change = (f16::from_bits(*half).to_f32() - value).abs() / value.abs();
                self.rounded = self.rounded.max(change);
            }
        }
        self.push(name, "f16", values.len(), bytemuck::cast_slice(&halves));
    }

    /// Adds words that are no floats.
    pub fn words(&mut self, name: &str, values: &[u32]) {
        self.push(name, "u32", values.len(), bytemuck::cast_slice(values));
    }

    /// Adds bytes.
    pub fn bytes(&mut self, name: &str, values: &[u8]) {
        self.push(name, "u8", values.len(), values);
    }

    /// Each array begins at a multiple of four bytes.
    fn push(&mut self, name: &str, kind: &'static str, len: usize, bytes: &[u8]) {
        self.index.push(Entry { name: name.into(), kind, at: self.bytes.len(), len });
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Whether floats are taken as f16.
    pub fn is_half(&self) -> bool {
        self.half
    }

    /// The same with its floats as f16.
    pub fn halved(&self) -> Blob {
        let mut halves = Blob::new(true);
        for Entry { name, kind, at, len } in &self.index {
            match *kind {
                "f32" => halves.floats(name, &bytemuck::pod_collect_to_vec(&self.bytes[*at..at + 4 * len])),
                _ => {
                    let end = self.index.iter().map(|next| next.at).find(|next| next > at).unwrap_or(self.bytes.len());
                    halves.push(name, kind, *len, &self.bytes[*at..end]);
                }
            }
        }
        halves
    }

    /// Where each array is.
    pub fn index(&self) -> &[Entry] {
        &self.index
    }

    /// The largest relative change that rounding has made.
    pub fn rounded(&self) -> f32 {
        self.rounded
    }

    /// An array with numbers that f16 does not reach, if there is one.
    pub fn overflow(&self) -> Option<&str> {
        self.overflow.as_deref()
    }

    /// The whole as text.
    ///
    /// # Errors
    /// None that memory does not make.
    pub fn text(&self) -> Result<String, ExportError> {
        packed(&self.bytes)
    }
}

/// Bytes as text: compressed by gzip, in base 64.
pub(super) fn packed(bytes: &[u8]) -> Result<String, ExportError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    let packed = packed.map_err(|source| ExportError::Write { path: "the page".into(), source })?;
    Ok(BASE64_STANDARD.encode(packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_and_told_where_they_cannot_be() {
        let mut blob = Blob::new(true);
        blob.floats("a", &[1.0, 1.0 / 3.0, 0.0]);
        blob.words("b", &[7]);
        // An odd number of halves, and room up to a multiple of four bytes.
        assert_eq!((blob.bytes.len(), blob.index[1].at), (12, 8));
        assert!(blob.rounded() > 1e-5 && blob.rounded() < 1.0 / 2048.0 && blob.overflow().is_none());
        blob.floats("c", &[1e5]);
        assert_eq!(blob.overflow(), Some("c"));
    }

    #[test]
    fn what_is_halved_later_is_as_if_it_had_been_from_the_start() {
        let filled = |half| {
            let mut blob = Blob::new(half);
            blob.floats("a", &[1.0, 1.0 / 3.0, 0.0]);
            blob.words("b", &[7, 8]);
            blob.bytes("c", &[1, 2, 3]);
            blob.floats("d", &[0.5]);
            blob
        };
        let (halved, half) = (filled(false).halved(), filled(true));
        assert!(halved.is_half() && halved.text().unwrap() == half.text().unwrap());
        let places = |blob: &Blob| blob.index.iter().map(|e| (e.kind, e.at, e.len)).collect::<Vec<_>>();
        assert_eq!(places(&halved), places(&half));
    }
}
