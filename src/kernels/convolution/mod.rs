//! Convolutions and matrix products, one implicit product with its variants for each class of
//! device.
//!
//! ```
//! use limn::kernels::{Kernel, activation::Activation, matmul::MatMul};
//!
//! let product = MatMul::new(1, 2, 1).epilogue(Activation::Relu, true, false);
//! let mut c = [0.0];
//! product.cpu(&[&[1.0, 2.0], &[3.0, -4.0], &[1.0], &[], &[]], &mut [&mut c]);
//! assert_eq!(c, [0.0]); // relu(3 - 8 + 1)
//! ```

pub mod conv;
pub mod conv2d;
pub mod conv2d_weight_grad;
mod conv_cases;
pub mod conv_transpose2d;
mod coop;
pub mod depthwise;
pub mod epilogue;
mod gather;
mod gather_lanes;
mod host;
mod lanes;
pub(crate) mod last;
pub(in crate::kernels) mod layers;
pub mod matmul;
pub(crate) mod matrix;
mod pack;
pub mod pack_weights;
mod patches;
mod role;
mod sampled;
mod standing;
pub mod sum_weight_grads;
pub(crate) mod tiles;
mod weight_grad;
mod weight_grad_lanes;
