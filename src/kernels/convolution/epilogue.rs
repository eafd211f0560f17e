//! What the convolutions and the matrix product do with a finished sum.

use super::sampled::Sample;
use super::tiles::Rounding;
use crate::kernels::activation::{Activation, ActivationBlock};
use crate::kernels::host::{self, BLOCK};
use crate::kernels::pointwise::{Operation, activate, gate};
use crate::kernels::{EPS, Epilogue, Operand, params, scales_exactly, sum_bound};

params! {
    /// act((sum + bias) · gate(g) + r), where a gate is 1 where g > 0 and a slope elsewhere, as a
    /// block inside of a kernel's: shaders have `p.epilogue_bias` and so on.
    pub struct EpilogueBlock {
        /// 1 if a bias is added.
        pub bias: u32,
        /// 1 if a residual is added before the activation.
        pub residual: u32,
        /// 1 if a gate is in front of the residual.
        pub gate: u32,
        /// What the gate leaves where it is not open.
        pub gate_slope: f32,
        /// The activation.
        pub act: ActivationBlock,
    }
}

/// Operands to check a product with that has an epilogue: uniform in [-1, 1), and a gate's at times 0, as ReLU's are for
/// whatever was below.
pub fn example(operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
    let closed = |x: f32| operand == Operand::Read(4) && x.abs() < 0.2;
    (0..len).map(|_| 2.0 * draw() - 1.0).map(|x| if closed(x) { 0.0 } else { x }).collect()
}

impl EpilogueBlock {
    /// The sum as it is.
    pub const NONE: EpilogueBlock =
        EpilogueBlock { bias: 0, residual: 0, gate: 0, gate_slope: 0.0, act: ActivationBlock::IDENTITY };

    /// A bias or none.
    pub fn of_bias(bias: bool) -> EpilogueBlock {
        EpilogueBlock { bias: bias.into(), ..EpilogueBlock::NONE }
    }

    /// The same with this behind it, if it is in front of nothing that is there.
    pub(super) fn fuse(self, epilogue: Epilogue) -> Option<EpilogueBlock> {
        let [act, residual, gate] = [self.act.code != 0, self.residual != 0, self.gate != 0];
        match epilogue {
            Epilogue::Activation(activation) if !act => Some(EpilogueBlock { act: activation.into(), ..self }),
            Epilogue::Residual if !(act || residual) => Some(EpilogueBlock { residual: 1, ..self }),
            Epilogue::ReluMask { slope } if !(act || residual || gate) => {
                Some(EpilogueBlock { gate: 1, gate_slope: slope, ..self })
            }
            _ => None,
        }
    }

    /// Whether it keeps whole numbers whole, times a power of two at most.
    pub(super) fn keeps_whole(&self) -> bool {
        self.act.activation().keeps_whole() && scales_exactly(self.gate_slope)
    }

    /// Elements of bias, residual and gate for a result of `len` elements.
    pub(super) fn lens(&self, channels: usize, len: usize) -> [usize; 3] {
        [self.bias as usize * channels, self.residual as usize * len, self.gate as usize * len]
    }

    /// What it does to results of so many channels and pixels, given bias, residual and gate.
    pub(super) fn tail<'a>(&self, reads: &[&'a [f32]], channels: usize, plane: usize) -> Tail<'a> {
        let &[bias, residual, gate] = reads else { unreachable!("an epilogue has three reads") };
        let activation = self.act.activation();
        Tail { activation, bias, residual, gate, gate_slope: self.gate_slope, channels, plane }
    }

    /// For people.
    pub(super) fn label(&self) -> String {
        let mut text = String::new();
        for (there, name) in [(self.bias, " +bias"), (self.gate, " gated"), (self.residual, " +residual")] {
            text += if there != 0 { name } else { "" };
        }
        match self.act.activation() {
            Activation::Identity => text,
            Activation::LeakyRelu(slope) => text + &format!(" leaky_relu({slope})"),
            other => text + &format!(" {other:?}").to_lowercase(),
        }
    }
}

impl Epilogue {
    /// The read by which its operand arrives at a kernel whose bias is read `bias`, if it has one.
    pub(super) fn read(&self, bias: usize) -> Option<usize> {
        match self {
            Epilogue::Activation(_) | Epilogue::Scale(_) | Epilogue::Shift(_) | Epilogue::Tick(_) => None,
            Epilogue::Residual => Some(bias + 1),
            Epilogue::ReluMask { .. } => Some(bias + 2),
        }
    }
}

