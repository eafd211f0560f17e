//! Updates of parameters: optimisers, moving averages, clipping.

pub mod adam;
mod average;
pub mod clip;
pub mod ema;
pub mod rmsprop;
pub mod sgd;
