//! Convolution of each channel by a kernel of its own (Howard et al. 2017, "MobileNets").

use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// x `[n,c,h,w]`, w `[c,kh,kw]`, b `[c]` -> y `[n,c,oh,ow]`: `y[n,c,i,j]` = `b[c]` + Σ
    /// `w[c,r,s]` · x[n,c, i·stride - pad + r, j·stride - pad + s], 0 outside x.
    pub struct Depthwise {
        /// Images.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Input rows.
        pub h: u32,
        /// Input columns.
        pub w: u32,
        /// Output rows.
        pub oh: u32,
        /// Output columns.
        pub ow: u32,
        /// Rows of a kernel.
        pub kh: u32,
        /// Columns of a kernel.
        pub kw: u32,
        /// Rows and columns from one output to the next.
        pub stride: u32,
        /// Zeros on every side.
        pub pad: u32,
    }
}

static SHADER: Shader = shader!(Depthwise, "depthwise");

static SIGNATURE: Signature =
    Signature { name: "depthwise_conv2d", reads: &["x", "w", "b"], writes: &[("y", Access::Write)] };

impl Depthwise {
    /// Of output (i, j): the taps within x, as numbers of tap and of pixel of their plane.
    fn taps(&self, i: usize, j: usize) -> impl Iterator<Item = (usize, usize)> {
        let [h, w, kh, kw, stride, pad] = [self.h, self.w, self.kh, self.kw, self.stride, self.pad].map(|v| v as usize);
        (0..kh * kw).filter_map(move |tap| {
            let (row, column) = (i * stride + tap / kw, j * stride + tap % kw);
            let inside = (pad..pad + h).contains(&row) && (pad..pad + w).contains(&column);
            inside.then(|| (tap, (row - pad) * w + column - pad))
        })
    }

    /// For every output what `of` makes of its channel and of its terms w·x.
    fn each(&self, reads: &[&[f32]], y: &mut [f32], of: impl Fn(usize, &mut dyn Iterator<Item = f64>) -> f32 + Sync) {
        let [c, plane, out, ow] = [self.c, self.h * self.w, self.oh * self.ow, self.ow].map(|v| v as usize);
        let taps = (self.kh * self.kw) as usize;
        y.par_chunks_mut(out).enumerate().for_each(|(at, y)| {
            let (x, w) = (&reads[0][at * plane..][..plane], &reads[1][at % c * taps..][..taps]);
            for (k, y) in y.iter_mut().enumerate() {
                let mut terms = self.taps(k / ow, k % ow).map(|(tap, i)| f64::from(w[tap]) * f64::from(x[i]));
                *y = of(at % c, &mut terms);
            }
        });
    }
}

impl Kernel for Depthwise {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let planes = self.n as usize * self.c as usize;
        let (c, taps) = (self.c as usize, (self.kh * self.kw) as usize);
        let (x, y) = (planes * (self.h * self.w) as usize, planes * (self.oh * self.ow) as usize);
        Lens { reads: vec![x, c * taps, c], writes: vec![y] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.each(reads, writes[0], |c, terms| (f64::from(reads[2][c]) + terms.sum::<f64>()) as f32);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = flat(&SHADER, self, self.lens().writes[0], caps);
        let stage = stage.bind("x", Slot::Read(0)).bind("w", Slot::Read(1)).bind("b", Slot::Read(2));
        vec![Recipe::single("flat", stage.bind("y", Slot::Write(0)))]
    }

    fn flops(&self) -> u64 {
        2 * self.lens().writes[0] as u64 * u64::from(self.kh * self.kw)
    }

    fn label(&self) -> String {
        let Depthwise { n, c, h, w, kh, kw, stride, pad, .. } = self;
        format!("x[{n},{c},{h},{w}] w[{c},{kh},{kw}] stride {stride} pad {pad}")
    }
}

impl Checks for Depthwise {
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut bounds = vec![0.0; reference[0].len()];
        let terms = (self.kh * self.kw) as usize + 1;
        self.each(reads, &mut bounds, |c, all| {
            sum_bound(terms, (f64::from(reads[2][c].abs()) + all.map(f64::abs).sum::<f64>()) as f32)
        });
        vec![bounds]
    }

    fn sums(&self) -> bool {
        true
    }
}

fn case([n, c, h, w]: [u32; 4], [kh, kw]: [u32; 2], stride: u32, pad: u32) -> Box<dyn Kernel> {
    let out = |e: u32, k: u32| (e + 2 * pad - k) / stride + 1;
    Box::new(Depthwise { n, c, h, w, oh: out(h, kh), ow: out(w, kw), kh, kw, stride, pad })
}

/// Odd shapes: one pixel, kernels as large as the image, strides that do not divide, no padding.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    vec![
        case([1, 1, 1, 1], [1, 1], 1, 0),
        case([2, 5, 7, 11], [3, 3], 1, 1),
        case([3, 7, 13, 8], [3, 3], 2, 1),
        case([2, 3, 5, 9], [5, 2], 3, 2),
        case([1, 33, 4, 4], [4, 4], 1, 0),
        case([1, 13, 97, 61], [3, 3], 1, 1),
    ]
}

/// Shapes of MobileNetV2.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![case([16, 96, 112, 112], [3, 3], 2, 1), case([16, 384, 14, 14], [3, 3], 1, 1)]
}
