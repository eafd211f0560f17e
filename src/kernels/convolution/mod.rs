//! Convolutions and matrix products, one implicit product with its variants for each class of device.

pub mod conv;
pub mod conv2d;
pub mod conv2d_weight_grad;
mod conv_cases;
pub mod conv_transpose2d;
pub mod depthwise;
mod gather;
mod gather_lanes;
mod host;
mod lanes;
pub mod matmul;
pub(crate) mod matrix;
mod spots;
pub(crate) mod tiles;
mod weight_grad;
mod weight_grad_lanes;
