//! Models that draw pixel by pixel.

use super::source::{extents, listed, python};
use super::{Module, Told};
use crate::models::{PixelCnnConfig, PixelCnnGatedConfig, PixelCnnPpConfig, PixelRnnConfig, Recurrence};

const PIXEL_RNN: &str = "van den Oord, Kalchbrenner & Kavukcuoglu, \"Pixel Recurrent Neural Networks\" (ICML 2016)";

/// Pixels of some levels.
struct Pixels {
    colours: usize,
    height: usize,
    width: usize,
    /// 2 for black and white.
    levels: usize,
}

impl Pixels {
    fn shape(&self) -> String {
        extents(&[self.colours, self.height, self.width])
    }

    fn is_binary(&self) -> bool {
        self.levels == 2
    }

    /// Channels of the network's output.
    fn outputs(&self) -> usize {
        if self.is_binary() { self.colours } else { self.levels * self.colours }
    }

    /// What a network for them is given.
    fn input(&self) -> &'static str {
        if self.is_binary() { "images" } else { "images * 2 - 1" }
    }

    /// The docstring of `logits`.
    fn logits(&self, told: &Told) -> String {
        let (shape, outputs, of) = (self.shape(), extents(&[self.outputs(), self.height, self.width]), told.words());
        let says = match (self.is_binary(), self.colours) {
            (true, _) => "that each pixel is 1".to_string(),
            (false, 1) => format!("of each pixel's {} levels", self.levels),
            (false, colours) => {
                format!("of {} levels; level k of colour c is channel {colours} k + c", self.levels)
            }
        };
        format!("Logits [n, {outputs}] of images [n, {shape}] in [0, 1]{of}: {says}.")
    }

    /// The method `sample`.
    fn sample(&self, told: &Told, draw: &str) -> String {
        let values = match self.levels {
            2 => "of 0 and 1".to_string(),
            256 => "in [0, 1]".into(),
            levels => format!("in [0, 1], of {levels} levels"),
        };
        python!(
            "draw.py",
            asked = told.asked(),
            shape = self.shape(),
            values = values,
            of = told.wanted(),
            labels = told.lines(),
            height = self.height,
            width = self.width,
            draw = draw,
        )
    }

    /// Lines that draw a pixel.
    fn draw(&self, told: &Told) -> String {
        let logits = format!("self.logits(images{})", told.argument());
        let (from, at, last) = match (self.colours, self.is_binary()) {
            (1, true) => ("[:, :, y, x]".to_string(), ":", ""),
            (1, false) => ("[:, :, y, x]".into(), "0", ""),
            (_, true) => ("[:, c, y, x]".into(), "c", "c"),
            (colours, false) => (format!("[:, c::{colours}, y, x]"), "c", "c"),
        };
        let draw = match self.is_binary() {
            true => format!("images[:, {at}, y, x] = torch.sigmoid({logits}{from}).bernoulli()"),
            false => format!(
                "shares = {logits}{from}.softmax(1)\nimages[:, {at}, y, x] = torch.multinomial(shares, 1)[:, 0] / {}",
                self.levels - 1
            ),
        };
        if last.is_empty() {
            return draw;
        }
        let indented: String = draw.lines().map(|line| format!("    {line}\n")).collect();
        format!("for c in range({}):\n{indented}", self.colours)
    }

    /// The masked convolution.
    fn masked(&self) -> String {
        let (and, centre) = match self.colours {
            1 => (", and with \"B\" its own", "mask[:, :, height // 2, width // 2] = kind == \"B\"".to_string()),
            colours => (
                ", of its own the colours before, and with \"B\" the same. Channel c is of colour c % 3",
                format!(
                    "of, to = torch.arange(inputs) % {colours}, torch.arange(outputs)[:, None] % {colours}\nmask[:, :, \
                     height // 2, width // 2] = (of < to if kind == \"A\" else of <= to).float()"
                ),
            ),
        };
        python!("masked.py", and = and, centre = centre)
    }

    /// A 1x1 convolution, which needs a mask only if there are colours.
    fn one(&self, inputs: usize, outputs: usize) -> String {
        match self.colours {
            1 => format!("nn.Conv2d({inputs}, {outputs}, 1)"),
            _ => format!("MaskedConv2d(\"B\", {inputs}, {outputs}, 1)"),
        }
    }

    /// ReLU and 1x1 convolutions to these channels, and the output.
    fn last(&self, mut inputs: usize, channels: &[usize]) -> Vec<String> {
        let mut layers = Vec::new();
        for outputs in channels.iter().copied().chain([self.outputs()]) {
            layers.extend(["nn.ReLU()".into(), self.one(inputs, outputs)]);
            inputs = outputs;
        }
        layers
    }

    fn and_colours(&self) -> &'static str {
        if self.colours == 1 { "" } else { " and, within a pixel, over colours" }
    }
}

