//! Softmax cross-entropy over the channel axis, and its gradient.

use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// logits `[n, classes, positions]`, labels `[n, positions]` (class indices)
    /// -> loss `[n, positions]` = logsumexp(logits) - logits\[labels\], in nats.
    pub struct CrossEntropy {
        /// Samples.
        pub n: u32,
        /// Classes.
        pub classes: u32,
        /// Positions of a sample.
        pub positions: u32,
    }
}

/// dloss `[n, positions]`, logits `[n, classes, positions]`, labels `[n, positions]`
/// -> dlogits `[n, classes, positions]` = (softmax - onehot) dloss.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropyGrad(pub CrossEntropy);

static FORWARD_SHADER: Shader = shader!(CrossEntropy, "cross_entropy");
static BACKWARD_SHADER: Shader = shader!(CrossEntropy, "cross_entropy_grad");

static FORWARD: Signature =
    Signature { name: "cross_entropy", reads: &["logits", "labels"], writes: &[("loss", Access::Write)] };

static BACKWARD: Signature = Signature {
    name: "cross_entropy_grad",
    reads: &["dloss", "logits", "labels"],
    writes: &[("dlogits", Access::Write)],
};

/// max and Σ exp(logit - max) of the column of `classes` logits that starts at `first`.
fn softmax_parts(logits: &[f32], first: usize, classes: usize, stride: usize) -> (f64, f64) {
    let column = || (0..classes).map(|k| f64::from(logits[first + k * stride]));
    let max = column().fold(f64::NEG_INFINITY, f64::max);
    (max, column().map(|v| (v - max).exp()).sum())
}

/// Neighbouring positions that the processor takes together.
const AT_ONCE: usize = 256;

host::wide! {
    /// The parts of the columns that start at position `at`, one for each element of `max`.
    fn of_columns(logits: &[f32], positions: usize, at: usize, max: &mut [f32], sum: &mut [f32]) {
        max.fill(f32::NEG_INFINITY);
        sum.fill(0.0);
        for row in logits.chunks_exact(positions) {
            for (max, v) in std::iter::zip(&mut *max, &row[at..]) {
                *max = if *v > *max { *v } else { *max };
            }
        }
        for row in logits.chunks_exact(positions) {
            for ((sum, max), v) in std::iter::zip(std::iter::zip(&mut *sum, &*max), &row[at..]) {
                *sum += host::exp(v - max);
            }
        }
    }
}

host::wide! {
    /// softmax · dloss of the columns that start at position `at`, of max, sum and dloss each.
    fn shares(logits: &[f32], positions: usize, at: usize, of: [&[f32]; 3], dlogits: &mut [f32]) {
        let [max, sum, dloss] = of;
        for (row, to) in std::iter::zip(logits.chunks_exact(positions), dlogits.chunks_exact_mut(positions)) {
            let parts = std::iter::zip(max, std::iter::zip(sum, dloss));
            for ((to, v), (max, (sum, dloss))) in std::iter::zip(std::iter::zip(&mut to[at..], &row[at..]), parts) {
                *to = host::exp(v - max) / sum * dloss;
            }
        }
    }
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

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[logits, target] = reads else { return };
        let (classes, positions) = (self.classes as usize, self.positions as usize);
        let work = |(i, at, loss): (usize, usize, &mut [f32])| {
            let mut parts = [[0.0; AT_ONCE]; 2];
            let logits = &logits[i * classes * positions..][..classes * positions];
            let [max, sum] = parts.each_mut().map(|part| &mut part[..loss.len()]);
            of_columns(logits, positions, at, max, sum);
            for (k, loss) in loss.iter_mut().enumerate() {
                let chosen = logits[target[i * positions + at + k] as usize * positions + at + k];
                *loss = host::ln(sum[k]) + (max[k] - chosen);
            }
        };
        let mut all = Vec::new();
        for (i, loss) in writes[0].chunks_mut(positions).enumerate() {
            all.extend(loss.chunks_mut(AT_ONCE).enumerate().map(|(k, loss)| (i, k * AT_ONCE, loss)));
        }
        all.into_par_iter().for_each(work);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = self.lens().writes[0];
        vec![Recipe::single("flat", flat(&FORWARD_SHADER, self, items, caps).operands(self.signature()))]
    }

    fn flops(&self) -> u64 {
        4 * u64::from(self.n) * u64::from(self.classes) * u64::from(self.positions)
    }

    fn label(&self) -> String {
        format!("logits[{},{},{}]", self.n, self.classes, self.positions)
    }
}

