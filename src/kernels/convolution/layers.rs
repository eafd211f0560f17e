//! Many layers in one launch: which of them a workgroup is for, and its row of a table.

/// The most layers of one launch.
pub const MAX_LAYERS: usize = 16;

/// The first workgroup of each layer, for the field `first` of a parameter block, and of all layers the
/// count, by how many each has; of those that are not there none.
pub(super) fn starts(workgroups: impl Iterator<Item = u32>) -> ([u32; MAX_LAYERS], usize) {
    let mut starts = [u32::MAX; MAX_LAYERS];
    let mut all = 0;
    for (start, own) in std::iter::zip(&mut starts, workgroups) {
        *start = all;
        all += own;
    }
    (starts, all as usize)
}

/// WGSL that finds a workgroup's layer in the field `first` of the block.
macro_rules! find {
    ($($k:literal),*) => {
        concat!(
            "// Which of the layers of a launch a workgroup is for, by `first` of its block.\n\n#expects var p\n\n",
            "// Its number, and its first workgroup.\nstruct Found { number: u32, first: u32 }\n\n",
            "fn from_start(found: Found, number: u32, first: u32, index: u32) -> Found {\n",
            "  let behind = index >= first;\n",
            "  return Found(select(found.number, number, behind), select(found.first, first, behind));\n}\n\n",
            "fn find_layer(index: u32) -> Found {\n  var found = Found(0u, 0u);\n",
            $("  found = from_start(found, ", $k, "u, p.first", $k, ", index);\n",)*
            "  return found;\n}\n",
        )
    };
}

/// The piece of WGSL that finds a workgroup's layer.
pub(in crate::kernels) const FIND: &str = find!(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

/// WGSL that looks a layer up in the field `layers` of the block, whose fields are single numbers: a
/// function that gives the struct whose fields are named.
macro_rules! table {
    ($comment:literal, $ty:literal, $function:literal, $fields:tt) => {
        table!(@rows $comment, $ty, $function, $fields, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    };
    (@rows $comment:literal, $ty:literal, $function:literal, $fields:tt, [$($k:literal),*]) => {
        concat!(
            "// ", $comment, "\n\n#expects var p\n#expects type ", $ty, "\n\n",
            "fn ", $function, "(k: u32) -> ", $ty, " {\n  var found: ", $ty, ";\n  switch k {\n",
            $("    case ", $k, "u: {\n", table!(@row $k, $fields), "    }\n",)*
            "    default: {}\n  }\n  return found;\n}\n",
        )
    };
    (@row $k:literal, [$($field:literal),*]) => {
        concat!($("      found.", $field, " = p.layers", $k, "_", $field, ";\n",)*)
    };
}

/// The piece that looks up what `pack_weights` packs.
pub(in crate::kernels) const PACKED: &str = table!(
    "A layer of the block PackWeightsParams of src/kernels/convolution/pack_weights.rs by its number.",
    "Layer",
    "layer",
    ["src", "dst", "channels", "kind"]
);

/// The piece that looks up what `sum_weight_grads` sums.
pub(in crate::kernels) const SUMMED: &str = table!(
    "A layer of the block SumWeightGradsParams of src/kernels/convolution/sum_weight_grads.rs by its number.",
    "Sums",
    "sums_of_layer",
    [
        "part",
        "dw",
        "db",
        "co",
        "ci",
        "taps",
        "splits",
        "lines",
        "columns",
        "groups",
        "pack_ci",
        "pack",
        "line_tap",
        "line_chan",
        "dead",
        "dense",
        "colours",
        "share"
    ]
);
