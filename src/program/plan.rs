//! Planning: dead nodes, fusion, lowering to launches.

use super::recompute::Lowered;
use super::{Body, Node, Place, Program, Source, channels_last, fuse, layout, meet, merge};
use crate::choices::Choices;
use crate::kernels::{Access, Caps, Kernel, Recipe, copy::Copy};
use std::sync::Arc;

/// How to plan.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The device's capabilities; `None` plans for the CPU reference.
    pub caps: Option<Caps>,
    /// Variants that were measured to be the fastest; without, each kernel's best guess is taken.
    pub choices: Option<&'a Choices>,
    /// Fuse pointwise chains and epilogues.
    pub fuse: bool,
    /// Let values that are never alive together share a buffer.
    pub reuse: bool,
}

impl Options<'_> {
    /// Everything on, for a device with these capabilities.
    pub fn new(caps: Option<Caps>) -> Self {
        Options { caps, choices: None, fuse: true, reuse: true }
    }
}

/// A program that cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A kernel has no variant within the device's limits.
    #[error("{kernel} {label} is too large for every variant within this device's limits")]
    NoVariant {
        /// Kernel name.
        kernel: &'static str,
        /// Its shapes.
        label: String,
    },
    /// A launch would read a buffer it writes, such as two parts of one state, which GPU APIs
    /// refuse.
    #[error("{kernel} {label} would read and write one buffer; keep its operands in states of their own")]
    Aliased {
        /// Kernel name.
        kernel: &'static str,
        /// Its shapes.
        label: String,
    },
    /// A kernel's operand does not have the length its parameters ask for: a mistake in an op.
    #[error("{kernel} {label}: operand {operand} has {has} elements where {needs} are needed")]
    Operand {
        /// Kernel name.
        kernel: &'static str,
        /// Its shapes.
        label: String,
        /// The operand's name.
        operand: &'static str,
        /// Elements it has.
        has: usize,
        /// Elements it must have.
        needs: usize,
    },
}

impl Options<'_> {
    /// How the device computes a kernel; `None` on the CPU.
    pub(super) fn recipe(&self, kernel: &dyn Kernel) -> Result<Option<Recipe>, PlanError> {
        let Some(caps) = &self.caps else { return Ok(None) };
        let recipes = kernel.variants(caps);
        let picked = match self.choices {
            Some(choices) => choices.pick(kernel, recipes),
            None => recipes.into_iter().next(),
        };
        let none = || PlanError::NoVariant { kernel: kernel.signature().name, label: kernel.label() };
        picked.ok_or_else(none).map(Some)
    }
}

/// Plans a program.
pub fn plan(source: &Source, options: &Options) -> Result<Program, PlanError> {
    let (source, nodes) = lower(source, options)?;
    layout::place(&source, nodes, options)
}

/// Plans a program that takes more time and less memory: it computes activations again instead of
/// holding them for the backward pass, in the way that is found to take least.
pub fn plan_recomputing(source: &Source, options: &Options) -> Result<Program, PlanError> {
    let (source, nodes) = lower(source, options)?;
    let ways = Lowered::new(source, nodes).ways();
    let programs = ways.into_iter().map(|way| layout::place_tightly(&way.source, way.nodes, options));
    let programs = programs.collect::<Result<Vec<_>, _>>()?;
    // A hundredth of the memory is not worth any arithmetic.
    let least = programs.iter().map(|p| p.totals().memory).min().unwrap_or(0);
    let small = programs.into_iter().filter(|p| p.totals().memory <= least + least / 100);
    Ok(small.min_by_key(|p| p.totals().flops).unwrap_or_default())
}

/// The launches to be, fused and merged, with the values they are about.
fn lower(source: &Source, options: &Options) -> Result<(Source, Vec<Node>), PlanError> {
    let mut source = source.clone();
    let living = alive(&source, &source.nodes);
    let mut nodes = merge::constants(&mut source, living, options.fuse);
    if options.fuse {
        nodes = alive(&source, &nodes);
        nodes = fuse::epilogues(&source, nodes);
        nodes = merge::sums(&mut source, nodes);
    }
    let nodes = fuse::chains(&source, nodes, options.fuse);
    let nodes = merge::averages(&mut source, nodes, options.fuse);
    let mut nodes = meet::late(&source, merge::counters(&source, nodes, options.fuse));
    if let Some(caps) = &options.caps {
        nodes = channels_last::relay(&source, nodes, caps);
    }
    for node in &nodes {
        if let Body::Kernel(kernel) = &node.body {
            operands_fit(&source, node, kernel.as_ref())?;
        }
    }
    Ok((source, nodes))
}

/// The nodes whose results reach an output or a state, in order.
pub(super) fn alive(source: &Source, nodes: &[Node]) -> Vec<Node> {
    let mut wanted = vec![false; source.values.len()];
    for (_, id) in &source.outputs {
        wanted[source.root(*id)] = true;
    }
    let mut keep = Vec::new();
    for node in nodes.iter().rev() {
        let effect = node.writes.iter().any(|w| matches!(source.values[source.root(*w)].place, Place::State { .. }));
        if effect || node.writes.iter().any(|w| wanted[source.root(*w)]) {
            for read in node.reads.iter().flatten() {
                wanted[source.root(*read)] = true;
            }
            keep.push(node.clone());
        }
    }
    keep.reverse();
    keep
}

/// Holds the lengths a kernel's parameters ask for against the values bound to it.
fn operands_fit(source: &Source, node: &Node, kernel: &dyn Kernel) -> Result<(), PlanError> {
    let (signature, lens) = (kernel.signature(), kernel.lens());
    let len = |id: usize| source.values[id].len();
    let reads = node.reads.iter().map(|r| r.map_or(0, len)).chain(std::iter::repeat(0));
    let reads = std::iter::zip(signature.reads.iter().copied(), std::iter::zip(reads, lens.reads));
    let writes = node.writes.iter().map(|w| len(*w)).chain(std::iter::repeat(0));
    let writes = std::iter::zip(signature.writes.iter().map(|w| w.0), std::iter::zip(writes, lens.writes));
    for (operand, (has, needs)) in reads.chain(writes) {
        if has != needs {
            return Err(PlanError::Operand { kernel: signature.name, label: kernel.label(), operand, has, needs });
        }
    }
    Ok(())
}

/// The accesses of a node's writes.
pub(super) fn accesses(node: &Node) -> Vec<Access> {
    match &node.body {
        Body::Kernel(kernel) => kernel.signature().writes.iter().map(|w| w.1).collect(),
        _ => vec![Access::Write; node.writes.len()],
    }
}

/// A launch that copies `len` elements.
pub(super) fn copy(len: usize) -> Arc<dyn Kernel> {
    Arc::new(Copy { len: len as u32 })
}
