//! Variants of the gather form for subgroups of 8 SIMD lanes of a CPU core.

use super::epilogue::EpilogueBlock;
use super::gather::Gather;
use super::lanes::{self, LANES, RUN, STEP, Size, Source, size};
use crate::kernels::activation::ActivationBlock;
use crate::kernels::{Caps, Recipe, Shader, Slot, Stage, flat, grid_1d, params, shader};

params! {
    /// The block of `lanes_finish.wgsl`.
    pub struct Finish {
        /// Elements.
        pub len: u32,
        /// What is left to do.
        pub epilogue: EpilogueBlock,
    }
}

static SIZES: [Size; 4] = [
    size!(Gather, "lanes_gather" as "lanes", 64, 32, 8, 4),
    size!(Gather, "lanes_gather" as "lanes", 16, 32, 2, 4),
    size!(Gather, "lanes_gather" as "lanes", 64, 16, 8, 2),
    size!(Gather, "lanes_gather" as "lanes", 64, 8, 8, 1),
];
/// For kernels of one tap, from planes as they lie.
static PLANES: [Size; 3] = [
    size!(Gather, "lanes_planes" as "planes", 128, 32, 16, 4),
    size!(Gather, "lanes_planes" as "planes", 128, 16, 16, 2),
    size!(Gather, "lanes_planes" as "planes", 64, 8, 8, 1),
];
/// For kernels three wide, from planes as they lie.
static ROWS: [Size; 2] =
    [size!(Gather, "lanes_rows" as "rows", 128, 16, 16, 2), size!(Gather, "lanes_rows" as "rows", 64, 16, 8, 2)];
static COL2IM: Shader = shader!(Gather, "lanes_col2im");
static PACK: Shader = shader!(Gather, "lanes_pack");
static FINISH: Shader = shader!(Finish, "lanes_finish", width = "1");
static FINISH4: Shader = shader!(Finish, "lanes_finish" as "lanes_finish4", width = "4");

/// About what computing `form` costs, in cycles of a core: what a workgroup loads and multiplies
/// per four terms, what it takes to begin and to store.
fn work(size: &Size, form: &Gather) -> u64 {
    let [(ph, uh), (pw, uw)] = form.phases();
    let outputs = (form.rows as usize * uh * uw).div_ceil(size.rows() as usize);
    let blocks =
        (outputs * ph * pw) as u64 * u64::from(form.pack_dst.div_ceil(size.columns()) * form.groups * form.batch);
    let taps = (form.kh * form.kw).div_ceil((ph * pw) as u32);
    let fours = form.pack_src.div_ceil(STEP) * form.groups * taps;
    let four = size.blocks * (70 + 40 * size.width) + 80 + 52 * size.width;
    blocks * u64::from(fours * four + size.blocks * (400 + 280 * size.width) + 1500)
}

/// Turns of loops an invocation may make in all: Mesa's software rasteriser leaves every loop after
/// so many, and what is still to be added is lost.
const TURNS: u64 = 65_535;

/// Whether sums of this form in blocks of `size` take no more turns than there may be.
fn ends(size: &Size, form: &Gather) -> bool {
    let fours = u64::from(form.pack_src.div_ceil(STEP) * form.groups) * u64::from(form.kh * form.kw);
    fours * u64::from(size.blocks + 1) < TURNS
}

/// The variants, the one of least work first.
pub(super) fn recipes(form: &Gather, caps: &Caps) -> Vec<Recipe> {
    // The shaders divide indices of outputs and workgroups as f32, exact below 2^24.
    let [(ph, uh), (pw, uw)] = form.phases();
    let outputs = (form.rows * form.batch) as usize * ph * uh * pw * uw;
    if outputs * (form.pack_dst * form.groups).div_ceil(LANES) as usize >= 1 << 24 {
        return Vec::new();
    }
    let source = Source::of(form);
    if !source.fits(caps) {
        return Vec::new();
    }
    let mut sizes: Vec<&Size> = SIZES.iter().filter(|size| ends(size, &source.form)).collect();
    sizes.sort_by_key(|size| work(size, &source.form));
    let mut all = in_place(form, caps);
    all.extend(sizes.iter().map(|size| recipe(form, &source, caps, size)));
    if let Some(columns) = by_columns(form, caps) {
        let first = if form.dc < 8 { 0 } else { all.len() };
        all.insert(first, columns);
    }
    all.retain(|recipe| recipe.fits(caps));
    all
}

