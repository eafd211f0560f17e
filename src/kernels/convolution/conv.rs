//! What the three convolutions share: the parameter block, its geometry, and the loop nests of the
//! CPU twins.
//!
//! S(x, w, y) = Σ y · conv(x, w) is linear in each of its three operands. `conv2d` is its derivative
//! by y, `conv_transpose2d` by x, `conv2d_weight_grad` by w, so one parameter block describes all
//! three, always in the direction of the convolution.

use super::spots::Spot;
use super::tiles::Rounding;
use crate::kernels::activation::Activation;
use crate::kernels::pointwise::gate;
use crate::kernels::{EPS, params, scales_exactly, sum_bound};
use rayon::prelude::*;
use std::ops::Range;

params! {
    /// A convolution x `[n,ci,h,w]` * w `[co,ci,kh,kw]` -> y `[n,co,oh,ow]`:
    /// `y[n,co,oy,ox]` = Σ x[n,ci, oy·stride_h - pad_top + kh·dilation_h,
    /// ox·stride_w - pad_left + kw·dilation_w] · `w[co,ci,kh,kw]`; outside of x there are zeros.
    /// Padding at the bottom and on the right follows from `oh` and `ow`.
    pub struct Conv {
        /// Images.
        pub n: u32,
        /// Channels of x.
        pub ci: u32,
        /// Height of x.
        pub h: u32,
        /// Width of x.
        pub w: u32,
        /// Channels of y.
        pub co: u32,
        /// Kernel height.
        pub kh: u32,
        /// Kernel width.
        pub kw: u32,
        /// Height of y.
        pub oh: u32,
        /// Width of y.
        pub ow: u32,
        /// Vertical stride.
        pub stride_h: u32,
        /// Horizontal stride.
        pub stride_w: u32,
        /// Rows of zeros above x.
        pub pad_top: u32,
        /// Columns of zeros left of x.
        pub pad_left: u32,
        /// Vertical distance between taps.
        pub dilation_h: u32,
        /// Horizontal distance between taps.
        pub dilation_w: u32,
        /// 0: no mask, 1: mask A, 2: mask B (van den Oord et al. 2016, §3.4).
        pub mask: u32,
        /// Colours of a mask: channel c has colour c % groups. 1 without colours.
        pub groups: u32,
        /// [`Activation::code`] of the epilogue.
        pub act: u32,
        /// Slope of a leaky ReLU.
        pub slope: f32,
        /// 1 if a bias is added.
        pub has_bias: u32,
        /// 1 if a residual is added before the activation.
        pub has_residual: u32,
        /// 1 if a gate is in front of the residual.
        pub has_gate: u32,
        /// What the gate leaves where it is not open.
        pub gate: f32,
    }
}

/// A tap of the kernel with the outputs that read inside of x through it.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    kh: usize,
    kw: usize,
    pub oy: Range<usize>,
    pub ox: Range<usize>,
}

impl Conv {
    /// A convolution of stride 1 without padding, mask or epilogue; y is `[n,co,oh,ow]` with the sizes
    /// that follow. Change fields, then call [`Conv::fit`].
    pub fn new(x: [u32; 4], co: u32, kernel: [u32; 2]) -> Conv {
        let [n, ci, h, w] = x;
        let [kh, kw] = kernel;
        Conv {
            n,
            ci,
            h,
            w,
            co,
            kh,
            kw,
            oh: 1,
            ow: 1,
            stride_h: 1,
            stride_w: 1,
            pad_top: 0,
            pad_left: 0,
            dilation_h: 1,
            dilation_w: 1,
            mask: 0,
            groups: 1,
            act: 0,
            slope: 0.0,
            has_bias: 0,
            has_residual: 0,
            has_gate: 0,
            gate: 0.0,
        }
        .fit(0, 0)
    }

    /// Sets stride, dilation and the padding on all sides, and the size of y that follows.
    pub fn with(mut self, stride: [u32; 2], dilation: [u32; 2], pad: [u32; 4]) -> Conv {
        [self.stride_h, self.stride_w] = stride;
        [self.dilation_h, self.dilation_w] = dilation;
        [self.pad_top, self.pad_left] = [pad[0], pad[1]];
        self.fit(pad[2], pad[3])
    }

