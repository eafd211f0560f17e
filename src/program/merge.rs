//! Merging: constants become part of what they are operands of, counters advance together, and
//! updates that do the same to neighbouring ranges of a state, and sums that end up in one flat
//! buffer, become one launch each over a flat buffer that the producers of their operands fill.

use super::{ALIGN, Body, Node, Place, Purpose, Source, Value, ValueId};
use crate::kernels::advance::{Advance, MAX_COUNTERS};
use crate::kernels::ema::{Ema, MAX_RANGES, Range};
use crate::kernels::pointwise::Operation;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A running average that waits for its neighbours.
struct Part {
    node: usize,
    offset: usize,
    len: usize,
    scale: f32,
}

/// Running averages of one state that may be updated where the last of them is.
struct Group {
    rate: f32,
    /// New values of each element.
    rounds: usize,
    parts: Vec<Part>,
}

/// Makes kernels of running averages, those of neighbouring ranges of a state together.
/// Without `merge` each has a launch of its own.
pub(super) fn averages(source: &mut Source, nodes: Vec<Node>, merge: bool) -> Vec<Node> {
    let mut open: HashMap<usize, Group> = HashMap::new();
    let mut done: Vec<Group> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let place = |id: ValueId| source.values[source.root(id)].place.clone();
        let mut touched: Vec<usize> = Vec::new();
        for id in node.reads.iter().flatten().chain(&node.writes) {
            if let Place::State { state, .. } = place(*id) {
                touched.push(state);
            }
        }
        if let (Body::Average(rate, scale), Place::State { state, offset }) = (&node.body, place(node.writes[0])) {
            let len = source.values[node.writes[0]].len();
            let part = Part { node: at, offset, len, scale: *scale };
            let rounds = node.reads[0].map_or(1, |read| source.values[read].len() / len.max(1));
            let waits = merge && node.reads.iter().flatten().all(|r| matches!(place(*r), Place::Node(_)));
            let fits = |group: &Group| {
                let apart = |p: &Part| p.offset + p.len <= offset || offset + len <= p.offset;
                waits
                    && group.rounds == rounds
                    && group.rate.to_bits() == rate.to_bits()
                    && group.parts.iter().all(apart)
            };
            match open.get_mut(&state) {
                Some(group) if fits(group) => group.parts.push(part),
                _ => {
                    let group = Group { rate: *rate, rounds, parts: vec![part] };
                    match waits {
                        true => done.extend(open.insert(state, group)),
                        false => {
                            done.extend(open.remove(&state));
                            done.push(group);
                        }
                    }
                }
            }
            touched.retain(|other| *other != state);
        }
        done.extend(touched.into_iter().filter_map(|state| open.remove(&state)));
    }
    done.extend(open.into_values());
    let mut made: HashMap<usize, Vec<Node>> = HashMap::new();
    for mut group in done {
        let last = group.parts.iter().map(|p| p.node).max().unwrap_or(0);
        group.parts.sort_by_key(|p| p.offset);
        let neighbours = |a: &Part, b: &Part| (a.offset + a.len).next_multiple_of(ALIGN) == b.offset;
        for run in group.parts.chunk_by(neighbours).flat_map(|run| run.chunks(MAX_RANGES)) {
            let merged = average(source, &nodes, (group.rate, group.rounds), run);
            made.entry(last).or_default().extend(merged);
        }
    }
    let mut out = Vec::new();
    for (at, node) in nodes.into_iter().enumerate() {
        if !matches!(node.body, Body::Average(..)) {
            out.push(node);
        }
        out.extend(made.remove(&at).unwrap_or_default());
    }
    out
}

/// The launch that updates neighbouring ranges, behind the flat buffer it reads where there are
/// several.
fn average(source: &mut Source, nodes: &[Node], (rate, rounds): (f32, usize), run: &[Part]) -> Vec<Node> {
    let (first, last) = (&run[0], &run[run.len() - 1]);
    let (start, len) = (first.offset, last.offset + last.len - first.offset);
    let ranges = run.iter().map(|p| Range { start: (p.offset - start) as u32, scale: p.scale }).collect();
    let body = Body::Kernel(Arc::new(Ema { len: len as u32, rounds: rounds as u32, rate, ranges }));
    if run.len() == 1 {
        return vec![Node { body, ..nodes[first.node].clone() }];
    }
    let Place::State { state, .. } = source.values[source.root(nodes[first.node].writes[0])].place else {
        return Vec::new();
    };
    let target = add(source, len, Place::State { state, offset: start });
    let whole = add(source, rounds * len, Place::Node(usize::MAX));
    let scope = nodes[last.node].scope.clone();
    let reads = run.iter().map(|p| nodes[p.node].reads[0]).collect();
    let offsets = run.iter().map(|p| rounds * (p.offset - start)).collect();
    let flat = Body::Flatten(offsets, Purpose::Temp);
    vec![
        Node { body: flat, reads, writes: vec![whole], scope: scope.clone() },
        Node { body, reads: vec![Some(whole)], writes: vec![target], scope },
    ]
}

