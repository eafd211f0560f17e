//! Copies and rearrangements of tensors, counters, and data on its way in.
//!
//! ```
//! use limn::kernels::{Kernel, copy::Copy};
//!
//! let mut y = [0.0; 3];
//! Copy { len: 3 }.cpu(&[&[1.0, 2.0, 3.0]], &mut [&mut y]);
//! assert_eq!(y, [1.0, 2.0, 3.0]);
//! ```

pub mod advance;
pub mod concat;
pub mod copy;
pub mod decode_u8;
pub mod fill;
pub mod mean_of_ranks;
pub mod one_hot;
pub mod pulse;
pub mod ramp;
pub mod record;
pub mod resample;
pub mod strided;
