//! Matrix products.

use super::{launch, mismatch};
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::convolution::epilogue::EpilogueBlock;
use crate::kernels::matmul::MatMul;

#[derive(Debug)]
struct Product {
    trans_a: bool,
    trans_b: bool,
}

impl Op for Product {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dc, a, b) = (call.dy(), call.input(0), call.input(1));
        let da = || match self.trans_a {
            false => dc.matmul_t(b, false, !self.trans_b),
            true => b.matmul_t(dc, self.trans_b, true),
        };
        let db = || match self.trans_b {
            false => a.matmul_t(dc, !self.trans_a, false),
            true => dc.matmul_t(a, true, self.trans_a),
        };
        // The bias, where there is one, is added to every row.
        let dbias = || call.inputs[2].as_ref().map(|bias| dc.sum_to(bias.shape()));
        Ok(vec![call.wants(0).then(da), call.wants(1).then(db), if call.wants(2) { dbias() } else { None }])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Product([self.trans_a, self.trans_b]))
    }
}

/// (batch, rows, columns) of a matrix or a batch of them.
fn extents(v: &Var) -> Option<(usize, usize, usize)> {
    match *v.shape() {
        [r, c] => Some((1, r, c)),
        [n, r, c] => Some((n, r, c)),
        _ => None,
    }
}

impl Var {
    /// A·B of matrices `[m,k]` and `[k,n]`, or of batches of them.
    pub fn matmul(&self, other: &Var) -> Var {
        self.matmul_t(other, false, false)
    }

    /// The product with either operand transposed.
    pub fn matmul_t(&self, other: &Var, trans_a: bool, trans_b: bool) -> Var {
        self.product(other, None, trans_a, trans_b)
    }

    /// x·Wᵀ + b: x `[n,in]`, w `[out,in]` as PyTorch's `Linear` has it, b `[out]`.
    pub fn linear(&self, w: &Var, b: Option<&Var>) -> Var {
        self.product(w, b, false, true)
    }

    fn product(&self, other: &Var, bias: Option<&Var>, trans_a: bool, trans_b: bool) -> Var {
        let swap = |(n, r, c): (usize, usize, usize), t: bool| if t { (n, c, r) } else { (n, r, c) };
        let dims = extents(self).zip(extents(other)).map(|(a, b)| (swap(a, trans_a), swap(b, trans_b)));
        let fits = dims.filter(|((na, _, ka), (nb, kb, _))| na == nb && ka == kb);
        let Some(((batch, m, k), (_, _, n))) = fits else {
            let why = "the inner extents differ, or these are no matrices";
            return self.graph().fail(mismatch("matmul", &[self.shape(), other.shape()], why), self.shape());
        };
        if let Some(bias) = bias.filter(|b| b.shape() != [n]) {
            let why = format!("a bias of {n} elements is needed");
            return self.graph().fail(mismatch("matmul", &[self.shape(), bias.shape()], why), &[m, n]);
        }
        let kernel = MatMul {
            batch: batch as u32,
            m: m as u32,
            k: k as u32,
            n: n as u32,
            trans_a: trans_a.into(),
            trans_b: trans_b.into(),
            epilogue: EpilogueBlock::of_bias(bias.is_some()),
        };
        let shape: &[usize] = if self.shape().len() == 3 { &[batch, m, n] } else { &[m, n] };
        self.graph().apply1(Product { trans_a, trans_b }, launch(kernel), &[Some(self), Some(other), bias], shape)
    }
}
