//! A convolutional variational autoencoder: the one of the Keras documentation, two strided
//! convolutions down to a latent plane and three transposed convolutions back.

use super::{
    Architecture, Batch, Decoder, ImageSpec, Model, ModelError, Objective, Variational, VariationalModel, one, positive,
};
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Sequential};
use crate::ops::ConvSpec;
use serde::{Deserialize, Serialize};

/// Sizes of a [`VaeConv`], and what it maximises.
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
    /// The family of p(x|z).
    #[serde(default)]
    pub decoder: Decoder,
    /// Weight of the divergence (Higgins et al. 2017).
    #[serde(default = "one")]
    pub beta: f64,
    /// Steps over which that weight rises from 0 (Sønderby et al. 2016); 0 for none.
    #[serde(default)]
    pub warm_up: u32,
}

impl Architecture for VaeConvConfig {
    const KIND: &'static str = "vae-conv";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Variational(VaeConv::new(self)?)))
    }
}

/// Encoder q(z|x) = N(μ, exp logvar), decoder p(x|z), both convolutional.
pub struct VaeConv {
    config: VaeConvConfig,
    objective: Objective,
    net: Network,
    encoder: Sequential,
    z_mean: Sequential,
    z_logvar: Sequential,
    decoder: Sequential,
}

impl VaeConv {
    /// The network.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(c: &VaeConvConfig) -> Result<VaeConv, ModelError> {
        positive(&[("channels", c.channels), ("height", c.height), ("width", c.width)])?;
        positive(&[("filters1", c.filters1), ("filters2", c.filters2), ("dense", c.dense), ("latent", c.latent)])?;
        if !c.height.is_multiple_of(4) || !c.width.is_multiple_of(4) {
            let why = format!("model.height and model.width must be multiples of 4, not {}x{}", c.height, c.width);
            return Err(ModelError::Settings(why));
        }
        let objective = Objective { samples: 1, beta: c.beta, warm_up: c.warm_up };
        objective.check()?;
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
            .conv_transpose(c.filters1, c.decoder.parameters() * c.channels, 3, keep, true)
            .build();
        Ok(VaeConv { config: c.clone(), objective, net: net.build(), encoder, z_mean, z_logvar, decoder })
    }
}

impl VariationalModel for VaeConv {
    fn network(&self) -> &Network {
        &self.net
    }

    fn images(&self) -> ImageSpec {
        ImageSpec::new([self.config.channels, self.config.height, self.config.width])
    }

    fn latent(&self) -> usize {
        self.config.latent
    }

    fn objective(&self) -> Objective {
        self.objective
    }

    fn posterior(&self, x: &Batch) -> (Var, Var) {
        let h = self.encoder.forward(&x.images, Mode::Train);
        (self.z_mean.forward(&h, Mode::Train), self.z_logvar.forward(&h, Mode::Train))
    }

    fn outputs(&self, z: &Var, _: Option<&Var>) -> Var {
        self.decoder.forward(z, Mode::Train)
    }

    fn decoder(&self) -> Decoder {
        self.config.decoder
    }
}
