//! Layers, strung together the way a paper lists them.

use super::network::{Init, NetworkBuilder, Param, Scheme};
use super::weight::Weight;
use crate::graph::{Graph, Var};
use crate::ops::{ConvSpec, Mask};

/// How layers behave that are not the same in training and afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, which also move the running ones; dropout.
    Train,
    /// As in training, on two batches of one size, one behind the other, each with its own
    /// statistics.
    TrainTwo,
    /// As in training, on the batch that parameters start from: see [`super::NormedConv`].
    Initialise,
    /// Running statistics; nothing is dropped.
    Eval,
}

/// Added to the variance in batch normalisation.
const BATCH_NORM_EPS: f32 = 1e-5;
/// How far running statistics move towards those of a batch.
const BATCH_NORM_MOMENTUM: f32 = 0.1;

#[derive(Clone, Debug)]
enum Layer {
    Linear { w: Weight, b: Option<Param> },
    Conv { w: Weight, b: Option<Param>, spec: ConvSpec },
    ConvAbove { w: Weight, b: Option<Param>, dilation: usize, mask: Mask },
    ConvTranspose { w: Param, b: Option<Param>, spec: ConvSpec },
    BatchNorm { gamma: Param, beta: Param, mean: Param, var: Param },
    Maxout { w: Weight, b: Option<Param>, units: usize, pieces: usize },
    Dropout(f32),
    Relu,
    LeakyRelu(f32),
    Tanh,
    Sigmoid,
    PixelNorm,
    MinibatchStddev(usize),
    Upsample,
    AvgPool,
    Flatten,
    Unflatten([usize; 3]),
    Residual(Sequential),
}

/// What is done to the weights of a chain's layers before they are used.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Normalised {
    Not,
    Spectral,
    /// Stored as N(0, 1) and used times gain / √fan_in.
    Equalised {
        gain: f32,
    },
}

/// A chain of layers.
#[derive(Clone, Debug)]
pub struct Sequential {
    layers: Vec<(String, Layer)>,
}

impl Sequential {
    /// Applies the layers in order.
    pub fn forward(&self, x: &Var, mode: Mode) -> Var {
        let mut x = x.clone();
        for (name, layer) in &self.layers {
            x.graph().scope(name);
            x = layer.forward(&x, mode);
        }
        x
    }

    /// Of every convolution, what its normalisation and activation make of it.
    pub fn activations(&self, x: &Var, mode: Mode) -> Vec<Var> {
        let (mut x, mut all, mut is_last) = (x.clone(), Vec::new(), false);
        for (name, layer) in &self.layers {
            x.graph().scope(name);
            x = layer.forward(&x, mode);
            match layer {
                Layer::Conv { .. } => all.push(x.clone()),
                Layer::BatchNorm { .. } | Layer::Relu | Layer::LeakyRelu(_) | Layer::Tanh | Layer::Sigmoid
                    if is_last =>
                {
                    all.pop();
                    all.push(x.clone());
                }
                _ => {
                    is_last = false;
                    continue;
                }
            }
            is_last = true;
        }
        all
    }

    /// Moves the estimates of spectral norms by one power iteration: to be called once before each
    /// update, or each time the weights have changed.
    pub fn power_iteration(&self, graph: &Graph) {
        self.each_weight(graph, &|w| w.iterate(graph));
    }

    /// Makes the weights of every unit, its row of a linear layer or convolution, no longer than
    /// `bound`: to be called after an update.
    pub fn max_norm(&self, graph: &Graph, bound: f32) {
        self.each_weight(graph, &|w| w.max_norm(graph, bound));
    }

    fn each_weight(&self, graph: &Graph, visit: &dyn Fn(&Weight)) {
        for (name, layer) in &self.layers {
            graph.scope(name);
            match layer {
                Layer::Linear { w, .. }
                | Layer::Conv { w, .. }
                | Layer::ConvAbove { w, .. }
                | Layer::Maxout { w, .. } => visit(w),
                Layer::Residual(body) => body.each_weight(graph, visit),
                _ => (),
            }
        }
    }
}

