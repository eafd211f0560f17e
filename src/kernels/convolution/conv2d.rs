//! `conv2d`: the convolution, masked or not, with bias, residual and activation.

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
    /// `y[n,co,oy,ox]` = act((Σ x[n,ci,oy·stride - pad + kh·dilation, …] · `w[co,ci,kh,kw]` +
    /// `b[co]`) · gate(g) + r), where a gate is 1 where g > 0 and a slope elsewhere: the gradient
    /// of a ReLU in front of x's.
    ///
    /// Reads x `[n,ci,h,w]`, w `[co,ci,kh,kw]`, b `[co]`, r and g `[n,co,oh,ow]` (the last three
    /// absent, of length 0, unless the block says otherwise); writes y `[n,co,oh,ow]`.
    Conv2d, Role::Conv, "conv2d", "x" => "y"
}

/// Odd shapes without a mask.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let mut all = conv_cases::plain();
    // Outputs so far apart that nobody could hold the zeros between them.
    all.push(Conv::new([1, 2, 3, 3], 1, [1, 1]).with([30_000; 2], [1; 2], [30_000; 4]));
    boxed(all)
}
