//! Recomputation: activations that wait long for the backward pass are dropped and made again when
//! it comes (Chen, Xu, Zhang & Guestrin 2016, "Training deep nets with sublinear memory cost").
//!
//! Where most memory is held, what was made before falls into segments. A segment keeps what later
//! segments start from; the rest is made again, by the same kernels from the same operands and so
//! with the same bits, just before the first launch that wants some of it. A launch that updates a
//! state is never repeated, and none is across an update of a state it reads: parameters, or the
//! clock that random numbers are functions of. Nothing is repeated twice.

use super::plan::accesses;
use super::{Body, Node, Place, Source, Value, ValueId};
use crate::kernels::Access;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

/// The numbers of segments that are tried.
const SEGMENTS: [usize; 13] = [2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48];

/// How often another peak may be lowered.
const ROUNDS: usize = 12;

/// Nodes in order, with the values they are about.
#[derive(Clone)]
pub(super) struct Lowered {
    pub(super) source: Source,
    pub(super) nodes: Vec<Node>,
    /// Nodes that repeat others, or have been repeated.
    repeated: Vec<bool>,
}

/// From the node that makes a value to those that read it.
struct Life {
    len: usize,
    made: usize,
    reads: Vec<usize>,
}

impl Life {
    /// The last node that has to do with it.
    fn last(&self) -> usize {
        self.reads.last().copied().unwrap_or(self.made)
    }
}

impl Lowered {
    pub(super) fn new(source: Source, nodes: Vec<Node>) -> Lowered {
        Lowered { source, repeated: vec![false; nodes.len()], nodes }
    }

    /// This, and ways to run the same in less memory. What they really take depends on scratch too
    /// and on how well things fit together, so they have to be tried.
    pub(super) fn ways(self) -> Vec<Lowered> {
        let mut all = vec![self];
        for patience in [&[false][..], &[true], &[false, true]] {
            let mut now = 0;
            for _ in 0..ROUNDS {
                let Some(lowered) = all[now].lower_peak(patience) else { break };
                now = all.len();
                all.push(lowered);
            }
        }
        all
    }

    /// The same with the least held where most is held now, if less can be.
    fn lower_peak(&self, patience: &[bool]) -> Option<Lowered> {
        let lives = self.lives();
        let alive = self.alive(&lives);
        let (most, turn) = peak(&alive, 0..alive.len());
        let held = Held::new(self, lives, turn);
        let ways = SEGMENTS.iter().flat_map(|n| patience.iter().map(|p| (*n, *p)));
        let tried = ways.filter_map(|(segments, patient)| self.repeat(&held, segments, patient));
        tried.min_by_key(|(_, most)| *most).filter(|(_, less)| *less < most).map(|(lowered, _)| lowered)
    }

