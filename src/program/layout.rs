//! Layout: where every value lives.
//!
//! States and inputs have buffers of their own. The pieces of a flat buffer are written there by
//! their producers wherever no launch would then read and write one buffer, which GPU APIs refuse
//! even for disjoint ranges. Everything else shares buffers by liveness.

use super::packs::{self, Keep};
use super::plan::{accesses, copy};
use super::share::share;
use super::statistics;
use super::sums;
use super::{
    ALIGN, Body, Buffer, Launch, Node, Options, Place, PlanError, Program, Purpose, Source, Value, ValueId, View,
};
use crate::kernels::{Access, Kernel};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

struct Layout {
    source: Source,
    buffers: Vec<Buffer>,
    states: HashMap<usize, usize>,
    /// Views of root values.
    views: HashMap<ValueId, View>,
    /// Pieces of root values that are read where they lie, and their first elements.
    pieces: HashMap<ValueId, (ValueId, usize)>,
    inputs: Vec<(String, View)>,
}

/// Part of a program's memory that keeping all copies for the backward pass may take in addition.
const ROOM: f64 = 0.5;

/// Places every value and makes the launches.
pub(super) fn place(source: &Source, nodes: Vec<Node>, options: &Options) -> Result<Program, PlanError> {
    let program = launches(source, nodes, options)?;
    if program.launches.iter().all(|launch| launch.scratch.is_empty()) {
        return Ok(placed(program, Keep::None, options));
    }
    let with = |keep| placed(program.clone(), keep, options);
    let (all, lasting) = (with(Keep::All), with(Keep::Lasting));
    let fits = all.totals().memory as f64 <= (1.0 + ROOM) * lasting.totals().memory as f64;
    Ok(if fits { all } else { lasting })
}

/// The same in as little memory as may be.
pub(super) fn place_tightly(source: &Source, nodes: Vec<Node>, options: &Options) -> Result<Program, PlanError> {
    Ok(placed(launches(source, nodes, options)?, Keep::None, options))
}

/// Gives temporaries their places.
fn placed(mut program: Program, keep: Keep, options: &Options) -> Program {
    packs::once(&mut program, keep);
    if keep != Keep::None {
        packs::together(&mut program, options);
        sums::together(&mut program, options);
    }
    if options.fuse {
        statistics::in_front(&mut program);
    }
    let temporaries = program.buffers.iter().filter(|buffer| buffer.purpose == Purpose::Temp);
    program.unshared = temporaries.map(|buffer| buffer.len).sum();
    if options.reuse {
        share(&mut program);
    }
    program
}

/// The launches, with a buffer to every temporary.
fn launches(source: &Source, nodes: Vec<Node>, options: &Options) -> Result<Program, PlanError> {
    let mut layout = Layout {
        source: source.clone(),
        buffers: Vec::new(),
        states: HashMap::new(),
        views: HashMap::new(),
        pieces: HashMap::new(),
        inputs: Vec::new(),
    };
    let nodes = if options.fuse { layout.leave_pieces(nodes) } else { nodes };
    let nodes = layout.flatten(nodes);
    let source = layout.source.clone();
    let mut launches = Vec::new();
    for node in &nodes {
        let Body::Kernel(kernel) = &node.body else { continue };
        let reads: Vec<Option<View>> = node.reads.iter().map(|r| r.map(|r| layout.view(r))).collect();
        let mut writes = Vec::new();
        for write in &node.writes {
            let root = source.root(*write);
            if !layout.views.contains_key(&root) && matches!(source.values[root].place, Place::Node(_)) {
                let len = source.values[root].len();
                let buffer = layout.add(len, Purpose::Temp);
                layout.views.insert(root, View { buffer, offset: 0, len });
            }
            writes.push(layout.view(*write));
        }
        if let Some(pieces) = pieces(kernel.as_ref(), &reads, &writes, options) {
            for (kernel, reads, writes) in pieces {
                let recipe = options.recipe(kernel.as_ref())?;
                launches.push(Launch { kernel, recipe, reads, writes, scratch: Vec::new(), scope: node.scope.clone() });
            }
            continue;
        }
        let recipe = options.recipe(kernel.as_ref())?;
        let mut scratch = Vec::new();
        for &len in recipe.iter().flat_map(|r| &r.scratch) {
            let buffer = layout.add(len, Purpose::Temp);
            scratch.push(View { buffer, offset: 0, len });
        }
        let written = |v: &View| writes.iter().chain(&scratch).any(|w: &View| w.buffer == v.buffer);
        if reads.iter().flatten().any(written) {
            return Err(PlanError::Aliased { kernel: kernel.signature().name, label: kernel.label() });
        }
        launches.push(Launch { kernel: kernel.clone(), recipe, reads, writes, scratch, scope: node.scope.clone() });
    }
    let outputs = source.outputs.iter().map(|(name, id)| (name.clone(), layout.view(*id))).collect();
    Ok(Program { launches, buffers: layout.buffers, inputs: layout.inputs, outputs, unshared: 0 })
}

