//! Convolutions with normalised weights: Salimans & Kingma, "Weight Normalization: A Simple
//! Reparameterization to Accelerate Training of Deep Neural Networks" (NeurIPS 2016).

use super::layers::Mode;
use super::network::{Init, NetworkBuilder, Param};
use crate::graph::{Graph, Var};
use crate::ops::ConvSpec;

/// Standard deviation of directions at the start.
const DIRECTION_STD: f32 = 0.05;
/// Added to the variance that the first outputs are divided by.
const EPS: f32 = 1e-10;

/// A convolution with bias whose weight is w = g v / ‖v‖ for every output (§2): its length g and
/// its direction v are learned apart. With [`Mode::Initialise`] g and the bias start such that over
/// this batch every output has mean 0 and a standard deviation that the layer is told (§3).
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
        let (v, axis) = (self.v.var(graph), usize::from(self.is_transposed));
        if with_length {
            return v.weight_norm(&self.g.var(graph), axis);
        }
        let others: Vec<usize> = (0..4).filter(|other| *other != axis).collect();
        &v / &v.square().sum_axes(&others).sqrt()
    }

    fn convolve(&self, x: &Var, w: &Var, b: Option<&Var>) -> Var {
        if self.is_transposed { x.conv_transpose2d(w, b, &self.spec, [0, 0]) } else { x.conv2d(w, b, &self.spec) }
    }

    /// The outputs for x `[n,inputs,h,w]`.
    pub fn forward(&self, x: &Var, mode: Mode) -> Var {
        let graph = x.graph();
        graph.scope(&self.name);
        match mode {
            Mode::Initialise => self.initialise(x),
            Mode::Train | Mode::TrainTwo | Mode::Eval => {
                self.convolve(x, &self.weight(graph, true), Some(&self.b.var(graph)))
            }
        }
    }

    /// The outputs without a stride, for a network whose sizes are all laid over one: at rows and
    /// columns that are multiples of `distance` x `[n,inputs,h,w]` holds the neighbours that
    /// [`NormedConv::forward`] sees, and so do the outputs, at `distance` times the stride or, if
    /// transposed, at `distance` divided by it. At other positions are values that none of these
    /// depends on.
    pub fn spread(&self, x: &Var, distance: usize) -> Var {
        let graph = x.graph();
        graph.scope(&self.name);
        let (w, b) = (self.weight(graph, true), self.b.var(graph));
        if self.is_transposed {
            return &self.spread_transposed(x, &w, distance) + &b.reshape(&[1, b.len(), 1, 1]);
        }
        let padding = self.spec.padding.map(|p| p * distance);
        let spec = ConvSpec { padding, dilation: [distance; 2], ..ConvSpec::default() };
        x.conv2d(&w, Some(&b), &spec)
    }

    /// A transposed convolution of stride s is s·s convolutions with a part of its taps each, whose
    /// outputs take turns.
    fn spread_transposed(&self, x: &Var, w: &Var, distance: usize) -> Var {
        let [stride, pad] = [self.spec.stride, [self.spec.padding[0], self.spec.padding[1]]];
        let to = [0, 1].map(|axis| distance / stride[axis]);
        let turn = |turn: [usize; 2]| {
            let (mut taps, mut spec) = (w.permute(&[1, 0, 2, 3]), ConvSpec::default());
            for axis in [0, 1] {
                // Output y takes from input i by tap k where y = stride·i + k - pad: by every
                // stride-th one, of which the last looks furthest to the left.
                let (first, extent) = ((turn[axis] + pad[axis]) % stride[axis], taps.shape()[2 + axis]);
                taps = taps.slice(2 + axis, first, extent - first).subsample(2 + axis, stride[axis]).flip(2 + axis);
                let last = first + stride[axis] * (taps.shape()[2 + axis] - 1);
                spec.padding[axis] = last.saturating_sub(pad[axis]) * to[axis];
                spec.padding[2 + axis] = pad[axis].saturating_sub(first) * to[axis];
                spec.dilation[axis] = distance;
            }
            let y = x.conv2d(&taps, None, &spec);
            let own = [0, 1].map(|axis| {
                let len = x.shape()[2 + axis];
                let (mut shape, all) = ([1; 4], x.graph().constant(&[len.div_ceil(distance)], 1.0));
                shape[2 + axis] = len;
                all.dilate(0, distance, len).pad(0, turn[axis] * to[axis], 0).slice(0, 0, len).reshape(&shape)
            });
            &y.slice(2, 0, x.shape()[2]).slice(3, 0, x.shape()[3]) * &(&own[0] * &own[1])
        };
        let turns = (0..stride[0]).flat_map(|y| (0..stride[1]).map(move |x| [y, x]));
        turns.map(turn).reduce(|all, part| &all + &part).unwrap_or_else(|| x.clone())
    }

    /// Sets g and the bias by this batch, whose outputs it gives (equation 6 of the paper).
    fn initialise(&self, x: &Var) -> Var {
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
