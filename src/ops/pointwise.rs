//! Pointwise arithmetic with broadcasting.
//!
//! Every op here is one step of a chain; the planner fuses chains into single launches.

use super::mismatch;
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::pointwise::{Operation, Term};
use crate::program::{Body, is_run};
use std::ops::{Add, Div, Mul, Neg, Sub};

#[derive(Debug)]
struct Pointwise {
    code: Operation,
    c: f32,
}

impl Op for Pointwise {
    fn name(&self) -> &'static str {
        self.code.name()
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let mut grads: Vec<Option<Var>> = vec![None; call.inputs.len()];
        for (i, term) in self.code.gradient(self.c).iter().enumerate().filter(|(i, _)| call.wants(*i)) {
            grads[i] = Some(value(term, call).sum_to(call.input(i).shape()));
        }
        Ok(grads)
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Pointwise(self.code, self.c))
    }
}

/// What a term of a derivative is in a graph.
fn value(term: &Term, call: &Call) -> Var {
    match term {
        Term::Upstream => call.dy().clone(),
        Term::Result => call.outputs[0].clone(),
        Term::Operand(i) => call.input(*i).clone(),
        Term::Operation(code, c, of) => match &of[..] {
            [a, b] => value(a, call).binary(*code, &value(b, call)),
            _ => value(&of[0], call).unary(*code, *c),
        },
    }
}

/// The shape two operands broadcast to, by the usual rule: aligned at the last axis, extents equal
/// or one of them 1.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

impl Var {
    /// A unary operation of the table, with its constant.
    pub fn unary(&self, code: Operation, c: f32) -> Var {
        let op = Pointwise { code, c };
        self.graph().apply1(op, Body::Pointwise(code, c), &[Some(self)], self.shape())
    }

    /// A binary operation of the table, with broadcasting.
    pub fn binary(&self, code: Operation, other: &Var) -> Var {
        let Some(shape) = broadcast(self.shape(), other.shape()) else {
            let error = mismatch(code.name(), &[self.shape(), other.shape()], "these do not broadcast");
            return self.graph().fail(error, self.shape());
        };
        // A chain can repeat an operand along outer and inner axes; odder patterns are laid out.
        let laid = |v: &Var| if is_run(v.shape(), &shape) { v.clone() } else { v.gather_expand(&shape) };
        let (a, b) = (laid(self), laid(other));
        let body = Body::Pointwise(code, 0.0);
        self.graph().apply1(Pointwise { code, c: 0.0 }, body, &[Some(&a), Some(&b)], &shape)
    }

    /// `c` times this, laid over a larger shape; the broadcast costs nothing inside a chain.
    pub(super) fn spread_scaled(&self, shape: &[usize], c: f32) -> Var {
        if !is_run(self.shape(), shape) {
            return self.gather_expand(shape).mul_scalar(c);
        }
        let op = Pointwise { code: Operation::MulC, c };
        self.graph().apply1(op, Body::Pointwise(Operation::MulC, c), &[Some(self)], shape)
    }

    /// max(x, c)
    pub fn at_least(&self, c: f32) -> Var {
        self.unary(Operation::MaxC, c)
    }

    /// x + c
    pub fn add_scalar(&self, c: f32) -> Var {
        self.unary(Operation::AddC, c)
    }

    /// c·x
    pub fn mul_scalar(&self, c: f32) -> Var {
        self.unary(Operation::MulC, c)
    }

    /// e^x
    pub fn exp(&self) -> Var {
        self.unary(Operation::Exp, 0.0)
    }

    /// ln x
    pub fn ln(&self) -> Var {
        self.unary(Operation::Ln, 0.0)
    }

    /// √x
    pub fn sqrt(&self) -> Var {
        self.unary(Operation::Sqrt, 0.0)
    }

    /// |x|
    pub fn abs(&self) -> Var {
        self.unary(Operation::Abs, 0.0)
    }

    /// 1 where x > 0 and `slope` elsewhere: the derivative of a leaky ReLU, itself flat.
    pub fn relu_mask(&self, slope: f32) -> Var {
        self.unary(Operation::ReluMask, slope)
    }

    /// -1, 0 or 1
    pub fn sign(&self) -> Var {
        self.unary(Operation::Sign, 0.0)
    }

    /// 1/x
    pub fn recip(&self) -> Var {
        self.unary(Operation::Recip, 0.0)
    }

    /// x²
    pub fn square(&self) -> Var {
        self * self
    }

    /// max(x, 0)
    pub fn relu(&self) -> Var {
        self.unary(Operation::Relu, 0.0)
    }

    /// x where x > 0, slope·x elsewhere
    pub fn leaky_relu(&self, slope: f32) -> Var {
        self.unary(Operation::LeakyRelu, slope)
    }

    /// x where x > 0, e^x - 1 elsewhere
    pub fn elu(&self) -> Var {
        self.unary(Operation::Elu, 0.0)
    }

    /// tanh x
    pub fn tanh(&self) -> Var {
        self.unary(Operation::Tanh, 0.0)
    }

    /// 1 / (1 + e^-x)
    pub fn sigmoid(&self) -> Var {
        self.unary(Operation::Sigmoid, 0.0)
    }

    /// ln(1 + e^x)
    pub fn softplus(&self) -> Var {
        self.unary(Operation::Softplus, 0.0)
    }

    /// max(x, y), elementwise
    pub fn maximum(&self, other: &Var) -> Var {
        self.binary(Operation::Max, other)
    }

    /// min(x, y), elementwise
    pub fn minimum(&self, other: &Var) -> Var {
        self.binary(Operation::Min, other)
    }

    /// max(x, low) and min(x, high)
    pub fn clamp(&self, low: f32, high: f32) -> Var {
        self.unary(Operation::MaxC, low).unary(Operation::MinC, high)
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $code:ident) => {
        impl $trait for &Var {
            type Output = Var;
            fn $method(self, other: &Var) -> Var {
                self.binary(Operation::$code, other)
            }
        }
    };
}
operator!(Add, add, Add);
operator!(Sub, sub, Sub);
operator!(Mul, mul, Mul);
operator!(Div, div, Div);

impl Neg for &Var {
    type Output = Var;
    fn neg(self) -> Var {
        self.mul_scalar(-1.0)
    }
}
