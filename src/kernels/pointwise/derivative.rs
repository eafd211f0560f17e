//! Derivatives of pointwise operations, written in such operations: data, of which the ops make
//! graphs.

use super::Operation;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A term of a derivative.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// The gradient of the result.
    Upstream,
    /// The result.
    Result,
    /// The first operand, or the second.
    Operand(usize),
    /// An operation on as many terms as it has operands, and its constant.
    Operation(Operation, f32, Vec<Term>),
}

pub(super) const DY: Term = Term::Upstream;
pub(super) const Y: Term = Term::Result;
pub(super) const A: Term = Term::Operand(0);
pub(super) const B: Term = Term::Operand(1);

impl Operation {
    /// This operation on a term.
    pub(super) fn on(self, a: Term, c: f32) -> Term {
        Term::Operation(self, c, vec![a])
    }
}

impl Neg for Term {
    type Output = Term;
    fn neg(self) -> Term {
        -1.0 * self
    }
}

impl Mul<Term> for f32 {
    type Output = Term;
    fn mul(self, a: Term) -> Term {
        Operation::MulC.on(a, self)
    }
}

impl Sub<Term> for f32 {
    type Output = Term;
    fn sub(self, a: Term) -> Term {
        Operation::RsubC.on(a, self)
    }
}

impl Sub<f32> for Term {
    type Output = Term;
    fn sub(self, c: f32) -> Term {
        Operation::AddC.on(self, -c)
    }
}

macro_rules! binary {
    ($($trait:ident $method:ident),*) => {
        $(impl $trait for Term {
            type Output = Term;
            fn $method(self, b: Term) -> Term {
                Term::Operation(Operation::$trait, 0.0, vec![self, b])
            }
        })*
    };
}
binary!(Add add, Sub sub, Mul mul, Div div);
