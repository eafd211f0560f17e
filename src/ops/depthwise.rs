//! Convolution channel by channel, for networks that are not trained here: it has no gradient.

use super::{launch, mismatch};
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::depthwise::Depthwise;

#[derive(Debug)]
struct Forward {
    stride: usize,
    padding: usize,
}

impl Op for Forward {
    fn name(&self) -> &'static str {
        "depthwise_conv2d"
    }

    fn gradient(&self, _: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Err(GraphError::NoGradient { op: "depthwise_conv2d", order: "first" })
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Depthwise { stride: self.stride, padding: self.padding })
    }
}

impl Var {
    /// Convolution of x `[n,c,h,w]`, each channel with its own kernel of w `[c,1,kh,kw]`, bias b
    /// `[c]`; the same stride and as many zeros on every side, at most the kernel's extent.
    pub fn depthwise_conv2d(&self, w: &Var, b: &Var, stride: usize, padding: usize) -> Var {
        const OP: &str = "depthwise_conv2d";
        let fits = match (self.shape(), w.shape()) {
            (&[n, c, h, wide], &[wc, 1, kh, kw])
                if wc == c && b.shape() == [c] && stride > 0 && padding <= kh.min(kw) =>
            {
                let out = |e: usize, k: usize| Some((e + 2 * padding).checked_sub(k)? / stride + 1);
                out(h, kh).zip(out(wide, kw)).map(|out| ([n, c, h, wide], [kh, kw], out))
            }
            _ => None,
        };
        let Some(([n, c, h, wide], [kh, kw], (oh, ow))) = fits else {
            let why =
                "x must be [n,c,h,w], w [c,1,kh,kw] no larger than the padded x, b [c], the padding no larger than w";
            let error = mismatch(OP, &[self.shape(), w.shape(), b.shape()], why);
            return self.graph().fail(error, self.shape());
        };
        let [n_, c_, h, w_, oh_, ow_, kh, kw] = [n, c, h, wide, oh, ow, kh, kw].map(|v| v as u32);
        let op = Forward { stride, padding };
        let (stride, pad) = (stride as u32, padding as u32);
        let kernel = Depthwise { n: n_, c: c_, h, w: w_, oh: oh_, ow: ow_, kh, kw, stride, pad };
        self.graph().apply1(op, launch(kernel), &[Some(self), Some(w), Some(b)], &[n, c, oh, ow])
    }
}
