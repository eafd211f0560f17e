//! Packing once: what a launch would copy into scratch just as one before it has, it reads there.
//!
//! Many variants begin with stages that lay an operand out anew. A network's weights are read by
//! several launches between two updates, activations by those of the forward and of the backward
//! pass. Such a copy may be kept while nobody writes what it is a copy of, if there is room. So may what
//! is made of a copy and its original, as operands in f16 are of their largest magnitude.

use super::{Launch, Program, Purpose, View};
use crate::kernels::{Slot, Stage};

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
