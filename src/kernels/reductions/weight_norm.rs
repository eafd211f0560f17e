//! Weights of a length and a direction that are learned apart (Salimans & Kingma, "Weight
//! Normalization: A Simple Reparameterization to Accelerate Training of Deep Neural Networks",
//! NeurIPS 2016), and their gradient.

use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// v `[a, outputs, c]`, g `[outputs]` -> w `[a, outputs, c]`, length `[outputs]`: length = ‖v‖
    /// of every output, w = v (g / length).
    pub struct WeightNorm {
        /// The axes in front of the outputs.
        pub a: u32,
        /// Outputs, of which each has a length.
        pub outputs: u32,
        /// The axes behind the outputs.
        pub c: u32,
    }
}

/// dw, v `[a, outputs, c]`, g, length `[outputs]` -> dv `[a, outputs, c]`, dg `[outputs]` of
/// [`WeightNorm`]: dg = dw·v / length, dv = (g / length) (dw - v dg / length) (equation 3 of the
/// paper).
#[derive(Clone, Copy, Debug)]
pub struct WeightNormGrad(pub WeightNorm);

static FORWARD_SHADERS: [Shader; 2] = [
    shader!(WeightNorm, "weight_norm", width = "1"),
    shader!(WeightNorm, "weight_norm" as "weight_norm4", width = "4"),
];
static BACKWARD_SHADERS: [Shader; 2] = [
    shader!(WeightNorm, "weight_norm_grad", width = "1"),
    shader!(WeightNorm, "weight_norm_grad" as "weight_norm_grad4", width = "4"),
];

static FORWARD: Signature =
    Signature { name: "weight_norm", reads: &["v", "g"], writes: &[("w", Access::Write), ("norm", Access::Write)] };

static BACKWARD: Signature = Signature {
    name: "weight_norm_grad",
    reads: &["dw", "v", "g", "norm"],
    writes: &[("dv", Access::Write), ("dg", Access::Write)],
};

impl WeightNorm {
    /// Weights of one output.
    fn terms(&self) -> usize {
        self.a as usize * self.c as usize
    }

    fn all(&self) -> usize {
        self.outputs as usize * self.terms()
    }

    /// The places of the weights of output `o`, run by run.
    fn runs(&self, o: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let [a, outputs, c] = [self.a, self.outputs, self.c].map(|n| n as usize);
        (0..a).map(move |i| (i * outputs + o) * c..(i * outputs + o + 1) * c)
    }

    /// Σ x y over the weights of output `o`.
    fn dot(&self, o: usize, x: &[f32], y: &[f32]) -> f64 {
        let run = |at: std::ops::Range<usize>| {
            let pairs = std::iter::zip(&x[at.clone()], &y[at]);
            pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>()
        };
        self.runs(o).map(run).sum()
    }

    /// A workgroup for each output.
    fn recipe(&self, shaders: &'static [Shader; 2], signature: &'static Signature, caps: &Caps) -> Recipe {
        let wide = self.c.is_multiple_of(4);
        let block = WeightNorm { c: if wide { self.c / 4 } else { self.c }, ..*self };
        let wg = match caps.class {
            Class::Lanes => 8,
            Class::Gpu if block.terms() <= 128 => 64,
            Class::Gpu => 256,
        };
        let grid = grid_1d(self.outputs as usize, caps);
        let stage = Stage::new(&shaders[usize::from(wide)], &block, grid).constant("WG", wg);
        Recipe::single("rows", stage.operands(signature))
    }
}

