//! Summing together: what the products of weight gradients leave in parts is added up by one launch for many
//! layers, behind the last of them, so that each layer's product need not wait for the sum of the one before.

use super::{ALIGN, Buffer, Launch, Options, Program, Purpose, View};
use crate::kernels::sum_weight_grads::{SumWeightGrads, Sums};
use crate::kernels::{Class, Kernel, MAX_LAYERS, Slot};
use std::sync::Arc;

/// Words of the partial sums of one launch, which wait in memory meanwhile.
const MOST: usize = 1 << 23;

/// A launch whose last stage adds up what those before have left in a scratch buffer.
struct Summed {
    launch: usize,
    scratch: usize,
    writes: Vec<View>,
    sums: Sums,
}

/// Launches whose sums can be one: of gradients in one buffer.
struct Set {
    of: Vec<Summed>,
}

impl Set {
    /// Whether the sum of `next` can be made together with these.
    fn takes(&self, next: &Summed, most: usize) -> bool {
        let all = || self.of.iter().chain([next]);
        let views = || all().flat_map(|summed| &summed.writes);
        let start = views().map(|view| view.offset).min().unwrap_or(0);
        let end = views().map(|view| view.offset + view.len).max().unwrap_or(0);
        let words: usize = all().map(|summed| summed.sums.words() as usize).sum();
        self.of.len() < MAX_LAYERS
            && views().all(|view| view.buffer == next.writes[0].buffer)
            && end - start + ALIGN <= most
            && words <= most.min(MOST)
    }

    /// Whether a launch reads or writes one of the gradients.
    fn meets(&self, launch: &Launch) -> bool {
        let gradients = || self.of.iter().flat_map(|summed| &summed.writes);
        launch.views().any(|view| gradients().any(|gradient| gradient.overlaps(view)))
    }
}

/// What the last stage of a launch adds up, if it is such a stage.
fn summed(at: usize, launch: &Launch) -> Option<Summed> {
    let stage = launch.recipe.as_ref()?.stages.last()?;
    let scratch =
        stage.bind.iter().find_map(|(_, slot)| if let Slot::ScratchIn(i) = slot { Some(*i) } else { None })?;
    let place = |i: usize| launch.writes.get(i).map_or(0, |view| view.offset as u32);
    let sums = Sums::of(stage, place(0), place(1))?;
    Some(Summed { launch: at, scratch, writes: launch.writes.clone(), sums })
}

/// Sets of sums that nobody looks at before the last of them could be made.
fn sets(program: &Program, most: usize) -> Vec<Set> {
    let (mut open, mut done): (Vec<Set>, Vec<Set>) = (Vec::new(), Vec::new());
    for (at, launch) in program.launches.iter().enumerate() {
        done.extend(open.extract_if(.., |set| set.meets(launch)));
        let Some(next) = summed(at, launch) else { continue };
        match open.iter_mut().find(|set| set.takes(&next, most)) {
            Some(set) => set.of.push(next),
            None => open.push(Set { of: vec![next] }),
        }
    }
    done.extend(open);
    done.retain(|set| set.of.len() > 1);
    done
}

/// Has one launch add up the weight gradients of many layers. Software drivers add up what their caches
/// still hold.
pub(super) fn together(program: &mut Program, options: &Options) {
    let Some(caps) = options.caps.filter(|caps| caps.class == Class::Gpu) else { return };
    let mut sets = sets(program, (caps.max_binding_bytes / 4) as usize);
    // From the last to the first, so that what is in front stays where it is.
    sets.sort_by_key(|set| std::cmp::Reverse(set.of.last().map(|summed| summed.launch)));
    for Set { of } in sets {
        let start = of.iter().flat_map(|summed| &summed.writes).map(|view| view.offset).min().unwrap_or(0);
        let start = start / ALIGN * ALIGN;
        let layers = of.iter().map(|summed| summed.sums.from(start as u32)).collect();
        let Some(kernel) = SumWeightGrads::new(layers) else { continue };
        let Some(recipe) = kernel.variants(&caps).into_iter().next() else { continue };
        let (lens, buffer) = (kernel.lens(), program.buffers.len());
        program.buffers.push(Buffer { len: lens.reads[0], purpose: Purpose::Temp });
        for (summed, layer) in std::iter::zip(&of, &kernel.layers) {
            let launch = &mut program.launches[summed.launch];
            let part = &mut launch.scratch[summed.scratch];
            *part = View { buffer, offset: layer.part as usize, len: part.len };
            if let Some(recipe) = &mut launch.recipe {
                recipe.stages.pop();
            }
        }
        let grads = View { buffer: of[0].writes[0].buffer, offset: start, len: lens.writes[0] };
        let (reads, writes) = (vec![Some(View { buffer, offset: 0, len: lens.reads[0] })], vec![grads]);
        let at = of.last().map_or(0, |summed| summed.launch);
        let scope = program.launches[at].scope.clone();
        let launch =
            Launch { kernel: Arc::new(kernel), recipe: Some(recipe), reads, writes, scratch: Vec::new(), scope };
        program.launches.insert(at + 1, launch);
    }
}
