//! Losses. Each is elementwise; reduce them with `mean`, `sum` or `mean_per_image`.

use super::{FirstOrderOnly, launch, mismatch};
use crate::graph::{Call, GraphError, Op, Var};
use crate::kernels::cross_entropy::{CrossEntropy, CrossEntropyGrad};
use crate::kernels::pointwise::Code;

#[derive(Debug)]
struct Softmax(CrossEntropy);

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dloss, logits, target) = (call.dy(), call.input(0), call.input(1));
        let CrossEntropy { n, classes, positions } = self.0;
        let kernel = CrossEntropyGrad { n, classes, positions };
        let inputs = [Some(dloss), Some(logits), Some(target)];
        let op = FirstOrderOnly("cross_entropy");
        Ok(vec![Some(dloss.graph().apply1(op, launch(kernel), &inputs, logits.shape())), None])
    }
}

impl Var {
    /// ln(1 + e^x) - x·t: the negative log-likelihood of target `t` in [0,1] under a Bernoulli
    /// variable with logit x, in nats.
    pub fn bce_with_logits(&self, target: &Var) -> Var {
        self.binary(Code::Bce, target)
    }

    /// (x - t)²
    pub fn mse(&self, target: &Var) -> Var {
        (self - target).square()
    }

    /// Negative log-likelihood in nats of class `target` under a softmax: logits [n,classes,...],
    /// target [n,...] holding class numbers; the result is shaped like the target.
    pub fn cross_entropy(&self, target: &Var) -> Var {
        let (logits, wanted) = (self.shape(), target.shape());
        if logits.len() < 2 || logits[0] != wanted[0] || logits[2..] != wanted[1..] {
            let why = "logits must be [n,classes,...] and the target [n,...]";
            return self.graph().fail(mismatch("cross_entropy", &[logits, wanted], why), wanted);
        }
        let positions = logits[2..].iter().product::<usize>() as u32;
        let kernel = CrossEntropy { n: logits[0] as u32, classes: logits[1] as u32, positions };
        self.graph().apply1(Softmax(kernel), launch(kernel), &[Some(self), Some(target)], wanted)
    }
}
