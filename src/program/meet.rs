//! Where the ranks that run a program together meet: at each mean over them. What it is the mean of
//! is sent as soon as it has been made, and is waited for where the mean is read, so that the device
//! goes on with what lies between.

use super::{DeviceError, Pending, Program, View};
use crate::ranks::Ranks;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The other ranks, for all programs of a store.
pub type Together = Arc<Mutex<dyn Ranks>>;

/// The ranks, for one who talks to them.
pub fn speak(together: &Together) -> MutexGuard<'_, dyn Ranks + 'static> {
    together.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mean over ranks in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    /// The launch in whose place it is.
    pub launch: usize,
    /// The launch before which all of it has been made.
    pub made: usize,
    pub from: View,
    pub to: View,
}

/// The means over ranks of a program, in order.
pub(super) struct Meetings {
    all: Vec<Meeting>,
    together: Together,
    /// What is on its way to the host, and where its mean goes.
    pending: VecDeque<(Pending, View)>,
    /// Where the means go that are under way.
    under_way: VecDeque<View>,
}

impl Meetings {
    /// Those of a program that runs with these ranks; `None` where it has nothing to meet for.
    pub fn new(program: &Program, together: &Together) -> Option<Meetings> {
        let all = meetings(program);
        let together = together.clone();
        (!all.is_empty()).then(|| Meetings { all, together, pending: VecDeque::new(), under_way: VecDeque::new() })
    }

    /// The launches that a run has to be cut before.
    pub fn breaks(&self) -> Vec<usize> {
        let mut breaks: Vec<usize> = self.all.iter().flat_map(|m| [m.made, m.launch, m.launch + 1]).collect();
        breaks.sort_unstable();
        breaks.dedup();
        breaks
    }

    /// Whether a launch is one.
    pub fn is_one(&self, launch: usize) -> bool {
        self.all.iter().any(|m| m.launch == launch)
    }

    /// The run comes to `launch`: means that are read from there on are waited for.
    pub fn before(&mut self, launch: usize, mut write: impl FnMut(View, &[f32])) -> Result<(), DeviceError> {
        if !self.is_one(launch) {
            return Ok(());
        }
        let mut ranks = speak(&self.together);
        while let Some((pending, to)) = self.pending.pop_front() {
            ranks.begin_mean(pending.take()?)?;
            self.under_way.push_back(to);
        }
        if let Some(to) = self.under_way.pop_front() {
            write(to, &ranks.end_mean()?);
        }
        Ok(())
    }

    /// All launches before `end` have been handed over: what they have made is sent.
    pub fn after(&mut self, end: usize, mut read: impl FnMut(View) -> Pending) {
        for meeting in self.all.iter().filter(|m| m.made == end) {
            self.pending.push_back((read(meeting.from), meeting.to));
        }
    }
}

/// The means over ranks of a program, in order.
pub(super) fn meetings(program: &Program) -> Vec<Meeting> {
    let mut all: Vec<Meeting> = Vec::new();
    for (launch, node) in program.launches.iter().enumerate().filter(|(_, l)| l.kernel.is_mean_of_ranks()) {
        let (Some(Some(from)), to) = (node.reads.first().copied(), node.writes[0]) else { continue };
        let writes = |l: &super::Launch| l.writes.iter().any(|w| w.overlaps(&from));
        let made = program.launches[..launch].iter().rposition(writes).map_or(0, |at| at + 1);
        // They are sent in the order in which they are waited for.
        let made = made.max(all.last().map_or(0, |earlier| earlier.made));
        all.push(Meeting { launch, made, from, to });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Noise, Shard};
    use crate::program::{Device, Options, Runner, Store, plan};
    use crate::ranks::threads;

    fn graph(rank: usize) -> Graph {
        let shard = Shard { rank, ranks: 2, ..Shard::WHOLE };
        Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() }).of_shard(shard)
    }

    #[test]
    fn what_is_made_early_is_sent_early() {
        let g = graph(0);
        let x = g.input("x", &[8]);
        let (early, other) = (x.exp(), x.sqrt().sum());
        g.output("late", &(&other.exp() + &other).sum().over_ranks());
        let early = early.over_ranks();
        g.output("early", &early);
        let program = plan(&g.finish().unwrap(), &Options::new(None)).unwrap();
        let found = meetings(&program);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|m| m.made <= m.launch));
        // The second waits for the first only because they go in order.
        assert_eq!(found[1].made, found[0].made);
    }

    #[test]
    fn two_ranks_get_the_mean_of_theirs() {
        let run = |together: Together| {
            let rank = speak(&together).rank();
            let g = graph(rank);
            let x = g.input("x", &[3]);
            g.output("y", &x.square().over_ranks().mul_scalar(2.0));
            let mut store = Store::new(Device::Cpu);
            store.join(together);
            let mut runner = Runner::new(plan(&g.finish().unwrap(), &Options::new(None)).unwrap(), &mut store).unwrap();
            runner.write("x", &[1.0 + rank as f32, 0.0, 3.0]).unwrap();
            runner.run().unwrap();
            runner.run().unwrap();
            runner.read("y").unwrap()
        };
        let got: Vec<Vec<f32>> = std::thread::scope(|scope| {
            let ranks = threads(2).into_iter().map(|rank| scope.spawn(|| run(Arc::new(Mutex::new(rank)))));
            let started: Vec<_> = ranks.collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(got, [[5.0, 0.0, 18.0], [5.0, 0.0, 18.0]]);
    }
}