/// A new value.
fn add(source: &mut Source, len: usize, place: Place) -> ValueId {
    source.values.push(Value { shape: vec![len], place });
    source.values.len() - 1
}

/// Turns flat buffers of sums, such as the gradients of a loss that runs through a network twice,
/// into sums of flat buffers.
pub(super) fn sums(source: &mut Source, nodes: Vec<Node>) -> Vec<Node> {
    let mut sums = Sums { nodes: &nodes, makers: HashMap::new(), uses: HashMap::new(), gone: HashSet::new() };
    for (at, node) in nodes.iter().enumerate() {
        node.writes.iter().for_each(|w| _ = sums.makers.insert(source.root(*w), at));
        node.reads.iter().flatten().for_each(|r| *sums.uses.entry(source.root(*r)).or_default() += 1);
    }
    for (_, id) in &source.outputs {
        *sums.uses.entry(source.root(*id)).or_default() += 1;
    }
    let mut out: Vec<(usize, Node)> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        match &node.body {
            Body::Flatten(..) => out.extend(sums.split(source, node.clone()).into_iter().map(|node| (at, node))),
            _ => out.push((at, node.clone())),
        }
    }
    out.into_iter().filter(|(at, _)| !sums.gone.contains(at)).map(|(_, node)| node).collect()
}

/// What is known while sums are taken apart.
struct Sums<'a> {
    nodes: &'a [Node],
    /// The node that makes each root value.
    makers: HashMap<ValueId, usize>,
    /// How often each root value is read, by the host too.
    uses: HashMap<ValueId, usize>,
    /// Sums that are made within larger ones.
    gone: HashSet<usize>,
}

impl Sums<'_> {
    /// The node that makes `value` as a sum nobody else reads, and what it adds up.
    fn terms(&self, source: &Source, value: ValueId) -> Option<(usize, [ValueId; 2])> {
        let root = source.root(value);
        let at = *self.makers.get(&root).filter(|_| self.uses.get(&root) == Some(&1))?;
        let (Body::Pointwise(Operation::Add, _), &[Some(a), Some(b)]) =
            (&self.nodes[at].body, &self.nodes[at].reads[..])
        else {
            return None;
        };
        // What a chain would take up, or somebody else reads, gains nothing from a place in a flat
        // buffer.
        let term = |id: ValueId| {
            let of = source.root(id);
            let maker = self.makers.get(&of).map(|at| &self.nodes[*at].body);
            source.values[of].len() == source.values[root].len()
                && matches!(source.values[of].place, Place::Node(_))
                && self.uses.get(&of) == Some(&1)
                && (matches!(maker, Some(Body::Kernel(_))) || self.terms(source, of).is_some())
        };
        (term(a) && term(b)).then_some((at, [a, b]))
    }

    /// A flatten node; where most of it are sums, one of the first terms, one of the second and
    /// their sum.
    fn split(&mut self, source: &mut Source, node: Node) -> Vec<Node> {
        let Body::Flatten(offsets, purpose) = &node.body else { return vec![node] };
        let mut first = node.reads.clone();
        let (mut second, mut places, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut summed = 0;
        for ((read, first), offset) in std::iter::zip(&node.reads, &mut first).zip(offsets) {
            let Some((at, [a, b])) = read.and_then(|read| self.terms(source, read)) else { continue };
            *first = Some(a);
            second.push(Some(b));
            places.push(*offset);
            ends.push(at);
            summed += source.values[a].len();
        }
        let len = source.values[node.writes[0]].len();
        if second.len() < 2 || 2 * summed < len {
            return vec![node];
        }
        self.gone.extend(ends);
        let wholes = [0; 2].map(|_| add(source, len, Place::Node(usize::MAX)));
        let flat = |body, reads, whole| Node { body, reads, writes: vec![whole], scope: node.scope.clone() };
        let first = flat(Body::Flatten(offsets.clone(), purpose.clone()), first, wholes[0]);
        let second = flat(Body::Flatten(places, Purpose::Temp), second, wholes[1]);
        let sum = Node { body: Body::Pointwise(Operation::Add, 0.0), reads: wholes.map(Some).into(), ..node.clone() };
        let mut out = self.split(source, first);
        out.extend(self.split(source, second));
        out.push(sum);
        out
    }
}

