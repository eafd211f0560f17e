//! What kernels take over from those behind them.

use super::Kernel;
use super::activation::Activation;
use std::sync::Arc;

/// What can be done to the first write of a kernel before it is written: act(y · gate(g) + r), or y · scale + shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// It goes through an activation.
    Activation(Activation),
    /// An operand of its shape is added, in front of an activation.
    Residual,
    /// It stays where an operand of its shape is above 0 and is multiplied by `slope` elsewhere, in
    /// front of a residual: the gradient of a (leaky) ReLU.
    ReluMask {
        /// What the gate leaves where it is not open.
        slope: f32,
    },
    /// It is multiplied by a number.
    Scale(f32),
    /// A number is added to it.
    Shift(f32),
    /// Nothing: so many counters advance in the end, which are its last writes. The first of them is what its
    /// first read was, which is none of its reads any more.
    Tick(u32),
}

/// A kernel that has taken over an [`Epilogue`].
#[derive(Clone, Debug)]
pub struct Fused {
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// The read by which the epilogue's operand arrives, if it has one.
    pub read: Option<usize>,
}
