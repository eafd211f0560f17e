//! Progressive growing: Karras, Aila, Laine & Lehtinen, "Progressive Growing of GANs for Improved
//! Quality, Stability, and Variation" (ICLR 2018). Both networks begin with images of 4x4 pixels
//! and get layers for twice the side time and again, each faded in.

use super::{Adversarial, AdversarialModel, Architecture, Game, ImageSpec, Model, ModelError, TrainingStage, positive};
use crate::graph::{Graph, Var};
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Sequence, Sequential};
use crate::ops::ConvSpec;
use serde::{Deserialize, Serialize};
use std::f32::consts::SQRT_2;

/// Sizes of a [`Progan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProganConfig {
    /// Side of the square images once grown: 8, 16, 32, ... 1024.
    pub image: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Channels of the layers at the full side; half the side has twice as many,
    pub width: usize,
    /// but never more than this.
    pub widest: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// Training steps in which new layers fade in.
    pub fade_steps: usize,
    /// Training steps at each side before the next layers come.
    pub stable_steps: usize,
    /// How they play.
    #[serde(flatten)]
    pub game: Game,
}

impl Architecture for ProganConfig {
    const KIND: &'static str = "progan";

    fn build_at(&self, step: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Adversarial(Progan::new(self, step)?)))
    }
}

/// Generator and discriminator, as after some training steps.
pub struct Progan {
    config: ProganConfig,
    growth: Growth,
    g: Network,
    d: Network,
    /// From the latent vector to 4x4, and from each side to twice as much.
    generator: Vec<Sequential>,
    /// From the features of each side to an image.
    to_image: Vec<Sequential>,
    /// From 4x4 to a score, and from each side to half as much.
    discriminator: Vec<Sequential>,
    /// From an image of each side to features.
    from_image: Vec<Sequential>,
}

/// The paper's slope of leaky ReLU.
const SLOPE: f32 = 0.2;
/// Side of the first images.
const FIRST: usize = 4;
/// The largest side.
const LARGEST: usize = 1024;
/// Images that share a standard deviation.
const GROUP: usize = 4;

/// How far the networks have grown.
#[derive(Clone, Debug, PartialEq)]
struct Growth {
    /// Images have a side of 4·2^level.
    level: usize,
    /// Where the newest layers are fading in.
    fade: Option<Fade>,
    /// The first step at which that is otherwise.
    end: Option<u64>,
}

/// New layers that count for a share that grows from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fade {
    /// The step at which it is 0.
    first: u64,
    /// Steps until it is 1.
    steps: u64,
    /// The share at the model's own step.
    share: f32,
}

impl Growth {
    /// After `step` steps: 4x4 until it is stable, then each further side fades in and becomes
    /// stable.
    fn at(c: &ProganConfig, step: u64) -> Growth {
        let (fade, stable) = (c.fade_steps as u64, c.stable_steps as u64);
        let last = c.levels() - 1;
        let grown = step.saturating_sub(stable) / (fade + stable);
        let level = if step < stable { 0 } else { last.min(grown as usize + 1) };
        if level == 0 {
            return Growth { level, fade: None, end: (last > 0).then_some(stable) };
        }
        let first = stable + (level as u64 - 1) * (fade + stable);
        if step < first + fade {
            let share = (step - first) as f32 / fade as f32;
            return Growth { level, fade: Some(Fade { first, steps: fade, share }), end: Some(first + fade) };
        }
        Growth { level, fade: None, end: (level < last).then_some(first + fade + stable) }
    }

    /// What the new layers count for: as the clock has it in training, and at the model's own step
    /// elsewhere.
    fn share(&self, graph: &Graph, fade: &Fade, mode: Mode) -> Var {
        if mode == Mode::Eval {
            return graph.constant(&[1], fade.share);
        }
        // The line through 0 at the first step and 1 at the last, from the clock's zero on.
        let before = fade.first as f32 / fade.steps as f32;
        graph.ramp(-before, 1.0, (fade.first + fade.steps) as usize).clamp(0.0, 1.0)
    }
}

impl ProganConfig {
    /// The level of its images after `step` training steps, and what the newest layers count for
    /// where these are fading in.
    pub(crate) fn grown(&self, step: u64) -> (usize, Option<f32>) {
        let Growth { level, fade, .. } = Growth::at(self, step);
        (level, fade.map(|fade| fade.share))
    }

