//! A convolutional variational autoencoder: the one of the Keras documentation, two strided
//! convolutions down to a latent plane and three transposed convolutions back.

use super::vae::{descend, negative_elbo};
use super::{Family, LatentModel, Metric, Model, positive};
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Optimizer, Sequential};
use crate::ops::{ConvSpec, Latent};
use serde::{Deserialize, Serialize};

/// Sizes of a [`VaeConv`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConvConfig {
    /// Channels of the images.
    pub channels: usize,
    /// Height of the images, a multiple of 4.
    pub height: usize,
    /// Width of the images, a multiple of 4.
    pub width: usize,
    /// Filters of the first convolution.
    pub filters1: usize,
    /// Filters of the second convolution.
    pub filters2: usize,
    /// Units of the dense layer before the latent variables.
    pub dense: usize,
    /// Latent dimensions.
    pub latent: usize,
}

/// Encoder q(z|x) = N(μ, exp logvar), decoder p(x|z) Bernoulli, both convolutional.
pub struct VaeConv {
    config: VaeConvConfig,
    net: Network,
    encoder: Sequential,
    z_mean: Sequential,
    z_logvar: Sequential,
    decoder: Sequential,
}

impl VaeConv {
    /// The network, or a sentence about a size that makes no sense.
    pub fn new(c: &VaeConvConfig) -> Result<VaeConv, String> {
        positive(&[("channels", c.channels), ("height", c.height), ("width", c.width)])?;
        positive(&[("filters1", c.filters1), ("filters2", c.filters2), ("dense", c.dense), ("latent", c.latent)])?;
        if !c.height.is_multiple_of(4) || !c.width.is_multiple_of(4) {
            return Err(format!("model.height and model.width must be multiples of 4, not {}x{}", c.height, c.width));
        }
        // TensorFlow's "same" padding of a 3x3 kernel at stride 2 is all at bottom and right.
        let halve = ConvSpec { stride: [2, 2], padding: [0, 0, 1, 1], ..ConvSpec::default() };
        let keep = ConvSpec::new(1, 1);
        let (h, w) = (c.height / 4, c.width / 4);
        let plane = c.filters2 * h * w;
        let mut net = NetworkBuilder::new("vae", &Numbering::default()).glorot_init();
        let encoder = net
            .sequence("encoder")
            .conv(c.channels, c.filters1, 3, halve, true)
            .relu()
            .conv(c.filters1, c.filters2, 3, halve, true)
            .relu()
            .flatten()
            .linear(plane, c.dense, true)
            .relu()
            .build();
        let z_mean = net.linear("z_mean", c.dense, c.latent);
        let z_logvar = net.linear("z_logvar", c.dense, c.latent);
        let decoder = net
            .sequence("decoder")
            .linear(c.latent, plane, true)
            .relu()
            .unflatten([c.filters2, h, w])
            .conv_transpose(c.filters2, c.filters2, 3, halve, true)
            .relu()
            .conv_transpose(c.filters2, c.filters1, 3, halve, true)
            .relu()
            .conv_transpose(c.filters1, c.channels, 3, keep, true)
            .build();
        Ok(VaeConv { config: c.clone(), net: net.build(), encoder, z_mean, z_logvar, decoder })
    }

    fn posterior(&self, images: &Var) -> (Var, Var) {
        let h = self.encoder.forward(images, Mode::Train);
        (self.z_mean.forward(&h, Mode::Train), self.z_logvar.forward(&h, Mode::Train))
    }

    /// The two parts of -ELBO for every image: reconstruction and divergence, each [n].
    fn parts(&self, images: &Var) -> (Var, Var) {
        let (mu, logvar) = self.posterior(images);
        let Latent { z, kl } = mu.reparameterize(&logvar);
        let logits = self.decoder.forward(&z, Mode::Train);
        images.graph().scope("loss");
        let bce = logits.bce_with_logits(images).sum_axes(&[1, 2, 3]);
        (bce.reshape(&[images.shape()[0]]), kl)
    }
}

impl Model for VaeConv {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.net]
    }

    fn geometry(&self) -> [usize; 3] {
        [self.config.channels, self.config.height, self.config.width]
    }

    fn losses(&self) -> &'static [&'static str] {
        &["loss", "bce", "kl"]
    }

    fn step(&self, images: &Var, optim: &Optimizer) -> Vec<Var> {
        descend(self.parts(images), &self.net, optim)
    }

    fn evaluate(&self, images: &Var) -> Vec<Metric> {
        negative_elbo(self.parts(images))
    }

    fn family(&self) -> Family<'_> {
        Family::Latent(self)
    }
}

impl LatentModel for VaeConv {
    fn latent(&self) -> usize {
        self.config.latent
    }

    fn decode(&self, z: &Var) -> Var {
        self.decoder.forward(z, Mode::Train).sigmoid()
    }

    fn encode(&self, images: &Var) -> Option<Var> {
        Some(self.posterior(images).0)
    }
}
