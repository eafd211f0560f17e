//! Nearest-neighbour upsampling and average pooling: up to a factor, each other's gradient.

use super::*;
use rayon::prelude::*;

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

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        let Upsample { planes, h, w, fh, fw } = self;
        format!("x[{planes},{h},{w}] factor {fh}x{fw}")
    }
}

impl AvgPool {
    /// Σ f(x) over every window.
    fn windows(&self, x: &[f32], f: impl Fn(f32) -> f64 + Sync) -> Vec<f64> {
        let [w, fh, fw] = [self.w, self.fh, self.fw].map(|n| n as usize);
        let outputs = self.planes as usize * self.h as usize * w;
        let window = |i: usize| -> f64 {
            let first = i / w * fh * w * fw + i % w * fw;
            (0..fh).flat_map(|r| (0..fw).map(move |s| first + r * w * fw + s)).map(|i| f(x[i])).sum()
        };
        (0..outputs).into_par_iter().map(window).collect()
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
        for (y, sum) in std::iter::zip(&mut *writes[0], self.windows(reads[0], f64::from)) {
            *y = (f64::from(self.scale) * sum) as f32;
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
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
