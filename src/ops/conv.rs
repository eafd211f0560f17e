//! The convolution family.
//!
//! S(x, w, y) = Σ y · conv(x, w) is linear in each of its arguments. Convolution, transposed
//! convolution and the weight gradient are its three partial derivatives, so the gradient rule of
//! each names the other two, and nothing else is needed for any order of differentiation.

use super::{launch, mismatch};
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::conv::Conv;
use crate::kernels::convolution::epilogue::EpilogueBlock;
use crate::kernels::{conv_transpose2d::ConvTranspose2d, conv2d::Conv2d, conv2d_weight_grad::Conv2dWeightGrad};

/// Which taps of a masked convolution are alive (van den Oord et al. 2016, §3.4): those before the
/// centre in raster order, and at the centre
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mask {
    /// every tap: no mask.
    #[default]
    None,
    /// only earlier colours.
    A,
    /// earlier colours and the same one.
    B,
}

/// The geometry of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvSpec {
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Zeros added at top, left, bottom and right.
    pub padding: [usize; 4],
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// Which taps are alive.
    pub mask: Mask,
    /// Colours of a mask: channel c belongs to colour c modulo this.
    pub groups: usize,
}

impl Default for ConvSpec {
    fn default() -> Self {
        ConvSpec { stride: [1, 1], padding: [0; 4], dilation: [1, 1], mask: Mask::None, groups: 1 }
    }
}

impl ConvSpec {
    /// Stride and padding the same on every axis and side.
    pub fn new(stride: usize, padding: usize) -> Self {
        ConvSpec { stride: [stride; 2], padding: [padding; 4], ..Self::default() }
    }

    /// A masked convolution that keeps the size of its input, for an odd kernel.
    pub fn masked(mask: Mask, kernel: [usize; 2], groups: usize) -> Self {
        let [v, h] = [kernel[0] / 2, kernel[1] / 2];
        ConvSpec { padding: [v, h, v, h], mask, groups, ..Self::default() }
    }

    /// Extent of the output along an axis (0 vertical, 1 horizontal), if there is any.
    pub fn output(&self, axis: usize, input: usize, kernel: usize) -> Option<usize> {
        let span = self.dilation[axis].checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
        let padded = input + self.padding[axis] + self.padding[axis + 2];
        Some(padded.checked_sub(span)? / self.stride[axis] + 1)
    }

    /// Extent of the output of the transposed convolution along an axis.
    pub fn transposed_output(&self, axis: usize, input: usize, kernel: usize, extra: usize) -> Option<usize> {
        let span = self.stride[axis].checked_mul(input.checked_sub(1)?)?;
        let full = span + self.dilation[axis] * kernel.checked_sub(1)? + 1 + extra;
        full.checked_sub(self.padding[axis] + self.padding[axis + 2]).filter(|n| *n > 0)
    }

    /// A sentence about a setting that makes no sense, if there is one.
    pub fn fault(&self, kernel: [usize; 2]) -> Option<String> {
        if self.stride.contains(&0) {
            return Some("stride must be at least 1".into());
        }
        if self.dilation.contains(&0) {
            return Some("dilation must be at least 1".into());
        }
        if self.groups == 0 {
            return Some("groups must be at least 1".into());
        }
        if self.mask != Mask::None && kernel.iter().any(|k| k % 2 == 0) {
            return Some(format!("a masked kernel must have odd extents, not {}x{}", kernel[0], kernel[1]));
        }
        None
    }

    fn block(&self, x: [usize; 4], w: &[usize], y: [usize; 2], has_bias: bool) -> Conv {
        let [n, ci, h, wide] = x.map(|v| v as u32);
        Conv {
            n,
            ci,
            h,
            w: wide,
            co: w[0] as u32,
            kh: w[2] as u32,
            kw: w[3] as u32,
            oh: y[0] as u32,
            ow: y[1] as u32,
            stride_h: self.stride[0] as u32,
            stride_w: self.stride[1] as u32,
            pad_top: self.padding[0] as u32,
            pad_left: self.padding[1] as u32,
            dilation_h: self.dilation[0] as u32,
            dilation_w: self.dilation[1] as u32,
            mask: self.mask as u32,
            groups: self.groups as u32,
            x_last: 0,
            y_last: 0,
            epilogue: EpilogueBlock::of_bias(has_bias),
        }
    }
}

