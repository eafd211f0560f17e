//! What the variants for subgroups of 8 SIMD lanes of a CPU core share: their sizes, and sources
//! with channels in fours.

use super::gather::Gather;
use crate::kernels::{Caps, Recipe, Shader, Slot, Stage, grid_1d, shader};

/// Lanes of a workgroup.
pub(super) const LANES: u32 = 8;
/// Channels, or fours of them, that one invocation of a packing stage copies.
pub(super) const RUN: u32 = 16;
/// Terms a main stage takes at a time.
pub(super) const STEP: u32 = 4;

/// A main stage: `blocks` times 8 rows and 8 times `width` columns to a workgroup.
pub(super) struct Size {
    pub name: &'static str,
    pub blocks: u32,
    pub width: u32,
    /// With `lib/sums_flat.wgsl`, and with `lib/sums_nested.wgsl`.
    pub shaders: [Shader; 2],
}

/// A [`Size`] of a shader: how its name begins, rows, columns, `blocks` and `width`.
macro_rules! size {
    ($block:ty, $file:literal as $prefix:literal, $rows:literal, $columns:literal, $blocks:literal, $width:literal) => {
        $crate::kernels::convolution::lanes::Size {
            name: concat!($prefix, "_", $rows, "x", $columns),
            blocks: $blocks,
            width: $width,
            shaders: [
                $crate::kernels::convolution::lanes::size!(@ $block, $file, $rows, $columns, $blocks, $width, "flat"),
                $crate::kernels::convolution::lanes::size!(@ $block, $file, $rows, $columns, $blocks, $width, "nested"),
            ],
        }
    };
    (@ $block:ty, $file:literal, $rows:literal, $columns:literal, $blocks:literal, $width:literal, $sums:literal) => {
        $crate::kernels::shader!($block, $file as concat!($file, "_", $rows, "x", $columns, "_sums_", $sums),
            width = stringify!($width), sums = $sums; concat!("const BLOCKS = ", $blocks, "u;"))
    };
}
pub(super) use size;

impl Size {
    pub(super) fn rows(&self) -> u32 {
        LANES * self.blocks
    }

    pub(super) fn columns(&self) -> u32 {
        LANES * self.width
    }

    pub(super) fn shader(&self, caps: &Caps) -> &Shader {
        &self.shaders[usize::from(caps.nested_arrays)]
    }
}

/// Whether a convolution is a product of planes that can be read four pixels at a time: one tap, no
/// mask.
pub(super) fn in_fours(form: &Gather) -> bool {
    let one = [form.kh, form.kw, form.stride_h, form.stride_w, form.groups, form.batch].iter().all(|v| *v == 1);
    let plane = form.sh * form.sw;
    let as_they_lie = form.src_chan == plane && form.dst_chan == plane && form.dh * form.dw == plane;
    one && form.mask == 0 && form.pad_top + form.pad_left == 0 && as_they_lie && plane.is_multiple_of(4)
}

/// Whether a convolution keeps the size of planes that can be read four pixels of a row at a time,
/// with a kernel three wide whose taps are their neighbours.
pub(super) fn in_rows(form: &Gather) -> bool {
    let one = [form.stride_h, form.stride_w, form.dilation_h, form.dilation_w, form.groups, form.batch];
    let same = form.sh == form.dh && form.sw == form.dw;
    let plane = form.sh * form.sw;
    let as_they_lie = form.src_chan == plane && form.dst_chan == plane;
    one.iter().all(|v| *v == 1)
        && form.kw == 3
        && form.pad_left == 1
        && same
        && as_they_lie
        && form.sw.is_multiple_of(4)
}

static RING: Shader = shader!(Gather, "lanes_ring");
static IM2COL: Shader = shader!(Gather, "lanes_im2col");

/// How the source gets its channels in fours.
enum Packing {
    /// It has them.
    None,
    /// `lanes_ring.wgsl`.
    Ring,
    /// `lanes_im2col.wgsl` with so many live taps.
    Im2col(u32),
}

/// A source with its channels in fours, and what is left to compute from it.
pub(super) struct Source {
    /// The geometry of the packed source, and the convolution left to do.
    pub form: Gather,
    packing: Packing,
}

impl Source {
    pub(super) fn of(form: &Gather) -> Source {
        let pixel = form.sh * form.sw == 1 && form.kh * form.kw == 1 && form.transposed == 0 && form.groups == 1;
        let fours = [form.sc, form.src_row, form.src_batch].iter().all(|n| n.is_multiple_of(STEP));
        if pixel && fours && form.src_chan == 1 && form.pad_top + form.pad_left == 0 && form.src_row == form.sc {
            let form = Gather { full_h: 1, full_w: 1, quads: form.sc / STEP, ..*form };
            return Source { form, packing: Packing::None };
        }
        let taps = form.kh * form.kw;
        let live = [taps, taps / 2, taps / 2 + 1][form.mask as usize];
        let few = form.sc == 1 || (form.sc == 2 && form.mask == 0);
        if few && form.groups == 1 && form.transposed == 0 && live > 1 {
            let form = Source::matrix(form, live);
            return Source { form, packing: Packing::Im2col(live) };
        }
        let axis = |pad: u32, k: u32, dilation: u32, stride: u32, source: u32, outputs: u32| {
            let reach = dilation * (k - 1);
            let (before, last) = if form.transposed != 0 {
                (reach.saturating_sub(pad).div_ceil(stride), (outputs - 1 + pad) / stride)
            } else {
                (pad, ((outputs - 1) * stride + reach).saturating_sub(pad))
            };
            (before, before + source.max(last + 1))
        };
        let (ring_top, full_h) = axis(form.pad_top, form.kh, form.dilation_h, form.stride_h, form.sh, form.dh);
        let (ring_left, full_w) = axis(form.pad_left, form.kw, form.dilation_w, form.stride_w, form.sw, form.dw);
        let pack_src = form.pack_src.next_multiple_of(STEP);
        let quads = form.groups * pack_src / STEP;
        Source {
            form: Gather { ring_top, ring_left, full_h, full_w, quads, pack_src, ..*form },
            packing: Packing::Ring,
        }
    }

