//! `matmul`: batched matrix product with transposes, bias, residual and activation.

use super::conv::abs;
use super::epilogue::{self, EpilogueBlock, Tail};
use super::gather;
use super::sampled::Sample;
use super::tiles::Rounding;
use crate::kernels::activation::Activation;
use crate::kernels::{
    Access, Caps, Checks, Epilogue, Fused, Kernel, Lens, Operand, Precision, Recipe, Signature, params,
};
use rayon::prelude::*;
use std::sync::Arc;

params! {
    /// c `[batch,m,n]` = act((a·b + bias) · gate(g) + r), where a gate is 1 where g > 0 and a slope
    /// elsewhere.
    ///
    /// Reads a (`[batch,m,k]`, or `[batch,k,m]` if `trans_a`), b (`[batch,k,n]`, or `[batch,n,k]`
    /// if `trans_b`), bias `[n]`, r and g `[batch,m,n]` (the last three absent, of length 0, unless
    /// the block says otherwise); writes c.
    pub struct MatMul {
        /// Independent products.
        pub batch: u32,
        /// Rows of c.
        pub m: u32,
        /// Terms of each sum.
        pub k: u32,
        /// Columns of c.
        pub n: u32,
        /// 1 if a is stored as `[batch,k,m]`.
        pub trans_a: u32,
        /// 1 if b is stored as `[batch,n,k]`.
        pub trans_b: u32,
        /// What is done to a finished sum.
        pub epilogue: EpilogueBlock,
    }
}

impl MatMul {
    /// A product without batch, transposes or epilogue.
    pub fn new(m: u32, k: u32, n: u32) -> MatMul {
        MatMul { batch: 1, m, k, n, trans_a: 0, trans_b: 0, epilogue: EpilogueBlock::NONE }
    }

    /// Sets which operands are stored transposed.
    pub fn transposed(mut self, a: bool, b: bool) -> MatMul {
        (self.trans_a, self.trans_b) = (u32::from(a), u32::from(b));
        self
    }

    /// Sets the epilogue.
    pub fn epilogue(mut self, activation: Activation, bias: bool, residual: bool) -> MatMul {
        let gate = self.epilogue;
        self.epilogue = EpilogueBlock { act: activation.into(), bias: bias.into(), residual: residual.into(), ..gate };
        self
    }

    /// Sets the gate: a result is left as it is where g > 0, and multiplied by `slope` elsewhere.
    pub fn gated(mut self, slope: f32) -> MatMul {
        (self.epilogue.gate, self.epilogue.gate_slope) = (1, slope);
        self
    }

    fn tail<'a>(&self, reads: &[&'a [f32]]) -> Tail<'a> {
        self.epilogue.tail(&reads[2..], self.n as usize, 1)
    }

    /// a·b in f64.
    fn sum(&self, a: &[f32], b: &[f32]) -> Vec<f64> {
        let [batch, m, k, n] = [self.batch, self.m, self.k, self.n].map(|v| v as usize);
        let (a_row, a_k) = if self.trans_a != 0 { (1, m) } else { (k, 1) };
        let (b_k, b_col) = if self.trans_b != 0 { (1, k) } else { (n, 1) };
        let mut c = vec![0.0; batch * m * n];
        c.par_chunks_mut(n).enumerate().for_each(|(row, c)| {
            let a = &a[row / m * m * k + row % m * a_row..];
            let b = &b[row / m * k * n..];
            for l in 0..k {
                let a = f64::from(a[l * a_k]);
                for (c, b) in std::iter::zip(c.iter_mut(), b[l * b_k..].iter().step_by(b_col)) {
                    *c += a * f64::from(*b);
                }
            }
        });
        c
    }

    fn permitted(&self, reads: &[&[f32]], reference: &[&[f32]], rounding: Rounding) -> Vec<Vec<f32>> {
        let sums = self.sum(&abs(reads[0]), &abs(reads[1]));
        vec![self.tail(reads).bounds(self.k as usize, &sums, rounding, reference[0])]
    }
}

impl Kernel for MatMul {
    fn signature(&self) -> &'static Signature {
        &Signature { name: "matmul", reads: &["a", "b", "bias", "r", "g"], writes: &[("c", Access::Write)] }
    }

    fn lens(&self) -> Lens {
        let [batch, m, k, n] = [self.batch, self.m, self.k, self.n].map(|v| v as usize);
        let c = batch * m * n;
        let [bias, r, g] = self.epilogue.lens(n, c);
        Lens { reads: vec![batch * m * k, batch * k * n, bias, r, g], writes: vec![c] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.tail(reads).write(&self.sum(reads[0], reads[1]), writes[0]);
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.host_c(reads[0], reads[1], writes[0], &self.tail(reads));
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        gather::matmul(self, caps)
    }

    fn flops(&self) -> u64 {
        [self.batch, self.m, self.k, self.n].iter().map(|v| u64::from(*v)).product::<u64>() * 2
    }

    fn label(&self) -> String {
        let dims = |rows: u32, cols: u32, trans: u32| match (self.batch, trans) {
            (1, 0) => format!("[{rows},{cols}]"),
            (1, _) => format!("[{cols},{rows}]ᵀ"),
            (batch, 0) => format!("[{batch},{rows},{cols}]"),
            (batch, _) => format!("[{batch},{cols},{rows}]ᵀ"),
        };
        let (a, b) = (dims(self.m, self.k, self.trans_a), dims(self.k, self.n, self.trans_b));
        format!("a{a} b{b}{}", self.epilogue.label())
    }

    fn fuse(&self, epilogue: Epilogue) -> Option<Fused> {
        let kernel = MatMul { epilogue: self.epilogue.fuse(epilogue)?, ..*self };
        Some(Fused { kernel: Arc::new(kernel), read: epilogue.read(2) })
    }
}

