//! Sums in an order of their own: sixteen run side by side through at most 64 terms each in f32,
//! and what they come to is added in f64.

/// Sums that run side by side.
const LANES: usize = 16;
/// Terms that are added in f32.
const RUN: usize = 64 * LANES;

/// Planes of a slice that are summed together.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Planes {
    /// The first element of the first.
    pub first: usize,
    /// Elements of one.
    pub len: usize,
    /// From one to the next.
    pub step: usize,
    /// How many.
    pub count: usize,
}

impl Planes {
    fn whole(x: &[f32]) -> Planes {
        Planes { first: 0, len: x.len(), step: x.len(), count: 1 }
    }
}

/// Σ of what `f` and Σ of what `g` makes of the elements of planes of two slices.
#[inline(always)]
fn totals([x, y]: [&[f32]; 2], planes: Planes, f: impl Fn(f32, f32) -> f32, g: impl Fn(f32, f32) -> f32) -> [f64; 2] {
    let mut totals = [0.0f64; 2];
    let (mut a, mut b) = ([0.0f32; LANES], [0.0f32; LANES]);
    // Terms of the lane that has most.
    let mut terms = 0;
    for plane in 0..planes.count {
        let own = planes.first + plane * planes.step..planes.first + plane * planes.step + planes.len;
        for (x, y) in std::iter::zip(x[own.clone()].chunks(RUN), y[own].chunks(RUN)) {
            if terms + x.len().div_ceil(LANES) > RUN / LANES {
                for lane in 0..LANES {
                    totals[0] += f64::from(a[lane]);
                    totals[1] += f64::from(b[lane]);
                }
                (a, b, terms) = ([0.0; LANES], [0.0; LANES], 0);
            }
            terms += x.len().div_ceil(LANES);
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
        }
    }
    for lane in 0..LANES {
        totals[0] += f64::from(a[lane]);
        totals[1] += f64::from(b[lane]);
    }
    totals
}

super::wide! {
    /// Σ x.
    pub(in crate::kernels) fn sum(x: &[f32]) -> f64 {
        totals([x, x], Planes::whole(x), |x, _| x, |_, _| 0.0)[0]
    }
}

super::wide! {
    /// Σ x y.
    pub(in crate::kernels) fn dot(x: &[f32], y: &[f32]) -> f64 {
        totals([x, y], Planes::whole(x), |x, y| x * y, |_, _| 0.0)[0]
    }
}

super::wide! {
    /// Σ (x - mean) and Σ (x - mean)² over some planes.
    pub(in crate::kernels) fn around(x: &[f32], planes: Planes, mean: f32) -> [f64; 2] {
        totals([x, x], planes, |x, _| x - mean, |x, _| (x - mean) * (x - mean))
    }
}

super::wide! {
    /// Σ dy (x - mean) and Σ dy.
    pub(in crate::kernels) fn turns(dy: &[f32], x: &[f32], mean: f32) -> [f64; 2] {
        totals([dy, x], Planes::whole(x), |dy, x| dy * (x - mean), |dy, _| dy)
    }
}
