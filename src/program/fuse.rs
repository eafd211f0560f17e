//! Fusion: activations, their gradients and residuals into the kernels that produce their operand,
//! and pointwise operations into chains.
//!
//! Two nodes become one where the first stands or where the second does, and only if no state that
//! is read is updated in between.

use super::{Body, Node, Place, Source, Value, ValueId};
use crate::kernels::pointwise::{Broadcast, ChainStep, MAX_INPUTS, MAX_STEPS, Operation, Pointwise};
use crate::kernels::{Epilogue, Fused};
use std::collections::HashMap;
use std::sync::Arc;

/// Who reads what among the nodes still there.
struct Uses {
    /// For every root value, the nodes that read it.
    readers: HashMap<ValueId, Vec<usize>>,
    /// For every root value, the node that writes it.
    writer: HashMap<ValueId, usize>,
    /// Nodes that update each state.
    updates: HashMap<usize, Vec<usize>>,
}

impl Uses {
    fn new(source: &Source, nodes: &[Option<Node>]) -> Uses {
        let mut uses = Uses { readers: HashMap::new(), writer: HashMap::new(), updates: HashMap::new() };
        for (at, node) in nodes.iter().enumerate() {
            node.iter().for_each(|node| uses.enter(source, at, node));
        }
        uses
    }

    /// Takes up a node that stands at `at`.
    fn enter(&mut self, source: &Source, at: usize, node: &Node) {
        for read in node.reads.iter().flatten() {
            self.readers.entry(source.root(*read)).or_default().push(at);
        }
        for write in &node.writes {
            let root = source.root(*write);
            match source.values[root].place {
                Place::State { state, .. } => self.updates.entry(state).or_default().push(at),
                _ => _ = self.writer.insert(root, at),
            }
        }
    }

    /// Forgets the node that stood at `at`.
    fn leave(&mut self, source: &Source, at: usize, node: &Node) {
        for read in node.reads.iter().flatten() {
            self.readers.entry(source.root(*read)).and_modify(|all| all.retain(|reader| *reader != at));
        }
        for write in &node.writes {
            let root = source.root(*write);
            match source.values[root].place {
                Place::State { state, .. } => {
                    self.updates.entry(state).and_modify(|all| all.retain(|node| *node != at));
                }
                _ => _ = self.writer.remove(&root),
            }
        }
    }

    /// The node that alone reads `value`, if nobody outside the program does.
    fn only_reader(&self, source: &Source, value: ValueId) -> Option<usize> {
        let root = source.root(value);
        if source.outputs.iter().any(|(_, id)| source.root(*id) == root) {
            return None;
        }
        let readers = self.readers.get(&root)?;
        let first = readers.first()?;
        readers.iter().all(|r| r == first).then_some(*first)
    }

    /// Whether the node at `from` may run at `to` instead: no state it reads changes in between.
    fn may_move(&self, source: &Source, node: &Node, from: usize, to: usize) -> bool {
        node.reads.iter().flatten().all(|r| self.unchanged(source, *r, from, to))
    }

    /// Whether no node from `from` to `to` updates the state that `value` is in, if it is in one.
    fn unchanged(&self, source: &Source, value: ValueId, from: usize, to: usize) -> bool {
        let Place::State { state, .. } = source.values[source.root(value)].place else { return true };
        !self.updates.get(&state).is_some_and(|at| at.iter().any(|i| (from..to).contains(i)))
    }

    /// Whether `value` is at `from` what it is at `to`.
    fn stands(&self, source: &Source, value: ValueId, from: usize, to: usize) -> bool {
        let written = self.writer.get(&source.root(value)).is_none_or(|w| *w < from);
        written && self.unchanged(source, value, from, to)
    }
}

