//! Copies and rearrangements of tensors, counters, and data on its way in.

pub mod advance;
pub mod concat;
pub mod copy;
pub mod decode_u8;
pub mod fill;
pub mod one_hot;
pub mod pulse;
pub mod ramp;
pub mod record;
pub mod resample;
pub mod strided;
