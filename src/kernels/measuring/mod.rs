//! Arithmetic and nothing else, which the ceilings of a device are measured with.

pub mod multiply_add;
pub mod multiply_add_matrix;
pub mod subgroups;
