//! A general gather: slice, pad, flip, expand, permute, subsample and dilate.

use crate::kernels::at_pixel::AtPixel;
use crate::kernels::*;
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

static SHADER: Shader = shader!(Strided, "strided");

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

    /// The same with the channels of both last; none where axes 1 to 3 are not channels, rows and columns
    /// of such images.
    fn turned(&self, x: Images, y: Images) -> Option<Strided> {
        let [n, c, h, w] = self.axes();
        let plane = h.size * w.size;
        let whole = [c.size, plane] == [x.channels, x.plane] && n.stride == c.size * plane;
        let made = [c.out, h.out * w.out] == [y.channels, y.plane];
        let strides = [c.stride, h.stride, w.stride] == [plane, w.size, 1];
        let image = self.offset.is_multiple_of(n.stride.max(1));
        let at = |axis: Axis, stride: u32| Axis { stride, ..axis };
        let axes = [n, at(h, w.size * c.size), at(w, c.size), at(c, 1)];
        (whole && made && strides && image).then(|| Strided::new(axes, self.offset, self.input_len))
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

    /// A row at a time: which of its outputs are inside is the same for all.
    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let axes = self.axes();
        let inner = axes[3];
        let [_, n1, n2, n3] = axes.map(|a| a.out as usize);
        let inside: Vec<usize> = (0..n3).filter(|o| inner.source(*o).is_some()).collect();
        let dense = |inside: &[usize]| inside.last().is_some_and(|last| last - inside[0] + 1 == inside.len());
        let run = (inner.mul == 1 && inner.div == 1 && dense(&inside)).then(|| inside[0]..inside[0] + inside.len());
        let rows = (host::PIECE / n3).max(1);
        host::in_pieces(writes[0], rows * n3, |first, y| {
            for (row, y) in (first / n3..).zip(y.chunks_mut(n3)) {
                let at = [row / n2 / n1, row / n2 % n1, row % n2];
                let index = std::iter::zip(&axes, at).try_fold(self.offset as usize, |sum, (axis, o)| {
                    axis.source(o).map(|t| sum + t * axis.stride as usize)
                });
                let source = |o: usize| inner.source(o).map_or(0, |t| t * inner.stride as usize);
                match (index, &run) {
                    (None, _) => y.fill(0.0),
                    (Some(index), Some(run)) if inner.stride <= 1 => {
                        y[..run.start].fill(0.0);
                        y[run.end..].fill(0.0);
                        let (first, y) = (index + source(run.start), &mut y[run.clone()]);
                        match inner.stride {
                            0 => y.fill(reads[0][first]),
                            _ => y.copy_from_slice(&reads[0][first..first + y.len()]),
                        }
                    }
                    (Some(index), _) => {
                        if inside.len() < n3 {
                            y.fill(0.0);
                        }
                        inside.iter().for_each(|o| y[*o] = reads[0][index + source(*o)]);
                    }
                }
            }
        });
    }

    fn piece(&self) -> Option<usize> {
        // How far neighbours are apart, as long as inner axes are whole.
        let (mut apart, mut whole, mut first) = (1, true, self.offset as usize);
        for axis in self.axes().iter().rev() {
            let start = u32::try_from(axis.add).ok()?;
            let follows = axis.out == 1 || axis.mul == 1 && whole && axis.stride == apart;
            if axis.div != 1 || start + axis.out > axis.size || !follows {
                return None;
            }
            first += start as usize * axis.stride as usize;
            whole &= axis.out == axis.size;
            apart *= axis.size;
        }
        Some(first)
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let divides = self.axes().iter().any(|axis| axis.div != 1);
        let stage = flat(&SHADER, self, self.lens().writes[0], caps)
            .constant("DIVIDES", u32::from(divides))
            .operands(self.signature());
        vec![Recipe::single("flat", stage)]
    }

    /// A slice of channels whose rows and columns are moved.
    fn at_pixel(&self) -> Option<AtPixel> {
        let axes = self.axes();
        let [image, channel, row, column] = axes;
        let plain = axes.iter().all(|a| (a.mul == 1 && a.div == 1) || (a.out == 1 && a.size == 1));
        let stride = |a: Axis, want: u32| a.size == 1 || a.stride == want;
        let in_order = stride(column, 1) && stride(row, column.size) && stride(channel, row.size * column.size);
        let start = u32::try_from(channel.add).ok()?;
        let slice = start + channel.out <= channel.size && image.out == 1 && image.size == 1 && image.add == 0;
        let alike = plain && in_order && slice && self.offset == 0;
        alike.then_some(AtPixel::Join { start, offset: [row.add, column.add] })
    }

    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let kernel = Arc::new(self.turned(operands[0]?, operands[1]?)?);
        Some(ChannelsLast { kernel, operands: vec![true; 2] })
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

