//! PixelCNN: van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks" (ICML
//! 2016), §3.3 to 3.5 and table 1, for binary images, grey ones and colours.

use super::pixels::{centred, check_levels, head};
use super::{Architecture, Autoregressive, Batch, Model, ModelError, PixelModel, each_positive, one, positive, two};
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Sequential};
use crate::ops::{Head, Mask};
use serde::{Deserialize, Serialize};

/// Sizes of a [`PixelCnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelCnnConfig {
    /// Colours of a pixel: 1 or 3. A colour sees those before it.
    #[serde(default = "one")]
    pub channels: usize,
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Levels of a colour: 2 is black and white, which is drawn anew at every step, 256 is every
    /// grey.
    #[serde(default = "two")]
    pub levels: usize,
    /// h of the paper: blocks work on 2h channels and squeeze to h.
    pub hidden: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Channels of the 1x1 convolutions before the last one; left out, there is one of 2h.
    #[serde(default)]
    pub last: Vec<usize>,
}

impl Architecture for PixelCnnConfig {
    const KIND: &'static str = "pixelcnn";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Autoregressive(PixelCnn::new(self)?)))
    }
}

/// p(x) = Π p(x_i | x_1 .. x_{i-1}) over pixels and, within a pixel, over colours.
pub struct PixelCnn {
    config: PixelCnnConfig,
    net: Network,
    layers: Sequential,
}

impl PixelCnn {
    /// The network.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &PixelCnnConfig) -> Result<PixelCnn, ModelError> {
        positive(&[("height", c.height), ("width", c.width), ("hidden", c.hidden)])?;
        check_levels(c.levels)?;
        if ![1, 3].contains(&c.channels) {
            return Err(ModelError::setting("channels", c.channels, "must be 1 or 3"));
        }
        each_positive("last", &c.last)?;
        let (h, colours) = (c.hidden, c.channels);
        let last = if c.last.is_empty() { &[2 * h][..] } else { &c.last };
        let mut net = NetworkBuilder::new("pixelcnn", &Numbering::default());
        let mut layers = net.sequence("").masked_conv(Mask::A, c.channels, 2 * h, 7, colours);
        for _ in 0..c.blocks {
            layers = layers.residual(|block| {
                let squeezed = block.relu().masked_conv(Mask::B, 2 * h, h, 1, colours);
                let seen = squeezed.relu().masked_conv(Mask::B, h, h, 3, colours);
                seen.relu().masked_conv(Mask::B, h, 2 * h, 1, colours)
            });
        }
        let mut inputs = 2 * h;
        for outputs in last.iter().copied().chain([head(c.levels).channels(colours)]) {
            layers = layers.relu().masked_conv(Mask::B, inputs, outputs, 1, colours);
            inputs = outputs;
        }
        let layers = layers.build();
        Ok(PixelCnn { config: c.clone(), net: net.build(), layers })
    }
}

impl PixelModel for PixelCnn {
    fn network(&self) -> &Network {
        &self.net
    }

    fn shape(&self) -> [usize; 3] {
        [self.config.channels, self.config.height, self.config.width]
    }

    fn head(&self) -> Head {
        head(self.config.levels)
    }

    fn outputs(&self, batch: &Batch, mode: Mode) -> Var {
        match self.head() {
            Head::Bernoulli => self.layers.forward(&batch.images, mode),
            _ => self.layers.forward(&centred(&batch.images), mode),
        }
    }
}
