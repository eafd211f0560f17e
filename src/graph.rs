//! The build-time graph: variables, and gradients that are themselves part of the graph.
//!
//! Ops add nodes; [`gradients`] adds more nodes made of the same ops, so a gradient can be
//! differentiated again. Nothing here computes: a finished graph is a [`Source`] for the planner.
//!
//! A mistake while building (shapes that do not fit, say) is remembered, and the first one is
//! reported by [`Graph::finish`]; until then expressions stay free of error handling.
//!
//! ```
//! use limn::graph::{Graph, GraphError, Noise, gradients};
//!
//! let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
//! let x = g.input("x", &[3]);
//! let loss = x.square().sum();
//! let dx = gradients(&loss, &[x]).remove(0).expect("the loss depends on x");
//! g.output("dx", &dx);
//! assert!(g.finish().is_ok());
//! dx.matmul(&loss); // a mistake
//! assert!(matches!(g.finish(), Err(GraphError::Shape { op: "matmul", .. })));
//! ```

mod standard;

pub use standard::Standard;

use crate::kernels::philox::NoiseBlock;
use crate::program::{Body, Node, Place, Source, State, Value, ValueId};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// Elements of the largest tensor: kernels count them in 32 bits, and offsets with a sign.
const MOST_ELEMENTS: usize = i32::MAX as usize;

/// A mistake in a model, found while its graph was built.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum GraphError {
    /// Shapes that an op cannot take.
    #[error("{op}: {why} (shapes {})", .shapes.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(" and "))]
    Shape {
        /// The op.
        op: &'static str,
        /// The shapes it was given.
        shapes: Vec<Vec<usize>>,
        /// What does not fit.
        why: String,
    },
    /// A tensor with more elements than kernels can count.
    #[error("a tensor of shape {shape:?} has more than the {MOST_ELEMENTS} elements limn can count")]
    TooLarge {
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An op without a gradient rule for what was asked.
    #[error("{op} has no {order}-order gradient")]
    NoGradient {
        /// The op.
        op: &'static str,
        /// `first` or `second`.
        order: &'static str,
    },
    /// An optimiser, or a setting of it, that the model cannot be trained with.
    #[error("{0}")]
    Rule(&'static str),
    /// Parameters changed between a forward pass and its gradient.
    #[error("the gradient of {op} was asked for after its operand {state} had been updated; take gradients first")]
    Stale {
        /// The op.
        op: &'static str,
        /// The state.
        state: String,
    },
}

/// A node's gradient rule.
pub trait Op: Debug {
    /// The op's name in messages.
    fn name(&self) -> &'static str;

    /// Gradients of the loss with respect to each input, in the order of the inputs; `None` where
    /// there is none or [`Call::wants`] does not ask. Written in ops, so it can be differentiated.
    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError>;

    /// What the op is in other languages; none where it has no word that they share, and a model
    /// with it cannot be told in these.
    fn standard(&self) -> Option<Standard> {
        None
    }
}

/// What a gradient rule sees of the node it belongs to.
pub struct Call {
    /// The inputs; `None` where an optional one is absent.
    pub inputs: Vec<Option<Var>>,
    /// The outputs.
    pub outputs: Vec<Var>,
    /// The loss's gradient with respect to each output; `None` where the loss does not depend.
    pub dys: Vec<Option<Var>>,
    /// Which inputs' gradients lead to something that was asked for.
    pub wants: Vec<bool>,
}

impl Call {
    /// Input `i`. Rules only ask for inputs their op was built with.
    pub fn input(&self, i: usize) -> &Var {
        self.inputs[i].as_ref().expect("a rule asks only for inputs that are there")
    }

    /// The gradient of output 0. Rules run only when some output has one.
    pub fn dy(&self) -> &Var {
        self.dys[0].as_ref().expect("the only output of a node on the path has a gradient")
    }

    /// Whether input `i`'s gradient is wanted.
    pub fn wants(&self, i: usize) -> bool {
        self.wants.get(i).copied().unwrap_or(false)
    }
}

/// An op that was applied, and to what.
#[derive(Clone, Debug)]
pub struct Record {
    /// The op.
    pub op: Rc<dyn Op>,
    /// What it was given; `None` where an optional input is absent.
    pub inputs: Vec<Option<ValueId>>,
    /// What it made.
    pub outputs: Vec<ValueId>,
    /// Which part of the model it belongs to.
    pub scope: Arc<str>,
}

/// What part of every batch a graph computes. All parts are equally large; the random numbers of an
/// image are those that it would have in a graph of the whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The rank's number.
    pub rank: usize,
    /// Ranks that train together.
    pub ranks: usize,
    /// The number of a small part of the rank's images.
    pub part: usize,
    /// Such parts, which one program makes one after the other: see
    /// [`accumulate`](crate::program::accumulate).
    pub parts: usize,
    /// Whether the statistics of batch normalisation and the like are those of the whole batch, and
    /// not of each rank's part.
    pub synchronised: bool,
}

