//! A program made ready on the processor.

use super::memory::{OnHost, States, changed, seen};
use super::run::{Traced, What};
use super::{DeviceError, Launch, Program};
use std::time::Instant;

/// The buffers of a program in the host's memory.
pub(super) struct HostRun {
    pub memory: Vec<OnHost>,
    reference: bool,
}

impl HostRun {
    pub(super) fn new(program: &Program, states: &mut States<OnHost>) -> Result<HostRun, DeviceError> {
        Ok(HostRun { memory: states.buffers(program)?, reference: states.home.reference })
    }

    /// Runs every launch in turn, on a thread of the pool: a launch then begins on the one that
    /// ended the last, and short ones wake no other.
    pub(super) fn run(&self, program: &Program) {
        rayon::scope(|_| program.launches.iter().for_each(|launch| run(launch, &self.memory, self.reference)));
    }

    /// The same, and the nanoseconds of each.
    pub(super) fn profile(&self, program: &Program) -> Vec<f64> {
        self.run_traced(program).map(|launch| launch.took.as_nanos() as f64).collect()
    }

    /// The same, and when each began.
    pub(super) fn run_traced(&self, program: &Program) -> impl Iterator<Item = Traced> {
        let one = |(i, launch)| {
            let start = Instant::now();
            run(launch, &self.memory, self.reference);
            Traced::since(What::Launch(i), start)
        };
        let traced: Vec<Traced> = rayon::scope(|_| program.launches.iter().enumerate().map(one).collect());
        traced.into_iter()
    }
}

/// Runs a launch. Layout never lets one read a buffer that it writes.
fn run(launch: &Launch, memory: &[OnHost], reference: bool) {
    let mut order: Vec<usize> = (0..launch.writes.len()).collect();
    order.sort_by_key(|&i| (launch.writes[i].buffer, launch.writes[i].offset));
    let mut buffers: Vec<usize> = order.iter().map(|&i| launch.writes[i].buffer).collect();
    buffers.dedup();
    let mut taken: Vec<Vec<f32>> = buffers.iter().map(|b| std::mem::take(&mut *changed(&memory[*b]))).collect();
    {
        let borrowed: Vec<_> = launch.reads.iter().map(|v| v.map(|v| (seen(&memory[v.buffer]), v))).collect();
        let needed = launch.kernel.signature().reads.len();
        let mut reads: Vec<&[f32]> = borrowed
            .iter()
            .map(|b| b.as_ref().map_or(&[][..], |(data, v)| &data[v.offset..v.offset + v.len]))
            .collect();
        reads.resize(needed, &[]);
        // Absent writes come last and have no elements.
        let mut writes: Vec<&mut [f32]> = launch.kernel.signature().writes.iter().map(|_| &mut [][..]).collect();
        let mut next = order.iter().peekable();
        for (buffer, data) in std::iter::zip(&buffers, &mut taken) {
            let (mut rest, mut start) = (data.as_mut_slice(), 0);
            while let Some(&&i) = next.peek()
                && launch.writes[i].buffer == *buffer
            {
                let view = launch.writes[i];
                let (_, tail) = rest.split_at_mut(view.offset - start);
                let (mine, tail) = tail.split_at_mut(view.len);
                writes[i] = mine;
                (rest, start) = (tail, view.offset + view.len);
                next.next();
            }
        }
        if reference {
            launch.kernel.cpu(&reads, &mut writes);
        } else {
            launch.kernel.host(&reads, &mut writes);
        }
    }
    for (buffer, data) in std::iter::zip(buffers, taken) {
        *changed(&memory[buffer]) = data;
    }
}
