//! Sums in an order of their own: sixteen run side by side through at most 64 terms each in f32,
//! and what they come to is added in f64.

/// Sums that run side by side.
const LANES: usize = 16;
/// Terms that are added in f32.
const RUN: usize = 64 * LANES;

/// Σ of what `f` and Σ of what `g` makes of the elements of equally long slices.
#[inline(always)]
fn totals(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32, g: impl Fn(f32, f32) -> f32) -> [f64; 2] {
    let mut totals = [0.0f64; 2];
    for (x, y) in std::iter::zip(x.chunks(RUN), y.chunks(RUN)) {
        let (mut a, mut b) = ([0.0f32; LANES], [0.0f32; LANES]);
        let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
        for (x, y) in std::iter::zip(xs, ys) {
            for lane in 0..LANES {
                a[lane] += f(x[lane], y[lane]);
            }
            for lane in 0..LANES {
                b[lane] += g(x[lane], y[lane]);
            }
        }
        for (lane, (x, y)) in std::iter::zip(x_rest, y_rest).enumerate() {
            a[lane] += f(*x, *y);
            b[lane] += g(*x, *y);
        }
        for lane in 0..LANES {
            totals[0] += f64::from(a[lane]);
            totals[1] += f64::from(b[lane]);
        }
    }
    totals
}

super::wide! {
    /// Σ x.
    pub(in crate::kernels) fn sum(x: &[f32]) -> f64 {
        totals(x, x, |x, _| x, |_, _| 0.0)[0]
    }
}

super::wide! {
    /// Σ x y.
    pub(in crate::kernels) fn dot(x: &[f32], y: &[f32]) -> f64 {
        totals(x, y, |x, y| x * y, |_, _| 0.0)[0]
    }
}

super::wide! {
    /// Σ (x - mean) and Σ (x - mean)².
    pub(in crate::kernels) fn around(x: &[f32], mean: f32) -> [f64; 2] {
        totals(x, x, |x, _| x - mean, |x, _| (x - mean) * (x - mean))
    }
}

super::wide! {
    /// Σ dy (x - mean) and Σ dy.
    pub(in crate::kernels) fn turns(dy: &[f32], x: &[f32], mean: f32) -> [f64; 2] {
        totals(dy, x, |dy, x| dy * (x - mean), |dy, _| dy)
    }
}
