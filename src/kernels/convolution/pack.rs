//! Operands laid out anew for a product: channels last, in f32, or in f16 scaled by a power of two.

use super::gather::Gather;
use super::weight_grad::{Strides, WeightGrad};
use crate::kernels::{Caps, Class, Precision, Recipe, Shader, Slot, Stage, grid_1d, params, shader};

params! {
    /// The block of `shaders/pack_last.wgsl` and `shaders/pack_last_f16.wgsl`.
    pub struct PackLast {
        /// Independent tensors.
        pub batch: u32,
        /// Planes of one.
        pub n0: u32,
        /// Rows of a plane.
        pub n1: u32,
        /// Colours of the rows.
        pub groups1: u32,
        /// Rows per colour, padded.
        pub pack1: u32,
        /// Channels.
        pub n2: u32,
        /// Colours of the channels.
        pub groups2: u32,
        /// Channels per colour, padded to a multiple of four.
        pub pack2: u32,
        /// Elements between tensors.
        pub s_batch: u32,
        /// Elements between planes.
        pub s0: u32,
        /// Elements between rows.
        pub s1: u32,
        /// Elements between the first channels of colours.
        pub s2_colour: u32,
        /// Elements between channels of a colour.
        pub s2_next: u32,
    }
}

params! {
    /// The block of `shaders/peaks.wgsl`.
    pub struct Peaks {
        /// Elements.
        pub len: u32,
        /// Parts that the largest magnitude is found in.
        pub parts: u32,
    }
}

/// PARTS of `shaders/lib/scale_f16.wgsl`.
const PARTS: u32 = 256;

static PACK: Shader = shader!(PackLast, "pack_last");
static PACK_F16: Shader = shader!(PackLast, "pack_last_f16");
static PEAKS: Shader = shader!(Peaks, "peaks");

impl PackLast {
    /// The source of a product: `[batch, rows, sh · sw, channels]`, channels by colour.
    pub(super) fn source(form: &Gather) -> PackLast {
        let plane = form.sh * form.sw;
        // Rows of one pixel are the pixels of one row.
        let ([n0, s0], [n1, s1]) = match plane {
            1 => ([1, 0], [form.rows, form.src_row]),
            _ => ([form.rows, form.src_row], [plane, form.src_pixel]),
        };
        let (batch, s_batch, n2) = (form.batch, form.src_batch, form.sc);
        let (groups2, pack2) = (form.groups, form.pack_src);
        let (s2_colour, s2_next) = match form.stands_last()[0] {
            true => (form.sc / form.groups, 1),
            false => (form.src_chan, form.groups * form.src_chan),
        };
        PackLast { batch, n0, n1, groups1: 1, pack1: n1, n2, groups2, pack2, s_batch, s0, s1, s2_colour, s2_next }
    }

    /// Its weights: `[batch, taps, source channels, destination channels]`, both by colour.
    pub(super) fn weights(form: &Gather) -> PackLast {
        let (groups1, groups2) = (form.groups, form.groups);
        PackLast {
            batch: form.batch,
            n0: form.kh * form.kw,
            n1: form.sc,
            groups1,
            pack1: form.pack_src,
            n2: form.dc,
            groups2,
            pack2: form.pack_dst,
            s_batch: form.w_batch,
            s0: 1,
            s1: form.w_src,
            s2_colour: form.w_dst,
            s2_next: groups2 * form.w_dst,
        }
    }

    /// Images `[n, plane, channels]`, channels by colour, of such in the order of `strides`.
    fn images(form: &WeightGrad, plane: u32, channels: u32, pack: u32, strides: Strides) -> PackLast {
        let Strides { pixel, colour, next } = strides;
        PackLast {
            batch: 1,
            n0: form.n,
            n1: plane,
            groups1: 1,
            pack1: plane,
            n2: channels,
            groups2: form.groups,
            pack2: pack,
            s_batch: 0,
            s0: channels * plane,
            s1: pixel,
            s2_colour: colour,
            s2_next: next,
        }
    }

