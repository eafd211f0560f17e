//! What the three convolutions share: the parameter block, its geometry, and the loop nests of the
//! CPU reference.
//!
//! S(x, w, y) = Σ y · conv(x, w) is linear in each of its three operands. `conv2d` is its
//! derivative by y, `conv_transpose2d` by x, `conv2d_weight_grad` by w, so one parameter block
//! describes all three, always in the direction of the convolution.

use super::epilogue::EpilogueBlock;
use super::gather::Role;
use crate::kernels::activation::Activation;
use crate::kernels::at_pixel::{AtPixel, Linked, PixelTap};
use crate::kernels::params;
use crate::kernels::pointwise::Operation;
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
        /// 1 if x stands in memory as `[n,h,w,ci]`.
        pub x_last: u32,
        /// 1 if y does as `[n,oh,ow,co]`; what is added to a result, and gates it, stands as that does.
        pub y_last: u32,
        /// What is done to a finished sum.
        pub epilogue: EpilogueBlock,
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

/// Channels and pixels of one side of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub channels: usize,
    pub plane: usize,
}

impl Conv {
    /// A convolution of stride 1 without padding, mask or epilogue; y is `[n,co,oh,ow]` with the
    /// sizes that follow. Change fields, then call [`Conv::fit`].
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
            x_last: 0,
            y_last: 0,
            epilogue: EpilogueBlock::NONE,
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

    /// Says which of x and y have their channels last.
    pub fn last(mut self, x: bool, y: bool) -> Conv {
        [self.x_last, self.y_last] = [x, y].map(u32::from);
        self
    }

    /// Colours of the mask, 1 where there is none.
    pub(super) fn colours(&self) -> u32 {
        if self.mask == 0 { 1 } else { self.groups.max(1) }
    }

    /// Sets the epilogue.
    pub fn epilogue(mut self, activation: Activation, bias: bool, residual: bool) -> Conv {
        let gate = self.epilogue;
        self.epilogue = EpilogueBlock { act: activation.into(), bias: bias.into(), residual: residual.into(), ..gate };
        self
    }

    /// Sets the gate: a result is left as it is where g > 0, and multiplied by `slope` elsewhere.
    pub fn gated(mut self, slope: f32) -> Conv {
        (self.epilogue.gate, self.epilogue.gate_slope) = (1, slope);
        self
    }

    /// The same without an epilogue, but for a bias if there is to be one.
    pub fn bare(self, bias: bool) -> Conv {
        Conv { epilogue: EpilogueBlock::of_bias(bias), ..self }
    }

    /// Whether y is one pixel that sees all of x, each element by a weight of its own: a matrix
    /// product.
    pub(super) fn is_product(&self) -> bool {
        let near = |dilation: u32, k: u32| dilation == 1 || k == 1;
        self.mask == 0
            && [self.oh, self.ow] == [1, 1]
            && [self.kh, self.kw] == [self.h, self.w]
            && [self.pad_top, self.pad_left] == [0, 0]
            && near(self.dilation_h, self.kh)
            && near(self.dilation_w, self.kw)
    }