    /// The convolution as a product of pixels and `live` taps of every channel.
    fn matrix(form: &Gather, live: u32) -> Gather {
        let terms = form.sc * live;
        let pack_src = terms.next_multiple_of(STEP);
        Gather {
            sc: terms,
            sh: form.dh,
            sw: form.dw,
            mask: 0,
            w_src: 1,
            pack_src,
            full_h: form.dh,
            full_w: form.dw,
            quads: pack_src / STEP,
            ..form.of_one_tap()
        }
    }

    /// Whether the device can bind the packed source: strides may leave a sea of zeros between two
    /// outputs.
    pub(super) fn fits(&self, caps: &Caps) -> bool {
        let form = &self.form;
        let sizes = [form.batch, form.rows, form.full_h, form.full_w, form.quads, STEP];
        let bytes = sizes.iter().try_fold(4u64, |bytes, size| bytes.checked_mul(u64::from(*size)));
        bytes.is_some_and(|bytes| bytes <= caps.max_binding_bytes.min(u64::from(u32::MAX)))
    }

    /// Live taps, if the source has become a matrix of taps.
    pub(super) fn im2col(&self) -> Option<u32> {
        match self.packing {
            Packing::Im2col(taps) => Some(taps),
            _ => None,
        }
    }

    /// Adds the stage that packs read `read`, the source of `form`, and says where the packed one
    /// is.
    pub(super) fn pack(&self, form: &Gather, caps: &Caps, recipe: &mut Recipe, read: usize) -> Slot {
        let to = &self.form;
        let pixels = to.batch * to.rows * to.full_h * to.full_w;
        let stage = match self.packing {
            Packing::None => return Slot::Read(read),
            Packing::Ring => {
                let groups = pixels.div_ceil(LANES) * to.quads.div_ceil(RUN);
                Stage::new(&RING, to, grid_1d(groups as usize, caps)).constant("RUN", RUN)
            }
            Packing::Im2col(live) => {
                let block = Gather { quads: to.quads, ..*form };
                Stage::new(&IM2COL, &block, grid_1d(pixels.div_ceil(LANES) as usize, caps))
                    .constant("TAPS", live)
                    .constant("TERMS", to.sc)
            }
        };
        let scratch = recipe.scratch(pixels as usize * to.quads as usize * STEP as usize);
        recipe.stages.push(stage.bind("src", Slot::Read(read)).bind("full", Slot::ScratchOut(scratch)));
        Slot::ScratchIn(scratch)
    }
}

impl Recipe {
    /// Adds a scratch buffer.
    pub(super) fn scratch(&mut self, len: usize) -> usize {
        self.scratch.push(len);
        self.scratch.len() - 1
    }

    /// Whether the device can bind all scratch buffers.
    pub(super) fn fits(&self, caps: &Caps) -> bool {
        self.scratch.iter().all(|len| 4 * *len as u64 <= caps.max_binding_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv::Conv;
    use super::super::gather::Role;
    use super::*;

    #[test]
    fn planes_are_read_where_they_lie_if_taps_are_pixels_or_their_neighbours() {
        let is = |conv: Conv| {
            let form = Gather::conv(&conv, Role::Conv);
            (in_fours(&form), in_rows(&form))
        };
        let one = Conv::new([2, 8, 6, 4], 12, [1, 1]);
        assert_eq!(is(one), (true, false));
        // Not a row, but a plane is fours.
        assert_eq!(is(Conv::new([2, 8, 4, 5], 12, [1, 1])), (true, false));
        let padded = |pad: [u32; 4]| one.with([1, 1], [1, 1], pad);
        let others = [
            Conv::new([2, 8, 5, 5], 12, [1, 1]),
            one.with([2, 2], [1, 1], [0; 4]),
            padded([2, 0, 2, 0]),
            padded([0, 2, 0, 2]),
            one.masked(2, 1),
            one.last(true, false),
            one.last(false, true),
        ];
        others.into_iter().for_each(|conv| assert_eq!(is(conv), (false, false), "{conv:?}"));

        let three = Conv::new([2, 8, 5, 8], 12, [3, 3]);
        let same = |conv: Conv| conv.with([1, 1], [1, 1], [1; 4]);
        assert_eq!(is(same(three)), (false, true));
        assert_eq!(is(same(three).masked(1, 1)), (false, true));
        assert_eq!(is(Conv::new([2, 8, 5, 8], 12, [5, 3]).with([1, 1], [1, 1], [2, 1, 2, 1])), (false, true));
        let others = [
            same(Conv::new([2, 8, 5, 6], 12, [3, 3])),
            three,
            same(three).with([2, 1], [1, 1], [1; 4]),
            same(three).with([1, 1], [1, 2], [1, 2, 1, 2]),
            same(three).with([1, 1], [1, 1], [1, 2, 1, 0]),
            Conv::new([2, 8, 5, 8], 12, [3, 5]).with([1, 1], [1, 1], [1, 2, 1, 2]),
            same(three).last(true, false),
            same(three).last(false, true),
        ];
        others.into_iter().for_each(|conv| assert_eq!(is(conv), (false, false), "{conv:?}"));
    }
}