    /// The images of the gradient of weights, x and dy.
    pub(super) fn factors(form: &WeightGrad) -> [PackLast; 2] {
        let x = PackLast::images(form, form.h * form.w, form.ci, form.pack_ci, form.x_strides());
        [x, PackLast::images(form, form.oh * form.ow, form.co, form.pack, form.y_strides())]
    }

    /// The same with rows and channels exchanged, which both are in their natural order.
    pub(super) fn exchanged(self) -> PackLast {
        PackLast {
            n1: self.n2,
            groups1: self.groups2,
            pack1: self.pack2,
            n2: self.n1,
            groups2: self.groups1,
            pack2: self.pack1,
            s1: self.s2_colour,
            s2_colour: self.s1,
            s2_next: self.groups1 * self.s1,
            ..self
        }
    }

    /// Elements once they are packed.
    fn packed(&self) -> usize {
        [self.batch, self.n0, self.groups1 * self.pack1, self.groups2 * self.pack2]
            .iter()
            .map(|n| *n as usize)
            .product::<usize>()
    }

    /// Whether the tensor stands as it would be packed.
    fn is_packed(&self) -> bool {
        let line = self.groups2 * self.pack2;
        let plane = self.groups1 * self.pack1 * line;
        let stands = |n: u32, stride: u32, packed: u32| n == 1 || stride == packed;
        let by_colour = self.groups2 == 1 || self.s2_colour == self.pack2;
        let sorted = self.groups1 == 1 && by_colour && self.n1 == self.pack1 && self.n2 == line;
        let strides = stands(self.n2, self.s2_next, 1) && stands(self.n1, self.s1, line) && stands(self.n0, self.s0, plane);
        sorted && strides && stands(self.batch, self.s_batch, self.n0 * plane)
    }

    /// Where a product finds operand `read` packed: in itself, or in a scratch buffer of the
    /// recipe, which is given stages that fill it. In mixed precision it is packed in f16.
    pub(super) fn of(&self, read: usize, precision: Precision, recipe: &mut Recipe, caps: &Caps) -> Slot {
        let squares = [self.groups1 * self.pack1, self.groups2 * self.pack2].map(|n| n.div_ceil(32) as usize);
        let grid = grid_1d(squares[0] * squares[1] * (self.batch * self.n0) as usize, caps);
        let (shader, front) = match precision {
            Precision::Full if self.is_packed() => return Slot::Read(read),
            Precision::Full => (&PACK, 4),
            Precision::Mixed => (&PACK_F16, 16),
        };
        let stage = Stage::new(shader, self, grid).bind("src", Slot::Read(read));
        let (stage, words) = match precision {
            Precision::Full => (stage, front + self.packed()),
            Precision::Mixed => {
                let len = self.batch * self.n0 * self.n1 * self.n2;
                (stage.bind("peaks", peaks(read, len, recipe, caps)), (front + self.packed()).div_ceil(2))
            }
        };
        let scratch = recipe.scratch(words);
        let stage = stage.bind("dst", Slot::ScratchOut(scratch)).constant("ALONG_I", u32::from(self.s1 < self.s2_next));
        recipe.stages.push(stage);
        Slot::ScratchIn(scratch)
    }
}

/// Where the largest magnitudes of the `len` elements of operand `read` are found, in a scratch
/// buffer of the recipe, which is given the stage that does so.
pub(super) fn peaks(read: usize, len: u32, recipe: &mut Recipe, caps: &Caps) -> Slot {
    let wide: u32 = if caps.class == Class::Lanes { 64 } else { 256 };
    // Four fours to an invocation, where there are as many.
    let parts = len.div_ceil(16 * wide).clamp(1, PARTS);
    let scratch = recipe.scratch(PARTS as usize);
    let stage = Stage::new(&PEAKS, &Peaks { len, parts }, grid_1d(parts as usize, caps))
        .bind("src", Slot::Read(read))
        .bind("peaks", Slot::ScratchOut(scratch))
        .constant("WG", wide);
    recipe.stages.push(stage);
    Slot::ScratchIn(scratch)
}