    /// The size of y for this much padding at the bottom and on the right.
    pub fn fit(mut self, pad_bottom: u32, pad_right: u32) -> Conv {
        let size = |x: u32, before: u32, after: u32, k: u32, dilation: u32, stride: u32| {
            ((x + before + after).saturating_sub(dilation * (k - 1) + 1)) / stride + 1
        };
        self.oh = size(self.h, self.pad_top, pad_bottom, self.kh, self.dilation_h, self.stride_h);
        self.ow = size(self.w, self.pad_left, pad_right, self.kw, self.dilation_w, self.stride_w);
        self
    }

    /// Sets mask (0, 1 = A, 2 = B) and colours.
    pub fn masked(mut self, mask: u32, groups: u32) -> Conv {
        (self.mask, self.groups) = (mask, groups);
        self
    }

    /// Sets the epilogue.
    pub fn epilogue(mut self, activation: Activation, bias: bool, residual: bool) -> Conv {
        (self.act, self.slope) = (activation.code(), activation.slope());
        (self.has_bias, self.has_residual) = (u32::from(bias), u32::from(residual));
        self
    }

    /// Sets the gate: a result is left as it is where g > 0, and multiplied by `slope` elsewhere.
    pub fn gated(mut self, slope: f32) -> Conv {
        (self.has_gate, self.gate) = (1, slope);
        self
    }

    /// The same without an epilogue.
    pub fn bare(self) -> Conv {
        Conv { has_gate: 0, gate: 0.0, ..self.epilogue(Activation::Identity, false, false) }
    }

    /// The same with an activation behind it, unless there is one.
    pub(super) fn activated(self, act: Activation) -> Option<Conv> {
        let (code, slope) = (act.code(), act.slope());
        (self.act == 0).then_some(Conv { act: code, slope, ..self })
    }

    /// The same with a residual in front of the activation, unless either is there.
    pub(super) fn residual(self) -> Option<Conv> {
        (self.act == 0 && self.has_residual == 0).then_some(Conv { has_residual: 1, ..self })
    }

    /// The same with a gate behind bias and sum, unless there is something behind them.
    pub(super) fn gate(self, slope: f32) -> Option<Conv> {
        (self.act == 0 && self.has_residual == 0 && self.has_gate == 0).then_some(self.gated(slope))
    }

    /// Whether y is one pixel that sees all of x, each element by a weight of its own: a matrix product.
    pub(super) fn is_product(&self) -> bool {
        let near = |dilation: u32, k: u32| dilation == 1 || k == 1;
        self.mask == 0
            && [self.oh, self.ow] == [1, 1]
            && [self.kh, self.kw] == [self.h, self.w]
            && [self.pad_top, self.pad_left] == [0, 0]
            && near(self.dilation_h, self.kh)
            && near(self.dilation_w, self.kw)
    }

    /// Elements of x.
    pub fn x_len(&self) -> usize {
        self.n as usize * self.ci as usize * self.x_plane()
    }

    /// Elements of w.
    pub fn w_len(&self) -> usize {
        self.co as usize * self.ci as usize * self.taps()
    }

    /// Elements of y.
    pub fn y_len(&self) -> usize {
        self.n as usize * self.co as usize * self.y_plane()
    }

    /// Taps of the kernel, dead ones included.
    pub fn taps(&self) -> usize {
        (self.kh * self.kw) as usize
    }

    /// Pixels of one channel of x.
    pub fn x_plane(&self) -> usize {
        self.h as usize * self.w as usize
    }

    /// Pixels of one channel of y.
    pub fn y_plane(&self) -> usize {
        self.oh as usize * self.ow as usize
    }

    /// The centre tap in raster order.
    pub fn centre(&self) -> usize {
        ((self.kh / 2) * self.kw + self.kw / 2) as usize
    }

    /// Whether `w[co,ci,kh,kw]` takes part; `tap` is kh·KW + kw.
    pub fn live(&self, tap: usize, ci: usize, co: usize) -> bool {
        let groups = self.groups.max(1) as usize;
        match (self.mask, tap.cmp(&self.centre())) {
            (0, _) | (_, std::cmp::Ordering::Less) => true,
            (_, std::cmp::Ordering::Greater) => false,
            (1, _) => ci % groups < co % groups,
            _ => ci % groups <= co % groups,
        }
    }

