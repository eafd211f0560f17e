//! Arithmetic and nothing else, which the ceilings of a device are measured with.
//!
//! ```
//! use limn::kernels::{Kernel, multiply_add::MultiplyAdd};
//!
//! let work = MultiplyAdd::new(1024, 100);
//! assert!(work.flops() > 100 * 1024 && work.cost().bytes < 8 * 1024 * 2);
//! ```

pub mod multiply_add;
pub mod multiply_add_matrix;
pub mod subgroups;
