//! Gradient accumulation: the programs of a batch's small parts as one, which makes them one after the
//! other, in the memory of one, and adds up what is the mean over all of them.
//!
//! The parts are of one model, so that their sources are the same but for the numbers they draw and the
//! images they look at. A node that is the same in all of them and reads nothing that is not is *shared*:
//! it is there once. Others are made for every part. They wait until somebody reads a mean over the
//! parts: then all of them are made for the first part, for the second and so on, and their
//! contributions to means are added on the way. Updates of states keep their places behind what read the
//! states before, and in front of what reads them afterwards.

use super::{Body, Node, Place, Source, Value, ValueId};
use crate::kernels::pointwise::Operation;
use std::collections::{HashMap, HashSet};

/// Sources that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Apart {
    /// They are not of one model.
    #[error("the small parts of a batch are not alike")]
    Unlike,
    /// A state that every part would change.
    #[error("every small part of a batch would change the state {0}, which is to change once a step")]
    State(String),
}

/// One source of those of every small part of a batch.
///
/// # Errors
/// [`Apart`].
pub fn accumulate(parts: &[Source]) -> Result<Source, Apart> {
    let Some(first) = parts.first() else { return Ok(Source::default()) };
    let alike = |other: &Source| other.nodes.len() == first.nodes.len() && other.values.len() == first.values.len();
    if !parts.iter().all(alike) {
        return Err(Apart::Unlike);
    }
    let source = Source { nodes: Vec::new(), ..first.clone() };
    let varying = varying(parts)?;
    let mut made = Made { parts, varying, source, own: HashMap::new(), waiting: Vec::new(), late: Vec::new() };
    for (at, node) in first.nodes.iter().enumerate() {
        made.take(at, node);
    }
    let left: Vec<usize> = made.waiting.iter().chain(&made.late).copied().collect();
    made.make(&left);
    // What the host reads of a part is what it reads of the first.
    Ok(made.source)
}

/// Whether a node does the same in all parts but for what it reads.
fn same(parts: &[Source], at: usize) -> bool {
    let text = |source: &Source| format!("{:?}", source.nodes[at].body);
    let first = text(&parts[0]);
    parts[1..].iter().all(|part| text(part) == first)
}

/// The values, by their roots, that are not the same in all parts.
fn varying(parts: &[Source]) -> Result<HashSet<ValueId>, Apart> {
    let source = &parts[0];
    let mut varying = HashSet::new();
    for (at, node) in source.nodes.iter().enumerate() {
        let reads = node.reads.iter().flatten().any(|read| varying.contains(&source.root(*read)));
        if matches!(node.body, Body::MeanOfParts) || !reads && same(parts, at) {
            continue;
        }
        for write in node.writes.iter().map(|write| source.root(*write)) {
            if let Place::State { state, .. } = source.values[write].place {
                return Err(Apart::State(source.states[state].name.clone()));
            }
            varying.insert(write);
        }
    }
    Ok(varying)
}

/// What some nodes read and change.
#[derive(Default)]
struct Asked {
    /// Values, by their roots.
    values: HashSet<ValueId>,
    /// States that they read.
    read: HashSet<usize>,
    /// States that they change.
    changed: HashSet<usize>,
}

impl Asked {
    fn add(&mut self, made: &Made, at: usize) {
        let source = &made.parts[0];
        let node = &source.nodes[at];
        self.values.extend(node.reads.iter().flatten().map(|read| source.root(*read)));
        self.read.extend(made.states(node.reads.iter().flatten()));
        self.changed.extend(made.states(node.writes.iter()));
    }

    /// Whether they must come behind an earlier node.
    fn is_behind(&self, made: &Made, at: usize) -> bool {
        let source = &made.parts[0];
        let node = &source.nodes[at];
        node.writes.iter().any(|write| self.values.contains(&source.root(*write)))
            || made.states(node.writes.iter()).any(|state| self.read.contains(&state) || self.changed.contains(&state))
            || made.states(node.reads.iter().flatten()).any(|state| self.changed.contains(&state))
    }
}

struct Made<'a> {
    parts: &'a [Source],
    /// Values, by their roots, that every part has of its own.
    varying: HashSet<ValueId>,
    source: Source,
    /// Values of the parts behind the first, by part and value.
    own: HashMap<(usize, ValueId), ValueId>,
    /// Nodes that are to be made for every part, and means over the parts.
    waiting: Vec<usize>,
    /// Shared nodes that come behind some of those.
    late: Vec<usize>,
}

