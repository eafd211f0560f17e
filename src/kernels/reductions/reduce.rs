//! Sums over two axes of a tensor: channel sums, totals, per-sample sums, bias gradients.

use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// x `[a, r1, b, r2, c]` -> y `[a, b, c]` = scale · Σ over r1 and r2.
    pub struct Reduce {
        /// Outermost axis, kept.
        pub a: u32,
        /// First summed axis.
        pub r1: u32,
        /// Middle axis, kept.
        pub b: u32,
        /// Second summed axis.
        pub r2: u32,
        /// Innermost axis, kept.
        pub c: u32,
        /// Factor of the sum.
        pub scale: f32,
    }
}

static SIGNATURE: Signature = Signature { name: "reduce_sum", reads: &["x"], writes: &[("y", Access::Write)] };

impl Reduce {
    fn outputs(&self) -> usize {
        self.a as usize * self.b as usize * self.c as usize
    }

    fn terms(&self) -> usize {
        self.r1 as usize * self.r2 as usize
    }

    /// y\[o\] = Σ f(x) over the terms of every output, in f64.
    fn sums(&self, x: &[f32], f: impl Fn(f32) -> f64 + Sync) -> Vec<f64> {
        let [r1, b, r2, c] = [self.r1, self.b, self.r2, self.c].map(|n| n as usize);
        let sum = |o: usize| -> f64 {
            let (ic, ib, ia) = (o % c, o / c % b, o / c / b);
            let rows = (0..r1).map(|i1| ((ia * r1 + i1) * b + ib) * r2 * c + ic);
            rows.map(|row| (0..r2).map(|i2| f(x[row + i2 * c])).sum::<f64>()).sum()
        };
        (0..self.outputs()).into_par_iter().map(sum).collect()
    }
}

params! {
    /// The block of both reduction shaders.
    pub struct ReduceStage {
        /// Outputs, in elements of the shader.
        pub outputs: u32,
        /// First summed axis.
        pub r1: u32,
        /// Middle axis, kept.
        pub b: u32,
        /// Second summed axis.
        pub r2: u32,
        /// Innermost axis, kept.
        pub c: u32,
        /// Terms of a chunk.
        pub chunk: u32,
        /// Chunks that are summed apart.
        pub chunks: u32,
        /// Factor of the sum.
        pub scale: f32,
    }
}

static ROWS: Shader = shader!(ReduceStage, "reduce_rows", width = "1");
static ROWS4: Shader = shader!(ReduceStage, "reduce_rows" as "reduce_rows4", width = "4");
static COLUMNS: Shader = shader!(ReduceStage, "reduce_columns", width = "1");
static COLUMNS4: Shader = shader!(ReduceStage, "reduce_columns" as "reduce_columns4", width = "4");

/// Additions the worst-placed of `terms` terms goes through in any variant: a run of 64, the sums
/// of at most 64 runs, the lanes, and the same again for the chunks.
fn depth(terms: usize) -> usize {
    terms.min(192 + (terms >> 18)) + 12
}

impl Reduce {
    /// The same sum with axes of extent one taken out, so that more of it is contiguous.
    fn plan(&self) -> Reduce {
        let mut p = *self;
        if p.r2 == 1 {
            (p.b, p.c) = (1, p.b * p.c);
        }
        if p.b == 1 {
            (p.r1, p.r2) = (1, p.r1 * p.r2);
        }
        if p.r1 == 1 {
            (p.a, p.b) = (1, p.a * p.b);
        }
        p
    }

    fn stage(&self, shader: &'static Shader, chunk: usize, grid: [u32; 3], wg: u32) -> Stage {
        let Reduce { r1, b, r2, c, scale, .. } = *self;
        let (outputs, chunks) = (self.outputs() as u32, self.terms().div_ceil(chunk) as u32);
        let params = ReduceStage { outputs, r1, b, r2, c, chunk: chunk as u32, chunks, scale };
        Stage::new(shader, &params, grid).constant("WG", wg)
    }
}

