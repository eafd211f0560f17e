//! The variants of `conv2d_weight_grad`: partial sums over chunks of the output pixels, then their
//! sum in a fixed order.

use super::conv::Conv;
use super::coop;
use super::gather::{self, Gather, Operands};
use super::last;
use super::tiles::{Shaders, Tile, WANTED, shaders, tiles};
use super::weight_grad_lanes;
use crate::kernels::reduce::Reduce;
use crate::kernels::{Caps, Class, Kernel, Precision, Recipe, Shader, Slot, Stage, grid_1d, params, shader};

params! {
    /// The block of `shaders/lib/weight_grad.wgsl`; names as in [`Conv`] up to `groups`.
    pub struct WeightGrad {
        /// Images.
        pub n: u32,
        /// Channels of x.
        pub ci: u32,
        /// Height of x.
        pub h: u32,
        /// Width of x.
        pub w: u32,
        /// Channels of dy.
        pub co: u32,
        /// Kernel height.
        pub kh: u32,
        /// Kernel width.
        pub kw: u32,
        /// Height of dy.
        pub oh: u32,
        /// Width of dy.
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
        /// 0, 1 = A, 2 = B.
        pub mask: u32,
        /// Colours; 1 without a mask.
        pub groups: u32,
        /// Taps that are live for every pair of channels.
        pub dense: u32,
        /// Channels of x of one colour, padded as the variant packs them.
        pub pack_ci: u32,
        /// Lines of one tap: channels of all colours.
        pub channels: u32,
        /// The most lines a column has.
        pub lines: u32,
        /// Columns of one colour.
        pub pack: u32,
        /// Columns of all colours.
        pub columns: u32,
        /// Lines from a tap to the next.
        pub line_tap: u32,
        /// Lines from a channel to the next.
        pub line_chan: u32,
        /// Output pixels of all images.
        pub terms: u32,
        /// Terms of one partial sum.
        pub chunk: u32,
        /// Partial sums.
        pub splits: u32,
        /// Height of the padded copy of x.
        pub x_h: u32,
        /// Width of the padded copy of x.
        pub x_w: u32,
        /// Elements of x between pixels.
        pub x_pixel: u32,
        /// Elements of dy between pixels.
        pub y_pixel: u32,
        /// Elements of dy between channels.
        pub y_chan: u32,
        /// The mask of the result: 0, 1 = A, 2 = B.
        pub dead: u32,
        /// Its colours.
        pub colours: u32,
    }
}

impl WeightGrad {
    /// The product of `c` with channels of x padded to a multiple of `lines` per colour, and those
    /// of dy to a multiple of `columns`.
    pub(super) fn new(c: &Conv, lines: u32, columns: u32) -> WeightGrad {
        let groups = c.colours();
        let (y_pixel, y_chan) = if c.y_last == 0 { (1, c.oh * c.ow) } else { (c.co, 1) };
        let dense = if c.mask == 0 { c.taps() as u32 } else { c.centre() as u32 };
        let pack_ci = c.ci.div_ceil(groups).next_multiple_of(lines);
        let channels = groups * pack_ci;
        let pack = c.co.div_ceil(groups).next_multiple_of(columns);
        let terms = c.n * c.oh * c.ow;
        // A column of the last colour sees the most at the centre.
        let centre = [0, channels - pack_ci, channels][c.mask as usize];
        WeightGrad {
            n: c.n,
            ci: c.ci,
            h: c.h,
            w: c.w,
            co: c.co,
            kh: c.kh,
            kw: c.kw,
            oh: c.oh,
            ow: c.ow,
            stride_h: c.stride_h,
            stride_w: c.stride_w,
            pad_top: c.pad_top,
            pad_left: c.pad_left,
            dilation_h: c.dilation_h,
            dilation_w: c.dilation_w,
            mask: c.mask,
            groups,
            dense,
            pack_ci,
            channels,
            lines: channels * dense + centre,
            pack,
            columns: pack * groups,
            line_tap: channels,
            line_chan: 1,
            terms,
            chunk: terms,
            splits: 1,
            x_h: c.h,
            x_w: c.w,
            x_pixel: if c.x_last == 0 { 1 } else { c.ci },
            y_pixel,
            y_chan,
            dead: c.mask,
            colours: groups,
        }
    }

