//! The first generative adversarial network: Goodfellow et al., "Generative Adversarial Nets" (NIPS
//! 2014), with the fully connected networks the paper has for MNIST.

use super::{Adversarial, AdversarialModel, Architecture, Game, ImageSpec, Model, ModelError, Prior, finite, positive};
use crate::graph::{Graph, Var};
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Sequential};
use serde::{Deserialize, Serialize};

/// Sizes of a [`Gan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanConfig {
    /// Side of the square images.
    pub image: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// Units of each of the generator's two hidden layers.
    pub hidden: usize,
    /// Units of each of the discriminator's two maxout layers.
    pub units: usize,
    /// Linear pieces of a maxout unit.
    pub pieces: usize,
    /// The largest length of the weights of each piece, and of the discriminator's last unit; 0 for
    /// any.
    pub max_norm: f64,
    /// How they play.
    #[serde(flatten)]
    pub game: Game,
}

impl Architecture for GanConfig {
    const KIND: &'static str = "gan";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Adversarial(Gan::new(self)?)))
    }
}

/// Generator and discriminator.
pub struct Gan {
    config: GanConfig,
    g: Network,
    d: Network,
    generator: Sequential,
    discriminator: Sequential,
}

/// Bound of the generator's initial weights.
const GENERATOR_INIT: f32 = 0.05;
/// Bound of the discriminator's initial weights.
const DISCRIMINATOR_INIT: f32 = 0.005;
/// Dropout keeps this share of the pixels the discriminator sees,
const KEEP_INPUT: f32 = 0.8;
/// and this of its hidden units.
const KEEP_HIDDEN: f32 = 0.5;

impl Gan {
    /// The networks.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &GanConfig) -> Result<Gan, ModelError> {
        positive(&[("image", c.image), ("channels", c.channels), ("latent", c.latent)])?;
        positive(&[("hidden", c.hidden), ("units", c.units), ("pieces", c.pieces)])?;
        c.game.check()?;
        finite(&[("max_norm", c.max_norm)])?;
        let pixels = c.channels * c.image * c.image;
        let numbering = Numbering::default();
        let mut g = NetworkBuilder::new("generator", &numbering).uniform_init(GENERATOR_INIT);
        let mut d = NetworkBuilder::new("discriminator", &numbering).uniform_init(DISCRIMINATOR_INIT).only_trains();
        let generator = g
            .sequence("generator")
            .linear(c.latent, c.hidden, true)
            .relu()
            .linear(c.hidden, c.hidden, true)
            .relu()
            .linear(c.hidden, pixels, true)
            .sigmoid()
            .unflatten([c.channels, c.image, c.image])
            .build();
        let discriminator = d
            .sequence("discriminator")
            .flatten()
            .dropout(KEEP_INPUT)
            .maxout(pixels, c.units, c.pieces)
            .dropout(KEEP_HIDDEN)
            .maxout(c.units, c.units, c.pieces)
            .dropout(KEEP_HIDDEN)
            .linear(c.units, 1, true)
            .build();
        Ok(Gan { config: c.clone(), g: g.build(), d: d.build(), generator, discriminator })
    }
}

impl AdversarialModel for Gan {
    fn game(&self) -> &Game {
        &self.config.game
    }

    fn networks(&self) -> [&Network; 2] {
        [&self.g, &self.d]
    }

    fn images(&self) -> ImageSpec {
        ImageSpec::new([self.config.channels, self.config.image, self.config.image])
    }

    fn latent(&self) -> usize {
        self.config.latent
    }

    fn prior(&self) -> Prior {
        Prior::Uniform
    }

    fn prepare(&self, images: &Var, _: Mode) -> Var {
        images.clone()
    }

    fn generate(&self, z: &Var, _: Option<&Var>, mode: Mode) -> Var {
        self.generator.forward(z, mode)
    }

    fn finish(&self, generated: &Var) -> Var {
        generated.clone()
    }

    fn scores(&self, images: &Var, _: Option<&Var>, mode: Mode) -> Var {
        self.discriminator.forward(images, mode).reshape(&[images.shape()[0]])
    }

    fn constrain(&self, graph: &Graph) {
        if self.config.max_norm > 0.0 {
            self.discriminator.max_norm(graph, self.config.max_norm as f32);
        }
    }
}
