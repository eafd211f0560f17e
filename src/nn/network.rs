//! A network's parameters: one flat buffer for values, one each for gradients and moments.

use crate::graph::{Graph, Var};
use crate::kernels::philox::{Domain, Stream};
use crate::program::ALIGN;
use std::cell::Cell;
use std::rc::Rc;

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// 0
    Zeros,
    /// 1
    Ones,
    /// This number.
    Constant(f32),
    /// Uniform in [-bound, bound).
    Uniform(f32),
    /// Normal.
    Normal {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        std: f32,
    },
}

impl Init {
    /// PyTorch's default for linear and convolution layers: uniform in ±1/√fan_in.
    pub fn fan_in(fan_in: usize) -> Init {
        Init::Uniform(1.0 / (fan_in as f32).sqrt())
    }

    /// Glorot & Bengio 2010: uniform in ±√(6 / (fan_in + fan_out)).
    pub fn glorot(fan_in: usize, fan_out: usize) -> Init {
        Init::Uniform((6.0 / (fan_in + fan_out) as f32).sqrt())
    }

    /// Whether random numbers are drawn for it.
    fn draws(self) -> bool {
        matches!(self, Init::Uniform(_) | Init::Normal { .. })
    }

    fn values(self, seed: u64, index: u32, len: usize) -> Vec<f32> {
        let s = Stream { seed, domain: Domain::Init as u32, stream: index, step: 0, first: 0 };
        match self {
            Init::Zeros => vec![0.0; len],
            Init::Ones => vec![1.0; len],
            Init::Constant(value) => vec![value; len],
            Init::Uniform(bound) => (0..len).map(|i| (2.0 * s.uniform(i) - 1.0) * bound).collect(),
            Init::Normal { mean, std } => (0..len).map(|i| mean + std * s.normal(i)).collect(),
        }
    }
}

/// A parameter or running statistic as checkpoints and listings know it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamInfo {
    /// Its name, as PyTorch would call it: `generator.2.weight`.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// First element within the flat buffer.
    pub offset: usize,
    /// How it starts.
    pub init: Init,
    /// Its place in the order of creation over the whole model: the stream its values come from.
    /// Running statistics that start as constants have none.
    pub index: u32,
}

impl ParamInfo {
    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Counts parameters over all networks of a model.
#[derive(Clone, Default)]
pub struct Numbering(Rc<Cell<u32>>);

impl Numbering {
    fn next(&self) -> u32 {
        self.0.replace(self.0.get() + 1)
    }
}

/// A handle by which a layer finds its parameter in any graph.
#[derive(Clone, Debug)]
pub struct Param {
    state: Rc<str>,
    total: Rc<Cell<usize>>,
    offset: usize,
    shape: Rc<[usize]>,
}

impl Param {
    /// The parameter as a variable of `graph`.
    pub fn var(&self, graph: &Graph) -> Var {
        graph.state(&self.state, self.total.get(), self.offset, &self.shape)
    }
}

/// Parameters and running statistics that are trained together.
#[derive(Clone, Debug)]
pub struct Network {
    /// Name of the network; its states are `NAME.params`, `NAME.stats`, `NAME.average`,
    /// `NAME.updates` and the optimiser's.
    pub name: String,
    /// The parameters, in the order of creation.
    pub params: Vec<ParamInfo>,
    /// Running statistics, which are saved but not trained.
    pub stats: Vec<ParamInfo>,
    /// Whether new images are made with it, rather than only other networks trained.
    pub makes_images: bool,
    handles: Vec<Param>,
    len: usize,
    stats_len: usize,
}

impl Network {
    /// Number of trained parameters.
    pub fn count(&self) -> usize {
        self.params.iter().map(ParamInfo::len).sum()
    }

    /// Elements of the flat buffers, gaps included.
    pub fn flat_len(&self) -> usize {
        self.len
    }

    /// Elements of the buffer of running statistics; 0 if there are none.
    pub fn stats_len(&self) -> usize {
        self.stats_len
    }

    /// Name of the state that holds the parameters.
    pub fn params_state(&self) -> String {
        format!("{}.params", self.name)
    }

    /// Name of the state that holds the running statistics.
    pub fn stats_state(&self) -> String {
        format!("{}.stats", self.name)
    }

    /// The parameters as variables, in order.
    pub fn vars(&self, graph: &Graph) -> Vec<Var> {
        self.handles.iter().map(|h| h.var(graph)).collect()
    }

    /// One variable over all parameters.
    pub fn flat(&self, graph: &Graph) -> Var {
        graph.state(&self.params_state(), self.len, 0, &[self.len])
    }

