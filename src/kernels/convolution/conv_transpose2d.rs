//! `conv_transpose2d`: the transposed convolution, which is also the input gradient of `conv2d`.

use super::conv::{Conv, Epilogue, abs};
use super::conv_cases;
use super::gather::{self, Role};
use super::tiles::Rounding;
use crate::kernels::activation::Activation;
use crate::kernels::{Access, Caps, Kernel, Lens, Precision, Recipe, Signature};
use std::sync::Arc;

/// `x[n,ci,iy,ix]` = act((Σ `y[n,co,oy,ox]` · `w[co,ci,kh,kw]` + `b[ci]`) · gate(g) + r) over all (co, oy, kh, ox, kw)
/// with iy = oy·stride_h - pad_top + kh·dilation_h, and likewise for columns. A gate is 1 where g > 0
/// and a slope elsewhere: the gradient of a ReLU, which comes right behind that of a convolution.
///
/// Reads y `[n,co,oh,ow]`, w `[co,ci,kh,kw]`, b `[ci]`, r and g `[n,ci,h,w]` (the last three absent, of length 0,
/// unless the block says otherwise); writes x `[n,ci,h,w]`. PyTorch's `ConvTranspose2d` weight
/// `[in,out,kh,kw]` is w as it stands, with in = co and out = ci. A pixel that no tap reaches gets
/// act(b · gate(g) + r).
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose2d(pub Conv);

impl ConvTranspose2d {
    fn epilogue<'a>(&self, reads: &[&'a [f32]]) -> Epilogue<'a> {
        self.0.tail(&reads[2..], self.0.ci, self.0.x_plane())
    }

    fn terms(&self) -> usize {
        self.0.co as usize * self.0.taps()
    }

    fn permitted(&self, reads: &[&[f32]], twin: &[&[f32]], rounding: Rounding) -> Vec<Vec<f32>> {
        let sums = self.0.sum_x(&abs(reads[0]), &abs(reads[1]));
        vec![self.epilogue(reads).bounds(self.terms(), &sums, rounding, twin[0])]
    }
}

impl Kernel for ConvTranspose2d {
    fn signature(&self) -> &'static Signature {
        &Signature { name: "conv_transpose2d", reads: &["y", "w", "b", "r", "g"], writes: &[("x", Access::Write)] }
    }

    fn lens(&self) -> Lens {
        let c = &self.0;
        let [b, r, g] = c.tail_lens(c.ci, c.x_len());
        Lens { reads: vec![c.y_len(), c.w_len(), b, r, g], writes: vec![c.x_len()] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let sums = self.0.sum_x(reads[0], reads[1]);
        self.epilogue(reads).write(&sums, writes[0]);
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.0.host_x(reads[0], reads[1], writes[0]);
        self.epilogue(reads).finish(writes[0]);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        gather::variants(&self.0, Role::Transpose, caps)
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
        let spot = |at: &usize| tail.spot(terms, self.0.spot_x(reads[0], reads[1], *at), rounding, *at);
        Some(at.iter().map(spot).collect())
    }

    fn with_activation(&self, act: Activation) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(ConvTranspose2d(self.0.activated(act)?)))
    }

    fn with_residual(&self) -> Option<(Arc<dyn Kernel>, usize)> {
        Some((Arc::new(ConvTranspose2d(self.0.residual()?)), 3))
    }

    fn with_gate(&self, slope: f32) -> Option<(Arc<dyn Kernel>, usize)> {
        Some((Arc::new(ConvTranspose2d(self.0.gate(slope)?)), 4))
    }
}

fn boxed(all: Vec<Conv>) -> Vec<Box<dyn Kernel>> {
    all.into_iter().map(|c| Box::new(ConvTranspose2d(c)) as Box<dyn Kernel>).collect()
}

/// Odd shapes without a mask.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::plain())
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
