//! Products of small matrices, added up in registers and nothing else: the ceiling of a device's
//! matrix units.

use crate::kernels::convolution::tiles::Rounding;
use crate::kernels::*;

params! {
    /// a `[2E, E]`, b `[E, 4E]` -> c `[subgroups, 2E, 4E]`: turns · a·b, by as many additions, once
    /// for each subgroup.
    pub struct MultiplyAddMatrix {
        /// E, the edge of the fragments that matrix units are to be given.
        pub edge: u32,
        /// Subgroups that do the same.
        pub subgroups: u32,
        /// How often the product is added.
        pub turns: u32,
    }
}

/// Subgroups of a workgroup.
const TOGETHER: u32 = 4;

static PLAIN: Shader = shader!(MultiplyAddMatrix, "multiply_add_plain");

/// The shaders with fragments of this edge: of matrix units, of invocations that stand in for them.
macro_rules! shaders {
    ($edge:literal) => {
        [
            shader!(
                MultiplyAddMatrix,
                "multiply_add_matrix" as concat!("multiply_add_matrix_", $edge),
                units = "units",
                edge = $edge
            ),
            shader!(
                MultiplyAddMatrix,
                "multiply_add_matrix" as concat!("multiply_add_emulated_", $edge),
                units = "emulated",
                edge = $edge
            ),
        ]
    };
}

static SHADERS: [[Shader; 2]; 2] = [shaders!("8"), shaders!("16")];

static SIGNATURE: Signature =
    Signature { name: "multiply_add_matrix", reads: &["a", "b"], writes: &[("c", Access::Write)] };

impl MultiplyAddMatrix {
    fn sizes(&self) -> [usize; 3] {
        [2 * self.edge, self.edge, 4 * self.edge].map(|size| size as usize)
    }

    /// turns times the sum of what `term` makes of the factors of each element of one product.
    fn product(&self, reads: &[&[f32]], term: impl Fn(f64) -> f64) -> Vec<f64> {
        let [lines, terms, columns] = self.sizes();
        let element = |at: usize| {
            let (m, n) = (at / columns, at % columns);
            let one = |k| term(f64::from(reads[0][m * terms + k]) * f64::from(reads[1][k * columns + n]));
            // Nothing is 0, not -0.
            f64::from(self.turns) * (0..terms).map(one).sum::<f64>() + 0.0
        };
        (0..lines * columns).map(element).collect()
    }

    fn permitted(&self, reads: &[&[f32]], bound: impl Fn(f64) -> f32) -> Vec<Vec<f32>> {
        let one: Vec<f32> = self.product(reads, f64::abs).into_iter().map(bound).collect();
        vec![one.repeat(self.subgroups as usize)]
    }

    fn terms(&self) -> usize {
        (self.edge * self.turns) as usize
    }
}

impl Kernel for MultiplyAddMatrix {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let [lines, terms, columns] = self.sizes();
        Lens { reads: vec![lines * terms, terms * columns], writes: vec![self.subgroups as usize * lines * columns] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let one: Vec<f32> = self.product(reads, |term| term).into_iter().map(|sum| sum as f32).collect();
        writes[0].chunks_mut(one.len()).for_each(|c| c.copy_from_slice(&one));
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let bound = |stage: Stage| stage.operands(self.signature());
        let fits = |coop: &Coop| {
            coop.edge == self.edge && [8, 16].contains(&coop.edge) && TOGETHER * coop.subgroup <= caps.max_invocations
        };
        let mixed = caps.precision == Precision::Mixed && caps.f16;
        let coop = caps.coop.filter(|coop| mixed && fits(coop)).map(|coop| {
            let shader = &SHADERS[usize::from(coop.edge == 16)][usize::from(coop.emulated != 0)];
            let stage = Stage::new(shader, self, grid_1d(self.subgroups.div_ceil(TOGETHER) as usize, caps))
                .constant("SUBGROUPS", TOGETHER)
                .constant("THREADS", TOGETHER * coop.subgroup);
            let stage = if coop.emulated == 0 { stage } else { stage.constant("LANES", coop.emulated) };
            Recipe::single("coop_registers", bound(stage))
        });
        let wg: u32 = if caps.class == Class::Lanes { 8 } else { 64 };
        let plain = Stage::new(&PLAIN, self, grid_1d(self.lens().writes[0].div_ceil(wg as usize), caps));
        let plain = Recipe::single("plain", bound(plain.constant("WG", wg)));
        coop.into_iter().chain([plain]).collect()
    }

    fn flops(&self) -> u64 {
        let [lines, terms, columns] = self.sizes();
        2 * (lines * terms * columns) as u64 * u64::from(self.subgroups) * u64::from(self.turns)
    }

    fn label(&self) -> String {
        let [lines, terms, columns] = self.sizes();
        format!("a[{lines},{terms}] b[{terms},{columns}] subgroups {} turns {}", self.subgroups, self.turns)
    }
}

impl Checks for MultiplyAddMatrix {
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.permitted(reads, |magnitude| sum_bound(self.terms(), magnitude as f32))
    }

    /// Operands are not scaled, so that what f16 has no normal number for is off by 2^-14 at most.
    fn mixed_bounds(&self, reads: &[&[f32]], _old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let rounding = Rounding::mixed(self.terms(), reads[0], reads[1]);
        // Devices may round towards zero, which errs by twice as much as to the nearest.
        let small = self.terms() as f64 * 2f64.powi(-13);
        self.permitted(reads, |magnitude| rounding.of(2.0 * magnitude) + small as f32)
    }
}

fn boxed(all: &[(u32, u32, u32)]) -> Vec<Box<dyn Kernel>> {
    let kernel = |&(edge, subgroups, turns)| Box::new(MultiplyAddMatrix { edge, subgroups, turns }) as Box<dyn Kernel>;
    all.iter().map(kernel).collect()
}

/// Both edges, and numbers of subgroups that fill no workgroup.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    boxed(&[(8, 1, 1), (16, 1, 2), (8, 7, 3), (8, 6, 0), (8, 5, 30), (16, 2, 3), (16, 3, 17), (16, 4, 1)])
}

/// Sizes that are worth measuring on a GPU.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    boxed(&[(16, 1024, 64)])
}
