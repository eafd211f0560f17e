//! Penalties on the slope of a discriminator, which are differentiated a second time to train it.

use crate::graph::{Var, gradients};
use serde::{Deserialize, Serialize};

/// Added under the root of a slope, whose derivative would not be finite at 0.
const EPS: f32 = 1e-12;

/// What of ∇D, the gradient of the score by the image, is held down, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Penalty {
    /// Nothing.
    #[default]
    None,
    /// E[(‖∇D(x̂)‖ - 1)²] with x̂ = ε x + (1 - ε) G(z), one uniform ε for each image (Gulrajani et
    /// al., "Improved Training of Wasserstein GANs", 2017).
    WganGp,
    /// E[(‖∇D(x̂)‖ - 1)²] with x̂ = x + α u, where u is uniform in [0, ½ std(x)) for each number
    /// and α in [0, 1) for each image (Kodali et al., "On Convergence and Stability of GANs",
    /// 2017).
    Dragan,
    /// ½ E[‖∇D(x)‖²] on images of the data (Mescheder, Geiger & Nowozin 2018, equation 9).
    R1,
    /// ½ E[‖∇D(G(z))‖²] on generated images (the same, equation 10).
    R2,
}

/// Images [n,...] and their scores, `[n]`.
pub struct Judged<'a> {
    /// The images.
    pub images: &'a Var,
    /// The discriminator's scores of them.
    pub scores: &'a Var,
}

impl Penalty {
    /// Whether it is made of the scores that it is given, not of others.
    pub(super) fn is_by_scores(self) -> bool {
        matches!(self, Penalty::R1 | Penalty::R2)
    }

    /// The penalty of the discriminator `d`, which has judged images of the data and generated
    /// ones; nothing where there is none.
    pub fn of(self, real: &Judged, fake: &Judged, d: impl Fn(&Var) -> Var) -> Option<Var> {
        let one_slope = |images: Var| {
            let scores = d(&images);
            let norm = squared_slopes(&Judged { images: &images, scores: &scores }).add_scalar(EPS).sqrt();
            norm.add_scalar(-1.0).square().mean()
        };
        let zero_slope = |judged| squared_slopes(judged).mean().mul_scalar(0.5);
        match self {
            Penalty::None => None,
            Penalty::WganGp => Some(one_slope(between(real.images, fake.images))),
            Penalty::Dragan => Some(one_slope(around(real.images))),
            Penalty::R1 => Some(zero_slope(real)),
            Penalty::R2 => Some(zero_slope(fake)),
        }
    }
}

/// ‖∇D‖² at each image, [n,1].
fn squared_slopes(judged: &Judged) -> Var {
    let zeros = || judged.images.graph().constant(judged.images.shape(), 0.0);
    // A score is a function of its own image alone, so the sum's gradient is that of each.
    let gradient = gradients(&judged.scores.sum(), std::slice::from_ref(judged.images)).remove(0);
    gradient.unwrap_or_else(zeros).flatten().square().sum_axes(&[1])
}

/// One uniform number for each image.
fn share(images: &Var) -> Var {
    let mut shape = vec![1; images.shape().len()];
    shape[0] = images.shape()[0];
    images.graph().uniform(&shape, 0.0, 1.0)
}

/// A point on the line from each generated image to an image of the data.
fn between(real: &Var, fake: &Var) -> Var {
    fake + &(&share(real) * &(real - fake))
}

/// Images of the data with noise of up to half their standard deviation, taken over the whole
/// batch.
fn around(real: &Var) -> Var {
    let deviation = (real - &real.mean().over_batch()).square().mean().over_batch().sqrt();
    let noise = &real.graph().uniform(real.shape(), 0.0, 0.5) * &deviation;
    real + &(&share(real) * &noise)
}
