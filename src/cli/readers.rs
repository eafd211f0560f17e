//! The readers of what people hand to commands, by bytes; see [`crate::by_bytes`].

use super::{bench_kernels, complete, run, term, times};
use crate::by_bytes::{Reader, decoded, file, text};
use crate::data::Geometry;

/// Those of this room.
pub(crate) const READERS: &[Reader] = &[
    Reader { name: "run-tensors", read: run_tensors, most: text },
    Reader { name: "baseline", read: |bytes| file("times.json", bytes, bench_kernels::Baseline::read), most: text },
    Reader {
        name: "times",
        read: |bytes| serde_json::from_slice::<times::Times>(bytes).map(drop).map_err(|error| error.to_string()),
        most: text,
    },
    Reader { name: "mask", read: mask, most: decoded },
];

/// The tensors of `limn run`, and what each operation makes of them before it computes.
fn run_tensors(bytes: &[u8]) -> Result<(), String> {
    // What is said of tensors that go unread is not what is looked at.
    term::be_silent();
    file("in.safetensors", bytes, run::prepare_all)
}

/// A picture that says what of an image is kept.
fn mask(bytes: &[u8]) -> Result<(), String> {
    file("mask", bytes, |path| complete::keep(&path.to_string_lossy(), Geometry::new(3, 8, 8)))
}
