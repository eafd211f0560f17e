//! Operands laid out anew for a product: channels last, in f32, or in f16 scaled by a power of two.

use super::gather::Gather;
use super::weight_grad::WeightGrad;
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
        /// The same, padded.
        pub pack1: u32,
        /// Channels.
        pub n2: u32,
        /// The same, padded to a multiple of four.
        pub pack2: u32,
        /// Elements between tensors.
        pub s_batch: u32,
        /// Elements between planes.
        pub s0: u32,
        /// Elements between rows.
        pub s1: u32,
        /// Elements between channels.
        pub s2: u32,
        /// The plane in which a mask lets only some colours through, or one that there is not.
        pub masked: u32,
        /// Colours of the mask.
        pub colours: u32,
        /// 1 if a colour sees itself there.
        pub itself: u32,
        /// 1 if rows are what is seen; 0 if channels are.
        pub rows_seen: u32,
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

/// A plane that there is not.
pub(super) const WHOLE: u32 = u32::MAX;
/// Elements that a workgroup copies.
const BLOCK: u32 = 1024;
/// PARTS of `shaders/lib/scale_f16.wgsl`.
const PARTS: u32 = 256;

static PACK: Shader = shader!(PackLast, "pack_last");
static PACK_F16: Shader = shader!(PackLast, "pack_last_f16");
static PEAKS: Shader = shader!(Peaks, "peaks");

impl PackLast {
    /// A tensor without a mask; its rows and channels are padded.
    pub(super) fn new(batch: u32, [n0, n1, n2]: [u32; 3], [pack1, pack2]: [u32; 2], strides: [u32; 4]) -> PackLast {
        let [s_batch, s0, s1, s2] = strides;
        let (masked, colours, itself, rows_seen) = (WHOLE, 1, 1, 1);
        PackLast { batch, n0, n1, pack1, n2, pack2, s_batch, s0, s1, s2, masked, colours, itself, rows_seen }
    }

    /// The source of a product: `[batch, rows, sh · sw, channels]`.
    pub(super) fn source(form: &Gather) -> PackLast {
        let plane = form.sh * form.sw;
        // Rows of one pixel are the pixels of one row.
        let ([n0, s0], [n1, s1]) = match plane {
            1 => ([1, 0], [form.rows, form.src_row]),
            _ => ([form.rows, form.src_row], [plane, form.src_pixel]),
        };
        let strides = [form.src_batch, s0, s1, form.src_chan];
        PackLast::new(form.batch, [n0, n1, form.sc], [n1, form.pack_src], strides)
    }

    /// Its weights: `[batch, taps, source channels, destination channels]`, with zeros for those that a
    /// mask of `colours` leaves out at its centre.
    pub(super) fn weights(form: &Gather, mask: u32, colours: u32) -> PackLast {
        let extents = [form.kh * form.kw, form.sc, form.dc];
        let strides = [form.w_batch, 1, form.w_src, form.w_dst];
        let all = PackLast::new(form.batch, extents, [form.pack_src, form.pack_dst], strides);
        if mask == 0 || colours == 1 {
            return all;
        }
        let masked = (form.kh / 2) * form.kw + form.kw / 2;
        PackLast { masked, colours, itself: mask - 1, rows_seen: 1 - form.transposed, ..all }
    }

    /// Images `[n, plane, channels]` of such with so many elements from a pixel to the next.
    fn images(n: u32, plane: u32, channels: u32, pack: u32, pixel: u32) -> PackLast {
        let channel = if pixel == 1 { plane } else { 1 };
        PackLast::new(1, [n, plane, channels], [plane, pack], [0, channels * plane, pixel, channel])
    }

    /// The images of the gradient of weights, x and dy.
    pub(super) fn factors(form: &WeightGrad) -> [PackLast; 2] {
        let x = PackLast::images(form.n, form.h * form.w, form.ci, form.pack_ci, form.x_pixel);
        [x, PackLast::images(form.n, form.oh * form.ow, form.co, form.pack, form.y_pixel)]
    }

    /// The same with rows and channels exchanged.
    pub(super) fn exchanged(self) -> PackLast {
        PackLast {
            n1: self.n2,
            pack1: self.pack2,
            n2: self.n1,
            pack2: self.pack1,
            s1: self.s2,
            s2: self.s1,
            rows_seen: 1 - self.rows_seen,
            ..self
        }
    }

    /// Whether the mask leaves an element of plane `o` in.
    pub(super) fn lives(&self, o: u32, i: u32, j: u32) -> bool {
        let [seen, own] = if self.rows_seen == 1 { [i, j] } else { [j, i] };
        o != self.masked || seen % self.colours < own % self.colours + self.itself
    }

    /// Elements once they are packed.
    fn packed(&self) -> usize {
        [self.batch, self.n0, self.pack1, self.pack2].iter().map(|n| *n as usize).product()
    }

    /// Whether the tensor stands as it would be packed.
    fn is_packed(&self) -> bool {
        let plane = self.pack1 * self.pack2;
        let stands = |n: u32, stride: u32, packed: u32| n == 1 || stride == packed;
        let whole = self.n1 == self.pack1 && self.n2 == self.pack2 && self.masked == WHOLE;
        let strides = [(self.n2, self.s2, 1), (self.n1, self.s1, self.pack2), (self.n0, self.s0, plane)];
        let strides = strides.into_iter().all(|(n, stride, packed)| stands(n, stride, packed));
        whole && strides && stands(self.batch, self.s_batch, self.n0 * plane)
    }

    /// Where a product finds operand `read` packed: in itself, or in a scratch buffer of the
    /// recipe, which is given stages that fill it. In mixed precision it is packed in f16.
    pub(super) fn of(&self, read: usize, precision: Precision, recipe: &mut Recipe, caps: &Caps) -> Slot {
        // Blocks of as many elements, whose columns are not more than there are, but for padding.
        let across = self.pack2.next_power_of_two().clamp(4, 32);
        let blocks = self.pack1.div_ceil(BLOCK / across) * self.pack2.div_ceil(across);
        let grid = grid_1d(blocks as usize * (self.batch * self.n0) as usize, caps);
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
        let stage = stage.bind("dst", Slot::ScratchOut(scratch)).constant("ALONG_I", u32::from(self.s1 < self.s2));
        let stage = stage.constant("ACROSS", across);
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
