//! Activations with their channels last: on a GPU products then read them as they lie.
//!
//! Variants for a GPU multiply fours of channels, which [`crate::kernels`] packs from planes first. An
//! activation needs no packing where all that write or read it can have its channels last. So the
//! planner asks for all of them, takes back what some kernel cannot do, until nothing is left to take
//! back, and plans with the kernels that they have become.

use super::{Body, Node, Place, Source, ValueId};
use crate::kernels::{Caps, ChannelsLast, Class, Images, Kernel};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The nodes with kernels that have the channels of activations last, wherever that can be.
pub(super) fn relay(source: &Source, nodes: Vec<Node>, caps: &Caps) -> Vec<Node> {
    if caps.class != Class::Gpu {
        return nodes;
    }
    let mut last = asked(source, &nodes);
    loop {
        let refused: Vec<ValueId> = nodes.iter().flat_map(|node| refused(source, node, &last, caps)).collect();
        if refused.is_empty() {
            break;
        }
        for root in refused {
            last.remove(&root);
        }
    }
    let relaid = |mut node: Node| {
        if let Some(ChannelsLast { kernel, .. }) =
            kernel_of(&node).and_then(|k| k.channels_last(&operands(source, &node, k, &last)))
        {
            node.body = Body::Kernel(kernel);
        }
        node
    };
    nodes.into_iter().map(relaid).collect()
}

fn kernel_of(node: &Node) -> Option<&Arc<dyn Kernel>> {
    if let Body::Kernel(kernel) = &node.body { Some(kernel) } else { None }
}

/// What a tensor of this shape is as images; none where there is nothing to reorder.
fn images(shape: &[usize]) -> Option<Images> {
    let [_, channels, pixels @ ..] = shape else { return None };
    let plane: usize = pixels.iter().product();
    let fours = *channels > 0 && channels.is_multiple_of(4);
    (fours && plane > 1).then_some(Images { channels: *channels as u32, plane: plane as u32 })
}

/// Every activation that could be asked for: images that nobody outside of the program knows, and
/// nobody inside of it under another shape.
fn asked(source: &Source, nodes: &[Node]) -> HashMap<ValueId, Images> {
    let mut last = HashMap::new();
    let mut known: HashSet<ValueId> = source.outputs.iter().map(|(_, id)| source.root(*id)).collect();
    known.extend(source.ties.iter().flatten().map(|id| source.root(*id)));
    for id in nodes.iter().flat_map(|node| node.reads.iter().flatten().chain(&node.writes)) {
        let root = source.root(*id);
        let own = images(&source.values[*id].shape);
        let inside = matches!(source.values[root].place, Place::Node(_)) && !known.contains(&root);
        match own {
            Some(own) if inside && *last.entry(root).or_insert(own) == own => {}
            _ => {
                known.insert(root);
                last.remove(&root);
            }
        }
    }
    last
}

/// A kernel's operands, reads before writes, as far as they are asked for.
fn operands(
    source: &Source,
    node: &Node,
    kernel: &Arc<dyn Kernel>,
    last: &HashMap<ValueId, Images>,
) -> Vec<Option<Images>> {
    let of = |id: &ValueId| last.get(&source.root(*id)).copied();
    let mut all: Vec<_> = node.reads.iter().map(|read| read.as_ref().and_then(of)).collect();
    all.resize(kernel.signature().reads.len(), None);
    all.extend(node.writes.iter().map(of));
    all.resize(kernel.signature().reads.len() + kernel.signature().writes.len(), None);
    all
}

/// The operands of a node that are asked for and that it cannot have so.
fn refused(source: &Source, node: &Node, last: &HashMap<ValueId, Images>, caps: &Caps) -> Vec<ValueId> {
    let roots = |ids: Vec<&ValueId>| -> Vec<ValueId> {
        ids.into_iter().map(|id| source.root(*id)).filter(|root| last.contains_key(root)).collect()
    };
    let Some(kernel) = kernel_of(node) else { return roots(node.reads.iter().flatten().chain(&node.writes).collect()) };
    let asked = operands(source, node, kernel, last);
    if asked.iter().all(Option::is_none) {
        return Vec::new();
    }
    let can = kernel.channels_last(&asked).filter(|can| !can.kernel.variants(caps).is_empty());
    let takes = |i: usize| can.as_ref().is_some_and(|can| can.operands[i]);
    let reads = node.reads.iter().enumerate().filter_map(|(i, id)| id.as_ref().filter(|_| !takes(i)));
    let first = kernel.signature().reads.len();
    let writes = node.writes.iter().enumerate().filter(|(i, _)| !takes(first + i)).map(|(_, id)| id);
    roots(reads.chain(writes).collect())
}
