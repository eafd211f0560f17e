//! Variants for a GPU of products whose operands have their channels last.
//!
//! What an output's terms are then stands side by side in fours: one load, one decision whether it
//! is inside of the image, and one word of workgroup memory for four products. The operands are
//! packed so before (`pack.rs`), unless they stand so already. In mixed precision they are packed in
//! f16, in which workgroup memory has them too; products and sums are in f32 either way.

use super::epilogue::EpilogueBlock;
use super::gather::{Gather, Operands, behind};
use super::pack::PackLast;
use super::tiles::WANTED;
use super::weight_grad::WeightGrad;
use crate::kernels::columns::{Chunks, Sums, Wanted};
use crate::kernels::{Caps, Class, Precision, Recipe, Shader, Slot, Stage, grid_1d, shader};

/// With operands in f32, in f16.
static LAST: [Shader; 2] = [
    shader!(Gather, "last", operand = "f32", leaves = "nothing"),
    shader!(Gather, "last" as "last_f16", operand = "f16", leaves = "nothing"),
];
static LAST_MOMENTS: Shader = shader!(Gather, "last" as "last_moments", operand = "f32", leaves = "moments");
static LAST_TURNS: Shader = shader!(Gather, "last" as "last_turns", operand = "f32", leaves = "turns");
static WEIGHT_GRAD: [Shader; 2] = [
    shader!(WeightGrad, "last_weight_grad", operand = "f32"),
    shader!(WeightGrad, "last_weight_grad" as "last_f16_weight_grad", operand = "f16"),
];

/// Sums of a line, and of a column, to an invocation.
const EDGE: u32 = 8;
/// Terms that pass through workgroup memory at a time: DEPTH fours, or BK.
const STEP: u32 = 16;
/// Whole numbers below which a division is one multiplication in f32 (`by` of the shaders): WGSL lets
/// 1 / b be off by 2.5 units in the last place, and half must be more than that and the rounding.
pub(super) const EXACT: u32 = 1 << 20;
/// Products to an element of the source from which on packing it is little beside them.
const PAYS: u64 = 128;
/// Products from which on what is gained is more than two more launches take.
const MANY: u64 = 1 << 28;

/// A size of the tiles, and how many instructions it takes for a multiply-add beside the largest.
struct Tile {
    /// In full precision, in mixed.
    names: [&'static str; 2],
    lines: u32,
    columns: u32,
    cost: f64,
}

const TILES: [Tile; 5] = [
    Tile { names: ["last_128x128", "last_f16_128x128"], lines: 128, columns: 128, cost: 1.0 },
    Tile { names: ["last_128x64", "last_f16_128x64"], lines: 128, columns: 64, cost: 1.05 },
    Tile { names: ["last_64x64", "last_f16_64x64"], lines: 64, columns: 64, cost: 1.1 },
    Tile { names: ["last_128x32", "last_f16_128x32"], lines: 128, columns: 32, cost: 1.2 },
    Tile { names: ["last_128x16", "last_f16_128x16"], lines: 128, columns: 16, cost: 1.35 },
];

impl Tile {
    fn recipe(&self, precision: Precision) -> Recipe {
        Recipe { name: self.names[usize::from(precision == Precision::Mixed)], scratch: Vec::new(), stages: Vec::new() }
    }

    /// Fours of terms that pass through workgroup memory at a time where a product gathers: few columns
    /// have few invocations to share the lines' memory, of which more workgroups then fit a unit.
    fn depth(&self) -> u32 {
        if self.columns < 32 { STEP / 8 } else { STEP / 4 }
    }

    fn stage(&self, stage: Stage) -> Stage {
        stage.constant("TX", self.columns / EDGE).constant("TY", self.lines / EDGE)
    }

