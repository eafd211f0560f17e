//! Deep convolutional GANs: Radford, Metz & Chintala, "Unsupervised Representation Learning with
//! Deep Convolutional Generative Adversarial Networks" (ICLR 2016). With classes, both networks are
//! told them: Mirza & Osindero, "Conditional Generative Adversarial Nets" (2014).

use super::{
    Adversarial, AdversarialModel, Architecture, Game, ImageSpec, Model, ModelError, Penalty, few_classes, positive,
};
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
    /// Side of the images: 4, 5 or 7 times a power of two, from 16 to 256.
    pub image: usize,
    /// Height, where it is not the side: another such number, with the same power of two; 0 where
    /// it is.
    #[serde(default)]
    pub image_height: usize,
    /// Width, likewise.
    #[serde(default)]
    pub image_width: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Frames of a film, which are channels to the networks; 1 for pictures. A film's frames lie
    /// one below the other.
    #[serde(default = "super::one")]
    pub frames: usize,
    /// Channels of the discriminator's first layer; every stage doubles them, up to eight times as
    /// many.
    pub width: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// Kinds of images, which join z in the generator and the channels of the image in the
    /// discriminator; 0 for a model that does not ask.
    #[serde(default)]
    pub classes: usize,
    /// How the discriminator is normalised.
    #[serde(default)]
    pub discriminator_norm: Norm,
    /// How they play.
    #[serde(flatten)]
    pub game: Game,
}

impl Architecture for DcganConfig {
    const KIND: &'static str = "dcgan";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Adversarial(Dcgan::new(self)?)))
    }
}

/// Generator and discriminator.
pub struct Dcgan {
    config: DcganConfig,
    g: Network,
    d: Network,
    generator: Sequential,
    discriminator: Sequential,
    /// Whether the generator begins in a convolution.
    is_deep: bool,
}

/// The paper's slope of leaky ReLU.
const SLOPE: f32 = 0.2;

impl Dcgan {
    /// The networks.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &DcganConfig) -> Result<Dcgan, ModelError> {
        positive(&[("channels", c.channels), ("frames", c.frames), ("width", c.width), ("latent", c.latent)])?;
        few_classes(c.classes)?;
        c.game.check()?;
        if c.game.penalty != Penalty::None && c.discriminator_norm == Norm::Batch {
            let why = "model.penalty differentiates the discriminator twice, and batch norm has no second-order \
                       gradient; set model.discriminator_norm to none or spectral";
            return Err(ModelError::Settings(why.into()));
        }
        let numbering = Numbering::default();
        let mut g = NetworkBuilder::new("generator", &numbering).dcgan_init();
        let mut d = NetworkBuilder::new("discriminator", &numbering).dcgan_init().only_trains();
        let plan = Plan::of(c)?;
        let (generator, discriminator) = match plan.is_deep() {
            true => (generator_deep(&mut g, c, &plan), discriminator_deep(&mut d, c, &plan)),
            false => (generator_small(&mut g, c, &plan), discriminator_small(&mut d, c, &plan)),
        };
        Ok(Dcgan { config: c.clone(), g: g.build(), d: d.build(), generator, discriminator, is_deep: plan.is_deep() })
    }
}

impl DcganConfig {
    /// How its images are halved.
    ///
    /// # Errors
    /// Sides that cannot be.
    pub(crate) fn plan(&self) -> Result<Plan, ModelError> {
        Plan::of(self)
    }

    /// Channels that the networks make and see: those of all frames.
    pub(crate) fn planes(&self) -> usize {
        self.channels * self.frames
    }

    /// Height and width of a frame.
    pub(crate) fn sides(&self) -> [usize; 2] {
        [self.image_height, self.image_width].map(|side| if side == 0 { self.image } else { side })
    }
}

/// Sides that images may have.
const SIDES: [usize; 2] = [16, 256];

/// Stages from which on the networks begin and end in convolutions, as the paper's do; smaller ones
/// have linear layers there.
const DEEP: usize = 4;

/// How often an image is halved, and to what.
pub(crate) struct Plan {
    /// Sides of the smallest plane.
    pub(crate) smallest: [usize; 2],
    /// Channels behind each stage of the discriminator, from the image on.
    channels: Vec<usize>,
}

