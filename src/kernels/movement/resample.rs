//! Nearest-neighbour upsampling and average pooling: up to a factor, each other's gradient.

use super::strided::{Axis, Strided};
use crate::kernels::reduce::Reduce;
use crate::kernels::*;

params! {
    /// x `[planes, h, w]` -> y `[planes, h fh, w fw]`, each element repeated.
    pub struct Upsample {
        /// Samples times channels.
        pub planes: u32,
        /// Input height.
        pub h: u32,
        /// Input width.
        pub w: u32,
        /// Vertical factor.
        pub fh: u32,
        /// Horizontal factor.
        pub fw: u32,
    }
}

params! {
    /// x `[planes, h fh, w fw]` -> y `[planes, h, w]` = scale · Σ over each fh x fw window. With
    /// scale = 1 / (fh fw) it is average pooling, with scale = 1 the gradient of [`Upsample`].
    pub struct AvgPool {
        /// Samples times channels.
        pub planes: u32,
        /// Output height.
        pub h: u32,
        /// Output width.
        pub w: u32,
        /// Window height.
        pub fh: u32,
        /// Window width.
        pub fw: u32,
        /// Factor of the window's sum.
        pub scale: f32,
    }
}

static UPSAMPLE: Signature = Signature { name: "upsample", reads: &["x"], writes: &[("y", Access::Write)] };
static AVG_POOL: Signature = Signature { name: "avg_pool", reads: &["x"], writes: &[("y", Access::Write)] };

impl Kernel for Upsample {
    fn signature(&self) -> &'static Signature {
        &UPSAMPLE
    }

    fn lens(&self) -> Lens {
        let len = self.planes as usize * self.h as usize * self.w as usize;
        Lens { reads: vec![len], writes: vec![len * self.fh as usize * self.fw as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [w, fh, fw] = [self.w, self.fh, self.fw].map(|n| n as usize);
        // Rows of all planes in a row: output row r shows input row r / fh.
        for (row, y) in writes[0].chunks_mut(w * fw).enumerate() {
            for (column, y) in y.iter_mut().enumerate() {
                *y = reads[0][row / fh * w + column / fw];
            }
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [w, fh, fw] = [self.w, self.fh, self.fw].map(|n| n as usize);
        let of_a_row = fh * w * fw;
        host::in_pieces(writes[0], (host::PIECE / of_a_row).max(1) * of_a_row, |first, y| {
            let rows = reads[0][first / (fh * fw)..].chunks(w);
            for (x, y) in std::iter::zip(rows, y.chunks_mut(of_a_row)) {
                let (top, others) = y.split_at_mut(w * fw);
                for (x, y) in std::iter::zip(x, top.chunks_mut(fw)) {
                    y.fill(*x);
                }
                others.chunks_mut(w * fw).for_each(|y| y.copy_from_slice(top));
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let Upsample { planes, h, w, fh, fw } = *self;
        // A gather from [planes h, w] with two expanded axes.
        let axes = [Axis::whole(planes * h, w), Axis::whole(fh, 0), Axis::whole(w, 1), Axis::whole(fw, 0)];
        Strided::new(axes, 0, planes * h * w).variants(caps)
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        let Upsample { planes, h, w, fh, fw } = self;
        format!("x[{planes},{h},{w}] factor {fh}x{fw}")
    }
}

impl Checks for Upsample {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

host::wide! {
    /// Adds to each y the `width` numbers of `row` that it stands for.
    fn add_windows(row: &[f32], width: usize, y: &mut [f32]) {
        match width {
            // A width that is known makes a loop of vectors.
            2 => {
                for (y, x) in std::iter::zip(y, row.chunks_exact(2)) {
                    *y += x[0] + x[1];
                }
            }
            width => {
                for (y, x) in std::iter::zip(y, row.chunks_exact(width)) {
                    *y += x.iter().sum::<f32>();
                }
            }
        }
    }
}

impl AvgPool {
    /// The same sum over [planes h, fh, w, fw].
    fn sum(&self) -> Reduce {
        Reduce { a: self.planes * self.h, r1: self.fh, b: self.w, r2: self.fw, c: 1, scale: self.scale }
    }
}

impl Kernel for AvgPool {
    fn signature(&self) -> &'static Signature {
        &AVG_POOL
    }

    fn lens(&self) -> Lens {
        let len = self.planes as usize * self.h as usize * self.w as usize;
        Lens { reads: vec![len * self.fh as usize * self.fw as usize], writes: vec![len] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [w, fh, fw] = [self.w, self.fh, self.fw].map(|n| n as usize);
        for (i, y) in writes[0].iter_mut().enumerate() {
            let first = i / w * fh * w * fw + i % w * fw;
            let window = (0..fh).flat_map(|r| (0..fw).map(move |s| first + r * w * fw + s));
            let sum: f64 = window.map(|at| f64::from(reads[0][at])).sum();
            *y = (f64::from(self.scale) * sum) as f32;
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [w, fh, fw] = [self.w, self.fh, self.fw].map(|n| n as usize);
        host::in_pieces(writes[0], (host::PIECE / w).max(1) * w, |first, y| {
            let windows = reads[0][first * fh * fw..].chunks(fh * w * fw);
            for (x, y) in std::iter::zip(windows, y.chunks_mut(w)) {
                y.fill(0.0);
                for row in x.chunks(w * fw) {
                    add_windows(row, fw, y);
                }
                y.iter_mut().for_each(|y| *y *= self.scale);
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        // The other variant wants long sums; windows are short.
        self.sum().variants(caps).into_iter().take(1).collect()
    }

    fn flops(&self) -> u64 {
        let outputs = u64::from(self.planes) * u64::from(self.h) * u64::from(self.w);
        outputs * u64::from(self.fh * self.fw)
    }

    fn label(&self) -> String {
        let AvgPool { planes, h, w, fh, fw, .. } = self;
        format!("x[{planes},{},{}] window {fh}x{fw}", h * fh, w * fw)
    }
}

impl Checks for AvgPool {
    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.sum().bounds(reads, old, reference)
    }

    fn sums(&self) -> bool {
        self.sum().sums()
    }
}

const CASES: [[u32; 5]; 5] =
    [[1, 1, 1, 1, 1], [3, 5, 7, 2, 3], [6, 4, 4, 2, 2], [2, 13, 11, 4, 1], [24_007, 1, 3, 1, 2]];

/// Odd shapes of [`Upsample`].
pub fn upsample_cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(|[planes, h, w, fh, fw]| Box::new(Upsample { planes, h, w, fh, fw }) as Box<dyn Kernel>).into()
}

/// Shapes of the presets for [`Upsample`].
pub fn upsample_shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Upsample { planes: 64 * 64, h: 14, w: 14, fh: 2, fw: 2 })]
}

fn pool([planes, h, w, fh, fw]: [u32; 5]) -> Box<dyn Kernel> {
    Box::new(AvgPool { planes, h, w, fh, fw, scale: 1.0 / (fh * fw) as f32 })
}

/// Odd shapes of [`AvgPool`].
pub fn avg_pool_cases() -> Vec<Box<dyn Kernel>> {
    CASES.into_iter().chain([[5, 1, 1, 49, 49]]).map(pool).collect()
}

/// Shapes of the presets for [`AvgPool`].
pub fn avg_pool_shapes() -> Vec<Box<dyn Kernel>> {
    vec![pool([64 * 64, 14, 14, 2, 2])]
}
