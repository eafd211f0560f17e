//! Sharing: temporaries that are never alive together take the same place.
//!
//! A buffer is as large as the largest temporary in it, so several small ones may lie side by side
//! where a large one was. But no launch may read and write one buffer, not even in different parts,
//! so what a launch reads and what it writes stay in different buffers. To need little in all is a
//! packing problem, for which "the largest first, where it fits first" is a good rule.

use super::{ALIGN, Buffer, Program, Purpose, View};
use std::cmp::Reverse;
use std::collections::HashSet;

/// A temporary, from the launch that makes it to the last that touches it.
#[derive(Clone, Copy)]
struct Life {
    /// The buffer it had to itself.
    buffer: usize,
    len: usize,
    first: usize,
    last: usize,
}

/// A buffer to be, and who lives where in it.
struct SharedBuffer {
    len: usize,
    lives: Vec<(Life, usize)>,
}

/// Pairs of buffers of which some launch reads one and writes the other, both ways round.
type Apart = HashSet<(usize, usize)>;

/// Gives temporaries, which have a buffer each, new places in as little memory as may be.
pub(super) fn share(program: &mut Program) {
    let (lives, apart) = (lives(program), apart(program));
    // Among equals either the earliest or the latest goes first, whichever turns out better.
    let (mut early, mut late) = (lives.clone(), lives);
    early.sort_by_key(|l| (Reverse(l.len), l.first));
    late.sort_by_key(|l| Reverse((l.len, l.first)));
    let (early, late) = (pack(&early, &apart), pack(&late, &apart));
    let size = |rooms: &[SharedBuffer]| rooms.iter().map(|r| r.len).sum::<usize>();
    let rooms = if size(&late) < size(&early) { late } else { early };
    let mut buffers = Vec::new();
    let mut places = vec![(0, 0); program.buffers.len()];
    for (old, buffer) in program.buffers.iter().enumerate().filter(|(_, b)| b.purpose != Purpose::Temp) {
        places[old] = (buffers.len(), 0);
        buffers.push(buffer.clone());
    }
    for room in rooms {
        room.lives.iter().for_each(|(life, at)| places[life.buffer] = (buffers.len(), *at));
        buffers.push(Buffer { len: room.len, purpose: Purpose::Temp });
    }
    program.buffers = buffers;
    let launches = program.launches.iter_mut();
    let operands = launches.flat_map(|l| l.reads.iter_mut().flatten().chain(&mut l.writes).chain(&mut l.scratch));
    let hosts = program.inputs.iter_mut().chain(&mut program.outputs).map(|(_, view)| view);
    for view in operands.chain(hosts) {
        let (buffer, at) = places[view.buffer];
        *view = View { buffer, offset: view.offset + at, len: view.len };
    }
}

/// Puts every life where it fits first.
fn pack(lives: &[Life], apart: &Apart) -> Vec<SharedBuffer> {
    let mut rooms: Vec<SharedBuffer> = Vec::new();
    for life in lives {
        let place = rooms.iter_mut().find_map(|room| room.gap(life, apart).map(|at| (room, at)));
        match place {
            Some((room, at)) => room.lives.push((*life, at)),
            None => rooms.push(SharedBuffer { len: life.len, lives: vec![(*life, 0)] }),
        }
    }
    rooms
}

/// The life of every temporary; an output's goes on behind the last launch.
fn lives(program: &Program) -> Vec<Life> {
    let mut lives: Vec<Option<Life>> = vec![None; program.buffers.len()];
    let mut touch = |view: &View, at: usize| {
        let Buffer { len, purpose: Purpose::Temp } = program.buffers[view.buffer] else { return };
        lives[view.buffer].get_or_insert(Life { buffer: view.buffer, len, first: at, last: at }).last = at;
    };
    for (at, launch) in program.launches.iter().enumerate() {
        let operands = launch.views();
        operands.for_each(|view| touch(view, at));
    }
    program.outputs.iter().for_each(|(_, view)| touch(view, program.launches.len()));
    lives.into_iter().flatten().collect()
}

fn apart(program: &Program) -> Apart {
    let mut apart = HashSet::new();
    let mut keep = |a: &View, b: &View| apart.extend([(a.buffer, b.buffer), (b.buffer, a.buffer)]);
    for launch in &program.launches {
        for write in &launch.writes {
            launch.reads.iter().flatten().chain(&launch.scratch).for_each(|other| keep(write, other));
        }
        // One stage writes scratch and the next reads it, perhaps to write other scratch.
        for scratch in &launch.scratch {
            launch.reads.iter().flatten().chain(&launch.scratch).for_each(|other| keep(scratch, other));
        }
    }
    apart
}

impl SharedBuffer {
    /// The start of the tightest gap that takes `life`.
    fn gap(&self, life: &Life, apart: &Apart) -> Option<usize> {
        let meets = |other: &Life| other.first <= life.last && life.first <= other.last;
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for (other, at) in self.lives.iter().filter(|(other, _)| meets(other)) {
            if apart.contains(&(life.buffer, other.buffer)) {
                return None;
            }
            taken.push((*at, (at + other.len).next_multiple_of(ALIGN)));
        }
        taken.sort_unstable();
        taken.push((self.len, self.len));
        let (mut tightest, mut from) = (None, 0);
        for (start, end) in taken {
            if start >= from + life.len {
                let gap = (start - from - life.len, from);
                tightest = Some(tightest.map_or(gap, |other: (usize, usize)| other.min(gap)));
            }
            from = from.max(end);
        }
        tightest.map(|(_, from)| from)
    }
}
