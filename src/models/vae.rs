//! The variational autoencoder of Kingma & Welling, "Auto-Encoding Variational Bayes" (ICLR 2014),
//! fully connected: in the shape of the well-known example, 784-400-(20, 20)-400-784, in the deeper
//! one of Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders" (ICLR 2016), and
//! others. With classes it is the conditional one of Sohn, Lee & Yan, "Learning Structured Output
//! Representation using Deep Conditional Generative Models" (NIPS 2015), the label being given, as
//! in the model M2 of Kingma et al., "Semi-supervised Learning with Deep Generative Models" (NIPS
//! 2014).

use super::{
    Architecture, Batch, Decoder, ImageSpec, Model, ModelError, Objective, Variational, VariationalModel, few_classes,
    one, positive,
};
use crate::data::Binarisation;
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Sequential};
use serde::{Deserialize, Serialize};

/// Sizes of a [`Vae`], and what it maximises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Channels of the images.
    pub channels: usize,
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Units of each hidden layer.
    pub hidden: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// Classes of the images, which encoder and decoder are told; 0 for a model that does not ask.
    #[serde(default)]
    pub classes: usize,
    /// Hidden layers on each side.
    #[serde(default = "one")]
    pub layers: usize,
    /// What follows a hidden layer.
    #[serde(default)]
    pub activation: Activation,
    /// How grey levels become the binary pixels that the decoder speaks of.
    #[serde(default)]
    pub binarisation: Binarisation,
    /// Draws of z for each image: with more than one, the bound of Burda et al. is maximised.
    #[serde(default = "one")]
    pub samples: usize,
    /// Weight of the divergence (Higgins et al. 2017).
    #[serde(default = "one")]
    pub beta: f64,
    /// Steps over which that weight rises from 0 (Sønderby et al. 2016); 0 for none.
    #[serde(default)]
    pub warm_up: u32,
}

/// What follows a hidden layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0), and weights that start as PyTorch's.
    #[default]
    Relu,
    /// tanh x, and weights that start as Glorot & Bengio (2010) have it, who studied it.
    Tanh,
}

impl Architecture for VaeConfig {
    const KIND: &'static str = "vae";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Variational(Vae::new(self)?)))
    }
}

/// Encoder q(z|x) = N(μ, exp logvar), decoder p(x|z) Bernoulli; with classes q(z|x,y) and p(x|z,y).
pub struct Vae {
    config: VaeConfig,
    objective: Objective,
    net: Network,
    encoder: Vec<Sequential>,
    fc21: Sequential,
    fc22: Sequential,
    decoder: Vec<Sequential>,
    fc4: Sequential,
}

impl Vae {
    /// The network.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn new(c: &VaeConfig) -> Result<Vae, ModelError> {
        positive(&[("channels", c.channels), ("height", c.height), ("width", c.width)])?;
        positive(&[("hidden", c.hidden), ("latent", c.latent), ("layers", c.layers)])?;
        if c.layers > MAX_LAYERS {
            return Err(ModelError::setting("layers", c.layers, format!("must be at most {MAX_LAYERS}")));
        }
        few_classes(c.classes)?;
        let objective = Objective { samples: c.samples, beta: c.beta, warm_up: c.warm_up };
        objective.check()?;
        let pixels = c.channels * c.height * c.width;
        let net = NetworkBuilder::new("vae", &Numbering::default());
        let mut net = if c.activation == Activation::Tanh { net.glorot_init() } else { net };
        let encoder = hidden(&mut net, "fc1", pixels + c.classes, c);
        let fc21 = net.linear("fc21", c.hidden, c.latent);
        let fc22 = net.linear("fc22", c.hidden, c.latent);
        let decoder = hidden(&mut net, "fc3", c.latent + c.classes, c);
        let fc4 = net.linear("fc4", c.hidden, pixels);
        Ok(Vae { config: c.clone(), objective, net: net.build(), encoder, fc21, fc22, decoder, fc4 })
    }

    fn apply(&self, layers: &[Sequential], x: &Var) -> Var {
        layers.iter().fold(x.clone(), |x, layer| match self.config.activation {
            Activation::Relu => layer.forward(&x, Mode::Train).relu(),
            Activation::Tanh => layer.forward(&x, Mode::Train).tanh(),
        })
    }
}

/// Hidden layers on a side, at most: beyond a few nothing is gained, and names and listings grow.
const MAX_LAYERS: usize = 64;

/// The hidden layers of a side: `NAME`, `NAME_2`, `NAME_3`, ...
fn hidden(net: &mut NetworkBuilder, name: &str, inputs: usize, c: &VaeConfig) -> Vec<Sequential> {
    let mut layers = vec![net.linear(name, inputs, c.hidden)];
    layers.extend((2..=c.layers).map(|i| net.linear(&format!("{name}_{i}"), c.hidden, c.hidden)));
    layers
}

/// Rows [n,d] with their labels [n,classes] behind them.
fn joined(x: &Var, labels: Option<&Var>) -> Var {
    labels.map_or_else(|| x.clone(), |labels| x.concat(labels, 1))
}

impl VariationalModel for Vae {
    fn network(&self) -> &Network {
        &self.net
    }

    fn images(&self) -> ImageSpec {
        let VaeConfig { channels, height, width, classes, binarisation, .. } = self.config;
        ImageSpec { classes, binarisation, ..ImageSpec::new([channels, height, width]) }
    }

    fn latent(&self) -> usize {
        self.config.latent
    }

    fn objective(&self) -> Objective {
        self.objective
    }

    fn posterior(&self, x: &Batch) -> (Var, Var) {
        let h = self.apply(&self.encoder, &joined(&x.images.flatten(), x.labels.as_ref()));
        (self.fc21.forward(&h, Mode::Train), self.fc22.forward(&h, Mode::Train))
    }

    fn outputs(&self, z: &Var, labels: Option<&Var>) -> Var {
        let h = self.apply(&self.decoder, &joined(z, labels));
        self.fc4.forward(&h, Mode::Train)
    }

    fn decoder(&self) -> Decoder {
        Decoder::Bernoulli
    }
}