fn x_shape(c: &Conv) -> [usize; 4] {
    [c.n, c.ci, c.h, c.w].map(|v| v as usize)
}

fn w_shape(c: &Conv) -> [usize; 4] {
    [c.co, c.ci, c.kh, c.kw].map(|v| v as usize)
}

fn y_shape(c: &Conv) -> [usize; 4] {
    [c.n, c.co, c.oh, c.ow].map(|v| v as usize)
}

/// ∂S/∂y: y from x and w.
fn forward(x: &Var, w: &Var, b: Option<&Var>, block: Conv) -> Var {
    let block = block.bare(b.is_some());
    x.graph().apply1(Forward(block), launch(Conv2d(block)), &[Some(x), Some(w), b], &y_shape(&block))
}

/// ∂S/∂x: x from y and w.
fn transposed(y: &Var, w: &Var, b: Option<&Var>, block: Conv) -> Var {
    let block = block.bare(b.is_some());
    y.graph().apply1(Transposed(block), launch(ConvTranspose2d(block)), &[Some(y), Some(w), b], &x_shape(&block))
}

/// ∂S/∂w: w from x and y.
fn weight_grad(x: &Var, y: &Var, block: Conv) -> Var {
    let block = block.bare(false);
    x.graph().apply1(WeightGrad(block), launch(Conv2dWeightGrad(block)), &[Some(x), Some(y)], &w_shape(&block))
}

/// ∂S/∂w as in [`weight_grad`], and the gradient of a bias behind the convolution, in one pass over
/// y.
fn weight_and_bias_grad(x: &Var, y: &Var, block: Conv) -> [Var; 2] {
    let block = block.bare(true);
    let (inputs, shapes) = ([Some(x), Some(y)], [&w_shape(&block)[..], &[block.co as usize]]);
    let mut both = x.graph().apply(WeightGrad(block), launch(Conv2dWeightGrad(block)), &inputs, &shapes);
    let db = both.remove(1);
    [both.remove(0), db]
}

/// Sum over everything but the channels.
fn channel_sum(v: &Var) -> Var {
    v.sum_axes(&[0, 2, 3]).reshape(&[v.shape()[1]])
}

/// The block without the number of images.
fn of_any_batch(block: Conv) -> Conv {
    Conv { n: 1, ..block }
}

#[derive(Debug)]
struct Forward(Conv);
#[derive(Debug)]
struct Transposed(Conv);
#[derive(Debug)]
struct WeightGrad(Conv);

impl Op for Forward {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dy, x, w) = (call.dy(), call.input(0), call.input(1));
        let dx = call.wants(0).then(|| transposed(dy, w, None, self.0));
        if call.wants(1) && call.wants(2) {
            let [dw, db] = weight_and_bias_grad(x, dy, self.0).map(Some);
            return Ok(vec![dx, dw, db]);
        }
        Ok(vec![dx, call.wants(1).then(|| weight_grad(x, dy, self.0)), call.wants(2).then(|| channel_sum(dy))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Conv(of_any_batch(self.0)))
    }
}

impl Op for Transposed {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dx, y, w) = (call.dy(), call.input(0), call.input(1));
        Ok(vec![
            call.wants(0).then(|| forward(dx, w, None, self.0)),
            call.wants(1).then(|| weight_grad(dx, y, self.0)),
            call.wants(2).then(|| channel_sum(dx)),
        ])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::ConvTranspose(of_any_batch(self.0)))
    }
}