/// Those that need no copy of the source.
fn in_place(form: &Gather, caps: &Caps) -> Vec<Recipe> {
    let sizes: &'static [Size] = match (lanes::in_fours(form), lanes::in_rows(form)) {
        (true, _) => &PLANES,
        (_, true) => &ROWS,
        _ => return Vec::new(),
    };
    let mut sizes: Vec<&'static Size> = sizes.iter().filter(|size| ends(size, form)).collect();
    sizes.sort_by_key(|size| form.dc.div_ceil(size.columns()) * (512 + 64 * 3 * size.width));
    let recipe = |size: &'static Size| {
        let mut recipe = Recipe { name: size.name, scratch: Vec::new(), stages: Vec::new() };
        let pack_src = form.sc.next_multiple_of(8);
        let packed = Gather { pack_src, pack_dst: form.dc.next_multiple_of(size.width), ..*form };
        let weights = recipe.weights(&packed, caps);
        let fours = (form.rows * form.sh * form.sw / 4).div_ceil(2 * size.blocks);
        let grid = grid_1d((fours * packed.pack_dst.div_ceil(size.columns())) as usize, caps);
        let stage = Stage::new(size.shader(caps), &packed.straight(), grid);
        let stage = operands(stage, Slot::Read(0), weights, Slot::Write(0), form);
        recipe.stages.push(stage.bind("g", Slot::Read(4)).constant("GATE", form.epilogue.gate));
        recipe.finish(form, EpilogueBlock { gate: 0, residual: 0, ..form.epilogue }, caps);
        recipe
    };
    sizes.into_iter().map(recipe).collect()
}

fn recipe(form: &Gather, source: &Source, caps: &Caps, size: &'static Size) -> Recipe {
    let mut recipe = Recipe { name: size.name, scratch: Vec::new(), stages: Vec::new() };
    let src = source.pack(form, caps, &mut recipe, 0);
    // A gate comes behind, and with it what comes behind a gate.
    let EpilogueBlock { bias, gate, .. } = form.epilogue;
    let (within, behind) = match gate {
        0 => (form.epilogue, EpilogueBlock { residual: 0, ..form.epilogue }),
        _ => (EpilogueBlock { bias, ..EpilogueBlock::NONE }, form.epilogue),
    };
    recipe.product(&Gather { epilogue: within, ..source.form }, caps, size, src, Slot::Write(0));
    recipe.finish(form, behind, caps);
    recipe
}

/// A transposed convolution to few channels: the products of every source pixel with every weight,
/// a matrix product with enough columns for the lanes, then a gather of the taps of each output.
fn by_columns(form: &Gather, caps: &Caps) -> Option<Recipe> {
    let taps = form.kh * form.kw;
    if form.transposed == 0 || form.mask != 0 || form.dc * taps > 256 || taps == 1 {
        return None;
    }
    let pixels = form.sh * form.sw;
    let product = Gather {
        dc: form.dc * taps,
        dh: form.sh,
        dw: form.sw,
        transposed: 0,
        w_dst: 1,
        dst_row: form.dc * taps * pixels,
        dst_chan: pixels,
        epilogue: EpilogueBlock::NONE,
        pack_dst: form.dc * taps,
        ..form.of_one_tap()
    };
    let source = Source::of(&product);
    let size = SIZES.iter().filter(|size| ends(size, &source.form)).min_by_key(|size| work(size, &source.form))?;
    let mut recipe = Recipe { name: "lanes_columns", scratch: Vec::new(), stages: Vec::new() };
    let cols = recipe.scratch((product.rows * product.dst_row) as usize);
    let src = source.pack(&product, caps, &mut recipe, 0);
    recipe.product(&source.form, caps, size, src, Slot::ScratchOut(cols));
    let blocks = form.dw.div_ceil(form.stride_w).div_ceil(LANES);
    let groups = (form.rows * form.dc * form.stride_h * form.stride_w * blocks) as usize;
    recipe.stages.push(
        Stage::new(&COL2IM, form, grid_1d(groups, caps))
            .bind("cols", Slot::ScratchIn(cols))
            .bind("b", Slot::Read(2))
            .bind("r", Slot::Read(3))
            .bind("g", Slot::Read(4))
            .bind("dst", Slot::Write(0)),
    );
    Some(recipe)
}