/// Batch normalisation by the statistics of the batch, which move the running mean and variance, or
/// by these.
pub(super) fn batch_norm(x: &Var, gamma: &Var, beta: &Var, running: [&Param; 2], mode: Mode) -> Var {
    let g = x.graph();
    let [mean, var] = running.map(|p| p.var(g));
    if mode == Mode::Eval {
        return x.batch_norm_eval(gamma, beta, &mean, &var, BATCH_NORM_EPS);
    }
    let groups = if mode == Mode::TrainTwo { 2 } else { 1 };
    let normed = x.batch_norm_of(groups, gamma, beta, BATCH_NORM_EPS);
    // The running variance is the unbiased one, as in PyTorch.
    let shard = g.shard();
    let together = if shard.synchronised { shard.ranks } else { 1 };
    let n = (x.len() / gamma.len() / groups * together) as f32;
    g.ema(&normed.mean, &mean, BATCH_NORM_MOMENTUM, 1.0);
    g.ema(&normed.var, &var, BATCH_NORM_MOMENTUM, n / (n - 1.0).max(1.0));
    normed.y
}

impl Layer {
    fn forward(&self, x: &Var, mode: Mode) -> Var {
        let g = x.graph();
        match self {
            Layer::Linear { w, b } => x.linear(&w.var(g), b.as_ref().map(|b| b.var(g)).as_ref()),
            Layer::Conv { w, b, spec } => x.conv2d(&w.var(g), b.as_ref().map(|b| b.var(g)).as_ref(), spec),
            Layer::ConvAbove { w, b, dilation, mask } => {
                let w = w.var(g);
                let [reach, side] = [2, 3].map(|axis| w.shape()[axis] / 2);
                let rows = if *mask == Mask::A { reach } else { reach + 1 };
                let padding = [dilation * reach, dilation * side, 0, dilation * side];
                let spec = ConvSpec { padding, dilation: [*dilation; 2], ..ConvSpec::default() };
                let y = x.conv2d(&w.slice(2, 0, rows), b.as_ref().map(|b| b.var(g)).as_ref(), &spec);
                y.slice(2, 0, x.shape().get(2).copied().unwrap_or(0))
            }
            Layer::ConvTranspose { w, b, spec } => {
                x.conv_transpose2d(&w.var(g), b.as_ref().map(|b| b.var(g)).as_ref(), spec, [0, 0])
            }
            Layer::BatchNorm { gamma, beta, mean, var } => {
                batch_norm(x, &gamma.var(g), &beta.var(g), [mean, var], mode)
            }
            Layer::Maxout { w, b, units, pieces } => {
                let all = x.linear(&w.var(g), b.as_ref().map(|b| b.var(g)).as_ref());
                all.reshape(&[x.rows("maxout"), *pieces, *units]).max_axis(1)
            }
            Layer::Dropout(_) if mode == Mode::Eval => x.clone(),
            Layer::Dropout(keep) => x.dropout(*keep),
            Layer::Relu => x.relu(),
            Layer::LeakyRelu(slope) => x.leaky_relu(*slope),
            Layer::Tanh => x.tanh(),
            Layer::Sigmoid => x.sigmoid(),
            Layer::PixelNorm => x.pixel_norm(),
            Layer::MinibatchStddev(group) => x.minibatch_stddev(*group),
            Layer::Upsample => x.upsample([2, 2]),
            Layer::AvgPool => x.avg_pool([2, 2]),
            Layer::Flatten => x.flatten(),
            Layer::Unflatten([c, h, w]) => x.reshape(&[x.rows("unflatten"), *c, *h, *w]),
            Layer::Residual(body) => x + &body.forward(x, mode),
        }
    }
}

/// Builds a [`Sequential`]; every layer takes a number, as in PyTorch's module of that name, and
/// its parameters are called `PREFIX.NUMBER.weight` and `PREFIX.NUMBER.bias`.
pub struct Sequence<'a> {
    net: &'a mut NetworkBuilder,
    prefix: String,
    layers: Vec<(String, Layer)>,
    normalised: Normalised,
}