    /// Live entries of w: what is multiplied at a pixel in the interior.
    pub fn live_weights(&self) -> u64 {
        if self.mask == 0 {
            return self.w_len() as u64;
        }
        let pairs = u64::from(self.ci) * u64::from(self.co);
        let groups = self.groups.max(1);
        let channels = |of: u32, colour: u32| u64::from((of + groups - 1 - colour) / groups);
        let centre: u64 = (0..groups)
            .flat_map(|i| (0..groups).map(move |j| (i, j)))
            .filter(|&(i, j)| i < j || (self.mask == 2 && i == j))
            .map(|(i, j)| channels(self.ci, i) * channels(self.co, j))
            .sum();
        self.centre() as u64 * pairs + centre
    }

    /// Arithmetic of any of the three roles.
    pub fn flops(&self) -> u64 {
        2 * u64::from(self.n) * self.y_plane() as u64 * self.live_weights()
    }

    /// The epilogue for results of so many channels and pixels, of reads b, r and g.
    pub(super) fn tail<'a>(&self, reads: &[&'a [f32]], channels: u32, plane: usize) -> Epilogue<'a> {
        let (activation, channels) = (self.activation(), channels as usize);
        let [bias, residual, gate] = [reads[0], reads[1], reads[2]];
        Epilogue { activation, bias, residual, gate, gate_slope: self.gate, channels, plane }
    }

    /// Whether the epilogue keeps whole numbers whole, times a power of two at most.
    pub(super) fn keeps_whole(&self) -> bool {
        self.activation().keeps_whole() && scales_exactly(self.gate)
    }

    /// Elements of the epilogue's reads.
    pub(super) fn tail_lens(&self, channels: u32, len: usize) -> [usize; 3] {
        let (channels, residual, gate) = (channels as usize, self.has_residual as usize, self.has_gate as usize);
        [self.has_bias as usize * channels, residual * len, gate * len]
    }

    /// The activation of the epilogue.
    pub fn activation(&self) -> Activation {
        Activation::from_code(self.act, self.slope)
    }

    /// The outputs 0..out whose input o·stride - pad + k·dilation lies in 0..len.
    fn reach(out: u32, len: u32, stride: u32, pad: u32, offset: u32) -> Range<usize> {
        let (stride, shift) = (i64::from(stride), i64::from(offset) - i64::from(pad));
        let first = if shift >= 0 { 0 } else { (-shift + stride - 1) / stride };
        let end = (i64::from(len) - shift + stride - 1).max(0) / stride;
        let end = end.min(i64::from(out));
        first.min(end) as usize..end as usize
    }

    /// The taps that are live for some pair of channels.
    pub(super) fn tap_list(&self) -> Vec<Tap> {
        let last = if self.mask == 0 { self.taps() } else { self.centre() + 1 };
        (0..last)
            .map(|tap| {
                let (kh, kw) = (tap / self.kw as usize, tap % self.kw as usize);
                let (dy, dx) = (kh as u32 * self.dilation_h, kw as u32 * self.dilation_w);
                let oy = Self::reach(self.oh, self.h, self.stride_h, self.pad_top, dy);
                let ox = Self::reach(self.ow, self.w, self.stride_w, self.pad_left, dx);
                Tap { kh, kw, oy, ox }
            })
            .collect()
    }

    /// The row and first column of x that `tap` reads for output (oy, tap.ox.start).
    pub(super) fn source(&self, tap: &Tap, oy: usize) -> (usize, usize) {
        let iy = oy * self.stride_h as usize + tap.kh * self.dilation_h as usize - self.pad_top as usize;
        let ix = tap.ox.start * self.stride_w as usize + tap.kw * self.dilation_w as usize;
        (iy, ix.wrapping_sub(self.pad_left as usize))
    }

    /// conv(x, w) in f64, without epilogue.
    pub(super) fn sum_y(&self, x: &[f32], w: &[f32]) -> Vec<f64> {
        let taps = self.tap_list();
        let (ci, co) = (self.ci as usize, self.co as usize);
        let (width, ow, stride) = (self.w as usize, self.ow as usize, self.stride_w as usize);
        let mut y = vec![0.0; self.y_len()];
        y.par_chunks_mut(self.y_plane()).enumerate().for_each(|(at, y)| {
            let (n, o) = (at / co, at % co);
            for i in 0..ci {
                let x = &x[(n * ci + i) * self.x_plane()..][..self.x_plane()];
                for tap in taps.iter().filter(|t| !t.ox.is_empty()) {
                    let t = tap.kh * self.kw as usize + tap.kw;
                    if !self.live(t, i, o) {
                        continue;
                    }
                    let w = f64::from(w[(o * ci + i) * self.taps() + t]);
                    for oy in tap.oy.clone() {
                        let (iy, ix) = self.source(tap, oy);
                        let x = x[iy * width + ix..].iter().step_by(stride);
                        for (y, x) in std::iter::zip(&mut y[oy * ow..][tap.ox.clone()], x) {
                            *y += w * f64::from(*x);
                        }
                    }
                }
            }
        });
        y
    }

    /// The transposed convolution of y and w in f64, without epilogue.
    pub(super) fn sum_x(&self, y: &[f32], w: &[f32]) -> Vec<f64> {
        let taps = self.tap_list();
        let (ci, co) = (self.ci as usize, self.co as usize);
        let (width, ow, stride) = (self.w as usize, self.ow as usize, self.stride_w as usize);
        let mut x = vec![0.0; self.x_len()];
        x.par_chunks_mut(self.x_plane()).enumerate().for_each(|(at, x)| {
            let (n, i) = (at / ci, at % ci);
            for o in 0..co {
                let y = &y[(n * co + o) * self.y_plane()..][..self.y_plane()];
                for tap in taps.iter().filter(|t| !t.ox.is_empty()) {
                    let t = tap.kh * self.kw as usize + tap.kw;
                    if !self.live(t, i, o) {
                        continue;
                    }
                    let w = f64::from(w[(o * ci + i) * self.taps() + t]);
                    for oy in tap.oy.clone() {
                        let (iy, ix) = self.source(tap, oy);
                        let x = x[iy * width + ix..].iter_mut().step_by(stride);
                        for (x, y) in std::iter::zip(x, &y[oy * ow..][tap.ox.clone()]) {
                            *x += w * f64::from(*y);
                        }
                    }
                }
            }
        });
        x
    }

    /// The gradient of Σ dy · conv(x, w) by w in f64; dead entries are 0.
    pub(super) fn sum_w(&self, x: &[f32], dy: &[f32]) -> Vec<f64> {
        let taps = self.tap_list();
        let (n, ci, co) = (self.n as usize, self.ci as usize, self.co as usize);
        let (width, ow, stride) = (self.w as usize, self.ow as usize, self.stride_w as usize);
        let mut dw = vec![0.0; self.w_len()];
        dw.par_chunks_mut(self.taps()).enumerate().for_each(|(at, dw)| {
            let (o, i) = (at / ci, at % ci);
            for tap in taps.iter().filter(|t| !t.ox.is_empty()) {
                let t = tap.kh * self.kw as usize + tap.kw;
                if !self.live(t, i, o) {
                    continue;
                }
                for n in 0..n {
                    let x = &x[(n * ci + i) * self.x_plane()..][..self.x_plane()];
                    let dy = &dy[(n * co + o) * self.y_plane()..][..self.y_plane()];
                    for oy in tap.oy.clone() {
                        let (iy, ix) = self.source(tap, oy);
                        let x = x[iy * width + ix..].iter().step_by(stride);
                        for (dy, x) in std::iter::zip(&dy[oy * ow..][tap.ox.clone()], x) {
                            dw[t] += f64::from(*dy) * f64::from(*x);
                        }
                    }
                }
            }
        });
        dw
    }

    /// The shape for people.
    pub fn label(&self) -> String {
        let mut text = format!(
            "x[{},{},{},{}] w[{},{},{},{}] y[{},{}]",
            self.n, self.ci, self.h, self.w, self.co, self.ci, self.kh, self.kw, self.oh, self.ow
        );
        let mut pair = |name: &str, a: u32, b: u32, usual: u32| match (a, b) {
            (a, b) if (a, b) == (usual, usual) => {}
            (a, b) if a == b => text += &format!(" {name} {a}"),
            (a, b) => text += &format!(" {name} {a},{b}"),
        };
        pair("stride", self.stride_h, self.stride_w, 1);
        pair("pad", self.pad_top, self.pad_left, 0);
        pair("dilation", self.dilation_h, self.dilation_w, 1);
        match (self.mask, self.groups) {
            (0, _) => {}
            (m, g) => text += &format!(" mask {}{}", ["", "A", "B"][m.min(2) as usize], colours(g)),
        }
        text + &epilogue_label(self.activation(), self.has_bias, self.has_gate, self.has_residual)
    }
}

