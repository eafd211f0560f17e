//! Reshaping, slicing, padding, flipping, permuting, concatenating and resampling.
//!
//! All but reshaping are one kernel, a strided gather, whose gradient is another strided gather:
//! slice and pad undo each other, so do subsample and dilate; flip undoes itself.

use super::{launch, mismatch};
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::concat::Concat;
use crate::kernels::resample::{AvgPool, Upsample};
use crate::kernels::strided::{Axis, Strided};
use crate::program::{ALIGN, Body, Purpose};

#[derive(Debug)]
struct Reshape;

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(vec![Some(call.dy().reshape(call.input(0).shape()))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Reshape)
    }
}

/// A strided gather; the variants say how to undo it.
#[derive(Debug)]
enum GatherOp {
    Slice { axis: usize, start: usize },
    Pad { axis: usize, before: usize },
    Shift { axis: usize, by: isize },
    Flip { axis: usize },
    Permute { inverse: Vec<usize> },
    Expand,
    Subsample { axis: usize, step: usize },
    Dilate { axis: usize, step: usize },
}

impl Op for GatherOp {
    fn name(&self) -> &'static str {
        match self {
            GatherOp::Slice { .. } => "slice",
            GatherOp::Pad { .. } => "pad",
            GatherOp::Shift { .. } => "shift",
            GatherOp::Flip { .. } => "flip",
            GatherOp::Permute { .. } => "permute",
            GatherOp::Expand => "expand",
            GatherOp::Subsample { .. } => "subsample",
            GatherOp::Dilate { .. } => "dilate",
        }
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dy, x) = (call.dy(), call.input(0));
        Ok(vec![Some(match self {
            GatherOp::Slice { axis, start } => dy.pad(*axis, *start, x.shape()[*axis] - start - dy.shape()[*axis]),
            GatherOp::Pad { axis, before } => dy.slice(*axis, *before, x.shape()[*axis]),
            GatherOp::Shift { axis, by } => dy.shift(*axis, -by),
            GatherOp::Flip { axis } => dy.flip(*axis),
            GatherOp::Permute { inverse } => dy.permute(inverse),
            GatherOp::Expand => dy.sum_to(x.shape()),
            GatherOp::Subsample { axis, step } => dy.dilate(*axis, *step, x.shape()[*axis]),
            GatherOp::Dilate { axis, step } => {
                // The result may end before the last element or go on behind it.
                let (seen, n) = (dy.subsample(*axis, *step), x.shape()[*axis]);
                let m = seen.shape()[*axis];
                if m < n { seen.pad(*axis, 0, n - m) } else { seen.slice(*axis, 0, n) }
            }
        })])
    }

    fn standard(&self) -> Option<Standard> {
        Some(match *self {
            GatherOp::Slice { axis, start } => Standard::Slice { axis, start, step: 1 },
            GatherOp::Subsample { axis, step } => Standard::Slice { axis, start: 0, step },
            GatherOp::Pad { axis, before } => Standard::Pad { axis, before },
            GatherOp::Shift { axis, by } => Standard::Shift { axis, by },
            GatherOp::Flip { axis } => Standard::Flip(axis),
            GatherOp::Permute { ref inverse } => {
                let at = |k: usize| inverse.iter().position(|to| *to == k).unwrap_or(k);
                Standard::Permute((0..inverse.len()).map(at).collect())
            }
            GatherOp::Expand => Standard::Expand,
            GatherOp::Dilate { axis, step } => Standard::Dilate { axis, step },
        })
    }
}

/// Row-major strides.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

#[derive(Debug)]
struct Joined {
    axis: usize,
}

impl Op for Joined {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dy, a, b) = (call.dy(), call.input(0).shape()[self.axis], call.input(1).shape()[self.axis]);
        Ok(vec![call.wants(0).then(|| dy.slice(self.axis, 0, a)), call.wants(1).then(|| dy.slice(self.axis, a, b))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Concat(self.axis))
    }
}

