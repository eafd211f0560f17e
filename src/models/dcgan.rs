//! Deep convolutional GANs: Radford, Metz & Chintala, "Unsupervised Representation Learning with
//! Deep Convolutional Generative Adversarial Networks" (ICLR 2016). With classes, both networks are told
//! them: Mirza & Osindero, "Conditional Generative Adversarial Nets" (2014).

use super::adversarial::{self, Game, Penalty, Players};
use super::{Batch, LatentModel, Model, few_classes, positive};
use crate::data::Medium;
use crate::graph::{Graph, Var};
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Sequence, Sequential};
use crate::ops::ConvSpec;
use serde::{Deserialize, Serialize};

/// How the discriminator's layers between its first and its last are normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// By batch norm, as in the paper.
    #[default]
    Batch,
    /// Not at all: each image is judged by itself.
    None,
    /// Not at all, but all weights, those of the first and last layer too, by their spectral norm
    /// (Miyato et al. 2018).
    Spectral,
}

/// Sizes of a [`Dcgan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DcganConfig {
    /// Side of the square images: 28, 32 or 64.
    pub image: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Frames of a film, which are channels to the networks; 1 for pictures. A film's frames lie one below the other.
    #[serde(default = "super::one")]
    pub frames: usize,
    /// Channels of the discriminator's first layer; every stage doubles them.
    pub width: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// Kinds of images, which join z in the generator and the channels of the image in the discriminator; 0
    /// for a model that does not ask.
    #[serde(default)]
    pub classes: usize,
    /// How the discriminator is normalised.
    #[serde(default)]
    pub discriminator_norm: Norm,
    /// How they play.
    #[serde(flatten)]
    pub game: Game,
}

/// Generator and discriminator.
pub struct Dcgan {
    config: DcganConfig,
    g: Network,
    d: Network,
    generator: Sequential,
    discriminator: Sequential,
}

/// The paper's slope of leaky ReLU.
const SLOPE: f32 = 0.2;

impl Dcgan {
    /// The networks, or a sentence about a size that makes no sense.
    pub fn new(c: &DcganConfig) -> Result<Dcgan, String> {
        positive(&[("channels", c.channels), ("frames", c.frames), ("width", c.width), ("latent", c.latent)])?;
        few_classes(c.classes)?;
        if let Some(fault) = c.game.fault() {
            return Err(fault);
        }
        if c.game.penalty != Penalty::None && c.discriminator_norm == Norm::Batch {
            return Err("model.penalty differentiates the discriminator twice, and batch norm has no second-order \
                        gradient; set model.discriminator_norm to none or spectral"
                .into());
        }
        let numbering = Numbering::default();
        let mut g = NetworkBuilder::new("generator", &numbering).dcgan_init();
        let mut d = NetworkBuilder::new("discriminator", &numbering).dcgan_init().only_trains();
        let (generator, discriminator) = match c.image {
            64 => (generator_64(&mut g, c), discriminator_64(&mut d, c)),
            28 | 32 => (generator_small(&mut g, c), discriminator_small(&mut d, c)),
            other => return Err(format!("model.image = {other} must be 28, 32 or 64")),
        };
        Ok(Dcgan { config: c.clone(), g: g.build(), d: d.build(), generator, discriminator })
    }
}

impl DcganConfig {
    /// Channels that the networks make and see: those of all frames.
    fn planes(&self) -> usize {
        self.channels * self.frames
    }
}

/// The convolution every stage halves or doubles its image with.
fn stage() -> ConvSpec {
    ConvSpec::new(2, 1)
}

/// 100 -> 8c x 4x4 -> 4c x 8x8 -> 2c x 16x16 -> c x 32x32 -> 64x64 (figure 1 of the paper).
fn generator_64(net: &mut NetworkBuilder, cfg: &DcganConfig) -> Sequential {
    let (z, c) = (cfg.latent + cfg.classes, cfg.width);
    let mut layers = net.sequence("generator");
    layers = layers.conv_transpose(z, 8 * c, 4, ConvSpec::new(1, 0), false).batch_norm(8 * c).relu();
    for wide in [8 * c, 4 * c, 2 * c] {
        layers = layers.conv_transpose(wide, wide / 2, 4, stage(), false).batch_norm(wide / 2).relu();
    }
    layers.conv_transpose(c, cfg.planes(), 4, stage(), false).tanh().build()
}

/// The generator's mirror; no batch norm at its input.
fn discriminator_64(net: &mut NetworkBuilder, cfg: &DcganConfig) -> Sequential {
    let c = cfg.width;
    let mut layers = start(net, cfg);
    layers = layers.conv(cfg.planes() + cfg.classes, c, 4, stage(), false).leaky_relu(SLOPE);
    for narrow in [c, 2 * c, 4 * c] {
        layers = narrower(layers, cfg, narrow);
    }
    layers.conv(8 * c, 1, 4, ConvSpec::new(1, 0), false).flatten().build()
}

/// The discriminator before its first layer.
fn start<'a>(net: &'a mut NetworkBuilder, cfg: &DcganConfig) -> Sequence<'a> {
    let layers = net.sequence("discriminator");
    if cfg.discriminator_norm == Norm::Spectral { layers.spectral_norm() } else { layers }
}

