//! `conv2d`, `conv_transpose2d` and `matmul` in one form, and their variants.
//!
//! All three make outputs that gather from a source: a row (image) of the source, a column (output
//! channel) of the weights, taps and source channels in between. Only the strides, and which taps
//! are live, differ.

use super::conv::Conv;
use super::coop;
use super::epilogue::EpilogueBlock;
use super::gather_lanes;
use super::last;
use super::matmul::MatMul;
use super::tiles::{Shaders, Tile, WANTED, shaders, tiles};
use crate::kernels::{Caps, Class, Precision, Recipe, Shader, Slot, Stage, grid_1d, params, shader};

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
        /// Source elements between pixels.
        pub src_pixel: u32,
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
        /// Destination elements between pixels.
        pub dst_pixel: u32,
        /// What is done to a finished sum.
        pub epilogue: EpilogueBlock,
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
        /// Destination channels that share a bias.
        pub bias_plane: u32,
        /// Biases between rows.
        pub bias_row: u32,
        /// Parts that the terms are split into.
        pub splits: u32,
        /// Terms of a part.
        pub chunk: u32,
        /// Destination elements of all products.
        pub part: u32,
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
        let groups = c.colours();
        let (from, to) = if transposed { (c.y_last, c.x_last) } else { (c.x_last, c.y_last) };
        // Elements from a channel to the next, and from a pixel to the next.
        let strides = |last: u32, channels: u32, plane: u32| if last == 0 { (plane, 1) } else { (1, channels) };
        let (src_chan, src_pixel) = strides(from, sc, sh * sw);
        let (dst_chan, dst_pixel) = strides(to, dc, dh * dw);
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
            src_chan,
            src_pixel,
            w_batch: 0,
            w_src,
            w_dst,
            dst_batch: 0,
            dst_row: dc * dh * dw,
            dst_chan,
            dst_pixel,
            epilogue: c.epilogue,
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
            bias_plane: 1,
            bias_row: 0,
            splits: 1,
            chunk: u32::MAX,
            part: c.n * dc * dh * dw,
        }
    }

    /// The same as a matrix product where y is one pixel that sees all of x: the channels of x are
    /// then those of its pixels as well.
    pub(super) fn product(c: &Conv, role: Role) -> Gather {
        let conv = Gather::conv(c, role);
        if !(c.is_product() && c.by_planes()) {
            return conv;
        }
        let taps = c.kh * c.kw;
        let flat = Conv { epilogue: c.epilogue, ..Conv::new([c.n, c.ci * taps, 1, 1], c.co, [1, 1]) };
        let bias_plane = if role == Role::Transpose { taps } else { 1 };
        // One tap, so that the transposed product is one as well, with other strides.
        Gather { transposed: 0, bias_plane, ..Gather::conv(&flat, role) }
    }

    /// The gradient of such a product by its weights: rows are elements of x, columns channels of
    /// y, terms images.
    pub(super) fn product_weights(c: &Conv) -> Gather {
        let row = c.ci * c.kh * c.kw;
        let conv = Conv::new([row, c.n, 1, 1], c.co, [1, 1]);
        Gather {
            src_row: 1,
            src_chan: row,
            w_src: c.co,
            w_dst: 1,
            dst_row: 1,
            dst_chan: row,
            ..Gather::conv(&conv, Role::Conv)
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
            part: m.batch * m.m * m.n,
            epilogue: m.epilogue,
            ..Gather::conv(&conv, Role::Conv)
        }
    }

    /// A matrix product with rows and columns exchanged, source and weights with them; of a product
    /// without batch. What was a bias to a column is one to a row then.
    fn exchanged(&self) -> Gather {
        Gather {
            rows: self.dc,
            dc: self.rows,
            pack_dst: self.rows,
            src_row: self.w_dst,
            src_chan: self.w_src,
            w_src: self.src_chan,
            w_dst: self.src_row,
            dst_row: self.dst_chan,
            dst_chan: self.dst_row,
            bias_plane: u32::MAX,
            bias_row: 1,
            ..*self
        }
    }

    /// The same with channels of all colours side by side: what a mask of colours leaves out at its centre
    /// are zeros among the weights.
    pub(super) fn of_one_colour(&self) -> Gather {
        let mask = if self.groups == 1 { self.mask } else { 2 };
        Gather { groups: 1, mask, pack_src: self.sc, pack_dst: self.dc, ..*self }
    }

    /// Whether outputs of neighbouring lines are neighbours, rather than those of columns.
    pub(super) fn along_lines(&self) -> bool {
        self.dst_chan != 1
    }

    /// Whether its source, and its destination, have their channels last.
    pub(super) fn stands_last(&self) -> [bool; 2] {
        [self.src_pixel != 1, self.dst_pixel != 1]
    }

    /// Whether it is a matrix product.
    fn one_tap(&self) -> bool {
        [self.kh, self.kw, self.sh, self.sw, self.dh, self.dw].iter().all(|n| *n == 1)
            && self.pad_top + self.pad_left == 0
    }

    /// The most terms that an output has.
    fn terms(&self) -> u32 {
        let [taps_h, taps_w] = match self.transposed {
            0 => [self.kh, self.kw],
            _ => [self.kh.div_ceil(self.step_h), self.kw.div_ceil(self.step_w)],
        };
        self.sc * taps_h * taps_w
    }

    /// The same with its terms split so that `blocks` workgroups become enough for a GPU, into
    /// parts of a multiple of `step` terms that are no shorter than [`LEAST`]. A quarter of what is
    /// wanted is a workgroup for nearly every multiprocessor there is: from there on a second stage
    /// costs a middling GPU more than it brings.
    pub(super) fn split(self, blocks: usize, step: u32) -> Gather {
        let (terms, blocks, wanted) = (self.terms(), blocks.max(1), WANTED as usize);
        let splits =
            if 4 * blocks >= wanted { 1 } else { (wanted / blocks).min((terms / LEAST) as usize).max(1) as u32 };
        let chunk = terms.div_ceil(splits).next_multiple_of(step).max(1);
        Gather { splits: terms.div_ceil(chunk).max(1), chunk, ..self }
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

/// Terms of a part at least.
const LEAST: u32 = 128;
/// Columns that `direct.wgsl` and `dot.wgsl` take at most.
const FEW: u32 = 4;
/// Terms from which on a workgroup to a row pays.
const LONG: u32 = 64;
/// Products up to which `each.wgsl` is worth a try.
const SMALL: u64 = 1 << 26;
/// Terms that it takes at most: Mesa's software rasteriser leaves an invocation's loops after twice
/// as many turns.
const TURNS: u32 = 1 << 15;

/// The reads of a product: source, weights, and those of the epilogue where there is one.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    pub src: usize,
    pub w: usize,
    /// The first of bias, residual and gate.
    pub tail: Option<usize>,
}