    /// The same with channels of all colours side by side, padded to multiples of `wide`: at the centre of
    /// a mask of colours more is summed than is wanted, and left out in the end.
    pub(super) fn of_one_colour(c: &Conv, wide: u32) -> WeightGrad {
        let mask = if c.colours() == 1 { c.mask } else { 2 };
        let all = WeightGrad::new(&Conv { groups: 1, mask, ..*c }, wide, wide);
        WeightGrad { dead: c.mask, colours: c.colours(), ..all }
    }

    /// Whether x, and dy, have their channels last.
    pub(super) fn stands_last(&self) -> [bool; 2] {
        [self.x_pixel != 1, self.y_pixel != 1]
    }

    /// Splits the terms so that `blocks` times the splits comes to `wanted` workgroups, with chunks
    /// that are a multiple of `step` and not shorter than `least`.
    pub(super) fn split(mut self, blocks: u32, wanted: u32, least: u32, step: u32) -> WeightGrad {
        let splits = wanted.div_ceil(blocks.max(1)).min(self.terms.div_ceil(least)).max(1);
        self.chunk = self.terms.div_ceil(splits).next_multiple_of(step);
        self.splits = self.terms.div_ceil(self.chunk);
        self
    }

    pub(super) fn partials(&self) -> usize {
        self.splits as usize * (self.lines * self.columns) as usize
    }

    /// Those of the gradient of a bias.
    fn bias_partials(&self) -> usize {
        (self.splits * self.columns) as usize
    }

    /// Where the main stage puts its sums: whether they are the entries of dw itself, and the slot, a
    /// scratch buffer of the recipe where they are not. Dead entries of a mask and the gradient of a
    /// bias are written by a second stage.
    pub(super) fn into(self, bias: u32, recipe: &mut Recipe) -> (bool, Slot) {
        if self.splits == 1 && self.mask == 0 && bias == 0 {
            return (true, Slot::Write(0));
        }
        (false, Slot::ScratchOut(recipe.scratch(self.partials() + bias as usize * self.bias_partials())))
    }

    /// The stage that adds up partial sums held in scratch buffer `scratch`, those of a bias among
    /// them if `bias` is 1.
    pub(super) fn reduce(&self, scratch: usize, bias: u32, caps: &Caps) -> Stage {
        let entries = self.co * (self.ci * self.kh * self.kw + bias);
        // Few entries of many splits would leave most of a GPU idle.
        let share = match caps.class {
            Class::Gpu if entries < 1 << 16 => self.splits.next_power_of_two().min(16),
            _ => 1,
        };
        let wide = if caps.class == Class::Lanes { 8 } else { 256 };
        Stage::new(&REDUCE, self, grid_1d(entries.div_ceil(wide / share) as usize, caps))
            .bind("part", Slot::ScratchIn(scratch))
            .bind("dw", Slot::Write(0))
            .bind("db", Slot::Write(1))
            .constant("WG", wide)
            .constant("SHARE", share)
            .constant("BIAS", bias)
    }
}

static SHADERS: Shaders = shaders!(WeightGrad, "weight_grad");
static REDUCE: Shader = shader!(WeightGrad, "weight_grad_reduce");

