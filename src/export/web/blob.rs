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

    /// Where each array is.
    pub fn index(&self) -> &[Entry] {
        &self.index
    }

    /// The largest relative change that rounding has made.
    pub fn rounded(&self) -> f32 {
        self.rounded
    }

    /// The numbers of an array of floats as somebody who reads them gets them.
    #[cfg(test)]
    pub fn read(&self, name: &str) -> Option<Vec<f32>> {
        let entry = self.index.iter().find(|entry| entry.name == name)?;
        let bytes = &self.bytes[entry.at..];
        Some(match entry.kind {
            "f16" => bytes.chunks_exact(2).take(entry.len).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            _ => bytes.chunks_exact(4).take(entry.len).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        })
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
