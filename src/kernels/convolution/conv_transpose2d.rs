//! `conv_transpose2d`: the transposed convolution, which is also the input gradient of `conv2d`.

use super::conv::Conv;
use super::conv_cases;
use super::gather::{self, Role};
use super::role::role;
use super::tiles::Rounding;
use crate::kernels::at_pixel::AtPixel;
use crate::kernels::{
    Access, Caps, ChannelsLast, Checks, Epilogue, Fused, Images, Kernel, Lens, Precision, Recipe, Signature,
};
use std::sync::Arc;

role! {
    /// `x[n,ci,iy,ix]` = act((Σ `y[n,co,oy,ox]` · `w[co,ci,kh,kw]` + `b[ci]`) · gate(g) + r) over
    /// all (co, oy, kh, ox, kw) with iy = oy·stride_h - pad_top + kh·dilation_h, and likewise for
    /// columns. A gate is 1 where g > 0 and a slope elsewhere: the gradient of a ReLU, which comes
    /// right behind that of a convolution.
    ///
    /// Reads y `[n,co,oh,ow]`, w `[co,ci,kh,kw]`, b `[ci]`, r and g `[n,ci,h,w]` (the last three
    /// absent, of length 0, unless the block says otherwise); writes x `[n,ci,h,w]`. PyTorch's
    /// `ConvTranspose2d` weight `[in,out,kh,kw]` is w as it stands, with in = co and out = ci. A
    /// pixel that no tap reaches gets act(b · gate(g) + r).
    ConvTranspose2d, Role::Transpose, "conv_transpose2d", "y" => "x"
}

/// Odd shapes without a mask.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::plain())
}
