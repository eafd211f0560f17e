//! Deep convolutional GANs: Radford, Metz & Chintala, "Unsupervised Representation Learning with
//! Deep Convolutional Generative Adversarial Networks" (ICLR 2016), trained by algorithm 1 of
//! Goodfellow et al., "Generative Adversarial Nets" (NIPS 2014).

use super::{Family, LatentModel, Metric, Model, positive};
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Optimizer, Sequential};
use crate::ops::ConvSpec;
use serde::{Deserialize, Serialize};

/// What the generator minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorLoss {
    /// E[log(1 - D(G(z)))], the value of the game itself.
    Minimax,
    /// -E[log D(G(z))], whose gradient does not vanish while the discriminator wins (2014, §3).
    NonSaturating,
}

/// Sizes of a [`Dcgan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DcganConfig {
    /// Side of the square images: 28, 32 or 64.
    pub image: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Channels of the discriminator's first layer; every stage doubles them.
    pub width: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// What the generator minimises.
    pub loss: GeneratorLoss,
    /// Discriminator steps before each generator step: k of algorithm 1.
    pub discriminator_steps: usize,
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
        positive(&[("channels", c.channels), ("width", c.width), ("latent", c.latent)])?;
        positive(&[("discriminator_steps", c.discriminator_steps)])?;
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

    /// G(z): images in [-1, 1].
    fn g(&self, z: &Var, mode: Mode) -> Var {
        let z = if self.config.image == 64 { z.reshape(&[z.shape()[0], z.shape()[1], 1, 1]) } else { z.clone() };
        self.generator.forward(&z, mode)
    }

    /// The logit of D(x), [n].
    fn d(&self, x: &Var, mode: Mode) -> Var {
        let logits = self.discriminator.forward(x, mode);
        logits.reshape(&[x.shape()[0]])
    }

    fn noise(&self, like: &Var, n: usize) -> Var {
        like.graph().scope("z");
        like.graph().normal(&[n, self.config.latent])
    }
}

/// The convolution every stage halves or doubles its image with.
fn stage() -> ConvSpec {
    ConvSpec::new(2, 1)
}

/// 100 -> 8c x 4x4 -> 4c x 8x8 -> 2c x 16x16 -> c x 32x32 -> 64x64 (figure 1 of the paper).
fn generator_64(net: &mut NetworkBuilder, cfg: &DcganConfig) -> Sequential {
    let (z, c) = (cfg.latent, cfg.width);
    let mut layers = net.sequence("generator");
    layers = layers.conv_transpose(z, 8 * c, 4, ConvSpec::new(1, 0), false).batch_norm(8 * c).relu();
    for wide in [8 * c, 4 * c, 2 * c] {
        layers = layers.conv_transpose(wide, wide / 2, 4, stage(), false).batch_norm(wide / 2).relu();
    }
    layers.conv_transpose(c, cfg.channels, 4, stage(), false).tanh().build()
}

/// The generator's mirror; no batch norm at its input.
fn discriminator_64(net: &mut NetworkBuilder, cfg: &DcganConfig) -> Sequential {
    let c = cfg.width;
    let mut layers = net.sequence("discriminator");
    layers = layers.conv(cfg.channels, c, 4, stage(), false).leaky_relu(SLOPE);
    for narrow in [c, 2 * c, 4 * c] {
        layers = layers.conv(narrow, 2 * narrow, 4, stage(), false).batch_norm(2 * narrow).leaky_relu(SLOPE);
    }
    layers.conv(8 * c, 1, 4, ConvSpec::new(1, 0), false).flatten().build()
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
    layers = layers.linear(cfg.latent, wide * side * side, false).unflatten([wide, side, side]).batch_norm(wide).relu();
    while wide > cfg.width {
        layers = layers.conv_transpose(wide, wide / 2, 4, stage(), false).batch_norm(wide / 2).relu();
        wide /= 2;
    }
    layers.conv_transpose(cfg.width, cfg.channels, 4, stage(), true).tanh().build()
}

