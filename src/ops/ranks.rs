//! What several ranks that train together, or the small batches of a step, take the mean of.
//!
//! Every share of a batch has a graph of its own. A loss L of the whole
//! batch is the mean of the shares' losses l, and so is every gradient. Where y is the mean of the
//! shards' x, what share r must know is ∂L/∂x_r in units of its own loss, count · ∂L/∂x_r: the mean of
//! the shares' ∂l/∂y. So the gradient of the mean is the mean of the gradients.

use super::launch;
use crate::graph::{Call, GraphError, Op, Var};
use crate::kernels::mean_of_ranks::MeanOfRanks;
use crate::program::Body;

#[derive(Debug)]
struct OverRanks;

impl Op for OverRanks {
    fn name(&self) -> &'static str {
        "mean_of_ranks"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(vec![Some(call.dy().over_ranks())])
    }
}

#[derive(Debug)]
struct OverParts;

impl Op for OverParts {
    fn name(&self) -> &'static str {
        "mean_of_parts"
    }

    /// A part would need what others behind it make.
    fn gradient(&self, _: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Err(GraphError::NoGradient { op: "mean_of_parts", order: "first" })
    }
}

impl Var {
    /// The mean of what this is in each rank, whose shares of the batch are equally large. Itself, where
    /// there is one rank.
    pub fn over_ranks(&self) -> Var {
        if self.graph().shard().ranks == 1 {
            return self.clone();
        }
        let kernel = MeanOfRanks { len: self.len() as u32 };
        self.graph().apply1(OverRanks, launch(kernel), &[Some(self)], self.shape())
    }

    /// The mean of what this is in every share of the batch, of all small parts and all ranks. Itself,
    /// where there is one.
    pub fn over_batch(&self) -> Var {
        self.over_parts().over_ranks()
    }

    /// The mean of what this is in every small part of the rank's images.
    pub(super) fn over_parts(&self) -> Var {
        match self.graph().shard().parts {
            1 => self.clone(),
            _ => self.graph().apply1(OverParts, Body::MeanOfParts, &[Some(self)], self.shape()),
        }
    }

    /// The sum of what this is in every share of the batch.
    pub fn summed_over_batch(&self) -> Var {
        match self.graph().shard().count() {
            1 => self.clone(),
            count => self.over_batch().mul_scalar(count as f32),
        }
    }
}