impl Operands {
    /// Those of the kernels with an epilogue.
    pub(super) const USUAL: Operands = Operands { src: 0, w: 1, tail: Some(2) };

    /// Binds what the epilogue reads.
    pub(super) fn epilogue(&self, stage: Stage) -> Stage {
        // Where there is none, anything that is only read may stand there.
        let slot = |i| Slot::Read(self.tail.map_or(self.src, |tail| tail + i));
        stage.bind("b", slot(0)).bind("r", slot(1)).bind("g", slot(2))
    }
}

impl Stage {
    /// Sets the constants of an epilogue.
    pub(super) fn epilogue(self, form: &Gather) -> Stage {
        let EpilogueBlock { bias, residual, gate, act, .. } = form.epilogue;
        let stage = self.constant("ACT", act.code).constant("BIAS", bias);
        stage.constant("GATE", gate).constant("RESIDUAL", residual)
    }
}

/// The variants of a role of a convolution.
pub(super) fn variants(conv: &Conv, role: Role, caps: &Caps) -> Vec<Recipe> {
    let software = on_lanes(&Gather::conv(conv, role), caps);
    recipes(software, &Gather::product(conv, role), Operands::USUAL, caps)
}

fn on_lanes(form: &Gather, caps: &Caps) -> Vec<Recipe> {
    let fits = caps.class == Class::Lanes && caps.subgroup == 8 && form.stands_last() == [false; 2];
    if fits { gather_lanes::recipes(form, caps) } else { Vec::new() }
}

