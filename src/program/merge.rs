//! Merging: constants become part of what they are operands of, counters advance together, and
//! updates that do the same to neighbouring ranges of a state, and sums that end up in one flat
//! buffer, become one launch each over a flat buffer that the producers of their operands fill.

use super::{ALIGN, Body, Node, Place, Purpose, Source, Value, ValueId};
use crate::kernels::advance::{Advance, MAX_COUNTERS};
use crate::kernels::ema::{Ema, MAX_PASSES, MAX_RANGES, Range};
use crate::kernels::pointwise::Operation;
use crate::kernels::{Epilogue, Fused, Kernel};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A running average that waits for its neighbours.
#[derive(Clone, Copy)]
struct Part {
    node: usize,
    offset: usize,
    len: usize,
    scale: f32,
}

/// Running averages of parts of a state that have nothing to do with each other.
struct Pass {
    /// New values of each element.
    rounds: usize,
    parts: Vec<Part>,
}

impl Pass {
    fn takes(&self, part: &Part, rounds: usize) -> bool {
        let apart = |p: &Part| p.offset + p.len <= part.offset || part.offset + part.len <= p.offset;
        self.rounds == rounds && self.parts.iter().all(apart)
    }

    /// Its parts in order, those together that lie side by side and that one launch takes.
    fn runs(&self) -> Vec<Vec<Part>> {
        let mut parts = self.parts.clone();
        parts.sort_by_key(|p| p.offset);
        let neighbours = |a: &Part, b: &Part| (a.offset + a.len).next_multiple_of(ALIGN) == b.offset;
        let runs = parts.chunk_by(neighbours).flat_map(|run| run.chunks(MAX_RANGES));
        runs.map(<[Part]>::to_vec).collect()
    }

    fn last(&self) -> usize {
        self.parts.iter().map(|p| p.node).max().unwrap_or(0)
    }
}

/// Running averages of one state that may be updated where the last of them is, pass by pass.
struct Group {
    rate: f32,
    passes: Vec<Pass>,
}

impl Group {
    /// Takes one more, if it may be updated with the others.
    fn takes(&mut self, part: Part, rate: f32, rounds: usize) -> bool {
        let (same, room) = (self.rate.to_bits() == rate.to_bits(), self.passes.len() < MAX_PASSES);
        match self.passes.last_mut() {
            Some(pass) if same && pass.takes(&part, rounds) => pass.parts.push(part),
            _ if same && room => self.passes.push(Pass { rounds, parts: vec![part] }),
            _ => return false,
        }
        true
    }

    /// The passes that one launch makes after the other: all, where they are of the same parts.
    fn together(self) -> Vec<Vec<Pass>> {
        let parts = |pass: &Pass| {
            let parts = pass.runs().into_iter().flatten();
            parts.map(|p| (p.offset, p.len, p.scale.to_bits())).collect::<Vec<_>>()
        };
        match self.passes.iter().all(|pass| parts(pass) == parts(&self.passes[0])) {
            true => vec![self.passes],
            false => self.passes.into_iter().map(|pass| vec![pass]).collect(),
        }
    }
}

/// Makes kernels of running averages: those of neighbouring ranges of a state together, and those that follow
/// each other before somebody looks. Without `merge` each has a launch of its own.
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
            if !(waits && open.get_mut(&state).is_some_and(|group| group.takes(part, *rate, rounds))) {
                done.extend(open.remove(&state));
                let group = Group { rate: *rate, passes: vec![Pass { rounds, parts: vec![part] }] };
                if waits { _ = open.insert(state, group) } else { done.push(group) }
            }
            touched.retain(|other| *other != state);
        }
        done.extend(touched.into_iter().filter_map(|state| open.remove(&state)));
    }
    done.extend(open.into_values());
    let mut made: HashMap<usize, Vec<Node>> = HashMap::new();
    for group in done {
        let rate = group.rate;
        for passes in group.together() {
            let last = passes.iter().map(Pass::last).max().unwrap_or(0);
            let rounds: Vec<u32> = passes.iter().map(|pass| pass.rounds as u32).collect();
            let runs: Vec<_> = passes.iter().map(Pass::runs).collect();
            for k in 0..runs[0].len() {
                let of_passes: Vec<&[Part]> = runs.iter().map(|runs| &runs[k][..]).collect();
                made.entry(last).or_default().extend(average(source, &nodes, rate, &rounds, &of_passes));
            }
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

/// The launch that updates neighbouring ranges, pass by pass, behind the flat buffer it reads where there are
/// several new values.
fn average(source: &mut Source, nodes: &[Node], rate: f32, rounds: &[u32], passes: &[&[Part]]) -> Vec<Node> {
    let run = passes[0];
    let (first, last) = (&run[0], &run[run.len() - 1]);
    let (start, len) = (first.offset, last.offset + last.len - first.offset);
    let ranges = run.iter().map(|p| Range { start: (p.offset - start) as u32, scale: p.scale }).collect();
    let ema = Ema { len: len as u32, passes: rounds.to_vec(), rate, ranges };
    let words = ema.lens().reads[0];
    let body = Body::Kernel(Arc::new(ema));
    if let [[part]] = passes {
        return vec![Node { body, ..nodes[part.node].clone() }];
    }
    let Place::State { state, .. } = source.values[source.root(nodes[first.node].writes[0])].place else {
        return Vec::new();
    };
    let target = add(source, len, Place::State { state, offset: start });
    let whole = add(source, words, Place::Node(usize::MAX));
    let scope = nodes[passes[passes.len() - 1][run.len() - 1].node].scope.clone();
    let (mut reads, mut offsets) = (Vec::new(), Vec::new());
    for ((base, rounds), run) in std::iter::zip(Ema::bases(len as u32, rounds), rounds).zip(passes) {
        for part in *run {
            reads.push(nodes[part.node].reads[0]);
            offsets.push(base as usize + *rounds as usize * (part.offset - start));
        }
    }
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
            let counters: Vec<ValueId> = group.iter().map(|waits| nodes[*waits].writes[0]).collect();
            match out.last().filter(|_| merge).and_then(|before| ticking(source, before, &counters)) {
                Some(both) => {
                    out.pop();
                    out.push(both);
                }
                None => {
                    let body = Body::Kernel(Arc::new(Advance { counters: counters.len() as u32 }));
                    out.push(Node { body, writes: counters, ..node.clone() });
                }
            }
        }
    }
    out
}

/// The node with counters that advance behind it, of which its first read is one.
fn ticking(source: &Source, node: &Node, counters: &[ValueId]) -> Option<Node> {
    let Body::Kernel(kernel) = &node.body else { return None };
    let clock = source.root(node.reads.first().copied().flatten()?);
    let at = counters.iter().position(|counter| source.root(*counter) == clock)?;
    let Fused { kernel, .. } = kernel.fuse(Epilogue::Tick(counters.len() as u32))?;
    let others = counters.iter().enumerate().filter(|(k, _)| *k != at).map(|(_, counter)| *counter);
    let writes: Vec<ValueId> = node.writes.iter().copied().chain([counters[at]]).chain(others).collect();
    let reads = node.reads[1..].iter().copied().take(kernel.signature().reads.len()).collect();
    Some(Node { body: Body::Kernel(kernel), reads, writes, scope: node.scope.clone() })
}
