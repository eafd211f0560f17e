//! `conv2d`: the convolution, masked or not, with bias, residual and activation.

use super::conv::{Conv, Epilogue, abs};
use super::conv_cases;
use super::gather::{self, Role};
use super::tiles::Rounding;
use crate::kernels::activation::Activation;
use crate::kernels::pixel_code::AtPixel;
use crate::kernels::{Access, Caps, Kernel, Lens, Precision, Recipe, Signature};
use std::sync::Arc;

/// `y[n,co,oy,ox]` = act((Σ x[n,ci,oy·stride - pad + kh·dilation, …] · `w[co,ci,kh,kw]` + `b[co]`) · gate(g) + r),
/// where a gate is 1 where g > 0 and a slope elsewhere: the gradient of a ReLU in front of x's.
///
/// Reads x `[n,ci,h,w]`, w `[co,ci,kh,kw]`, b `[co]`, r and g `[n,co,oh,ow]` (the last three absent, of length 0,
/// unless the block says otherwise); writes y `[n,co,oh,ow]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d(pub Conv);

impl Conv2d {
    fn epilogue<'a>(&self, reads: &[&'a [f32]]) -> Epilogue<'a> {
        self.0.tail(&reads[2..], self.0.co, self.0.y_plane())
    }

    fn terms(&self) -> usize {
        self.0.ci as usize * self.0.taps()
    }

    fn permitted(&self, reads: &[&[f32]], twin: &[&[f32]], rounding: Rounding) -> Vec<Vec<f32>> {
        let sums = self.0.sum_y(&abs(reads[0]), &abs(reads[1]));
        vec![self.epilogue(reads).bounds(self.terms(), &sums, rounding, twin[0])]
    }
}

impl Kernel for Conv2d {
    fn signature(&self) -> &'static Signature {
        &Signature { name: "conv2d", reads: &["x", "w", "b", "r", "g"], writes: &[("y", Access::Write)] }
    }

    fn lens(&self) -> Lens {
        let c = &self.0;
        let [b, r, g] = c.tail_lens(c.co, c.y_len());
        Lens { reads: vec![c.x_len(), c.w_len(), b, r, g], writes: vec![c.y_len()] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let sums = self.0.sum_y(reads[0], reads[1]);
        self.epilogue(reads).write(&sums, writes[0]);
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.0.host_y(reads[0], reads[1], writes[0]);
        self.epilogue(reads).finish(writes[0]);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        gather::variants(&self.0, Role::Conv, caps)
    }

    fn at_pixel(&self) -> Option<AtPixel<'_>> {
        (self.0.has_gate == 0).then_some(AtPixel::Conv(&self.0))
    }

    fn flops(&self) -> u64 {
        self.0.flops()
    }

    fn label(&self) -> String {
        self.0.label()
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        self.permitted(reads, twin, Rounding::default())
    }

    fn mixed_bounds(&self, reads: &[&[f32]], _old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        self.permitted(reads, twin, Rounding::mixed(self.terms(), reads[0], reads[1]))
    }

    fn sums(&self) -> bool {
        self.0.keeps_whole()
    }

    fn spots(&self, reads: &[&[f32]], at: &[usize], precision: Precision) -> Option<Vec<[f32; 2]>> {
        let (terms, tail) = (self.terms(), self.epilogue(reads));
        let rounding = Rounding::of_factors(precision, terms, reads[0], reads[1]);
        let spot = |at: &usize| tail.spot(terms, self.0.spot_y(reads[0], reads[1], *at), rounding, *at);
        Some(at.iter().map(spot).collect())
    }

    fn with_activation(&self, act: Activation) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(Conv2d(self.0.activated(act)?)))
    }

    fn with_residual(&self) -> Option<(Arc<dyn Kernel>, usize)> {
        Some((Arc::new(Conv2d(self.0.residual()?)), 3))
    }

    fn with_gate(&self, slope: f32) -> Option<(Arc<dyn Kernel>, usize)> {
        Some((Arc::new(Conv2d(self.0.gate(slope)?)), 4))
    }
}

fn boxed(all: Vec<Conv>) -> Vec<Box<dyn Kernel>> {
    all.into_iter().map(|c| Box::new(Conv2d(c)) as Box<dyn Kernel>).collect()
}

/// Odd shapes without a mask.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let mut all = conv_cases::plain();
    // Outputs so far apart that nobody could hold the zeros between them.
    all.push(Conv::new([1, 2, 3, 3], 1, [1, 1]).with([30_000; 2], [1; 2], [30_000; 4]));
    boxed(all)
}

/// The presets' layers without a mask.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::preset_layers())
}

/// Odd shapes with masks.
pub fn masked_cases() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::masked())
}

/// The presets' masked layers.
pub fn masked_shapes() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::masked_preset_layers())
}
