//! Packing once: what a launch would copy into scratch just as one before it has, it reads there.
//!
//! Many variants begin with stages that lay an operand out anew. A network's weights are read by
//! several launches between two updates, activations by those of the forward and of the backward
//! pass. Such a copy may be kept while nobody writes what it is a copy of, if there is room. So may what
//! is made of a copy and its original, as operands in f16 are of their largest magnitude.
//!
//! The weights of many layers are laid out by one launch, in front of the first that reads them.

use super::{ALIGN, Buffer, Launch, Options, Program, Purpose, View};
use crate::kernels::MAX_LAYERS;
use crate::kernels::pack_weights::{Layer, PackWeights};
use crate::kernels::{Kernel, Slot, Stage};
use std::collections::HashMap;
use std::sync::Arc;

/// How long copies are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// As long as somebody wants them.
    All,
    /// Those of temporaries, such as activations, for a few launches only.
    Lasting,
    /// For their own launch.
    None,
}

/// Launches that the copy of a temporary may wait for.
const NEAR: usize = 8;

/// A copy, and the launch that makes it.
struct Copy {
    at: usize,
    stage: Stage,
    read: View,
    /// What else it is made of: earlier copies of the same.
    beside: Vec<View>,
    scratch: View,
}

/// The read and the scratch buffer of a stage that does nothing but fill one from the other, and the
/// scratch buffers that it takes besides.
fn copies(stage: &Stage) -> Option<(usize, usize, Vec<usize>)> {
    let slots = || stage.bind.iter().map(|(_, slot)| *slot);
    let read = slots().find_map(|slot| if let Slot::Read(i) = slot { Some(i) } else { None })?;
    let out = slots().find_map(|slot| if let Slot::ScratchOut(i) = slot { Some(i) } else { None })?;
    let beside = slots().filter_map(|slot| if let Slot::ScratchIn(i) = slot { Some(i) } else { None }).collect();
    let known = |slot| slot == Slot::Read(read) || slot == Slot::ScratchOut(out) || matches!(slot, Slot::ScratchIn(_));
    slots().all(known).then_some((read, out, beside))
}

/// Whether two stages are one dispatch but for what is bound.
fn same(one: &Stage, other: &Stage) -> bool {
    one.shader.name == other.shader.name
        && one.constants == other.constants
        && one.params == other.params
        && one.grid == other.grid
        && one.bind.len() == other.bind.len()
}

/// Takes stages away that fill scratch with what already is in that of a launch before.
pub(super) fn once(program: &mut Program, keep: Keep) {
    if keep == Keep::None {
        return;
    }
    let mut made: Vec<Copy> = Vec::new();
    let buffers = &program.buffers;
    let lasting = |view: &View| matches!(buffers[view.buffer].purpose, Purpose::State(_) | Purpose::Input(_));
    for (at, launch) in program.launches.iter_mut().enumerate() {
        made.retain(|copy| keep == Keep::All || lasting(&copy.read) || at - copy.at <= NEAR);
        let Launch { recipe: Some(recipe), reads, scratch, writes, .. } = launch else { continue };
        let writes_to = |stage: &&Stage, i| stage.bind.iter().any(|(_, slot)| *slot == Slot::ScratchOut(i));
        let fills = |i| recipe.stages.iter().filter(|stage| writes_to(stage, i)).count();
        let single: Vec<bool> = (0..scratch.len()).map(|i| fills(i) == 1).collect();
        recipe.stages.retain(|stage| {
            let Some((read, out, beside)) = copies(stage).filter(|(_, out, _)| single[*out]) else { return true };
            let Some(read) = reads.get(read).copied().flatten() else { return true };
            let beside: Vec<View> = beside.into_iter().map(|i| scratch[i]).collect();
            if !beside.iter().all(|view| made.iter().any(|copy| copy.read == read && copy.scratch == *view)) {
                return true;
            }
            let known = made.iter().find(|copy| copy.read == read && copy.beside == beside && same(&copy.stage, stage));
            if let Some(copy) = known.filter(|copy| copy.scratch.len == scratch[out].len) {
                scratch[out] = copy.scratch;
                return false;
            }
            made.push(Copy { at, stage: stage.clone(), read, beside, scratch: scratch[out] });
            true
        });
        // What is written is no longer what the copies are of.
        made.retain(|copy| !writes.iter().any(|write| write.overlaps(&copy.read)));
    }
}