/// Every variant, the best guess first.
pub(super) fn variants(conv: &Conv, caps: &Caps) -> Vec<Recipe> {
    let lanes = caps.class == Class::Lanes && caps.subgroup == 8 && conv.by_planes();
    let mut lanes = if lanes { weight_grad_lanes::recipes(conv, caps) } else { Vec::new() };
    lanes.iter_mut().for_each(|recipe| bias_behind(recipe, conv, caps));
    if conv.is_product() && conv.by_planes() {
        let operands = Operands { src: 0, w: 1, tail: None };
        let mut products = gather::recipes(Vec::new(), &Gather::product_weights(conv), operands, caps);
        products.iter_mut().for_each(|recipe| bias_behind(recipe, conv, caps));
        let mixed = products.iter().take_while(|recipe| recipe.mixed()).count();
        products.splice(mixed..mixed, lanes);
        return products;
    }
    let form = WeightGrad::new(conv, 1, 1);
    let waste = |size: u32, tile: u32| f64::from(size.next_multiple_of(tile)) / f64::from(size.max(1));
    let all = tiles(caps, |lines, columns| waste(form.pack, columns) * waste(form.lines, lines));
    // Tiles read x channel after channel, at neighbouring pixels.
    let all = if form.stands_last()[0] { Vec::new() } else { all };
    let (mixed, f32): (Vec<Tile>, Vec<Tile>) = all.into_iter().partition(Tile::mixed);
    let make = |tile: &Tile| recipe(conv, caps, tile);
    let packed = WeightGrad::of_one_colour(conv, 4);
    let registers = |precision, tiles: &[Tile]| {
        let last = last::weight_grads(&packed, conv.epilogue.bias, precision, caps);
        let tiles = tiles.iter().map(make).collect();
        if last::first_weights(&packed) { [last, tiles].concat() } else { [tiles, last].concat() }
    };
    let mixed = registers(Precision::Mixed, &mixed);
    [coop::weight_grads(conv, caps), mixed, lanes, registers(Precision::Full, &f32)].concat()
}

/// Adds the sum of dy, the gradient of a bias, in stages of its own.
fn bias_behind(recipe: &mut Recipe, conv: &Conv, caps: &Caps) {
    if conv.epilogue.bias == 0 {
        return;
    }
    let sum = Reduce { a: 1, r1: conv.n, b: conv.co, r2: conv.oh * conv.ow, c: 1, scale: 1.0 };
    let Some(sum) = sum.variants(caps).into_iter().next() else { return };
    let scratch = recipe.scratch.len();
    recipe.scratch.extend(sum.scratch);
    recipe.stages.extend(sum.stages.into_iter().map(|mut stage| {
        for (_, slot) in &mut stage.bind {
            *slot = match *slot {
                Slot::Read(_) => Slot::Read(1),
                Slot::Write(_) => Slot::Write(1),
                Slot::ScratchIn(i) => Slot::ScratchIn(scratch + i),
                Slot::ScratchOut(i) => Slot::ScratchOut(scratch + i),
            };
        }
        stage
    }));
}

fn recipe(conv: &Conv, caps: &Caps, tile: &Tile) -> Recipe {
    let form = WeightGrad::new(conv, 1, 1);
    let blocks = form.lines.div_ceil(tile.lines).max(1) * form.pack.div_ceil(tile.columns) * form.groups;
    let form = form.split(blocks, WANTED, 256, tile.terms);
    let mut outer = Recipe { name: tile.name, scratch: Vec::new(), stages: Vec::new() };
    let (direct, part) = form.into(conv.epilogue.bias, &mut outer);
    let stage = tile
        .stage(&SHADERS, &form, grid_1d((blocks * form.splits) as usize, caps))
        .bind("x", Slot::Read(0))
        .bind("dy", Slot::Read(1))
        .bind("part", part)
        .constant("DIRECT", u32::from(direct))
        .constant("BIAS", conv.epilogue.bias)
        .constant("ALONG_M", u32::from(direct));
    let factors = [(0, conv.x_len() as u32), (1, conv.y_len() as u32)];
    let mut recipe = tile.recipe(stage, factors, outer.scratch, caps);
    if let Slot::ScratchOut(part) = part {
        recipe.stages.push(form.reduce(part, conv.epilogue.bias, caps));
    }
    recipe
}