/// A workgroup per output and chunk, lanes along the terms.
fn rows(plan: &Reduce, caps: &Caps) -> Recipe {
    let vec4 = plan.c == 1 && plan.r2.is_multiple_of(4);
    let (shader, wide) = if vec4 { (&ROWS4, Reduce { r2: plan.r2 / 4, ..*plan }) } else { (&ROWS, *plan) };
    let (outputs, terms) = (wide.outputs(), wide.terms());
    let (wg, least, target) = match caps.class {
        Class::Lanes => (8, 2048, 64),
        Class::Gpu => (if terms <= 128 { 64 } else { 256 }, 2048, 1024),
    };
    let chunk = terms.div_ceil((target / outputs).max(1)).max(least).min(1 << 15).min(terms);
    let chunks = terms.div_ceil(chunk);
    let grid = grid_1d(outputs * chunks, caps);
    if chunks == 1 {
        let stage = wide.stage(shader, chunk, grid, wg).operands(plan.signature());
        return Recipe::single("rows", stage);
    }
    let first = Reduce { scale: 1.0, ..wide }.stage(shader, chunk, grid, wg);
    let second = Reduce { a: 1, r1: 1, b: outputs as u32, r2: chunks as u32, c: 1, scale: plan.scale };
    let second = second.stage(&ROWS, chunks, grid_1d(outputs, caps), wg.min(64));
    Recipe {
        name: "rows_split",
        scratch: vec![outputs * chunks],
        stages: vec![
            first.bind("x", Slot::Read(0)).bind("y", Slot::ScratchOut(0)),
            second.bind("x", Slot::ScratchIn(0)).bind("y", Slot::Write(0)),
        ],
    }
}

/// An invocation per output and chunk, lanes along the outputs.
fn columns(plan: &Reduce, caps: &Caps) -> Recipe {
    let narrow = |p: &Reduce| -> (&'static Shader, Reduce) {
        if p.c.is_multiple_of(4) { (&COLUMNS4, Reduce { c: p.c / 4, ..*p }) } else { (&COLUMNS, *p) }
    };
    let (shader, wide) = narrow(plan);
    let (outputs, terms) = (wide.outputs(), wide.terms());
    let (wg, least, target) = match caps.class {
        Class::Lanes => (8, 256, 512),
        Class::Gpu => (64, 64, 1 << 16),
    };
    let chunk = terms.div_ceil((target / outputs).max(1)).max(least).min(1 << 12).min(terms);
    let chunks = terms.div_ceil(chunk);
    let grid = |items: usize, terms: usize| {
        let groups = items.div_ceil(wg as usize);
        match caps.class {
            Class::Lanes => grid_1d(groups.min((items * terms / 4096).clamp(1, 512)), caps),
            Class::Gpu => grid_1d(groups, caps),
        }
    };
    let (first_grid, second_grid) = (grid(outputs * chunks, chunk), grid(outputs, chunks));
    if chunks == 1 {
        let stage = wide.stage(shader, chunk, first_grid, wg).operands(plan.signature());
        return Recipe::single("columns", stage);
    }
    let first = Reduce { scale: 1.0, ..wide }.stage(shader, chunk, first_grid, wg);
    let all = plan.outputs() as u32;
    let (shader, second) = narrow(&Reduce { a: 1, r1: 1, b: 1, r2: chunks as u32, c: all, scale: plan.scale });
    let second = second.stage(shader, chunks, second_grid, wg);
    Recipe {
        name: "columns_split",
        scratch: vec![plan.outputs() * chunks],
        stages: vec![
            first.bind("x", Slot::Read(0)).bind("y", Slot::ScratchOut(0)),
            second.bind("x", Slot::ScratchIn(0)).bind("y", Slot::Write(0)),
        ],
    }
}

/// Neighbouring outputs that the processor sums together.
const COLUMNS_AT_ONCE: usize = 256;
/// Rows that it adds in f32 before it goes on in f64.
const ROWS_AT_ONCE: usize = 64;

host::wide! {
    /// sums += a row.
    fn add_row(sums: &mut [f32], row: &[f32]) {
        for (sum, x) in std::iter::zip(sums, row) {
            *sum += x;
        }
    }
}

impl Reduce {
    /// Outputs `first..` of those that a and b of `at` have.
    fn columns(&self, x: &[f32], at: [usize; 2], first: usize, y: &mut [f32]) {
        let [r1, b, r2, c] = [self.r1, self.b, self.r2, self.c].map(|n| n as usize);
        let row = |term: usize| (((at[0] * r1 + term / r2) * b + at[1]) * r2 + term % r2) * c + first;
        let (mut totals, mut sums) = (vec![0.0f64; y.len()], vec![0.0f32; y.len()]);
        for start in (0..self.terms()).step_by(ROWS_AT_ONCE) {
            sums.fill(0.0);
            for term in start..self.terms().min(start + ROWS_AT_ONCE) {
                add_row(&mut sums, &x[row(term)..][..y.len()]);
            }
            std::iter::zip(&mut totals, &sums).for_each(|(total, sum)| *total += f64::from(*sum));
        }
        std::iter::zip(y, totals).for_each(|(y, total)| *y = (f64::from(self.scale) * total) as f32);
    }
}

