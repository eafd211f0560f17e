//! Where the ranks that run a program together meet: at each mean over them. What it is the mean of
//! is sent as soon as it has been made, by a thread that waits for the device to make it; the mean is
//! waited for where it is read, so that the device goes on with what lies between.

use super::{DeviceError, Pending, Program, View};
use crate::ranks::{RankError, Ranks};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
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
    /// What begins means of what is still on its way from the device, once there is any.
    sender: Option<MeanSender>,
    /// Where the means go that are under way.
    under_way: VecDeque<View>,
}

/// A thread that waits for what ranks take the mean of, and begins it.
struct MeanSender {
    pending: Sender<Pending>,
    begun: Receiver<Result<(), DeviceError>>,
    /// How many it was given and has not said to have begun.
    waits: usize,
}

impl MeanSender {
    fn new(together: Together) -> Result<MeanSender, DeviceError> {
        let (pending, to_begin) = channel::<Pending>();
        let (told, begun) = channel();
        let work = move || {
            for pending in to_begin {
                let sent = pending.take().and_then(|values| Ok(speak(&together).begin_mean(values)?));
                if told.send(sent).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("means".into()).spawn(work);
        thread.map_err(|error| RankError::Library(format!("there is no thread to be had: {error}")))?;
        Ok(MeanSender { pending, begun, waits: 0 })
    }

    fn send(&mut self, pending: Pending) {
        // It ends with this, or says why it does.
        let _ = self.pending.send(pending);
        self.waits += 1;
    }

    /// Waits until it has begun all that it was given.
    fn settle(&mut self) -> Result<(), DeviceError> {
        while self.waits > 0 {
            self.waits -= 1;
            let ended = || RankError::Library("the thread that begins means over ranks has ended".into());
            self.begun.recv().unwrap_or_else(|_| Err(ended().into()))?;
        }
        Ok(())
    }
}

impl Meetings {
    /// Those of a program that runs with these ranks; `None` where it has nothing to meet for.
    pub fn new(program: &Program, together: &Together) -> Option<Meetings> {
        let all = meetings(program);
        let together = together.clone();
        (!all.is_empty()).then(|| Meetings { all, together, sender: None, under_way: VecDeque::new() })
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
        // All that was made before is needed by what follows, so nothing is lost by waiting for it.
        self.sender.as_mut().map_or(Ok(()), MeanSender::settle)?;
        let mut ranks = speak(&self.together);
        if let Some(to) = self.under_way.pop_front() {
            write(to, &ranks.end_mean()?);
        }
        Ok(())
    }

    /// All launches before `end` have been handed over: what they have made is sent.
    pub fn after(&mut self, end: usize, mut read: impl FnMut(View) -> Pending) -> Result<(), DeviceError> {
        for meeting in self.all.iter().filter(|m| m.made == end) {
            match read(meeting.from).at_once() {
                Ok(values) => speak(&self.together).begin_mean(values)?,
                Err(pending) => match &mut self.sender {
                    Some(sender) => sender.send(pending),
                    none => none.insert(MeanSender::new(self.together.clone())?).send(pending),
                },
            }
            self.under_way.push_back(meeting.to);
        }
        Ok(())
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