impl Plan {
    /// The plan of images of these settings.
    ///
    /// # Errors
    /// Sides that cannot be halved so.
    fn of(c: &DcganConfig) -> Result<Plan, ModelError> {
        // A side as 4, 5 or 7 times a power of two.
        let halved = |side: usize| {
            let stages = (1..).take_while(|n| side >> n >= 4).find(|n| matches!(side >> n, 4 | 5 | 7))?;
            let fits = (SIDES[0]..=SIDES[1]).contains(&side) && side.is_multiple_of(1 << stages);
            fits.then_some((side >> stages, stages))
        };
        let [height, width] = c.sides();
        for (key, given, side) in [("image_height", c.image_height, height), ("image_width", c.image_width, width)] {
            let key = if given == 0 { "image" } else { key };
            if halved(side).is_none() {
                let sides: Vec<String> =
                    (SIDES[0]..=SIDES[1]).filter(|s| halved(*s).is_some()).map(|s| s.to_string()).collect();
                return Err(ModelError::setting(key, side, format!("must be one of {}", sides.join(", "))));
            }
        }
        match (halved(height), halved(width)) {
            (Some((h, stages)), Some((w, same))) if stages == same => {
                let channels = (0..stages).map(|k| c.width.saturating_mul(1 << k.min(3))).collect();
                Ok(Plan { smallest: [h, w], channels })
            }
            _ => Err(ModelError::Settings(format!(
                "model.image_height = {height} and model.image_width = {width} must be 4, 5 or 7 times the same power \
                 of two, such as 64 and 80, or 128 and 224"
            ))),
        }
    }

    /// Whether the networks begin and end in convolutions.
    pub(crate) fn is_deep(&self) -> bool {
        self.channels.len() >= DEEP
    }

    /// Channels of the smallest plane.
    pub(crate) fn most(&self) -> usize {
        self.channels.last().copied().unwrap_or(0)
    }

    /// Channels before and behind each stage of the discriminator after the first.
    pub(crate) fn steps(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> {
        std::iter::zip(&self.channels, self.channels.iter().skip(1)).map(|(narrow, wide)| (*narrow, *wide))
    }
}

/// The convolution every stage halves or doubles its image with.
fn stage() -> ConvSpec {
    ConvSpec::new(2, 1)
}

/// 100 -> 8c x 4x4 -> 4c x 8x8 -> 2c x 16x16 -> c x 32x32 -> 64x64 (figure 1 of the paper), and
/// more stages for larger images.
fn generator_deep(net: &mut NetworkBuilder, cfg: &DcganConfig, plan: &Plan) -> Sequential {
    let (z, most, [h, w]) = (cfg.latent + cfg.classes, plan.most(), plan.smallest);
    let mut layers = net.sequence("generator");
    layers = layers.conv_transpose_with([z, most, h, w], ConvSpec::new(1, 0), false).batch_norm(most).relu();
    for (narrow, wide) in plan.steps().rev() {
        layers = layers.conv_transpose(wide, narrow, 4, stage(), false).batch_norm(narrow).relu();
    }
    layers.conv_transpose(cfg.width, cfg.planes(), 4, stage(), false).tanh().build()
}

/// The generator's mirror; no batch norm at its input.
fn discriminator_deep(net: &mut NetworkBuilder, cfg: &DcganConfig, plan: &Plan) -> Sequential {
    let [h, w] = plan.smallest;
    let mut layers = start(net, cfg);
    layers = layers.conv(cfg.planes() + cfg.classes, cfg.width, 4, stage(), false).leaky_relu(SLOPE);
    for (narrow, wide) in plan.steps() {
        layers = narrower(layers, cfg, narrow, wide);
    }
    layers.conv_with([1, plan.most(), h, w], ConvSpec::new(1, 0), false).flatten().build()
}

/// The discriminator before its first layer.
fn start<'a>(net: &'a mut NetworkBuilder, cfg: &DcganConfig) -> Sequence<'a> {
    let layers = net.sequence("discriminator");
    if cfg.discriminator_norm == Norm::Spectral { layers.spectral_norm() } else { layers }
}

/// A stage of the discriminator, from `narrow` channels to `wide`. A convolution has a bias where
/// no batch norm behind it has one.
fn narrower<'a>(layers: Sequence<'a>, cfg: &DcganConfig, narrow: usize, wide: usize) -> Sequence<'a> {
    let layers = match cfg.discriminator_norm {
        Norm::Batch => layers.conv(narrow, wide, 4, stage(), false).batch_norm(wide),
        Norm::None | Norm::Spectral => layers.conv(narrow, wide, 4, stage(), true),
    };
    layers.leaky_relu(SLOPE)
}