    /// Whether a device has room for so many of its fours in workgroup memory, and for its
    /// invocations.
    fn fits(&self, fours: u32, caps: &Caps) -> bool {
        let threads = self.lines * self.columns / (EDGE * EDGE);
        threads <= caps.max_invocations && 16 * fours <= caps.max_workgroup_bytes
    }
}

/// The tiles a device can run, that of the least work first: `waste` is what one makes of the lines
/// and columns that there are.
fn tiles(caps: &Caps, fours: fn(&Tile) -> u32, waste: impl Fn(u32, u32) -> f64) -> Vec<&'static Tile> {
    let mut tiles: Vec<_> = TILES.iter().filter(|tile| tile.fits(fours(tile), caps)).collect();
    let work = |tile: &Tile| waste(tile.lines, tile.columns) * tile.cost;
    tiles.sort_by(|a, b| work(a).total_cmp(&work(b)));
    // Where they are but checked, one is enough: software drivers compile them for seconds.
    tiles.truncate(if caps.class == Class::Gpu { TILES.len() } else { 1 });
    tiles
}

impl Stage {
    /// Says which of its two operands a recipe has packed.
    fn packed(self, [a, b]: [Slot; 2]) -> Stage {
        let packed = |slot| u32::from(matches!(slot, Slot::ScratchIn(_)));
        self.constant("A_PACKED", packed(a)).constant("B_PACKED", packed(b))
    }
}

/// Whether variants of so many products to each element that is packed, and so many elements, are
/// to be tried before those that read their operands as they are.
fn pays(each: u64, elements: u64) -> bool {
    each >= PAYS && each * elements >= MANY
}

/// Whether that is so of a product that gathers.
pub(super) fn first(form: &Gather) -> bool {
    let source = u64::from(form.sh * form.sw);
    let outputs = u64::from(form.dh * form.dw);
    let strides = if form.transposed == 0 { 1 } else { form.stride_h * form.stride_w };
    let taps = (form.kh * form.kw / strides).max(1);
    // The narrowest tile has so many columns.
    let used = f64::from(form.dc) / f64::from(form.dc.next_multiple_of(TILES[4].columns));
    let each = u64::from(form.dc) * outputs * u64::from(taps) / source.max(1);
    pays((used * each as f64) as u64, u64::from(form.batch * form.rows) * u64::from(form.sc) * source)
}

/// Whether that is so of the gradient of weights.
pub(super) fn first_weights(form: &WeightGrad) -> bool {
    let outputs = u64::from(form.n * form.oh * form.ow) * u64::from(form.co);
    let images = u64::from(form.n * form.h * form.w) * u64::from(form.ci);
    let products = outputs * u64::from(form.ci * form.kh * form.kw);
    pays(products / (outputs + images).max(1), outputs + images)
}

/// Whether a device has the variants of a precision, and is asked for them: one that is no GPU where
/// there are no others, as something stands with its channels last already.
fn offered(precision: Precision, stands_last: [bool; 2], caps: &Caps) -> bool {
    (caps.class == Class::Gpu || stands_last != [false; 2])
        && (precision == Precision::Full || (caps.precision == Precision::Mixed && caps.f16))
}

/// The variants of a product that gathers, with operands of a precision.
pub(super) fn recipes(form: &Gather, operands: Operands, precision: Precision, caps: &Caps) -> Vec<Recipe> {
    if !offered(precision, form.stands_last(), caps) {
        return Vec::new();
    }
    let (mask, colours) = (form.mask, form.groups);
    let fours = |channels: u32| channels.next_multiple_of(4);
    let form = Gather { pack_src: fours(form.sc), pack_dst: fours(form.dc), ..form.of_one_colour() };
    if form.pack_src / 4 * form.kh * form.kw >= EXACT {
        return Vec::new();
    }
    let [(ph, uh), (pw, uw)] = form.phases();
    let lines = form.rows as usize * uh * uw;
    let waste = |tile_lines: u32, tile_columns: u32| {
        let padded =
            [lines.next_multiple_of(tile_lines as usize), form.pack_dst.next_multiple_of(tile_columns) as usize];
        padded.map(|n| n as f64).iter().product()
    };
    // Lines of as many fours and one, columns of as many terms, and what is noted.
    let fours = |tile: &Tile| {
        let depth = tile.depth();
        (depth + 2) * tile.lines + depth * tile.columns + 12
    };
    let make = |tile: &&Tile| {
        let blocks = lines.div_ceil(tile.lines as usize)
            * form.pack_dst.div_ceil(tile.columns) as usize
            * (ph * pw)
            * form.batch as usize;
        let weights = PackLast::weights(&form, mask, colours);
        in_tiles(tile, &form, &weights, blocks, operands, precision, caps)
    };
    tiles(caps, fours, waste).iter().map(make).collect()
}

