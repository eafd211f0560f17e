//! PixelCNN++: Salimans, Karpathy, Chen & Kingma, "PixelCNN++: Improving the PixelCNN with
//! Discretized Logistic Mixture Likelihood and Other Modifications" (ICLR 2017).
//!
//! Two streams go through the network. What is called `u` sees the rows above a pixel, `ul` these
//! and the row so far; `ul` sees `u` through 1x1 convolutions, so there is no blind spot. Both go
//! down to a quarter of the height and width and up again (§2.3), and what was made on the way down
//! is added on the way up (§2.4). No colour of a pixel is seen: the head lets colours depend on one
//! another (§2.2).

use super::pixels::centred;
use super::{Architecture, Autoregressive, Batch, Model, ModelError, PixelModel, positive};
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, NormedConv, Numbering};
use crate::ops::{ConvSpec, Head};
use serde::{Deserialize, Serialize};

/// Sizes of a [`PixelCnnPp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelCnnPpConfig {
    /// Channels of the images: 1 for grey, 3 for colours.
    pub channels: usize,
    /// Height of the images, a multiple of 4.
    pub height: usize,
    /// Width of the images, a multiple of 4.
    pub width: usize,
    /// Channels of a stream.
    pub filters: usize,
    /// Residual blocks of each stream at each of the three sizes on the way down; on the way up
    /// there is one more at the two larger ones.
    pub blocks: usize,
    /// Logistic variables of the mixture of a pixel.
    pub components: usize,
    /// The share of a residual block's inner channels that is dropped in training.
    pub dropout: f32,
}

/// How many times height and width are halved.
const HALVINGS: usize = 2;
/// Standard deviation of what a residual block first adds to its input.
const FIRST_RESIDUAL: f32 = 0.1;

/// One of the two streams.
#[derive(Clone, Copy)]
enum Stream {
    /// Sees rows: kernels 2x3, whose lower row is the pixel's own.
    U,
    /// Sees what is above and to the left: kernels 2x2, whose lower right tap is the pixel's own.
    Ul,
}

/// A convolution that ends at the pixel's own row, its columns to both sides ("down-shifted").
fn down_shifted(kernel: [usize; 2], stride: usize) -> ConvSpec {
    let [above, side] = [kernel[0] - 1, kernel[1] / 2];
    ConvSpec { stride: [stride; 2], padding: [above, side, 0, side], ..ConvSpec::default() }
}

/// A convolution that ends at the pixel itself ("down-right-shifted").
fn down_right_shifted(kernel: [usize; 2], stride: usize) -> ConvSpec {
    ConvSpec { stride: [stride; 2], padding: [kernel[0] - 1, kernel[1] - 1, 0, 0], ..ConvSpec::default() }
}

impl Stream {
    /// A convolution of this stream.
    fn conv(self, net: &mut NetworkBuilder, name: &str, channels: [usize; 2], stride: usize) -> NormedConv {
        match self {
            Stream::U => NormedConv::new(net, name, channels, [2, 3], down_shifted([2, 3], stride)),
            Stream::Ul => NormedConv::new(net, name, channels, [2, 2], down_right_shifted([2, 2], stride)),
        }
    }

    /// A transposed convolution of this stream to twice the height and width. A pixel takes from
    /// the row of half the number, in `ul` from the column as well, so that it sees no more than
    /// the pixel which that was made at.
    fn deconv(self, net: &mut NetworkBuilder, name: &str, channels: usize) -> NormedConv {
        let (kernel, padding) = match self {
            Stream::U => ([2, 3], [0, 1, 0, 0]),
            Stream::Ul => ([2, 2], [0; 4]),
        };
        let spec = ConvSpec { stride: [2, 2], padding, ..ConvSpec::default() };
        NormedConv::transposed(net, name, [channels; 2], kernel, spec)
    }
}

/// A 1x1 convolution ("network in network").
fn nin(net: &mut NetworkBuilder, name: &str, channels: [usize; 2]) -> NormedConv {
    NormedConv::new(net, name, channels, [1, 1], ConvSpec::default())
}

/// Everything one row further down.
fn down_shift(x: &Var) -> Var {
    x.shift(2, 1)
}

/// Everything one column further right.
fn right_shift(x: &Var) -> Var {
    x.shift(3, 1)
}

/// How the network is computed.
#[derive(Clone, Copy)]
enum Form {
    /// At three sizes.
    Sizes(Mode),
    /// At that of the image alone, where neighbours at the present size are so many pixels apart:
    /// the same at every pixel, for those who draw one at a time. It is for networks that have been
    /// trained.
    Broadcast(usize),
}

