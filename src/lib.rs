//! limn trains generative models on any GPU that speaks Vulkan, Metal or DX12: kernels in WGSL, a
//! thin host on wgpu.
//!
//! This is the library under the `limn` command. A variational autoencoder, as Kingma & Welling
//! (ICLR 2014) have it, trained for a few steps by hand on the images that limn brings:
//!
//! ```
//! use limn::graph::{Graph, Noise};
//! use limn::nn::{Mode, NetworkBuilder, Numbering, OptimConfig, Optimizer};
//! use limn::program::{Device, Options, Runner, Store, plan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut net = NetworkBuilder::new("vae", &Numbering::default());
//! let (encoder, mean, logvar) = (net.linear("encoder", 784, 64), net.linear("mean", 64, 2), net.linear("logvar", 64, 2));
//! let decoder = net.sequence("decoder").linear(2, 64, true).relu().linear(64, 784, true).build();
//! let net = net.build();
//!
//! let graph = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
//! let x = graph.input("x", &[32, 784]);
//! let h = encoder.forward(&x, Mode::Train).relu();
//! let q = mean.forward(&h, Mode::Train).reparameterize(&logvar.forward(&h, Mode::Train));
//! let nll = decoder.forward(&q.z, Mode::Train).bce_with_logits(&x).sum_axes(&[1]);
//! let loss = (&nll.reshape(&[32]) + &q.kl).mean();
//! Optimizer::plain(OptimConfig::adam(0.003)).minimize(&loss, &net);
//! graph.output("loss", &loss);
//! graph.advance(&graph.clock());
//!
//! let mut store = Store::new(Device::Cpu); // or Device::best()
//! store.write(&net.params_state(), &net.initial(0).0)?;
//! let mut step = Runner::new(plan(&graph.finish()?, &Options::new(store.device().caps()))?, &mut store)?;
//! let images = limn::data::open("fashion-mini", None, &limn::data::Options::default())?.train;
//! for i in 0..100 {
//!     step.write("x", &images.gather(&(32 * i..32 * (i + 1)).collect::<Vec<u32>>(), 0.0, 1.0))?;
//!     step.run()?;
//! }
//! let loss = step.read("loss")?[0];
//! assert!(loss < 400.0, "{loss} nats an image, which began with 540");
//! # Ok(())
//! # }
//! ```
//!
//! - Somebody's own model: [`models::Architecture`], and [`train::train`] has it trained, kept and
//!   resumed.
//! - Images from somewhere else: [`data::Dataset::new`], and [`data::register`] for runs to find
//!   them by a name.
//! - Somebody's own kernel: [`kernels::Kernel`], and [`check::check`] holds its variants against
//!   its reference.
//! - A kernel on somebody's own wgpu device: [`gpu::Gpu::adopt`].
//!
//! `examples/` has a program for each. Without default features limn is the library alone: `cli` is
//! the command, `fetch` fetches known sets of images, and `media` reads files of pictures, films
//! and sounds.

pub mod bench;
#[cfg(feature = "cli")]
mod by_bytes;
pub mod check;
pub mod choices;
#[cfg(feature = "cli")]
mod cli;
pub mod data;
pub mod eval;
pub mod export;
mod files;
pub mod gpu;
pub mod graph;
pub mod kernels;
mod machine;
pub mod models;
pub mod nn;
pub mod ops;
pub mod program;
pub mod ranks;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod readers;
pub mod report;
pub mod sample;
pub mod train;
#[cfg(all(test, unix))]
mod trust;
pub mod tune;
mod words;

/// The `limn` command: parses the arguments of the process, and does what they say.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::main as command;
