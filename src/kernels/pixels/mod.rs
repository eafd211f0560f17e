//! Images drawn pixel by pixel: the one room in which everything about it is found, or said where
//! it is.
//!
//! | part | where |
//! |---|---|
//! | what the network says of a pixel, and how it is drawn | [`pixel_distribution`], its reference `shaders/lib/pixel_distribution.wgsl`; the likelihood is made of ops: `PixelDistribution::nll` in `src/ops/pixels.rs` |
//! | what a kernel does at one position | [`at_pixel`], which each kernel tells by [`Kernel::at_pixel`](super::Kernel::at_pixel) |
//! | from a graph to code | `src/program/pixel.rs`: an instruction for each node that depends on the image; packing of the weights |
//! | the schedule: what comes before the draw, after it, ahead of it, or back over the row above | `src/program/pixel/schedule.rs` |
//! | the instructions, their words, and the WGSL that takes these apart | `instruction.rs` |
//! | code: its columns, its steps, its listing, its launches | [`pixel_code`] |
//! | the interpreter on the host | `interpreter.rs` |
//! | the kernel, and the interpreter on devices | [`draw_pixels`], `shaders/draw_pixels.wgsl` |
//! | launches for whole images | `src/sample/cached.rs` |
//! | the naive way: the whole network for every pixel, then one draw | [`sample_pixel`], `src/sample/pixels.rs` |
//! | images by their diagonals, for networks that go along them | [`skew`] |
//!
//! `ARCHITECTURE.md`, "Sampling pixel by pixel", has a worked example.

pub mod at_pixel;
pub mod draw_pixels;
pub(crate) mod instruction;
mod interpreter;
pub mod pixel_code;
pub mod pixel_distribution;
pub mod sample_pixel;
pub mod skew;
