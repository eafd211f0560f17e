//! What the tile variants of the implicit matrix products share: their sizes, their shaders, and
//! operands in f16.
//!
//! With [`Precision::Mixed`] operands are converted to f16 on their way into workgroup memory and
//! their products are added in f32.

use super::pack;
use crate::kernels::{Caps, EPS, Params, Precision, Recipe, Shader, Stage};

/// Workgroups that a product with few blocks is split up to: three for each multiprocessor of a
/// large GPU, and enough for a small one.
pub(super) const WANTED: u32 = 384;

/// What a tile variant multiplies with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    F32,
    F16,
}

/// A tile variant: `lines` times `columns` sums to a workgroup.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub name: &'static str,
    pub lines: u32,
    pub columns: u32,
    /// Terms that pass through workgroup memory at a time.
    pub terms: u32,
    /// Lines, and columns, of an invocation's sums where they are in its registers: 4 or 8.
    edge: u32,
    unit: Unit,
}

/// The shaders of one role.
pub(super) struct Shaders {
    /// With 4 x 4 sums to an invocation, with 8 x 8.
    pub f32: [Shader; 2],
    pub f16: [Shader; 2],
}

/// The [`Shaders`] of a role, which is how its piece `lib/tile_*.wgsl` is called.
macro_rules! shaders {
    ($block:ty, $role:literal) => {{
        use $crate::kernels::shader;
        $crate::kernels::convolution::tiles::Shaders {
            f32: [
                shader!($block, "tile" as concat!("tile_", $role), operand = "f32", role = $role),
                shader!($block, "tile_wide" as concat!("tile_wide_", $role), operand = "f32", role = $role),
            ],
            f16: [
                shader!($block, "tile" as concat!("tile_f16_", $role), operand = "f16", role = $role),
                shader!($block, "tile_wide" as concat!("tile_wide_f16_", $role), operand = "f16", role = $role),
            ],
        }
    }};
}
pub(super) use shaders;

/// Every tile variant a device can run, those of the asked precision first; of each kind the one of
/// least `waste(lines, columns)` first.
pub(super) fn tiles(caps: &Caps, waste: impl Fn(u32, u32) -> f64) -> Vec<Tile> {
    // Those of 8 x 8 sums wait for a tuner: where registers are few, or products small, they are
    // slow.
    let registers = |names: [&'static str; 6], unit| {
        let sizes =
            [(64, 64, 16, 4), (128, 32, 16, 4), (256, 16, 8, 4), (128, 128, 8, 8), (128, 64, 16, 8), (64, 128, 8, 8)];
        let make = |(name, (lines, columns, terms, edge))| Tile { name, lines, columns, terms, edge, unit };
        std::iter::zip(names, sizes).map(make).filter(|tile| tile.fits(caps)).collect::<Vec<_>>()
    };
    let sorted = |mut tiles: Vec<Tile>| {
        let order = |t: &Tile| (t.edge, waste(t.lines, t.columns));
        tiles.sort_by(|a, b| order(a).0.cmp(&order(b).0).then(order(a).1.total_cmp(&order(b).1)));
        tiles
    };
    let mut all = Vec::new();
    if caps.precision == Precision::Mixed && caps.f16 {
        let names = [
            "tile_f16_64x64",
            "tile_f16_128x32",
            "tile_f16_256x16",
            "tile_f16_128x128",
            "tile_f16_128x64",
            "tile_f16_64x128",
        ];
        all.extend(sorted(registers(names, Unit::F16)));
    }
    let names = ["tile_64x64", "tile_128x32", "tile_256x16", "tile_128x128", "tile_128x64", "tile_64x128"];
    all.extend(sorted(registers(names, Unit::F32)));
    all
}

impl Tile {
    /// Whether its operands are in f16.
    pub fn mixed(&self) -> bool {
        self.unit != Unit::F32
    }

    fn shader(&self, of: &'static Shaders) -> &'static Shader {
        match self.unit {
            Unit::F32 => &of.f32[usize::from(self.edge == 8)],
            Unit::F16 => &of.f16[usize::from(self.edge == 8)],
        }
    }

    /// Its main stage, without bindings.
    pub fn stage<P: Params>(&self, of: &'static Shaders, block: &P, grid: [u32; 3]) -> Stage {
        let stage = Stage::new(self.shader(of), block, grid).constant("BK", self.terms);
        let stage = stage.constant("TX", self.columns / self.edge).constant("TY", self.lines / self.edge);
        if self.unit == Unit::F16 { stage.constant("PAD", 2) } else { stage }
    }

    /// Whether it fits the device, and its invocations share out lines, columns and terms evenly:
    /// they are loaded in steps of as many invocations as there are of each, which otherwise were
    /// none.
    fn fits(&self, caps: &Caps) -> bool {
        // Terms or lines that are noted, and alignment.
        let noted = 16 * self.terms.max(self.lines) + 128;
        let words = self.terms * (self.lines + self.columns + 16);
        let threads = self.lines * self.columns / (self.edge * self.edge);
        let tiles = if self.mixed() { 2 } else { 4 } * words;
        let even = [self.lines, self.columns, self.terms].iter().all(|n| threads.is_multiple_of(*n));
        even && threads <= caps.max_invocations && tiles + noted <= caps.max_workgroup_bytes
    }

    /// The recipe around the main stage `stage`, whose factors are these reads of so many elements.
    pub fn recipe(&self, stage: Stage, factors: [(usize, u32); 2], scratch: Vec<usize>, caps: &Caps) -> Recipe {
        let mut recipe = Recipe { name: self.name, scratch, stages: Vec::new() };
        if !self.mixed() {
            recipe.stages.push(stage);
            return recipe;
        }
        let [a, b] = factors.map(|(read, len)| pack::peaks(read, len, &mut recipe, caps));
        recipe.stages.push(stage.bind("a_peaks", a).bind("b_peaks", b));
        recipe
    }
}

/// What rounding operands to f16 may do to a sum of products, beside what f32 does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rounding {
    /// Of the sum of the products' magnitudes.
    pub relative: f64,
    pub absolute: f64,
}

impl Rounding {
    /// The permitted rounding of sums of `terms` products of elements of `a` and `b`.
    ///
    /// Scaled to a largest value A of at least 2^14, an element of a is off by its own 2^-11, f16's
    /// unit round-off, or by 2^-14 if it falls below f16's normal numbers and the device takes
    /// those for zero: 2^-28 A. Matrix units may add without rounding to nearest, which the f32
    /// part is doubled twice for.
    pub fn mixed(terms: usize, a: &[f32], b: &[f32]) -> Rounding {
        let largest = |data: &[f32]| data.iter().filter(|v| v.is_finite()).fold(0.0, |m, v| f64::from(v.abs()).max(m));
        let (unit, lost) = (2f64.powi(-11), 2f64.powi(-28));
        let sum = 3.0 * (terms + 2) as f64 * f64::from(EPS);
        let absolute = terms as f64 * lost * (2.0 * (1.0 + unit) + lost) * largest(a) * largest(b);
        Rounding { relative: unit * (2.0 + unit) + sum, absolute }
    }

    /// [`Rounding::mixed`] in mixed precision, none in full.
    pub fn of_factors(precision: Precision, terms: usize, a: &[f32], b: &[f32]) -> Rounding {
        match precision {
            Precision::Full => Rounding::default(),
            Precision::Mixed => Rounding::mixed(terms, a, b),
        }
    }

    /// The error permitted to a sum whose products' magnitudes come to `magnitude`.
    pub fn of(&self, magnitude: f64) -> f32 {
        (self.relative * magnitude + self.absolute) as f32
    }
}
