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
    made.flush();
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

struct Made<'a> {
    parts: &'a [Source],
    /// Values, by their roots, that every part has of its own.
    varying: HashSet<ValueId>,
    source: Source,
    /// Values of the parts behind the first, by part and value.
    own: HashMap<(usize, ValueId), ValueId>,
    /// Nodes that are to be made for every part, and means over the parts.
    waiting: Vec<usize>,
    /// Shared nodes behind those.
    late: Vec<usize>,
}

impl Made<'_> {
    /// The states that a node reads, or writes.
    fn states(&self, ids: impl Iterator<Item = ValueId>) -> HashSet<usize> {
        let place = |id: ValueId| match self.parts[0].values[self.parts[0].root(id)].place {
            Place::State { state, .. } => Some(state),
            _ => None,
        };
        ids.filter_map(place).collect()
    }

    /// Whether a node reads what one of `nodes` makes, or a state that one of them changes.
    fn follows(&self, node: &Node, nodes: &[usize]) -> bool {
        let source = &self.parts[0];
        let made = nodes.iter().flat_map(|at| &source.nodes[*at].writes).map(|write| source.root(*write));
        let made: HashSet<ValueId> = made.collect();
        let changed = self.states(nodes.iter().flat_map(|at| source.nodes[*at].writes.iter().copied()));
        let reads: Vec<ValueId> = node.reads.iter().flatten().map(|read| source.root(*read)).collect();
        let states = self.states(node.reads.iter().flatten().chain(&node.writes).copied());
        reads.iter().any(|read| made.contains(read)) || !changed.is_disjoint(&states)
    }

    fn take(&mut self, at: usize, node: &Node) {
        let source = &self.parts[0];
        let is_mean = matches!(node.body, Body::MeanOfParts);
        if is_mean || node.writes.iter().any(|write| self.varying.contains(&source.root(*write))) {
            let means: Vec<usize> = self.means();
            if self.follows(node, &self.late) || self.follows(node, &means) {
                self.flush();
            }
            self.waiting.push(at);
            return;
        }
        let changes = !self.states(node.writes.iter().copied()).is_empty();
        let behind = self.follows(node, &self.late) || self.follows(node, &self.means());
        if behind || changes && !self.waiting.is_empty() {
            self.late.push(at);
        } else {
            self.source.nodes.push(node.clone());
        }
    }

    /// The means that wait.
    fn means(&self) -> Vec<usize> {
        let is_mean = |at: &usize| matches!(self.parts[0].nodes[*at].body, Body::MeanOfParts);
        self.waiting.iter().copied().filter(is_mean).collect()
    }

    /// Makes all that waits.
    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let mut sums: HashMap<usize, ValueId> = HashMap::new();
        for part in 0..self.parts.len() {
            for &at in &waiting {
                let node = self.parts[part].nodes[at].clone();
                let reads: Vec<Option<ValueId>> = node.reads.iter().map(|r| r.map(|id| self.of(part, id))).collect();
                if !matches!(node.body, Body::MeanOfParts) {
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
        for at in waiting {
            let node = self.parts[0].nodes[at].clone();
            if let Some(sum) = sums.get(&at) {
                self.pointwise(Operation::MulC, share, &[*sum], Some(node.writes[0]), &node);
            }
        }
        for at in std::mem::take(&mut self.late) {
            self.source.nodes.push(self.parts[0].nodes[at].clone());
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
