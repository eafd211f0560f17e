//! Families of p(x|z): what the numbers that a decoder ends in are the parameters of.

use super::Likelihood;
use crate::graph::Var;
use crate::kernels::pixel_distribution;
use serde::{Deserialize, Serialize};

/// The distribution of each pixel, given z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoder {
    /// Bernoulli variables, or grey levels between 0 and 1 in their place: the logit.
    #[default]
    Bernoulli,
    /// Normal: mean and log-variance.
    Gaussian,
    /// A logistic density summed over the bins of 256 grey levels (Salimans et al. 2017): mean and
    /// log-scale.
    DiscretisedLogistic,
}

/// ln 1/255², the least log-variance: a spread of one grey level. A pixel that is the same in every
/// image would have an infinite density otherwise.
const LEAST_LOGVAR: f32 = -11.082_527;

/// The least log-scale: that of PixelCNN++ for pixels from -1 to 1, here for pixels from 0 to 1.
/// Less makes no difference, as then one grey level has all the mass.
const LEAST_LOG_SCALE: f32 = pixel_distribution::LEAST_LOG_SCALE - std::f32::consts::LN_2;

impl Decoder {
    /// Numbers the network gives for a pixel of one channel.
    pub fn parameters(self) -> usize {
        if self == Decoder::Bernoulli { 1 } else { 2 }
    }

    /// What p(x|z) is.
    pub fn likelihood(self) -> Likelihood {
        match self {
            Decoder::Bernoulli => Likelihood::Binary,
            Decoder::Gaussian => Likelihood::Density,
            Decoder::DiscretisedLogistic => Likelihood::Levels,
        }
    }

    /// Names of a variational autoencoder's losses.
    pub fn losses(self) -> &'static [&'static str; 3] {
        match self {
            Decoder::Bernoulli => &["loss", "bce", "kl"],
            _ => &["loss", "reconstruction", "kl"],
        }
    }

    /// -log p(x|z) of every row in nats, [k·n], from outputs [k·n,...] for k draws of z for each of
    /// the images x `[n,c,h,w]`; row i of the outputs belongs to image i % n.
    pub fn nll(self, outputs: &Var, x: &Var) -> Var {
        let (rows, pixels) = (outputs.shape()[0], x.len() / x.shape()[0]);
        let lay = |v: &Var| v.reshape(&[rows / x.shape()[0], x.len()]);
        let target = x.reshape(&[x.len()]);
        let nll = match self {
            Decoder::Bernoulli => lay(outputs).bce_with_logits(&target),
            Decoder::Gaussian => {
                let (mean, logvar) = halves(outputs, LEAST_LOGVAR);
                lay(&mean).gaussian_nll(&lay(&logvar), &target)
            }
            Decoder::DiscretisedLogistic => {
                let (mean, log_scale) = halves(outputs, LEAST_LOG_SCALE);
                lay(&mean).discretised_logistic_nll(&lay(&log_scale), &target)
            }
        };
        nll.reshape(&[rows, pixels]).sum_axes(&[1]).reshape(&[rows])
    }

    /// The mean of p(x|z), in [0, 1], from outputs [n,c·parameters,h,w].
    pub fn mean(self, outputs: &Var) -> Var {
        match self {
            Decoder::Bernoulli => outputs.sigmoid(),
            _ => outputs.slice(1, 0, outputs.shape()[1] / 2).clamp(0.0, 1.0),
        }
    }
}

/// The mean and the logarithm of the spread, which `least` bounds from below without a kink: beyond
/// a sharp bound no gradient would lead back.
fn halves(outputs: &Var, least: f32) -> (Var, Var) {
    let half = outputs.shape()[1] / 2;
    let spread = outputs.slice(1, half, half).add_scalar(-least).softplus().add_scalar(least);
    (outputs.slice(1, 0, half), spread)
}
