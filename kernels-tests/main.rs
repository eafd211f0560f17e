//! GPU against CPU reference, gradients, whole training steps.

mod harness;
mod kernels;
mod steps;
mod translate;
