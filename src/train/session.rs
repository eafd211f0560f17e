//! A model with its states on a device.

use super::step::train_source;
use crate::graph::{Graph, GraphError, Noise};
use crate::kernels::philox::Domain;
use crate::models::{Model, ModelConfig};
use crate::nn::OptimConfig;
use crate::program::{Device, DeviceError, Options, Runner, Source, Store, plan};

/// What can go wrong while a model is built or run.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A size that makes no sense.
    #[error("{0}")]
    Config(String),
    /// Shapes that do not fit.
    #[error("the model's layers do not fit together: {0}")]
    Graph(#[from] GraphError),
    /// The device's words.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl From<crate::program::PlanError> for SessionError {
    fn from(e: crate::program::PlanError) -> Self {
        SessionError::Device(e.into())
    }
}

/// A model, the states of its networks on a device, and what makes a run reproducible.
pub struct Session {
    /// The model.
    pub model: Box<dyn Model>,
    /// Its sizes.
    pub config: ModelConfig,
    /// Its optimiser.
    pub optim: OptimConfig,
    /// The run's seed.
    pub seed: u64,
    /// Parameters, statistics, moments, counters.
    pub store: Store,
}

impl Session {
    /// A model with freshly drawn parameters.
    pub fn new(config: &ModelConfig, optim: &OptimConfig, seed: u64, device: Device) -> Result<Session, SessionError> {
        let model = config.build().map_err(SessionError::Config)?;
        if let Some(fault) = optim.fault() {
            return Err(SessionError::Config(fault));
        }
        let mut store = Store::new(device);
        for net in model.networks() {
            let (params, stats) = net.initial(seed);
            store.write(&net.params_state(), &params)?;
            if !stats.is_empty() {
                store.write(&net.stats_state(), &stats)?;
            }
        }
        Ok(Session { model, config: config.clone(), optim: optim.clone(), seed, store })
    }

    /// An empty graph whose noise belongs to `domain` and counts its steps in the state `clock`.
    pub fn graph(&self, domain: Domain, seed: u64, clock: &str) -> Graph {
        Graph::new(Noise { seed, domain: domain as u32, clock: clock.into() })
    }

    /// Plans a finished graph and makes it ready on this session's device and states.
    pub fn runner(&mut self, graph: &Graph) -> Result<Runner, SessionError> {
        self.prepare(&graph.finish()?)
    }

    /// The training step, ready to run.
    pub fn train_step(&mut self, batch: usize) -> Result<Runner, SessionError> {
        let source = train_source(self.model.as_ref(), &self.optim, batch, self.seed)?;
        self.prepare(&source)
    }

    /// Plans a program and makes it ready on this session's device and states.
    pub fn prepare(&mut self, source: &Source) -> Result<Runner, SessionError> {
        let program = plan(source, &Options::new(self.store.device().caps()))?;
        Ok(Runner::new(program, &mut self.store)?)
    }
}
