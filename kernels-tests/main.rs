//! GPU against CPU reference, gradients, whole training steps.

mod cli;
mod kernels;
mod steps;
