//! What two networks play for.

use super::super::Metric;
use crate::graph::Var;
use serde::{Deserialize, Serialize};

/// The losses of both sides, by the discriminator's score c: of a logit, D = 1 / (1 + e^-c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdversarialLoss {
    /// D: -E[log D(x)] - E[log(1 - D(G(z)))]; G: E[log(1 - D(G(z)))], the value of the game itself
    /// (Goodfellow et al. 2014).
    Minimax,
    /// The same D; G: -E[log D(G(z))], whose gradient does not vanish while the discriminator wins
    /// (2014, §3).
    NonSaturating,
    /// D: E[(c(x) - 1)²]/2 + E[c(G(z))²]/2; G: E[(c(G(z)) - 1)²]/2 (Mao et al. 2017, equation 9).
    LeastSquares,
    /// D: E[max(0, 1 - c(x))] + E[max(0, 1 + c(G(z)))]; G: -E[c(G(z))] (Lim & Ye 2017; Miyato et
    /// al. 2018, equations 16 and 17).
    Hinge,
    /// D: E[c(G(z))] - E[c(x)], the negative of an estimate of the earth mover's distance where the
    /// critic's slope is bounded; G: -E[c(G(z))] (Arjovsky, Chintala & Bottou 2017).
    Wasserstein,
}

impl AdversarialLoss {
    /// What the discriminator pays for its score of each image of the data.
    fn real(self, score: &Var) -> Var {
        match self {
            // -log D = softplus(-c) and -log(1 - D) = softplus(c).
            AdversarialLoss::Minimax | AdversarialLoss::NonSaturating => (-score).softplus(),
            AdversarialLoss::LeastSquares => score.add_scalar(-1.0).square().mul_scalar(0.5),
            AdversarialLoss::Hinge => (-score).add_scalar(1.0).relu(),
            AdversarialLoss::Wasserstein => -score,
        }
    }

    /// What the discriminator pays for its score of each generated image.
    fn fake(self, score: &Var) -> Var {
        match self {
            AdversarialLoss::Minimax | AdversarialLoss::NonSaturating => score.softplus(),
            AdversarialLoss::LeastSquares => score.square().mul_scalar(0.5),
            AdversarialLoss::Hinge => score.add_scalar(1.0).relu(),
            AdversarialLoss::Wasserstein => score.clone(),
        }
    }

    /// The discriminator's loss, from its scores of images of the data and of as many generated ones,
    /// `[n]` each.
    pub fn discriminator(self, real: &Var, fake: &Var) -> Var {
        (&self.real(real) + &self.fake(fake)).mean()
    }

    /// The generator's loss, from the discriminator's scores of its images, `[n]`.
    pub fn generator(self, fake: &Var) -> Var {
        match self {
            AdversarialLoss::Minimax => -&fake.softplus().mean(),
            AdversarialLoss::NonSaturating => (-fake).softplus().mean(),
            AdversarialLoss::LeastSquares => fake.add_scalar(-1.0).square().mul_scalar(0.5).mean(),
            AdversarialLoss::Hinge | AdversarialLoss::Wasserstein => -&fake.mean(),
        }
    }

    /// What the first of [`AdversarialLoss::metrics`] is called.
    pub(super) fn figure(self) -> &'static str {
        match self {
            AdversarialLoss::Minimax | AdversarialLoss::NonSaturating => "value",
            _ => "loss_d",
        }
    }

    /// What is measured on test images, from the scores of as many real and generated ones: the
    /// value of the game, E[log D(x)] + E[log(1 - D(G(z)))], which is -ln 4 at equilibrium, and the
    /// mean verdicts; where scores are no logits, the discriminator's loss and the mean scores.
    pub(super) fn metrics(self, real: &Var, fake: &Var) -> Vec<Metric> {
        let loss = &self.real(real) + &self.fake(fake);
        match self {
            AdversarialLoss::Minimax | AdversarialLoss::NonSaturating => vec![
                Metric::new(self.figure(), "nats/image", -&loss),
                Metric::new("d_real", "probability", real.sigmoid()),
                Metric::new("d_fake", "probability", fake.sigmoid()),
            ],
            _ => vec![
                Metric::new(self.figure(), "per image", loss),
                Metric::new("d_real", "score", real.clone()),
                Metric::new("d_fake", "score", fake.clone()),
            ],
        }
    }
}