    /// Sides there are.
    pub(crate) fn levels(&self) -> usize {
        (self.image / FIRST).ilog2() as usize + 1
    }

    /// Side of the images of a level.
    fn side(level: usize) -> usize {
        FIRST << level
    }

    /// Channels of a level's layers.
    pub(crate) fn width_at(&self, level: usize) -> usize {
        self.widest.min(self.width.saturating_mul(self.image / Self::side(level)))
    }
}

impl Progan {
    /// The networks after `step` training steps.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &ProganConfig, step: u64) -> Result<Progan, ModelError> {
        positive(&[("channels", c.channels), ("width", c.width), ("widest", c.widest), ("latent", c.latent)])?;
        positive(&[("fade_steps", c.fade_steps), ("stable_steps", c.stable_steps)])?;
        if !(2 * FIRST..=LARGEST).contains(&c.image) || !c.image.is_power_of_two() {
            let must = format!("must be a power of two between {} and {LARGEST}", 2 * FIRST);
            return Err(ModelError::setting("image", c.image, must));
        }
        c.game.check()?;
        let numbering = Numbering::default();
        let mut g = NetworkBuilder::new("generator", &numbering);
        let mut d = NetworkBuilder::new("discriminator", &numbering).only_trains();
        let (mut generator, mut to_image, mut discriminator, mut from_image) = (vec![], vec![], vec![], vec![]);
        for level in 0..c.levels() {
            let (side, wide) = (ProganConfig::side(level), c.width_at(level));
            generator.push(grow(&mut g, c, level));
            let image = g.sequence(&format!("generator.{side}.image"));
            to_image.push(image.equalised_lr(1.0).conv1x1(wide, c.channels).build());
            discriminator.push(shrink(&mut d, c, level));
            let image = d.sequence(&format!("discriminator.{side}.image"));
            from_image.push(image.equalised_lr(SQRT_2).conv1x1(c.channels, wide).leaky_relu(SLOPE).build());
        }
        let growth = Growth::at(c, step);
        let (g, d) = (g.build(), d.build());
        Ok(Progan { config: c.clone(), growth, g, d, generator, to_image, discriminator, from_image })
    }

    /// Images of the grown side, reduced to that of this level.
    fn reduced(&self, images: &Var) -> Var {
        let factor = self.config.image / ProganConfig::side(self.growth.level);
        if factor == 1 { images.clone() } else { images.avg_pool([factor, factor]) }
    }

    /// `old` and `new` mixed by the share of the new.
    fn faded(&self, fade: &Fade, old: &Var, new: &Var, mode: Mode) -> Var {
        old + &(&self.growth.share(old.graph(), fade, mode) * &(new - old))
    }
}

/// 3x3, keeping the side.
fn same() -> ConvSpec {
    ConvSpec::new(1, 1)
}

/// A level's layers of the generator: two convolutions, of which the first spreads the latent
/// vector over 4x4 pixels, and after which every pixel is brought to one length.
fn grow(net: &mut NetworkBuilder, c: &ProganConfig, level: usize) -> Sequential {
    let wide = c.width_at(level);
    let side = ProganConfig::side(level);
    let layers = net.sequence(&format!("generator.{side}")).equalised_lr(SQRT_2);
    let layers = match level {
        0 => layers.conv(c.latent, wide, FIRST, ConvSpec::new(1, FIRST - 1), true),
        _ => layers.upsample().conv(c.width_at(level - 1), wide, 3, same(), true),
    };
    layers.leaky_relu(SLOPE).pixel_norm().conv(wide, wide, 3, same(), true).leaky_relu(SLOPE).pixel_norm().build()
}

/// A convolution of the discriminator.
fn judge<'a>(layers: Sequence<'a>, inputs: usize, outputs: usize, kernel: usize, spec: ConvSpec) -> Sequence<'a> {
    layers.conv(inputs, outputs, kernel, spec, true).leaky_relu(SLOPE)
}