/// Moves activations, gates (the gradients of straight activations) and residual additions into the
/// convolution, matmul or normalisation whose result they alone read.
pub(super) fn epilogues(source: &Source, nodes: Vec<Node>) -> Vec<Node> {
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let mut uses = Uses::new(source, &nodes);
    let mut at = 0;
    while at < nodes.len() {
        // A node that absorbed its reader is looked at again, where it stands now.
        let Some(Absorbed { reader, gate, place, node }) = absorb(source, &uses, &nodes, at) else {
            at += 1;
            continue;
        };
        for gone in [Some(at), Some(reader), gate].into_iter().flatten() {
            nodes[gone].take().iter().for_each(|node| uses.leave(source, gone, node));
        }
        uses.enter(source, place, &node);
        nodes[place] = Some(node);
    }
    nodes.into_iter().flatten().collect()
}

/// A node that took over its reader's work.
struct Absorbed {
    /// The reader.
    reader: usize,
    /// The node that made the reader's other operand, if nobody else needs it.
    gate: Option<usize>,
    /// Where the node stands from now on: where it was, or at the reader's place.
    place: usize,
    node: Node,
}

/// The node at `at` with the activation, gate or addition that alone reads its first result, if its
/// kernel can take that.
fn absorb(source: &Source, uses: &Uses, nodes: &[Option<Node>], at: usize) -> Option<Absorbed> {
    let node = nodes[at].as_ref()?;
    let Body::Kernel(kernel) = &node.body else { return None };
    let result = *node.writes.first()?;
    let reader = uses.only_reader(source, result)?;
    let next = nodes[reader].as_ref()?;
    let Body::Pointwise(code, c) = next.body else { return None };
    let len = |id: ValueId| source.values[id].len();
    if len(result) != len(next.writes[0]) {
        return None;
    }
    let mut fused = node.clone();
    fused.writes[0] = next.writes[0];
    if let Some(act) = code.activation(c) {
        fused.body = Body::Kernel(kernel.fuse(Epilogue::Activation(act))?.kernel);
        return Some(Absorbed { reader, gate: None, place: at, node: fused });
    }
    let number = match code {
        Operation::MulC => Some(Epilogue::Scale(c)),
        Operation::AddC => Some(Epilogue::Shift(c)),
        _ => None,
    };
    if let Some(number) = number {
        fused.body = Body::Kernel(kernel.fuse(number)?.kernel);
        return Some(Absorbed { reader, gate: None, place: at, node: fused });
    }
    let mut others = next.reads.iter().flatten().filter(|r| source.root(**r) != source.root(result));
    let mut other = *others.next().filter(|r| len(**r) == len(result))?;
    let mut gate = None;
    let epilogue = match code {
        Operation::Add => Epilogue::Residual,
        Operation::Mul => {
            let opening = opening(source, uses, nodes, other)?;
            gate = (uses.only_reader(source, other) == Some(reader)).then_some(opening.node);
            other = opening.of;
            Epilogue::ReluMask { slope: opening.slope }
        }
        _ => return None,
    };
    let Fused { kernel, read } = kernel.fuse(epilogue)?;
    let slot = read?;
    fused.body = Body::Kernel(kernel);
    fused.reads.resize(fused.reads.len().max(slot + 1), None);
    fused.reads[slot] = Some(other);
    if uses.stands(source, other, at, reader) {
        return Some(Absorbed { reader, gate, place: at, node: fused });
    }
    // The other operand comes later, so the node has to wait for it; nobody may want its further
    // results before.
    let wanted_before = |w: &ValueId| {
        let readers = uses.readers.get(&source.root(*w));
        readers.is_some_and(|r| r.iter().any(|r| *r < reader))
    };
    let moves = uses.may_move(source, node, at, reader) && !node.writes[1..].iter().any(wanted_before);
    moves.then_some(Absorbed { reader, gate, place: reader, node: fused })
}

/// A value that says by its sign what a gate lets through.
struct Opening {
    /// The node that makes the gate of it.
    node: usize,
    of: ValueId,
    slope: f32,
}