    /// Name of the state that holds an optimiser's buffer of the same size.
    pub fn moment_state(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// One variable over an optimiser's buffer of the same size.
    pub fn moment(&self, graph: &Graph, name: &str) -> Var {
        graph.state(&self.moment_state(name), self.len, 0, &[self.len])
    }

    /// Name of the state that holds the average of the parameters.
    pub fn average_state(&self) -> String {
        format!("{}.average", self.name)
    }

    /// One variable over the average of all parameters.
    pub fn average(&self, graph: &Graph) -> Var {
        graph.state(&self.average_state(), self.len, 0, &[self.len])
    }

    /// Name of the state that counts the network's updates.
    pub fn updates_state(&self) -> String {
        format!("{}.updates", self.name)
    }

    /// How often the network has been updated: a network may take several steps while the clock
    /// advances once.
    pub fn updates(&self, graph: &Graph) -> Var {
        graph.state(&self.updates_state(), 1, 0, &[1])
    }

    /// Initial contents of the parameter buffer and of the statistics buffer.
    pub fn initial(&self, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let fill = |infos: &[ParamInfo], len: usize| {
            let mut flat = vec![0.0; len];
            for p in infos {
                flat[p.offset..p.offset + p.len()].copy_from_slice(&p.init.values(seed, p.index, p.len()));
            }
            flat
        };
        (fill(&self.params, self.len), fill(&self.stats, self.stats_len))
    }
}

/// Builds a [`Network`].
pub struct NetworkBuilder {
    net: Network,
    numbering: Numbering,
    params_total: Rc<Cell<usize>>,
    stats_total: Rc<Cell<usize>>,
    /// How weights start where a layer does not say.
    pub(super) scheme: Scheme,
}

/// How weights start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scheme {
    /// PyTorch's defaults.
    Torch,
    /// N(0, 0.02) weights, N(1, 0.02) batch-norm scales, zero biases (Radford et al. 2016, §4).
    Dcgan,
    /// Glorot-uniform weights, zero biases, as Keras has it.
    Glorot,
    /// Weights uniform within this bound, zero biases.
    Uniform(f32),
    /// N(0, 1) weights, zero biases, for weights that are scaled where they are used.
    Unit,
}

impl NetworkBuilder {
    /// An empty network whose weights start as PyTorch's would.
    pub fn new(name: &str, numbering: &Numbering) -> NetworkBuilder {
        let net = Network {
            name: name.into(),
            params: Vec::new(),
            stats: Vec::new(),
            makes_images: true,
            handles: Vec::new(),
            len: 0,
            stats_len: 0,
        };
        NetworkBuilder {
            net,
            numbering: numbering.clone(),
            params_total: Rc::default(),
            stats_total: Rc::default(),
            scheme: Scheme::Torch,
        }
    }

    /// Weights start as in the DCGAN paper.
    pub fn dcgan_init(mut self) -> Self {
        self.scheme = Scheme::Dcgan;
        self
    }

    /// Weights start as in Keras.
    pub fn glorot_init(mut self) -> Self {
        self.scheme = Scheme::Glorot;
        self
    }

    /// Weights start uniform in [-bound, bound).
    pub fn uniform_init(mut self, bound: f32) -> Self {
        self.scheme = Scheme::Uniform(bound);
        self
    }

    /// No images are made with it: it only helps to train other networks.
    pub fn only_trains(mut self) -> Self {
        self.net.makes_images = false;
        self
    }

    /// Adds a parameter.
    pub fn param(&mut self, name: String, shape: &[usize], init: Init) -> Param {
        let index = self.numbering.next();
        let info = ParamInfo { name, shape: shape.to_vec(), offset: self.net.len, init, index };
        let state = Rc::from(self.net.params_state());
        let handle = Param { state, total: self.params_total.clone(), offset: self.net.len, shape: shape.into() };
        self.net.len = (self.net.len + info.len()).next_multiple_of(ALIGN);
        self.params_total.set(self.net.len);
        self.net.params.push(info);
        self.net.handles.push(handle.clone());
        handle
    }

    /// Adds a running statistic.
    pub fn stat(&mut self, name: String, shape: &[usize], init: Init) -> Param {
        let index = if init.draws() { self.numbering.next() } else { 0 };
        let info = ParamInfo { name, shape: shape.to_vec(), offset: self.net.stats_len, init, index };
        let state = Rc::from(self.net.stats_state());
        let offset = self.net.stats_len;
        let handle = Param { state, total: self.stats_total.clone(), offset, shape: shape.into() };
        self.net.stats_len = (offset + info.len()).next_multiple_of(ALIGN);
        self.stats_total.set(self.net.stats_len);
        self.net.stats.push(info);
        handle
    }

    /// The finished network.
    pub fn build(self) -> Network {
        self.net
    }
}