/// Weights that a launch packs for itself.
struct Packed {
    launch: usize,
    /// Its stage, and the scratch buffer that this fills.
    stage: usize,
    out: usize,
    /// The weights, of a state, and how often it has been written before.
    read: View,
    written: usize,
    layer: Layer,
}

/// Every layer's weights that are packed by themselves, in order.
fn layers(program: &Program) -> Vec<Packed> {
    let mut found = Vec::new();
    let mut written: HashMap<usize, usize> = HashMap::new();
    for (launch, Launch { recipe, reads, writes, .. }) in program.launches.iter().enumerate() {
        for (stage, packs) in recipe.iter().flat_map(|recipe| recipe.stages.iter().enumerate()) {
            let Some((read, out, beside)) = copies(packs) else { continue };
            let Some(read) = reads.get(read).copied().flatten() else { continue };
            let is_state = matches!(program.buffers[read.buffer].purpose, Purpose::State(_));
            if let Some(layer) = Layer::of(packs, read.offset as u32).filter(|_| is_state && beside.is_empty()) {
                let written = written.get(&read.buffer).copied().unwrap_or(0);
                found.push(Packed { launch, stage, out, read, written, layer });
            }
        }
        for write in writes {
            *written.entry(write.buffer).or_default() += 1;
        }
    }
    found
}

/// Sets of layers that one launch can pack: of one state between two updates, within what a device binds.
fn sets(packed: Vec<Packed>, most: usize) -> Vec<Vec<Packed>> {
    let mut sets: Vec<Vec<Packed>> = Vec::new();
    for next in packed {
        let fits = |set: &&mut Vec<Packed>| {
            let (first, last) = (&set[0], set.iter().chain([&next]).map(|p| p.read.offset + p.read.len).max());
            let start = set.iter().chain([&next]).map(|p| p.read.offset).min();
            let words: usize = set.iter().chain([&next]).map(|p| p.layer.words() as usize).sum();
            (first.read.buffer, first.written) == (next.read.buffer, next.written)
                && set.len() < MAX_LAYERS
                && last.unwrap_or(0) - start.unwrap_or(0) + ALIGN <= most
                && words <= most
        };
        match sets.iter_mut().find(fits) {
            Some(set) => set.push(next),
            None => sets.push(vec![next]),
        }
    }
    sets.retain(|set| set.len() > 1);
    sets
}

/// Has one launch pack the weights of many layers.
pub(super) fn together(program: &mut Program, options: &Options) {
    let Some(caps) = &options.caps else { return };
    let mut sets = sets(layers(program), (caps.max_binding_bytes / 4) as usize);
    // From the last to the first, so that what is in front stays where it is.
    sets.sort_by_key(|set| std::cmp::Reverse(set[0].launch));
    let mut gone: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut launches = Vec::new();
    for set in &sets {
        let Some(kernel) = PackWeights::new(set.iter().map(|packed| packed.layer).collect()) else { continue };
        let Some(recipe) = kernel.variants(caps).into_iter().next() else { continue };
        let start = set.iter().map(|packed| packed.read.offset / ALIGN * ALIGN).min().unwrap_or(0);
        let read = View { buffer: set[0].read.buffer, offset: start, len: kernel.len as usize };
        let len = kernel.lens().writes[0];
        let buffer = program.buffers.len();
        program.buffers.push(Buffer { len, purpose: Purpose::Temp });
        for (packed, layer) in std::iter::zip(set, &kernel.layers) {
            gone.entry(packed.launch).or_default().push(packed.stage);
            let alone = program.launches[packed.launch].scratch[packed.out];
            let view = View { buffer, offset: layer.dst as usize, len: alone.len };
            for scratch in program.launches.iter_mut().flat_map(|launch| &mut launch.scratch) {
                if *scratch == alone {
                    *scratch = view;
                }
            }
        }
        let (reads, writes) = (vec![Some(read)], vec![View { buffer, offset: 0, len }]);
        let (kernel, recipe) = (Arc::new(kernel), Some(recipe));
        let scope = program.launches[set[0].launch].scope.clone();
        launches.push((set[0].launch, Launch { kernel, recipe, reads, writes, scratch: Vec::new(), scope }));
    }
    for (at, stages) in gone {
        if let Some(recipe) = &mut program.launches[at].recipe {
            let mut stage = 0..;
            recipe.stages.retain(|_| stage.next().is_some_and(|stage| !stages.contains(&stage)));
        }
    }
    for (at, launch) in launches {
        program.launches.insert(at, launch);
    }
}
