//! GPU against CPU reference, gradients, whole training steps, the command line.

mod adversarial;
mod augment;
mod cli;
mod derivatives;
mod evaluation;
mod fusion;
mod gradients;
mod harness;
mod kernels;
mod kill;
mod latent;
mod layout;
mod mixed;
mod philox;
mod programs;
mod random_graphs;
mod receptive_field;
mod recompute;
mod runs;
mod sampling;
mod second_order;
mod steps;
mod support;
mod training;
mod translate;
mod tuner;