impl Made<'_> {
    /// The states among some values.
    fn states<'v>(&self, ids: impl Iterator<Item = &'v ValueId>) -> impl Iterator<Item = usize> {
        let place = |id: &ValueId| match self.parts[0].values[self.parts[0].root(*id)].place {
            Place::State { state, .. } => Some(state),
            _ => None,
        };
        ids.filter_map(place)
    }

    fn take(&mut self, at: usize, node: &Node) {
        let source = &self.parts[0];
        let roots = node.writes.iter().map(|write| source.root(*write));
        let is_shared = !self.is_mean(at) && !roots.clone().any(|root| self.varying.contains(&root));
        let mut asked = Asked::default();
        asked.add(self, at);
        let behind = |at: &&usize| (self.is_mean(**at) || self.late.contains(at)) && asked.is_behind(self, **at);
        let pending: Vec<usize> = self.waiting.iter().chain(&self.late).filter(behind).copied().collect();
        let changes = self.states(node.writes.iter()).next().is_some();
        match is_shared {
            true if !pending.is_empty() || changes && !self.waiting.is_empty() => self.late.push(at),
            true => self.source.nodes.push(node.clone()),
            false => {
                self.make(&pending);
                self.waiting.push(at);
            }
        }
    }

    fn is_mean(&self, at: usize) -> bool {
        matches!(self.parts[0].nodes[at].body, Body::MeanOfParts)
    }

    /// Makes these of the nodes that wait, and what they are behind.
    fn make(&mut self, wanted: &[usize]) {
        if wanted.is_empty() {
            return;
        }
        let mut pending: Vec<usize> = self.waiting.iter().chain(&self.late).copied().collect();
        pending.sort_unstable();
        let (mut needed, mut asked) = (HashSet::new(), Asked::default());
        for &at in pending.iter().rev() {
            if wanted.contains(&at) || asked.is_behind(self, at) {
                asked.add(self, at);
                needed.insert(at);
            }
        }
        for mean in pending.iter().copied().filter(|at| self.is_mean(*at)) {
            needed.extend(self.besides(mean, &pending, &needed));
        }
        let split = |nodes: &mut Vec<usize>| nodes.extract_if(.., |at| needed.contains(at)).collect::<Vec<_>>();
        let (waiting, late) = (split(&mut self.waiting), split(&mut self.late));
        self.every_part(&waiting);
        late.iter().for_each(|at| self.source.nodes.push(self.parts[0].nodes[*at].clone()));
    }

    /// A mean and what it hangs on besides `needed`, if that is made of these alone: left for later, it
    /// would keep what they make of every part. None where it begins something else.
    fn besides(&self, mean: usize, pending: &[usize], needed: &HashSet<usize>) -> Vec<usize> {
        let (mut found, mut asked) = (Vec::new(), Asked::default());
        for at in pending.iter().copied().rev().filter(|at| !needed.contains(at)) {
            if at != mean && !asked.is_behind(self, at) {
                continue;
            }
            let node = &self.parts[0].nodes[at];
            let reads = node.reads.iter().flatten().map(|read| self.parts[0].root(*read));
            if self.late.contains(&at) || !reads.into_iter().any(|read| self.varying.contains(&read)) {
                return Vec::new();
            }
            asked.add(self, at);
            found.push(at);
        }
        found
    }

    /// Makes nodes for one part after the other, and the means among them.
    fn every_part(&mut self, nodes: &[usize]) {
        let mut sums: HashMap<usize, ValueId> = HashMap::new();
        for part in 0..self.parts.len() {
            for &at in nodes {
                let node = self.parts[part].nodes[at].clone();
                let reads: Vec<Option<ValueId>> = node.reads.iter().map(|r| r.map(|id| self.of(part, id))).collect();
                if !self.is_mean(at) {
                    let writes = node.writes.iter().map(|write| self.of(part, *write)).collect();
                    self.source.nodes.push(Node { reads, writes, ..node });
                    continue;
                }
                let Some(read) = reads[0] else { continue };
                let sum = match sums.get(&at) {
                    Some(sum) => self.pointwise(Operation::Add, 0.0, &[*sum, read], None, &node),
                    None => read,
                };
                sums.insert(at, sum);
            }
        }
        let share = 1.0 / self.parts.len() as f32;
        for at in nodes {
            let node = self.parts[0].nodes[*at].clone();
            if let Some(sum) = sums.get(at) {
                self.pointwise(Operation::MulC, share, &[*sum], Some(node.writes[0]), &node);
            }
        }
    }

    /// A value of a part.
    fn of(&mut self, part: usize, id: ValueId) -> ValueId {
        if part == 0 || !self.varying.contains(&self.parts[0].root(id)) {
            return id;
        }
        if let Some(own) = self.own.get(&(part, id)) {
            return *own;
        }
        let Value { shape, place } = self.parts[0].values[id].clone();
        let place = match place {
            Place::Alias(of) => Place::Alias(self.of(part, of)),
            _ => Place::Node(usize::MAX),
        };
        self.source.values.push(Value { shape, place });
        let own = self.source.values.len() - 1;
        self.own.insert((part, id), own);
        own
    }

    fn pointwise(
        &mut self,
        operation: Operation,
        c: f32,
        reads: &[ValueId],
        to: Option<ValueId>,
        like: &Node,
    ) -> ValueId {
        let shape = self.parts[0].values[like.writes[0]].shape.clone();
        let to = to.unwrap_or_else(|| {
            self.source.values.push(Value { shape, place: Place::Node(usize::MAX) });
            self.source.values.len() - 1
        });
        let reads = reads.iter().copied().map(Some).collect();
        let body = Body::Pointwise(operation, c);
        self.source.nodes.push(Node { body, reads, writes: vec![to], scope: like.scope.clone() });
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Noise, Shard, gradients};
    use crate::program::{Device, Options, Runner, Store, plan};

    /// A step of two updates, of which the second sees the first; the images are noise.
    fn step(n: usize, shard: Shard) -> Source {
        let g = Graph::new(Noise { seed: 4, domain: 1, clock: "clock".into() }).of_shard(shard);
        let w = g.state("w", 4, 0, &[4, 1]);
        let mean = g.state("mean", 4, 0, &[1, 4]);
        for _ in 0..2 {
            let x = g.normal(&[n, 4]);
            g.ema(&x.mean_axes(&[0]).over_batch(), &mean, 0.5, 1.0);
            let loss = x.matmul(&w).tanh().mean();
            let grad = gradients(&loss, std::slice::from_ref(&w)).remove(0).unwrap().over_batch();
            g.assign(&(&w - &grad), &w);
            g.output("loss", &loss.over_batch());
        }
        g.advance(&g.clock());
        g.finish().unwrap()
    }

    fn run(source: &Source) -> [Vec<f32>; 3] {
        let mut store = Store::new(Device::Cpu);
        store.write("w", &[0.1, -0.2, 0.3, 0.4]).unwrap();
        let mut runner = Runner::new(plan(source, &Options::new(None)).unwrap(), &mut store).unwrap();
        (0..3).for_each(|_| runner.run().unwrap());
        [store.read("w").unwrap(), store.read("mean").unwrap(), runner.read("loss").unwrap()]
    }

    #[test]
    fn parts_are_the_whole_in_less_memory() {
        let parts: Vec<Source> = (0..4).map(|part| step(1024, Shard { part, parts: 4, ..Shard::WHOLE })).collect();
        let (one, many) = (step(4096, Shard::WHOLE), accumulate(&parts).unwrap());
        for (one, many) in std::iter::zip(run(&one), run(&many)) {
            for (a, b) in std::iter::zip(one, many) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
        let memory = |source| plan(source, &Options::new(None)).unwrap().totals().memory;
        assert!(3 * memory(&many) < 2 * memory(&one));
    }

    #[test]
    fn a_state_that_every_part_would_change_is_named() {
        let part = |part| {
            let shard = Shard { part, parts: 2, ..Shard::WHOLE };
            let g = Graph::new(Noise { seed: 4, domain: 1, clock: "clock".into() }).of_shard(shard);
            g.assign(&g.normal(&[4]), &g.state("last", 4, 0, &[4]));
            g.finish().unwrap()
        };
        assert_eq!(accumulate(&[part(0), part(1)]).unwrap_err(), Apart::State("last".into()));
        let other = step(4, Shard { part: 1, parts: 2, ..Shard::WHOLE });
        assert_eq!(accumulate(&[part(0), other]).unwrap_err(), Apart::Unlike);
    }
}
