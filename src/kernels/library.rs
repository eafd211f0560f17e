//! The library of WGSL that shaders import by name, see [`super::compose`].

use super::convolution::layers::{FIND, PACKED, SUMMED};
use super::pixels;
use super::pointwise::{ACTIVATE, APPLY};

/// Pieces that are made of a table, and the named files of `shaders/lib/` with their text.
macro_rules! pieces {
    ([$($made:expr),*] $($name:literal)*) => {
        &[$($made,)* $(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/lib/", $name, ".wgsl"))),)*]
    };
}

/// Every piece: its name and its text.
pub(super) static PIECES: &[(&str, &str)] = pieces! {
    [("activate", ACTIVATE), ("apply", APPLY), ("find_layer", FIND), ("packed_layers", PACKED),
     ("summed_layers", SUMMED)]
    "activate1"
    "activate4"
    "activation"
    "averaged"
    "columns"
    "columns_block"
    "coop_gather"
    "coop_weight_grad"
    "edge16"
    "edge8"
    "elementary"
    "flat"
    "fragments_emulated"
    "fragments_units"
    "gather"
    "gather_block"
    "gather_lanes"
    "last_f16"
    "last_f32"
    "last_gather"
    "last_terms"
    "leaves_moments"
    "leaves_nothing"
    "leaves_sums"
    "leaves_turns"
    "lstm"
    "nan"
    "normal"
    "operand_f16"
    "operand_f32"
    "pack_square"
    "pack_words"
    "philox"
    "pixel_distribution"
    "pointwise"
    "probe_emulated"
    "probe_units"
    "put_lines"
    "rate"
    "scale_f16"
    "softmax"
    "store_planes"
    "sum_parts"
    "sums_flat"
    "sums_nested"
    "tile_gather"
    "tile_weight_grad"
    "unaveraged"
    "units16"
    "units8"
    "walk"
    "weight_grad"
    "width1"
    "width2"
    "width4"
    "workgroup_sum"
};

/// A piece that is made of what Rust declares: its name and its text.
pub(super) fn made(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "distributions" => Some(("distributions", &pixels::pixel_distribution::WGSL)),
        "instructions" => Some(("instructions", &pixels::instruction::WGSL)),
        _ => None,
    }
}
