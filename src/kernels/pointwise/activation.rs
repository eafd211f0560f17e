//! Activation functions: the pointwise operations that epilogues know.

use super::Code;
use crate::kernels::scales_exactly;

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

impl Activation {
    /// The code the shaders switch on.
    pub fn code(self) -> u32 {
        Code::of(self).and_then(|(code, _)| code.kind()).unwrap_or(0)
    }

    /// The slope of a leaky ReLU, 0 for the others.
    pub fn slope(self) -> f32 {
        Code::of(self).map_or(0.0, |(_, slope)| slope)
    }

    /// The activation a parameter block describes.
    ///
    /// # Panics
    /// On a code that no activation has.
    pub fn from_code(code: u32, slope: f32) -> Self {
        if code == 0 {
            return Activation::Identity;
        }
        let found = Code::ALL.iter().find(|operation| operation.kind() == Some(code));
        found.and_then(|operation| operation.activation(slope)).expect("the code of an activation")
    }

    /// Whether it makes whole numbers, times a power of two at most, of whole numbers.
    pub(crate) fn keeps_whole(self) -> bool {
        match self {
            Activation::Identity | Activation::Relu => true,
            Activation::LeakyRelu(slope) => scales_exactly(slope),
            Activation::Elu | Activation::Tanh | Activation::Sigmoid => false,
        }
    }

    /// The function itself, its transcendental functions by way of f64.
    #[inline]
    pub fn apply(self, x: f32) -> f32 {
        Code::of(self).map_or(x, |(code, c)| code.apply(x, 0.0, c))
    }
}