impl Checks for CrossEntropy {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let classes = self.classes as f32;
        match operand {
            Operand::Read(0) => (0..len).map(|_| 10.0 * draw() - 5.0).collect(),
            Operand::Read(1) => (0..len).map(|_| (classes * draw()).floor().min(classes - 1.0)).collect(),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let (classes, positions) = (self.classes as usize, self.positions as usize);
        let bound = |(row, loss): (usize, &f32)| {
            let first = row / positions * classes * positions + row % positions;
            let (max, sum) = softmax_parts(reads[0], first, classes, positions);
            let chosen = reads[0][first + reads[1][row] as usize * positions];
            // ln turns the relative error of the sum into an absolute one.
            let d_sum = sum_error(reads[0], first, classes, positions);
            d_sum + 4.0 * EPS * ((max as f32 - chosen).abs() + sum.ln() as f32 + loss.abs()) + 1e-9
        };
        vec![reference[0].iter().enumerate().map(bound).collect()]
    }
}

impl Kernel for CrossEntropyGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let rows = self.0.n as usize * self.0.positions as usize;
        let all = rows * self.0.classes as usize;
        Lens { reads: vec![rows, all, rows], writes: vec![all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dloss, logits, target] = reads else { return };
        let (classes, positions) = (self.0.classes as usize, self.0.positions as usize);
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

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dloss, logits, target] = reads else { return };
        let (classes, positions) = (self.0.classes as usize, self.0.positions as usize);
        writes[0].par_chunks_mut(classes * positions).enumerate().for_each(|(i, dlogits)| {
            let logits = &logits[i * classes * positions..][..classes * positions];
            let mut parts = [[0.0; AT_ONCE]; 2];
            for at in (0..positions).step_by(AT_ONCE) {
                let len = AT_ONCE.min(positions - at);
                let [max, sum] = parts.each_mut().map(|part| &mut part[..len]);
                of_columns(logits, positions, at, max, sum);
                let dloss = &dloss[i * positions + at..][..len];
                shares(logits, positions, at, [max, sum, dloss], dlogits);
                for k in 0..len {
                    let label = target[i * positions + at + k] as usize;
                    if label < classes {
                        dlogits[label * positions + at + k] -= dloss[k];
                    }
                }
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = self.lens().reads[0];
        vec![Recipe::single("flat", flat(&BACKWARD_SHADER, &self.0, items, caps).operands(self.signature()))]
    }

    fn flops(&self) -> u64 {
        6 * u64::from(self.0.n) * u64::from(self.0.classes) * u64::from(self.0.positions)
    }

    fn label(&self) -> String {
        self.0.label()
    }
}

impl Checks for CrossEntropyGrad {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(k @ 1..) => self.0.example(Operand::Read(k - 1), len, draw),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let (classes, positions) = (self.0.classes as usize, self.0.positions as usize);
        let mut bounds = vec![0.0; reference[0].len()];
        for row in 0..reads[0].len() {
            let first = row / positions * classes * positions + row % positions;
            let (max, sum) = softmax_parts(reads[1], first, classes, positions);
            let d_sum = sum_error(reads[1], first, classes, positions);
            for at in (0..classes).map(|k| first + k * positions) {
                let away = reads[1][at] - max as f32;
                let share = away.exp() / sum as f32;
                let d_share = share * (exp_error(away) + away.abs() * EPS + d_sum + 6.0 * EPS);
                bounds[at] =
                    reads[0][row].abs() * (d_share + EPS) + 2.0 * EPS * reference[0][at].abs() + f32::MIN_POSITIVE;
            }
        }
        vec![bounds]
    }
}

/// The relative error permitted to Σ exp(logit - max).
fn sum_error(logits: &[f32], first: usize, classes: usize, stride: usize) -> f32 {
    let (max, sum) = softmax_parts(logits, first, classes, stride);
    let term = |k: usize| {
        let away = logits[first + k * stride] - max as f32;
        away.exp() * (exp_error(away) + away.abs() * EPS)
    };
    sum_bound(classes, 1.0) + (0..classes).map(term).sum::<f32>() / sum as f32
}

const CASES: [[u32; 3]; 6] = [[1, 1, 1], [3, 2, 5], [7, 10, 1], [2, 256, 49], [5, 3, 1009], [1, 1000, 3]];

/// Odd shapes of [`CrossEntropy`].
pub fn cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(|[n, classes, positions]| Box::new(CrossEntropy { n, classes, positions }) as Box<dyn Kernel>).into()
}

/// Shapes of the presets for [`CrossEntropy`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(CrossEntropy { n: 16, classes: 256, positions: 784 })]
}

/// Odd shapes of [`CrossEntropyGrad`].
pub fn grad_cases() -> Vec<Box<dyn Kernel>> {
    CASES
        .map(|[n, classes, positions]| {
            Box::new(CrossEntropyGrad(CrossEntropy { n, classes, positions })) as Box<dyn Kernel>
        })
        .into()
}

/// Shapes of the presets for [`CrossEntropyGrad`].
pub fn grad_shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(CrossEntropyGrad(CrossEntropy { n: 16, classes: 256, positions: 784 }))]
}
