//! Layers, initialisers and optimisers, written with ops.

mod conditional;
mod layers;
mod network;
mod optim;
mod weight;
mod weight_norm;

pub use conditional::{Attention, ConditionalBatchNorm};
pub use layers::{Mode, Sequence, Sequential};
pub use network::{Init, Network, NetworkBuilder, Numbering, Param, ParamInfo};
pub use optim::{Em, OptimConfig, Optimizer};
pub use weight_norm::NormedConv;