fn colours(groups: u32) -> String {
    if groups > 1 { format!(" groups {groups}") } else { String::new() }
}

pub(super) fn epilogue_label(activation: Activation, bias: u32, gate: u32, residual: u32) -> String {
    let mut text = String::new();
    if bias != 0 {
        text += " +bias";
    }
    if gate != 0 {
        text += " gated";
    }
    if residual != 0 {
        text += " +residual";
    }
    match activation {
        Activation::Identity => text,
        Activation::LeakyRelu(slope) => text + &format!(" leaky_relu({slope})"),
        other => text + &format!(" {other:?}").to_lowercase(),
    }
}

/// act(round(sum + bias) · gate + residual): the epilogue of every twin. Element i of `sums` belongs
/// to channel `i / plane % channels`.
pub(super) struct Epilogue<'a> {
    pub activation: Activation,
    /// `[channels]` or empty.
    pub bias: &'a [f32],
    /// As long as the output, or empty.
    pub residual: &'a [f32],
    /// As long as the output, or empty: open where it is above 0.
    pub gate: &'a [f32],
    /// What a gate leaves where it is not open.
    pub gate_slope: f32,
    pub channels: usize,
    pub plane: usize,
}

impl Epilogue<'_> {
    fn bias(&self, i: usize) -> f64 {
        if self.bias.is_empty() { 0.0 } else { f64::from(self.bias[i / self.plane % self.channels]) }
    }

    fn residual(&self, i: usize) -> f32 {
        if self.residual.is_empty() { 0.0 } else { self.residual[i] }
    }

    fn gate(&self, i: usize) -> f32 {
        if self.gate.is_empty() { 1.0 } else { gate(self.gate[i], self.gate_slope) }
    }

    pub(super) fn write(&self, sums: &[f64], y: &mut [f32]) {
        for (i, (y, sum)) in std::iter::zip(y, sums).enumerate() {
            *y = self.value(i, *sum);
        }
    }

    /// Element `i` of the output.
    fn value(&self, i: usize, sum: f64) -> f32 {
        self.activation.apply((sum + self.bias(i)) as f32 * self.gate(i) + self.residual(i))
    }

    /// Element `i` of the output and its permitted error.
    pub(super) fn spot(&self, terms: usize, spot: Spot, rounding: Rounding, i: usize) -> [f32; 2] {
        let y = self.value(i, spot.sum);
        [y, self.bound(terms, spot.magnitude, rounding, i, y)]
    }

    /// Does to sums in place what [`Epilogue::write`] does.
    pub(super) fn finish(&self, y: &mut [f32]) {
        let bare = self.bias.is_empty() && self.residual.is_empty() && self.gate.is_empty();
        if bare && self.activation == Activation::Identity {
            return;
        }
        let image = self.channels * self.plane;
        y.par_chunks_mut(image).enumerate().for_each(|(n, y)| {
            for (c, y) in y.chunks_mut(self.plane).enumerate() {
                let bias = self.bias.get(c).copied().unwrap_or(0.0);
                let first = n * image + c * self.plane;
                for (i, y) in y.iter_mut().enumerate() {
                    *y = self.activation.apply((*y + bias) * self.gate(first + i) + self.residual(first + i));
                }
            }
        });
    }

    /// The permitted error where `magnitudes` are the sums of the terms' absolute values, whose factors
    /// have been through `rounding`.
    pub(super) fn bounds(&self, terms: usize, magnitudes: &[f64], rounding: Rounding, y: &[f32]) -> Vec<f32> {
        magnitudes.iter().enumerate().map(|(i, m)| self.bound(terms, *m, rounding, i, y[i])).collect()
    }

    fn bound(&self, terms: usize, magnitude: f64, rounding: Rounding, i: usize, y: f32) -> f32 {
        let (gain, curved) = match self.activation {
            Activation::Identity | Activation::Relu => (1.0, 0.0),
            Activation::LeakyRelu(slope) => (slope.abs().max(1.0), EPS),
            _ => (1.0, 8e-6),
        };
        let gate = self.gate(i).abs();
        let rounding = gate * rounding.of(magnitude);
        let magnitude = gate * (magnitude + self.bias(i).abs()) as f32 + self.residual(i).abs();
        let constant = if curved > EPS { 1e-6 } else { 0.0 };
        gain * (sum_bound(terms + 2, magnitude) + rounding) + curved * y.abs() + constant
    }
}

pub(super) fn abs(data: &[f32]) -> Vec<f32> {
    data.iter().map(|v| v.abs()).collect()
}
