//! GPU against CPU reference, gradients, whole training steps.

mod kernels;
mod steps;
