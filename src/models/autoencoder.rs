//! An autoencoder (Hinton & Salakhutdinov, "Reducing the Dimensionality of Data with Neural
//! Networks", Science 2006): a code, and images again, by least squares.

use super::{Architecture, Batch, Encoder, Family, ImageSpec, LatentModel, Metric, Model, ModelError, positive};
use crate::graph::Var;
use crate::nn::{Init, Mode, Network, NetworkBuilder, Numbering, Optimizer, Param, Sequential};
use serde::{Deserialize, Serialize};

/// Sizes of an [`Autoencoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// Channels of the images.
    pub channels: usize,
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Units of the hidden layer on each side.
    pub hidden: usize,
    /// Dimensions of the code.
    pub latent: usize,
}

/// How far the statistics of codes move towards those of a batch.
const MOMENTUM: f32 = 0.01;

/// Under the root of the codes' variance.
const EPS: f32 = 1e-5;

impl Architecture for AutoencoderConfig {
    const KIND: &'static str = "ae";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Autoencoder::new(self)?))
    }
}

/// Encoder and decoder. It has no prior: a Gaussian stands in, with the running mean and variance
/// of the codes it was trained on, and latent vectors are codes in its units.
pub struct Autoencoder {
    config: AutoencoderConfig,
    net: Network,
    encoder: Sequential,
    decoder: Sequential,
    mean: Param,
    variance: Param,
}

impl Autoencoder {
    /// The network.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &AutoencoderConfig) -> Result<Autoencoder, ModelError> {
        positive(&[("channels", c.channels), ("height", c.height), ("width", c.width)])?;
        positive(&[("hidden", c.hidden), ("latent", c.latent)])?;
        let pixels = c.channels * c.height * c.width;
        let mut net = NetworkBuilder::new("ae", &Numbering::default());
        let encoder = net.sequence("encoder").flatten().linear(pixels, c.hidden, true).relu();
        let encoder = encoder.linear(c.hidden, c.latent, true).build();
        let decoder = net.sequence("decoder").linear(c.latent, c.hidden, true).relu();
        let decoder = decoder.linear(c.hidden, pixels, true).unflatten([c.channels, c.height, c.width]).build();
        let mean = net.stat("code.running_mean".into(), &[c.latent], Init::Zeros);
        let variance = net.stat("code.running_var".into(), &[c.latent], Init::Ones);
        Ok(Autoencoder { config: c.clone(), net: net.build(), encoder, decoder, mean, variance })
    }

    fn reconstruct(&self, code: &Var) -> Var {
        self.decoder.forward(code, Mode::Train).sigmoid()
    }

    /// Mean and standard deviation of the codes, each [latent].
    fn statistics(&self, like: &Var) -> (Var, Var) {
        let graph = like.graph();
        (self.mean.var(graph), self.variance.var(graph).add_scalar(EPS).sqrt())
    }
}

impl Model for Autoencoder {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.net]
    }

    fn images(&self) -> ImageSpec {
        ImageSpec::new([self.config.channels, self.config.height, self.config.width])
    }

    fn losses(&self) -> &'static [&'static str] {
        &["mse"]
    }

    fn step(&self, batch: &Batch, optim: &Optimizer) -> Vec<Var> {
        let images = &batch.images;
        let code = self.encoder.forward(images, Mode::Train);
        let loss = self.reconstruct(&code).mse(images).mean();
        optim.minimize(&loss, &self.net);
        let graph = images.graph();
        graph.scope("code");
        let mean = code.mean_axes(&[0]).over_batch();
        let variance = (&code - &mean).square().mean_axes(&[0]).over_batch();
        graph.ema(&mean, &self.mean.var(graph), MOMENTUM, 1.0);
        graph.ema(&variance, &self.variance.var(graph), MOMENTUM, 1.0);
        vec![loss]
    }

    fn evaluate(&self, batch: &Batch) -> Vec<Metric> {
        let images = &batch.images;
        let code = self.encoder.forward(images, Mode::Train);
        let each = self.reconstruct(&code).mse(images).flatten().mean_axes(&[1]);
        let values = each.reshape(&[images.shape()[0]]);
        vec![Metric::new("mse", "per pixel", values)]
    }

    fn family(&self) -> Family<'_> {
        Family::Latent(self)
    }
}

impl LatentModel for Autoencoder {
    fn latent(&self) -> usize {
        self.config.latent
    }

    fn decode(&self, z: &Var, _: Option<&Var>) -> Var {
        let (mean, deviation) = self.statistics(z);
        self.reconstruct(&(&(z * &deviation) + &mean))
    }

    fn encoder(&self) -> Option<&dyn Encoder> {
        Some(self)
    }

    fn caveat(&self) -> Option<&'static str> {
        Some(
            "an autoencoder has no prior: these are codes drawn from a Gaussian with the mean and variance of the \
             codes it was trained on",
        )
    }
}

impl Encoder for Autoencoder {
    fn encode(&self, batch: &Batch) -> Var {
        let (mean, deviation) = self.statistics(&batch.images);
        &(&self.encoder.forward(&batch.images, Mode::Train) - &mean) / &deviation
    }
}
