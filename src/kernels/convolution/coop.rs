//! Variants for a GPU's matrix units, of products whose operands are packed in f16.
//!
//! Whatever is multiplied, tiles have the terms of a line, and of a column, side by side: then a
//! fragment is a few wide loads to an invocation. So the source and the weights of a product that
//! gathers are packed with the channels that it adds up over last, and what the gradient of weights
//! reads, which adds up over pixels, is turned on its way into workgroup memory.

use super::conv::Conv;
use super::epilogue::EpilogueBlock;
use super::gather::{Gather, Operands, behind};
use super::last::EXACT;
use super::pack::PackLast;
use super::tiles::WANTED;
use super::weight_grad::WeightGrad;
use crate::kernels::{Caps, Coop, Precision, Recipe, Shader, Slot, Stage, grid_1d, shader};

/// The shaders of one role: with fragments of 8 x 8, of 16 x 16; in matrix units, emulated.
macro_rules! shaders {
    ($block:ty, $role:literal) => {
        [
            [
                shader!($block, "coop" as concat!("coop_8_", $role), units = "units", edge = "8", role = $role),
                shader!($block, "coop" as concat!("coop_16_", $role), units = "units", edge = "16", role = $role),
            ],
            [
                shader!($block, "coop" as concat!("emulated_8_", $role), units = "emulated", edge = "8", role = $role),
                shader!(
                    $block,
                    "coop" as concat!("emulated_16_", $role),
                    units = "emulated",
                    edge = "16",
                    role = $role
                ),
            ],
        ]
    };
}

static GATHER: [[Shader; 2]; 2] = shaders!(Gather, "gather");
static WEIGHT_GRAD: [[Shader; 2]; 2] = shaders!(WeightGrad, "weight_grad");

/// Terms that pass through workgroup memory at a time: BK.
const STEP: u32 = 32;
/// Channels that are loaded at once: WIDE.
const WIDE: u32 = 8;

/// A size: tiles of 4 x 2 fragments, a subgroup to each.
struct Tile {
    name: &'static str,
    rows: u32,
    columns: u32,
    coop: Coop,
}

/// The sizes a device can run, that of the least work first: `waste` is what one makes of the lines
/// and columns that there are.
fn tiles(caps: &Caps, waste: impl Fn(u32, u32) -> f64) -> Vec<Tile> {
    let Some(coop) = caps.coop.filter(|_| caps.precision == Precision::Mixed && caps.f16) else { return Vec::new() };
    let names = match coop.edge {
        8 => ["coop_f16_64x64", "coop_f16_64x32", "coop_f16_32x32"],
        _ => ["coop_f16_128x128", "coop_f16_128x64", "coop_f16_64x64"],
    };
    // How many words of workgroup memory a product takes beside the largest.
    let sizes = [(2, 4, 1.0), (2, 2, 1.1), (1, 2, 1.25)];
    let make = |(name, (rows, columns, cost))| (Tile { name, rows, columns, coop }, cost);
    let mut tiles: Vec<(Tile, f64)> =
        std::iter::zip(names, sizes).map(make).filter(|(tile, _)| tile.fits(caps)).collect();
    let work = |(tile, cost): &(Tile, f64)| waste(tile.lines(), tile.columns()) * cost;
    tiles.sort_by(|a, b| work(a).total_cmp(&work(b)));
    tiles.into_iter().map(|(tile, _)| tile).collect()
}

impl Tile {
    fn lines(&self) -> u32 {
        4 * self.coop.edge * self.rows
    }

    fn columns(&self) -> u32 {
        2 * self.coop.edge * self.columns
    }

    fn threads(&self) -> u32 {
        self.rows * self.columns * self.coop.subgroup
    }

    /// Whether it fits the device, its invocations share out what is loaded evenly, and there are enough
    /// of them to note terms and to add up columns.
    fn fits(&self, caps: &Caps) -> bool {
        let (lines, columns, edge) = (self.lines(), self.columns(), self.coop.edge);
        // Two tiles of f16, a fragment of every subgroup, what is noted, and alignment.
        let tiles = 2 * (STEP + 8) * (lines + columns) + 4 * self.rows * self.columns * edge * (edge + 4);
        let bytes = tiles + 20 * lines + 12 * columns + 16 * STEP + 128;
        let threads = self.threads();
        let even = [lines, columns].iter().all(|n| (n * STEP / WIDE).is_multiple_of(threads));
        even && threads >= STEP.max(columns) && threads <= caps.max_invocations && bytes <= caps.max_workgroup_bytes
    }

