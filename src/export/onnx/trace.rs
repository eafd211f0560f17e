//! A function's graph for any number of images.
//!
//! A graph is built for a number of images. Building costs nothing, so it is built for three, and
//! every extent is either the same in all of them or grows with that number.

use super::refuse;
use crate::export::ExportError;
use crate::graph::{Record, Standard};
use crate::program::{Place, Source, ValueId};
use crate::sample::Function;
use crate::train::{Session, SessionError};
use std::collections::HashSet;
use std::sync::Arc;

/// The numbers of images that graphs are built for. What depends on their divisors, such as groups
/// of images, is another thing for a prime than for the others.
const BATCHES: [usize; 3] = [12, 13, 25];

/// What parts of a model are called that have no name.
pub(super) const UNNAMED: &str = "-";

/// An extent of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Extent {
    /// A number.
    Fixed(usize),
    /// So many for each image.
    Batch(usize),
}

/// What an op makes of values.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What it does.
    pub standard: Standard,
    /// The op's name, for refusals.
    pub name: &'static str,
    /// The values it is given.
    pub inputs: Vec<Option<ValueId>>,
    /// What it makes.
    pub output: ValueId,
    /// What it makes beside it.
    pub others: Vec<ValueId>,
    /// Whether a sum's factor is for one image, and divided by the number of images.
    pub per_image: bool,
    /// Which part of the model it belongs to.
    pub scope: Arc<str>,
}

/// A function of a model, for any number of images.
pub(super) struct Trace {
    /// The values, inputs, states and outputs, as they are for some number of images.
    pub source: Source,
    /// The shape of each value.
    pub shapes: Vec<Vec<Extent>>,
    /// What leads to the outputs, in order.
    pub steps: Vec<Step>,
    /// The values that are read.
    pub read: HashSet<ValueId>,
}

impl Trace {
    /// That of a model's function.
    ///
    /// # Errors
    /// An op that cannot be said, or a graph that depends on the number of images in other ways
    /// than by extents.
    pub(super) fn new(function: Function, session: &Session) -> Result<Trace, ExportError> {
        let (mut built, mut clock) = (Vec::new(), String::new());
        for n in BATCHES {
            let graph = function.graph(session, n)?;
            graph.noise().clock.clone_into(&mut clock);
            built.push((graph.finish().map_err(SessionError::from)?, graph.records()));
        }
        let [(source, records), others @ ..] = built.as_slice() else { return Err(refuse(function, "it is empty")) };
        if let Some(node) = source.nodes.iter().find(|node| node.writes.iter().any(|id| state(source, *id).is_some())) {
            return Err(refuse(function, placed("an update of its weights", &node.scope)));
        }
        let alike = |(other, its): &(Source, Vec<Record>)| {
            let same = std::iter::zip(records, its).all(|(a, b)| a.inputs == b.inputs && a.outputs == b.outputs);
            same && its.len() == records.len() && other.values.len() == source.values.len()
        };
        if !others.iter().all(alike) {
            return Err(refuse(function, "what it does depends on how many images there are"));
        }
        let shape = |id: ValueId| {
            let of = |k: usize| built[k].0.values[id].shape.as_slice();
            let ranks_agree = of(1).len() == of(0).len() && of(2).len() == of(0).len();
            let extents = |axis: usize| extent([0, 1, 2].map(|k| of(k)[axis]));
            ranks_agree.then(|| (0..of(0).len()).map(extents).collect::<Option<Vec<_>>>()).flatten()
        };
        let mut needed: HashSet<ValueId> = source.outputs.iter().map(|(_, id)| *id).collect();
        let mut steps = Vec::new();
        for (at, record) in records.iter().enumerate().rev() {
            let is_wanted = record.outputs.iter().any(|id| needed.contains(id));
            let Some((&output, beside)) = record.outputs.split_first().filter(|_| is_wanted) else { continue };
            let (op, scope) = (record.op.name(), &record.scope);
            let Some(standard) = record.op.standard() else {
                let by_clock = record.inputs.iter().flatten().any(|id| state(source, *id) == Some(&clock));
                let why = if by_clock { BY_CLOCK } else { "has no words there" };
                return Err(refuse(function, format!("{} {why}", placed(op, scope))));
            };
            let its = |k: usize| if k == 0 { Some(standard.clone()) } else { others[k - 1].1[at].op.standard() };
            let Some((standard, per_image)) = of_any_number([its(0), its(1), its(2)]) else {
                return Err(refuse(function, format!("{} depends on how many images there are", placed(op, scope))));
            };
            let (inputs, scope, others) = (record.inputs.clone(), scope.clone(), beside.to_vec());
            let step = Step { standard, name: op, inputs, output, others, per_image, scope };
            needed.extend(step.reads());
            steps.push(step);
        }
        steps.reverse();
        let mut shapes = Vec::with_capacity(source.values.len());
        for id in 0..source.values.len() {
            let shape = shape(id);
            if shape.is_none() && needed.contains(&id) {
                let step = steps.iter().find(|step| step.output == id || step.others.contains(&id));
                let what = step.map_or("an input".into(), |step| placed(step.name, &step.scope));
                return Err(refuse(function, format!("{what} has extents that do not grow with the images")));
            }
            shapes.push(shape.unwrap_or_default());
        }
        Ok(Trace { source: source.clone(), shapes, steps, read: needed })
    }