/// Rows in two parts.
#[derive(Debug)]
struct Parted;

impl Op for Parted {
    fn name(&self) -> &'static str {
        "part"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let part = |k: usize| {
            let zeros = || call.outputs[k].graph().constant(call.outputs[k].shape(), 0.0);
            call.dys[k].clone().unwrap_or_else(zeros)
        };
        Ok(vec![Some(part(0).concat(&part(1), 0))])
    }
}

#[derive(Debug)]
struct Enlarge(Upsample);
#[derive(Debug)]
struct Pool(AvgPool);

impl Op for Enlarge {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(vec![Some(call.dy().window_sum([self.0.fh as usize, self.0.fw as usize], 1.0))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Upsample([self.0.fh as usize, self.0.fw as usize]))
    }
}

impl Op for Pool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let factor = [self.0.fh as usize, self.0.fw as usize];
        Ok(vec![Some(call.dy().upsample(factor).mul_scalar(self.0.scale))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::WindowSum([self.0.fh as usize, self.0.fw as usize], self.0.scale))
    }
}

impl Var {
    /// The same elements in the same order under another shape.
    pub fn reshape(&self, shape: &[usize]) -> Var {
        if shape == self.shape() {
            return self.clone();
        }
        if shape.iter().product::<usize>() != self.len() {
            let error = mismatch("reshape", &[self.shape(), shape], "the numbers of elements differ");
            return self.graph().fail(error, shape);
        }
        self.graph().alias(Reshape, self, shape)
    }

    /// [n, ...] as [n, everything else].
    pub fn flatten(&self) -> Var {
        let n = self.rows("flatten");
        self.reshape(&[n, self.len() / n.max(1)])
    }

    /// A gather over up to four axes; tensors of higher rank would need theirs merged first.
    fn gather(&self, op: GatherOp, axes: &[Axis], shape: &[usize]) -> Var {
        if axes.len() > 4 {
            let error = mismatch(op.name(), &[self.shape()], "at most four axes");
            return self.graph().fail(error, shape);
        }
        let mut all = [Axis::whole(1, 0); 4];
        all[4 - axes.len()..].copy_from_slice(axes);
        let kernel = Strided::new(all, 0, self.len() as u32);
        self.graph().apply1(op, launch(kernel), &[Some(self)], shape)
    }

    /// A gather that changes one axis.
    fn gather_axis(&self, op: GatherOp, axis: usize, change: impl Fn(Axis) -> Axis) -> Var {
        if axis >= self.shape().len() {
            let error = mismatch(op.name(), &[self.shape()], format!("there is no axis {axis}"));
            return self.graph().fail(error, self.shape());
        }
        let whole = std::iter::zip(self.shape(), strides(self.shape()));
        let mut axes: Vec<Axis> = whole.map(|(n, s)| Axis::whole(*n as u32, s as u32)).collect();
        axes[axis] = change(axes[axis]);
        let mut shape = self.shape().to_vec();
        shape[axis] = axes[axis].out as usize;
        self.gather(op, &axes, &shape)
    }

    /// `len` elements of `axis` from `start`.
    pub fn slice(&self, axis: usize, start: usize, len: usize) -> Var {
        if self.shape().get(axis).is_some_and(|n| start.checked_add(len).is_none_or(|end| end > *n)) {
            let why = format!("{len} elements of axis {axis} from element {start} do not exist");
            return self.graph().fail(mismatch("slice", &[self.shape()], why), self.shape());
        }
        let change = |a: Axis| Axis { out: len as u32, add: start as i32, ..a };
        self.gather_axis(GatherOp::Slice { axis, start }, axis, change)
    }

    /// Zeros before and after `axis`.
    pub fn pad(&self, axis: usize, before: usize, after: usize) -> Var {
        let change = |a: Axis| Axis { out: a.size + (before + after) as u32, add: -(before as i32), ..a };
        self.gather_axis(GatherOp::Pad { axis, before }, axis, change)
    }