/// What `value` is made of, if it is a gate that could as well be made where it is read.
fn opening(source: &Source, uses: &Uses, nodes: &[Option<Node>], value: ValueId) -> Option<Opening> {
    let at = *uses.writer.get(&source.root(value))?;
    let node = nodes[at].as_ref()?;
    let (Body::Pointwise(Operation::ReluMask, slope), Some(of)) = (&node.body, node.reads[0]) else { return None };
    let stays = uses.unchanged(source, of, at, nodes.len());
    stays.then_some(Opening { node: at, of, slope: *slope })
}

/// A chain being grown: reads and how they lie over the output, and steps whose operands name a
/// read or an earlier step.
#[derive(Clone)]
struct Chain {
    reads: Vec<(ValueId, Broadcast)>,
    steps: Vec<ChainStep>,
}

/// Turns pointwise nodes into pointwise kernels; with `fuse`, a node whose only reader is another
/// of the same length becomes part of it.
pub(super) fn chains(source: &Source, nodes: Vec<Node>, fuse: bool) -> Vec<Node> {
    let nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let uses = Uses::new(source, &nodes);
    let mut chains: HashMap<usize, Chain> = HashMap::new();
    let mut absorbed = vec![false; nodes.len()];
    let mut copied = vec![0; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        let Some(Node { body: Body::Pointwise(code, c), reads, writes, .. }) = node else { continue };
        let Value { shape, .. } = &source.values[writes[0]];
        let len = source.values[writes[0]].len();
        let mut chain = Chain { reads: Vec::new(), steps: Vec::new() };
        let mut operands = Vec::new();
        for read in reads.iter().flatten() {
            let root = source.root(*read);
            let copies = fuse && repeats(source, &uses, &nodes, root);
            let producer = uses.writer.get(&root).copied().filter(|&p| {
                fuse && chains.contains_key(&p)
                    && source.values[root].len() == len
                    && (uses.only_reader(source, root) == Some(at) || copies && chains[&p].steps.len() == 1)
                    && !operands.iter().any(|o| matches!(o, Operand::ChainStep(_, r) if *r == root))
                    && chains[&p].reads.iter().all(|(r, _)| uses.unchanged(source, *r, p, at))
            });
            let merged = producer.and_then(|p| {
                if absorbed[p] {
                    // Both operands are the same value: its last step is already here.
                    return None;
                }
                let joined = join(source, &chain, &chains[&p])?;
                copied[p] += 1;
                let mut readers = uses.readers[&root].clone();
                readers.dedup();
                absorbed[p] = copied[p] == readers.len();
                Some(joined)
            });
            if let Some(joined) = merged {
                chain = joined;
                operands.push(Operand::ChainStep(chain.steps.len() - 1, root));
            } else if let Some(Operand::ChainStep(step, _)) =
                operands.iter().find(|o| matches!(o, Operand::ChainStep(_, r) if *r == root))
            {
                operands.push(Operand::ChainStep(*step, root));
            } else {
                let spread = spread(&source.values[*read].shape, shape, len);
                operands.push(Operand::Read(register(source, &mut chain.reads, (*read, spread))));
            }
        }
        let register = |o: &Operand| match o {
            Operand::Read(k) => *k,
            Operand::ChainStep(k, _) => MAX_INPUTS + k,
        };
        let a = operands.first().map_or(0, register);
        let b = operands.get(1).map_or(a, register);
        chain.steps.push(ChainStep { code: *code, a, b, c: *c });
        chains.insert(at, chain);
    }
    let mut out = Vec::new();
    for (at, node) in nodes.into_iter().flatten().enumerate() {
        if absorbed[at] {
            continue;
        }
        let Some(chain) = chains.remove(&at) else {
            out.push(node);
            continue;
        };
        let len = source.values[node.writes[0]].len();
        let (reads, inputs) = chain.reads.into_iter().map(|(read, spread)| (Some(read), spread)).unzip();
        let kernel = Pointwise { len, inputs, steps: chain.steps };
        out.push(Node { body: Body::Kernel(Arc::new(kernel)), reads, ..node });
    }
    out
}