    fn shader(&self, of: &'static [[Shader; 2]; 2]) -> &'static Shader {
        &of[usize::from(self.coop.emulated != 0)][usize::from(self.coop.edge == 16)]
    }

    fn recipe(&self) -> Recipe {
        Recipe { name: self.name, scratch: Vec::new(), stages: Vec::new() }
    }

    /// A stage with the constants of this size.
    fn sized(&self, stage: Stage) -> Stage {
        let stage = stage.constant("ROWS", self.rows).constant("COLUMNS", self.columns);
        let stage = stage.constant("THREADS", self.threads());
        if self.coop.emulated == 0 { stage } else { stage.constant("LANES", self.coop.emulated) }
    }
}

/// The variants of a product that gathers.
pub(super) fn recipes(form: &Gather, operands: Operands, caps: &Caps) -> Vec<Recipe> {
    let (mask, colours) = (form.mask, form.groups);
    let form = Gather { pack_src: form.sc.next_multiple_of(WIDE), ..form.of_one_colour() };
    if form.pack_src / WIDE * form.kh * form.kw >= EXACT {
        return Vec::new();
    }
    let [(ph, uh), (pw, uw)] = form.phases();
    let lines = form.rows as usize * uh * uw;
    let waste = |tile_lines: u32, tile_columns: u32| {
        let padded =
            [lines.next_multiple_of(tile_lines as usize), form.pack_dst.next_multiple_of(tile_columns) as usize];
        padded.map(|n| n as f64).iter().product()
    };
    let make = |tile: &Tile| {
        let blocks = lines.div_ceil(tile.lines() as usize)
            * form.pack_dst.div_ceil(tile.columns()) as usize
            * (ph * pw)
            * form.batch as usize;
        // Terms are counted in eights of what is packed.
        let packed = Gather { sc: form.pack_src, ..form }.split(blocks, STEP);
        let chunk = if packed.splits == 1 { u32::MAX } else { packed.chunk / WIDE };
        let form = Gather { splits: packed.splits, chunk, ..form };
        let mut recipe = tile.recipe();
        let src = PackLast::source(&form).of(operands.src, Precision::Mixed, &mut recipe, caps);
        let w = PackLast::weights(&form, mask, colours).exchanged().of(operands.w, Precision::Mixed, &mut recipe, caps);
        let (main, dst) = match form.splits {
            1 => (form, Slot::Write(0)),
            splits => {
                let part = recipe.scratch(splits as usize * form.part as usize);
                (Gather { epilogue: EpilogueBlock::NONE, ..form }, Slot::ScratchOut(part))
            }
        };
        let grid = grid_1d(blocks * form.splits as usize, caps);
        let stage = tile.sized(Stage::new(tile.shader(&GATHER), &main, grid)).bind("src", src).bind("w", w);
        let stage = operands.epilogue(stage).bind("dst", dst).epilogue(&main);
        recipe.stages.push(stage.constant("ALONG_M", u32::from(form.along_lines())));
        if let Slot::ScratchOut(part) = dst {
            recipe.stages.push(behind(&form, part, operands, caps));
        }
        recipe
    };
    tiles(caps, waste).iter().map(make).collect()
}

/// The variants of the gradient of a convolution's weights.
pub(super) fn weight_grads(conv: &Conv, caps: &Caps) -> Vec<Recipe> {
    let (form, bias) = (WeightGrad::of_one_colour(conv, WIDE), conv.epilogue.bias);
    let waste = |lines: u32, columns: u32| {
        f64::from(form.lines.next_multiple_of(lines)) * f64::from(form.pack.next_multiple_of(columns))
    };
    let make = |tile: &Tile| {
        let blocks = form.lines.div_ceil(tile.lines()).max(1) * form.pack.div_ceil(tile.columns());
        let form = form.split(blocks, WANTED, 256, STEP);
        let mut recipe = tile.recipe();
        let [x, dy] = PackLast::factors(&form);
        let x = x.of(0, Precision::Mixed, &mut recipe, caps);
        let dy = dy.of(1, Precision::Mixed, &mut recipe, caps);
        let (direct, part) = form.into(bias, &mut recipe);
        let grid = grid_1d((blocks * form.splits) as usize, caps);
        let stage = tile.sized(Stage::new(tile.shader(&WEIGHT_GRAD), &form, grid));
        let stage = stage.bind("x", x).bind("dy", dy).bind("part", part).constant("ALONG_M", u32::from(direct));
        let stage = stage.constant("DIRECT", u32::from(direct)).constant("BIAS", bias);
        recipe.stages.push(stage.constant("MANY", u32::from(form.terms >= EXACT)));
        if let Slot::ScratchOut(part) = part {
            recipe.stages.push(form.reduce(part, bias, caps));
        }
        recipe
    };
    tiles(caps, waste).iter().map(make).collect()
}
