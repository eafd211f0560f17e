//! What describes a model, and the kinds of models there are.

use super::{
    AutoencoderConfig, BigGanConfig, ClassifierConfig, DcganConfig, GanConfig, GmmConfig, Model, ModelError,
    PixelCnnConfig, PixelCnnGatedConfig, PixelCnnPpConfig, PixelRnnConfig, ProganConfig, VaeConfig, VaeConvConfig,
    WaveGanConfig,
};
use crate::nn::OptimConfig;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::{Any, TypeId};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use toml::{Table, Value};

/// The description of a model: what its kind is called, its settings, which serde reads from the
/// table `[model]` and writes to it, and how a model is made of them.
pub trait Architecture: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind as settings name it, in small letters.
    const KIND: &'static str;

    /// The model that `step` training steps have been taken of; see [`Model::stage`]. Its networks
    /// are always the same.
    ///
    /// # Errors
    /// Settings that make no sense.
    fn build_at(&self, step: u64) -> Result<Box<dyn Model>, ModelError>;

    /// Refuses a way of training that the model cannot be trained in. Expectation-maximisation is
    /// for models that say so here.
    ///
    /// # Errors
    /// What cannot be, and what to set instead.
    fn trainable(&self, training: &Training) -> Result<(), ModelError> {
        match training.rule {
            OptimConfig::Em { .. } => {
                let why = "optim.kind = em trains mixtures (gmm) only; set it to adam, say";
                Err(ModelError::Settings(why.into()))
            }
            _ => Ok(()),
        }
    }
}

/// How a model is to be trained, as far as it may care.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// The optimiser.
    pub rule: &'a OptimConfig,
    /// Images in a batch.
    pub batch: usize,
    /// Decay of the average of the weights; 0 for none.
    pub ema: f64,
    /// Whether products are computed in f16.
    pub mixed: bool,
}

/// An [`Architecture`] of any kind: the `[model]` table.
#[derive(Clone)]
pub struct ModelConfig(Arc<dyn AnyArchitecture>);

impl ModelConfig {
    /// The description of a model.
    pub fn new(architecture: impl Architecture) -> ModelConfig {
        ModelConfig(Arc::new(architecture))
    }

    /// The kind as settings name it.
    pub fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// The settings, where they are of this kind.
    pub fn downcast_ref<A: Architecture>(&self) -> Option<&A> {
        self.0.as_any().downcast_ref()
    }

    /// The untrained model.
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn build(&self) -> Result<Box<dyn Model>, ModelError> {
        self.at(0)
    }

    /// See [`Architecture::build_at`].
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn at(&self, step: u64) -> Result<Box<dyn Model>, ModelError> {
        self.0.build_at(step)
    }

    /// See [`Architecture::trainable`].
    ///
    /// # Errors
    /// What cannot be.
    pub fn trainable(&self, training: &Training) -> Result<(), ModelError> {
        self.0.trainable(training)
    }
}

impl Debug for ModelConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for ModelConfig {
    fn eq(&self, other: &ModelConfig) -> bool {
        self.0.equals(other.0.as_any())
    }
}

impl Serialize for ModelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = self.0.settings().map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(1 + settings.len()))?;
        map.serialize_entry("kind", self.kind())?;
        settings.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ModelConfig, D::Error> {
        let mut settings = Table::deserialize(deserializer)?;
        let Some(Value::String(kind)) = settings.remove("kind") else {
            return Err(D::Error::missing_field("kind"));
        };
        let Some(read) = known().into_iter().find(|known| known.name == kind).map(|known| known.read) else {
            let names: Vec<&str> = kinds();
            return Err(D::Error::custom(format!("there is no model \"{kind}\"; there are {}", names.join(", "))));
        };
        read(settings).map_err(|e| D::Error::custom(e.message()))
    }
}

/// An [`Architecture`] without its type.
trait AnyArchitecture: Debug + Send + Sync {
    fn kind(&self) -> &'static str;
    fn build_at(&self, step: u64) -> Result<Box<dyn Model>, ModelError>;
    fn trainable(&self, training: &Training) -> Result<(), ModelError>;
    fn settings(&self) -> Result<Table, String>;
    fn as_any(&self) -> &dyn Any;
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<A: Architecture> AnyArchitecture for A {
    fn kind(&self) -> &'static str {
        A::KIND
    }

    fn build_at(&self, step: u64) -> Result<Box<dyn Model>, ModelError> {
        Architecture::build_at(self, step)
    }

    fn trainable(&self, training: &Training) -> Result<(), ModelError> {
        Architecture::trainable(self, training)
    }

    fn settings(&self) -> Result<Table, String> {
        match Value::try_from(self) {
            Ok(Value::Table(settings)) => Ok(settings),
            Ok(_) => Err(format!("the settings of the model \"{}\" are no table", A::KIND)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<A>() == Some(self)
    }
}

/// A kind of model, and how its settings are read.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    of: fn() -> TypeId,
    read: fn(Table) -> Result<ModelConfig, toml::de::Error>,
}

impl Kind {
    const fn of<A: Architecture>() -> Kind {
        Kind { name: A::KIND, of: TypeId::of::<A>, read: |settings| settings.try_into::<A>().map(ModelConfig::new) }
    }
}

/// The kinds that limn brings.
static BUILT_IN: &[Kind] = &[
    Kind::of::<VaeConfig>(),
    Kind::of::<VaeConvConfig>(),
    Kind::of::<AutoencoderConfig>(),
    Kind::of::<GanConfig>(),
    Kind::of::<DcganConfig>(),
    Kind::of::<WaveGanConfig>(),
    Kind::of::<BigGanConfig>(),
    Kind::of::<ProganConfig>(),
    Kind::of::<PixelCnnConfig>(),
    Kind::of::<GmmConfig>(),
    Kind::of::<ClassifierConfig>(),
    Kind::of::<PixelCnnGatedConfig>(),
    Kind::of::<PixelCnnPpConfig>(),
    Kind::of::<PixelRnnConfig>(),
];

/// The kinds that this program has added.
static ADDED: RwLock<Vec<Kind>> = RwLock::new(Vec::new());

/// Makes a kind of model known to this program, so that settings, run folders and checkpoints of it
/// can be read. To train a new run nothing has to be known.
///
/// # Errors
/// Another kind of that name.
pub fn register<A: Architecture>() -> Result<(), ModelError> {
    let kind = Kind::of::<A>();
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    match BUILT_IN.iter().chain(&*added).find(|known| known.name == kind.name) {
        Some(known) if (known.of)() == TypeId::of::<A>() => Ok(()),
        Some(_) => Err(ModelError::Settings(format!("there is a model \"{}\" already", kind.name))),
        None => {
            added.push(kind);
            Ok(())
        }
    }
}

fn known() -> Vec<Kind> {
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    BUILT_IN.iter().chain(&*added).copied().collect()
}

/// The names of all kinds that settings may have.
pub fn kinds() -> Vec<&'static str> {
    known().into_iter().map(|kind| kind.name).collect()
}
