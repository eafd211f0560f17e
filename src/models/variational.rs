//! What variational autoencoders share: the evidence lower bound of Kingma & Welling (ICLR 2014),
//! with the β of Higgins et al. (ICLR 2017) and the warm-up of Sønderby et al. (NeurIPS 2016), and
//! the bound of k draws of Burda, Grosse & Salakhutdinov (ICLR 2016).

use super::{
    Batch, Decoder, Densities, Encoder, Family, ImageSpec, LatentModel, Likelihood, Metric, Model, ModelError, finite,
};
use crate::graph::Var;
use crate::nn::{Network, Optimizer};
use crate::ops::Latent;

/// An encoder q(z|x) = N(μ, exp logvar) and a decoder p(x|z), under the prior N(0, 1), which
/// [`Variational`] makes a [`Model`] of.
pub trait VariationalModel {
    /// Its network.
    fn network(&self) -> &Network;

    /// What its images are.
    fn images(&self) -> ImageSpec;

    /// Latent dimensions.
    fn latent(&self) -> usize;

    /// What training maximises.
    fn objective(&self) -> Objective;

    /// The family of p(x|z).
    fn decoder(&self) -> Decoder;

    /// μ and logvar of q(z|x), each `[n,latent]`, from images as the model sees them.
    fn posterior(&self, x: &Batch) -> (Var, Var);

    /// What the decoder makes of z `[m,latent]` and of the labels `[m,classes]` of a model with
    /// classes: the parameters of p(x|z), [m,...].
    fn outputs(&self, z: &Var, labels: Option<&Var>) -> Var;
}

/// What training maximises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Draws of z for each image: with 1 the evidence lower bound, with more that of Burda et al.
    pub samples: usize,
    /// Weight of the divergence.
    pub beta: f64,
    /// Steps over which that weight rises linearly from 0; 0 for none.
    pub warm_up: u32,
}

impl Objective {
    /// Refuses what makes no sense.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let Objective { samples, beta, warm_up } = *self;
        if samples == 0 {
            return Err(ModelError::setting("samples", samples, "must be at least 1"));
        }
        finite(&[("beta", beta)])?;
        if samples > 1 && (beta != 1.0 || warm_up > 0) {
            return Err(ModelError::Settings(format!(
                "model.beta and model.warm_up weigh a divergence that the bound of model.samples = {samples} draws \
                 does not have; set model.samples=1, or beta=1 and warm_up=0"
            )));
        }
        Ok(())
    }

    /// The loss of images as the model sees them, the mean reconstruction -log p(x|z), and the mean
    /// divergence of q(z|x) from the prior, which with several draws is their estimate.
    fn losses(&self, model: &dyn VariationalModel, x: &Batch) -> [Var; 3] {
        if self.samples > 1 {
            let Draws { nll, divergence } = draws(model, x, self.samples);
            let bound = (-&(&nll + &divergence)).log_sum_exp(0).add_scalar(-(self.samples as f32).ln());
            [-&bound.mean(), nll.mean(), divergence.mean()]
        } else {
            let (nll, kl) = parts(model, x);
            let (nll, kl) = (nll.mean(), kl.mean());
            [&nll + &self.weigh(&kl), nll, kl]
        }
    }

    /// β times a divergence, less while it warms up.
    fn weigh(&self, kl: &Var) -> Var {
        let kl = if self.beta == 1.0 { kl.clone() } else { kl.mul_scalar(self.beta as f32) };
        match self.warm_up {
            0 => kl,
            steps => &kl * &kl.graph().ramp(0.0, 1.0, steps as usize),
        }
    }
}

/// The two parts of -ELBO for every image, each [n] in nats: reconstruction, from one draw of z,
/// and divergence in closed form.
fn parts(model: &dyn VariationalModel, x: &Batch) -> (Var, Var) {
    let (mu, logvar) = model.posterior(x);
    let Latent { z, kl, .. } = mu.reparameterize(&logvar);
    let outputs = model.outputs(&z, x.labels.as_ref());
    x.graph().scope("loss");
    (model.decoder().nll(&outputs, &x.images), kl)
}