impl NetworkBuilder {
    /// Starts a chain of layers; an empty prefix numbers them from the top.
    pub fn sequence(&mut self, prefix: &str) -> Sequence<'_> {
        Sequence { net: self, prefix: prefix.into(), layers: Vec::new(), normalised: Normalised::Not }
    }

    /// Weight and bias of a layer that starts by `scheme`.
    fn weights(
        &mut self,
        scheme: Scheme,
        name: &str,
        shape: &[usize],
        outputs: usize,
        fan: [usize; 2],
        bias: bool,
    ) -> (Param, Option<Param>) {
        let (weight, zero) = match scheme {
            Scheme::Torch => (Init::fan_in(fan[0]), Init::fan_in(fan[0])),
            Scheme::Dcgan => (Init::Normal { mean: 0.0, std: 0.02 }, Init::Zeros),
            Scheme::Glorot => (Init::glorot(fan[0], fan[1]), Init::Zeros),
            Scheme::Uniform(bound) => (Init::Uniform(bound), Init::Zeros),
            Scheme::Unit => (Init::Normal { mean: 0.0, std: 1.0 }, Init::Zeros),
        };
        let w = self.param(format!("{name}.weight"), shape, weight);
        (w, bias.then(|| self.param(format!("{name}.bias"), &[outputs], zero)))
    }

    /// A convolution with a name of its own, weight [outputs, inputs, kernel], and bias.
    pub fn conv(
        &mut self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        kernel: [usize; 2],
        spec: ConvSpec,
    ) -> Sequential {
        let (w, b) = self.conv_weights(name, [inputs, outputs], kernel);
        Sequential { layers: vec![(name.into(), Layer::Conv { w, b, spec })] }
    }

    /// A 1x1 convolution with a name of its own, and bias.
    pub fn conv1x1(&mut self, name: &str, inputs: usize, outputs: usize) -> Sequential {
        self.conv(name, [inputs, outputs], [1, 1], ConvSpec::default())
    }

    /// A convolution with bias that keeps the size and sees rows above only, and with mask B the
    /// row itself: the upper rows of a square kernel, whose lower ones are stored and never used.
    pub fn conv_above(
        &mut self,
        name: &str,
        channels: [usize; 2],
        kernel: usize,
        dilation: usize,
        mask: Mask,
    ) -> Sequential {
        let (w, b) = self.conv_weights(name, channels, [kernel; 2]);
        Sequential { layers: vec![(name.into(), Layer::ConvAbove { w, b, dilation, mask })] }
    }

    /// A convolution with bias along the row that keeps the size and sees what is to the left, and
    /// with mask B the pixel itself.
    pub fn conv_left(
        &mut self,
        name: &str,
        channels: [usize; 2],
        kernel: usize,
        dilation: usize,
        mask: Mask,
    ) -> Sequential {
        let side = dilation * (kernel / 2);
        let spec = ConvSpec { padding: [0, side, 0, side], dilation: [1, dilation], mask, ..ConvSpec::default() };
        self.conv(name, channels, [1, kernel], spec)
    }

    /// Weight [outputs, inputs, kernel] and bias of a convolution.
    fn conv_weights(
        &mut self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        [kh, kw]: [usize; 2],
    ) -> (Weight, Option<Param>) {
        let fan = [inputs * kh * kw, outputs * kh * kw];
        let (w, b) = self.weights(self.scheme, name, &[outputs, inputs, kh, kw], outputs, fan, true);
        (Weight::plain(w), b)
    }

    /// A fully connected layer with a name of its own.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Sequential {
        let (w, b) = self.weights(self.scheme, name, &[outputs, inputs], outputs, [inputs, outputs], true);
        Sequential { layers: vec![(name.into(), Layer::Linear { w: Weight::plain(w), b })] }
    }
}

