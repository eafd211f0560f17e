//! `conv2d_weight_grad`: the gradient of a convolution by its weights.

use super::conv::{Conv, abs};
use super::conv_cases;
use super::tiles::Rounding;
use super::weight_grad;
use crate::kernels::host;
use crate::kernels::{
    Access, Caps, ChannelsLast, Checks, Images, Kernel, Lens, Precision, Recipe, Signature, sum_bound,
};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

/// `dw[co,ci,kh,kw]` = Σ `dy[n,co,oy,ox]` · x[n,ci,oy·stride - pad + kh·dilation, …] over n, oy,
/// ox, and where the block has a bias its gradient, `db[co]` = Σ `dy[n,co,oy,ox]` over n, oy, ox.
///
/// Reads x `[n,ci,h,w]` and dy `[n,co,oh,ow]`; writes dw `[co,ci,kh,kw]` and db `[co]` (absent, of
/// length 0, without a bias). Entries that a mask makes dead are written as 0 and never computed.
/// Residual, gate and activation of the block are ignored.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dWeightGrad(pub Conv);

static SIGNATURE: Signature = Signature {
    name: "conv2d_weight_grad",
    reads: &["x", "dy"],
    writes: &[("dw", Access::Write), ("db", Access::Write)],
};

impl Conv2dWeightGrad {
    /// The same with x and dy by planes, and these.
    fn in_planes<'a>(&self, reads: &[&'a [f32]]) -> (Conv2dWeightGrad, [Cow<'a, [f32]>; 2]) {
        let [x, dy] = self.0.standing();
        (Conv2dWeightGrad(self.0.in_planes()), [x.planes(reads[0]), dy.planes(reads[1])])
    }

    fn terms(&self) -> usize {
        self.0.n as usize * self.0.y_plane()
    }

    fn write_bias(&self, dy: &[f32], writes: &mut [&mut [f32]]) {
        for (db, sum) in std::iter::zip(writes[1].iter_mut(), self.bias_sums(dy)) {
            *db = sum as f32;
        }
    }

    /// Σ dy for each channel, if there is a bias.
    fn bias_sums(&self, dy: &[f32]) -> Vec<f64> {
        let (channels, plane) = (self.0.co as usize, self.0.y_plane());
        let sum = |channel: usize| {
            let planes = dy.chunks(plane).skip(channel).step_by(channels);
            planes.map(|plane| plane.iter().map(|v| f64::from(*v)).sum::<f64>()).sum()
        };
        (0..self.bias_len()).into_par_iter().map(sum).collect()
    }

    fn bias_len(&self) -> usize {
        self.0.epilogue.bias as usize * self.0.co as usize
    }

    /// The permitted errors of sums of products, and of the bias's sums, which are products with
    /// ones.
    fn permitted(&self, reads: &[&[f32]], products: Rounding, elements: Rounding) -> Vec<Vec<f32>> {
        let (planes, [x, dy]) = self.in_planes(reads);
        let dy = abs(&dy);
        let sums = [planes.0.sum_w(&abs(&x), &dy), planes.bias_sums(&dy)];
        let bound = |(sums, rounding): (Vec<f64>, Rounding)| {
            sums.into_iter().map(|m| sum_bound(self.terms(), m as f32) + rounding.of(m)).collect()
        };
        std::iter::zip(sums, [products, elements]).map(bound).collect()
    }
}

impl Kernel for Conv2dWeightGrad {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.0.x_len(), self.0.y_len()], writes: vec![self.0.w_len(), self.bias_len()] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let (planes, [x, dy]) = self.in_planes(reads);
        for (dw, sum) in std::iter::zip(writes[0].iter_mut(), planes.0.sum_w(&x, &dy)) {
            *dw = sum as f32;
        }
        planes.write_bias(&dy, writes);
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        if !(self.0.has_room() && self.0.by_planes()) {
            return self.cpu(reads, writes);
        }
        self.0.host_w(reads[0], reads[1], writes[0]);
        let (channels, plane) = (self.0.co as usize, self.0.y_plane());
        writes[1].par_iter_mut().enumerate().for_each(|(channel, db)| {
            let planes = reads[1].chunks(plane).skip(channel).step_by(channels);
            *db = planes.map(host::sum).sum::<f64>() as f32;
        });
    }

    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let can = self.0.can_stand([operands[0], operands[1]]);
        let kernel = Arc::new(Conv2dWeightGrad(self.0.last(can[0], can[1])));
        can.contains(&true).then(|| ChannelsLast { kernel, operands: vec![can[0], can[1], false, false] })
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        weight_grad::variants(&self.0, caps)
    }

    fn flops(&self) -> u64 {
        self.0.flops()
    }

    fn label(&self) -> String {
        self.0.label()
    }
}

impl Checks for Conv2dWeightGrad {
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.permitted(reads, Rounding::default(), Rounding::default())
    }

    fn mixed_bounds(&self, reads: &[&[f32]], _old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let elements = Rounding::mixed(self.terms(), &[1.0], reads[1]);
        self.permitted(reads, Rounding::mixed(self.terms(), reads[0], reads[1]), elements)
    }

    fn sums(&self) -> bool {
        true
    }

    fn sampled(&self, reads: &[&[f32]], at: &[usize], precision: Precision) -> Option<Vec<[f32; 2]>> {
        let terms = self.terms();
        let rounding = Rounding::of_factors(precision, terms, reads[0], reads[1]);
        let (planes, [x, dy]) = self.in_planes(reads);
        let spot = |at: &usize| {
            let spot = planes.0.spot_w(&x, &dy, *at);
            [spot.sum as f32, sum_bound(terms, spot.magnitude as f32) + rounding.of(spot.magnitude)]
        };
        Some(at.iter().map(spot).collect())
    }
}

/// Every third with a bias, and with `both` the others with one too.
fn boxed(all: Vec<Conv>, both: bool) -> Vec<Box<dyn Kernel>> {
    let mut seen: Vec<Conv> = Vec::new();
    for (i, conv) in all.into_iter().enumerate() {
        let biases: &[bool] = if both { &[false, true] } else { &[i % 3 == 1] };
        for conv in biases.iter().map(|bias| conv.bare(*bias)) {
            if !seen.contains(&conv) {
                seen.push(conv);
            }
        }
    }
    seen.into_iter().map(|c| Box::new(Conv2dWeightGrad(c)) as Box<dyn Kernel>).collect()
}

/// Odd shapes without a mask.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::plain(), false)
}

/// The presets' layers without a mask.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::preset_layers(), false)
}

/// Odd shapes with masks. Where a mask leaves a channel nothing to see, its bias still has a
/// gradient.
pub fn masked_cases() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::masked(), true)
}

/// The presets' masked layers.
pub fn masked_shapes() -> Vec<Box<dyn Kernel>> {
    boxed(conv_cases::masked_preset_layers(), false)
}
