//! PixelRNN: van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks" (ICML
//! 2016), §3.2, 3.3, 3.5 and table 1: Row LSTM and Diagonal BiLSTM.

use super::pixels::{centred, check_levels, head};
use super::{Architecture, Autoregressive, Model, ModelError, PixelModel, each_positive, one, positive, two};
use crate::graph::Var;
use crate::models::Batch;
use crate::nn::{Init, Mode, Network, NetworkBuilder, Numbering, Param, Sequential};
use crate::ops::{ConvSpec, Head, Mask};
use serde::{Deserialize, Serialize};

/// What the memory of a pixel comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recurrence {
    /// From three pixels above, row by row: a triangle.
    Row,
    /// From the pixel above and the ones at both sides, diagonal by diagonal: all that came before.
    Diagonal,
}

/// Sizes of a [`PixelRnn`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelRnnConfig {
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
    /// `row` or `diagonal`.
    pub recurrence: Recurrence,
    /// h of the paper: both directions have h channels, and layers pass 2h on.
    pub hidden: usize,
    /// Recurrent layers.
    pub layers: usize,
    /// Channels of the 1x1 convolutions before the last one.
    #[serde(default)]
    pub last: Vec<usize>,
}

/// An LSTM that goes one way.
struct Direction {
    /// Input to state, masked: 2h to the four gates.
    gates: Sequential,
    /// State to state, [4h,h,1,taps].
    state: Param,
}

/// One recurrent layer (figure 5): its directions are summed, widened to 2h and added to the
/// layer's input.
struct Layer {
    directions: Vec<Direction>,
    out: Sequential,
}

impl Architecture for PixelRnnConfig {
    const KIND: &'static str = "pixelrnn";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Autoregressive(PixelRnn::new(self)?)))
    }
}

/// p(x) = Π p(x_i | x_1 .. x_{i-1}) over pixels and, within a pixel, over colours.
pub struct PixelRnn {
    config: PixelRnnConfig,
    net: Network,
    first: Sequential,
    layers: Vec<Layer>,
    last: Sequential,
}

impl PixelRnn {
    /// The network.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &PixelRnnConfig) -> Result<PixelRnn, ModelError> {
        let sizes = [("height", c.height), ("width", c.width), ("hidden", c.hidden), ("layers", c.layers)];
        positive(&sizes)?;
        check_levels(c.levels)?;
        if ![1, 3].contains(&c.channels) {
            return Err(ModelError::setting("channels", c.channels, "must be 1 or 3"));
        }
        if !c.hidden.is_multiple_of(c.channels) {
            return Err(ModelError::setting(
                "hidden",
                c.hidden,
                format!("must be a multiple of the {} colours", c.channels),
            ));
        }
        each_positive("last", &c.last)?;
        let (h, colours) = (c.hidden, c.channels);
        let mut net = NetworkBuilder::new("pixelrnn", &Numbering::default());
        let masked = |mask, kernel: [usize; 2]| ConvSpec::masked(mask, kernel, colours);
        let first = net.conv("first", [colours, 2 * h], [7, 7], masked(Mask::A, [7, 7]));
        // Input to state: 3x1 along the row, or the pixel alone; state to state: three pixels
        // above, or two beside.
        let (kernel, taps, ways) = match c.recurrence {
            Recurrence::Row => ([1, 3], 3, &["row"][..]),
            Recurrence::Diagonal => ([1, 1], 2, &["left", "right"][..]),
        };
        let layer = |k: usize| {
            let directions = ways.iter().map(|way| Direction {
                gates: net.conv(&format!("layers.{k}.{way}.gates"), [2 * h, 4 * h], kernel, masked(Mask::B, kernel)),
                state: net.param(format!("layers.{k}.{way}.state"), &[4 * h, h, 1, taps], Init::fan_in(h * taps)),
            });
            let directions = directions.collect();
            Layer { directions, out: net.conv(&format!("layers.{k}.out"), [h, 2 * h], [1, 1], masked(Mask::B, [1, 1])) }
        };
        let layers = (0..c.layers).map(layer).collect();
        let (mut last, mut inputs) = (net.sequence("last"), 2 * h);
        for outputs in c.last.iter().copied().chain([head(c.levels).channels(colours)]) {
            last = last.relu().masked_conv(Mask::B, inputs, outputs, 1, colours);
            inputs = outputs;
        }
        let last = last.build();
        Ok(PixelRnn { config: c.clone(), net: net.build(), first, layers, last })
    }

    /// What a layer's directions hold at every pixel, from what they are given: all of it comes
    /// before the pixel.
    fn memory(&self, layer: &Layer, x: &Var, mode: Mode) -> Var {
        let given = |m: &Direction| (m.gates.forward(x, mode), m.state.var(x.graph()));
        let (gates, state) = given(&layer.directions[0]);
        match self.config.recurrence {
            Recurrence::Row => gates.row_lstm(&state),
            Recurrence::Diagonal => {
                let (mirrored, other) = given(&layer.directions[1]);
                // At the end of a row the mirrored memory has seen all of it, so it speaks to the
                // next row.
                &gates.diagonal_lstm(&state, false) + &mirrored.diagonal_lstm(&other, true).shift(2, 1)
            }
        }
    }
}

impl PixelModel for PixelRnn {
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
        let mut x = match self.head() {
            Head::Bernoulli => self.first.forward(&batch.images, mode),
            _ => self.first.forward(&centred(&batch.images), mode),
        };
        for layer in &self.layers {
            x = &layer.out.forward(&self.memory(layer, &x, mode), mode) + &x;
        }
        self.last.forward(&x, mode)
    }
}