/// A level's layers of the discriminator, the generator's mirror: two convolutions, of which that
/// of 4x4 takes all pixels at once and is followed by the score. The images of a group are compared
/// first.
fn shrink(net: &mut NetworkBuilder, c: &ProganConfig, level: usize) -> Sequential {
    let wide = c.width_at(level);
    let side = ProganConfig::side(level);
    let layers = net.sequence(&format!("discriminator.{side}")).equalised_lr(SQRT_2);
    if level > 0 {
        let layers = judge(layers, wide, wide, 3, same());
        return judge(layers, wide, c.width_at(level - 1), 3, same()).avg_pool().build();
    }
    let layers = judge(layers.minibatch_stddev(GROUP), wide + 1, wide, 3, same());
    judge(layers, wide, wide, FIRST, ConvSpec::new(1, 0)).flatten().equalised_lr(1.0).linear(wide, 1, true).build()
}

impl AdversarialModel for Progan {
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

    /// Images of the data as the generator makes them: while a side fades in, half of it is what
    /// the side before it could show.
    fn prepare(&self, images: &Var, mode: Mode) -> Var {
        let images = self.reduced(&images.mul_scalar(2.0).add_scalar(-1.0));
        match &self.growth.fade {
            Some(fade) => self.faded(fade, &images.avg_pool([2, 2]).upsample([2, 2]), &images, mode),
            None => images,
        }
    }

    fn generate(&self, z: &Var, _: Option<&Var>, mode: Mode) -> Var {
        let level = self.growth.level;
        let z = z.pixel_norm().reshape(&[z.shape()[0], z.shape()[1], 1, 1]);
        let before = self.generator[..level].iter().fold(z, |x, block| block.forward(&x, mode));
        let new = self.to_image[level].forward(&self.generator[level].forward(&before, mode), mode);
        match &self.growth.fade {
            Some(fade) => {
                let old = self.to_image[level - 1].forward(&before, mode).upsample([2, 2]);
                self.faded(fade, &old, &new, mode)
            }
            None => new,
        }
    }

    fn finish(&self, generated: &Var) -> Var {
        let images = generated.mul_scalar(0.5).add_scalar(0.5).clamp(0.0, 1.0);
        let factor = self.config.image / ProganConfig::side(self.growth.level);
        if factor == 1 { images } else { images.upsample([factor, factor]) }
    }

    fn scores(&self, images: &Var, _: Option<&Var>, mode: Mode) -> Var {
        let level = self.growth.level;
        let mut x = self.discriminator[level].forward(&self.from_image[level].forward(images, mode), mode);
        if let Some(fade) = &self.growth.fade {
            let old = self.from_image[level - 1].forward(&images.avg_pool([2, 2]), mode);
            x = self.faded(fade, &old, &x, mode);
        }
        let others = self.discriminator[..level].iter().rev();
        others.fold(x, |x, block| block.forward(&x, mode)).reshape(&[images.shape()[0]])
    }

    fn stage(&self) -> Option<TrainingStage> {
        let side = ProganConfig::side(self.growth.level);
        let how = if self.growth.fade.is_some() { ", fading in" } else { "" };
        Some(TrainingStage { name: format!("{side}x{side}{how}"), end: self.growth.end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ProganConfig {
        let sizes =
            "channels = 1\nwidth = 2\nwidest = 4\nlatent = 3\nloss = \"wasserstein\"\ndiscriminator_steps = 1\n";
        toml::from_str(&format!("{sizes}{text}")).unwrap()
    }

    #[test]
    fn every_side_fades_in_and_becomes_stable_at_its_steps() {
        let c = config("image = 16\nfade_steps = 4\nstable_steps = 10");
        let stages = |step| {
            let Growth { level, fade, end } = Growth::at(&c, step);
            (level, fade.map(|f| (f.first, f.share)), end)
        };
        assert_eq!(stages(0), (0, None, Some(10)));
        assert_eq!(stages(9), (0, None, Some(10)));
        assert_eq!(stages(10), (1, Some((10, 0.0)), Some(14)));
        assert_eq!(stages(13), (1, Some((10, 0.75)), Some(14)));
        assert_eq!(stages(14), (1, None, Some(24)));
        assert_eq!(stages(24), (2, Some((24, 0.0)), Some(28)));
        assert_eq!(stages(28), (2, None, None));
        assert_eq!(stages(u64::MAX), (2, None, None));
    }

    #[test]
    fn sides_that_are_no_power_of_two_are_refused() {
        for image in [0, 4, 12, 28, 2048] {
            let c = config(&format!("image = {image}\nfade_steps = 1\nstable_steps = 1"));
            let why = Progan::new(&c, 0).err().unwrap();
            assert!(why.to_string().contains("must be a power of two between 8 and 1024"), "{why}");
        }
    }
}
