//! What dispatches wait for. wgpu knows of a buffer only that it is read or written, not where: between
//! two dispatches of a pass it puts a barrier if one of them writes a buffer that the other uses. So
//! dispatches wait for others that write elsewhere in a flat buffer, and values that share a buffer by
//! liveness add to it.

use crate::support::step_of;
use limn::kernels::{Caps, Slot};
use limn::program::{Options, Program, View, plan};

/// Places that a dispatch reads, and that it writes.
#[derive(Clone, Default)]
struct Touched {
    reads: Vec<View>,
    writes: Vec<View>,
}

fn dispatches(program: &Program) -> Vec<Touched> {
    let mut all = Vec::new();
    for launch in &program.launches {
        for stage in launch.recipe.iter().flat_map(|recipe| &recipe.stages) {
            let mut touched = Touched::default();
            for (_, slot) in &stage.bind {
                match *slot {
                    Slot::Read(i) => touched.reads.extend(launch.reads.get(i).copied().flatten()),
                    Slot::Write(i) => touched.writes.extend(launch.writes.get(i)),
                    Slot::ScratchIn(i) => touched.reads.push(launch.scratch[i]),
                    Slot::ScratchOut(i) => touched.writes.push(launch.scratch[i]),
                }
            }
            all.push(touched);
        }
    }
    all
}

/// Barriers between dispatches of which one writes what the other uses, as `meet` tells it; each ends
/// the waiting for all that came before.
fn barriers(all: &[Touched], meet: impl Fn(&View, &View) -> bool) -> usize {
    let (mut open, mut barriers): (Vec<&Touched>, usize) = (Vec::new(), 0);
    for next in all {
        let uses = |one: &Touched, other: &Touched| {
            let used = other.reads.iter().chain(&other.writes);
            used.clone().any(|used| one.writes.iter().any(|written| meet(written, used)))
        };
        if open.iter().any(|before| uses(before, next) || uses(next, before)) {
            barriers += 1;
            open.clear();
        }
        open.push(next);
    }
    barriers
}

/// Dispatches of a preset's step; barriers that its values ask for; those where each buffer counts as
/// a whole, if every value had its own; and those with shared buffers, which wgpu puts.
fn waits(name: &str) -> [usize; 4] {
    let (source, on) = (step_of(name), Options::new(Some(Caps::WEBGPU)));
    let [shared, apart] = [true, false].map(|reuse| plan(&source, &Options { reuse, ..on }).expect("a plan"));
    let places =
        |a: &View, b: &View| a.buffer == b.buffer && a.offset < b.offset + b.len && b.offset < a.offset + a.len;
    let buffers = |a: &View, b: &View| a.buffer == b.buffer;
    let (all, alone) = (dispatches(&shared), dispatches(&apart));
    [all.len(), barriers(&alone, places), barriers(&alone, buffers), barriers(&all, buffers)]
}

#[test]
fn buffers_that_are_shared_add_few_barriers() {
    for name in [
        "vae",
        "dcgan",
        "dcgan-28",
        "pixelcnn",
        "pixelcnn-gated",
        "pixelcnn++",
        "pixelrnn-diagonal",
        "pixelrnn-row",
        "biggan",
        "progan",
        "wgan-gp",
    ] {
        let [dispatches, needed, forced, there] = waits(name);
        println!("| {name} | {dispatches} | {needed} | {forced} | {there} |");
        assert!(needed <= forced && forced <= there && there < dispatches, "{name}");
        assert!(there <= 2 * needed + 40, "{name}: {there} barriers where {needed} are needed");
    }
}
