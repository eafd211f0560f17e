//! The checksum of a checkpoint: over everything it says, in its metadata and in its tensors.

use rayon::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use sha2::{Digest, Sha256};

/// What stands before the checksum in the metadata, which is the text of a JSON object, and behind
/// it.
const OPEN: &str = "{\"checksum\":\"";
const CLOSE: &str = "\",";

/// Bytes of tensors that are summed up side by side.
const PIECE: usize = 1 << 20;

/// Whether a file is what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    /// It is.
    Whole,
    /// Something in it is other than its checksum says.
    Broken,
    /// It has no checksum.
    Not,
}

impl Sealed {
    /// Holds the metadata `text` and the tensors of a file against the checksum in the metadata.
    pub(super) fn of(text: &str, file: &SafeTensors) -> Sealed {
        let Some((sum, rest)) = text.strip_prefix(OPEN).and_then(|rest| rest.split_once(CLOSE)) else {
            return Sealed::Not;
        };
        let tensors = file.tensors();
        let mut named: Vec<(&str, &TensorView)> = tensors.iter().map(|(name, view)| (name.as_str(), view)).collect();
        if sum == self::sum(rest, &mut named) { Sealed::Whole } else { Sealed::Broken }
    }
}

/// The metadata `info`, the text of a JSON object that is not empty, with the checksum of it and
/// the tensors as its first key.
pub(super) fn seal(info: &str, tensors: &[(&str, TensorView)]) -> String {
    let rest = info.strip_prefix('{').unwrap_or(info);
    let mut named: Vec<(&str, &TensorView)> = tensors.iter().map(|(name, view)| (*name, view)).collect();
    format!("{OPEN}{}{CLOSE}{rest}", sum(rest, &mut named))
}

/// SHA-256 over the rest of the metadata and, in the order of their names, each tensor's name,
/// type, shape and the digests of its pieces.
fn sum(rest: &str, tensors: &mut [(&str, &TensorView)]) -> String {
    tensors.sort_by_key(|(name, _)| *name);
    let mut hash = Sha256::new();
    hash.update(format!("{} {rest}", rest.len()));
    for (name, view) in tensors {
        hash.update(format!("{} {name} {} {:?}", name.len(), view.dtype(), view.shape()));
        let pieces: Vec<_> = view.data().par_chunks(PIECE).map(Sha256::digest).collect();
        pieces.iter().for_each(|piece| hash.update(piece));
    }
    crate::words::hex(&hash.finalize())
}
