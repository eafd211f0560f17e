//! The parameters and running statistics that a function reads, as initialisers.

use super::layers::mask;
use super::proto::{DataType, TensorProto};
use super::refuse;
use super::trace::Trace;
use crate::export::ExportError;
use crate::graph::Standard;
use crate::kernels::conv::Conv;
use crate::program::{Place, ValueId};
use crate::sample::Function;
use crate::train::Session;
use std::collections::{HashMap, HashSet};

/// A part of a network's states.
struct Weight {
    value: ValueId,
    name: String,
    shape: Vec<usize>,
    /// The state's number in the trace's source, and the part's first element.
    at: [usize; 2],
    /// The mask of all convolutions that read it, if they have one and nothing else reads it.
    mask: Option<Conv>,
}

/// What a function reads of a model's states.
pub(super) struct Weights(Vec<Weight>);

impl Weights {
    /// Those of a trace, with PyTorch's names, and the network's before it where an input or output
    /// is called so.
    ///
    /// # Errors
    /// A state that is no parameter or statistic.
    pub(super) fn new(trace: &Trace, function: Function, session: &Session) -> Result<Weights, ExportError> {
        let mut taken: HashSet<String> = trace.names().map(String::from).collect();
        let mut all = Vec::new();
        for (value, about) in trace.source.values.iter().enumerate().filter(|(id, _)| trace.read.contains(id)) {
            let Place::State { state, offset } = about.place else { continue };
            let known = &trace.source.states[state].name;
            let found = session.model.networks().into_iter().find_map(|net| {
                let lists = [(net.params_state(), &net.params), (net.stats_state(), &net.stats)];
                let (_, infos) = lists.into_iter().find(|(name, _)| name == known)?;
                let is_it = |info: &&crate::nn::ParamInfo| info.offset == offset && info.shape == about.shape;
                infos.iter().find(is_it).map(|info| (net.name.clone(), info.name.clone()))
            });
            let Some((network, name)) = found else {
                return Err(refuse(function, format!("it reads \"{known}\", which is no parameter")));
            };
            let name = if taken.contains(&name) { format!("{network}.{name}") } else { name };
            if !taken.insert(name.clone()) {
                return Err(refuse(function, format!("two of its values are called \"{name}\"")));
            }
            all.push(Weight { value, name, shape: about.shape.clone(), at: [state, offset], mask: None });
        }
        let masks = masks(trace);
        all.iter_mut().for_each(|weight| weight.mask = masks.get(&weight.value).copied().flatten());
        Ok(Weights(all))
    }

    /// Their values and names.
    pub(super) fn names(&self) -> impl Iterator<Item = (ValueId, &str)> {
        self.0.iter().map(|weight| (weight.value, weight.name.as_str()))
    }

    /// Whether a value is a parameter with zeros where a mask hides it.
    pub(super) fn is_masked(&self, id: ValueId) -> bool {
        self.0.iter().any(|weight| weight.value == id && weight.mask.is_some())
    }

    /// Bytes of their values.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|weight| 4 * weight.shape.iter().product::<usize>() as u64).sum()
    }

    /// Their values as a session has them.
    ///
    /// # Errors
    /// A device that is lost.
    pub(super) fn initialisers(&self, trace: &Trace, session: &Session) -> Result<Vec<TensorProto>, ExportError> {
        let mut states: HashMap<usize, Vec<f32>> = HashMap::new();
        let mut all = Vec::new();
        for Weight { name, shape, at: [state, offset], mask: hidden, .. } in &self.0 {
            if !states.contains_key(state) {
                states.insert(*state, session.store.read(&trace.source.states[*state].name)?);
            }
            let len = shape.iter().product::<usize>();
            let mut values = states[state][*offset..offset + len].to_vec();
            if let Some(block) = hidden {
                std::iter::zip(&mut values, mask(block))
                    .for_each(|(w, alive)| *w = if alive == 0.0 { 0.0 } else { *w });
            }
            all.push(TensorProto {
                dims: shape.iter().map(|extent| *extent as i64).collect(),
                data_type: DataType::Float as i32,
                name: name.clone(),
                raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            });
        }
        Ok(all)
    }
}

/// The convolution of each value that is nothing but the weight of convolutions with one mask.
fn masks(trace: &Trace) -> HashMap<ValueId, Option<Conv>> {
    let mut masks: HashMap<ValueId, Option<Conv>> = HashMap::new();
    for step in &trace.steps {
        let masked = match &step.standard {
            Standard::Conv(block) | Standard::ConvTranspose(block) if block.mask > 0 => Some(*block),
            _ => None,
        };
        let what = |c: Conv| [c.mask, c.groups, c.co, c.ci, c.kh, c.kw];
        for (k, id) in step.inputs.iter().enumerate() {
            let Some(id) = id else { continue };
            let seen = masked.filter(|_| k == 1);
            let known = masks.entry(*id).or_insert(seen);
            *known = known.zip(seen).filter(|(a, b)| what(*a) == what(*b)).map(|(a, _)| a);
        }
    }
    masks.extend(trace.outputs().map(|(_, id)| (id, None)));
    masks
}