impl Kernel for Reduce {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.outputs() * self.terms()], writes: vec![self.outputs()] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for (y, sum) in std::iter::zip(&mut *writes[0], self.sums(reads[0], f64::from)) {
            *y = (f64::from(self.scale) * sum) as f32;
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let p = self.plan();
        let few = p.outputs() * p.terms() <= host::PIECE;
        if p.c > 1 {
            // Outputs that are neighbours have terms that are.
            let [b, c] = [p.b as usize, p.c as usize];
            let pieces = c.div_ceil(COLUMNS_AT_ONCE);
            let width = if few { c } else { c.div_ceil(pieces) };
            let mut all: Vec<(usize, usize, &mut [f32])> = Vec::new();
            for (row, y) in writes[0].chunks_mut(c).enumerate() {
                all.extend(y.chunks_mut(width).enumerate().map(|(i, y)| (row, i * width, y)));
            }
            let one = |(row, first, y): (usize, usize, &mut [f32])| p.columns(reads[0], [row / b, row % b], first, y);
            return if few { all.into_iter().for_each(one) } else { all.into_par_iter().for_each(one) };
        }
        let [r1, b, r2] = [p.r1, p.b, p.r2].map(|n| n as usize);
        let one = |first: usize, y: &mut [f32]| {
            for (o, y) in (first..).zip(y) {
                let row = |i1: usize| host::sum(&reads[0][((o / b * r1 + i1) * b + o % b) * r2..][..r2]);
                *y = (f64::from(p.scale) * (0..r1).map(row).sum::<f64>()) as f32;
            }
        };
        host::in_pieces(writes[0], (host::PIECE / p.terms()).max(1), one);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let plan = self.plan();
        let (rows, columns) = (rows(&plan, caps), columns(&plan, caps));
        // Lanes along the terms suit long contiguous sums; along the outputs, everything else.
        if plan.c == 1 && plan.terms() >= 32 { vec![rows, columns] } else { vec![columns, rows] }
    }

    /// Sums over whole images do not see the order, and those of channels can be taken in the other.
    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let Images { channels, plane } = operands[0]?;
        let whole = [self.b, self.c] == [1, 1] && (self.r1 * self.r2).is_multiple_of(channels * plane);
        let of_channels = [self.a, self.b, self.r2, self.c] == [1, channels, plane, 1];
        let turned = Reduce { r1: self.r1 * plane, b: 1, r2: 1, c: channels, ..*self };
        let kernel = Arc::new(if whole { *self } else { turned });
        (whole || of_channels).then(|| ChannelsLast { kernel, operands: vec![true, false] })
    }

    fn flops(&self) -> u64 {
        (self.outputs() * (self.terms() + 1)) as u64
    }

    fn label(&self) -> String {
        let Reduce { a, r1, b, r2, c, .. } = self;
        format!("x[{a},({r1}),{b},({r2}),{c}]")
    }
}

impl Checks for Reduce {
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let magnitudes = self.sums(reads[0], |x| f64::from(x.abs()));
        let depth = depth(self.terms());
        let bound = |(y, m): (&f32, f64)| sum_bound(depth, self.scale.abs() * m as f32) + 2.0 * EPS * y.abs();
        vec![std::iter::zip(reference[0], magnitudes).map(bound).collect()]
    }

    fn sums(&self) -> bool {
        scales_exactly(self.scale)
    }
}

fn reduce(a: u32, r1: u32, b: u32, r2: u32, c: u32, scale: f32) -> Box<dyn Kernel> {
    Box::new(Reduce { a, r1, b, r2, c, scale })
}

/// Odd shapes; one has more than 65535 outputs.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    vec![
        reduce(1, 1, 1, 1, 1, 1.0),
        reduce(1, 5, 7, 13, 1, 1.0),
        reduce(1, 6, 4, 16, 1, 0.5),
        reduce(3, 5, 2, 7, 3, -2.0),
        reduce(2, 3, 5, 2, 8, 1.0),
        reduce(1, 1, 1, 100_003, 1, 1e-5),
        reduce(1, 40_000, 1, 1, 10, 1.0),
        reduce(1, 2003, 3, 1, 1, 1.0),
        reduce(70_001, 1, 1, 3, 1, 1.0),
        reduce(2, 8, 3, 4096, 1, 1.0),
    ]
}

/// Shapes of the presets: channel sums, bias gradients, per-sample sums, means.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![
        reduce(1, 64, 64, 784, 1, 1.0),
        reduce(1, 64, 128, 49, 1, 1.0),
        reduce(1, 128, 784, 1, 1, 1.0),
        reduce(128, 1, 1, 784, 1, 1.0),
        reduce(1, 1, 1, 128, 1, 1.0 / 128.0),
        reduce(1, 16, 32, 784, 1, 1.0),
    ]
}