    /// `axis` moved by `by` elements, of which some fall out at one end; zeros take their places at
    /// the other.
    pub fn shift(&self, axis: usize, by: isize) -> Var {
        self.gather_axis(GatherOp::Shift { axis, by }, axis, |a| Axis { add: -by as i32, ..a })
    }

    /// `axis` from its last element to its first.
    pub fn flip(&self, axis: usize) -> Var {
        self.gather_axis(GatherOp::Flip { axis }, axis, |a| Axis { mul: -1, add: a.size as i32 - 1, ..a })
    }

    /// Every `step`-th element of `axis`, from the first.
    pub fn subsample(&self, axis: usize, step: usize) -> Var {
        if step == 0 {
            let error = mismatch("subsample", &[self.shape()], "the step must be at least 1");
            return self.graph().fail(error, self.shape());
        }
        let change = |a: Axis| Axis { out: a.size.div_ceil(step as u32), mul: step as i32, ..a };
        self.gather_axis(GatherOp::Subsample { axis, step }, axis, change)
    }

    /// `axis` spread out to `size` elements, `step` apart, zeros in between.
    pub fn dilate(&self, axis: usize, step: usize, size: usize) -> Var {
        if step == 0 {
            let error = mismatch("dilate", &[self.shape()], "the step must be at least 1");
            return self.graph().fail(error, self.shape());
        }
        let change = |a: Axis| Axis { out: size as u32, div: step as u32, ..a };
        self.gather_axis(GatherOp::Dilate { axis, step }, axis, change)
    }

    /// Axes in another order: axis `k` of the result is axis `order[k]`.
    pub fn permute(&self, order: &[usize]) -> Var {
        let mut inverse = vec![usize::MAX; order.len()];
        for (k, &from) in order.iter().enumerate() {
            if from < inverse.len() {
                inverse[from] = k;
            }
        }
        if order.len() != self.shape().len() || inverse.contains(&usize::MAX) {
            let why = format!("{order:?} is no order of these axes");
            return self.graph().fail(mismatch("permute", &[self.shape()], why), self.shape());
        }
        let strides = strides(self.shape());
        let axes: Vec<Axis> = order.iter().map(|&k| Axis::whole(self.shape()[k] as u32, strides[k] as u32)).collect();
        let shape: Vec<usize> = order.iter().map(|&k| self.shape()[k]).collect();
        self.gather(GatherOp::Permute { inverse }, &axes, &shape)
    }

    /// All rows of [n, ...] so many times, one copy after the other: row i is row i % n.
    pub fn repeat(&self, times: usize) -> Var {
        let mut shape = self.shape().to_vec();
        if shape.is_empty() {
            let error = mismatch("repeat", &[&shape], "there is no first axis");
            return self.graph().fail(error, &shape);
        }
        shape[0] *= times;
        self.reshape(&[1, self.len()]).gather_expand(&[times, self.len()]).reshape(&shape)
    }

    /// Laid out over a larger shape in memory.
    pub(super) fn gather_expand(&self, shape: &[usize]) -> Var {
        let pad = shape.len() - self.shape().len();
        let strides = strides(self.shape());
        let axes = (0..shape.len()).map(|k| match k.checked_sub(pad) {
            Some(own) if self.shape()[own] == shape[k] => Axis::whole(shape[k] as u32, strides[own] as u32),
            _ => Axis { out: shape[k] as u32, mul: 0, ..Axis::whole(1, 0) },
        });
        // Neighbours that are both copied or both repeated are one axis.
        let mut merged: Vec<Axis> = Vec::new();
        for axis in axes.filter(|a| a.out != 1) {
            match merged.last_mut() {
                Some(last) if last.mul == axis.mul => {
                    let (out, size) = (last.out * axis.out, last.size * axis.size);
                    *last = Axis { out, size, ..axis };
                }
                _ => merged.push(axis),
            }
        }
        if merged.len() > 4 {
            // One gather has four axes: repeat the last axes that need it, then the others.
            let repeated = |k: &usize| *k < pad || self.shape()[*k - pad] != shape[*k];
            let last = (0..shape.len()).rev().find(repeated).unwrap_or(0);
            let mut first = vec![1; pad];
            first.extend(self.shape());
            let start = (0..=last).rev().take_while(repeated).last().unwrap_or(last);
            first[start..=last].copy_from_slice(&shape[start..=last]);
            return self.gather_expand(&first).gather_expand(shape);
        }
        self.gather(GatherOp::Expand, &merged, shape)
    }