/// act(round(sum + bias) · gate + residual): the epilogue of every reference. Element i of `sums`
/// belongs to channel `i / plane % channels`.
pub(super) struct Tail<'a> {
    pub activation: Activation,
    /// `[channels]` or empty.
    pub bias: &'a [f32],
    /// As long as the output, or empty.
    pub residual: &'a [f32],
    /// As long as the output, or empty: open where it is above 0.
    pub gate: &'a [f32],
    /// What a gate leaves where it is not open.
    pub gate_slope: f32,
    pub channels: usize,
    pub plane: usize,
}

host::wide! {
    fn add_number(y: &mut [f32], number: f32) {
        for y in y {
            *y += number;
        }
    }
}

host::wide! {
    /// y *= what a gate leaves.
    fn close(y: &mut [f32], g: &[f32], slope: f32) {
        for (y, g) in std::iter::zip(y, g) {
            *y *= gate(*g, slope);
        }
    }
}

impl Tail<'_> {
    fn bias(&self, i: usize) -> f64 {
        if self.bias.is_empty() { 0.0 } else { f64::from(self.bias[i / self.plane % self.channels]) }
    }

    fn residual(&self, i: usize) -> f32 {
        if self.residual.is_empty() { 0.0 } else { self.residual[i] }
    }

    fn gate(&self, i: usize) -> f32 {
        if self.gate.is_empty() { 1.0 } else { gate(self.gate[i], self.gate_slope) }
    }

    pub(super) fn write(&self, sums: &[f64], y: &mut [f32]) {
        for (i, (y, sum)) in std::iter::zip(y, sums).enumerate() {
            *y = self.value(i, *sum);
        }
    }

    /// Element `i` of the output.
    fn value(&self, i: usize, sum: f64) -> f32 {
        self.activation.apply((sum + self.bias(i)) as f32 * self.gate(i) + self.residual(i))
    }

    /// Element `i` of the output and its permitted error.
    pub(super) fn spot(&self, terms: usize, spot: Sample, rounding: Rounding, i: usize) -> [f32; 2] {
        let y = self.value(i, spot.sum);
        [y, self.bound(terms, spot.magnitude, rounding, i, y)]
    }

    /// Whether sums stay as they are.
    pub(super) fn is_bare(&self) -> bool {
        let bare = self.bias.is_empty() && self.residual.is_empty() && self.gate.is_empty();
        bare && self.activation == Activation::Identity
    }

    /// Does to sums in place what [`Tail::write`] does, in f32. They begin with element `first`, the
    /// first of channel 0, and end with whole channels.
    pub(super) fn finish(&self, first: usize, y: &mut [f32]) {
        if self.is_bare() {
            return;
        }
        let operation = Operation::of(self.activation);
        let one = if self.plane == 1 { self.channels } else { self.plane };
        let block = one * (BLOCK / one).max(1);
        for (k, y) in y.chunks_mut(block).enumerate() {
            let own = first + k * block..first + k * block + y.len();
            if !self.bias.is_empty() {
                for (i, y) in y.chunks_mut(one).enumerate() {
                    match self.plane {
                        1 => host::add(y, self.bias),
                        plane => add_number(y, self.bias[(own.start / plane + i) % self.channels]),
                    }
                }
            }
            if !self.gate.is_empty() {
                close(y, &self.gate[own.clone()], self.gate_slope);
            }
            if !self.residual.is_empty() {
                host::add(y, &self.residual[own]);
            }
            activate(operation, y);
        }
    }

    /// The permitted error where `magnitudes` are the sums of the terms' absolute values, whose
    /// factors have been through `rounding`.
    pub(super) fn bounds(&self, terms: usize, magnitudes: &[f64], rounding: Rounding, y: &[f32]) -> Vec<f32> {
        magnitudes.iter().enumerate().map(|(i, m)| self.bound(terms, *m, rounding, i, y[i])).collect()
    }

    fn bound(&self, terms: usize, magnitude: f64, rounding: Rounding, i: usize, y: f32) -> f32 {
        let (gain, curved) = match self.activation {
            Activation::Identity | Activation::Relu => (1.0, 0.0),
            Activation::LeakyRelu(slope) => (slope.abs().max(1.0), EPS),
            _ => (1.0, 8e-6),
        };
        let gate = self.gate(i).abs();
        let rounding = gate * rounding.of(magnitude);
        let magnitude = gate * (magnitude + self.bias(i).abs()) as f32 + self.residual(i).abs();
        let constant = if curved > EPS { 1e-6 } else { 0.0 };
        gain * (sum_bound(terms + 2, magnitude) + rounding) + curved * y.abs() + constant
    }
}
