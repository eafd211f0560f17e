//! Variants of `conv2d_weight_grad` for subgroups of 8 SIMD lanes of a CPU core.

use super::conv::Conv;
use super::gather::{Gather, Role};
use super::lanes::{self, STEP, Size, Source, size};
use super::weight_grad::WeightGrad;
use crate::kernels::{Caps, Recipe, Slot, Stage, grid_1d};

static SIZES: [Size; 4] = [
    size!(WeightGrad, "lanes_weight_grad" as "lanes", 64, 32, 8, 4),
    size!(WeightGrad, "lanes_weight_grad" as "lanes", 32, 32, 4, 4),
    size!(WeightGrad, "lanes_weight_grad" as "lanes", 64, 16, 8, 2),
    size!(WeightGrad, "lanes_weight_grad" as "lanes", 32, 16, 4, 2),
];

/// For kernels of one tap, from planes as they lie.
static PLANES: [Size; 2] = [
    size!(WeightGrad, "lanes_planes_weight_grad" as "planes", 32, 16, 4, 2),
    size!(WeightGrad, "lanes_planes_weight_grad" as "planes", 16, 32, 2, 4),
];

/// For kernels three wide, from planes as they lie: a third of the lines to each tap of a row.
static ROWS: [Size; 3] = [
    size!(WeightGrad, "lanes_rows_weight_grad" as "rows", 48, 16, 6, 2),
    size!(WeightGrad, "lanes_rows_weight_grad" as "rows", 24, 16, 3, 2),
    size!(WeightGrad, "lanes_rows_weight_grad" as "rows", 24, 32, 3, 4),
];

/// The variants, the one of least work first.
pub(super) fn recipes(conv: &Conv, caps: &Caps) -> Vec<Recipe> {
    let mut all = in_place(conv, caps);
    all.extend(packed(conv, caps));
    all.retain(|recipe| recipe.fits(caps));
    all
}

/// Those that need no copy of x and dy.
fn in_place(conv: &Conv, caps: &Caps) -> Vec<Recipe> {
    let role = Gather::conv(conv, Role::Conv);
    let (sizes, taps, step): (&'static [Size], u32, u32) = match (lanes::in_fours(&role), lanes::in_rows(&role)) {
        (true, _) => (&PLANES, 1, STEP),
        (_, true) => (&ROWS, 3, conv.ow),
        _ => return Vec::new(),
    };
    let form = |size: &Size| WeightGrad::new(conv, 1, size.width);
    // Workgroups for one share of the terms: rows of the kernel, channels of x and columns.
    let blocks = |size: &Size| {
        let form = form(size);
        let kernel_rows = (form.lines / form.ci).div_ceil(taps);
        kernel_rows * form.ci.div_ceil(size.rows() / taps) * form.columns.div_ceil(size.columns())
    };
    let mut sizes: Vec<&'static Size> = sizes.iter().collect();
    sizes.sort_by_key(|size| blocks(size) * (32 * (size.blocks / taps + size.width) + 8 * size.blocks * size.width));
    let recipe = |size: &'static Size| {
        let form = form(size).split(blocks(size), 64, 256, step);
        let mut recipe = Recipe { name: size.name, scratch: Vec::new(), stages: Vec::new() };
        let part = recipe.scratch(form.partials());
        recipe.stages.push(
            Stage::new(size.shader(caps), &form, grid_1d((blocks(size) * form.splits) as usize, caps))
                .bind("x", Slot::Read(0))
                .bind("dy", Slot::Read(1))
                .bind("part", Slot::ScratchOut(part)),
        );
        recipe.stages.push(form.reduce(part, 0, caps));
        recipe
    };
    sizes.into_iter().map(recipe).collect()
}

fn packed(conv: &Conv, caps: &Caps) -> Vec<Recipe> {
    let x = Source::of(&Gather::conv(conv, Role::Conv));
    if !x.fits(caps) {
        return Vec::new();
    }
    let form = form(conv, &x);
    // What a workgroup loads and multiplies per four terms, in cycles of a core.
    let work = |size: &&Size| {
        let four = size.blocks * (70 + 40 * size.width) + 140 + 52 * size.width;
        u64::from(form.lines.div_ceil(size.rows())) * u64::from(form.pack.div_ceil(size.columns())) * u64::from(four)
    };
    let mut sizes: Vec<&Size> = SIZES.iter().collect();
    sizes.sort_by_key(work);
    sizes.into_iter().map(|size| recipe(conv, &x, caps, size)).collect()
}

/// The product with the lines that the source `x` makes.
fn form(conv: &Conv, x: &Source) -> WeightGrad {
    let form = WeightGrad::new(conv, STEP, STEP);
    match x.im2col() {
        None => WeightGrad { x_h: x.form.full_h, x_w: x.form.full_w, ..form },
        // One tap of as many channels as there are terms: those of a channel stand side by side.
        Some(taps) => {
            let channels = x.form.pack_src;
            WeightGrad { lines: channels, channels, pack_ci: 1, line_tap: 1, line_chan: taps, ..form }
        }
    }
}

fn recipe(conv: &Conv, x: &Source, caps: &Caps, size: &'static Size) -> Recipe {
    let form = form(conv, x);
    let blocks = form.lines.div_ceil(size.rows()).max(1) * form.pack.div_ceil(size.columns()) * form.groups;
    let form = form.split(blocks, 64, 256, STEP);
    // Of an im2col the main stage sees a kernel of one tap without a mask.
    let main = match x.im2col() {
        None => form,
        Some(_) => {
            let channels = x.form.pack_src;
            let (dense, groups) = (1, 1);
            let [kh, kw, stride_h, stride_w, dilation_h, dilation_w] = [1; 6];
            let form = WeightGrad { kh, kw, stride_h, stride_w, dilation_h, dilation_w, dense, groups, ..form };
            WeightGrad { mask: 0, pack_ci: channels, x_h: form.oh, x_w: form.ow, ..form }
        }
    };
    let mut recipe = Recipe { name: size.name, scratch: Vec::new(), stages: Vec::new() };
    let source = x.pack(&Gather::conv(conv, Role::Conv), caps, &mut recipe, 0);
    // dy with its channels innermost, sorted by colour as well.
    let plane = Gather::conv(&Conv::new([conv.n, conv.co, conv.oh, conv.ow], 1, [1, 1]), Role::Conv);
    let plane = Gather { groups: form.groups, pack_src: conv.co.div_ceil(form.groups), ..plane };
    let dy = Source::of(&plane).pack(&plane, caps, &mut recipe, 1);
    let part = recipe.scratch(form.partials());
    recipe.stages.push(
        Stage::new(size.shader(caps), &main, grid_1d((blocks * form.splits) as usize, caps))
            .bind("x", source)
            .bind("dyt", dy)
            .bind("part", Slot::ScratchOut(part)),
    );
    recipe.stages.push(form.reduce(part, 0, caps));
    recipe
}
