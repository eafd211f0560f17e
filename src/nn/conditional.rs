//! Layers that are told something of each image: batch normalisation whose scale and shift depend
//! on it (de Vries et al. 2017; Brock, Donahue & Simonyan, "Large Scale GAN Training for High
//! Fidelity Natural Image Synthesis", ICLR 2019, appendix B), and attention (Zhang, Goodfellow,
//! Metaxas & Odena, "Self-Attention Generative Adversarial Networks", ICML 2019, §3).

use super::layers::{Mode, Sequential, batch_norm};
use super::network::{Init, NetworkBuilder, Param};
use crate::graph::{Graph, Var};
use crate::ops::ConvSpec;

/// y = (x - mean) / √(var + eps) · (1 + A v) + B v for a vector v of each image.
#[derive(Clone, Debug)]
pub struct ConditionalBatchNorm {
    scale: Sequential,
    shift: Sequential,
    mean: Param,
    var: Param,
}

impl ConditionalBatchNorm {
    /// Over `channels`, with vectors of `inputs` elements; A and B have their spectral norm divided
    /// out.
    pub fn new(net: &mut NetworkBuilder, name: &str, channels: usize, inputs: usize) -> ConditionalBatchNorm {
        let mut matrix = |what: &str| {
            net.sequence(&format!("{name}.{what}")).spectral_norm().linear(inputs, channels, false).build()
        };
        let [scale, shift] = ["scale", "shift"].map(&mut matrix);
        let mean = net.stat(format!("{name}.running_mean"), &[channels], Init::Zeros);
        let var = net.stat(format!("{name}.running_var"), &[channels], Init::Ones);
        ConditionalBatchNorm { scale, shift, mean, var }
    }

    /// For x `[n,c,h,w]` and v `[n,inputs]`.
    pub fn forward(&self, x: &Var, v: &Var, mode: Mode) -> Var {
        let (g, [n, c]) = (x.graph(), [x.shape()[0], x.shape()[1]]);
        let (ones, zeros) = (g.constant(&[c], 1.0), g.constant(&[c], 0.0));
        let normed = batch_norm(x, &ones, &zeros, [&self.mean, &self.var], mode);
        let [scale, shift] = [&self.scale, &self.shift].map(|m| m.forward(v, mode).reshape(&[n, c, 1, 1]));
        &(&normed * &scale.add_scalar(1.0)) + &shift
    }

    /// See [`Sequential::power_iteration`].
    pub fn power_iteration(&self, graph: &Graph) {
        [&self.scale, &self.shift].into_iter().for_each(|m| m.power_iteration(graph));
    }
}

/// x plus γ times what every position takes from all others; γ starts at 0. Keys and values are
/// those of half the height and width.
#[derive(Clone, Debug)]
pub struct Attention {
    query: Sequential,
    key: Sequential,
    value: Sequential,
    out: Sequential,
    gamma: Param,
}

impl Attention {
    /// Over `channels`: an eighth of them are compared and a half taken, by 1x1 convolutions
    /// without bias whose spectral norm is divided out.
    pub fn new(net: &mut NetworkBuilder, name: &str, channels: usize) -> Attention {
        let (compared, taken) = ((channels / 8).max(1), (channels / 2).max(1));
        let mut conv = |what: &str, inputs, outputs| {
            let layers = net.sequence(&format!("{name}.{what}")).spectral_norm();
            layers.conv(inputs, outputs, 1, ConvSpec::default(), false).build()
        };
        let (query, key) = (conv("query", channels, compared), conv("key", channels, compared));
        let (value, out) = (conv("value", channels, taken), conv("out", taken, channels));
        let gamma = net.param(format!("{name}.gamma"), &[1], Init::Zeros);
        Attention { query, key, value, out, gamma }
    }

    /// For x `[n,c,h,w]` with even h and w.
    pub fn forward(&self, x: &Var, mode: Mode) -> Var {
        let positions = |y: Var| y.reshape(&[y.shape()[0], y.shape()[1], y.shape()[2..].iter().product()]);
        let query = positions(self.query.forward(x, mode));
        let [key, value] = [&self.key, &self.value].map(|layer| positions(layer.forward(x, mode).max_pool()));
        let taken = query.attend(&key, &value);
        let taken = taken.reshape(&[x.shape()[0], taken.shape()[1], x.shape()[2], x.shape()[3]]);
        x + &(&self.gamma.var(x.graph()) * &self.out.forward(&taken, mode))
    }

    /// See [`Sequential::power_iteration`].
    pub fn power_iteration(&self, graph: &Graph) {
        [&self.query, &self.key, &self.value, &self.out].into_iter().for_each(|layer| layer.power_iteration(graph));
    }
}
