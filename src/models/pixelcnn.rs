//! PixelCNN: van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks" (ICML
//! 2016), §3.3 to 3.5 and table 1, for binary images.

use super::{Batch, Family, Metric, Model, PixelModel, positive};
use crate::data::Binarisation;
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Optimizer, Sequential};
use crate::ops::Mask;
use serde::{Deserialize, Serialize};

/// Sizes of a [`PixelCnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelCnnConfig {
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// h of the paper: blocks work on 2h channels and squeeze to h.
    pub hidden: usize,
    /// Residual blocks.
    pub blocks: usize,
}

/// p(x) = Π p(x_i | x_1 .. x_{i-1}), every factor a Bernoulli variable.
pub struct PixelCnn {
    config: PixelCnnConfig,
    net: Network,
    layers: Sequential,
}

impl PixelCnn {
    /// The network, or a sentence about a size that makes no sense.
    pub fn new(c: &PixelCnnConfig) -> Result<PixelCnn, String> {
        positive(&[("height", c.height), ("width", c.width), ("hidden", c.hidden)])?;
        let h = c.hidden;
        let mut net = NetworkBuilder::new("pixelcnn", &Numbering::default());
        let mut layers = net.sequence("").masked_conv(Mask::A, 1, 2 * h, 7);
        for _ in 0..c.blocks {
            layers = layers.residual(|block| {
                block.relu().conv1x1(2 * h, h).relu().masked_conv(Mask::B, h, h, 3).relu().conv1x1(h, 2 * h)
            });
        }
        let layers = layers.relu().conv1x1(2 * h, 2 * h).relu().conv1x1(2 * h, 1).build();
        Ok(PixelCnn { config: c.clone(), net: net.build(), layers })
    }

    /// Negative log-likelihood of images made binary anew at every step, [n] in nats.
    fn nll(&self, batch: &Batch) -> Var {
        let x = self.observe(batch);
        let logits = self.logits(&x);
        x.graph().scope("loss");
        logits.bce_with_logits(&x.images).sum_axes(&[1, 2, 3]).reshape(&[x.len()])
    }
}

impl Model for PixelCnn {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.net]
    }

    fn geometry(&self) -> [usize; 3] {
        [1, self.config.height, self.config.width]
    }

    fn losses(&self) -> &'static [&'static str] {
        &["nll"]
    }

    fn step(&self, batch: &Batch, optim: &Optimizer) -> Vec<Var> {
        let loss = self.nll(batch).mean();
        optim.minimize(&loss, &self.net);
        vec![loss]
    }

    fn evaluate(&self, batch: &Batch) -> Vec<Metric> {
        vec![Metric { name: "nll", unit: "nats/image", values: self.nll(batch), likelihood: true }]
    }

    fn binarisation(&self) -> Binarisation {
        Binarisation::Dynamic
    }

    fn family(&self) -> Family<'_> {
        Family::Pixels(self)
    }
}

impl PixelModel for PixelCnn {
    fn logits(&self, batch: &Batch) -> Var {
        self.layers.forward(&batch.images, Mode::Train)
    }
}
