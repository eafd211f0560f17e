//! Programs: what the planner does to a graph, and that it does not show in the results.

mod channels_last;
mod fusion;
mod layout;
mod listings;
mod merging;
mod random_graphs;
mod recompute;
mod replay;
mod sampling;
mod statistics;
#[path = "../support/mod.rs"]
mod support;
mod training;
mod waiting;