/// The generator's mirror, ending in one linear unit.
fn discriminator_small(net: &mut NetworkBuilder, cfg: &DcganConfig) -> Sequential {
    let (side, times) = smallest(cfg);
    let mut narrow = cfg.width;
    let mut layers = net.sequence("discriminator");
    layers = layers.conv(cfg.channels, narrow, 4, stage(), true).leaky_relu(SLOPE);
    while narrow < times * cfg.width {
        layers = layers.conv(narrow, 2 * narrow, 4, stage(), false).batch_norm(2 * narrow).leaky_relu(SLOPE);
        narrow *= 2;
    }
    layers.flatten().linear(narrow * side * side, 1, true).build()
}

impl Model for Dcgan {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.g, &self.d]
    }

    fn geometry(&self) -> [usize; 3] {
        [self.config.channels, self.config.image, self.config.image]
    }

    fn losses(&self) -> &'static [&'static str] {
        &["loss_d", "loss_g"]
    }

    fn batches_per_step(&self) -> usize {
        self.config.discriminator_steps
    }

    /// Algorithm 1: k times, ascend the discriminator's gradient on a batch of images and a batch
    /// of noise; then descend the generator's on a fresh batch of noise.
    fn step(&self, images: &Var, optim: &Optimizer) -> Vec<Var> {
        let k = self.config.discriminator_steps;
        let m = images.shape()[0] / k;
        let mut loss_d = None;
        for batch in 0..k {
            images.graph().scope("data");
            let x = if k == 1 { images.clone() } else { images.slice(0, batch * m, m) };
            let x = x.mul_scalar(2.0).add_scalar(-1.0);
            let fake = self.g(&self.noise(images, m), Mode::Train);
            let (real, fake) = (self.d(&x, Mode::Train), self.d(&fake, Mode::Train));
            images.graph().scope("loss_d");
            // -log D(x) = softplus(-logit) and -log(1 - D(x)) = softplus(logit).
            let loss = &(-&real).softplus().mean() + &fake.softplus().mean();
            optim.minimize(&loss, &self.d);
            loss_d = Some(loss);
        }
        let fake = self.g(&self.noise(images, m), Mode::Train);
        let verdict = self.d(&fake, Mode::Train);
        images.graph().scope("loss_g");
        let loss_g = match self.config.loss {
            GeneratorLoss::Minimax => -&verdict.softplus().mean(),
            GeneratorLoss::NonSaturating => (-&verdict).softplus().mean(),
        };
        optim.minimize(&loss_g, &self.g);
        loss_d.into_iter().chain([loss_g]).collect()
    }

    /// The value of the game, E[log D(x)] + E[log(1 - D(G(z)))], which is -ln 4 at equilibrium, and
    /// the discriminator's mean verdicts.
    fn evaluate(&self, images: &Var) -> Vec<Metric> {
        let x = images.mul_scalar(2.0).add_scalar(-1.0);
        let fake = self.g(&self.noise(images, images.shape()[0]), Mode::Eval);
        let (real, fake) = (self.d(&x, Mode::Eval), self.d(&fake, Mode::Eval));
        let value = -&(&(-&real).softplus() + &fake.softplus());
        let metric = |name, unit, values| Metric { name, unit, values, likelihood: false };
        vec![
            metric("value", "nats/image", value),
            metric("d_real", "probability", real.sigmoid()),
            metric("d_fake", "probability", fake.sigmoid()),
        ]
    }

    fn family(&self) -> Family<'_> {
        Family::Latent(self)
    }
}

impl LatentModel for Dcgan {
    fn latent(&self) -> usize {
        self.config.latent
    }

    fn decode(&self, z: &Var) -> Var {
        self.g(z, Mode::Eval).mul_scalar(0.5).add_scalar(0.5)
    }

    fn encode(&self, _: &Var) -> Option<Var> {
        None
    }
}