impl Checks for Strided {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let whole = Axis::whole;
    let one = whole(1, 1);
    let gathers = [
        // 1x1
        Strided::new([one; 4], 0, 1),
        // slice of 5 from 11, offset 3, behind a padded axis
        Strided::new(
            [one, whole(3, 77), Axis { out: 9, add: -1, ..whole(7, 11) }, Axis { out: 5, ..whole(11, 1) }],
            3,
            231,
        ),
        // flip of both image axes
        Strided::new(
            [
                whole(2, 105),
                whole(3, 35),
                Axis { mul: -1, add: 4, ..whole(5, 7) },
                Axis { mul: -1, add: 6, ..whole(7, 1) },
            ],
            0,
            210,
        ),
        // expand [3] to [2, 3, 5, 5]
        Strided::new([Axis { out: 2, ..whole(2, 0) }, whole(3, 1), whole(5, 0), whole(5, 0)], 0, 3),
        // permute NCHW to NHWC, with enough elements for many workgroups
        Strided::new([whole(4, 3 * 61 * 53), whole(61, 53), whole(53, 1), whole(3, 61 * 53)], 0, 4 * 3 * 61 * 53),
        // subsample by 3 and 2
        Strided::new(
            [one, whole(2, 13 * 17), Axis { out: 5, mul: 3, ..whole(13, 17) }, Axis { out: 9, mul: 2, ..whole(17, 1) }],
            0,
            2 * 13 * 17,
        ),
        // dilate by 2 and 3, with a border
        Strided::new(
            [
                one,
                whole(2, 35),
                Axis { out: 11, add: -1, div: 2, ..whole(5, 7) },
                Axis { out: 21, add: -1, div: 3, ..whole(7, 1) },
            ],
            0,
            70,
        ),
    ];
    gathers.map(|gather| Box::new(gather) as Box<dyn Kernel>).into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let [n, c, row] = [Axis::whole(64, 64 * 784), Axis::whole(64, 784), Axis::whole(28, 28)];
    let pad = |axis: Axis| Axis { out: axis.out + 2, add: -1, ..axis };
    vec![
        Box::new(Strided::new([n, c, pad(row), pad(Axis::whole(28, 1))], 0, 64 * 64 * 784)),
        Box::new(Strided::new([c, n, row, Axis::whole(28, 1)], 0, 64 * 64 * 784)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Channels 2 to 4 of 6, one row down and two columns to the left.
    const SLICE: [Axis; 4] = [
        Axis::whole(1, 6 * 20),
        Axis { out: 3, add: 2, ..Axis::whole(6, 20) },
        Axis { add: -1, ..Axis::whole(4, 5) },
        Axis { add: 2, ..Axis::whole(5, 1) },
    ];

    #[test]
    fn slices_of_channels_whose_pixels_are_moved_are_told_of() {
        let told = |axes: [Axis; 4], offset| Strided::new(axes, offset, 120).at_pixel();
        assert_eq!(told(SLICE, 0), Some(AtPixel::Join { start: 2, offset: [-1, 2] }));
        // Of an extent of one it does not matter how far neighbours are apart, or in what steps it is gone over.
        let column = Axis { out: 1, mul: 3, div: 2, ..Axis::whole(1, 9) };
        let [image, channel, row, _] = SLICE;
        let narrow = [image, Axis { stride: 4, ..channel }, Axis { stride: 1, ..row }, column];
        assert_eq!(told(narrow, 0), Some(AtPixel::Join { start: 2, offset: [-1, 0] }));
        assert_eq!(told(SLICE, 1), None);
        type Change = fn(&mut Axis);
        let changes: [(usize, Change); 10] = [
            (0, |a| (a.out, a.size) = (2, 2)),
            (0, |a| a.size = 2),
            (0, |a| a.add = 1),
            (1, |a| a.out = 5),
            (1, |a| a.add = -1),
            (1, |a| a.stride = 21),
            (2, |a| a.mul = -1),
            (2, |a| a.div = 2),
            (2, |a| a.stride = 4),
            (3, |a| a.stride = 0),
        ];
        for (k, (axis, change)) in changes.into_iter().enumerate() {
            let mut axes = SLICE;
            change(&mut axes[axis]);
            assert_eq!(told(axes, 0), None, "change {k}");
        }
    }
}
