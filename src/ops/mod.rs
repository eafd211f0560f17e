//! Differentiable operations: a shape rule, the kernel that computes it, and a gradient rule that
//! is itself written in ops.
//!
//! Ops are methods of [`Var`], one file for each family.

mod attention;
mod conv;
mod depthwise;
mod loss;
mod matmul;
mod norm;
mod pixels;
mod pointwise;
mod random;
mod recurrent;
mod reduce;
mod update;
mod view;

pub use crate::kernels::head::Head;
pub use conv::{ConvSpec, Mask};
pub use norm::Normed;
pub use pixels::PixelDraw;
pub use random::Latent;
pub use update::{Adam, Average, RmsProp, Sgd};

use crate::graph::{Call, Graph, GraphError, Op, Var};
use crate::kernels::Kernel;
use crate::program::Body;
use std::sync::Arc;

/// Wraps a kernel for a node.
fn launch(kernel: impl Kernel + 'static) -> Body {
    Body::Kernel(Arc::new(kernel))
}

/// A shape mistake of `op`.
fn mismatch(op: &'static str, shapes: &[&[usize]], why: impl Into<String>) -> GraphError {
    GraphError::Shape { op, shapes: shapes.iter().map(|s| s.to_vec()).collect(), why: why.into() }
}

/// A source of numbers: no inputs, no gradient.
#[derive(Debug)]
struct Leaf(&'static str);

impl Op for Leaf {
    fn name(&self) -> &'static str {
        self.0
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(call.inputs.iter().map(|_| None).collect())
    }
}

/// A gradient kernel that has no gradient of its own.
#[derive(Debug)]
struct FirstOrderOnly(&'static str);

impl Op for FirstOrderOnly {
    fn name(&self) -> &'static str {
        self.0
    }

    fn gradient(&self, _: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Err(GraphError::NoGradient { op: self.0, order: "second" })
    }
}

impl Graph {
    /// A tensor filled with one number.
    pub fn constant(&self, shape: &[usize], value: f32) -> Var {
        self.fill("constant", 0, shape, value, 0.0, 0)
    }
}
