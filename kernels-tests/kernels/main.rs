//! Kernels: every variant in every case against its reference, shaders as other compilers take
//! them, the check itself, and the times and choices of variants.

mod barriers;
mod custom_kernel;
mod fast_math;
mod gpu_class;
mod harness;
mod hlsl;
mod mixed;
mod mutants;
mod not_finite;
mod philox;
mod references;
mod spirv;
#[path = "../support/mod.rs"]
mod support;
mod timing;
mod tint;
mod translate;
mod tuner;
mod zero_steps;
