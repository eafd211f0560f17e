//! Statistics on the way: a batch normalisation, or its gradient, begins with sums over all of what the launch
//! in front of it has just written. Where that is a product that has the elements in its registers, it leaves
//! those sums of each of its blocks, and nothing is read again for them.

use super::{Buffer, Launch, Program, Purpose, View};
use crate::kernels::columns::{Chunks, Sums, Wanted, spare};
use crate::kernels::last::leaving;

/// What somebody wants of the product that makes `x`, which is to read the mean and x of a gradient for it.
#[derive(Clone, PartialEq)]
struct Request {
    x: View,
    wanted: Wanted,
    beside: Vec<View>,
}

/// What a product leaves: these chunks, there.
#[derive(Clone, Copy)]
struct Left {
    chunks: Chunks,
    part: View,
}

impl Launch {
    fn writes_to(&self, view: &View) -> bool {
        self.writes.iter().any(|write| write.overlaps(view))
    }

    /// Whether it must stay on its side of `other`.
    fn waits_for(&self, other: &Launch) -> bool {
        let touches = |one: &Launch, other: &Launch| {
            one.writes.iter().chain(&one.scratch).any(|write| other.views().any(|view| view.overlaps(write)))
        };
        touches(self, other) || touches(other, self)
    }
}

/// What a launch wants of the one that makes what its first stage sums up.
fn request(launch: &Launch) -> Option<Request> {
    let (wanted, reads) = (Wanted::by(launch.recipe.as_ref()?)?, &launch.reads);
    let beside = match wanted.sums {
        Sums::Moments => Vec::new(),
        Sums::Turns => vec![reads[3]?, reads[1]?],
    };
    Some(Request { x: reads[0]?, wanted, beside })
}

/// Brings what makes `views` in front of launch `product`, from between it and launch `at`, and says where the
/// product is then. A program in little memory makes again what it needs as late as it can.
fn brought_forward(program: &mut Program, product: usize, at: usize, views: &[View]) -> Option<usize> {
    let (mut needed, mut moved) = (views.to_vec(), Vec::new());
    for k in (product..at).rev() {
        let launch = &program.launches[k];
        if needed.iter().any(|view| launch.writes_to(view)) {
            needed.extend(launch.reads.iter().flatten());
            moved.push(k);
        }
    }
    moved.reverse();
    let stays = |k: &usize| !moved.contains(k);
    let waits =
        |k: usize| (product..k).filter(stays).any(|other| program.launches[k].waits_for(&program.launches[other]));
    if moved.iter().any(|k| waits(*k)) {
        return None;
    }
    for (i, k) in moved.iter().enumerate() {
        program.launches[product + i..=*k].rotate_right(1);
    }
    Some(product + moved.len())
}

/// Has the product in front of launch `at` leave what that wants, if it can.
fn leave(program: &mut Program, at: usize, Request { x, wanted, beside }: &Request) -> Option<Left> {
    let product = (0..at).rev().find(|k| program.launches[*k].writes_to(x))?;
    let launch = &program.launches[product];
    let scratch = launch.scratch.len() + beside.len();
    let (stage, chunks) = leaving(launch.recipe.as_ref()?.stages.last()?, *wanted, scratch)?;
    if launch.writes != [*x] {
        return None;
    }
    let product = brought_forward(program, product, at, beside)?;
    let part = View { buffer: program.buffers.len(), offset: 0, len: wanted.words * chunks.count as usize };
    program.buffers.push(Buffer { len: part.len, purpose: Purpose::Temp });
    let launch = &mut program.launches[product];
    launch.scratch.extend(beside.iter().chain([&part]));
    *launch.recipe.as_mut()?.stages.last_mut()? = stage;
    Some(Left { chunks, part })
}

/// Has products leave what the launches behind them want.
pub(super) fn in_front(program: &mut Program) {
    let mut known: Vec<(Request, Left)> = Vec::new();
    for at in 0..program.launches.len() {
        let Some(request) = request(&program.launches[at]) else { continue };
        // What is normalised once more, rather than kept, has the same statistics.
        let before = known.iter().find(|(same, _)| *same == request).map(|(_, left)| *left);
        let Some(left) = before.or_else(|| leave(program, at, &request)) else { continue };
        known.push((request, left));
        let launch = &mut program.launches[at];
        launch.scratch[0] = left.part;
        if let Some(recipe) = &mut launch.recipe {
            spare(recipe, left.chunks);
        }
    }
}
