//! Layers whose two halves of channels are made of, or make, one.

use super::{FirstOrderOnly, launch, mismatch};
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::activation::Activation;
use crate::kernels::halves::{ConcatElu, ConcatEluGrad, Gate, GateGrad};

#[derive(Debug)]
struct Gated(Gate);

impl Op for Gated {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dy, x) = (call.dy(), call.input(0));
        let reads = [dy, x].map(Some);
        Ok(vec![Some(dy.graph().apply1(FirstOrderOnly("gate"), launch(GateGrad(self.0)), &reads, x.shape()))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Gate { tanh: self.0.act.activation() == Activation::Tanh })
    }
}

#[derive(Debug)]
struct BothSigns(ConcatElu);

impl Op for BothSigns {
    fn name(&self) -> &'static str {
        "concat_elu"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dy, y, x) = (call.dy(), &call.outputs[0], call.input(0));
        let (op, kernel) = (FirstOrderOnly("concat_elu"), ConcatEluGrad(self.0));
        Ok(vec![Some(dy.graph().apply1(op, launch(kernel), &[Some(dy), Some(y)], x.shape()))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::ConcatElu)
    }
}

impl Var {
    /// Of x `[n,2c,...]` the first half of the channels, through tanh where `tanh` says so, times the
    /// sigmoid of the second: `[n,c,...]`.
    pub fn gate(&self, tanh: bool) -> Var {
        let shape = self.shape();
        let channels = shape.get(1).copied().unwrap_or(0);
        if !channels.is_multiple_of(2) || channels == 0 {
            return self.graph().fail(mismatch("gate", &[shape], "x must be [n,2c,...]"), shape);
        }
        let half = channels / 2;
        if self.graph().is_per_pixel() {
            let first = self.slice(1, 0, half);
            let first = if tanh { first.tanh() } else { first };
            return &first * &self.slice(1, half, half).sigmoid();
        }
        let act = if tanh { Activation::Tanh } else { Activation::Identity };
        let size = half * shape[2..].iter().product::<usize>();
        let kernel = Gate { outer: shape[0] as u32, half: size as u32, residual: 0, act: act.into() };
        let mut to = shape.to_vec();
        to[1] = half;
        self.graph().apply1(Gated(kernel), launch(kernel), &[Some(self)], &to)
    }

    /// ELU of x `[n,c,...]` and of -x, side by side: `[n,2c,...]`.
    pub fn concat_elu(&self) -> Var {
        let shape = self.shape();
        if shape.len() < 2 {
            return self.graph().fail(mismatch("concat_elu", &[shape], "x must be [n,c,...]"), shape);
        }
        if self.graph().is_per_pixel() {
            return self.concat(&-self, 1).elu();
        }
        let kernel = ConcatElu { outer: shape[0] as u32, half: shape[1..].iter().product::<usize>() as u32 };
        let mut to = shape.to_vec();
        to[1] *= 2;
        self.graph().apply1(BothSigns(kernel), launch(kernel), &[Some(self)], &to)
    }
}
