//! limn.

pub mod data;