    /// What the function is given, by name. An input that nothing reads is none.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, ValueId)> {
        self.source.values.iter().enumerate().filter_map(|(id, value)| match &value.place {
            Place::Input(name) if self.read.contains(&id) => Some((name.as_str(), id)),
            _ => None,
        })
    }

    /// What it makes, by name.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (&str, ValueId)> {
        self.source.outputs.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// The names of what it is given and of what it makes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.inputs().chain(self.outputs()).map(|(name, _)| name)
    }
}

impl Step {
    /// The values that it reads. A memory's inputs are followed by the states that it leaves, which
    /// its gradient takes.
    pub(super) fn reads(&self) -> impl Iterator<Item = ValueId> {
        let most = if matches!(self.standard, Standard::Memory { .. }) { 2 } else { self.inputs.len() };
        self.inputs.iter().take(most).flatten().copied()
    }
}

/// An op and the part of the model that it is in.
pub(super) fn placed(op: &str, scope: &str) -> String {
    match scope {
        UNNAMED => op.into(),
        _ => format!("{op} in {scope}"),
    }
}

/// What is said of an op that reads the count of training steps.
const BY_CLOCK: &str = "follows the steps of training (random numbers, schedules), and a graph there has none";

/// The state that a value is a part of.
fn state(source: &Source, id: ValueId) -> Option<&str> {
    match source.values[source.root(id)].place {
        Place::State { state, .. } => Some(&source.states[state].name),
        _ => None,
    }
}

/// What an op is for any number of images that is this for [`BATCHES`] images, and whether it is a
/// sum that is divided by that number.
fn of_any_number(seen: [Option<Standard>; 3]) -> Option<(Standard, bool)> {
    match seen {
        [Some(a), b, c] if b.as_ref() == Some(&a) && c.as_ref() == Some(&a) => Some((a, false)),
        [Some(Standard::Sum(a)), Some(Standard::Sum(b)), Some(Standard::Sum(c))] => {
            let whole = std::iter::zip([a, b, c], BATCHES).map(|(scale, n)| f64::from(scale) * n as f64);
            let whole: Vec<f64> = whole.collect();
            let same =
                whole.iter().all(|scale| (scale - whole[0]).abs() <= whole[0].abs() * 2.0 * f64::from(f32::EPSILON));
            same.then_some((Standard::Sum(whole[0] as f32), true))
        }
        _ => None,
    }
}

/// What an extent is that these are for [`BATCHES`] images.
fn extent(seen: [usize; 3]) -> Option<Extent> {
    if seen.iter().all(|e| *e == seen[0]) {
        return Some(Extent::Fixed(seen[0]));
    }
    let each = seen[0] / BATCHES[0];
    std::iter::zip(seen, BATCHES).all(|(e, n)| e == each * n).then_some(Extent::Batch(each))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_fixed_or_grow_with_the_images() {
        assert_eq!(extent([7; 3]), Some(Extent::Fixed(7)));
        assert_eq!(extent(BATCHES), Some(Extent::Batch(1)));
        assert_eq!(extent(BATCHES.map(|n| 12 * n)), Some(Extent::Batch(12)));
        assert_eq!(extent(BATCHES.map(|n| n + 1)), None);
        assert_eq!(extent(BATCHES.map(|n| n * n)), None);
    }
}
