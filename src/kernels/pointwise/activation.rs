//! Activation functions: the pointwise operations that epilogues know.

use super::Operation;
use crate::kernels::scales_exactly;
use crate::params;

/// An activation, as convolution and matmul epilogues and pointwise chains know it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// y = x
    #[default]
    Identity,
    /// y = max(x, 0)
    Relu,
    /// y = x where x > 0, slope·x elsewhere
    LeakyRelu(f32),
    /// y = x where x > 0, e^x - 1 elsewhere
    Elu,
    /// y = tanh x
    Tanh,
    /// y = 1 / (1 + e^-x)
    Sigmoid,
}

params! {
    /// An activation as a block inside of a kernel's: shaders have `p.act_slope`.
    pub struct ActivationBlock {
        /// The code the shaders switch on.
        pub code: u32,
        /// The slope of a leaky ReLU, 0 for the others.
        pub slope: f32,
    }
}

impl ActivationBlock {
    /// None.
    pub const IDENTITY: ActivationBlock = ActivationBlock { code: 0, slope: 0.0 };

    /// The activation that it describes.
    ///
    /// # Panics
    /// On a code that no activation has.
    pub fn activation(&self) -> Activation {
        if self.code == 0 {
            return Activation::Identity;
        }
        let found = Operation::ALL.iter().find(|operation| operation.kind() == Some(self.code));
        found.and_then(|operation| operation.activation(self.slope)).expect("the code of an activation")
    }
}

impl From<Activation> for ActivationBlock {
    fn from(activation: Activation) -> ActivationBlock {
        let block =
            |(operation, slope): (Operation, f32)| ActivationBlock { code: operation.kind().unwrap_or(0), slope };
        Operation::of(activation).map_or(ActivationBlock::IDENTITY, block)
    }
}

impl Activation {
    /// Whether it makes whole numbers, times a power of two at most, of whole numbers.
    pub(crate) fn keeps_whole(self) -> bool {
        match self {
            Activation::Identity | Activation::Relu => true,
            Activation::LeakyRelu(slope) => scales_exactly(slope),
            Activation::Elu | Activation::Tanh | Activation::Sigmoid => false,
        }
    }
}