    /// The life of every value that takes temporary memory.
    fn lives(&self) -> BTreeMap<ValueId, Life> {
        let mut lives = BTreeMap::new();
        let mut flat = HashSet::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for read in node.reads.iter().flatten().map(|r| self.source.root(*r)) {
                lives.entry(read).and_modify(|life: &mut Life| life.reads.push(at));
            }
            let roots = node.writes.iter().map(|w| self.source.root(*w));
            if matches!(node.body, Body::Flatten(..)) {
                // Its pieces live in the flat buffer.
                flat.extend(node.reads.iter().flatten().map(|r| self.source.root(*r)));
                continue;
            }
            for root in roots.filter(|r| matches!(self.source.values[*r].place, Place::Node(_))) {
                let len = self.source.values[root].len();
                lives.entry(root).or_insert(Life { len, made: at, reads: Vec::new() });
            }
        }
        // Outputs are there for ever, whatever else happens.
        flat.extend(self.source.outputs.iter().map(|(_, id)| self.source.root(*id)));
        lives.retain(|root, _| !flat.contains(root));
        lives
    }

    /// Elements alive at every node.
    fn alive(&self, lives: &BTreeMap<ValueId, Life>) -> Vec<usize> {
        let (mut begin, mut end) = (vec![0; self.nodes.len()], vec![0; self.nodes.len() + 1]);
        for life in lives.values() {
            begin[life.made] += life.len;
            end[life.last() + 1] += life.len;
        }
        let mut alive = 0;
        let step = |(begin, end)| {
            alive = alive + begin - end;
            alive
        };
        std::iter::zip(begin, end).map(step).collect()
    }

    /// Whether the node at `from` would do the same at `to`, and nothing besides.
    fn repeatable(&self, from: usize, to: usize, updates: &HashMap<usize, Vec<usize>>) -> bool {
        let node = &self.nodes[from];
        let place = |id: ValueId| &self.source.values[self.source.root(id)].place;
        let fresh = |id: &ValueId| match place(*id) {
            Place::State { state, .. } => {
                !updates.get(state).is_some_and(|at| at.iter().any(|at| (from..to).contains(at)))
            }
            _ => true,
        };
        matches!(node.body, Body::Kernel(_))
            && !self.repeated[from]
            && accesses(node).iter().all(|access| *access == Access::Write)
            && node.writes.iter().all(|w| matches!(place(*w), Place::Node(_)))
            && node.reads.iter().flatten().all(fresh)
    }

    /// The nodes that update each state.
    fn updates(&self) -> HashMap<usize, Vec<usize>> {
        let mut updates: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for write in &node.writes {
                if let Place::State { state, .. } = self.source.values[self.source.root(*write)].place {
                    updates.entry(state).or_default().push(at);
                }
            }
        }
        updates
    }

    /// Divides what is held into `segments` and repeats all but the last; gives the most that is
    /// then alive from the first value dropped to its last use. `None` where nothing is there to
    /// repeat. A segment comes back where some of it is wanted first; a `patient` one rather keeps
    /// what is wanted soon, where that spares the rest from coming back for it.
    fn repeat(&self, held: &Held, segments: usize, patient: bool) -> Option<(Lowered, usize)> {
        let Held { turn, lives, updates, waiting, .. } = held;
        let (turn, cuts) = (*turn, held.cuts(segments));
        // What later segments start from.
        let mut kept: HashSet<ValueId> = HashSet::new();
        let mut chosen = Vec::new();
        for range in cuts.windows(2).rev().skip(1).map(|c| c[0]..c[1]) {
            let waiting = waiting.iter().filter(|id| range.contains(&lives[id].made) && !kept.contains(id));
            let late = |life: &Life| life.reads.iter().copied().find(|r| *r >= turn);
            let dropped: Vec<(ValueId, usize)> = waiting.filter_map(|id| Some((*id, late(&lives[id])?))).collect();
            let from = |at: usize| dropped.iter().filter(move |(_, late)| *late >= at);
            let spared = |at: usize| (at - turn) * from(at).map(|(id, _)| lives[id].len).sum::<usize>();
            let worth = |at: usize| if patient { spared(at) } else { 0 };
            let Some(at) = dropped.iter().map(|(_, late)| *late).max_by_key(|at| (worth(*at), Reverse(*at))) else {
                continue;
            };
            let same = |id: &ValueId| self.repeatable(lives[id].made, at, updates);
            let dropped: HashSet<ValueId> = from(at).map(|(id, _)| *id).filter(same).collect();
            let mut again = BTreeSet::new();
            let mut wanted: Vec<ValueId> = dropped.iter().copied().collect();
            while let Some(life) = wanted.pop().map(|id| &lives[&id]) {
                if !again.insert(life.made) {
                    continue;
                }
                for read in self.nodes[life.made].reads.iter().flatten().map(|r| self.source.root(*r)) {
                    match lives.get(&read) {
                        Some(life) if kept.contains(&read) || !range.contains(&life.made) => _ = kept.insert(read),
                        Some(life) if !self.repeatable(life.made, at, updates) => _ = kept.insert(read),
                        Some(_) => wanted.push(read),
                        None => {}
                    }
                }
            }
            chosen.push(Segment { at, again, dropped });
        }
        let first = chosen.iter().flat_map(|s| &s.dropped).map(|id| lives[id].made).min()?;
        let last = chosen.iter().flat_map(|s| &s.dropped).map(|id| lives[id].last()).max()?;
        let (lowered, moved) = self.rewrite(&chosen, &kept);
        let alive = lowered.alive(&lowered.lives());
        let (peak, _) = peak(&alive, moved[first]..moved[last] + 1);
        Some((lowered, peak))
    }

    /// The nodes with every segment's repeated where it is wanted first, and where each has gone.
    fn rewrite(&self, segments: &[Segment], kept: &HashSet<ValueId>) -> (Lowered, Vec<usize>) {
        let mut new = Lowered { source: self.source.clone(), nodes: Vec::new(), repeated: Vec::new() };
        // Where readers from here on find what was dropped.
        let mut instead: HashMap<ValueId, ValueId> = HashMap::new();
        let mut moved = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for segment in segments.iter().filter(|s| s.at == at) {
                let mut made = HashMap::new();
                for &from in &segment.again {
                    let mut node = self.nodes[from].clone();
                    node.reads.iter_mut().flatten().for_each(|read| *read = new.renamed(*read, &made));
                    for write in &mut node.writes {
                        let value = Value { shape: self.source.values[*write].shape.clone(), place: Place::Node(from) };
                        new.source.values.push(value);
                        let id = new.source.values.len() - 1;
                        if !kept.contains(write) {
                            made.insert(*write, id);
                        }
                        *write = id;
                    }
                    new.push(node, true);
                }
                instead.extend(made.into_iter().filter(|(old, _)| segment.dropped.contains(old)));
            }
            let mut node = node.clone();
            node.reads.iter_mut().flatten().for_each(|read| *read = new.renamed(*read, &instead));
            moved.push(new.nodes.len());
            new.push(node, self.repeated[at] || segments.iter().any(|s| s.again.contains(&at)));
        }
        (new, moved)
    }

    fn push(&mut self, node: Node, repeated: bool) {
        self.nodes.push(node);
        self.repeated.push(repeated);
    }

    /// `read`, or what has come to stand for its elements.
    fn renamed(&mut self, read: ValueId, names: &HashMap<ValueId, ValueId>) -> ValueId {
        let root = self.source.root(read);
        match names.get(&root) {
            None => read,
            Some(new) if root == read => *new,
            Some(new) => {
                let value = Value { shape: self.source.values[read].shape.clone(), place: Place::Alias(*new) };
                self.source.values.push(value);
                self.source.values.len() - 1
            }
        }
    }
}