/// Convolutions.
pub(super) fn pixelcnn(c: &PixelCnnConfig) -> Module {
    let pixels = Pixels { colours: c.channels, height: c.height, width: c.width, levels: c.levels };
    let (told, h) = (Told { classes: 0 }, c.hidden);
    let block = [
        "nn.ReLU()".into(),
        pixels.one(2 * h, h),
        "nn.ReLU()".into(),
        format!("MaskedConv2d(\"B\", {h}, {h}, 3, padding=1)"),
        "nn.ReLU()".into(),
        pixels.one(h, 2 * h),
    ];
    let mut layers = vec![format!("MaskedConv2d(\"A\", {}, {}, 7, padding=3)", c.channels, 2 * h)];
    layers.extend((c.blocks > 0).then(|| format!("*[Residual() for _ in range({})]", c.blocks)));
    let widths = if c.last.is_empty() { vec![2 * h] } else { c.last.clone() };
    layers.extend(pixels.last(2 * h, &widths));
    let residual = match c.blocks {
        0 => String::new(),
        _ => python!("residual.py", block = listed(&block)),
    };
    let network = python!(
        "pixelcnn.py",
        colours = pixels.and_colours(),
        layers = listed(&layers),
        logits = pixels.logits(&told),
        input = pixels.input(),
        sample = pixels.sample(&told, &pixels.draw(&told)),
    );
    let about = format!("A PixelCNN for images [{}]: {PIXEL_RNN}.", pixels.shape());
    let body = [pixels.masked(), residual, network].join("\n\n\n");
    Module { about, class: "PixelCnn", body, using: told.using().into() }
}

/// Two stacks with gates.
pub(super) fn gated(c: &PixelCnnGatedConfig) -> Module {
    let pixels = Pixels { colours: 1, height: c.height, width: c.width, levels: c.levels };
    let (told, h) = (Told { classes: c.classes }, c.hidden);
    let layer = |name: &str| format!("self.{name} = nn.Sequential(nn.Linear({}, {}, bias=False))", c.classes, 2 * h);
    let class_layers = format!("{}\n{}", layer("class_vert"), layer("class_horiz"));
    let add = "both = both + self.class_horiz(classes)[:, :, None, None]\nabove = above + \
               self.class_vert(classes)[:, :, None, None]";
    let body = python!(
        "gated.py",
        hidden = h,
        twice = 2 * h,
        class_layers = told.says(&class_layers),
        classes = told.says(", classes"),
        told = told.says(add),
        given = told.says(", class"),
        dilations = format!("{:?}", c.dilations),
        outputs = pixels.outputs(),
        labels = told.argument(),
        logits = pixels.logits(&told),
        one_hot = told.says(&format!("classes = {}", told.one_hot())),
        sample = pixels.sample(&told, &pixels.draw(&told)),
    );
    let classes = if c.classes > 0 { format!(" of {} classes", c.classes) } else { String::new() };
    let about = format!(
        "A gated PixelCNN for images [{}]{classes}: van den Oord et al., \"Conditional Image Generation with PixelCNN \
         Decoders\" (NIPS 2016), with dilated convolutions.",
        pixels.shape()
    );
    Module { about, class: "GatedPixelCnn", body, using: told.using().into() }
}