    /// `self` and then `other` along `axis`.
    pub fn concat(&self, other: &Var, axis: usize) -> Var {
        let (a, b) = (self.shape(), other.shape());
        let same = a.len() == b.len() && axis < a.len() && (0..a.len()).all(|k| k == axis || a[k] == b[k]);
        if !same {
            let error = mismatch("concat", &[a, b], format!("extents other than that of axis {axis} must agree"));
            return self.graph().fail(error, a);
        }
        let kernel = Concat {
            outer: a[..axis].iter().product::<usize>() as u32,
            a: a[axis] as u32,
            b: b[axis] as u32,
            inner: a[axis + 1..].iter().product::<usize>() as u32,
        };
        let mut shape = a.to_vec();
        shape[axis] += b[axis];
        // What lies one behind the other is written there by what makes it.
        let is_placed = axis == 0 && self.len().is_multiple_of(ALIGN) && !self.graph().is_per_pixel();
        let body = match is_placed {
            true => Body::Flatten(vec![0, self.len()], Purpose::Temp),
            false => launch(kernel),
        };
        self.graph().apply1(Joined { axis }, body, &[Some(self), Some(other)], &shape)
    }

    /// The first `rows` rows of [n, ...], and the others.
    pub fn part(&self, rows: usize) -> [Var; 2] {
        let all = self.rows("part");
        let parts = [self.slice(0, 0, rows), self.slice(0, rows, all.saturating_sub(rows))];
        self.graph().stand_for(Parted, parts.each_ref(), &[self])
    }

    /// Nearest-neighbour enlargement of `[n,c,h,w]` by whole factors.
    pub fn upsample(&self, [fh, fw]: [usize; 2]) -> Var {
        let &[n, c, h, w] = self.shape() else {
            return self.graph().fail(mismatch("upsample", &[self.shape()], "x must be [n,c,h,w]"), self.shape());
        };
        let kernel = Upsample { planes: (n * c) as u32, h: h as u32, w: w as u32, fh: fh as u32, fw: fw as u32 };
        self.graph().apply1(Enlarge(kernel), launch(kernel), &[Some(self)], &[n, c, h * fh, w * fw])
    }

    /// Mean over windows of `factor` that do not overlap, for `[n,c,h,w]`.
    pub fn avg_pool(&self, factor: [usize; 2]) -> Var {
        self.window_sum(factor, 1.0 / (factor[0] * factor[1]) as f32)
    }

    fn window_sum(&self, [fh, fw]: [usize; 2], scale: f32) -> Var {
        let shape = self.shape();
        let fits = shape.len() == 4 && fh > 0 && fw > 0 && shape[2].is_multiple_of(fh) && shape[3].is_multiple_of(fw);
        if !fits {
            let error = mismatch("avg_pool", &[shape, &[fh, fw]], "the window must divide height and width");
            return self.graph().fail(error, shape);
        }
        let (planes, h, w) = (shape[0] * shape[1], shape[2] / fh, shape[3] / fw);
        let kernel = AvgPool { planes: planes as u32, h: h as u32, w: w as u32, fh: fh as u32, fw: fw as u32, scale };
        self.graph().apply1(Pool(kernel), launch(kernel), &[Some(self)], &[shape[0], shape[1], h, w])
    }
}