/// Whether `value` is made by so little arithmetic that each of its readers, all pointwise and of
/// its length, may as well repeat it.
fn repeats(source: &Source, uses: &Uses, nodes: &[Option<Node>], value: ValueId) -> bool {
    let len = |id: ValueId| source.values[id].len();
    let as_long = |id: &ValueId| len(*id) == len(value);
    let pointwise = |at: &usize| match &nodes[*at] {
        Some(Node { body: Body::Pointwise(..), writes, .. }) => as_long(&writes[0]),
        _ => false,
    };
    let maker = uses.writer.get(&value).and_then(|at| nodes[*at].as_ref());
    let Some(Node { body: Body::Pointwise(Operation::AddC | Operation::MulC | Operation::RsubC, _), reads, .. }) =
        maker
    else {
        return false;
    };
    reads.iter().flatten().all(as_long)
        && !source.outputs.iter().any(|(_, id)| source.root(*id) == value)
        && uses.readers.get(&value).is_some_and(|readers| readers.iter().all(pointwise))
}

enum Operand {
    Read(usize),
    /// A step of the chain, and the value it computes.
    ChainStep(usize, ValueId),
}

/// The register of a read, shared with an earlier one of the same value that lies the same way.
fn register(source: &Source, reads: &mut Vec<(ValueId, Broadcast)>, read: (ValueId, Broadcast)) -> usize {
    let same = |r: &(ValueId, Broadcast)| source.root(r.0) == source.root(read.0) && r.1 == read.1;
    reads.iter().position(same).unwrap_or_else(|| {
        reads.push(read);
        reads.len() - 1
    })
}

/// `chain` with all of `other` behind it, if that leaves room for one more step and operand.
fn join(source: &Source, chain: &Chain, other: &Chain) -> Option<Chain> {
    let mut joined = chain.clone();
    let base = chain.steps.len();
    let map: Vec<usize> = other.reads.iter().map(|r| register(source, &mut joined.reads, *r)).collect();
    let shift = |r: usize| if r < MAX_INPUTS { map[r] } else { r + base };
    joined.steps.extend(other.steps.iter().map(|s| ChainStep { a: shift(s.a), b: shift(s.b), ..*s }));
    (joined.reads.len() < MAX_INPUTS && joined.steps.len() < MAX_STEPS).then_some(joined)
}

/// How an operand of shape `from` lies over an output of shape `to`: its extents equal the
/// output's along one run of axes and are 1 elsewhere, or it has as many elements.
pub(crate) fn spread(from: &[usize], to: &[usize], len: usize) -> Broadcast {
    if from.iter().product::<usize>() == len {
        return Broadcast { inner: 1, period: len as u32 };
    }
    let pad = to.len() - from.len();
    let own = |axis: usize| axis >= pad && from[axis - pad] != 1;
    let last = (0..to.len()).rev().find(|a| own(*a));
    let inner: usize = last.map_or(len, |a| to[a + 1..].iter().product());
    Broadcast { inner: inner as u32, period: from.iter().product::<usize>() as u32 }
}

/// Whether [`spread`] can express this broadcast.
pub(crate) fn is_run(from: &[usize], to: &[usize]) -> bool {
    if from.iter().product::<usize>() == to.iter().product::<usize>() {
        return true;
    }
    let pad = to.len() - from.len();
    // Axes of extent 1 in both never matter.
    let own: Vec<bool> = (0..to.len()).filter(|a| to[*a] != 1).map(|a| a >= pad && from[a - pad] != 1).collect();
    let first = own.iter().position(|o| *o).unwrap_or(0);
    let last = own.iter().rposition(|o| *o).unwrap_or(0);
    own.is_empty() || own[first..=last].iter().all(|o| *o) || !own.contains(&true)
}
