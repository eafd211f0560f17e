//! Softmax cross-entropy over the channel axis, and its gradient.

use super::*;
use rayon::prelude::*;

params! {
    /// logits `[n, classes, positions]`, target `[n, positions]` (class indices)
    /// -> loss `[n, positions]` = logsumexp(logits) - logits\[target\], in nats.
    pub struct CrossEntropy {
        /// Samples.
        pub n: u32,
        /// Classes.
        pub classes: u32,
        /// Positions of a sample.
        pub positions: u32,
    }
}

params! {
    /// dloss `[n, positions]`, logits `[n, classes, positions]`, target `[n, positions]`
    /// -> dlogits `[n, classes, positions]` = (softmax - onehot) dloss.
    pub struct CrossEntropyGrad {
        /// Samples.
        pub n: u32,
        /// Classes.
        pub classes: u32,
        /// Positions of a sample.
        pub positions: u32,
    }
}

static FORWARD: Signature =
    Signature { name: "cross_entropy", reads: &["logits", "target"], writes: &[("loss", Access::Write)] };

static BACKWARD: Signature = Signature {
    name: "cross_entropy_grad",
    reads: &["dloss", "logits", "target"],
    writes: &[("dlogits", Access::Write)],
};

/// max and Σ exp(logit - max) of the column of `classes` logits that starts at `first`.
fn softmax_parts(logits: &[f32], first: usize, classes: usize, stride: usize) -> (f64, f64) {
    let column = || (0..classes).map(|k| f64::from(logits[first + k * stride]));
    let max = column().fold(f64::NEG_INFINITY, f64::max);
    (max, column().map(|v| (v - max).exp()).sum())
}

impl Kernel for CrossEntropy {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let rows = self.n as usize * self.positions as usize;
        Lens { reads: vec![rows * self.classes as usize, rows], writes: vec![rows] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[logits, target] = reads else { return };
        let (classes, positions) = (self.classes as usize, self.positions as usize);
        writes[0].par_iter_mut().enumerate().for_each(|(row, loss)| {
            let first = row / positions * classes * positions + row % positions;
            let (max, sum) = softmax_parts(logits, first, classes, positions);
            *loss = (sum.ln() + max - f64::from(logits[first + target[row] as usize * positions])) as f32;
        });
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        4 * u64::from(self.n) * u64::from(self.classes) * u64::from(self.positions)
    }

    fn label(&self) -> String {
        format!("logits[{},{},{}]", self.n, self.classes, self.positions)
    }
}

impl Kernel for CrossEntropyGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let rows = self.n as usize * self.positions as usize;
        let all = rows * self.classes as usize;
        Lens { reads: vec![rows, all, rows], writes: vec![all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dloss, logits, target] = reads else { return };
        let (classes, positions) = (self.classes as usize, self.positions as usize);
        writes[0].par_chunks_mut(classes * positions).enumerate().for_each(|(i, dlogits)| {
            for at in 0..positions {
                let row = i * positions + at;
                let (max, sum) = softmax_parts(logits, i * classes * positions + at, classes, positions);
                for k in 0..classes {
                    let logit = f64::from(logits[(i * classes + k) * positions + at]);
                    let onehot = if k == target[row] as usize { 1.0 } else { 0.0 };
                    dlogits[k * positions + at] = (((logit - max).exp() / sum - onehot) * f64::from(dloss[row])) as f32;
                }
            }
        });
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        6 * u64::from(self.n) * u64::from(self.classes) * u64::from(self.positions)
    }

    fn label(&self) -> String {
        format!("logits[{},{},{}]", self.n, self.classes, self.positions)
    }
}
