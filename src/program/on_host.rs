//! A program made ready on the processor.

use super::meet::Meetings;
use super::memory::{Memory, OnHost, States, changed, seen};
use super::run::{Traced, What};
use super::{DeviceError, Launch, Program};
use std::time::Instant;

/// The buffers of a program in the host's memory.
pub(super) struct HostRun {
    pub memory: Vec<OnHost>,
    reference: bool,
    meetings: Option<Meetings>,
}

impl HostRun {
    pub(super) fn new(
        program: &Program,
        states: &mut States<OnHost>,
        meetings: Option<Meetings>,
    ) -> Result<HostRun, DeviceError> {
        Ok(HostRun { memory: states.buffers(program)?, reference: states.home.reference, meetings })
    }

    /// Runs every launch in turn, on a thread of the pool: a launch then begins on the one that
    /// ended the last, and short ones wake no other.
    pub(super) fn run(&mut self, program: &Program) -> Result<(), DeviceError> {
        if self.meetings.is_some() {
            return self.run_traced(program).map(drop);
        }
        rayon::scope(|_| program.launches.iter().for_each(|launch| run(launch, &self.memory, self.reference)));
        Ok(())
    }

    /// The same, and the nanoseconds of each.
    pub(super) fn profile(&mut self, program: &Program) -> Result<Vec<f64>, DeviceError> {
        Ok(self.run_traced(program)?.into_iter().map(|launch| launch.took.as_nanos() as f64).collect())
    }

    /// The same, and when each began.
    pub(super) fn run_traced(&mut self, program: &Program) -> Result<Vec<Traced>, DeviceError> {
        let (memory, reference) = (&self.memory, self.reference);
        let timed = |i, work: &mut dyn FnMut() -> Result<(), DeviceError>| {
            let start = Instant::now();
            work()?;
            Ok(Traced::since(What::Launch(i), start))
        };
        let launches = program.launches.iter().enumerate();
        let Some(meetings) = &mut self.meetings else {
            let one = |(i, launch)| {
                timed(i, &mut || {
                    run(launch, memory, reference);
                    Ok(())
                })
            };
            return rayon::scope(|_| launches.map(one).collect());
        };
        let one = |(i, launch)| {
            meetings.after(i, |view| memory[view.buffer].start_read(view.offset, view.len))?;
            timed(i, &mut || match meetings.is_one(i) {
                // Other ranks may be threads that wait for the same pool, so none is waited for on it.
                true => meetings.before(i, |view, mean| memory[view.buffer].write(view.offset, mean)),
                false => {
                    rayon::scope(|_| run(launch, memory, reference));
                    Ok(())
                }
            })
        };
        launches.map(one).collect()
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
