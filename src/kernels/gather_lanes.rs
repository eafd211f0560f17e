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

/// A main stage: outputs and columns of a workgroup.
struct Size {
    name: &'static str,
    outputs: u32,
    columns: u32,
    shader: Shader,
}

static SIZES: [Size; 4] = [
    Size { name: "lanes_16x32", outputs: 16, columns: 32, shader: shader!("lanes_16x32", "gather", "gather_lanes") },
    Size { name: "lanes_8x32", outputs: 8, columns: 32, shader: shader!("lanes_8x32", "gather", "gather_lanes") },
    Size { name: "lanes_32x16", outputs: 32, columns: 16, shader: shader!("lanes_32x16", "gather", "gather_lanes") },
    Size { name: "lanes_32x8", outputs: 32, columns: 8, shader: shader!("lanes_32x8", "gather", "gather_lanes") },
];
static PACK: Shader = shader!("lanes_pack", "gather");
static ACTIVATE: Shader = shader!("lanes_activate", "activation");

/// Lanes of a workgroup.
const LANES: u32 = 8;
/// Source channels that one invocation of the pack stage copies.
const RUN: u32 = 16;
/// Terms the main stage takes at a time.
const STEP: u32 = 4;

/// The variants, the one that computes least for nothing first.
pub(super) fn recipes(form: &Gather, caps: &Caps) -> Vec<Recipe> {
    let [(ph, uh), (pw, uw)] = form.phases();
    let outputs = form.rows * (uh * uw) as u32;
    let mut sizes: Vec<&Size> = SIZES.iter().collect();
    // Per term a workgroup loads and multiplies; both in units of about one multiplication of 8 lanes.
    let work = |size: &&Size| {
        let (outs, cols) = (size.outputs.div_ceil(LANES), size.columns / LANES);
        let term = 8 * outs + 6 * cols + 3 * size.outputs * cols / 2 + size.outputs;
        u64::from(outputs.div_ceil(size.outputs)) * u64::from(form.pack_dst.div_ceil(size.columns)) * u64::from(term)
    };
    sizes.sort_by_key(work);
    sizes.into_iter().map(|size| recipe(form, caps, size, ph * pw * form.batch as usize)).collect()
}

fn recipe(form: &Gather, caps: &Caps, size: &'static Size, phases: usize) -> Recipe {
    let width = size.columns / LANES;
    let mut form = *form;
    form.pack_src = form.pack_src.next_multiple_of(STEP);
    form.pack_dst = form.pack_dst.next_multiple_of(width);
    let mut recipe = Recipe { name: size.name, scratch: Vec::new(), stages: Vec::new() };
    let packed = form.kh * form.kw * form.groups == 1 && form.w_dst == 1;
    let weights = if packed && form.dc == form.pack_dst && form.sc == form.pack_src {
        Slot::Read(1)
    } else {
        recipe.pack(&form, caps);
        Slot::ScratchIn(0)
    };
    // A leaky ReLU of slope 0 is a ReLU, one of slope 1 the identity; curved ones come behind.
    let slope = [1.0, 0.0, form.slope].get(form.act as usize).copied().unwrap_or(1.0);
    let main = Gather { slope, ..form };
    let [(_, uh), (_, uw)] = form.phases();
    let columns = (form.pack_dst / width).div_ceil(LANES) * form.groups;
    let blocks = (form.rows as usize * uh * uw).div_ceil(size.outputs as usize) * columns as usize;
    recipe.stages.push(
        Stage::new(&size.shader, &main, grid_1d(blocks * phases, caps))
            .bind("src", Slot::Read(0))
            .bind("w", weights)
            .bind("b", Slot::Read(2))
            .bind("r", Slot::Read(3))
            .bind("dst", Slot::Write(0)),
    );
    if form.act > 2 {
        let len = form.batch * form.rows * form.dc * form.dh * form.dw;
        let block = Activate { len, act: form.act, slope: form.slope };
        let grid = grid_1d(len.div_ceil(LANES) as usize, caps);
        recipe.stages.push(Stage::new(&ACTIVATE, &block, grid).bind("x", Slot::Write(0)));
    }
    recipe
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
