//! Programs: a fixed list of launches, planned once and replayed.
//!
//! [`Source`] is what a graph hands over: values and nodes in the order they run. [`plan`] removes
//! what nobody needs, fuses pointwise chains and epilogues, picks each kernel's variant and lays
//! values out in buffers; the result is a [`Program`]. A [`Runner`] holds a program ready on a
//! device, which may be a GPU or the CPU reference.
//!
//! ```
//! use limn::graph::{Graph, Noise};
//! use limn::program::{Device, Options, Runner, Store, plan};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
//! g.output("y", &g.input("x", &[3]).mul_scalar(2.0).add_scalar(1.0).tanh());
//! let mut store = Store::new(Device::Cpu);
//! let program = plan(&g.finish()?, &Options::new(store.device().caps()))?;
//! assert_eq!(program.launches.len(), 1); // three operations in one
//! let mut runner = Runner::new(program, &mut store)?;
//! runner.write("x", &[-0.5, 0.0, 0.5])?;
//! runner.run()?;
//! assert_eq!(runner.read("y")?, [0.0, 1f32.tanh(), 2f32.tanh()]);
//! # Ok(())
//! # }
//! ```

mod accumulate;
mod capacity;
mod channels_last;
mod device;
mod fuse;
mod layout;
mod listing;
mod meet;
mod memory;
mod merge;
mod on_gpu;
mod on_host;
mod pace;
mod packs;
mod pixel;
mod plan;
mod recompute;
mod recorder;
mod run;
mod scaling;
mod share;
mod staging;
mod statistics;
mod store;
mod sums;

pub use accumulate::{Apart, accumulate};
pub use capacity::{Capacity, Exceeded, NoRoom, room};
pub use device::{Device, DeviceError};
pub use listing::{LaunchRow, Operand, StageRow, Totals};
pub use meet::{Together, speak};
pub use memory::{Pending, ReadbackRing};
pub use pixel::{NotPerPixel, PixelProgram};
pub use plan::{Options, PlanError, plan, plan_recomputing};
pub use run::{Runner, Traced, What};
pub use scaling::{Network, Scaling};
pub use staging::{StagingRing, Upload};
pub use store::Store;

pub(crate) use fuse::is_run;

use crate::kernels::pointwise::Operation;
use crate::kernels::{APART, Kernel, Recipe};
use std::sync::Arc;

/// Words between places that can be bound: 256 bytes, the offset alignment every GPU takes. What lies
/// between the elements of two is padding.
pub(crate) const ALIGN: usize = APART as usize;

/// Index of a value in a [`Source`].
pub type ValueId = usize;

/// Where a value's elements live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Written by the host before each run.
    Input(String),
    /// A part of a named buffer that outlives the program: parameters, moments, statistics.
    State {
        /// Index into [`Source::states`].
        state: usize,
        /// First element.
        offset: usize,
    },
    /// Written by a node.
    Node(usize),
    /// The same elements as another value, under another shape.
    Alias(ValueId),
}

/// A tensor of f32 (or of 32-bit words) in row-major order.
#[derive(Clone, Debug)]
pub struct Value {
    /// Extents.
    pub shape: Vec<usize>,
    /// Where it lives.
    pub place: Place,
}

impl Value {
    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a node does.
#[derive(Clone, Debug)]
pub enum Body {
    /// One kernel launch.
    Kernel(Arc<dyn Kernel>),
    /// A pointwise operation on one or two reads, waiting to be fused: y = code(a, b, c).
    Pointwise(Operation, f32),
    /// Lays its reads side by side in one flat buffer, read `k` at element `offsets[k]`; the
    /// planner has the producers write there directly where it can. What lies between the reads is
    /// zero; the buffer may be one of [`Purpose::Temp`] where nothing does.
    Flatten(Vec<usize>, Purpose),
    /// A tensor of one number, and the kernel that fills one with it where somebody reads it as a
    /// tensor.
    Constant(f32, Arc<dyn Kernel>),
    /// The mean of what its read is in every small part of a batch, waiting for [`accumulate`].
    MeanOfParts,
    /// Adds one to a counter, waiting for others.
    Advance,
    /// A running average, waiting for its neighbours: write ← write + rate·(scale·read - write),
    /// with the rate and the scale. A read that is longer has several new values of each element
    /// side by side, one after the other.
    Average(f32, f32),
}

/// One node: reads come before writes, and nodes run in order.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub body: Body,
    /// Operands; `None` where an optional one is absent.
    pub reads: Vec<Option<ValueId>>,
    /// Results. A value in a state is updated in place, which is an effect that keeps the node.
    pub writes: Vec<ValueId>,
    /// Which part of the model it belongs to, for listings and profiles.
    pub scope: Arc<str>,
}

/// A named buffer that outlives programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its name, the same in every program that shares it.
    pub name: String,
    /// Elements.
    pub len: usize,
}

/// What is planned: values, nodes in order, named buffers and outputs.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Every value.
    pub values: Vec<Value>,
    /// Every node, in the order they run.
    pub nodes: Vec<Node>,
    /// Buffers that outlive the program.
    pub states: Vec<State>,
    /// Values the host wants to read after a run, by name.
    pub outputs: Vec<(String, ValueId)>,
    /// Inputs of a [`PixelProgram`] and the values that they are, made at pixels that come earlier.
    pub ties: Vec<[ValueId; 2]>,
}

impl Source {
    /// Follows aliases to the value that owns the elements.
    pub fn root(&self, mut id: ValueId) -> ValueId {
        while let Place::Alias(of) = self.values[id].place {
            id = of;
        }
        id
    }
}

/// What a buffer of a program is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Shared with other programs under this name.
    State(String),
    /// Written by the host.
    Input(String),
    /// A flat buffer that several launches fill, such as a network's gradients.
    Flat,
    /// Activations, gradients and scratch, reused by liveness.
    Temp,
}

/// A buffer of a program.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Elements.
    pub len: usize,
    /// What it is for.
    pub purpose: Purpose,
}

/// A range of a buffer, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Index into [`Program::buffers`].
    pub buffer: usize,
    /// First element.
    pub offset: usize,
    /// Elements.
    pub len: usize,
}

impl View {
    /// Whether they have elements in common.
    fn overlaps(&self, other: &View) -> bool {
        let starts_in = |a: &View, b: &View| a.offset < b.offset + b.len;
        self.buffer == other.buffer && starts_in(self, other) && starts_in(other, self)
    }
}

/// One kernel launch with its operands placed.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// How the device computes it; `None` on the CPU.
    pub recipe: Option<Recipe>,
    /// Operands; `None` where an optional one is absent.
    pub reads: Vec<Option<View>>,
    /// Results.
    pub writes: Vec<View>,
    /// The recipe's scratch.
    pub scratch: Vec<View>,
    /// Which part of the model it belongs to.
    pub scope: Arc<str>,
}

impl Launch {
    /// All it binds.
    fn views(&self) -> impl Iterator<Item = &View> {
        self.reads.iter().flatten().chain(&self.writes).chain(&self.scratch)
    }
}

/// A planned program.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The launches, in order.
    pub launches: Vec<Launch>,
    /// The buffers they use.
    pub buffers: Vec<Buffer>,
    /// Where the host writes, by name.
    pub inputs: Vec<(String, View)>,
    /// Where the host reads, by name.
    pub outputs: Vec<(String, View)>,
    /// Elements that temporaries would take if none shared a buffer.
    pub unshared: usize,
}
