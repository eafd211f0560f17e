//! Graphs: operations and layers against their formulas, PyTorch and differences.

mod adversarial;
mod augment;
mod biggan;
mod derivatives;
mod gradients;
mod merged;
mod pixelcnn_pp;
mod progan;
mod receptive_field;
mod second_order;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
mod values;