impl Shard {
    /// All of every batch.
    pub const WHOLE: Shard = Shard { rank: 0, ranks: 1, part: 0, parts: 1, synchronised: true };

    /// How many equal shares a batch has, in all ranks.
    pub fn count(&self) -> usize {
        self.ranks * self.parts
    }

    /// Which of a batch's images are its own, of `n` each.
    pub fn own(&self, n: usize) -> Range<usize> {
        let first = (self.rank * self.parts + self.part) * n;
        first..first + n
    }

    /// Images of a share of a batch.
    ///
    /// # Errors
    /// A sentence where the parts would not be equally large.
    pub fn share(&self, batch: usize) -> Result<usize, String> {
        match (batch.checked_div(self.count()), batch.checked_rem(self.count())) {
            (Some(share), Some(0)) if share > 0 => Ok(share),
            _ => Err(format!("a batch of {batch} cannot be divided into {} equal shares", self.count())),
        }
    }
}

impl Default for Shard {
    fn default() -> Shard {
        Shard::WHOLE
    }
}

#[derive(Default)]
struct Inner {
    source: Source,
    entries: Vec<Record>,
    error: Option<GraphError>,
    streams: u32,
    per_pixel: bool,
    scope: Option<Arc<str>>,
    state_values: HashMap<(usize, usize, Vec<usize>), ValueId>,
    updated: Vec<Updated>,
}

/// An update of a part of a state.
struct Updated {
    state: usize,
    part: Range<usize>,
    /// How many entries there were.
    when: usize,
}

/// The part of a state that a value is, if it is one.
fn state_part(source: &Source, value: ValueId) -> Option<(usize, Range<usize>)> {
    let root = &source.values[source.root(value)];
    match root.place {
        Place::State { state, offset } => Some((state, offset..offset + root.len())),
        _ => None,
    }
}

/// A graph under construction; clones share it.
#[derive(Clone)]
pub struct Graph {
    inner: Rc<RefCell<Inner>>,
    noise: Noise,
    shard: Shard,
}

/// The random numbers of a program.
#[derive(Clone, Debug)]
pub struct Noise {
    /// The run's seed.
    pub seed: u64,
    /// What the numbers are for, see [`crate::kernels::philox::Domain`].
    pub domain: u32,
    /// The state whose first word counts the steps.
    pub clock: String,
}

impl Noise {
    /// The block of a kernel that draws from a stream of these.
    pub fn block(&self, stream: u32) -> NoiseBlock {
        NoiseBlock::new(self.seed, self.domain, stream)
    }
}

/// A tensor of a graph.
#[derive(Clone)]
pub struct Var {
    graph: Graph,
    id: ValueId,
    shape: Rc<[usize]>,
}

impl Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{}{:?}", self.id, self.shape)
    }
}

impl Graph {
    /// An empty graph that draws its random numbers from `noise`.
    pub fn new(noise: Noise) -> Graph {
        Graph { inner: Rc::default(), noise, shard: Shard::WHOLE }
    }

    /// Says that the graph computes a part of every batch.
    pub fn of_shard(self, shard: Shard) -> Graph {
        Graph { shard, ..self }
    }

    /// The part of every batch that it computes.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The random numbers of this program.
    pub fn noise(&self) -> &Noise {
        &self.noise
    }

    /// A stream number nobody else in this graph has.
    pub fn next_stream(&self) -> u32 {
        let mut inner = self.inner.borrow_mut();
        inner.streams += 1;
        inner.streams - 1
    }