/// Elements up to which a tensor of one number is kept for all who read one like it.
const SMALL: usize = 4096;

/// Makes small tensors of one number, which many layers ask for, one for each number and length.
fn alike(source: &mut Source, nodes: Vec<Node>) -> Vec<Node> {
    let outputs: HashSet<ValueId> = source.outputs.iter().map(|(_, id)| source.root(*id)).collect();
    let mut first: HashMap<(u32, usize), ValueId> = HashMap::new();
    let mut stays = |node: &Node| {
        let Body::Constant(value, _) = node.body else { return true };
        let (id, len) = (source.root(node.writes[0]), source.values[source.root(node.writes[0])].len());
        if len > SMALL || outputs.contains(&id) {
            return true;
        }
        match first.get(&(value.to_bits(), len)) {
            Some(known) => source.values[id].place = Place::Alias(*known),
            None => _ = first.insert((value.to_bits(), len), id),
        }
        source.root(id) == id
    };
    nodes.into_iter().filter(|node| stays(node)).collect()
}

/// Has arithmetic with tensors of one number take the number; with `fold` off they are only filled.
pub(super) fn constants(source: &mut Source, nodes: Vec<Node>, fold: bool) -> Vec<Node> {
    let nodes = if fold { alike(source, nodes) } else { nodes };
    let mut known: HashMap<ValueId, f32> = HashMap::new();
    let fold_node = |node: Node| {
        let [a, b] = [0, 1].map(|k| {
            let read = node.reads.get(k).copied().flatten()?;
            known.get(&source.root(read)).copied()
        });
        let written = source.root(node.writes[0]);
        match node.body {
            Body::Constant(c, ref kernel) => {
                if fold {
                    known.insert(written, c);
                }
                Node { body: Body::Kernel(kernel.clone()), ..node }
            }
            Body::Pointwise(code @ (Operation::AddC | Operation::MulC | Operation::RsubC), c) => {
                if let Some(a) = a {
                    known.insert(written, code.apply(a, a, c));
                }
                node
            }
            Body::Pointwise(code @ (Operation::Add | Operation::Sub | Operation::Mul), _) => {
                let (code, c, of) = match (code, a, b) {
                    (_, Some(a), Some(b)) => {
                        known.insert(written, code.apply(a, b, 0.0));
                        return node;
                    }
                    (Operation::Mul, Some(c), _) => (Operation::MulC, c, 1),
                    (Operation::Mul, _, Some(c)) => (Operation::MulC, c, 0),
                    (Operation::Add, Some(c), _) => (Operation::AddC, c, 1),
                    (Operation::Add, _, Some(c)) => (Operation::AddC, c, 0),
                    (Operation::Sub, Some(c), _) => (Operation::RsubC, c, 1),
                    (Operation::Sub, _, Some(c)) => (Operation::AddC, -c, 0),
                    _ => return node,
                };
                Node { body: Body::Pointwise(code, c), reads: vec![node.reads[of]], ..node }
            }
            _ => node,
        }
    };
    nodes.into_iter().map(fold_node).collect()
}

/// Makes kernels of counters that advance: those that nothing touches until another does, together
/// with it.
pub(super) fn counters(source: &Source, nodes: Vec<Node>, merge: bool) -> Vec<Node> {
    let state = |id: &ValueId| match source.values[source.root(*id)].place {
        Place::State { state, .. } => Some(state),
        _ => None,
    };
    // Nodes that wait for the last of them.
    let mut groups: Vec<Vec<usize>> = vec![Vec::new()];
    for (at, node) in nodes.iter().enumerate() {
        let open = groups.last().map_or(&[][..], |group| &group[..]);
        let touched = node.reads.iter().flatten().chain(&node.writes).filter_map(state);
        let held = |of: usize| open.iter().any(|waits| state(&nodes[*waits].writes[0]) == Some(of));
        let ends = touched.into_iter().any(held) || (matches!(node.body, Body::Advance) && open.len() == MAX_COUNTERS);
        if ends || !merge {
            groups.push(Vec::new());
        }
        if matches!(node.body, Body::Advance) {
            groups.last_mut().into_iter().for_each(|group| group.push(at));
        }
    }
    let last: HashMap<usize, Vec<usize>> = groups.into_iter().filter_map(|g| Some((*g.last()?, g))).collect();
    let mut out = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        if !matches!(node.body, Body::Advance) {
            out.push(node.clone());
        } else if let Some(group) = last.get(&at) {
            let body = Body::Kernel(Arc::new(Advance { counters: group.len() as u32 }));
            let writes = group.iter().map(|waits| nodes[*waits].writes[0]).collect();
            out.push(Node { body, writes, ..node.clone() });
        }
    }
    out
}
