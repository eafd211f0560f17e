//! Variants of the gather form for subgroups of 8 SIMD lanes of a CPU core.

use super::gather::Gather;
use super::{Caps, Recipe, Shader, Slot, Stage, grid_1d, params, shader};

params! {
    /// The block of `lanes_activate.wgsl`.
    pub struct Activate {
        /// Elements.
        pub len: u32,
        /// Code of the activation.
        pub act: u32,
        /// Slope of a leaky ReLU.
        pub slope: f32,
    }
}

/// A main stage: outputs and columns of a workgroup, and whether it takes four taps at a time
/// instead of four source channels.
struct Size {
    name: &'static str,
    outputs: u32,
    columns: u32,
    by_taps: bool,
    shader: Shader,
}

macro_rules! size {
    ($name:literal, $outputs:literal, $columns:literal, $by_taps:literal) => {
        Size {
            name: $name,
            outputs: $outputs,
            columns: $columns,
            by_taps: $by_taps,
            shader: shader!($name, "gather", "gather_lanes"),
        }
    };
}

static SIZES: [Size; 6] = [
    size!("lanes_16x32", 16, 32, false),
    size!("lanes_8x32", 8, 32, false),
    size!("lanes_32x16", 32, 16, false),
    size!("lanes_32x8", 32, 8, false),
    size!("lanes_taps_16x32", 16, 32, true),
    size!("lanes_taps_32x16", 32, 16, true),
];
static COL2IM: Shader = shader!("lanes_col2im", "activation", "gather");
static PACK: Shader = shader!("lanes_pack", "gather");
static ACTIVATE: Shader = shader!("lanes_activate", "activation");

/// Lanes of a workgroup.
const LANES: u32 = 8;
/// Source channels that one invocation of the pack stage copies.
const RUN: u32 = 16;
/// Terms the main stage takes at a time.
const STEP: u32 = 4;

impl Size {
    /// About what computing `form` costs, in multiplications of 8 lanes: what a workgroup loads and
    /// multiplies per term, what it takes to begin and to store.
    fn work(&self, form: &Gather) -> u64 {
        let [(ph, uh), (pw, uw)] = form.phases();
        let outputs = (form.rows as usize * uh * uw).div_ceil(self.outputs as usize);
        let blocks =
            (outputs * ph * pw) as u64 * u64::from(form.pack_dst.div_ceil(self.columns) * form.groups * form.batch);
        let taps = (form.kh * form.kw).div_ceil((ph * pw) as u32);
        let terms = if self.by_taps {
            form.sc * taps.next_multiple_of(STEP)
        } else {
            form.pack_src.next_multiple_of(STEP) * form.groups * taps
        };
        let (loads, columns) = (self.outputs / LANES, self.columns / LANES);
        let load = if self.by_taps { 24 } else { 12 };
        let term = load * loads + 8 * columns + 2 * self.outputs * columns + self.outputs;
        blocks * u64::from(terms * term + 800 * loads + 100 * self.outputs * columns + 2000)
    }
}

/// The variants, the one of least work first.
pub(super) fn recipes(form: &Gather, caps: &Caps) -> Vec<Recipe> {
    // The shaders divide indices of outputs and workgroups as f32, exact below 2^24.
    let [(ph, uh), (pw, uw)] = form.phases();
    let outputs = (form.rows * form.batch) as usize * ph * uh * pw * uw;
    if outputs * (form.pack_dst * form.groups).div_ceil(LANES) as usize >= 1 << 24 {
        return Vec::new();
    }
    let mut sizes: Vec<&Size> = SIZES.iter().filter(|s| !s.by_taps || form.kh * form.kw > 1).collect();
    sizes.sort_by_key(|size| size.work(form));
    let mut all: Vec<Recipe> = sizes.iter().map(|size| recipe(form, caps, size)).collect();
    if let Some(columns) = by_columns(form, caps) {
        let first = if form.dc < 8 { 0 } else { all.len() };
        all.insert(first, columns);
    }
    all
}

fn recipe(form: &Gather, caps: &Caps, size: &'static Size) -> Recipe {
    let width = size.columns / LANES;
    let mut form = *form;
    if !size.by_taps {
        form.pack_src = form.pack_src.next_multiple_of(STEP);
    }
    form.pack_dst = form.pack_dst.next_multiple_of(width);
    let mut recipe = Recipe { name: size.name, scratch: Vec::new(), stages: Vec::new() };
    let packed = form.kh * form.kw * form.groups == 1 && form.w_dst == 1;
    let weights = if packed && form.dc == form.pack_dst && form.sc == form.pack_src {
        Slot::Read(1)
    } else {
        recipe.pack(&form, caps);
        Slot::ScratchIn(0)
    };
    recipe.stages.push(main_stage(&form, caps, size, weights, Slot::Write(0)));
    if form.act > 2 {
        let len = form.batch * form.rows * form.dc * form.dh * form.dw;
        let block = Activate { len, act: form.act, slope: form.slope };
        let grid = grid_1d(len.div_ceil(LANES) as usize, caps);
        recipe.stages.push(Stage::new(&ACTIVATE, &block, grid).bind("x", Slot::Write(0)));
    }
    recipe
}

