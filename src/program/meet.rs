//! Where the ranks that run a program together meet: at each mean over them. What it is the mean of
//! is sent as soon as it has been made, by a thread that waits for the device to make it; the mean is
//! waited for where it is read, so that the device goes on with what lies between.

use super::{Body, DeviceError, Node, Pending, Program, Source, ValueId, View};
use crate::ranks::{RankError, Ranks, SHORT};
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
    /// What is sent at once has a number: short ones go together, where all of them have been made
    /// before the first is read.
    pub message: usize,
    /// Where it begins in that.
    pub at: usize,
}

/// The means over ranks of a program, in order.
pub(super) struct Meetings {
    all: Vec<Meeting>,
    together: Together,
    /// What begins means of what is still on its way from the device, once there is any.
    sender: Option<MeanSender>,
    /// The last message whose mean has come.
    arrived: Vec<f32>,
}

/// A thread that waits for what ranks take the mean of, and begins it.
struct MeanSender {
    pending: Sender<Vec<Pending>>,
    begun: Receiver<Result<(), DeviceError>>,
    /// How many it was given and has not said to have begun.
    waits: usize,
}

impl MeanSender {
    fn new(together: Together) -> Result<MeanSender, DeviceError> {
        let (pending, to_begin) = channel::<Vec<Pending>>();
        let (told, begun) = channel();
        let work = move || {
            let taken = |all: &[Pending]| -> Result<Vec<f32>, DeviceError> {
                let parts = all.iter().map(Pending::take).collect::<Result<Vec<_>, _>>()?;
                Ok(parts.concat())
            };
            for pending in to_begin {
                let sent = taken(&pending).and_then(|values| Ok(speak(&together).begin_mean(values)?));
                if told.send(sent).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("means".into()).spawn(work);
        thread.map_err(|error| RankError::Library(format!("there is no thread to be had: {error}")))?;
        Ok(MeanSender { pending, begun, waits: 0 })
    }

    fn send(&mut self, pending: Vec<Pending>) {
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
        (!all.is_empty()).then(|| Meetings { all, together, sender: None, arrived: Vec::new() })
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
        let Some(at) = self.all.iter().position(|meeting| meeting.launch == launch) else { return Ok(()) };
        let Meeting { to, message, at: first, .. } = self.all[at];
        if at > 0 && self.all[at - 1].message == message {
            write(to, &self.arrived[first..first + to.len]);
            return Ok(());
        }
        // All that was made before is needed by what follows, so nothing is lost by waiting for it.
        self.sender.as_mut().map_or(Ok(()), MeanSender::settle)?;
        self.arrived = speak(&self.together).end_mean()?;
        write(to, &self.arrived[..to.len]);
        Ok(())
    }

    /// All launches before `end` have been handed over: what they have made is sent.
    pub fn after(&mut self, end: usize, mut read: impl FnMut(View) -> Pending) -> Result<(), DeviceError> {
        for message in self.all.chunk_by(|a, b| a.message == b.message).filter(|message| message[0].made == end) {
            let (mut values, mut pending) = (Vec::new(), Vec::new());
            for part in message.iter().map(|meeting| read(meeting.from).at_once()) {
                match part {
                    Ok(part) if values.is_empty() => values = part,
                    Ok(part) => values.extend(part),
                    Err(part) => pending.push(part),
                }
            }
            match &mut self.sender {
                _ if pending.is_empty() => speak(&self.together).begin_mean(values)?,
                Some(sender) => sender.send(pending),
                none => none.insert(MeanSender::new(self.together.clone())?).send(pending),
            }
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
        all.push(Meeting { launch, made, from, to, message: 0, at: 0 });
    }
    let mut first = 0;
    for k in 1..all.len() {
        let (begin, last, this) = (all[first], all[k - 1], all[k]);
        let at = last.at + last.from.len;
        (all[k].message, all[k].at) = match this.made <= begin.launch && 4 * (at + this.from.len) <= SHORT {
            true => (last.message, at),
            false => (last.message + 1, 0),
        };
        if all[k].at == 0 {
            first = k;
        }
        all[first..=k].iter_mut().for_each(|meeting| meeting.made = this.made);
    }
    all
}

/// Puts means over ranks off until somebody reads them, so that they have time to come, and short ones
/// are made together.
pub(super) fn late(source: &Source, nodes: Vec<Node>) -> Vec<Node> {
    let is_mean = |node: &Node| matches!(&node.body, Body::Kernel(kernel) if kernel.is_mean_of_ranks());
    let roots = |ids: &mut dyn Iterator<Item = ValueId>| ids.map(|id| source.root(id)).collect::<Vec<_>>();
    let (mut made, mut waiting) = (Vec::with_capacity(nodes.len()), Vec::<Node>::new());
    for node in nodes {
        if is_mean(&node) {
            waiting.push(node);
            continue;
        }
        let reads = roots(&mut node.reads.iter().flatten().copied());
        let writes = roots(&mut node.writes.iter().copied());
        let needs = |mean: &Node| {
            let (from, to) = (source.root(mean.reads[0].unwrap_or(mean.writes[0])), source.root(mean.writes[0]));
            reads.contains(&to) || writes.contains(&to) || writes.contains(&from)
        };
        // Those before it go first: they are begun in this order.
        let count = waiting.iter().rposition(needs).map_or(0, |last| last + 1);
        made.extend(waiting.drain(..count));
        made.push(node);
    }
    made.extend(waiting);
    made
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

    /// Two short means and a long one, of which the first is read at once.
    fn three(g: &Graph) {
        let x = g.input("x", &[3]);
        let long = x.repeat(1000).over_ranks();
        let first = x.over_ranks();
        let [one, other] = [(&x + &first).square(), x.exp()].map(|x| x.over_ranks());
        g.output("first", &first.mul_scalar(3.0));
        g.output("both", &(&one + &other));
        g.output("long", &long.sum());
    }

    #[test]
    fn means_wait_for_their_readers_and_short_ones_go_together() {
        let g = graph(0);
        three(&g);
        let program = plan(&g.finish().unwrap(), &Options::new(None)).unwrap();
        let found = meetings(&program);
        let places: Vec<_> = found.iter().map(|m| (m.message, m.at, m.from.len)).collect();
        assert_eq!(places, [(0, 0, 3000), (1, 0, 3), (2, 0, 3), (2, 3, 3)]);
        assert!(found.windows(2).all(|pair| pair[0].made <= pair[1].made && pair[0].launch < pair[1].launch));
    }

    /// Ranks of which one is looked at: how many means it has begun, and ended.
    struct Watched(crate::ranks::Threads, Arc<Mutex<Vec<&'static str>>>);

    impl Ranks for Watched {
        fn rank(&self) -> usize {
            self.0.rank()
        }

        fn count(&self) -> usize {
            self.0.count()
        }

        fn begin_mean(&mut self, values: Vec<f32>) -> Result<(), RankError> {
            self.1.lock().unwrap().push("begin");
            self.0.begin_mean(values)
        }

        fn end_mean(&mut self) -> Result<Vec<f32>, RankError> {
            self.1.lock().unwrap().push("end");
            self.0.end_mean()
        }

        fn gather(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
            self.0.gather(bytes)
        }

        fn leave(&mut self, why: &str) {
            self.0.leave(why);
        }

        fn left(&self) -> Vec<(usize, String)> {
            self.0.left()
        }

        fn pause(&self) -> crate::ranks::Pause {
            self.0.pause()
        }
    }

    #[test]
    fn a_mean_is_under_way_before_another_is_waited_for() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut alone = threads(1);
        let together: Together = Arc::new(Mutex::new(Watched(alone.remove(0), seen.clone())));
        let g = graph(0);
        three(&g);
        let mut store = Store::new(Device::Cpu);
        store.join(together);
        let mut runner = Runner::new(plan(&g.finish().unwrap(), &Options::new(None)).unwrap(), &mut store).unwrap();
        for _ in 0..2 {
            runner.write("x", &[1.0, 0.0, 2.0]).unwrap();
            runner.run().unwrap();
        }
        assert_eq!(runner.read("both").unwrap(), [4.0 + 1f32.exp(), 1.0, 16.0 + 2f32.exp()]);
        assert_eq!((runner.read("first").unwrap(), runner.read("long").unwrap()), (vec![3.0, 0.0, 6.0], vec![3000.0]));
        // The long one is on its way while the first short one is waited for.
        assert_eq!(seen.lock().unwrap()[..6], ["begin", "begin", "end", "end", "begin", "end"]);
        assert_eq!(seen.lock().unwrap().len(), 12);
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