impl Checks for MatMul {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        epilogue::example(operand, len, draw)
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.permitted(reads, reference, Rounding::default())
    }

    fn mixed_bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.permitted(reads, reference, Rounding::mixed(self.k as usize, reads[0], reads[1]))
    }

    fn sums(&self) -> bool {
        self.epilogue.keeps_whole()
    }

    fn sampled(&self, reads: &[&[f32]], at: &[usize], precision: Precision) -> Option<Vec<[f32; 2]>> {
        let [m, k, n] = [self.m, self.k, self.n].map(|v| v as usize);
        let tail = self.tail(reads);
        let rounding = Rounding::of_factors(precision, k, reads[0], reads[1]);
        let spot = |at: &usize| {
            let (row, col) = (at / n, at % n);
            let (product, row) = (row / m, row % m);
            let a = |l: usize| product * m * k + if self.trans_a != 0 { l * m + row } else { row * k + l };
            let b = |l: usize| product * k * n + if self.trans_b != 0 { col * k + l } else { l * n + col };
            let mut spot = Sample::default();
            (0..k).for_each(|l| spot.add(reads[0][a(l)], reads[1][b(l)]));
            tail.spot(k, spot, rounding, *at)
        };
        Some(at.iter().map(spot).collect())
    }
}

fn boxed(all: Vec<MatMul>) -> Vec<Box<dyn Kernel>> {
    all.into_iter().map(|m| Box::new(m) as Box<dyn Kernel>).collect()
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    use Activation::{Elu, Identity, LeakyRelu, Relu, Sigmoid, Tanh};
    let mut all = vec![
        MatMul::new(1, 1, 1),
        MatMul::new(3, 1, 5),
        MatMul::new(1, 67, 1),
        MatMul::new(1, 33, 129),
        MatMul::new(129, 33, 1),
        MatMul::new(17, 31, 37),
        MatMul::new(64, 64, 64),
        MatMul::new(8, 300, 40),
        MatMul::new(9, 16, 36),
        MatMul { batch: 5, ..MatMul::new(7, 11, 13) },
        MatMul { batch: 3, ..MatMul::new(16, 8, 32) },
        // Long sums and few of them.
        MatMul::new(2, 3001, 3),
        // Few columns, and few rows, of sums long and short.
        MatMul::new(70, 300, 2).epilogue(Relu, true, false),
        MatMul::new(9, 1000, 3).transposed(false, true).epilogue(Identity, true, true),
        MatMul { batch: 3, ..MatMul::new(33, 70, 4) },
        MatMul::new(300, 5, 4).transposed(true, false),
        MatMul::new(2, 300, 70).epilogue(Tanh, false, true).gated(0.2),
        MatMul::new(4, 65, 130).transposed(true, true),
        // Few rows with a bias to each column, as linear layers of a few images have it.
        MatMul::new(1, 300, 70).transposed(false, true).epilogue(Relu, true, false),
        MatMul::new(3, 20, 66).epilogue(Sigmoid, true, true).gated(0.2),
        // More than 65535 rows, and more than 65535 columns.
        MatMul::new(66_000, 2, 1),
        MatMul::new(1, 3, 66_001),
    ];
    for (i, activation) in [Identity, Relu, LeakyRelu(0.1), Elu, Tanh, Sigmoid].into_iter().enumerate() {
        let (a, b) = (i % 2 == 0, i % 3 == 0);
        all.push(MatMul::new(19, 21, 34).transposed(a, b).epilogue(activation, !b, a));
        let batched = MatMul { batch: 2, ..MatMul::new(20, 24, 40) };
        all.push(batched.transposed(b, !a).epilogue(activation, b, !b));
        all.push(batched.transposed(!b, !b));
        all.push(MatMul::new(20, 12, 34).transposed(b, a).epilogue(activation, a, b).gated(0.2));
    }
    boxed(all)
}

/// The presets' products: `vae` at batch 128 forward and backward, and the linear layers of
/// `dcgan-28`.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let linear = |batch, i, o| {
        [
            MatMul::new(batch, i, o).transposed(false, true).epilogue(Activation::Identity, true, false),
            MatMul::new(batch, o, i),
            MatMul::new(o, batch, i).transposed(true, false),
        ]
    };
    let layers = [(128, 784, 400), (128, 400, 20), (128, 20, 400), (128, 400, 784), (64, 100, 6272), (64, 6272, 1)];
    boxed(layers.into_iter().flat_map(|(batch, i, o)| linear(batch, i, o)).collect())
}