/// `form` has its channels padded as the shader wants them.
fn main_stage(form: &Gather, caps: &Caps, size: &'static Size, weights: Slot, dst: Slot) -> Stage {
    // A leaky ReLU of slope 0 is a ReLU (of which the shader makes 0, not -0), one of slope 1 the
    // identity; curved ones come behind.
    let slope = [1.0, 0.0, form.slope].get(form.act as usize).copied().unwrap_or(1.0);
    let [(ph, uh), (pw, uw)] = form.phases();
    let columns = form.pack_dst.div_ceil(size.columns) * form.groups * form.batch;
    let outputs = (form.rows as usize * uh * uw).div_ceil(size.outputs as usize);
    // Rows of a workgroup share their pixel, and the next workgroup takes the next pixel, so that the
    // cache lines both touch are still there.
    let inner = (1..=size.outputs.min(form.rows)).rev().find(|inner| form.rows.is_multiple_of(*inner)).unwrap_or(1);
    Stage::new(&size.shader, &Gather { slope, inner, ..*form }, grid_1d(outputs * ph * pw * columns as usize, caps))
        .bind("src", Slot::Read(0))
        .bind("w", weights)
        .bind("b", Slot::Read(2))
        .bind("r", Slot::Read(3))
        .bind("dst", dst)
}

/// A transposed convolution to few channels: the products of every source pixel with every weight, a
/// matrix product with enough columns for the lanes, then a gather of the taps of each output.
fn by_columns(form: &Gather, caps: &Caps) -> Option<Recipe> {
    let taps = form.kh * form.kw;
    if form.transposed == 0 || form.mask != 0 || form.dc * taps > 256 || taps == 1 {
        return None;
    }
    let pixels = form.sh * form.sw;
    let mut product = Gather {
        dc: form.dc * taps,
        dh: form.sh,
        dw: form.sw,
        kh: 1,
        kw: 1,
        stride_h: 1,
        stride_w: 1,
        pad_top: 0,
        pad_left: 0,
        dilation_h: 1,
        dilation_w: 1,
        transposed: 0,
        w_dst: 1,
        dst_row: form.dc * taps * pixels,
        dst_chan: pixels,
        act: 0,
        has_bias: 0,
        has_residual: 0,
        pack_dst: form.dc * taps,
        step_h: 1,
        step_w: 1,
        ..*form
    };
    let size = SIZES.iter().filter(|s| !s.by_taps).min_by_key(|s| s.work(&product))?;
    let width = size.columns / LANES;
    product.pack_src = product.pack_src.next_multiple_of(STEP);
    product.pack_dst = product.pack_dst.next_multiple_of(width);
    let mut recipe = Recipe { name: "lanes_columns", scratch: Vec::new(), stages: Vec::new() };
    let weights = if product.dc == product.pack_dst && product.sc == product.pack_src {
        Slot::Read(1)
    } else {
        recipe.pack(&product, caps);
        Slot::ScratchIn(0)
    };
    let cols = recipe.scratch.len();
    recipe.scratch.push((product.rows * product.dst_row) as usize);
    recipe.stages.push(main_stage(&product, caps, size, weights, Slot::ScratchOut(cols)));
    let blocks = form.dw.div_ceil(form.stride_w).div_ceil(LANES);
    let groups = (form.rows * form.dc * form.stride_h * form.stride_w * blocks) as usize;
    recipe.stages.push(
        Stage::new(&COL2IM, form, grid_1d(groups, caps))
            .bind("cols", Slot::ScratchIn(cols))
            .bind("b", Slot::Read(2))
            .bind("r", Slot::Read(3))
            .bind("dst", Slot::Write(0)),
    );
    Some(recipe)
}

impl Recipe {
    /// Adds the stage that packs the weights into a new scratch buffer 0.
    fn pack(&mut self, form: &Gather, caps: &Caps) {
        let columns = form.groups * form.pack_dst;
        let lines = form.batch * form.kh * form.kw * form.groups;
        self.scratch.push(lines as usize * form.pack_src as usize * columns as usize);
        let groups = lines * form.pack_src.div_ceil(RUN) * columns.div_ceil(LANES);
        self.stages.push(
            Stage::new(&PACK, form, grid_1d(groups as usize, caps))
                .bind("w", Slot::Read(1))
                .bind("packed", Slot::ScratchOut(0))
                .constant("RUN", RUN),
        );
    }
}