fn in_tiles(
    tile: &Tile,
    form: &Gather,
    weights: &PackLast,
    blocks: usize,
    operands: Operands,
    precision: Precision,
    caps: &Caps,
) -> Recipe {
    // Terms are counted in fours of what is packed.
    let packed = Gather { sc: form.pack_src, ..*form }.split(blocks, STEP);
    let chunk = if packed.splits == 1 { u32::MAX } else { packed.chunk / 4 };
    let form = Gather { splits: packed.splits, chunk, ..*form };
    let mut recipe = tile.recipe(precision);
    let src = PackLast::source(&form).of(operands.src, precision, &mut recipe, caps);
    let w = weights.of(operands.w, precision, &mut recipe, caps);
    let (main, dst) = match form.splits {
        1 => (form, Slot::Write(0)),
        splits => {
            let part = recipe.scratch(splits as usize * form.part as usize);
            (Gather { epilogue: EpilogueBlock::NONE, ..form }, Slot::ScratchOut(part))
        }
    };
    let stage = tile.stage(Stage::new(
        &LAST[usize::from(precision == Precision::Mixed)],
        &main,
        grid_1d(blocks * form.splits as usize, caps),
    ));
    let stage = operands.epilogue(stage.bind("src", src).bind("w", w)).bind("dst", dst).packed([src, w]);
    let stage = stage.constant("DEPTH", tile.depth());
    recipe.stages.push(stage.constant("ALONG_M", u32::from(form.along_lines())).epilogue(&main));
    if let Slot::ScratchOut(part) = dst {
        recipe.stages.push(behind(&form, part, operands, caps));
    }
    recipe
}

/// The stage of a product that leaves besides what is wanted of its columns, in scratch buffer `part`, with the
/// chunks of a group of its rows. Mean and x of turns are in the two buffers in front.
/// `None` of a stage that is no such product, has another epilogue, or makes blocks that are of two groups.
pub(crate) fn leaving(stage: &Stage, wanted: Wanted, part: usize) -> Option<(Stage, Chunks)> {
    if !std::ptr::eq(stage.shader, &LAST[0]) || !stage.bind.contains(&("dst", Slot::Write(0))) {
        return None;
    }
    let form: Gather = bytemuck::pod_read_unaligned(&stage.params);
    let lines = EDGE * stage.value("TY")?;
    let (turns, groups) = (wanted.sums == Sums::Turns, wanted.groups);
    let EpilogueBlock { bias, residual, gate, act, .. } = form.epilogue;
    let bare = [bias, residual, act.code] == [0; 3] && (turns || gate == 0);
    // A phase has as many lines as every other, so that one number tells where its chunks begin.
    let [(ph, uh), (pw, uw)] = form.phases();
    let alike = (form.dh as usize, form.dw as usize) == (ph * uh, pw * uw);
    let of_group = (form.rows as usize * uh * uw) as u32 / groups;
    let apart = groups == 1 || form.rows.is_multiple_of(groups) && of_group.is_multiple_of(lines);
    if !bare || !alike || !apart || form.batch != 1 || form.dst_chan != 1 || !form.dc.is_multiple_of(4) {
        return None;
    }
    let mut stage = stage.clone();
    stage.shader = if turns { &LAST_TURNS } else { &LAST_MOMENTS };
    for (name, slot) in stage.bind.iter_mut().filter(|_| turns) {
        match *name {
            "b" => *slot = Slot::ScratchIn(part - 2),
            "r" => *slot = Slot::ScratchIn(part - 1),
            _ => {}
        }
    }
    let runs = (ph * pw) as u32;
    let chunks = Chunks { len: lines, count: of_group.div_ceil(lines) * runs, runs };
    Some((stage.constant("GROUPS", groups).bind("part", Slot::ScratchOut(part)), chunks))
}

