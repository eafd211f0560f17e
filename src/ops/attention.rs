//! Attention between the positions of a plane, and what it is made of.

use super::mismatch;
use crate::graph::Var;

impl Var {
    /// e^x / Σ e^x over the last axis; no exponential overflows.
    pub fn softmax(&self) -> Var {
        let Some(last) = self.shape().len().checked_sub(1) else {
            return self.graph().fail(mismatch("softmax", &[self.shape()], "there is no axis"), self.shape());
        };
        let mut shape = self.shape().to_vec();
        shape[last] = 1;
        let terms = (self - &self.max_axis(last).reshape(&shape)).exp();
        &terms / &terms.sum_axes(&[last])
    }

    /// The largest of each window of 2x2 elements, for `[n,c,h,w]` with even h and w.
    pub fn max_pool(&self) -> Var {
        let &[n, c, h, w] = self.shape() else {
            return self.graph().fail(mismatch("max_pool", &[self.shape()], "x must be [n,c,h,w]"), self.shape());
        };
        if h % 2 == 1 || w % 2 == 1 {
            let why = "height and width must be even";
            return self.graph().fail(mismatch("max_pool", &[self.shape()], why), self.shape());
        }
        let rows = self.reshape(&[n * c * h / 2, 2, w]).max_axis(1);
        rows.reshape(&[n * c * h / 2 * w / 2, 2]).max_axis(1).reshape(&[n, c, h / 2, w / 2])
    }

    /// What each position takes from others: Σ_q softmax_q(query_p · key_q) value_q, for queries
    /// `self` `[n,k,p]`, keys `[n,k,q]` and values `[n,v,q]`; the result is `[n,v,p]`.
    pub fn attend(&self, keys: &Var, values: &Var) -> Var {
        let shares = self.matmul_t(keys, true, false).softmax();
        values.matmul_t(&shares, false, true)
    }
}
