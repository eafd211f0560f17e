//! Variants of `conv2d_weight_grad` for subgroups of 8 SIMD lanes of a CPU core.

use super::conv::Conv;
use super::weight_grad::WeightGrad;
use super::{Caps, Recipe, Shader, Slot, Stage, grid_1d, shader};

/// A main stage: lines and columns of a workgroup.
struct Size {
    name: &'static str,
    lines: u32,
    columns: u32,
    shader: Shader,
}

static SIZES: [Size; 3] = [
    Size { name: "lanes_16x32", lines: 16, columns: 32, shader: shader!("lanes_weight_grad_16x32", "weight_grad") },
    Size { name: "lanes_8x32", lines: 8, columns: 32, shader: shader!("lanes_weight_grad_8x32", "weight_grad") },
    Size { name: "lanes_32x16", lines: 32, columns: 16, shader: shader!("lanes_weight_grad_32x16", "weight_grad") },
];
static TRANSPOSE: Shader = shader!("lanes_transpose", "weight_grad");

/// Lanes of a workgroup.
const LANES: u32 = 8;
/// Pixels that one invocation of the transposing stage copies.
const RUN: u32 = 16;

/// The variants, the one that computes least for nothing first.
pub(super) fn recipes(conv: &Conv, caps: &Caps) -> Vec<Recipe> {
    let form = WeightGrad::new(conv, 1);
    let mut sizes: Vec<&Size> = SIZES.iter().collect();
    // Per term a workgroup loads and multiplies; both in units of about one multiplication of 8 lanes.
    let work = |size: &&Size| {
        let (lines, cols) = (size.lines.div_ceil(LANES), size.columns / LANES);
        let term = 16 * lines + 6 * cols + 3 * size.lines * cols / 2 + size.lines;
        u64::from(form.lines.div_ceil(size.lines)) * u64::from(form.pack.div_ceil(size.columns)) * u64::from(term)
    };
    sizes.sort_by_key(work);
    sizes.into_iter().map(|size| recipe(conv, caps, size)).collect()
}

fn recipe(conv: &Conv, caps: &Caps, size: &'static Size) -> Recipe {
    let width = size.columns / LANES;
    let form = WeightGrad::new(conv, width);
    let blocks = form.lines.div_ceil(size.lines).max(1) * (form.pack / width).div_ceil(LANES) * form.groups;
    let form = form.split(blocks, 64, 256, 4);
    let dyt = form.terms as usize * form.columns as usize;
    let runs = form.n * (form.oh * form.ow).div_ceil(RUN) * form.columns.div_ceil(LANES);
    let transpose = Stage::new(&TRANSPOSE, &form, grid_1d(runs as usize, caps))
        .bind("dy", Slot::Read(1))
        .bind("dyt", Slot::ScratchOut(0))
        .constant("RUN", RUN);
    let main = Stage::new(&size.shader, &form, grid_1d((blocks * form.splits) as usize, caps))
        .bind("x", Slot::Read(0))
        .bind("dyt", Slot::ScratchIn(0))
        .bind("part", Slot::ScratchOut(1));
    let stages = vec![transpose, main, form.reduce(1, caps)];
    Recipe { name: size.name, scratch: vec![dyt, form.partials()], stages }
}
