//! Sums over axes, and the largest along one.

use super::{launch, mismatch};
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::largest::Largest;
use crate::kernels::reduce::Reduce;

/// Sum over some axes, times a constant; summed axes keep extent 1.
#[derive(Debug)]
struct Sum {
    scale: f32,
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        "reduce_sum"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(vec![Some(call.dy().spread_scaled(call.input(0).shape(), self.scale))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Sum(self.scale))
    }
}

/// Where the largest along an axis is, flat almost everywhere.
#[derive(Debug)]
struct Place {
    axis: usize,
}

impl Op for Place {
    fn name(&self) -> &'static str {
        "largest"
    }

    fn gradient(&self, _: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(vec![None])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Largest(self.axis))
    }
}

/// Runs of neighbouring axes that are all summed or all kept: (summed, elements). Axes of extent 1
/// are neither.
fn runs(shape: &[usize], axes: &[usize]) -> Vec<(bool, usize)> {
    let mut runs: Vec<(bool, usize)> = Vec::new();
    for (axis, &extent) in shape.iter().enumerate().filter(|(_, n)| **n != 1) {
        let summed = axes.contains(&axis);
        match runs.last_mut() {
            Some((s, n)) if *s == summed => *n *= extent,
            _ => runs.push((summed, extent)),
        }
    }
    runs
}

impl Var {
    /// scale · Σ over `axes`, which keep extent 1.
    fn sum_scaled(&self, axes: &[usize], scale: f32) -> Var {
        let mut shape = self.shape().to_vec();
        if let Some(axis) = axes.iter().find(|a| **a >= shape.len()) {
            let error = mismatch("reduce_sum", &[&shape], format!("there is no axis {axis}"));
            return self.graph().fail(error, &shape);
        }
        axes.iter().for_each(|a| shape[*a] = 1);
        let summed = |axes: &[usize]| runs(self.shape(), axes).iter().filter(|r| r.0).count();
        if summed(axes) > 2 {
            // One launch sums two runs of axes; the rest is left to the next.
            let mut sorted = axes.to_vec();
            sorted.sort_unstable();
            let most = (1..sorted.len()).rev().find(|k| summed(&sorted[..*k]) == 2).unwrap_or(1);
            return self.sum_scaled(&sorted[..most], 1.0).sum_scaled(axes, scale);
        }
        // Lay the runs over [a, r1, b, r2, c].
        let mut dims = [1usize; 5];
        let mut at = 0;
        for (summed, n) in runs(self.shape(), axes) {
            if (at % 2 == 1) != summed {
                at += 1;
            }
            dims[at] *= n;
            at += 1;
        }
        let [a, r1, b, r2, c] = dims.map(|d| d as u32);
        let kernel = Reduce { a, r1, b, r2, c, scale };
        self.graph().apply1(Sum { scale }, launch(kernel), &[Some(self)], &shape)
    }

    /// Sum over `axes`, which keep extent 1.
    pub fn sum_axes(&self, axes: &[usize]) -> Var {
        self.sum_scaled(axes, 1.0)
    }

    /// Mean over `axes`, which keep extent 1.
    pub fn mean_axes(&self, axes: &[usize]) -> Var {
        let n: usize = axes.iter().filter_map(|a| self.shape().get(*a)).product();
        self.sum_scaled(axes, 1.0 / n as f32)
    }

    /// Sum of all elements, of shape `[1]`.
    pub fn sum(&self) -> Var {
        self.total(1.0)
    }

    /// Mean of all elements, of shape `[1]`.
    pub fn mean(&self) -> Var {
        self.total(1.0 / self.len() as f32)
    }

    /// Mean over the first axis of the sums over the others, of shape `[1]`: a per-image loss.
    pub fn mean_per_image(&self) -> Var {
        self.total(1.0 / self.rows("mean_per_image") as f32)
    }

    /// The largest along `axis`, which is left out. It is the sum of x times a mask that is flat
    /// almost everywhere, so it can be differentiated any number of times; of equals the first is
    /// taken.
    pub fn max_axis(&self, axis: usize) -> Var {
        let mask = self.largest(axis);
        let mut left = self.shape().to_vec();
        if axis < left.len() {
            left.remove(axis);
        }
        (self * &mask).sum_axes(&[axis]).reshape(&left)
    }

    /// 1 where an element is the largest along `axis`, of equals the first, and 0 elsewhere;
    /// without a gradient.
    pub fn largest(&self, axis: usize) -> Var {
        let shape = self.shape();
        if shape.get(axis).is_none_or(|n| *n == 0) {
            let error = mismatch("max", &[shape], format!("there is nothing along axis {axis}"));
            return self.graph().fail(error, shape);
        }
        let extent = |axes: &[usize]| axes.iter().product::<usize>() as u32;
        let kernel =
            Largest { outer: extent(&shape[..axis]), pieces: shape[axis] as u32, inner: extent(&shape[axis + 1..]) };
        self.graph().apply1(Place { axis }, launch(kernel), &[Some(self)], shape)
    }

    /// The largest in each of `to` windows along height and width of x `[n,c,h,w]`, which cover it
    /// evenly: window k of an extent e goes from ⌊k·e/to⌋ to ⌈(k+1)·e/to⌉, as PyTorch's adaptive
    /// pooling has it.
    pub fn adaptive_max_pool(&self, to: [usize; 2]) -> Var {
        let shape = self.shape();
        if shape.len() != 4 || to.contains(&0) || shape[2] < to[0] || shape[3] < to[1] {
            let error = mismatch("adaptive_max_pool", &[shape, &to], "x must be [n,c,h,w] and at least as large");
            return self.graph().fail(error, shape);
        }
        self.windows_max(2, to[0]).windows_max(3, to[1])
    }

    fn windows_max(&self, axis: usize, to: usize) -> Var {
        let extent = self.shape()[axis];
        let mut shape = self.shape().to_vec();
        shape[axis] = 1;
        let window = |k: usize| {
            let (first, end) = (k * extent / to, ((k + 1) * extent).div_ceil(to));
            self.slice(axis, first, end - first).max_axis(axis).reshape(&shape)
        };
        (1..to).fold(window(0), |all, k| all.concat(&window(k), axis))
    }

    fn total(&self, scale: f32) -> Var {
        let flat = self.reshape(&[self.len()]);
        flat.sum_scaled(&[0], scale)
    }

    /// Undoes a broadcast: sums over the axes along which `shape` was repeated.
    pub(super) fn sum_to(&self, shape: &[usize]) -> Var {
        if self.shape() == shape {
            return self.clone();
        }
        let pad = self.shape().len() - shape.len();
        let axes: Vec<usize> =
            (0..self.shape().len()).filter(|&a| self.shape()[a] != 1 && (a < pad || shape[a - pad] == 1)).collect();
        let sum = if axes.is_empty() { self.clone() } else { self.sum_axes(&axes) };
        sum.reshape(shape)
    }
}