    /// What a role reads beside the weights, and what it makes.
    pub(super) fn ends(&self, role: Role) -> [End; 2] {
        let x = End { channels: self.ci as usize, plane: self.x_plane() };
        let y = End { channels: self.co as usize, plane: self.y_plane() };
        if role == Role::Conv { [x, y] } else { [y, x] }
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

    /// Zeros above x, left of it, below it and on its right. The block has the size of y instead of
    /// the last two, which with a stride leaves them open: they are those that come nearest to the
    /// first two.
    pub fn padding(&self) -> [u32; 4] {
        let after = |x: u32, before: u32, k: u32, dilation: u32, stride: u32, y: u32| {
            let [x, before, k, dilation, stride, y] = [x, before, k, dilation, stride, y].map(i64::from);
            let least = (y - 1) * stride + dilation * (k - 1) + 1 - x - before;
            before.clamp(least.max(0), (least + stride - 1).max(0)) as u32
        };
        let bottom = after(self.h, self.pad_top, self.kh, self.dilation_h, self.stride_h, self.oh);
        let right = after(self.w, self.pad_left, self.kw, self.dilation_w, self.stride_w, self.ow);
        [self.pad_top, self.pad_left, bottom, right]
    }

    /// The centre tap in raster order.
    pub fn centre(&self) -> usize {
        ((self.kh / 2) * self.kw + self.kw / 2) as usize
    }

    /// Which pairs of channels a tap links by the mask; `tap` is kh·KW + kw.
    fn linked(&self, tap: usize) -> Linked {
        let colours = self.groups.max(1);
        match (self.mask, tap.cmp(&self.centre())) {
            (0, _) | (_, std::cmp::Ordering::Less) => Linked::All,
            (_, std::cmp::Ordering::Greater) => Linked::Nothing,
            (1, _) => Linked::Earlier(colours),
            _ => Linked::NotLater(colours),
        }
    }

    /// Whether `w[co,ci,kh,kw]` takes part.
    pub fn live(&self, tap: usize, ci: usize, co: usize) -> bool {
        self.linked(tap).links(ci, co)
    }

    /// What the convolution does at a position, if it has no gate.
    pub(super) fn at_pixel(&self) -> Option<AtPixel> {
        let away = |k: u32, dilation: u32, pad: u32| (k * dilation) as i32 - pad as i32;
        let tap = |weight: usize| {
            let (kh, kw) = (weight as u32 / self.kw, weight as u32 % self.kw);
            let offset = [away(kh, self.dilation_h, self.pad_top), away(kw, self.dilation_w, self.pad_left)];
            PixelTap { weight, offset, channels: self.linked(weight) }
        };
        let (ci, co) = (self.ci as usize, self.co as usize);
        let lives = |tap: &PixelTap| (0..ci).any(|i| (0..co).any(|o| tap.channels.links(i, o)));
        let taps = (0..self.taps()).map(tap).filter(lives);
        let (stride, then) = ([self.stride_h, self.stride_w], Operation::of(self.epilogue.act.activation()));
        (self.epilogue.gate == 0).then(|| AtPixel::Conv { stride, taps: taps.collect(), then })
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

    /// conv(x, w), or the transposed convolution of y and w, in f64 without epilogue.
    pub(super) fn sum(&self, role: Role, src: &[f32], w: &[f32]) -> Vec<f64> {
        let taps = self.tap_list();
        let ([from, to], ci) = (self.ends(role), self.ci as usize);
        let (width, ow, stride) = (self.w as usize, self.ow as usize, self.stride_w as usize);
        let mut sums = vec![0.0; self.n as usize * to.channels * to.plane];
        sums.par_chunks_mut(to.plane).enumerate().for_each(|(at, sums)| {
            let (n, own) = (at / to.channels, at % to.channels);
            for other in 0..from.channels {
                let src = &src[(n * from.channels + other) * from.plane..][..from.plane];
                let (i, o) = if role == Role::Conv { (other, own) } else { (own, other) };
                for tap in taps.iter().filter(|t| !t.ox.is_empty()) {
                    let t = tap.kh * self.kw as usize + tap.kw;
                    if !self.live(t, i, o) {
                        continue;
                    }
                    let w = f64::from(w[(o * ci + i) * self.taps() + t]);
                    let add = |(sum, v): (&mut f64, &f32)| *sum += w * f64::from(*v);
                    for oy in tap.oy.clone() {
                        let (iy, ix) = self.source(tap, oy);
                        let (x, y) = (iy * width + ix, oy * ow + tap.ox.start..oy * ow + tap.ox.end);
                        match role {
                            Role::Conv => std::iter::zip(&mut sums[y], src[x..].iter().step_by(stride)).for_each(add),
                            Role::Transpose => {
                                std::iter::zip(sums[x..].iter_mut().step_by(stride), &src[y]).for_each(add);
                            }
                        }
                    }
                }
            }
        });
        sums
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
        let pair = |name: &str, a: u32, b: u32, usual: u32| match (a, b) {
            (a, b) if (a, b) == (usual, usual) => String::new(),
            (a, b) if a == b => format!(" {name} {a}"),
            (a, b) => format!(" {name} {a},{b}"),
        };
        text += &pair("stride", self.stride_h, self.stride_w, 1);
        text += &match self.padding() {
            [top, left, bottom, right] if [top, left] == [bottom, right] => pair("pad", top, left, 0),
            [top, left, bottom, right] => format!(" pad {top},{left},{bottom},{right}"),
        };
        text += &pair("dilation", self.dilation_h, self.dilation_w, 1);
        match (self.mask, self.groups) {
            (0, _) => {}
            (m, g) => text += &format!(" mask {}{}", ["", "A", "B"][m.min(2) as usize], colours(g)),
        }
        text += match [self.x_last, self.y_last] {
            [0, 0] => "",
            [_, 0] => " x last",
            [0, _] => " y last",
            [_, _] => " last",
        };
        text + &self.epilogue.label()
    }
}

fn colours(groups: u32) -> String {
    if groups > 1 { format!(" groups {groups}") } else { String::new() }
}

pub(super) fn abs(data: &[f32]) -> Vec<f32> {
    data.iter().map(|v| v.abs()).collect()
}
