//! Linear classifiers by squared hinge losses, one for each class against the rest (Tang 2013,
//! "Deep Learning using Linear Support Vector Machines"):
//!
//! minimise ½‖w‖² + C Σᵢ max(0, 1 - yᵢ w·xᵢ)², yᵢ = 1 for the class and -1 for the others
//!
//! The objective is strictly convex and once differentiable, so that any descent finds the one
//! minimum. It is found by L-BFGS (Nocedal & Wright 2006, algorithm 7.5), for all classes in step,
//! which share each product with the features; along a direction the objective is a piecewise
//! quadratic, whose minimum is searched for exactly.

use crate::kernels::matrix::{Matrix, product};
use rayon::prelude::*;
use std::collections::VecDeque;

/// A class is done when its gradient's length is this share of what it was at the start,
const TOLERANCE: f64 = 1e-3;

/// or after so many steps.
const STEPS: usize = 300;

/// Pairs of steps and changes of gradient that are remembered.
const MEMORY: usize = 10;

/// Rows that are multiplied together, and whose gradients are added up first: the order of sums
/// does not depend on the number of processors.
const ROWS: usize = 512;

/// Images with labels: rows of `dimensions` features, the last of which is 1 where a bias is
/// wanted.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// `[n,dimensions]`.
    pub rows: &'a [f32],
    /// Class of each row.
    pub labels: &'a [u8],
    /// Extent of a row.
    pub dimensions: usize,
}

/// A linear classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Svm {
    /// [classes,dimensions].
    weights: Vec<f32>,
    classes: usize,
}

/// One class against the rest on its way to its minimum.
struct Descent {
    w: Vec<f64>,
    gradient: Vec<f64>,
    /// w·x of each row.
    scores: Vec<f32>,
    /// Steps and changes of gradient, the latest last.
    pairs: VecDeque<[Vec<f64>; 2]>,
    first: f64,
    done: bool,
}

impl Svm {
    /// The minimum for the constant C, from `start` or from zero weights.
    pub fn train(data: &Labelled, classes: usize, c: f64, start: Option<&Svm>) -> Svm {
        let d = data.dimensions;
        let mut all: Vec<Descent> = (0..classes)
            .map(|class| Descent {
                w: start.map_or(vec![0.0; d], |svm| svm.class(class, d).iter().map(|v| f64::from(*v)).collect()),
                gradient: Vec::new(),
                scores: Vec::new(),
                pairs: VecDeque::new(),
                first: 0.0,
                done: false,
            })
            .collect();
        let scores = data.scores(&all.iter().map(|a| a.w.as_slice()).collect::<Vec<_>>());
        std::iter::zip(&mut all, scores).for_each(|(a, scores)| a.scores = scores);
        let zero = data.gradients(&vec![vec![0.0; data.labels.len()]; classes], c, &(0..classes).collect::<Vec<_>>());
        for (a, zero) in std::iter::zip(&mut all, zero) {
            a.first = dot(&zero, &zero).sqrt();
        }
        for step in 0..=STEPS {
            let open: Vec<usize> = (0..classes).filter(|k| !all[*k].done).collect();
            if open.is_empty() || step == STEPS {
                break;
            }
            let scores: Vec<Vec<f32>> = open.iter().map(|k| all[*k].scores.clone()).collect();
            for (class, loss) in std::iter::zip(&open, data.gradients(&scores, c, &open)) {
                all[*class].arrive(loss);
            }
            let open: Vec<usize> = open.into_iter().filter(|k| !all[*k].done).collect();
            let directions: Vec<Vec<f64>> = open.iter().map(|k| all[*k].direction()).collect();
            let slopes = data.scores(&directions.iter().map(Vec::as_slice).collect::<Vec<_>>());
            for ((class, direction), slopes) in std::iter::zip(std::iter::zip(&open, &directions), slopes) {
                let reach = data.reach(&all[*class], direction, &slopes, c, *class);
                all[*class].go(direction, &slopes, reach);
            }
        }
        Svm { weights: all.iter().flat_map(|a| a.w.iter().map(|v| *v as f32)).collect(), classes }
    }

    fn class(&self, class: usize, dimensions: usize) -> &[f32] {
        &self.weights[class * dimensions..(class + 1) * dimensions]
    }