impl Form {
    fn apply(self, layer: &NormedConv, x: &Var) -> Var {
        match self {
            Form::Sizes(mode) => layer.forward(x, mode),
            Form::Broadcast(distance) => layer.spread(x, distance),
        }
    }

    /// What `layer` makes of x, moved by `shift`. A spread network moves x instead, so that nothing
    /// is computed from pixels which are not drawn yet.
    fn apply_and(self, shift: fn(&Var) -> Var, layer: &NormedConv, x: &Var) -> Var {
        match self {
            Form::Sizes(_) => shift(&self.apply(layer, x)),
            Form::Broadcast(_) => {
                let inside = shift(&x.graph().constant(&[1, 1, x.shape()[2], x.shape()[3]], 1.0));
                &self.apply(layer, &shift(x)) * &inside
            }
        }
    }

    /// Half the height and width, or twice.
    fn resize(self, layers: &[NormedConv; 2], [u, ul]: [&Var; 2], is_halved: bool) -> (Form, Var, Var) {
        let form = match self {
            Form::Broadcast(distance) => Form::Broadcast(if is_halved { 2 * distance } else { distance / 2 }),
            Form::Sizes(_) => self,
        };
        (form, self.apply(&layers[0], u), self.apply(&layers[1], ul))
    }
}

/// A gated residual block: x + a·sigmoid(b).
struct Block {
    first: NormedConv,
    /// From what is seen beside x.
    beside: Option<NormedConv>,
    /// Both halves of the gate.
    second: NormedConv,
    keep: f32,
}

impl Block {
    /// A block of `stream`, which sees so many channels beside its own.
    fn new(net: &mut NetworkBuilder, stream: Stream, name: &str, c: &PixelCnnPpConfig, beside: usize) -> Block {
        let f = c.filters;
        let first = stream.conv(net, &format!("{name}.conv_in"), [2 * f, f], 1);
        let beside = (beside > 0).then(|| nin(net, &format!("{name}.nin"), [2 * beside, f]));
        let second = stream.conv(net, &format!("{name}.conv_out"), [2 * f, 2 * f], 1).starting_with(FIRST_RESIDUAL);
        Block { first, beside, second, keep: 1.0 - c.dropout }
    }

    fn forward(&self, x: &Var, beside: Option<&Var>, form: Form) -> Var {
        let mut y = form.apply(&self.first, &x.concat_elu());
        if let (Some(nin), Some(seen)) = (&self.beside, beside) {
            y = &y + &form.apply(nin, &seen.concat_elu());
        }
        let y = y.concat_elu();
        let y = match form {
            Form::Sizes(Mode::Train | Mode::TrainTwo | Mode::Initialise) if self.keep < 1.0 => y.dropout(self.keep),
            _ => y,
        };
        x + &form.apply(&self.second, &y).gate(false)
    }
}

/// A part of the network at one size, for both streams: blocks, and before them what leads to this
/// size.
struct Level {
    resize: Option<[NormedConv; 2]>,
    blocks: Vec<[Block; 2]>,
}

impl Architecture for PixelCnnPpConfig {
    const KIND: &'static str = "pixelcnn++";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Autoregressive(PixelCnnPp::new(self)?)))
    }
}

/// p(x) = Π p(pixel | pixels before it), every factor a mixture of logistic variables.
pub struct PixelCnnPp {
    config: PixelCnnPpConfig,
    net: Network,
    /// The rows above, for `u`; the row above, and what is left of the pixel, for `ul`.
    above: NormedConv,
    row_above: NormedConv,
    left: NormedConv,
    down: Vec<Level>,
    up: Vec<Level>,
    out: NormedConv,
}

