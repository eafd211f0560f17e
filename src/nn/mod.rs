//! Layers, initialisers and optimisers, written with ops.
//!
//! ```
//! use limn::graph::{Graph, Noise};
//! use limn::nn::{Mode, NetworkBuilder, Numbering, OptimConfig, Optimizer};
//!
//! let mut net = NetworkBuilder::new("net", &Numbering::default());
//! let layers = net.sequence("layers").linear(2, 8, true).tanh().linear(8, 1, true).build();
//! let net = net.build();
//! assert_eq!(net.count(), 2 * 8 + 8 + 8 + 1);
//!
//! let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
//! let (x, y) = (g.input("x", &[16, 2]), g.input("y", &[16, 1]));
//! let loss = (&layers.forward(&x, Mode::Train) - &y).square().mean();
//! Optimizer::plain(OptimConfig::adam(0.01)).minimize(&loss, &net);
//! ```

mod conditional;
mod layers;
mod network;
mod optim;
pub(crate) mod torch_names;
mod weight;
mod weight_norm;

pub use conditional::{Attention, ConditionalBatchNorm};
pub use layers::{Mode, Sequence, Sequential};
pub use network::{Init, Network, NetworkBuilder, Numbering, Param, ParamInfo};
pub use optim::{Em, OptimConfig, Optimizer};
pub use weight_norm::NormedConv;