/// Draws of z from q(z|x), several for each image.
struct Draws {
    /// -log p(x|z), [samples,n].
    nll: Var,
    /// log q(z|x) - log p(z), [samples,n].
    divergence: Var,
}

fn draws(model: &dyn VariationalModel, x: &Batch, samples: usize) -> Draws {
    let (mu, logvar) = model.posterior(x);
    let (n, latent) = (mu.shape()[0], mu.shape()[1]);
    x.graph().scope("draws");
    let noise = x.graph().normal_along(1, &[samples, n, latent]);
    let z = &mu + &(&logvar.mul_scalar(0.5).exp() * &noise);
    let labels = x.labels.as_ref().map(|labels| labels.repeat(samples));
    let outputs = model.outputs(&z.reshape(&[samples * n, latent]), labels.as_ref());
    x.graph().scope("loss");
    // With z = μ + σε both densities have the same constant: twice the difference of their
    // logarithms is Σ z² - ε² - log σ².
    let twice = &(&z.square() - &noise.square()) - &logvar;
    let divergence = twice.sum_axes(&[2]).mul_scalar(0.5).reshape(&[samples, n]);
    Draws { nll: model.decoder().nll(&outputs, &x.images).reshape(&[samples, n]), divergence }
}

/// A [`Model`] that is trained by a bound on the likelihood.
#[derive(Debug)]
pub struct Variational<M>(pub M);

impl<M: VariationalModel> Model for Variational<M> {
    fn networks(&self) -> Vec<&Network> {
        vec![self.0.network()]
    }

    fn images(&self) -> ImageSpec {
        self.0.images()
    }

    fn likelihood(&self) -> Likelihood {
        self.0.decoder().likelihood()
    }

    fn losses(&self) -> &'static [&'static str] {
        self.0.decoder().losses()
    }

    fn step(&self, batch: &Batch, optim: &Optimizer) -> Vec<Var> {
        let losses = self.0.objective().losses(&self.0, &self.observe(batch));
        optim.minimize(&losses[0], self.0.network());
        losses.into()
    }

    fn figure(&self) -> &'static str {
        "elbo"
    }

    /// -ELBO and its parts, whatever bound was trained.
    fn evaluate(&self, batch: &Batch) -> Vec<Metric> {
        let (nll, kl) = parts(&self.0, &self.observe(batch));
        let metric = |name, values| Metric::new(name, "nats/image", values);
        let [loss, reconstruction, divergence] = self.0.decoder().losses();
        let bound = metric(loss, &nll + &kl);
        vec![
            Metric { likelihood: self.likelihood(), negative_of: Some(self.figure()), ..bound },
            metric(reconstruction, nll),
            metric(divergence, kl),
        ]
    }

    fn family(&self) -> Family<'_> {
        Family::Latent(self)
    }
}

impl<M: VariationalModel> LatentModel for Variational<M> {
    fn latent(&self) -> usize {
        self.0.latent()
    }

    fn decode(&self, z: &Var, labels: Option<&Var>) -> Var {
        let [c, h, w] = self.0.images().geometry;
        self.0.decoder().mean(&self.0.outputs(z, labels)).reshape(&[z.shape()[0], c, h, w])
    }

    fn encoder(&self) -> Option<&dyn Encoder> {
        Some(self)
    }

    fn densities(&self) -> Option<&dyn Densities> {
        Some(self)
    }
}

impl<M: VariationalModel> Encoder for Variational<M> {
    fn encode(&self, batch: &Batch) -> Var {
        self.0.posterior(batch).0
    }
}

impl<M: VariationalModel> Densities for Variational<M> {
    /// The logarithm of the weights' mean exponential estimates log p(x).
    fn log_weights(&self, x: &Batch, samples: usize) -> Var {
        let Draws { nll, divergence } = draws(&self.0, x, samples);
        -&(&nll + &divergence)
    }
}
