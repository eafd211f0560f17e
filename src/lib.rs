//! limn trains generative models on any GPU that speaks Vulkan, Metal or DX12.

pub mod bench;
pub mod check;
pub mod gpu;
pub mod kernels;
