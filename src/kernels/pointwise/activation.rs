//! Activation functions: the codes shared with `shaders/lib/activation.wgsl`.

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
        match self {
            Activation::Identity => 0,
            Activation::Relu => 1,
            Activation::LeakyRelu(_) => 2,
            Activation::Elu => 3,
            Activation::Tanh => 4,
            Activation::Sigmoid => 5,
        }
    }

    /// The slope of a leaky ReLU, 0 for the others.
    pub fn slope(self) -> f32 {
        match self {
            Activation::LeakyRelu(slope) => slope,
            _ => 0.0,
        }
    }

    /// The activation a parameter block describes; unknown codes are the identity.
    pub fn from_code(code: u32, slope: f32) -> Self {
        match code {
            1 => Activation::Relu,
            2 => Activation::LeakyRelu(slope),
            3 => Activation::Elu,
            4 => Activation::Tanh,
            5 => Activation::Sigmoid,
            _ => Activation::Identity,
        }
    }

    /// Whether it makes whole numbers, times a power of two at most, of whole numbers.
    pub(crate) fn keeps_whole(self) -> bool {
        match self {
            Activation::Identity | Activation::Relu => true,
            Activation::LeakyRelu(slope) => scales_exactly(slope),
            Activation::Elu | Activation::Tanh | Activation::Sigmoid => false,
        }
    }

    /// The function itself, computed in f64.
    pub fn apply(self, x: f32) -> f32 {
        let v = f64::from(x);
        match self {
            Activation::Identity => x,
            Activation::Relu => {
                if x <= 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    slope * x
                }
            }
            Activation::Elu => {
                if x > 0.0 {
                    x
                } else {
                    v.exp_m1() as f32
                }
            }
            Activation::Tanh => v.tanh() as f32,
            Activation::Sigmoid => (1.0 / (1.0 + (-v).exp())) as f32,
        }
    }
}