/// A kernel with what it reads and writes.
type Piece = (Arc<dyn Kernel>, Vec<Option<View>>, Vec<View>);

/// A launch on operands that the device cannot bind whole, piece by piece; `None` where it can, or
/// where the kernel has no parts.
fn pieces(kernel: &dyn Kernel, reads: &[Option<View>], writes: &[View], options: &Options) -> Option<Vec<Piece>> {
    let whole = writes.iter().map(|view| view.len).max()?;
    // Bindings start at multiples of 64 words.
    let most = (options.caps?.max_binding_bytes / 4) as usize / 64 * 64;
    if whole <= most {
        return None;
    }
    let piece = |start: usize| {
        let len = most.min(whole - start);
        let part = |view: &View| match view.len == whole {
            true => View { offset: view.offset + start, len, ..*view },
            false => *view,
        };
        let reads = reads.iter().map(|read| read.as_ref().map(part)).collect();
        Some((kernel.part(len as u32)?, reads, writes.iter().map(part).collect()))
    };
    (0..whole).step_by(most).map(piece).collect()
}

impl Layout {
    fn add(&mut self, len: usize, purpose: Purpose) -> usize {
        self.buffers.push(Buffer { len, purpose });
        self.buffers.len() - 1
    }

    /// The value whose elements a value's are.
    fn owner(&self, id: ValueId) -> ValueId {
        let mut root = self.source.root(id);
        while let Some((of, _)) = self.pieces.get(&root) {
            root = *of;
        }
        root
    }

    /// Takes out nodes that copy neighbouring elements to where they would be read, if these lie where
    /// a device can bind them. What is laid into a flat buffer, and what the host reads, has its own
    /// place; states may change before their pieces are read.
    fn leave_pieces(&mut self, nodes: Vec<Node>) -> Vec<Node> {
        let source = self.source.clone();
        let flat = nodes.iter().filter(|node| matches!(node.body, Body::Flatten(..)));
        let mut own: HashSet<ValueId> =
            flat.flat_map(|node| node.reads.iter().flatten()).map(|r| source.root(*r)).collect();
        own.extend(source.outputs.iter().map(|(_, id)| source.root(*id)));
        let mut stays = |node: &Node| {
            let (Body::Kernel(kernel), &[Some(read)], &[write]) = (&node.body, &node.reads[..], &node.writes[..])
            else {
                return true;
            };
            let [from, to] = [read, write].map(|id| source.root(id));
            let is_made = |id: ValueId| matches!(source.values[id].place, Place::Node(_));
            match kernel.piece() {
                Some(first) if first.is_multiple_of(ALIGN) && is_made(from) && is_made(to) && !own.contains(&to) => {
                    self.pieces.insert(to, (from, first));
                    false
                }
                _ => true,
            }
        };
        nodes.into_iter().filter(|node| stays(node)).collect()
    }

    /// The view of a value; states and inputs get their buffers when first seen.
    fn view(&mut self, id: ValueId) -> View {
        let root = self.source.root(id);
        let value = self.source.values[root].clone();
        let len = value.len();
        if let Some(&(of, first)) = self.pieces.get(&root) {
            let whole = self.view(of);
            return View { offset: whole.offset + first, len, ..whole };
        }
        match &value.place {
            Place::State { state, offset } => {
                let decl = self.source.states[*state].clone();
                let known = self.states.get(state).copied();
                let buffer = known.unwrap_or_else(|| self.add(decl.len, Purpose::State(decl.name)));
                self.states.insert(*state, buffer);
                View { buffer, offset: *offset, len }
            }
            Place::Input(name) => {
                if let Some(view) = self.views.get(&root) {
                    return *view;
                }
                let view = View { buffer: self.add(len, Purpose::Input(name.clone())), offset: 0, len };
                self.inputs.push((name.clone(), view));
                self.views.insert(root, view);
                view
            }
            // Nodes run in the order they were built, so a value is written before it is read.
            _ => *self.views.get(&root).expect("a value is written before it is read"),
        }
    }

