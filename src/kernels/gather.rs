//! `conv2d`, `conv_transpose2d` and `matmul` in one form, and their variants.
//!
//! All three make outputs that gather from a source: a row (image) of the source, a column (output
//! channel) of the weights, taps and source channels in between. Only the strides, and which taps
//! are live, differ.

use super::conv::Conv;
use super::gather_lanes;
use super::matmul::MatMul;
use super::tiles::{Shaders, Tile, shaders, tiles};
use super::{Caps, Class, Recipe, Slot, grid_1d, params};

/// Which derivative of the trilinear form is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// conv2d: from x to y.
    Conv,
    /// conv_transpose2d: from y to x.
    Transpose,
}

params! {
    /// The block of `shaders/lib/gather.wgsl`.
    pub struct Gather {
        /// Images, or rows of a.
        pub rows: u32,
        /// Source channels, or terms of a product.
        pub sc: u32,
        /// Source height.
        pub sh: u32,
        /// Source width.
        pub sw: u32,
        /// Destination channels, or columns of b.
        pub dc: u32,
        /// Destination height.
        pub dh: u32,
        /// Destination width.
        pub dw: u32,
        /// Kernel height.
        pub kh: u32,
        /// Kernel width.
        pub kw: u32,
        /// Stride of the convolution.
        pub stride_h: u32,
        /// Stride of the convolution.
        pub stride_w: u32,
        /// Padding of the convolution.
        pub pad_top: u32,
        /// Padding of the convolution.
        pub pad_left: u32,
        /// Dilation of the convolution.
        pub dilation_h: u32,
        /// Dilation of the convolution.
        pub dilation_w: u32,
        /// 1 for the transposed convolution.
        pub transposed: u32,
        /// 0, 1 = A, 2 = B.
        pub mask: u32,
        /// Colours; 1 without a mask.
        pub groups: u32,
        /// Independent products.
        pub batch: u32,
        /// Source elements per product.
        pub src_batch: u32,
        /// Source elements between rows.
        pub src_row: u32,
        /// Source elements between channels.
        pub src_chan: u32,
        /// Weights per product.
        pub w_batch: u32,
        /// Weights between source channels.
        pub w_src: u32,
        /// Weights between destination channels.
        pub w_dst: u32,
        /// Destination elements per product.
        pub dst_batch: u32,
        /// Destination elements between rows.
        pub dst_row: u32,
        /// Destination elements between channels.
        pub dst_chan: u32,
        /// Code of the activation.
        pub act: u32,
        /// Slope of a leaky ReLU.
        pub slope: f32,
        /// 1 if a bias is added.
        pub has_bias: u32,
        /// 1 if a residual is added.
        pub has_residual: u32,
        /// 1 if there is a gate.
        pub has_gate: u32,
        /// What the gate leaves where it is not open.
        pub gate: f32,
        /// Source channels per colour, padded as the variant packs them.
        pub pack_src: u32,
        /// Destination channels per colour, padded as the variant packs them.
        pub pack_dst: u32,
        /// Distance between live taps of a phase: stride / gcd(stride, dilation).
        pub step_h: u32,
        /// The same for columns.
        pub step_w: u32,
        /// Rows that a lanes variant takes side by side, a divisor of `rows`.
        pub inner: u32,
        /// Rows of zeros that a lanes variant puts above the source.
        pub ring_top: u32,
        /// Columns of zeros that it puts left of the source.
        pub ring_left: u32,
        /// Height of the source with its zeros.
        pub full_h: u32,
        /// Width of the source with its zeros.
        pub full_w: u32,
        /// Fours of source channels, zeros included.
        pub quads: u32,
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Gather {
    /// A role of a convolution.
    pub(super) fn conv(c: &Conv, role: Role) -> Gather {
        let transposed = role == Role::Transpose;
        let taps = c.kh * c.kw;
        let (x, y) = ((c.ci, c.h, c.w), (c.co, c.oh, c.ow));
        let ((sc, sh, sw), (dc, dh, dw)) = if transposed { (y, x) } else { (x, y) };
        let (w_src, w_dst) = if transposed { (c.ci * taps, taps) } else { (taps, c.ci * taps) };
        let groups = if c.mask == 0 { 1 } else { c.groups.max(1) };
        Gather {
            rows: c.n,
            sc,
            sh,
            sw,
            dc,
            dh,
            dw,
            kh: c.kh,
            kw: c.kw,
            stride_h: c.stride_h,
            stride_w: c.stride_w,
            pad_top: c.pad_top,
            pad_left: c.pad_left,
            dilation_h: c.dilation_h,
            dilation_w: c.dilation_w,
            transposed: u32::from(transposed),
            mask: c.mask,
            groups,
            batch: 1,
            src_batch: 0,
            src_row: sc * sh * sw,
            src_chan: sh * sw,
            w_batch: 0,
            w_src,
            w_dst,
            dst_batch: 0,
            dst_row: dc * dh * dw,
            dst_chan: dh * dw,
            act: c.act,
            slope: c.slope,
            has_bias: c.has_bias,
            has_residual: c.has_residual,
            has_gate: c.has_gate,
            gate: c.gate,
            pack_src: sc.div_ceil(groups),
            pack_dst: dc.div_ceil(groups),
            step_h: c.stride_h / gcd(c.stride_h, c.dilation_h),
            step_w: c.stride_w / gcd(c.stride_w, c.dilation_w),
            inner: 1,
            ring_top: 0,
            ring_left: 0,
            full_h: 0,
            full_w: 0,
            quads: 0,
        }
    }

    /// A matrix product: a 1x1 convolution of 1x1 images.
    pub(super) fn matmul(m: &MatMul) -> Gather {
        let conv = Conv::new([m.m, m.k, 1, 1], m.n, [1, 1]);
        let (src_row, src_chan) = if m.trans_a != 0 { (1, m.m) } else { (m.k, 1) };
        let (w_src, w_dst) = if m.trans_b != 0 { (1, m.k) } else { (m.n, 1) };
        Gather {
            batch: m.batch,
            src_batch: m.m * m.k,
            src_row,
            src_chan,
            w_batch: m.k * m.n,
            w_src,
            w_dst,
            dst_batch: m.m * m.n,
            dst_row: m.n,
            dst_chan: 1,
            act: m.act,
            slope: m.slope,
            has_bias: m.has_bias,
            has_residual: m.has_residual,
            has_gate: m.has_gate,
            gate: m.gate,
            ..Gather::conv(&conv, Role::Conv)
        }
    }

    /// The same with a kernel of one tap, which reads where it writes.
    pub(super) fn of_one_tap(&self) -> Gather {
        let [kh, kw, stride_h, stride_w, dilation_h, dilation_w, step_h, step_w] = [1; 8];
        let (pad_top, pad_left) = (0, 0);
        let taps = Gather { kh, kw, dilation_h, dilation_w, step_h, step_w, ..*self };
        Gather { stride_h, stride_w, pad_top, pad_left, ..taps }
    }

    /// Phases and the most outputs a row has in one of them, per axis.
    pub(super) fn phases(&self) -> [(usize, usize); 2] {
        let axis = |stride: u32, len: u32| {
            let phases = if self.transposed != 0 { stride } else { 1 };
            (phases as usize, len.div_ceil(phases) as usize)
        };
        [axis(self.stride_h, self.dh), axis(self.stride_w, self.dw)]
    }
}

/// The variants of a role of a convolution.
pub(super) fn variants(conv: &Conv, role: Role, caps: &Caps) -> Vec<Recipe> {
    recipes(&Gather::conv(conv, role), caps)
}

/// Every variant, the best guess first.
pub(super) fn recipes(form: &Gather, caps: &Caps) -> Vec<Recipe> {
    let lanes = caps.class == Class::Lanes && caps.subgroup == 8;
    let lanes = if lanes { gather_lanes::recipes(form, caps) } else { Vec::new() };
    // Columns a tile computes for nothing, per column that is wanted.
    let (mixed, f32): (Vec<Tile>, Vec<Tile>) =
        tiles(caps, |_, columns| f64::from(form.pack_dst.next_multiple_of(columns))).into_iter().partition(Tile::mixed);
    let make = |tile: &Tile| recipe(form, caps, tile);
    mixed.iter().map(make).chain(lanes).chain(f32.iter().map(make)).collect()
}

static SHADERS: Shaders = shaders!("gather", 7, "activation", "gather", "tile_gather");

fn recipe(form: &Gather, caps: &Caps, tile: &Tile) -> Recipe {
    let [(ph, uh), (pw, uw)] = form.phases();
    let m_blocks = (form.rows as usize * uh * uw).div_ceil(tile.lines as usize);
    let columns = form.pack_dst.div_ceil(tile.columns) as usize * form.groups as usize;
    let grid = grid_1d(m_blocks * columns * ph * pw * form.batch as usize, caps);
    let stage = tile
        .stage(&SHADERS, form, grid)
        .bind("src", Slot::Read(0))
        .bind("w", Slot::Read(1))
        .bind("b", Slot::Read(2))
        .bind("r", Slot::Read(3))
        .bind("g", Slot::Read(4))
        .bind("dst", Slot::Write(0))
        .constant("ALONG_K", u32::from(form.w_src < form.w_dst))
        .constant("ALONG_M", u32::from(form.dst_chan != 1));
    let per_product = [form.rows * form.sh * form.sw, form.dc * form.kh * form.kw];
    tile.recipe(stage, per_product.map(|n| n * form.sc * form.batch), Vec::new(), caps)
}