impl Gather {
    /// The block of a main stage. A leaky ReLU of slope 0 is a ReLU (of which the shader makes 0,
    /// not -0), one of slope 1 the identity; curved ones come behind.
    fn straight(&self) -> Gather {
        let ActivationBlock { code, slope } = self.epilogue.act;
        let slope = [1.0, 0.0, slope].get(code as usize).copied().unwrap_or(1.0);
        Gather { epilogue: EpilogueBlock { act: ActivationBlock { code, slope }, ..self.epilogue }, ..*self }
    }
}

/// A main stage with its bindings.
fn operands(stage: Stage, src: Slot, w: Slot, dst: Slot, form: &Gather) -> Stage {
    let stage = stage.bind("src", src).bind("w", w).bind("b", Slot::Read(2)).bind("r", Slot::Read(3));
    stage.bind("dst", dst).constant("RESIDUAL", form.epilogue.residual)
}

impl Recipe {
    /// Adds the stage of a gate, and of an activation that is not made of straight pieces.
    fn finish(&mut self, form: &Gather, epilogue: EpilogueBlock, caps: &Caps) {
        if epilogue.act.code > 2 || epilogue.gate != 0 {
            let len = form.batch * form.rows * form.dc * form.dh * form.dw;
            let (shader, width) = if len.is_multiple_of(4) { (&FINISH4, 4) } else { (&FINISH, 1) };
            let block = Finish { len: len / width, epilogue };
            let stage = flat(shader, &block, block.len as usize, caps);
            self.stages.push(stage.bind("g", Slot::Read(4)).bind("r", Slot::Read(3)).bind("x", Slot::Write(0)));
        }
    }

    /// Adds the stages that pack the weights of `form` and make `dst` from `src`.
    fn product(&mut self, form: &Gather, caps: &Caps, size: &'static Size, src: Slot, dst: Slot) {
        let pack_dst = form.pack_dst.next_multiple_of(size.width);
        let src_row = form.full_h * form.full_w * form.quads;
        let form = Gather { pack_dst, src_row, src_batch: form.rows * src_row, ..*form };
        let weights = self.weights(&form, caps);
        let [(ph, uh), (pw, uw)] = form.phases();
        let columns = form.pack_dst.div_ceil(size.columns()) * form.groups * form.batch;
        let outputs = (form.rows as usize * uh * uw).div_ceil(size.rows() as usize);
        // Rows of a workgroup share their pixel, and the next workgroup takes the next pixel, so
        // that the cache lines both touch are still there.
        let most = size.rows().min(form.rows);
        let inner = (1..=most).rev().find(|inner| form.rows.is_multiple_of(*inner)).unwrap_or(1);
        let grid = grid_1d(outputs * ph * pw * columns as usize, caps);
        let stage = Stage::new(size.shader(caps), &Gather { inner, ..form.straight() }, grid);
        self.stages.push(operands(stage, src, weights, dst, &form));
    }

    /// The weights with their output channels innermost, packed by a stage of their own unless they
    /// have them there.
    fn weights(&mut self, form: &Gather, caps: &Caps) -> Slot {
        let packed = form.kh * form.kw * form.groups == 1 && form.w_dst == 1;
        if packed && form.dc == form.pack_dst && form.sc == form.pack_src && form.w_src == form.dc {
            return Slot::Read(1);
        }
        let columns = form.groups * form.pack_dst;
        let lines = form.batch * form.kh * form.kw * form.groups;
        let scratch = self.scratch(lines as usize * form.pack_src as usize * columns as usize);
        let groups = lines * form.pack_src.div_ceil(RUN) * columns.div_ceil(LANES);
        self.stages.push(
            Stage::new(&PACK, form, grid_1d(groups as usize, caps))
                .bind("w", Slot::Read(1))
                .bind("packed", Slot::ScratchOut(scratch))
                .constant("RUN", RUN),
        );
        Slot::ScratchIn(scratch)
    }
}