impl Sequence<'_> {
    fn name(&self) -> String {
        match self.prefix.as_str() {
            "" => self.layers.len().to_string(),
            prefix => format!("{prefix}.{}", self.layers.len()),
        }
    }

    fn push(mut self, layer: Layer) -> Self {
        let name = self.name();
        self.layers.push((name, layer));
        self
    }

    /// Weights [outputs, ...] of the linear layers and convolutions that follow are divided by
    /// their largest singular values, which [`Sequential::power_iteration`] keeps up with.
    pub fn spectral_norm(self) -> Self {
        Sequence { normalised: Normalised::Spectral, ..self }
    }

    /// Weights of the linear layers and convolutions that follow are stored as N(0, 1) and used
    /// times gain / √fan_in, the scale that He et al. 2015 start with: an optimiser that takes
    /// steps of one size then moves all layers at one rate.
    pub fn equalised_lr(self, gain: f32) -> Self {
        Sequence { normalised: Normalised::Equalised { gain }, ..self }
    }

    /// A layer's weight by the chain's normalisation, and its bias.
    fn weights(&mut self, shape: &[usize], fan: [usize; 2], bias: bool) -> (Weight, Option<Param>) {
        let name = self.name();
        let scheme = match self.normalised {
            Normalised::Equalised { .. } => Scheme::Unit,
            _ => self.net.scheme,
        };
        let (w, b) = self.net.weights(scheme, &name, shape, shape[0], fan, bias);
        let w = match self.normalised {
            Normalised::Not => Weight::plain(w),
            Normalised::Spectral => Weight::spectral(self.net, &name, w, shape),
            Normalised::Equalised { gain } => Weight::scaled(w, gain / (fan[0] as f32).sqrt()),
        };
        (w, b)
    }

    /// Fully connected: y = x·Wᵀ + b.
    pub fn linear(mut self, inputs: usize, outputs: usize, bias: bool) -> Self {
        let (w, b) = self.weights(&[outputs, inputs], [inputs, outputs], bias);
        self.push(Layer::Linear { w, b })
    }

    /// Maxout (Goodfellow et al. 2013): each unit is the largest of `pieces` linear ones, with
    /// biases. Row k·units + i of the weight is piece k of unit i.
    pub fn maxout(mut self, inputs: usize, units: usize, pieces: usize) -> Self {
        let outputs = units * pieces;
        let (w, b) = self.weights(&[outputs, inputs], [inputs, outputs], true);
        self.push(Layer::Maxout { w, b, units, pieces })
    }

    /// In training each element stays with probability `keep`, divided by it, and is 0 otherwise.
    pub fn dropout(self, keep: f32) -> Self {
        self.push(Layer::Dropout(keep))
    }

    /// Convolution with a square kernel.
    pub fn conv(self, inputs: usize, outputs: usize, kernel: usize, spec: ConvSpec, bias: bool) -> Self {
        self.conv_with([outputs, inputs, kernel, kernel], spec, bias)
    }

    /// Convolution along rows.
    pub fn conv_1d(self, inputs: usize, outputs: usize, kernel: usize, spec: ConvSpec, bias: bool) -> Self {
        self.conv_with([outputs, inputs, 1, kernel], spec, bias)
    }

    /// Convolution with weights of this shape, [outputs, inputs, height, width].
    pub fn conv_with(mut self, shape: [usize; 4], spec: ConvSpec, bias: bool) -> Self {
        let [outputs, inputs, kh, kw] = shape;
        let taps = kh * kw;
        let (w, b) = self.weights(&shape, [inputs * taps, outputs * taps], bias);
        self.push(Layer::Conv { w, b, spec })
    }

    /// 1x1 convolution with bias.
    pub fn conv1x1(self, inputs: usize, outputs: usize) -> Self {
        self.conv(inputs, outputs, 1, ConvSpec::default(), true)
    }

    /// Masked convolution for pixels of so many colours that keeps the size, with bias.
    pub fn masked_conv(self, mask: Mask, inputs: usize, outputs: usize, kernel: usize, colours: usize) -> Self {
        // Mask B of one tap and one colour hides nothing.
        let mask = if (mask, kernel, colours) == (Mask::B, 1, 1) { Mask::None } else { mask };
        self.conv(inputs, outputs, kernel, ConvSpec::masked(mask, [kernel; 2], colours), true)
    }

    /// Transposed convolution with a square kernel.
    pub fn conv_transpose(self, inputs: usize, outputs: usize, kernel: usize, spec: ConvSpec, bias: bool) -> Self {
        self.conv_transpose_with([inputs, outputs, kernel, kernel], spec, bias)
    }

    /// Transposed convolution along rows.
    pub fn conv_transpose_1d(self, inputs: usize, outputs: usize, kernel: usize, spec: ConvSpec, bias: bool) -> Self {
        self.conv_transpose_with([inputs, outputs, 1, kernel], spec, bias)
    }

    /// Transposed convolution with weights of this shape, [inputs, outputs, height, width].
    pub fn conv_transpose_with(self, shape: [usize; 4], spec: ConvSpec, bias: bool) -> Self {
        let [inputs, outputs, kh, kw] = shape;
        let taps = kh * kw;
        // PyTorch counts the fan of a transposed convolution by the axes of its weight.
        let (scheme, name) = (self.net.scheme, self.name());
        let (w, b) = self.net.weights(scheme, &name, &shape, outputs, [outputs * taps, inputs * taps], bias);
        self.push(Layer::ConvTranspose { w, b, spec })
    }

    /// Batch normalisation over `channels`.
    pub fn batch_norm(self, channels: usize) -> Self {
        let name = self.name();
        let scale = match self.net.scheme {
            Scheme::Dcgan => Init::Normal { mean: 1.0, std: 0.02 },
            _ => Init::Ones,
        };
        let gamma = self.net.param(format!("{name}.weight"), &[channels], scale);
        let beta = self.net.param(format!("{name}.bias"), &[channels], Init::Zeros);
        let mean = self.net.stat(format!("{name}.running_mean"), &[channels], Init::Zeros);
        let var = self.net.stat(format!("{name}.running_var"), &[channels], Init::Ones);
        self.push(Layer::BatchNorm { gamma, beta, mean, var })
    }

    /// max(x, 0)
    pub fn relu(self) -> Self {
        self.push(Layer::Relu)
    }

    /// x where positive, slope·x elsewhere
    pub fn leaky_relu(self, slope: f32) -> Self {
        self.push(Layer::LeakyRelu(slope))
    }

    /// tanh x
    pub fn tanh(self) -> Self {
        self.push(Layer::Tanh)
    }

    /// 1 / (1 + e^-x)
    pub fn sigmoid(self) -> Self {
        self.push(Layer::Sigmoid)
    }

    /// See [`Var::pixel_norm`].
    pub fn pixel_norm(self) -> Self {
        self.push(Layer::PixelNorm)
    }

    /// See [`Var::minibatch_stddev`].
    pub fn minibatch_stddev(self, group: usize) -> Self {
        self.push(Layer::MinibatchStddev(group))
    }

    /// Twice as high and wide, by nearest neighbour.
    pub fn upsample(self) -> Self {
        self.push(Layer::Upsample)
    }

    /// Half as high and wide, by means.
    pub fn avg_pool(self) -> Self {
        self.push(Layer::AvgPool)
    }

    /// `[n,c,h,w]` as [n,c·h·w]
    pub fn flatten(self) -> Self {
        self.push(Layer::Flatten)
    }

    /// [n,c·h·w] as `[n,c,h,w]`
    pub fn unflatten(self, shape: [usize; 3]) -> Self {
        self.push(Layer::Unflatten(shape))
    }

    /// x + body(x)
    pub fn residual(self, body: impl FnOnce(Sequence<'_>) -> Sequence<'_>) -> Self {
        let name = self.name();
        let inner = body(Sequence { net: self.net, prefix: name, layers: Vec::new(), normalised: self.normalised });
        let inner = Sequential { layers: inner.layers };
        self.push(Layer::Residual(inner))
    }

    /// The finished chain.
    pub fn build(self) -> Sequential {
        Sequential { layers: self.layers }
    }
}
