//! Sums over two axes of a tensor: channel sums, totals, per-sample sums, bias gradients.

use super::*;
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

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        (self.outputs() * (self.terms() + 1)) as u64
    }

    fn label(&self) -> String {
        let Reduce { a, r1, b, r2, c, .. } = self;
        format!("x[{a},({r1}),{b},({r2}),{c}]")
    }
}
