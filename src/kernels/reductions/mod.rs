//! Sums, statistics and normalisation over axes, and the losses that reduce rows.
//!
//! ```
//! use limn::kernels::{Kernel, reduce::Reduce};
//!
//! let sum = Reduce { a: 1, r1: 2, b: 3, r2: 1, c: 1, scale: 1.0 }; // of two rows
//! let mut y = [0.0; 3];
//! sum.cpu(&[&[1.0, 2.0, 3.0, 10.0, 20.0, 30.0]], &mut [&mut y]);
//! assert_eq!(y, [11.0, 22.0, 33.0]);
//! ```

pub mod batch_norm;
pub mod batch_norm_grad;
pub(crate) mod columns;
pub mod cross_entropy;
pub mod largest;
pub mod reduce;
pub mod spectral;
pub mod weight_norm;