/// Recurrent ones.
pub(super) fn recurrent(c: &PixelRnnConfig) -> Module {
    let pixels = Pixels { colours: c.channels, height: c.height, width: c.width, levels: c.levels };
    let (told, h) = (Told { classes: 0 }, c.hidden);
    let (lstm, directions, layer, layer_says, kind) = match c.recurrence {
        Recurrence::Row => (
            python!("rnn_row.py", hidden = h, twice = 2 * h, gates = 4 * h),
            "self.row = RowLstm()",
            "return x + self.out(self.row(x))",
            "A row LSTM, widened and added to its input.",
            "row LSTMs",
        ),
        Recurrence::Diagonal => (
            python!("rnn_diagonal.py", hidden = h, gates = 4 * h, gate_conv = pixels.one(2 * h, 4 * h)),
            "self.left = DiagonalLstm()\nself.right = DiagonalLstm()",
            "# At the end of a row the mirrored one has seen all of it, so it speaks to the next row.\nright = \
             F.pad(self.right.mirrored(x), (0, 0, 1, 0))[:, :, :-1]\nreturn x + self.out(self.left(x) + right)",
            "Diagonal LSTMs from both sides, widened and added to their input.",
            "diagonal BiLSTMs",
        ),
    };
    let network = python!(
        "rnn.py",
        gates = 4 * h,
        lstm = lstm,
        layer_says = layer_says,
        directions = directions,
        out = pixels.one(h, 2 * h),
        layer = layer,
        colours = pixels.and_colours(),
        channels = c.channels,
        twice = 2 * h,
        layers = c.layers,
        last = listed(&pixels.last(2 * h, &c.last)),
        logits = pixels.logits(&told),
        input = pixels.input(),
        sample = pixels.sample(&told, &pixels.draw(&told)),
    );
    let about = format!("A PixelRNN of {kind} for images [{}]: {PIXEL_RNN}.", pixels.shape());
    let body = [pixels.masked(), network].join("\n\n\n");
    Module { about, class: "PixelRnn", body, using: told.using().into() }
}

/// PixelCNN++.
pub(super) fn logistic(c: &PixelCnnPpConfig) -> Module {
    let pixels = Pixels { colours: c.channels, height: c.height, width: c.width, levels: 256 };
    let (told, f, k) = (Told { classes: 0 }, c.filters, c.components);
    let parameters = if c.channels == 1 { 2 } else { 3 };
    let outputs = (1 + c.channels * parameters) * k;
    let (unbind, colours, pixel) = match c.channels {
        1 => ("mean, log_scale", "", "level(mean + noise)"),
        _ => (
            "mean, log_scale, coefficient",
            "(r, g, b), (u, v, w) = (mean + noise).unbind(1), coefficient.tanh().unbind(1)\nr = level(r)\ng = level(g + u \
             * r)\nb = level(b + v * r + w * g)",
            "torch.stack([r, g, b], 1)",
        ),
    };
    let says = format!(
        "Parameters [n, {}] of the mixtures of each pixel of images [n, {}] in [0, 1].",
        extents(&[outputs, c.height, c.width]),
        pixels.shape()
    );
    let body = python!(
        "pixelcnn_pp.py",
        filters = f,
        twice = 2 * f,
        dropout = c.dropout,
        blocks = c.blocks,
        more = c.blocks + 1,
        channels = c.channels,
        outputs = outputs,
        components = k,
        rest = outputs - k,
        parameters = parameters,
        unbind = unbind,
        colours = colours,
        pixel = pixel,
        seen = c.channels + 1,
        logits = says,
        sample = pixels.sample(&told, "images[:, :, y, x] = draw(self.logits(images)[:, :, y, x])"),
    );
    let about = format!(
        "A PixelCNN++ for images [{}]: Salimans, Karpathy, Chen & Kingma, \"PixelCNN++: Improving the PixelCNN with \
         Discretized Logistic Mixture Likelihood and Other Modifications\" (ICLR 2017).",
        pixels.shape()
    );
    Module { about, class: "PixelCnnPp", body, using: told.using().into() }
}
