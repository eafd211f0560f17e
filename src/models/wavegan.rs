//! WaveGAN: Donahue, McAuley & Puckette, "Adversarial Audio Synthesis" (ICLR 2019): the DCGAN's
//! networks for waveforms, convolutions of 25 taps at stride 4 in the place of 5x5 ones at stride
//! 2. A waveform is an image one pixel high. Phase shuffle (§3.3), an option in the paper, is left
//! out.

use super::{Adversarial, AdversarialModel, Architecture, Game, ImageSpec, Model, ModelError, positive};
use crate::data::Medium;
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Sequential};
use crate::ops::ConvSpec;
use serde::{Deserialize, Serialize};

/// Sizes of a [`WaveGan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveGanConfig {
    /// Samples of a sound: 16 times a power of 4, from 64 on. The paper has 16,384.
    pub length: usize,
    /// Samples in a second; the paper has 16,000.
    pub rate: u32,
    /// Channels of the discriminator's first layer, d of the paper; every stage doubles them.
    pub width: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// How they play.
    #[serde(flatten)]
    pub game: Game,
}

impl Architecture for WaveGanConfig {
    const KIND: &'static str = "wavegan";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Adversarial(WaveGan::new(self)?)))
    }
}

/// Generator and discriminator.
pub struct WaveGan {
    config: WaveGanConfig,
    g: Network,
    d: Network,
    generator: Sequential,
    discriminator: Sequential,
}

/// Samples where the generator begins and the discriminator ends.
const SHORTEST: usize = 16;
/// What every stage multiplies or divides the samples by.
const STRIDE: usize = 4;
/// Taps of every convolution.
const TAPS: usize = 25;
/// Slope of leaky ReLU.
const SLOPE: f32 = 0.2;
/// μ of the data's companding, and ln(1 + μ).
const MU: f32 = 255.0;
const LN_1_MU: f32 = 5.545_177_5;

/// TensorFlow's "same" padding of 25 taps at stride 4: the output is a quarter of the input.
fn stage() -> ConvSpec {
    ConvSpec { stride: [1, STRIDE], padding: [0, 10, 0, 11], ..ConvSpec::default() }
}

impl WaveGan {
    /// The networks.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &WaveGanConfig) -> Result<WaveGan, ModelError> {
        positive(&[("rate", c.rate as usize), ("width", c.width), ("latent", c.latent)])?;
        c.game.check()?;
        let Some(stages) = (1..=6).find(|k| SHORTEST * STRIDE.pow(*k) == c.length) else {
            return Err(ModelError::setting("length", c.length, "must be 64, 256, 1024, 4096, 16384 or 65536"));
        };
        let widest = c.width << (stages - 1);
        let numbering = Numbering::default();
        let mut g = NetworkBuilder::new("generator", &numbering).glorot_init();
        let mut d = NetworkBuilder::new("discriminator", &numbering).glorot_init().only_trains();
        let layers = g.sequence("generator").linear(c.latent, SHORTEST * widest, true);
        let mut layers = layers.unflatten([widest, 1, SHORTEST]).relu();
        for stage_number in 1..stages {
            let wide = widest >> (stage_number - 1);
            layers = layers.conv_transpose_1d(wide, wide / 2, TAPS, stage(), true).relu();
        }
        let generator = layers.conv_transpose_1d(c.width, 1, TAPS, stage(), true).tanh().build();
        let mut layers = d.sequence("discriminator").conv_1d(1, c.width, TAPS, stage(), true).leaky_relu(SLOPE);
        for stage_number in 1..stages {
            let narrow = c.width << (stage_number - 1);
            layers = layers.conv_1d(narrow, 2 * narrow, TAPS, stage(), true).leaky_relu(SLOPE);
        }
        let discriminator = layers.flatten().linear(SHORTEST * widest, 1, true).build();
        Ok(WaveGan { config: c.clone(), g: g.build(), d: d.build(), generator, discriminator })
    }
}

impl AdversarialModel for WaveGan {
    fn game(&self) -> &Game {
        &self.config.game
    }

    fn networks(&self) -> [&Network; 2] {
        [&self.g, &self.d]
    }

    fn images(&self) -> ImageSpec {
        let WaveGanConfig { length, rate, .. } = self.config;
        ImageSpec { medium: Medium::Sounds { rate }, ..ImageSpec::new([1, 1, length]) }
    }

    fn latent(&self) -> usize {
        self.config.latent
    }

    /// Amplitudes in [-1, 1] of companded ones in [0, 1]: sign(y) ((1 + μ)^|y| - 1) / μ, y = 2x -
    /// 1.
    fn prepare(&self, images: &Var, _: Mode) -> Var {
        let y = images.mul_scalar(2.0).add_scalar(-1.0);
        let size = y.abs().mul_scalar(LN_1_MU).exp().add_scalar(-1.0).mul_scalar(1.0 / MU);
        &y.sign() * &size
    }

    fn generate(&self, z: &Var, _: Option<&Var>, mode: Mode) -> Var {
        self.generator.forward(z, mode)
    }

    /// Companded as the data are: ½ + ½ sign(v) ln(1 + μ|v|) / ln(1 + μ).
    fn finish(&self, v: &Var) -> Var {
        let size = v.abs().mul_scalar(MU).add_scalar(1.0).ln().mul_scalar(0.5 / LN_1_MU);
        (&v.sign() * &size).add_scalar(0.5)
    }

    fn scores(&self, images: &Var, _: Option<&Var>, mode: Mode) -> Var {
        self.discriminator.forward(images, mode).reshape(&[images.shape()[0]])
    }
}
