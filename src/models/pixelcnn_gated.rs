//! Gated PixelCNN: van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves & Kavukcuoglu,
//! "Conditional Image Generation with PixelCNN Decoders" (NeurIPS 2016), §2.1 to 2.3, with dilated
//! convolutions.
//!
//! A vertical stack sees all rows above, a horizontal one the row so far and, through 1x1
//! convolutions, what the vertical one sees: there is no blind spot.

use super::pixels::{centred, check_levels, head};
use super::{Architecture, Autoregressive, Batch, Model, ModelError, PixelModel, each_positive, few_classes, positive};
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Sequential};
use crate::ops::{Head, Mask};
use serde::{Deserialize, Serialize};

/// Sizes of a [`PixelCnnGated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelCnnGatedConfig {
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Levels of a pixel: 2 is black and white, 256 is every grey.
    pub levels: usize,
    /// Channels of a stack.
    pub hidden: usize,
    /// Dilation of each gated block.
    pub dilations: Vec<usize>,
    /// Classes that images are drawn by (§2.3 of the paper); 0 without.
    #[serde(default)]
    pub classes: usize,
}

/// One gated block (figure 2 of the paper).
struct Gated {
    /// 3x3, the row and those above: both halves of the vertical gate.
    vertical: Sequential,
    /// 1x3, the pixel and those to its left: both halves of the horizontal gate.
    horizontal: Sequential,
    /// 1x1, from the vertical to the horizontal halves.
    link: Sequential,
    /// 1x1, before the residual.
    out: Sequential,
    /// From the class to the halves of both gates (equation 4).
    class: Option<[Sequential; 2]>,
}

impl Architecture for PixelCnnGatedConfig {
    const KIND: &'static str = "pixelcnn-gated";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Autoregressive(PixelCnnGated::new(self)?)))
    }
}

/// p(x) = Π p(x_i | x_1 .. x_{i-1}), every factor a softmax over levels.
pub struct PixelCnnGated {
    config: PixelCnnGatedConfig,
    net: Network,
    vertical: Sequential,
    horizontal: Sequential,
    blocks: Vec<Gated>,
    out: Sequential,
}

impl PixelCnnGated {
    /// The network.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &PixelCnnGatedConfig) -> Result<PixelCnnGated, ModelError> {
        positive(&[("height", c.height), ("width", c.width), ("hidden", c.hidden)])?;
        check_levels(c.levels)?;
        few_classes(c.classes)?;
        each_positive("dilations", &c.dilations)?;
        let h = c.hidden;
        let mut net = NetworkBuilder::new("pixelcnn", &Numbering::default());
        let vertical = net.conv_above("conv_vstack.conv", [1, h], 3, 1, Mask::A);
        let horizontal = net.conv_left("conv_hstack.conv", [1, h], 3, 1, Mask::A);
        let block = |(k, dilation): (usize, &usize)| {
            let name = |part: &str| format!("conv_layers.{k}.{part}");
            let mut class = |part| net.sequence(&name(part)).linear(c.classes, 2 * h, false).build();
            let class = (c.classes > 0).then(|| ["class_vert", "class_horiz"].map(&mut class));
            Gated {
                vertical: net.conv_above(&name("conv_vert.conv"), [h, 2 * h], 3, *dilation, Mask::B),
                horizontal: net.conv_left(&name("conv_horiz.conv"), [h, 2 * h], 3, *dilation, Mask::B),
                link: net.conv1x1(&name("conv_vert_to_horiz"), 2 * h, 2 * h),
                out: net.conv1x1(&name("conv_horiz_1x1"), h, h),
                class,
            }
        };
        let blocks = c.dilations.iter().enumerate().map(block).collect();
        let out = net.conv1x1("conv_out", h, head(c.levels).channels(1));
        Ok(PixelCnnGated { config: c.clone(), net: net.build(), vertical, horizontal, blocks, out })
    }
}

/// tanh of the first half of the channels times sigmoid of the second (equation 2), where a class
/// adds to both.
fn gate(x: &Var, class: Option<Var>) -> Var {
    let x = class.map_or(x.clone(), |class| x + &class.reshape(&[x.shape()[0], x.shape()[1], 1, 1]));
    x.gate(true)
}

impl PixelModel for PixelCnnGated {
    fn network(&self) -> &Network {
        &self.net
    }

    fn shape(&self) -> [usize; 3] {
        [1, self.config.height, self.config.width]
    }

    fn head(&self) -> Head {
        head(self.config.levels)
    }

    fn classes(&self) -> usize {
        self.config.classes
    }

    fn outputs(&self, batch: &Batch, mode: Mode) -> Var {
        let x = centred(&batch.images);
        let mut vertical = self.vertical.forward(&x, mode);
        let mut horizontal = self.horizontal.forward(&x, mode);
        for block in &self.blocks {
            let class = |stack: usize| {
                let (layers, labels) = (block.class.as_ref()?, batch.labels.as_ref()?);
                Some(layers[stack].forward(labels, mode))
            };
            let above = block.vertical.forward(&vertical, mode);
            let left = block.horizontal.forward(&horizontal, mode);
            let both = &block.link.forward(&above, mode) + &left;
            horizontal = &block.out.forward(&gate(&both, class(1)), mode) + &horizontal;
            vertical = gate(&above, class(0));
        }
        self.out.forward(&horizontal.elu(), mode)
    }
}