    /// Numbers that nobody else in this graph draws.
    pub fn next_noise(&self) -> NoiseBlock {
        self.noise.block(self.next_stream())
    }

    /// Names the part of the model that follows, for listings and profiles.
    pub fn scope(&self, name: &str) {
        self.inner.borrow_mut().scope = Some(Arc::from(name));
    }

    /// A tensor the host writes before each run. The same name is the same variable.
    pub fn input(&self, name: &str, shape: &[usize]) -> Var {
        let place = Place::Input(name.into());
        let known = self.inner.borrow().source.values.iter().position(|v| v.place == place);
        match known.map(|id| self.var(id)) {
            None => self.value(shape, place),
            Some(var) if var.shape() == shape => var,
            Some(var) => {
                let why = format!("\"{name}\" has another shape already");
                let shapes = vec![var.shape().to_vec(), shape.to_vec()];
                self.fail(GraphError::Shape { op: "input", shapes, why }, shape)
            }
        }
    }

    /// A part of a named buffer that outlives the program: `shape` from element `offset` of the
    /// state `name`, which has `len` elements. The same part is the same variable.
    pub fn state(&self, name: &str, len: usize, offset: usize, shape: &[usize]) -> Var {
        let state = {
            let states = &mut self.inner.borrow_mut().source.states;
            states.iter().position(|s| s.name == name).unwrap_or_else(|| {
                states.push(State { name: name.into(), len });
                states.len() - 1
            })
        };
        let key = (state, offset, shape.to_vec());
        let known = self.inner.borrow().state_values.get(&key).copied();
        if let Some(id) = known {
            return self.var(id);
        }
        let var = self.value(shape, Place::State { state, offset });
        self.inner.borrow_mut().state_values.insert(key, var.id);
        var
    }

    /// The step counter the device advances, see [`Noise::clock`].
    pub fn clock(&self) -> Var {
        self.state(&self.noise.clock, 1, 0, &[1])
    }

    fn value(&self, shape: &[usize], place: Place) -> Var {
        let mut inner = self.inner.borrow_mut();
        let len = shape.iter().try_fold(1usize, |len, n| len.checked_mul(*n));
        if len.is_none_or(|len| len > MOST_ELEMENTS) {
            inner.error.get_or_insert(GraphError::TooLarge { shape: shape.to_vec() });
        }
        inner.source.values.push(Value { shape: shape.to_vec(), place });
        Var { graph: self.clone(), id: inner.source.values.len() - 1, shape: shape.into() }
    }

    fn var(&self, id: ValueId) -> Var {
        let shape = self.inner.borrow().source.values[id].shape.as_slice().into();
        Var { graph: self.clone(), id, shape }
    }

    /// Adds a node: `op` is its gradient rule, `body` what it does, `shapes` those of its outputs.
    pub fn apply(&self, op: impl Op + 'static, body: Body, inputs: &[Option<&Var>], shapes: &[&[usize]]) -> Vec<Var> {
        let node = self.inner.borrow().source.nodes.len();
        let outputs: Vec<Var> = shapes.iter().map(|s| self.value(s, Place::Node(node))).collect();
        let reads: Vec<Option<ValueId>> = inputs.iter().map(|i| i.map(|v| v.id)).collect();
        let writes: Vec<ValueId> = outputs.iter().map(|o| o.id).collect();
        let mut inner = self.inner.borrow_mut();
        let scope = inner.scope.clone().unwrap_or_else(|| Arc::from("-"));
        inner.source.nodes.push(Node { body, reads: reads.clone(), writes: writes.clone(), scope: scope.clone() });
        inner.entries.push(Record { op: Rc::new(op), inputs: reads, outputs: writes, scope });
        outputs
    }

    /// Adds a node with one output.
    pub fn apply1(&self, op: impl Op + 'static, body: Body, inputs: &[Option<&Var>], shape: &[usize]) -> Var {
        self.apply(op, body, inputs, &[shape]).remove(0)
    }

