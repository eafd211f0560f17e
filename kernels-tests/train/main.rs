//! Training: steps of every preset, runs and their folders, and what trained models are good for.

mod classes;
mod evaluation;
mod going_on;
mod latent;
mod library;
mod measured;
mod mixture;
mod pytorch;
mod ranks;
mod runs;
mod sharing;
mod steps;
#[path = "../support/mod.rs"]
mod support;