/// The variants of a matrix product.
pub(super) fn matmul(m: &MatMul, caps: &Caps) -> Vec<Recipe> {
    let form = Gather::matmul(m);
    let software = on_lanes(&form, caps);
    if m.batch == 1 && m.m <= FEW && m.n > FEW {
        // Few rows are few columns of the exchanged product. Tiles know biases of columns alone.
        let (other, operands) = (form.exchanged(), Operands { src: 1, w: 0, ..Operands::USUAL });
        let small = Small { few: in_few_columns(&other, operands, caps), each: each(&form, Operands::USUAL, caps) };
        return match m.epilogue.bias {
            0 => ordered(software, small, &other, operands, caps),
            _ => ordered(software, small, &form, Operands::USUAL, caps),
        };
    }
    recipes(software, &form, Operands::USUAL, caps)
}

/// Every variant, the best guess first: those for software devices, which somebody else made, and
/// those of `form`.
pub(super) fn recipes(software: Vec<Recipe>, form: &Gather, operands: Operands, caps: &Caps) -> Vec<Recipe> {
    let small = Small { few: in_few_columns(form, operands, caps), each: each(form, operands, caps) };
    ordered(software, small, form, operands, caps)
}

/// Variants for products that are small in one way or another.
struct Small {
    few: Vec<Recipe>,
    each: Vec<Recipe>,
}

/// The same with those for small products given.
fn ordered(software: Vec<Recipe>, small: Small, form: &Gather, operands: Operands, caps: &Caps) -> Vec<Recipe> {
    // What a tile computes for nothing counts as what is wanted does.
    let [(ph, uh), (pw, uw)] = form.phases();
    let lines = (form.rows as usize * uh * uw) as u32;
    let waste = |tile_lines: u32, tile_columns: u32| {
        let padded = [lines.next_multiple_of(tile_lines), form.pack_dst.next_multiple_of(tile_columns)];
        padded.map(f64::from).iter().product::<f64>() * (ph * pw) as f64
    };
    // Tiles read channel after channel, at neighbouring pixels.
    let tiles = if form.stands_last()[0] { Vec::new() } else { tiles(caps, waste) };
    let (mixed, f32): (Vec<Tile>, Vec<Tile>) = tiles.into_iter().partition(Tile::mixed);
    let make = |tile: &Tile| in_tiles(form, operands, caps, tile);
    let (mixed, f32): (Vec<_>, Vec<_>) = (mixed.iter().map(make).collect(), f32.iter().map(make).collect());
    // Operands that have their channels last.
    let last = |precision, others| match (last::recipes(form, operands, precision, caps), last::first(form)) {
        (last, true) => [last, others].concat(),
        (last, false) => [others, last].concat(),
    };
    let mixed = [coop::recipes(form, operands, caps), last(Precision::Mixed, mixed)].concat();
    let Small { few, each } = small;
    match caps.class {
        // What has its channels last is here to be checked: programs for software devices have none of it.
        Class::Lanes if form.stands_last() != [false; 2] => [mixed, last(Precision::Full, f32)].concat(),
        Class::Lanes if soon(caps) => [mixed, each, software, few, f32].concat(),
        // Without variants for its subgroups, a software device does best with what is simplest.
        Class::Lanes if software.is_empty() => [mixed, few, f32, each].concat(),
        Class::Lanes => [mixed, software, f32, few, each].concat(),
        Class::Gpu => {
            let f32 = last(Precision::Full, f32);
            [few, mixed, f32, each].concat()
        }
    }
}

static SHADERS: Shaders = shaders!(Gather, "gather");
static REDUCE: Shader = shader!(Gather, "gather_reduce");
static DIRECT: Shader = shader!(Gather, "direct");
static DOT: Shader = shader!(Gather, "dot");
static EACH: Shader = shader!(Gather, "each");