    /// The same elements under another shape; `op` is the gradient rule.
    pub fn alias(&self, op: impl Op + 'static, of: &Var, shape: &[usize]) -> Var {
        let var = self.value(shape, Place::Alias(of.id));
        let mut inner = self.inner.borrow_mut();
        let scope = inner.scope.clone().unwrap_or_else(|| Arc::from("-"));
        inner.entries.push(Record { op: Rc::new(op), inputs: vec![Some(of.id)], outputs: vec![var.id], scope });
        var
    }

    /// What each of `of` is, as the results of `op` on `inputs`: the gradients of the results go to
    /// the inputs by `op`, and not through what they were made by.
    pub fn stand_for<const N: usize>(&self, op: impl Op + 'static, of: [&Var; N], inputs: &[&Var]) -> [Var; N] {
        let vars = of.map(|of| self.value(of.shape(), Place::Alias(of.id)));
        let mut inner = self.inner.borrow_mut();
        let scope = inner.scope.clone().unwrap_or_else(|| Arc::from("-"));
        let inputs = inputs.iter().map(|i| Some(i.id)).collect();
        let outputs = vars.iter().map(|var| var.id).collect();
        inner.entries.push(Record { op: Rc::new(op), inputs, outputs, scope });
        vars
    }

    /// Says that the graph is for [`crate::program::PixelProgram`], which computes one pixel at a
    /// time: values that hang on themselves at earlier pixels are then told so by
    /// [`Graph::earlier`].
    pub fn per_pixel(self) -> Graph {
        self.inner.borrow_mut().per_pixel = true;
        self
    }

    /// Whether it is.
    pub fn is_per_pixel(&self) -> bool {
        self.inner.borrow().per_pixel
    }

    /// A value of `[n,c,h,w]` before it is made, to be read where it has been made already;
    /// [`Graph::tie`] says which.
    pub fn earlier(&self, shape: &[usize]) -> Var {
        let name = format!("earlier {}", self.inner.borrow().source.values.len());
        self.input(&name, shape)
    }

    /// Makes `earlier` an earlier look at `value`.
    pub fn tie(&self, earlier: &Var, value: &Var) {
        self.inner.borrow_mut().source.ties.push([earlier.id, value.id]);
    }

    /// Adds a node without results other than its effect: `targets` are states it updates in place.
    pub fn update(&self, body: Body, inputs: &[Option<&Var>], targets: &[&Var]) {
        let mut inner = self.inner.borrow_mut();
        let scope = inner.scope.clone().unwrap_or_else(|| Arc::from("-"));
        let reads = inputs.iter().map(|i| i.map(|v| v.id)).collect();
        let writes: Vec<ValueId> = targets.iter().map(|t| t.id).collect();
        let now = inner.entries.len();
        for write in &writes {
            if let Some((state, part)) = state_part(&inner.source, *write) {
                inner.updated.push(Updated { state, part, when: now });
            }
        }
        inner.source.nodes.push(Node { body, reads, writes, scope });
    }

    /// Names a value the host wants to read after a run.
    pub fn output(&self, name: &str, var: &Var) {
        self.inner.borrow_mut().source.outputs.push((name.into(), var.id));
    }

    /// Remembers a mistake and stands in for the result.
    pub fn fail(&self, error: GraphError, shape: &[usize]) -> Var {
        self.inner.borrow_mut().error.get_or_insert(error);
        self.value(shape, Place::Input("failed".into()))
    }

    /// Every op in the order of the graph, for those who say it in another language. Updates of
    /// states are not among them.
    pub fn records(&self) -> Vec<Record> {
        self.inner.borrow().entries.clone()
    }

    /// The finished program source, or the first mistake.
    pub fn finish(&self) -> Result<Source, GraphError> {
        let inner = self.inner.borrow();
        match &inner.error {
            Some(error) => Err(error.clone()),
            None => Ok(inner.source.clone()),
        }
    }
}

impl Var {
    /// The graph it belongs to.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value's number in the graph.
    pub fn id(&self) -> ValueId {
        self.id
    }
}

/// Adds the gradients of the scalar `loss` with respect to each of `wrt` to the graph. `None` where
/// the loss does not depend on a variable. Only nodes between `wrt` and `loss` take part, so what
/// nobody asked for costs nothing.
pub fn gradients(loss: &Var, wrt: &[Var]) -> Vec<Option<Var>> {
    match try_gradients(loss, wrt) {
        Ok(grads) => grads,
        Err(error) => {
            let graph = loss.graph();
            wrt.iter().map(|v| Some(graph.fail(error.clone(), v.shape()))).collect()
        }
    }
}