/// The variants of the gradient of a convolution's weights, `bias` 1 with that of a bias.
pub(super) fn weight_grads(form: &WeightGrad, bias: u32, precision: Precision, caps: &Caps) -> Vec<Recipe> {
    if !offered(precision, form.stands_last(), caps) {
        return Vec::new();
    }
    let waste = |lines: u32, columns: u32| {
        f64::from(form.lines.next_multiple_of(lines)) * f64::from(form.pack.next_multiple_of(columns))
    };
    let fours = |tile: &Tile| STEP * (tile.lines + tile.columns) / 4 + STEP + 8;
    let make = |tile: &&Tile| {
        let blocks = form.lines.div_ceil(tile.lines).max(1) * form.pack.div_ceil(tile.columns);
        let form = form.split(blocks, WANTED, 256, STEP);
        let mut recipe = tile.recipe(precision);
        let [x, dy] = PackLast::factors(&form);
        let x = x.of(0, precision, &mut recipe, caps);
        let dy = dy.of(1, precision, &mut recipe, caps);
        let (direct, part) = form.into(bias, &mut recipe);
        let shader = &WEIGHT_GRAD[usize::from(precision == Precision::Mixed)];
        let stage = tile.stage(Stage::new(shader, &form, grid_1d((blocks * form.splits) as usize, caps)));
        let stage = stage.bind("x", x).bind("dy", dy).bind("part", part).packed([x, dy]);
        let stage = stage.constant("DIRECT", u32::from(direct)).constant("BIAS", bias);
        recipe.stages.push(stage.constant("MANY", u32::from(form.terms >= EXACT)));
        if let Slot::ScratchOut(part) = part {
            recipe.stages.push(form.reduce(part, bias, caps));
        }
        recipe
    };
    tiles(caps, fours, waste).iter().map(make).collect()
}

#[cfg(test)]
mod tests {
    use super::super::conv::Conv;
    use super::super::gather::Role;
    use super::super::matmul::MatMul;
    use super::*;

    const GPU: Caps = Caps { max_workgroup_bytes: 32768, ..Caps::WEBGPU };

    fn packs(recipe: &Recipe) -> usize {
        recipe.stages.iter().filter(|stage| stage.shader.name == "pack_last").count()
    }

    #[test]
    fn what_stands_packed_is_read_where_it_is() {
        let of = |m: MatMul| packs(&recipes(&Gather::matmul(&m), Operands::USUAL, Precision::Full, &GPU)[0]);
        assert_eq!(of(MatMul::new(64, 64, 64)), 0);
        assert_eq!(of(MatMul { batch: 3, ..MatMul::new(64, 64, 64) }), 0);
        assert_eq!(of(MatMul::new(64, 64, 64).transposed(false, true)), 1);
        assert_eq!(of(MatMul::new(64, 64, 64).transposed(true, true)), 2);
        // Terms, or columns, that are no fours.
        assert_eq!(of(MatMul::new(64, 63, 64)), 2);
        assert_eq!(of(MatMul::new(64, 64, 63)), 1);
        let conv = Conv::new([2, 64, 8, 8], 64, [3, 3]);
        assert_eq!(packs(&recipes(&Gather::conv(&conv, Role::Conv), Operands::USUAL, Precision::Full, &GPU)[0]), 2);
        assert_eq!(packs(&weight_grads(&WeightGrad::new(&conv, 4, 4), 0, Precision::Full, &GPU)[0]), 2);
    }

    #[test]
    fn large_and_wide_products_come_first() {
        let of = |rows: u32, terms: u32, columns: u32| first(&Gather::matmul(&MatMul::new(rows, terms, columns)));
        assert!(of(1024, 1024, 1024));
        assert!(!of(64, 64, 64), "little is gained");
        assert!(!of(1 << 20, 1024, 16), "each element of the source is in few products");
    }

    #[test]
    fn divisions_by_one_multiplication_are_exact_as_far_as_they_are_used() {
        for b in [1, 2, 3, 5, 7, 49, 196, 255, 1023, 65535, EXACT - 1] {
            let over = 1.0 / b as f32;
            let quotients = (0..EXACT).step_by(61).chain((1..EXACT / b).flat_map(|q| [q * b - 1, q * b]).take(100_000));
            for a in quotients.chain([EXACT - 1]) {
                assert_eq!(((a as f32 + 0.5) * over) as u32, a / b, "{a} / {b}");
            }
        }
    }
}
