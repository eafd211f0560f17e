//! Differentiable operations: a shape rule, the kernel that computes it, and a gradient rule that
//! is itself written in ops.
//!
//! Ops are methods of [`Var`], one file for each family.
//!
//! ```
//! use limn::graph::{Graph, Noise};
//! use limn::ops::ConvSpec;
//!
//! let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
//! let (x, w) = (g.input("x", &[8, 3, 28, 28]), g.input("w", &[16, 3, 4, 4]));
//! let y = x.conv2d(&w, None, &ConvSpec::new(2, 1)).leaky_relu(0.2); // stride 2, padding 1
//! assert_eq!(y.shape(), [8, 16, 14, 14]);
//! ```

mod attention;
mod conv;
mod depthwise;
mod halves;
mod loss;
mod matmul;
mod norm;
mod pixels;
mod pointwise;
mod random;
mod ranks;
mod recurrent;
mod reduce;
mod update;
mod view;

pub use crate::kernels::pixel_distribution::PixelDistribution as Head;
pub use conv::{ConvSpec, Mask};
pub use norm::Normed;
pub use random::Latent;
pub use update::Average;

use crate::graph::{Call, Graph, GraphError, Op, Standard, Var};
use crate::kernels::Kernel;
use crate::kernels::fill::Fill;
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

impl Var {
    /// The four extents of images or planes; a failure of the graph that stands in for the result
    /// of `op` where there are not four.
    fn four(&self, op: &'static str) -> Result<[usize; 4], Var> {
        <[usize; 4]>::try_from(self.shape())
            .map_err(|_| self.graph().fail(mismatch(op, &[self.shape()], "there must be four axes"), self.shape()))
    }

    /// The extent of the first axis; where there is none, that is a failure of the graph.
    pub(crate) fn rows(&self, op: &'static str) -> usize {
        self.shape().first().copied().unwrap_or_else(|| {
            self.graph().fail(mismatch(op, &[self.shape()], "there is no first axis"), self.shape());
            1
        })
    }
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

/// A tensor of one number.
#[derive(Debug)]
struct Constant(f32);

impl Op for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn gradient(&self, _: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(Vec::new())
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Constant(self.0))
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
        // A tensor with more elements than this counts is refused when its value is made.
        let len = shape.iter().fold(1u32, |len, n| len.saturating_mul(u32::try_from(*n).unwrap_or(u32::MAX)));
        let body = Body::Constant(value, Arc::new(Fill { len, value }));
        self.apply1(Constant(value), body, &[], shape)
    }
}