impl Kernel for WeightNorm {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let outputs = self.outputs as usize;
        Lens { reads: vec![self.all(), outputs], writes: vec![self.all(), outputs] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[v, g] = reads else { return };
        let [w, norm] = writes else { return };
        norm.par_iter_mut().enumerate().for_each(|(o, norm)| *norm = self.dot(o, v, v).sqrt() as f32);
        let factors: Vec<f64> = std::iter::zip(g, &**norm).map(|(g, n)| f64::from(*g) / f64::from(*n)).collect();
        let (outputs, c) = (self.outputs as usize, self.c as usize);
        w.par_chunks_mut(c).zip(v.par_chunks(c)).enumerate().for_each(|(row, (w, v))| {
            let factor = factors[row % outputs];
            std::iter::zip(w, v).for_each(|(w, v)| *w = (f64::from(*v) * factor) as f32);
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        vec![self.recipe(&FORWARD_SHADERS, &FORWARD, caps)]
    }

    fn flops(&self) -> u64 {
        3 * self.all() as u64
    }

    fn label(&self) -> String {
        format!("v[{},({}),{}]", self.a, self.outputs, self.c)
    }
}

impl Checks for WeightNorm {
    /// Sums of squares have no cancellation: their error is relative, and halved by the root.
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let relative = sum_bound(self.terms(), 1.0) + 12.0 * EPS;
        reference.iter().map(|y| y.iter().map(|y| relative * y.abs() + f32::MIN_POSITIVE).collect()).collect()
    }
}

impl Kernel for WeightNormGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let (all, outputs) = (self.0.all(), self.0.outputs as usize);
        Lens { reads: vec![all, all, outputs, outputs], writes: vec![all, outputs] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dw, v, g, norm] = reads else { return };
        let [dv, dg] = writes else { return };
        dg.par_iter_mut().enumerate().for_each(|(o, dg)| {
            *dg = (self.0.dot(o, dw, v) / f64::from(norm[o])) as f32;
        });
        let (outputs, c) = (self.0.outputs as usize, self.0.c as usize);
        let given = dw.par_chunks(c).zip(v.par_chunks(c));
        dv.par_chunks_mut(c).zip(given).enumerate().for_each(|(row, (dv, (dw, v)))| {
            let o = row % outputs;
            let [g, norm, dg] = [g[o], norm[o], dg[o]].map(f64::from);
            let (factor, along) = (g / norm, dg / norm);
            for (dv, (dw, v)) in std::iter::zip(dv, std::iter::zip(dw, v)) {
                *dv = (factor * (f64::from(*dw) - f64::from(*v) * along)) as f32;
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        vec![self.0.recipe(&BACKWARD_SHADERS, &BACKWARD, caps)]
    }

    fn flops(&self) -> u64 {
        5 * self.0.all() as u64
    }

    fn label(&self) -> String {
        format!("d{}", self.0.label())
    }
}

impl Checks for WeightNormGrad {
    /// Lengths are positive.
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let positive = operand == Operand::Read(3);
        (0..len).map(|_| if positive { 0.5 + draw() } else { 2.0 * draw() - 1.0 }).collect()
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[dw, v, g, norm] = reads else { return Vec::new() };
        let of = |o: usize| {
            let most: f64 = self.0.runs(o).flatten().map(|i| f64::from((dw[i] * v[i]).abs())).sum();
            (sum_bound(self.0.terms(), most as f32) + 8.0 * EPS * most as f32) / norm[o]
        };
        let dg: Vec<f32> = (0..norm.len()).map(of).collect();
        let outputs = self.0.outputs as usize;
        let at = |i: usize| {
            let o = i / self.0.c as usize % outputs;
            let (factor, along) = (g[o].abs() / norm[o], self.0.dot(o, dw, v).abs() as f32 / norm[o]);
            let terms = dw[i].abs() + v[i].abs() * along / norm[o];
            factor * (v[i].abs() * dg[o] / norm[o] + 16.0 * EPS * terms) + f32::MIN_POSITIVE
        };
        vec![(0..dw.len()).map(at).collect(), dg.clone()]
    }
}

const CASES: [[u32; 3]; 8] =
    [[1, 1, 1], [1, 5, 24], [3, 7, 5], [4, 3, 8], [1, 2, 4099], [2, 66_000, 1], [2, 71, 8], [2, 67, 3]];

fn forward([a, outputs, c]: [u32; 3]) -> Box<dyn Kernel> {
    Box::new(WeightNorm { a, outputs, c })
}

fn backward([a, outputs, c]: [u32; 3]) -> Box<dyn Kernel> {
    Box::new(WeightNormGrad(WeightNorm { a, outputs, c }))
}

/// Odd shapes of [`WeightNorm`]; one has more than 65535 outputs.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(forward).into()
}

/// Shapes of the presets for [`WeightNorm`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [[1, 160, 1920], [1, 320, 1280], [160, 160, 6]].map(forward).into()
}

/// Odd shapes of [`WeightNormGrad`].
pub fn grad_cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(backward).into()
}

/// Shapes of the presets for [`WeightNormGrad`].
pub fn grad_shapes() -> Vec<Box<dyn Kernel>> {
    [[1, 160, 1920], [1, 320, 1280], [160, 160, 6]].map(backward).into()
}
