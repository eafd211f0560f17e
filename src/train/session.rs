//! A model with its states on a device.

use super::memory::StepSpec;
use super::step::initialise_source;
use crate::choices::Choices;
use crate::graph::{Graph, GraphError, Noise, Shard};
use crate::kernels::philox::Domain;
use crate::models::{Model, ModelConfig, ModelError};
use crate::nn::{Network, Optimizer};
use crate::program::{
    Capacity, Device, DeviceError, Exceeded, NoRoom, Options, PlanError, Runner, Source, Store, Together, plan, room,
};
use crate::tune::{Budget, Progress, Report, TuneError, Tuner};

/// What can go wrong while a model is built or run.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A model that cannot be made.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// A size that makes no sense.
    #[error("{0}")]
    Config(String),
    /// Something that a model of this kind does not have or do: the words behind "this model".
    #[error("this model {0}")]
    Lacks(&'static str),
    /// Memory that there is not.
    #[error("{0}")]
    NoRoom(#[from] NoRoom),
    /// A class that the model does not have, or any where it was told none.
    #[error("class {class}: {}", classes_in_words(*classes))]
    NoClass {
        /// Which was asked for.
        class: usize,
        /// How many the model has.
        classes: usize,
    },
    /// Images of a model that draws none.
    #[error("this model draws no images; it makes features of them")]
    NoImages,
    /// What was being done is to be left.
    #[error("it was stopped")]
    Stopped,
    /// Shapes that do not fit.
    #[error("the model's layers do not fit together: {0}")]
    Graph(#[from] GraphError),
    /// The device's words.
    #[error("{0}")]
    Device(#[from] DeviceError),
    /// No variant of a kernel is right, or the device failed while they were measured.
    #[error("{0}")]
    Tune(#[from] TuneError),
    /// A training step that the device cannot hold.
    #[error("a step of batch {batch} does not fit {device}: {why}; {}", advice(*.largest))]
    TooLarge {
        /// Images of the step.
        batch: usize,
        /// The device's name.
        device: String,
        /// What is too large, in words.
        why: String,
        /// The largest batch that fits.
        largest: Option<usize>,
    },
}

fn classes_in_words(classes: usize) -> String {
    match classes {
        0 => "this model was not told classes in training, so it has none to draw".into(),
        _ => format!("this model's classes are 0 to {}", classes - 1),
    }
}

fn advice(largest: Option<usize>) -> String {
    match largest {
        Some(batch) => format!("the largest batch that fits is {batch}"),
        None => "not even a batch of 1 fits, so make the model smaller or take another device".into(),
    }
}

impl SessionError {
    /// What is too large, where a smaller batch may help: in words, and what the device holds.
    pub(super) fn excess(&self, known: Capacity) -> Option<(String, Capacity)> {
        match self {
            SessionError::Graph(error @ GraphError::TooLarge { .. }) => Some((error.to_string(), known)),
            SessionError::Device(DeviceError::Plan(error @ PlanError::NoVariant { .. })) => {
                Some((error.to_string(), known))
            }
            SessionError::Device(DeviceError::Exceeded(error)) => {
                let total = match error {
                    Exceeded::Total { has, .. } | Exceeded::Refused { has, .. } => Some(*has),
                    Exceeded::Buffer { .. } | Exceeded::Binding { .. } => known.total,
                };
                Some((error.to_string(), Capacity { total, ..known }))
            }
            _ => None,
        }
    }
}

impl From<crate::program::PlanError> for SessionError {
    fn from(e: crate::program::PlanError) -> Self {
        SessionError::Device(e.into())
    }
}

/// Which parameters images and figures are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Weights {
    /// Those that training has arrived at.
    Trained,
    /// Their moving average, in networks that make images.
    Averaged,
}

/// Hears how far it is what takes long, in words.
pub type Listener = Box<dyn FnMut(&str) + Send>;

/// A model, the states of its networks on a device, and what makes a run reproducible.
pub struct Session {
    /// The model.
    pub model: Box<dyn Model>,
    /// Its sizes.
    pub config: ModelConfig,
    /// The training steps the model is made for; see [`Session::go_to`].
    step: u64,
    /// Its optimiser.
    pub optim: Optimizer,
    /// The run's seed.
    pub seed: u64,
    /// The part of every batch that its training steps compute.
    pub shard: Shard,
    /// Whether training computes activations again rather than hold them.
    pub recompute: bool,
    /// Parameters, statistics, moments, averages, counters.
    pub store: Store,
    /// Which parameters programs made now see.
    pub weights: Weights,
    /// Variants its programs take where measuring has chosen them.
    pub choices: Option<Choices>,
    /// Asked on the way of what may take long: whether to leave it.
    pub stop: Option<fn() -> bool>,
    /// Told on the way of what may take long: how far it is, in words.
    pub hear: Option<Listener>,
    /// The ranks that share the making of images and figures.
    pub(super) among: Option<Together>,
    /// Remarks on what its weights were loaded from.
    pub remarks: Vec<String>,
}

impl Session {
    /// A model with freshly drawn parameters; averages of them start as copies.
    ///
    /// # Errors
    /// Settings that make no sense, or more parameters than the device holds.
    pub fn new(config: &ModelConfig, optim: &Optimizer, seed: u64, device: Device) -> Result<Session, SessionError> {
        Session::of(config.build()?, config, optim, seed, device)
    }

    /// The same of a model that was built of these settings.
    pub(super) fn of(
        model: Box<dyn Model>,
        config: &ModelConfig,
        optim: &Optimizer,
        seed: u64,
        device: Device,
    ) -> Result<Session, SessionError> {
        if let Some(fault) = optim.fault() {
            return Err(SessionError::Config(fault));
        }
        // The numbers are drawn on the host, network by network, and kept with their averages.
        let bytes = |net: &&Network| 4 * net.flat_len() as u64;
        let networks = model.networks();
        let kept: u64 = networks.iter().map(|net| bytes(net) * if optim.averages(net) { 2 } else { 1 }).sum();
        let drawn = networks.iter().map(bytes).max().unwrap_or(0);
        room(kept + drawn, "the model's parameters", "make it smaller")?;
        let mut store = Store::new(device);
        for net in model.networks() {
            let (params, stats) = net.initial(seed);
            store.write(&net.params_state(), &params)?;
            if optim.averages(net) {
                store.write(&net.average_state(), &params)?;
            }
            if !stats.is_empty() {
                store.write(&net.stats_state(), &stats)?;
            }
        }
        let (config, optim) = (config.clone(), optim.clone());
        let (recompute, weights) = (false, Weights::Trained);
        Ok(Session {
            model,
            config,
            step: 0,
            optim,
            seed,
            shard: Shard::WHOLE,
            recompute,
            store,
            weights,
            choices: None,
            stop: None,
            hear: None,
            among: None,
            remarks: Vec::new(),
        })
    }

    /// Tells how far what takes long is, and refuses to go on with it once it is to be left.
    ///
    /// # Errors
    /// [`SessionError::Stopped`].
    pub fn going(&mut self, words: impl FnOnce() -> String) -> Result<(), SessionError> {
        if let Some(hear) = &mut self.hear {
            hear(&words());
        }
        if self.stop.is_some_and(|stop| stop()) { Err(SessionError::Stopped) } else { Ok(()) }
    }

    /// Makes the model that of `step` training steps done, which its programs may depend on. States
    /// stay.
    pub fn go_to(&mut self, step: u64) -> Result<(), SessionError> {
        if step != self.step {
            self.model = self.config.at(step)?;
            self.step = step;
        }
        Ok(())
    }

    /// The model of each of its stages from the one it is at, up to training step `end`.
    fn stages(&self, end: u64) -> Result<Vec<Box<dyn Model>>, SessionError> {
        let (mut models, mut next) = (Vec::new(), Some(self.step));
        while let Some(step) = next {
            let model = self.config.at(step)?;
            next = model.stage().and_then(|stage| stage.end).filter(|step| *step < end);
            models.push(model);
        }
        Ok(models)
    }

    /// Holds the programs of the stages behind this one, up to training step `end`, against the
    /// device, so that what will not fit then is refused before it costs hours.
    ///
    /// # Errors
    /// Those of [`Session::train_step`].
    pub fn check_later(&self, batch: usize, end: u64) -> Result<(), SessionError> {
        let device = self.store.device();
        let later = self.stages(end)?;
        later.iter().skip(1).try_for_each(|model| self.step_of(model.as_ref()).fitting(batch, device).map(drop))
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
    ///
    /// # Errors
    /// [`SessionError::TooLarge`] with the largest batch that fits, and all that can be wrong with
    /// a model or a device.
    pub fn train_step(&mut self, batch: usize) -> Result<Runner, SessionError> {
        let step = self.step_of(self.model.as_ref());
        let program = step.program(batch, self.store.device().caps());
        let tried = program.and_then(|program| Ok(Runner::new(program, &mut self.store)?));
        let refused = |error| self.step_of(self.model.as_ref()).refusal(error, batch, self.store.device());
        let runner = tried.map_err(refused)?;
        // Variants that were measured and not taken have no more use.
        if let Device::Gpu(gpu) = self.store.device() {
            gpu.release_pipelines();
        }
        Ok(runner)
    }

    /// Sets the parameters that start from data, if there are any, by `images`, the first that a
    /// training step is given; averages start as copies of them. To be called before the first
    /// step, and with the images of the whole batch on every rank.
    ///
    /// # Errors
    /// Those of [`Session::train_step`], before anything is done.
    pub fn initialise(&mut self, batch: usize, images: &[f32]) -> Result<(), SessionError> {
        let Some(source) = initialise_source(self.model.as_ref(), batch, self.seed)? else { return Ok(()) };
        self.step_of(self.model.as_ref()).fitting(batch, self.store.device())?;
        let mut runner = self.prepare(&source)?;
        runner.write("images", images)?;
        runner.run()?;
        for net in self.model.networks().into_iter().filter(|net| self.optim.averages(net)) {
            let params = self.store.read(&net.params_state())?;
            self.store.write(&net.average_state(), &params)?;
        }
        Ok(())
    }

    /// Lets `look` see averages in the place of the trained parameters, where they are kept. A
    /// training step made before goes on with what it had.
    pub fn with_averages<T>(&mut self, look: impl FnOnce(&mut Session) -> T) -> T {
        let averaged = self.model.networks().into_iter().filter(|net| self.optim.averages(net));
        let states: Vec<[String; 2]> = averaged.map(|net| [net.params_state(), net.average_state()]).collect();
        let before = self.weights;
        if !states.is_empty() {
            self.weights = Weights::Averaged;
        }
        states.iter().for_each(|[one, other]| self.store.exchange(one, other));
        let seen = look(self);
        states.iter().for_each(|[one, other]| self.store.exchange(one, other));
        self.weights = before;
        seen
    }

    /// Plans a program and makes it ready on this session's device and states.
    pub fn prepare(&mut self, source: &Source) -> Result<Runner, SessionError> {
        let program = plan(source, &self.options())?;
        Ok(Runner::new(program, &mut self.store)?)
    }

    /// Has `tuner` choose the variants of the kernels of all stages up to training step `end`, as
    /// far as `budget` allows; what it did not get to keeps its first variant.
    ///
    /// # Errors
    /// Those of [`Session::train_step`], and of the tuner.
    pub fn tune(
        &mut self,
        batch: usize,
        end: u64,
        tuner: &mut Tuner,
        budget: Budget,
        progress: &mut Progress,
    ) -> Result<Report, SessionError> {
        let mut kernels = Vec::new();
        let stages = self.stages(end)?;
        let budget = budget.over(stages.len());
        for model in stages {
            // What does not fit is refused before it is measured.
            let program = self.step_of(model.as_ref()).fitting(batch, self.store.device())?;
            kernels.extend(program.launches.into_iter().map(|launch| launch.kernel));
        }
        if let Device::Gpu(gpu) = self.store.device() {
            tuner.on(gpu);
        }
        let report = tuner.tune(&kernels, budget, progress)?;
        self.choices = self.store.device().caps().map(|caps| tuner.choices().taken(&kernels, &caps));
        Ok(report)
    }

    fn step_of<'a>(&'a self, model: &'a dyn Model) -> StepSpec<'a> {
        let (optim, choices) = (&self.optim, self.choices.as_ref());
        StepSpec { model, optim, seed: self.seed, recompute: self.recompute, choices, shard: self.shard }
    }

    fn options(&self) -> Options<'_> {
        Options { choices: self.choices.as_ref(), ..Options::new(self.store.device().caps()) }
    }
}
