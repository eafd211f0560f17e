//! limn trains generative models on any GPU that speaks Vulkan, Metal or DX12.

pub mod bench;
pub mod check;
#[cfg(feature = "cli")]
mod cli;
pub mod data;
pub mod eval;
mod files;
pub mod gpu;
pub mod graph;
pub mod kernels;
mod machine;
pub mod models;
pub mod nn;
pub mod ops;
pub mod program;
pub mod sample;
pub mod train;
pub mod tune;
mod words;

/// The `limn` command: parses the arguments of the process, and does what they say.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::main as command;