fn in_tiles(form: &Gather, operands: Operands, caps: &Caps, tile: &Tile) -> Recipe {
    let [(ph, uh), (pw, uw)] = form.phases();
    let m_blocks = (form.rows as usize * uh * uw).div_ceil(tile.lines as usize);
    let columns = form.pack_dst.div_ceil(tile.columns) as usize * form.groups as usize;
    let blocks = m_blocks * columns * ph * pw * form.batch as usize;
    let form = form.split(blocks, tile.terms);
    // Where there is a second stage the epilogue is there.
    let (main, dst, scratch) = match form.splits {
        1 => (form, Slot::Write(0), Vec::new()),
        splits => {
            let bare = Gather { epilogue: EpilogueBlock::NONE, ..form };
            (bare, Slot::ScratchOut(0), vec![splits as usize * form.part as usize])
        }
    };
    let stage = tile
        .stage(&SHADERS, &main, grid_1d(blocks * form.splits as usize, caps))
        .bind("src", Slot::Read(operands.src))
        .bind("w", Slot::Read(operands.w));
    let stage = operands
        .epilogue(stage)
        .bind("dst", dst)
        .constant("ALONG_K", u32::from(form.w_src < form.w_dst))
        .constant("ALONG_M", u32::from(form.along_lines()))
        .epilogue(&main);
    let per_product = [form.rows * form.sh * form.sw, form.dc * form.kh * form.kw].map(|n| n * form.sc * form.batch);
    let factors = [(operands.src, per_product[0]), (operands.w, per_product[1])];
    let mut recipe = tile.recipe(stage, factors, scratch, caps);
    if form.splits > 1 {
        recipe.stages.push(behind(&form, 0, operands, caps));
    }
    recipe
}

/// The stage that adds up the parts in scratch buffer `part` where terms are split.
pub(super) fn behind(form: &Gather, part: usize, operands: Operands, caps: &Caps) -> Stage {
    let wide = if caps.class == Class::Lanes { 8 } else { 64 };
    let stage = Stage::new(&REDUCE, form, grid_1d((form.part as usize).div_ceil(wide as usize), caps));
    let stage = operands.epilogue(stage.bind("part", Slot::ScratchIn(part))).bind("dst", Slot::Write(0));
    stage.epilogue(form).constant("WG", wide)
}

/// The variant of an invocation to an output: for few rows, and for any where its little code counts.
fn each(form: &Gather, operands: Operands, caps: &Caps) -> Vec<Recipe> {
    let (terms, outputs) = (form.terms(), form.part as usize);
    let wanted = form.rows <= FEW || soon(caps);
    if !wanted
        || form.stands_last() != [false; 2]
        || form.mask != 0
        || terms > TURNS
        || outputs as u64 * u64::from(terms) > SMALL
    {
        return Vec::new();
    }
    let wide = if caps.class == Class::Lanes { 16 } else { 64 };
    let stage = Stage::new(&EACH, form, grid_1d(outputs.div_ceil(wide as usize), caps))
        .bind("src", Slot::Read(operands.src))
        .bind("w", Slot::Read(operands.w));
    let stage = operands.epilogue(stage).bind("dst", Slot::Write(0)).epilogue(form);
    vec![Recipe::single("each", stage.constant("WG", wide))]
}

/// Whether it is a processor that compiles programs to run them a few times.
fn soon(caps: &Caps) -> bool {
    caps.class == Class::Lanes && caps.once
}

/// The variants for few columns, if there are.
fn in_few_columns(form: &Gather, operands: Operands, caps: &Caps) -> Vec<Recipe> {
    if form.dc > FEW || form.mask != 0 || form.stands_last() != [false; 2] {
        return Vec::new();
    }
    let make = |name, shader, groups: usize| {
        let stage = Stage::new(shader, form, grid_1d(groups, caps))
            .bind("src", Slot::Read(operands.src))
            .bind("w", Slot::Read(operands.w));
        let stage = operands.epilogue(stage).bind("dst", Slot::Write(0)).constant("COLUMNS", form.dc);
        Recipe::single(name, stage.epilogue(form))
    };
    let [(ph, uh), (pw, uw)] = form.phases();
    let batch = form.batch as usize;
    // WG of `direct.wgsl`.
    let blocks = (form.rows as usize * uh * uw).div_ceil(64);
    let direct = make("direct", &DIRECT, blocks * ph * pw * batch);
    // Terms side by side want lanes side by side.
    let side_by_side = form.one_tap() && form.src_chan == 1 && form.sc >= LONG;
    let dot = side_by_side.then(|| make("dot", &DOT, form.rows as usize * batch));
    dot.into_iter().chain([direct]).collect()
}
