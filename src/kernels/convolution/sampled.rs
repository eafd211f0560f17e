//! Single elements of the convolutions and of the matrix product, in f64: what the tuner holds
//! launches against whose reference would take too long.

use super::conv::Conv;

/// A sum and the sum of its terms' magnitudes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub sum: f64,
    pub magnitude: f64,
}

impl Sample {
    pub(super) fn add(&mut self, a: f32, b: f32) {
        let term = f64::from(a) * f64::from(b);
        self.sum += term;
        self.magnitude += term.abs();
    }
}

/// Row-major indices of element `at` of a tensor [_, c, h, w].
fn indices(at: usize, [c, h, w]: [u32; 3]) -> [usize; 4] {
    let [c, h, w] = [c, h, w].map(|v| v as usize);
    [at / (c * h * w), at / (h * w) % c, at / w % h, at % w]
}

/// The position of x that output `o` reads through a tap, if it is inside.
fn inside(o: usize, stride: u32, pad: u32, dilation: u32, tap: usize, len: u32) -> Option<usize> {
    let at = (o * stride as usize + tap * dilation as usize).checked_sub(pad as usize)?;
    (at < len as usize).then_some(at)
}

impl Conv {
    fn kernel(&self) -> impl Iterator<Item = (usize, usize)> {
        let (kh, kw) = (self.kh as usize, self.kw as usize);
        (0..kh).flat_map(move |y| (0..kw).map(move |x| (y, x)))
    }

    fn row(&self, oy: usize, kh: usize) -> Option<usize> {
        inside(oy, self.stride_h, self.pad_top, self.dilation_h, kh, self.h)
    }

    fn column(&self, ox: usize, kw: usize) -> Option<usize> {
        inside(ox, self.stride_w, self.pad_left, self.dilation_w, kw, self.w)
    }

    fn at_x(&self, [n, i, y, x]: [usize; 4]) -> usize {
        ((n * self.ci as usize + i) * self.h as usize + y) * self.w as usize + x
    }

    fn at_y(&self, [n, o, y, x]: [usize; 4]) -> usize {
        ((n * self.co as usize + o) * self.oh as usize + y) * self.ow as usize + x
    }

    fn at_w(&self, o: usize, i: usize, tap: usize) -> usize {
        (o * self.ci as usize + i) * self.taps() + tap
    }

    /// Element `at` of conv(x, w).
    pub(super) fn spot_y(&self, x: &[f32], w: &[f32], at: usize) -> Sample {
        let [n, o, oy, ox] = indices(at, [self.co, self.oh, self.ow]);
        let mut spot = Sample::default();
        for (tap, (kh, kw)) in self.kernel().enumerate() {
            let (Some(iy), Some(ix)) = (self.row(oy, kh), self.column(ox, kw)) else { continue };
            for i in (0..self.ci as usize).filter(|i| self.live(tap, *i, o)) {
                spot.add(x[self.at_x([n, i, iy, ix])], w[self.at_w(o, i, tap)]);
            }
        }
        spot
    }

    /// Element `at` of the transposed convolution of y and w.
    pub(super) fn spot_x(&self, y: &[f32], w: &[f32], at: usize) -> Sample {
        let [n, i, iy, ix] = indices(at, [self.ci, self.h, self.w]);
        // The output that reads position `at` through a tap.
        let output = |at: usize, stride: u32, pad: u32, shift: usize, len: u32| {
            let o = (at + pad as usize).checked_sub(shift)?;
            let o = o.is_multiple_of(stride as usize).then_some(o / stride as usize)?;
            (o < len as usize).then_some(o)
        };
        let mut spot = Sample::default();
        for (tap, (kh, kw)) in self.kernel().enumerate() {
            let oy = output(iy, self.stride_h, self.pad_top, kh * self.dilation_h as usize, self.oh);
            let ox = output(ix, self.stride_w, self.pad_left, kw * self.dilation_w as usize, self.ow);
            let (Some(oy), Some(ox)) = (oy, ox) else { continue };
            for o in (0..self.co as usize).filter(|o| self.live(tap, i, *o)) {
                spot.add(y[self.at_y([n, o, oy, ox])], w[self.at_w(o, i, tap)]);
            }
        }
        spot
    }

    /// Element `at` of the gradient of Σ dy · conv(x, w) by w.
    pub(super) fn spot_w(&self, x: &[f32], dy: &[f32], at: usize) -> Sample {
        let [o, i, kh, kw] = indices(at, [self.ci, self.kh, self.kw]);
        let mut spot = Sample::default();
        if !self.live(kh * self.kw as usize + kw, i, o) {
            return spot;
        }
        for n in 0..self.n as usize {
            for oy in 0..self.oh as usize {
                let Some(iy) = self.row(oy, kh) else { continue };
                for ox in 0..self.ow as usize {
                    let Some(ix) = self.column(ox, kw) else { continue };
                    spot.add(x[self.at_x([n, i, iy, ix])], dy[self.at_y([n, o, oy, ox])]);
                }
            }
        }
        spot
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{Example, Reference};
    use crate::kernels::{Lens, Precision, all};

    #[test]
    fn every_spot_is_what_the_twin_has_there_and_no_more_is_permitted() {
        let mut seen = 0;
        for entry in all() {
            for kernel in (entry.cases)() {
                let Lens { writes, .. } = kernel.lens();
                if kernel.flops() > 1 << 22 || writes[0] > 1 << 14 {
                    continue;
                }
                let e = Example::new(kernel.as_ref(), 5);
                let Reference::All(reference, bounds) = &e.reference else { panic!("the reference ran") };
                let reads: Vec<&[f32]> = e.reads.iter().map(Vec::as_slice).collect();
                let at: Vec<usize> = (0..writes[0]).collect();
                let sampled = kernel.sampled(&reads, &at, Precision::Full).unwrap_or_default();
                for (at, [value, bound]) in sampled.into_iter().enumerate() {
                    let (reference, permitted) = (reference[0][at], bounds[0][at]);
                    let close = (value - reference).abs() <= 1e-6 * reference.abs().max(1e-3);
                    assert!(close, "{} {} at {at}: {value}, reference {reference}", entry.name, kernel.label());
                    let alike = bound <= permitted * 1.0001 && bound >= permitted * 0.9999;
                    assert!(alike, "{} {} at {at}: bound {bound}, {permitted}", entry.name, kernel.label());
                    seen += 1;
                }
            }
        }
        assert!(seen > 10_000, "only {seen} elements were compared");
    }
}