    /// Gives every flat buffer its place, has producers write their pieces there, and turns what
    /// is left of the flatten nodes into copies.
    fn flatten(&mut self, nodes: Vec<Node>) -> Vec<Node> {
        let source = self.source.clone();
        let mut producer = HashMap::new();
        let mut readers: HashMap<ValueId, Vec<usize>> = HashMap::new();
        for (at, node) in nodes.iter().enumerate() {
            if !matches!(node.body, Body::Flatten(..)) {
                for (write, access) in std::iter::zip(&node.writes, accesses(node)) {
                    if access == Access::Write {
                        producer.insert(source.root(*write), at);
                    }
                }
                for read in node.reads.iter().flatten() {
                    readers.entry(self.owner(*read)).or_default().push(at);
                }
            }
        }
        let mut out = Vec::new();
        // Pieces, length, the last node that reads, and the buffer.
        type Key = Vec<(usize, usize)>;
        let mut gapped: Vec<(Key, usize, usize, usize)> = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let Body::Flatten(offsets, purpose) = &node.body else {
                out.push(node.clone());
                continue;
            };
            let whole = source.root(node.writes[0]);
            let len = source.values[whole].len();
            // A buffer that others use in between would bring something else than zeros into gaps,
            // unless theirs are the same.
            let filled: usize = node.reads.iter().flatten().map(|r| source.values[*r].len()).sum();
            let flat = match purpose {
                Purpose::Temp if filled < len => {
                    let roots: Vec<ValueId> = node.reads.iter().flatten().map(|r| source.root(*r)).collect();
                    let key: Key =
                        std::iter::zip(offsets, &roots).map(|(o, r)| (*o, source.values[*r].len())).collect();
                    let first = roots.iter().filter_map(|r| producer.get(r).copied()).min().unwrap_or(at).min(at);
                    let read = roots.iter().chain([&whole]).filter_map(|r| readers.get(r)?.last().copied());
                    let last = read.max().unwrap_or(at).max(at);
                    let free = gapped.iter_mut().find(|(k, l, until, _)| *k == key && *l == len && *until < first);
                    match free {
                        Some((.., until, flat)) => {
                            *until = last;
                            *flat
                        }
                        None => {
                            let flat = self.add(len, Purpose::Flat);
                            gapped.push((key, len, last, flat));
                            flat
                        }
                    }
                }
                purpose => self.add(len, purpose.clone()),
            };
            self.views.insert(whole, View { buffer: flat, offset: 0, len });
            for (read, &offset) in std::iter::zip(node.reads.iter().flatten(), offsets) {
                let root = source.root(*read);
                let len = source.values[root].len();
                let in_flat = |layout: &Self, id: &ValueId| {
                    layout.views.get(&layout.owner(*id)).is_some_and(|v| v.buffer == flat)
                };
                let clash = |layout: &Self, at: usize, node: &Node| {
                    let writes_here = producer.get(&root) == Some(&at);
                    (writes_here && node.reads.iter().flatten().any(|r| in_flat(layout, r)))
                        || (!writes_here && node.writes.iter().any(|w| in_flat(layout, w)))
                };
                let near = producer.get(&root).into_iter().chain(readers.get(&root).into_iter().flatten());
                // A value wanted at two places is written elsewhere and copied to both.
                let once = node.reads.iter().flatten().filter(|r| source.root(**r) == root).count() == 1;
                let direct = once
                    && matches!(source.values[root].place, Place::Node(_))
                    && producer.contains_key(&root)
                    && !self.views.contains_key(&root)
                    && !near.into_iter().any(|at| clash(self, *at, &nodes[*at]));
                let view = View { buffer: flat, offset, len };
                if direct {
                    self.views.insert(root, view);
                } else {
                    out.push(self.piece(*read, view, node.scope.clone()));
                }
            }
        }
        out
    }

    /// A launch that copies a value into a piece of a flat buffer.
    fn piece(&mut self, read: ValueId, view: View, scope: Arc<str>) -> Node {
        let id = self.source.values.len();
        self.source.values.push(Value { shape: vec![view.len], place: Place::Node(usize::MAX) });
        self.views.insert(id, view);
        Node { body: Body::Kernel(copy(view.len)), reads: vec![Some(read)], writes: vec![id], scope }
    }
}
