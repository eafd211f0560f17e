//! Updates of parameters: optimisers, moving averages, clipping.
//!
//! ```
//! use limn::kernels::{Kernel, clip::Clip};
//!
//! let mut w = [-2.0, 0.25, 2.0];
//! Clip { len: 3, bound: 0.5 }.cpu(&[], &mut [&mut w]);
//! assert_eq!(w, [-0.5, 0.25, 0.5]);
//! ```

pub mod adam;
mod average;
pub mod clip;
pub mod ema;
pub mod rmsprop;
pub mod sgd;