fn try_gradients(loss: &Var, wrt: &[Var]) -> Result<Vec<Option<Var>>, GraphError> {
    let graph = loss.graph().clone();
    if loss.len() != 1 {
        return Err(GraphError::Shape {
            op: "gradients",
            shapes: vec![loss.shape().to_vec()],
            why: "the loss must be a single number".into(),
        });
    }
    let path = path(&graph, loss, wrt);
    let mut grads: HashMap<ValueId, Var> = HashMap::new();
    let one = graph.constant(loss.shape(), 1.0);
    grads.insert(loss.id, one);
    let before = graph.inner.borrow().scope.clone();
    for &at in path.nodes.iter().rev() {
        let (op, inputs, outputs, scope) = {
            let inner = graph.inner.borrow();
            let e = &inner.entries[at];
            (e.op.clone(), e.inputs.clone(), e.outputs.clone(), e.scope.clone())
        };
        let dys: Vec<Option<Var>> = outputs.iter().map(|o| grads.get(o).cloned()).collect();
        if dys.iter().all(Option::is_none) {
            continue;
        }
        fresh(&graph, op.as_ref(), &inputs, at)?;
        let wants: Vec<bool> = inputs.iter().map(|i| i.is_some_and(|i| path.values.contains(&i))).collect();
        let call = Call {
            inputs: inputs.iter().map(|i| i.map(|i| graph.var(i))).collect(),
            outputs: outputs.iter().map(|o| graph.var(*o)).collect(),
            dys,
            wants,
        };
        graph.scope(&if scope.ends_with('\'') { scope.to_string() } else { format!("{scope}'") });
        let given = op.gradient(&call)?;
        for ((input, grad), want) in inputs.iter().zip(given).zip(&call.wants) {
            let (Some(input), Some(grad), true) = (input, grad, *want) else { continue };
            let sum = match grads.remove(input) {
                Some(earlier) => &earlier + &grad,
                None => grad,
            };
            grads.insert(*input, sum);
        }
    }
    graph.inner.borrow_mut().scope = before;
    Ok(wrt.iter().map(|v| grads.get(&v.id).cloned()).collect())
}

/// Entries and values that lie between `wrt` and `loss`.
struct Path {
    nodes: Vec<usize>,
    values: HashSet<ValueId>,
}

fn path(graph: &Graph, loss: &Var, wrt: &[Var]) -> Path {
    let inner = graph.inner.borrow();
    let mut values: HashSet<ValueId> = wrt.iter().map(|v| v.id).collect();
    let mut nodes = Vec::new();
    for (at, entry) in inner.entries.iter().enumerate() {
        if entry.inputs.iter().flatten().any(|i| values.contains(i)) {
            nodes.push(at);
            values.extend(&entry.outputs);
        }
    }
    let mut needed: HashSet<ValueId> = HashSet::from([loss.id]);
    nodes.reverse();
    nodes.retain(|&at| {
        let entry = &inner.entries[at];
        let leads = entry.outputs.iter().any(|o| needed.contains(o));
        if leads {
            needed.extend(entry.inputs.iter().flatten().filter(|i| values.contains(i)));
        }
        leads
    });
    nodes.reverse();
    values.retain(|v| needed.contains(v));
    Path { nodes, values }
}

/// Refuses a gradient whose rule would read states that changed since the forward pass.
fn fresh(graph: &Graph, op: &dyn Op, inputs: &[Option<ValueId>], at: usize) -> Result<(), GraphError> {
    let inner = graph.inner.borrow();
    for input in inputs.iter().flatten() {
        let Some((state, part)) = state_part(&inner.source, *input) else { continue };
        let meets = |other: &Updated| other.part.start < part.end && part.start < other.part.end;
        if inner.updated.iter().any(|other| other.state == state && other.when > at && meets(other)) {
            let state = inner.source.states[state].name.clone();
            return Err(GraphError::Stale { op: op.name(), state });
        }
    }
    Ok(())
}
