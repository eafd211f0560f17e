//! Sums, statistics and normalisation over axes, and the losses that reduce rows.

pub mod batch_norm;
pub mod cross_entropy;
pub mod largest;
pub mod reduce;