    /// The share of rows whose own class has the largest score.
    pub fn accuracy(&self, data: &Labelled) -> f64 {
        let n = data.labels.len();
        let rows: Vec<Vec<f64>> =
            (0..self.classes).map(|k| self.class(k, data.dimensions).iter().map(|v| f64::from(*v)).collect()).collect();
        let scores = data.scores(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let best =
            |i: usize| (1..self.classes).fold(0, |best, k| if scores[k][i] > scores[best][i] { k } else { best });
        (0..n).filter(|i| best(*i) == usize::from(data.labels[*i])).count() as f64 / n as f64
    }
}

impl Labelled<'_> {
    /// w·x of every row, for each w.
    fn scores(&self, all: &[&[f64]]) -> Vec<Vec<f32>> {
        let (k, d) = (all.len(), self.dimensions);
        let weights: Vec<f32> = all.iter().flat_map(|w| w.iter().map(|v| *v as f32)).collect();
        let blocks: Vec<Vec<f32>> = self
            .rows
            .par_chunks(ROWS * d)
            .map(|rows| {
                let mut scores = vec![0.0; rows.len() / d * k];
                let weights = Matrix::new(&weights, k, d).transposed();
                product(Matrix::new(rows, rows.len() / d, d), weights, &mut scores, false);
                scores
            })
            .collect();
        (0..k).map(|k0| blocks.iter().flat_map(|b| b.iter().skip(k0).step_by(k).copied()).collect()).collect()
    }

    /// Gradients of C Σ max(0, 1 - y s)² with respect to the weights of `classes`, whose scores
    /// these are.
    fn gradients(&self, scores: &[Vec<f32>], c: f64, classes: &[usize]) -> Vec<Vec<f64>> {
        let (k, d) = (classes.len(), self.dimensions);
        let blocks: Vec<Vec<f32>> = self
            .rows
            .par_chunks(ROWS * d)
            .enumerate()
            .map(|(block, rows)| {
                let n = rows.len() / d;
                let residual = |class: usize, i: usize| {
                    let (y, s) = (self.sign(classes[class], block * ROWS + i), scores[class][block * ROWS + i]);
                    -2.0 * y * (1.0 - y * s).max(0.0)
                };
                let residuals: Vec<f32> = (0..k * n).map(|at| residual(at / n, at % n)).collect();
                let mut sums = vec![0.0; k * d];
                product(Matrix::new(&residuals, k, n), Matrix::new(rows, n, d), &mut sums, false);
                sums
            })
            .collect();
        let mut sums = vec![vec![0.0f64; d]; k];
        for block in &blocks {
            for (sums, block) in std::iter::zip(&mut sums, block.chunks(d)) {
                std::iter::zip(sums, block).for_each(|(sum, v)| *sum += c * f64::from(*v));
            }
        }
        sums
    }

    fn sign(&self, class: usize, row: usize) -> f32 {
        if usize::from(self.labels[row]) == class { 1.0 } else { -1.0 }
    }

    /// Where the objective is least along a direction, whose scores are `slopes`: the root of its
    /// derivative, which rises all the way, by Newton's method between bounds that close in.
    fn reach(&self, at: &Descent, direction: &[f64], slopes: &[f32], c: f64, class: usize) -> f64 {
        let (linear, square) = (dot(&at.w, direction), dot(direction, direction));
        let derivatives = |t: f64| {
            let (mut first, mut second) = (linear + t * square, square);
            for (row, (s, q)) in std::iter::zip(&at.scores, slopes).enumerate() {
                let (y, s, q) = (f64::from(self.sign(class, row)), f64::from(*s), f64::from(*q));
                let gap = 1.0 - y * (s + t * q);
                if gap > 0.0 {
                    first -= 2.0 * c * gap * y * q;
                    second += 2.0 * c * q * q;
                }
            }
            (first, second)
        };
        let (mut low, mut high, mut t) = (0.0, f64::INFINITY, 1.0);
        let start = derivatives(0.0).0.abs();
        for _ in 0..50 {
            let (first, second) = derivatives(t);
            if first.abs() <= 1e-6 * start {
                break;
            }
            if first < 0.0 {
                low = t
            } else {
                high = t
            }
            t -= first / second.max(f64::MIN_POSITIVE);
            if !(t > low && t < high) {
                t = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low + 1.0 };
            }
        }
        t
    }
}

impl Descent {
    /// Takes the gradient of the losses at the present weights.
    fn arrive(&mut self, loss: Vec<f64>) {
        let now: Vec<f64> = std::iter::zip(&self.w, &loss).map(|(w, g)| w + g).collect();
        let before = std::mem::replace(&mut self.gradient, now);
        if let Some([step, change]) = self.pairs.back_mut() {
            *change = std::iter::zip(&self.gradient, &before).map(|(now, before)| now - before).collect();
            if dot(step, change) <= 0.0 {
                self.pairs.pop_back();
            }
        }
        self.done = dot(&self.gradient, &self.gradient).sqrt() <= TOLERANCE * self.first;
    }

