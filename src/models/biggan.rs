//! BigGAN: Brock, Donahue & Simonyan, "Large Scale GAN Training for High Fidelity Natural Image
//! Synthesis" (ICLR 2019), with the networks its authors have for 32x32 pixels: residual blocks; a
//! class and a part of the latent vector in every normalisation; a discriminator that compares
//! features with the class (Miyato & Koyama 2018); attention at one side; weights of both divided
//! by their spectral norm.

use super::{Adversarial, AdversarialModel, Architecture, Game, ImageSpec, Model, ModelError, few_classes, positive};
use crate::graph::{Graph, Var};
use crate::nn::{Attention, ConditionalBatchNorm, Mode, Network, NetworkBuilder, Numbering, Sequence, Sequential};
use crate::ops::ConvSpec;
use serde::{Deserialize, Serialize};

/// Sizes of a [`BigGan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BigGanConfig {
    /// Side of the square images: twice, four times, ... an odd number or 4.
    pub image: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Kinds of images.
    pub classes: usize,
    /// Channels of the layers at the images' side; half the side has twice as many,
    pub width: usize,
    /// but never more than this.
    pub widest: usize,
    /// Latent dimensions: as many for the smallest plane as for each block of the generator.
    pub latent: usize,
    /// Dimensions that a class is embedded in.
    pub embedding: usize,
    /// Side of the planes that attention goes over; 0 for none.
    pub attention: usize,
    /// How they play.
    #[serde(flatten)]
    pub game: Game,
}

impl BigGanConfig {
    /// Sides of the generator's planes, from the smallest to the image's.
    pub(crate) fn sides(&self) -> Vec<usize> {
        let mut sides = vec![self.image];
        while let Some(side) = sides.last().filter(|side| **side > SMALLEST && side.is_multiple_of(2)) {
            sides.push(side / 2);
        }
        sides.reverse();
        sides
    }

    /// Channels at this side.
    pub(crate) fn width_at(&self, side: usize) -> usize {
        self.widest.min(self.width.saturating_mul(self.image / side))
    }

    /// The blocks of the discriminator, from the image on.
    pub(crate) fn downs(&self) -> Vec<DownPlan> {
        let mut sides = vec![self.image];
        while sides[sides.len() - 1] > JUDGED && sides[sides.len() - 1].is_multiple_of(2) {
            sides.push(sides[sides.len() - 1] / 2);
        }
        let smallest = sides[sides.len() - 1];
        sides.extend([smallest; PLAIN]);
        let mut narrow = self.channels;
        let block = |pair: &[usize]| {
            let (wide, halves) = (self.width_at(pair[1]), pair[1] < pair[0]);
            let channels = [std::mem::replace(&mut narrow, wide), wide];
            DownPlan { channels, halves, attended: halves && pair[1] == self.attention }
        };
        sides.windows(2).map(block).collect()
    }
}

/// A block of the discriminator.
#[derive(Clone, Copy)]
pub(crate) struct DownPlan {
    /// Channels before and behind it.
    pub(crate) channels: [usize; 2],
    /// Whether it halves the side.
    pub(crate) halves: bool,
    /// Whether attention comes after it.
    pub(crate) attended: bool,
}

/// Planes are halved until they are no larger than this, or odd.
const SMALLEST: usize = 4;
/// The discriminator halves planes that are larger than this, and then has
const JUDGED: usize = 8;
/// so many blocks that do not.
const PLAIN: usize = 2;

impl Architecture for BigGanConfig {
    const KIND: &'static str = "biggan";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Adversarial(BigGan::new(self)?)))
    }
}

/// Generator and discriminator.
pub struct BigGan {
    config: BigGanConfig,
    g: Network,
    d: Network,
    generator: Generator,
    discriminator: Discriminator,
}

impl BigGan {
    /// The networks.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &BigGanConfig) -> Result<BigGan, ModelError> {
        positive(&[("image", c.image), ("channels", c.channels), ("classes", c.classes), ("width", c.width)])?;
        positive(&[("widest", c.widest), ("latent", c.latent), ("embedding", c.embedding)])?;
        few_classes(c.classes)?;
        c.game.check()?;
        let sides = c.sides();
        let parts = sides.len();
        if parts < 2 {
            return Err(ModelError::setting("image", c.image, format!("must be even and at least {}", 2 * SMALLEST)));
        }
        if !c.latent.is_multiple_of(parts) {
            let why = format!("one for 4x4 pixels and one for each of {} blocks", parts - 1);
            return Err(ModelError::setting("latent", c.latent, format!("must be a multiple of {parts}: {why}")));
        }
        let attended = |side: &&usize| **side == c.attention && side.is_multiple_of(2) && **side > sides[0];
        if c.attention > 0 && !sides.iter().any(|side| attended(&side)) {
            let fit: Vec<String> = sides[1..].iter().filter(|s| s.is_multiple_of(2)).map(usize::to_string).collect();
            return Err(ModelError::setting("attention", c.attention, format!("must be 0 or {}", fit.join(" or "))));
        }
        let numbering = Numbering::default();
        let mut g = NetworkBuilder::new("generator", &numbering).dcgan_init();
        let mut d = NetworkBuilder::new("discriminator", &numbering).dcgan_init().only_trains();
        let (generator, discriminator) = (Generator::new(&mut g, c), Discriminator::new(&mut d, c));
        Ok(BigGan { config: c.clone(), g: g.build(), d: d.build(), generator, discriminator })
    }
}

