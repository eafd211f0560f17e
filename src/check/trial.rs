//! A kernel's operands on a device, with guards behind each.

use super::example::Example;
use crate::gpu::{Gpu, GpuError, Ready, Span};
use crate::kernels::{Recipe, Slot};

/// Words behind every operand.
pub(super) const GUARD: usize = 64;
/// What stands behind the first: a NaN, which shows in whatever is made of it, and whose bits no
/// kernel makes. Behind the others are the next numbers, so that one guard cannot pass for another.
pub(super) const CANARY: u32 = 0x7fc0_1a00;

/// A kernel's operands on a device, with one variant ready to run.
pub struct Trial {
    reads: Vec<Guarded>,
    writes: Vec<Guarded>,
    ready: Vec<Ready>,
    watched: Vec<Watched>,
    /// What the guards were after each stage that binds them.
    seen: Span,
}

/// An operand with what stands behind it.
#[derive(Clone)]
struct Guarded {
    span: Span,
    canary: u32,
}

impl Guarded {
    fn contents(&self) -> Span {
        self.span.slice(0, self.span.words() - GUARD)
    }

    fn guard(&self) -> Span {
        self.span.slice(self.span.words() - GUARD, GUARD)
    }
}

/// What a stage could write behind: its operands, under the names it has for them.
struct Watched {
    shader: &'static str,
    operands: Vec<(&'static str, Guarded)>,
}

/// What one run of a variant left behind.
pub struct Ran {
    /// The contents of every write.
    pub writes: Vec<Vec<f32>>,
    /// The first stage that wrote behind an operand's end, and which, in a sentence.
    pub trespass: Option<String>,
}

impl Trial {
    /// Uploads an example and prepares `recipe`.
    pub fn new(gpu: &Gpu, example: &Example, recipe: &Recipe, checks: bool) -> Result<Trial, GpuError> {
        let mut canaries = CANARY..;
        let mut upload = |data: &Vec<f32>| {
            let span = gpu.buffer(data.len() + GUARD, "check")?;
            let canary = canaries.next().unwrap_or(CANARY);
            let mut all = data.clone();
            all.resize(data.len() + GUARD, f32::from_bits(canary));
            gpu.write(&span, &all);
            Ok::<Guarded, GpuError>(Guarded { span, canary })
        };
        let reads = example.reads.iter().map(&mut upload).collect::<Result<Vec<_>, _>>()?;
        let writes = example.old.iter().map(&mut upload).collect::<Result<Vec<_>, _>>()?;
        let scratch = recipe.scratch.iter().map(|n| upload(&vec![f32::NAN; *n])).collect::<Result<Vec<_>, _>>()?;
        let (mut ready, mut watched) = (Vec::new(), Vec::new());
        for stage in &recipe.stages {
            let params = gpu.uniforms(&stage.params)?;
            let guarded = |(name, slot): &(&'static str, Slot)| match *slot {
                Slot::Read(i) => (*name, reads[i].clone()),
                Slot::Write(i) => (*name, writes[i].clone()),
                Slot::ScratchIn(i) | Slot::ScratchOut(i) => (*name, scratch[i].clone()),
            };
            let operands: Vec<(&'static str, Guarded)> = stage.bind.iter().map(guarded).collect();
            let spans: Vec<Span> = operands.iter().map(|(_, operand)| operand.span.clone()).collect();
            ready.push(gpu.ready(stage, checks, &params, &spans)?);
            watched.push(Watched { shader: stage.shader.name, operands });
        }
        let seen = gpu.buffer(watched.iter().map(|stage| stage.operands.len() * GUARD).sum(), "guards")?;
        Ok(Trial { reads, writes, ready, watched, seen })
    }

    /// The prepared stages.
    pub fn stages(&self) -> &[Ready] {
        &self.ready
    }

    /// Runs every stage once, and looks after each at what stands behind its operands.
    pub fn run(&self, gpu: &Gpu) -> Result<Ran, GpuError> {
        let mut commands = Vec::new();
        let mut at = 0;
        for (ready, stage) in std::iter::zip(&self.ready, &self.watched) {
            let place = |i: usize| self.seen.slice(at + i * GUARD, GUARD);
            let copies = stage.operands.iter().enumerate().map(|(i, (_, operand))| [operand.guard(), place(i)]);
            let copies: Vec<[Span; 2]> = copies.collect();
            commands.extend([gpu.record(|pass| ready.record(pass)), gpu.record_copies(&copies)]);
            at += copies.len() * GUARD;
        }
        gpu.submit_recorded(commands);
        let trespass = self.trespass(&gpu.read(&self.seen)?);
        let contents = |write: &Guarded| match write.contents() {
            empty if empty.words() == 0 => Ok(Vec::new()),
            span => gpu.read(&span),
        };
        Ok(Ran { writes: self.writes.iter().map(contents).collect::<Result<_, _>>()?, trespass })
    }

    /// The first stage after which a guard in `seen` is not what it was, and whose it is.
    fn trespass(&self, seen: &[f32]) -> Option<String> {
        let stages = self.watched.iter().enumerate();
        let all = stages.flat_map(|(i, stage)| stage.operands.iter().map(move |operand| (i, operand)));
        let touched = |guard: &[f32], canary: u32| guard.iter().any(|word| word.to_bits() != canary);
        let ((i, (operand, _)), _) =
            std::iter::zip(all, seen.chunks(GUARD)).find(|((_, (_, of)), guard)| touched(guard, of.canary))?;
        let (shader, stages) = (self.watched[i].shader, self.watched.len());
        Some(format!("stage {} of {stages} ({shader}) wrote behind the end of {operand}", i + 1))
    }

    /// Puts an example's reads and old contents in their places, so that a run starts as if it were
    /// the first.
    pub fn reset(&self, gpu: &Gpu, example: &Example) {
        let reads = std::iter::zip(&self.reads, &example.reads);
        for (operand, data) in reads.chain(std::iter::zip(&self.writes, &example.old)) {
            gpu.write(&operand.contents(), data);
        }
    }
}
