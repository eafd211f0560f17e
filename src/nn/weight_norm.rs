//! Convolutions with normalised weights: Salimans & Kingma, "Weight Normalization: A Simple Reparameterization
//! to Accelerate Training of Deep Neural Networks" (NeurIPS 2016).

use super::layers::Mode;
use super::network::{Init, NetworkBuilder, Param};
use crate::graph::{Graph, Var};
use crate::ops::ConvSpec;

/// Standard deviation of directions at the start.
const DIRECTION_STD: f32 = 0.05;
/// Added to the variance that the first outputs are divided by.
const EPS: f32 = 1e-10;

/// A convolution with bias whose weight is w = g v / ‖v‖ for every output (§2): its length g and its direction v are
/// learned apart. With [`Mode::First`] g and the bias start such that over this batch every output has mean 0
/// and a standard deviation that the layer is told (§3).
#[derive(Clone, Debug)]
pub struct NormedConv {
    name: String,
    /// [outputs, inputs, kernel], or [inputs, outputs, kernel] if transposed.
    v: Param,
    /// [outputs, 1, 1, 1], or [1, outputs, 1, 1] if transposed.
    g: Param,
    b: Param,
    spec: ConvSpec,
    is_transposed: bool,
    deviation: f32,
}

impl NormedConv {
    /// A convolution; its parameters are called `NAME.weight_v`, `NAME.weight_g` and `NAME.bias`.
    pub fn new(
        net: &mut NetworkBuilder,
        name: &str,
        [inputs, outputs]: [usize; 2],
        [kh, kw]: [usize; 2],
        spec: ConvSpec,
    ) -> NormedConv {
        NormedConv::with(net, name, [outputs, inputs, kh, kw], spec, false)
    }

    /// A transposed convolution.
    pub fn transposed(
        net: &mut NetworkBuilder,
        name: &str,
        [inputs, outputs]: [usize; 2],
        [kh, kw]: [usize; 2],
        spec: ConvSpec,
    ) -> NormedConv {
        NormedConv::with(net, name, [inputs, outputs, kh, kw], spec, true)
    }

    fn with(
        net: &mut NetworkBuilder,
        name: &str,
        shape: [usize; 4],
        spec: ConvSpec,
        is_transposed: bool,
    ) -> NormedConv {
        let axis = usize::from(is_transposed);
        let (mut lengths, outputs) = ([1; 4], shape[axis]);
        lengths[axis] = outputs;
        let direction = Init::Normal { mean: 0.0, std: DIRECTION_STD };
        let v = net.param(format!("{name}.weight_v"), &shape, direction);
        let g = net.param(format!("{name}.weight_g"), &lengths, Init::Ones);
        let b = net.param(format!("{name}.bias"), &[outputs], Init::Zeros);
        NormedConv { name: name.into(), v, g, b, spec, is_transposed, deviation: 1.0 }
    }

    /// Outputs start with this standard deviation rather than 1.
    pub fn starting_with(self, deviation: f32) -> Self {
        NormedConv { deviation, ..self }
    }

    /// v / ‖v‖, times g if wanted.
    fn weight(&self, graph: &Graph, with_length: bool) -> Var {
        let v = self.v.var(graph);
        let others: Vec<usize> = (0..4).filter(|axis| *axis != usize::from(self.is_transposed)).collect();
        let length = v.square().sum_axes(&others).sqrt();
        if with_length { &v * &(&self.g.var(graph) / &length) } else { &v / &length }
    }

    fn convolve(&self, x: &Var, w: &Var, b: Option<&Var>) -> Var {
        if self.is_transposed { x.conv_transpose2d(w, b, &self.spec, [0, 0]) } else { x.conv2d(w, b, &self.spec) }
    }

    /// The outputs for x [n,inputs,h,w].
    pub fn forward(&self, x: &Var, mode: Mode) -> Var {
        let graph = x.graph();
        graph.scope(&self.name);
        match mode {
            Mode::First => self.start(x),
            Mode::Train | Mode::Eval => self.convolve(x, &self.weight(graph, true), Some(&self.b.var(graph))),
        }
    }

    /// Sets g and the bias by this batch, whose outputs it gives (equation 6 of the paper).
    fn start(&self, x: &Var) -> Var {
        let graph = x.graph();
        let (g, b) = (self.g.var(graph), self.b.var(graph));
        let along = self.convolve(x, &self.weight(graph, false), None);
        let (scale, zeros) = (graph.constant(b.shape(), self.deviation), graph.constant(b.shape(), 0.0));
        let outputs = along.batch_norm(&scale, &zeros, EPS);
        let length = outputs.var.add_scalar(EPS).sqrt().recip().mul_scalar(self.deviation);
        graph.assign(&(-&(&outputs.mean * &length)), &b);
        graph.assign(&length.reshape(g.shape()), &g);
        outputs.y
    }
}
