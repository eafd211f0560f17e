//! Packing once: what a launch would copy into scratch just as one before it has, it reads there.
//!
//! Many variants begin with stages that lay an operand out anew. A network's weights are read by
//! several launches between two updates, activations by those of the forward and of the backward
//! pass. Such a copy may be kept while nobody writes what it is a copy of, if there is room.

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
    scratch: View,
}

/// The read and the scratch buffer of a stage that does nothing but fill one from the other.
fn copies(stage: &Stage) -> Option<(usize, usize)> {
    let slots = || stage.bind.iter().map(|(_, slot)| *slot);
    let read = slots().find_map(|slot| if let Slot::Read(i) = slot { Some(i) } else { None })?;
    let out = slots().find_map(|slot| if let Slot::ScratchOut(i) = slot { Some(i) } else { None })?;
    let nothing_else = slots().all(|slot| slot == Slot::Read(read) || slot == Slot::ScratchOut(out));
    nothing_else.then_some((read, out))
}

/// Whether two stages are one dispatch but for what is bound.
fn same(one: &Stage, other: &Stage) -> bool {
    one.shader.name == other.shader.name
        && one.constants == other.constants
        && one.params == other.params
        && one.grid == other.grid
        && one.bind.len() == other.bind.len()
}

fn overlap(one: &View, other: &View) -> bool {
    one.buffer == other.buffer && one.offset < other.offset + other.len && other.offset < one.offset + one.len
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
            let Some((read, out)) = copies(stage).filter(|(_, out)| single[*out]) else { return true };
            let Some(read) = reads.get(read).copied().flatten() else { return true };
            let known = made.iter().find(|copy| copy.read == read && same(&copy.stage, stage));
            if let Some(copy) = known.filter(|copy| copy.scratch.len == scratch[out].len) {
                scratch[out] = copy.scratch;
                return false;
            }
            made.push(Copy { at, stage: stage.clone(), read, scratch: scratch[out] });
            true
        });
        // What is written is no longer what the copies are of.
        made.retain(|copy| !writes.iter().any(|write| overlap(write, &copy.read)));
    }
}