impl PixelCnnPp {
    /// The network.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &PixelCnnPpConfig) -> Result<PixelCnnPp, ModelError> {
        positive(&[
            ("height", c.height),
            ("width", c.width),
            ("filters", c.filters),
            ("blocks", c.blocks),
            ("components", c.components),
        ])?;
        if c.channels != 1 && c.channels != 3 {
            return Err(ModelError::setting("channels", c.channels, "must be 1 (grey) or 3 (colours)"));
        }
        let least = 1 << HALVINGS;
        for (key, size) in [("height", c.height), ("width", c.width)] {
            if !size.is_multiple_of(least) {
                return Err(ModelError::setting(
                    key,
                    size,
                    format!("must be a multiple of {least}, because it is halved twice"),
                ));
            }
        }
        if !(0.0..1.0).contains(&c.dropout) {
            return Err(ModelError::setting("dropout", c.dropout, "must be at least 0 and below 1"));
        }
        let (f, seen) = (c.filters, c.channels + 1);
        let mut net = NetworkBuilder::new("pixelcnn", &Numbering::default());
        let net_mut = &mut net;
        let above = NormedConv::new(net_mut, "u_init", [seen, f], [2, 3], down_shifted([2, 3], 1));
        let row_above = NormedConv::new(net_mut, "ul_init.0", [seen, f], [1, 3], down_shifted([1, 3], 1));
        let left = NormedConv::new(net_mut, "ul_init.1", [seen, f], [2, 1], down_right_shifted([2, 1], 1));
        // Channels that a block of each stream sees beside its own: on the way down `ul` sees `u`;
        // on the way up `u` sees what it was on the way down, and `ul` both `u` and that.
        let blocks = |net: &mut NetworkBuilder, way: &str, size: usize, count: usize, beside: [usize; 2]| {
            let block = |k: usize| {
                [(Stream::U, "u", beside[0]), (Stream::Ul, "ul", beside[1])].map(|(stream, part, beside)| {
                    Block::new(net, stream, &format!("{way}.{size}.{part}.{k}"), c, beside)
                })
            };
            (0..count).map(block).collect::<Vec<_>>()
        };
        let both = [(Stream::U, "u"), (Stream::Ul, "ul")];
        let mut down = Vec::new();
        for size in 0..=HALVINGS {
            let halve =
                |(stream, part): (Stream, &str)| stream.conv(&mut net, &format!("down.{size}.{part}_halve"), [f, f], 2);
            let resize = (size > 0).then(|| both.map(halve));
            down.push(Level { resize, blocks: blocks(&mut net, "down", size, c.blocks, [0, f]) });
        }
        let mut up = Vec::new();
        for size in (0..=HALVINGS).rev() {
            let double =
                |(stream, part): (Stream, &str)| stream.deconv(&mut net, &format!("up.{size}.{part}_double"), f);
            let resize = (size < HALVINGS).then(|| both.map(double));
            // One more takes what the streams were before the first block, or just halved.
            let count = if size < HALVINGS { c.blocks + 1 } else { c.blocks };
            up.push(Level { resize, blocks: blocks(&mut net, "up", size, count, [f, 2 * f]) });
        }
        let head = Head::LogisticMixture { components: c.components as u32 };
        let out = nin(&mut net, "out", [f, head.channels(c.channels)]);
        Ok(PixelCnnPp { config: c.clone(), net: net.build(), above, row_above, left, down, up, out })
    }

    fn forward(&self, images: &Var, mut form: Form) -> Var {
        let x = centred(images);
        // A channel of ones tells images from the zeros around them.
        let ones = x.graph().constant(&[x.shape()[0], 1, x.shape()[2], x.shape()[3]], 1.0);
        let x = x.concat(&ones, 1);
        let mut u = form.apply_and(down_shift, &self.above, &x);
        let mut ul = &form.apply_and(down_shift, &self.row_above, &x) + &form.apply_and(right_shift, &self.left, &x);
        let mut made = vec![[u.clone(), ul.clone()]];
        for level in &self.down {
            if let Some(layers) = &level.resize {
                (form, u, ul) = form.resize(layers, [&u, &ul], true);
                made.push([u.clone(), ul.clone()]);
            }
            for [of_u, of_ul] in &level.blocks {
                u = of_u.forward(&u, None, form);
                ul = of_ul.forward(&ul, Some(&u), form);
                made.push([u.clone(), ul.clone()]);
            }
        }
        // What comes last is where the way up begins.
        made.pop();
        for level in &self.up {
            if let Some(layers) = &level.resize {
                (form, u, ul) = form.resize(layers, [&u, &ul], false);
            }
            for ([of_u, of_ul], [was_u, was_ul]) in std::iter::zip(&level.blocks, std::iter::from_fn(|| made.pop())) {
                u = of_u.forward(&u, Some(&was_u), form);
                ul = of_ul.forward(&ul, Some(&u.concat(&was_ul, 1)), form);
            }
        }
        form.apply(&self.out, &ul.elu())
    }
}

impl PixelModel for PixelCnnPp {
    fn network(&self) -> &Network {
        &self.net
    }

    fn shape(&self) -> [usize; 3] {
        [self.config.channels, self.config.height, self.config.width]
    }

    fn head(&self) -> Head {
        Head::LogisticMixture { components: self.config.components as u32 }
    }

    fn starts_from_data(&self) -> bool {
        true
    }

    fn outputs(&self, batch: &Batch, mode: Mode) -> Var {
        self.forward(&batch.images, Form::Sizes(mode))
    }

    fn outputs_by_pixel(&self, batch: &Batch) -> Var {
        self.forward(&batch.images, Form::Broadcast(1))
    }
}