/// A linear layer to the smallest plane, then transposed convolutions.
fn generator_small(net: &mut NetworkBuilder, cfg: &DcganConfig, plan: &Plan) -> Sequential {
    let (most, [h, w]) = (plan.most(), plan.smallest);
    let mut layers = net.sequence("generator");
    layers = layers.linear(cfg.latent + cfg.classes, most * h * w, false).unflatten([most, h, w]);
    layers = layers.batch_norm(most).relu();
    for (narrow, wide) in plan.steps().rev() {
        layers = layers.conv_transpose(wide, narrow, 4, stage(), false).batch_norm(narrow).relu();
    }
    layers.conv_transpose(cfg.width, cfg.planes(), 4, stage(), true).tanh().build()
}

/// The generator's mirror, ending in one linear unit.
fn discriminator_small(net: &mut NetworkBuilder, cfg: &DcganConfig, plan: &Plan) -> Sequential {
    let (most, [h, w]) = (plan.most(), plan.smallest);
    let mut layers = start(net, cfg);
    layers = layers.conv(cfg.planes() + cfg.classes, cfg.width, 4, stage(), true).leaky_relu(SLOPE);
    for (narrow, wide) in plan.steps() {
        layers = narrower(layers, cfg, narrow, wide);
    }
    layers.flatten().linear(most * h * w, 1, true).build()
}

/// Images with a channel more for each class: ones for an image's own, zeros for the others.
fn with_planes(images: &Var, labels: &Var) -> Var {
    let (x, [n, classes]) = (images.shape(), [labels.shape()[0], labels.shape()[1]]);
    let planes = images.graph().constant(&[n, classes, x[2], x[3]], 0.0);
    images.concat(&(&planes + &labels.reshape(&[n, classes, 1, 1])), 1)
}

impl AdversarialModel for Dcgan {
    fn game(&self) -> &Game {
        &self.config.game
    }

    fn networks(&self) -> [&Network; 2] {
        [&self.g, &self.d]
    }

    fn images(&self) -> ImageSpec {
        let DcganConfig { channels, frames, classes, .. } = self.config;
        let [h, w] = self.config.sides();
        let medium = if frames == 1 { Medium::Pictures } else { Medium::Films { frames } };
        ImageSpec { medium, classes, ..ImageSpec::new([channels, frames * h, w]) }
    }

    fn latent(&self) -> usize {
        self.config.latent
    }

    fn prepare(&self, images: &Var, _: Mode) -> Var {
        let (n, [h, w]) = (images.shape()[0], self.config.sides());
        images.reshape(&[n, self.config.planes(), h, w]).mul_scalar(2.0).add_scalar(-1.0)
    }

    fn generate(&self, z: &Var, labels: Option<&Var>, mode: Mode) -> Var {
        let z = &labels.map_or_else(|| z.clone(), |labels| z.concat(labels, 1));
        let z = if self.is_deep { z.reshape(&[z.shape()[0], z.shape()[1], 1, 1]) } else { z.clone() };
        self.generator.forward(&z, mode)
    }

    fn finish(&self, generated: &Var) -> Var {
        let [c, h, w] = self.images().geometry;
        generated.mul_scalar(0.5).add_scalar(0.5).reshape(&[generated.shape()[0], c, h, w])
    }

    fn judges_together(&self) -> bool {
        true
    }

    fn scores(&self, images: &Var, labels: Option<&Var>, mode: Mode) -> Var {
        let n = images.shape()[0];
        let images = labels.map_or_else(|| images.clone(), |labels| with_planes(images, labels));
        self.discriminator.forward(&images, mode).reshape(&[n])
    }

    fn power_iteration(&self, graph: &Graph) {
        self.discriminator.power_iteration(graph);
    }

    fn discriminator_activations(&self, images: &Var) -> Vec<Var> {
        // One that is told the class cannot be asked for it.
        match self.config.classes {
            0 => self.discriminator.activations(&self.prepare(images, Mode::Eval), Mode::Eval),
            _ => Vec::new(),
        }
    }
}