/// 3x3, keeping the side.
fn same() -> ConvSpec {
    ConvSpec::new(1, 1)
}

/// A chain whose weights are divided by their spectral norm.
fn spectral<'a>(net: &'a mut NetworkBuilder, name: &str) -> Sequence<'a> {
    net.sequence(name).spectral_norm()
}

/// From a part of the latent vector to the smallest plane, up block by block, and to an image.
struct Generator {
    embedding: Sequential,
    first: Sequential,
    blocks: Vec<Up>,
    last: Sequential,
}

/// Twice the side: normalise, ReLU, enlarge, convolve, normalise, ReLU, convolve; beside it a 1x1
/// convolution of the enlarged plane.
struct Up {
    norms: [ConditionalBatchNorm; 2],
    convs: [Sequential; 2],
    skip: Sequential,
    attention: Option<Attention>,
}

impl Generator {
    fn new(net: &mut NetworkBuilder, c: &BigGanConfig) -> Generator {
        let sides = c.sides();
        let part = c.latent / sides.len();
        let (side, wide) = (sides[0], c.width_at(sides[0]));
        let embedding = net.sequence("generator.embedding").linear(c.classes, c.embedding, false).build();
        let first = spectral(net, "generator.first").linear(part, wide * side * side, true);
        let first = first.unflatten([wide, side, side]).build();
        let blocks = sides.windows(2).map(|pair| Up::new(net, c, pair[0], pair[1], c.embedding + part));
        let blocks = blocks.collect();
        let wide = c.width_at(c.image);
        let last = spectral(net, "generator.last").batch_norm(wide).relu().conv(wide, c.channels, 3, same(), true);
        Generator { embedding, first, blocks, last: last.tanh().build() }
    }

    /// z [n,latent] and classes [n,classes], one-hot.
    fn forward(&self, z: &Var, classes: &Var, mode: Mode) -> Var {
        let part = z.shape()[1] / (self.blocks.len() + 1);
        let class = self.embedding.forward(classes, mode);
        let mut x = self.first.forward(&z.slice(1, 0, part), mode);
        for (k, block) in self.blocks.iter().enumerate() {
            let known = class.concat(&z.slice(1, (k + 1) * part, part), 1);
            x = block.forward(&x, &known, mode);
        }
        self.last.forward(&x, mode)
    }

    fn power_iteration(&self, graph: &Graph) {
        self.first.power_iteration(graph);
        for block in &self.blocks {
            block.norms.iter().for_each(|norm| norm.power_iteration(graph));
            block.convs.iter().chain([&block.skip]).for_each(|conv| conv.power_iteration(graph));
            block.attention.iter().for_each(|attention| attention.power_iteration(graph));
        }
        self.last.power_iteration(graph);
    }
}

impl Up {
    fn new(net: &mut NetworkBuilder, c: &BigGanConfig, from: usize, side: usize, known: usize) -> Up {
        let (narrow, wide) = (c.width_at(from), c.width_at(side));
        let name = |what: &str| format!("generator.{side}.{what}");
        let norms = [("norm1", narrow), ("norm2", wide)]
            .map(|(what, channels)| ConditionalBatchNorm::new(net, &name(what), channels, known));
        let convs = [("conv1", narrow), ("conv2", wide)]
            .map(|(what, channels)| spectral(net, &name(what)).conv(channels, wide, 3, same(), true).build());
        let skip = spectral(net, &name("skip")).conv1x1(narrow, wide).build();
        let attention = (side == c.attention).then(|| Attention::new(net, &name("attention"), wide));
        Up { norms, convs, skip, attention }
    }

    /// x [n,c,h,w], and what is known of each image.
    fn forward(&self, x: &Var, known: &Var, mode: Mode) -> Var {
        let y = self.norms[0].forward(x, known, mode).relu().upsample([2, 2]);
        let y = self.norms[1].forward(&self.convs[0].forward(&y, mode), known, mode).relu();
        let y = &self.convs[1].forward(&y, mode) + &self.skip.forward(&x.upsample([2, 2]), mode);
        match &self.attention {
            Some(attention) => attention.forward(&y, mode),
            None => y,
        }
    }
}

/// Down block by block to features, whose sum over the plane is scored by itself and by its product
/// with the class.
struct Discriminator {
    blocks: Vec<Down>,
    score: Sequential,
    class: Sequential,
}