/// A stage of the discriminator, from `narrow` channels to twice as many. A convolution has a bias where
/// no batch norm behind it has one.
fn narrower<'a>(layers: Sequence<'a>, cfg: &DcganConfig, narrow: usize) -> Sequence<'a> {
    let wide = 2 * narrow;
    let layers = match cfg.discriminator_norm {
        Norm::Batch => layers.conv(narrow, wide, 4, stage(), false).batch_norm(wide),
        Norm::None | Norm::Spectral => layers.conv(narrow, wide, 4, stage(), true),
    };
    layers.leaky_relu(SLOPE)
}

/// Side of the smallest plane, and how many channels it has in units of the width.
fn smallest(cfg: &DcganConfig) -> (usize, usize) {
    if cfg.image == 28 { (7, 2) } else { (4, 4) }
}

/// A linear layer to the smallest plane, then transposed convolutions up to 28x28 or 32x32.
fn generator_small(net: &mut NetworkBuilder, cfg: &DcganConfig) -> Sequential {
    let (side, times) = smallest(cfg);
    let mut wide = times * cfg.width;
    let mut layers = net.sequence("generator");
    layers = layers.linear(cfg.latent + cfg.classes, wide * side * side, false).unflatten([wide, side, side]);
    layers = layers.batch_norm(wide).relu();
    while wide > cfg.width {
        layers = layers.conv_transpose(wide, wide / 2, 4, stage(), false).batch_norm(wide / 2).relu();
        wide /= 2;
    }
    layers.conv_transpose(cfg.width, cfg.planes(), 4, stage(), true).tanh().build()
}

/// The generator's mirror, ending in one linear unit.
fn discriminator_small(net: &mut NetworkBuilder, cfg: &DcganConfig) -> Sequential {
    let (side, times) = smallest(cfg);
    let mut narrow = cfg.width;
    let mut layers = start(net, cfg);
    layers = layers.conv(cfg.planes() + cfg.classes, narrow, 4, stage(), true).leaky_relu(SLOPE);
    while narrow < times * cfg.width {
        layers = narrower(layers, cfg, narrow);
        narrow *= 2;
    }
    layers.flatten().linear(narrow * side * side, 1, true).build()
}

/// Images with a channel more for each class: ones for an image's own, zeros for the others.
fn with_planes(images: &Var, labels: &Var) -> Var {
    let (x, [n, classes]) = (images.shape(), [labels.shape()[0], labels.shape()[1]]);
    let planes = images.graph().constant(&[n, classes, x[2], x[3]], 0.0);
    images.concat(&(&planes + &labels.reshape(&[n, classes, 1, 1])), 1)
}

impl Players for Dcgan {
    fn game(&self) -> &Game {
        &self.config.game
    }

    fn sides(&self) -> [&Network; 2] {
        [&self.g, &self.d]
    }

    fn prepare(&self, images: &Var, _: Mode) -> Var {
        let (n, side) = (images.shape()[0], self.config.image);
        images.reshape(&[n, self.config.planes(), side, side]).mul_scalar(2.0).add_scalar(-1.0)
    }

    fn generate(&self, z: &Var, labels: Option<&Var>, mode: Mode) -> Var {
        let z = &labels.map_or_else(|| z.clone(), |labels| z.concat(labels, 1));
        let z = if self.config.image == 64 { z.reshape(&[z.shape()[0], z.shape()[1], 1, 1]) } else { z.clone() };
        self.generator.forward(&z, mode)
    }

    fn scores(&self, images: &Var, labels: Option<&Var>, mode: Mode) -> Var {
        let n = images.shape()[0];
        let images = labels.map_or_else(|| images.clone(), |labels| with_planes(images, labels));
        self.discriminator.forward(&images, mode).reshape(&[n])
    }

    fn estimate_norms(&self, graph: &Graph) {
        self.discriminator.estimate_norms(graph);
    }
}

impl Model for Dcgan {
    adversarial::play!();

    fn geometry(&self) -> [usize; 3] {
        [self.config.channels, self.config.frames * self.config.image, self.config.image]
    }

    fn medium(&self) -> Medium {
        match self.config.frames {
            1 => Medium::Pictures,
            frames => Medium::Films { frames },
        }
    }

    fn classes(&self) -> usize {
        self.config.classes
    }

    fn discriminator_activations(&self, images: &Var) -> Vec<Var> {
        // One that is told the class cannot be asked for it.
        match self.config.classes {
            0 => self.discriminator.activations(&self.prepare(images, Mode::Eval), Mode::Eval),
            _ => Vec::new(),
        }
    }
}

impl LatentModel for Dcgan {
    fn latent(&self) -> usize {
        self.config.latent
    }

    fn decode(&self, z: &Var, labels: Option<&Var>) -> Var {
        let [c, h, w] = self.geometry();
        self.generate(z, labels, Mode::Eval).mul_scalar(0.5).add_scalar(0.5).reshape(&[z.shape()[0], c, h, w])
    }

    fn encode(&self, _: &Batch) -> Option<Var> {
        None
    }
}