/// What is held where most is.
struct Held {
    /// The node at which most is held.
    turn: usize,
    lives: BTreeMap<ValueId, Life>,
    updates: HashMap<usize, Vec<usize>>,
    /// What is made before the turn, wanted after it, and could be made again there.
    waiting: Vec<ValueId>,
    /// For every node before the turn: how much of what waits is made before it, and how much goes
    /// from before it to others before the turn.
    sizes: Vec<(usize, usize)>,
}

impl Held {
    fn new(lowered: &Lowered, lives: BTreeMap<ValueId, Life>, turn: usize) -> Held {
        let updates = lowered.updates();
        let waits =
            |life: &Life| life.made < turn && life.last() >= turn && lowered.repeatable(life.made, turn, &updates);
        let (mut made, mut begin, mut end) = (vec![0; turn + 1], vec![0; turn + 1], vec![0; turn + 1]);
        let mut waiting = Vec::new();
        for (id, life) in lives.iter().filter(|(_, life)| life.made < turn) {
            if waits(life) {
                waiting.push(*id);
                made[life.made + 1] += life.len;
            }
            if let Some(last) = life.reads.iter().rfind(|r| **r < turn) {
                begin[life.made + 1] += life.len;
                end[last + 1] += life.len;
            }
        }
        let (mut before, mut crossing) = (0, 0);
        let size = |cut: usize| {
            before += made[cut];
            crossing = crossing + begin[cut] - end[cut];
            (before, crossing)
        };
        let sizes = (0..turn).map(size).collect();
        Held { turn, lives, updates, waiting, sizes }
    }

    /// Where segments begin and end, so that each makes about as much of what waits, and little
    /// goes from one to the next.
    fn cuts(&self, segments: usize) -> Vec<usize> {
        let total: usize = self.waiting.iter().map(|id| self.lives[id].len).sum();
        let mut cuts = vec![0];
        for k in 1..segments {
            // Within half a segment of where it should be.
            let (wanted, slack) = (total * k / segments, total / segments / 2);
            let near = cuts[cuts.len() - 1] + 1..self.turn;
            let near = near.filter(|cut| self.sizes[*cut].0.abs_diff(wanted) <= slack);
            cuts.extend(near.min_by_key(|cut| (self.sizes[*cut].1, self.sizes[*cut].0.abs_diff(wanted))));
        }
        cuts.push(self.turn);
        cuts
    }
}

/// A part of what comes before the turn.
struct Segment {
    /// The node before which it is repeated.
    at: usize,
    /// The nodes to repeat.
    again: BTreeSet<usize>,
    /// Values that need not wait any more.
    dropped: HashSet<ValueId>,
}

/// The first of the largest of `alive` in `range`, and where it is.
fn peak(alive: &[usize], range: Range<usize>) -> (usize, usize) {
    range.map(|at| (alive[at], at)).max_by_key(|(alive, at)| (*alive, Reverse(*at))).unwrap_or_default()
}