impl Op for WeightGrad {
    fn name(&self) -> &'static str {
        "conv2d_weight_grad"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (x, y) = (call.input(0), call.input(1));
        let dw = call.dys[0].as_ref();
        // Σ dy · db is linear in y alone, as a bias is added to it.
        let db = call.dys.get(1).and_then(Option::as_ref);
        let by_y = || match (dw, db) {
            (Some(dw), db) => Some(forward(x, dw, db, self.0)),
            (None, Some(db)) => Some(db.reshape(&[1, db.len(), 1, 1]).spread_scaled(y.shape(), 1.0)),
            (None, None) => None,
        };
        Ok(vec![
            dw.filter(|_| call.wants(0)).map(|dw| transposed(y, dw, None, self.0)),
            call.wants(1).then(by_y).flatten(),
        ])
    }
}

impl Var {
    /// Convolution of x `[n,ci,h,w]` with w `[co,ci,kh,kw]`, bias b `[co]`.
    pub fn conv2d(&self, w: &Var, b: Option<&Var>, spec: &ConvSpec) -> Var {
        const OP: &str = "conv2d";
        let (&[n, ci, h, wide], &[co, wi, kh, kw]) = (self.shape(), w.shape()) else {
            return self.refuse(OP, w, "x and w must have four axes".into());
        };
        if let Some(fault) = spec.fault([kh, kw]) {
            return self.refuse(OP, w, fault);
        }
        if wi != ci {
            return self.refuse(OP, w, format!("x has {ci} channels and w takes {wi}"));
        }
        let (Some(oh), Some(ow)) = (spec.output(0, h, kh), spec.output(1, wide, kw)) else {
            return self.refuse(OP, w, "the kernel is larger than the padded input".into());
        };
        if let Some(b) = b.filter(|b| b.shape() != [co]) {
            return self.refuse(OP, b, format!("a bias of {co} elements is needed"));
        }
        forward(self, w, b, spec.block([n, ci, h, wide], w.shape(), [oh, ow], b.is_some()))
    }

    /// Transposed convolution of y `[n,in,h,w]` with w `[in,out,kh,kw]`, bias b `[out]`;
    /// `output_padding` makes the result larger at bottom and right.
    pub fn conv_transpose2d(&self, w: &Var, b: Option<&Var>, spec: &ConvSpec, output_padding: [usize; 2]) -> Var {
        const OP: &str = "conv_transpose2d";
        let (&[n, c, oh, ow], &[wi, out, kh, kw]) = (self.shape(), w.shape()) else {
            return self.refuse(OP, w, "x and w must have four axes".into());
        };
        if let Some(fault) = spec.fault([kh, kw]) {
            return self.refuse(OP, w, fault);
        }
        if wi != c {
            return self.refuse(OP, w, format!("x has {c} channels and w takes {wi}"));
        }
        let extent = |axis, input, kernel| spec.transposed_output(axis, input, kernel, output_padding[axis]);
        let (Some(h), Some(wide)) = (extent(0, oh, kh), extent(1, ow, kw)) else {
            return self.refuse(OP, w, "the padding leaves nothing of the output".into());
        };
        let room = |axis: usize| spec.stride[axis].max(spec.dilation[axis]);
        if (0..2).any(|axis| output_padding[axis] >= room(axis)) {
            return self.refuse(OP, w, "output_padding must be smaller than stride or dilation".into());
        }
        if let Some(b) = b.filter(|b| b.shape() != [out]) {
            return self.refuse(OP, b, format!("a bias of {out} elements is needed"));
        }
        transposed(self, w, b, spec.block([n, out, h, wide], w.shape(), [oh, ow], b.is_some()))
    }

    /// The gradient of `dy` · conv2d(self, w) with respect to w of shape `w` [co,ci,kh,kw].
    pub(super) fn conv2d_weight_grad(&self, dy: &Var, w: &[usize], spec: &ConvSpec) -> Var {
        let (&[n, c, h, wide], &[_, _, oh, ow]) = (self.shape(), dy.shape()) else {
            return self.refuse("conv2d_weight_grad", dy, "x and dy must have four axes".into());
        };
        weight_grad(self, dy, spec.block([n, c, h, wide], w, [oh, ow], false))
    }

    fn refuse(&self, op: &'static str, other: &Var, why: String) -> Var {
        self.graph().fail(mismatch(op, &[self.shape(), other.shape()], why), self.shape())
    }
}