/// ReLU, convolve, ReLU, convolve, and perhaps halve; beside it a 1x1 convolution where anything
/// changes. The first block has an image to begin with, and no ReLU.
struct Down {
    convs: [Sequential; 2],
    skip: Option<Sequential>,
    attention: Option<Attention>,
    is_first: bool,
    halves: bool,
}

impl Discriminator {
    fn new(net: &mut NetworkBuilder, c: &BigGanConfig) -> Discriminator {
        let downs = c.downs();
        let blocks = downs.iter().enumerate().map(|(k, plan)| Down::new(net, k, *plan)).collect();
        let channels = downs.last().map_or(c.channels, |plan| plan.channels[1]);
        let score = spectral(net, "discriminator.score").linear(channels, 1, true).build();
        let class = spectral(net, "discriminator.class").linear(c.classes, channels, false).build();
        Discriminator { blocks, score, class }
    }

    /// Scores [n] of images [n,c,h,w] of classes [n,classes], one-hot.
    fn forward(&self, images: &Var, classes: &Var, mode: Mode) -> Var {
        let x = self.blocks.iter().fold(images.clone(), |x, block| block.forward(&x, mode));
        let features = x.relu().sum_axes(&[2, 3]).reshape(&x.shape()[..2]);
        let fits = (&self.class.forward(classes, mode) * &features).sum_axes(&[1]);
        (&self.score.forward(&features, mode) + &fits).reshape(&[images.shape()[0]])
    }

    fn power_iteration(&self, graph: &Graph) {
        for block in &self.blocks {
            block.convs.iter().chain(&block.skip).for_each(|conv| conv.power_iteration(graph));
            block.attention.iter().for_each(|attention| attention.power_iteration(graph));
        }
        [&self.score, &self.class].into_iter().for_each(|layer| layer.power_iteration(graph));
    }
}

impl Down {
    fn new(net: &mut NetworkBuilder, number: usize, plan: DownPlan) -> Down {
        let DownPlan { channels: [narrow, wide], halves, attended } = plan;
        let name = |what: &str| format!("discriminator.{number}.{what}");
        let is_first = number == 0;
        let convs = [("conv1", narrow), ("conv2", wide)]
            .map(|(what, channels)| spectral(net, &name(what)).conv(channels, wide, 3, same(), true).build());
        let changes = halves || narrow != wide;
        let skip = changes.then(|| spectral(net, &name("skip")).conv1x1(narrow, wide).build());
        let attention = attended.then(|| Attention::new(net, &name("attention"), wide));
        Down { convs, skip, attention, is_first, halves }
    }

    fn forward(&self, x: &Var, mode: Mode) -> Var {
        let halved = |x: Var| if self.halves { x.avg_pool([2, 2]) } else { x };
        let skip = |x: &Var| self.skip.as_ref().map_or_else(|| x.clone(), |conv| conv.forward(x, mode));
        let y = if self.is_first { x.clone() } else { x.relu() };
        let y = self.convs[0].forward(&y, mode).relu();
        let y = halved(self.convs[1].forward(&y, mode));
        // A 1x1 convolution and means commute: where it comes first matters to the work alone.
        let y = &y + &skip(&halved(x.clone()));
        match &self.attention {
            Some(attention) => attention.forward(&y, mode),
            None => y,
        }
    }
}

impl AdversarialModel for BigGan {
    fn game(&self) -> &Game {
        &self.config.game
    }

    fn networks(&self) -> [&Network; 2] {
        [&self.g, &self.d]
    }

    fn images(&self) -> ImageSpec {
        let BigGanConfig { channels, image, classes, .. } = self.config;
        ImageSpec { classes, ..ImageSpec::new([channels, image, image]) }
    }

    fn latent(&self) -> usize {
        self.config.latent
    }

    fn prepare(&self, images: &Var, _: Mode) -> Var {
        images.mul_scalar(2.0).add_scalar(-1.0)
    }

    fn generate(&self, z: &Var, labels: Option<&Var>, mode: Mode) -> Var {
        self.generator.forward(z, &self.told(z, labels), mode)
    }

    fn finish(&self, generated: &Var) -> Var {
        generated.mul_scalar(0.5).add_scalar(0.5)
    }

    fn judges_together(&self) -> bool {
        true
    }

    fn scores(&self, images: &Var, labels: Option<&Var>, mode: Mode) -> Var {
        self.discriminator.forward(images, &self.told(images, labels), mode)
    }

    fn power_iteration(&self, graph: &Graph) {
        self.generator.power_iteration(graph);
        self.discriminator.power_iteration(graph);
    }
}

impl BigGan {
    /// The classes [n,classes] of as many images as `of` has; none of them where nobody says.
    fn told(&self, of: &Var, labels: Option<&Var>) -> Var {
        labels.cloned().unwrap_or_else(|| of.graph().constant(&[of.shape()[0], self.config.classes], 0.0))
    }
}