    /// Minus the inverse of the estimated second derivative, times the gradient.
    fn direction(&self) -> Vec<f64> {
        let mut q: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::new();
        for [step, change] in self.pairs.iter().rev() {
            let share = dot(step, &q) / dot(step, change);
            add(&mut q, change, -share);
            shares.push(share);
        }
        if let Some([step, change]) = self.pairs.back() {
            let scale = dot(step, change) / dot(change, change);
            q.iter_mut().for_each(|v| *v *= scale);
        }
        for ([step, change], share) in std::iter::zip(&self.pairs, shares.iter().rev()) {
            let back = dot(change, &q) / dot(step, change);
            add(&mut q, step, share - back);
        }
        q
    }

    /// Takes a step; what it does to the gradient is known when the next arrives.
    fn go(&mut self, direction: &[f64], slopes: &[f32], reach: f64) {
        add(&mut self.w, direction, reach);
        std::iter::zip(&mut self.scores, slopes).for_each(|(s, q)| *s += reach as f32 * q);
        if self.pairs.len() == MEMORY {
            self.pairs.pop_front();
        }
        self.pairs.push_back([direction.iter().map(|v| reach * v).collect(), Vec::new()]);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    std::iter::zip(a, b).map(|(a, b)| a * b).sum()
}

fn add(a: &mut [f64], b: &[f64], factor: f64) {
    std::iter::zip(a, b).for_each(|(a, b)| *a += factor * b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::philox::Stream;

    /// Three classes that overlap, in `d` dimensions, the last of them 1.
    fn cloud(n: usize, d: usize) -> (Vec<f32>, Vec<u8>) {
        let noise = Stream { seed: 5, domain: 9, stream: 0, step: 0, first: 0 };
        let labels: Vec<u8> = (0..n).map(|i| (i % 3) as u8).collect();
        let value = |i: usize| match (i / d, i % d) {
            (_, last) if last == d - 1 => 1.0,
            (row, column) => noise.normal(i) + if column % 3 == row % 3 { 1.0 } else { 0.0 },
        };
        ((0..n * d).map(value).collect(), labels)
    }

    /// ∂/∂w of the objective of one class, term by term.
    fn gradient(data: &Labelled, w: &[f32], class: u8, c: f64) -> Vec<f64> {
        let mut g: Vec<f64> = w.iter().map(|v| f64::from(*v)).collect();
        for (row, label) in std::iter::zip(data.rows.chunks(data.dimensions), data.labels) {
            let y = if *label == class { 1.0 } else { -1.0 };
            let s: f64 = std::iter::zip(row, w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            let gap = (1.0 - y * s).max(0.0);
            std::iter::zip(&mut g, row).for_each(|(g, x)| *g -= 2.0 * c * gap * y * f64::from(*x));
        }
        g
    }

    #[test]
    fn every_class_ends_at_its_minimum() {
        let (rows, labels) = cloud(1300, 8);
        let data = Labelled { rows: &rows, labels: &labels, dimensions: 8 };
        for c in [0.001, 1.0, 100.0] {
            let svm = Svm::train(&data, 3, c, None);
            for class in 0..3 {
                let length = |w: &[f32]| {
                    let g = gradient(&data, w, class, c);
                    dot(&g, &g).sqrt()
                };
                let (end, start) = (length(svm.class(class.into(), 8)), length(&[0.0; 8]));
                assert!(end < 1.5e-3 * start, "C {c}: {end} {start}");
            }
            assert!(svm.accuracy(&data) > 0.7);
            let again = Svm::train(&data, 3, c, Some(&svm));
            let apart = std::iter::zip(&svm.weights, &again.weights).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 0.02, "a minimum is where one stays");
        }
    }

    #[test]
    fn classes_that_lie_apart_are_told_apart() {
        let rows = [1.0, 0.0, 1.0, 0.9, 0.1, 1.0, 0.0, 1.0, 1.0, 0.1, 1.1, 1.0];
        let data = Labelled { rows: &rows, labels: &[1, 1, 0, 0], dimensions: 3 };
        assert_eq!(Svm::train(&data, 2, 100.0, None).accuracy(&data), 1.0);
    }
}
