//! A general gather: slice, pad, flip, expand, permute, subsample and dilate.

use super::*;
use rayon::prelude::*;

params! {
    /// x `[input_len]` -> y `[out0, out1, out2, out3]`. Output coordinate o_k asks for
    /// t_k = o_k mul_k + add_k; where t_k < 0, t_k mod div_k != 0 or t_k / div_k >= size_k for some
    /// axis the output is 0, elsewhere it is x\[offset + Σ_k t_k / div_k stride_k\].
    pub struct Strided {
        /// Output extent of axis 0.
        pub out0: u32,
        /// Output extent of axis 1.
        pub out1: u32,
        /// Output extent of axis 2.
        pub out2: u32,
        /// Output extent of axis 3.
        pub out3: u32,
        /// Factor of output coordinate 0.
        pub mul0: i32,
        /// Factor of output coordinate 1.
        pub mul1: i32,
        /// Factor of output coordinate 2.
        pub mul2: i32,
        /// Factor of output coordinate 3.
        pub mul3: i32,
        /// Added to output coordinate 0 after the factor.
        pub add0: i32,
        /// Added to output coordinate 1 after the factor.
        pub add1: i32,
        /// Added to output coordinate 2 after the factor.
        pub add2: i32,
        /// Added to output coordinate 3 after the factor.
        pub add3: i32,
        /// Divisor of axis 0: coordinates it does not divide are 0.
        pub div0: u32,
        /// Divisor of axis 1: coordinates it does not divide are 0.
        pub div1: u32,
        /// Divisor of axis 2: coordinates it does not divide are 0.
        pub div2: u32,
        /// Divisor of axis 3: coordinates it does not divide are 0.
        pub div3: u32,
        /// Input extent of axis 0.
        pub size0: u32,
        /// Input extent of axis 1.
        pub size1: u32,
        /// Input extent of axis 2.
        pub size2: u32,
        /// Input extent of axis 3.
        pub size3: u32,
        /// Input elements between neighbours on axis 0; 0 expands.
        pub stride0: u32,
        /// Input elements between neighbours on axis 1; 0 expands.
        pub stride1: u32,
        /// Input elements between neighbours on axis 2; 0 expands.
        pub stride2: u32,
        /// Input elements between neighbours on axis 3; 0 expands.
        pub stride3: u32,
        /// Input element of coordinate 0.
        pub offset: u32,
        /// Elements of the input.
        pub input_len: u32,
    }
}

static SIGNATURE: Signature = Signature { name: "strided", reads: &["x"], writes: &[("y", Access::Write)] };

/// One axis of a [`Strided`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Output extent.
    pub out: u32,
    /// Factor of the output coordinate.
    pub mul: i32,
    /// Added after the factor.
    pub add: i32,
    /// Divisor: coordinates it does not divide are 0.
    pub div: u32,
    /// Input extent.
    pub size: u32,
    /// Input elements between neighbours; 0 expands.
    pub stride: u32,
}

impl Axis {
    /// An axis taken as it is.
    pub const fn whole(size: u32, stride: u32) -> Axis {
        Axis { out: size, mul: 1, add: 0, div: 1, size, stride }
    }

    /// The input coordinate that output coordinate `o` shows, if any.
    fn source(&self, o: usize) -> Option<usize> {
        let t = o as i64 * i64::from(self.mul) + i64::from(self.add);
        let inside = t >= 0 && t % i64::from(self.div) == 0 && t / i64::from(self.div) < i64::from(self.size);
        inside.then(|| (t / i64::from(self.div)) as usize)
    }
}

impl Strided {
    /// The gather with these axes, outermost first.
    pub fn new(axes: [Axis; 4], offset: u32, input_len: u32) -> Strided {
        let [a, b, c, d] = axes;
        Strided {
            out0: a.out,
            out1: b.out,
            out2: c.out,
            out3: d.out,
            mul0: a.mul,
            mul1: b.mul,
            mul2: c.mul,
            mul3: d.mul,
            add0: a.add,
            add1: b.add,
            add2: c.add,
            add3: d.add,
            div0: a.div,
            div1: b.div,
            div2: c.div,
            div3: d.div,
            size0: a.size,
            size1: b.size,
            size2: c.size,
            size3: d.size,
            stride0: a.stride,
            stride1: b.stride,
            stride2: c.stride,
            stride3: d.stride,
            offset,
            input_len,
        }
    }

    /// The four axes, outermost first.
    pub fn axes(&self) -> [Axis; 4] {
        let p = self;
        let axis = |out, mul, add, div, size, stride| Axis { out, mul, add, div, size, stride };
        [
            axis(p.out0, p.mul0, p.add0, p.div0, p.size0, p.stride0),
            axis(p.out1, p.mul1, p.add1, p.div1, p.size1, p.stride1),
            axis(p.out2, p.mul2, p.add2, p.div2, p.size2, p.stride2),
            axis(p.out3, p.mul3, p.add3, p.div3, p.size3, p.stride3),
        ]
    }
}

impl Kernel for Strided {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let outputs = self.axes().iter().map(|a| a.out as usize).product();
        Lens { reads: vec![self.input_len as usize], writes: vec![outputs] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let axes = self.axes();
        let [_, n1, n2, n3] = axes.map(|a| a.out as usize);
        writes[0].par_chunks_mut(n3).enumerate().for_each(|(row, y)| {
            let at = [row / n2 / n1, row / n2 % n1, row % n2];
            for (o3, y) in y.iter_mut().enumerate() {
                let at = [at[0], at[1], at[2], o3];
                let index = std::iter::zip(axes, at).try_fold(self.offset as usize, |sum, (axis, o)| {
                    axis.source(o).map(|t| sum + t * axis.stride as usize)
                });
                *y = index.map_or(0.0, |i| reads[0][i]);
            }
        });
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        let axes = self.axes();
        let [o, s] = [axes.map(|a| a.out), axes.map(|a| a.size)].map(|n| n.map(|n| n.to_string()).join(","));
        format!("x[{s}] y[{o}]")
    }
}
