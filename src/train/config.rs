//! A run's settings: presets, files, `--set`, and what makes sense.

mod sizes;

use super::batches::Passes;
use super::change::flat;
use super::presets::presets;
use super::settings::{Setting, SettingsTable, read};
use super::step::HISTORY_ROWS;
use crate::data::{self, Dataset, Geometry, Range};
use crate::files;
use crate::kernels::Precision;
use crate::kernels::optimisers::schedule::{Falling, Schedule};
use crate::models::{Model, ModelConfig, ModelError, Training};
use crate::nn::{OptimConfig, Optimizer};
use crate::words::{count, nearest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest size a key of `[model]` may have: beyond it, counts of parameters would overflow.
const MAX_SIZE: i64 = 65_536;

/// Bytes a file of settings may have; it is written by hand.
const MAX_FILE: u64 = 1 << 20;

/// The most elements a network's parameters may have: 4 GiB a buffer.
const MAX_PARAMETERS: usize = 1 << 30;

/// What is wrong with a run's settings, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither a preset nor a file.
    #[error("there is no preset \"{name}\"; {hint}")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// The nearest names.
        hint: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {why}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A folder where a file should be.
    #[error("cannot read {}: it is a folder", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A mistake in a file.
    #[error("{}:{line}: {why}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key and what is wrong with it.
        why: String,
    },
    /// A mistake in a setting, or settings that make no sense.
    #[error("{0}")]
    Value(String),
    /// A model that cannot be made or trained.
    #[error("{0}")]
    Model(#[from] ModelError),
}

/// Everything that decides how a run goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the run is called: the file's name, or that of the preset.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The network.
    pub model: ModelConfig,
    /// The images.
    pub data: DataConfig,
    /// The optimiser.
    pub optim: OptimConfig,
    /// The loop.
    pub train: TrainConfig,
    /// What somebody said of the images, which the data may know better.
    #[serde(skip)]
    pub given: Given,
}

/// Which of the settings that follow the data somebody gave; of the others a preset did. That is no
/// part of what a run is: settings are equal whoever gave them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given {
    /// How many classes there are.
    pub classes: bool,
    /// The sides of an image.
    pub size: bool,
    /// Grey or in colour.
    pub colour: bool,
}

impl Given {
    /// Every one of them.
    pub const ALL: Given = Given { classes: true, size: true, colour: true };

    /// These, and what a setting of `key` says.
    pub(super) fn and(self, key: &str) -> Given {
        let name = key.strip_prefix("model.").unwrap_or_default();
        Given {
            classes: self.classes || name == "classes",
            size: self.size || sizes::KEYS.contains(&name),
            colour: self.colour || name == "channels",
        }
    }
}

impl PartialEq for Given {
    fn eq(&self, _: &Given) -> bool {
        true
    }
}

/// The `[data]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// A known set's name, or a path; see [`crate::data::open`].
    #[serde(deserialize_with = "known_name")]
    pub source: String,
    /// What the values of the images are taken for.
    #[serde(default, skip_serializing_if = "is_format")]
    pub range: Range,
    /// The names of the classes, in the order of their numbers, where the data name them. Written
    /// by [`super::train`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
}

/// The `[train]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Images in a batch.
    pub batch: usize,
    /// How often to go through the data, unless `steps` is given.
    pub epochs: u64,
    /// Training steps; wins over `epochs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Where all randomness starts: parameters, order, noise.
    pub seed: u64,
    /// Steps between two lines of progress.
    pub log_every: u64,
    /// Steps between two pictures of samples; 0 for one at the end only. Without it there are some
    /// ten in a run, in at most a twentieth of its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_every: Option<u64>,
    /// Steps between two checkpoints; 0 for one at the end only.
    pub checkpoint_every: u64,
    /// Minutes after which a checkpoint is due whatever the number of steps, so that no more is lost
    /// where they are slow; 0 for never. No bit of a run depends on it.
    #[serde(default = "minutes", skip_serializing_if = "is_minutes")]
    pub checkpoint_minutes: f64,
    /// Steps between two measurements on test images; 0 for none. Without it a run is measured some
    /// ten times, in at most a twentieth of its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_every: Option<u64>,
    /// Steps between two rounds of pictures of what else the model can do: reconstructions,
    /// completions, its latent plane; 0 for none. Without it they are drawn at the end, where that
    /// takes little of the run's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views_every: Option<u64>,
    /// Images in a picture of samples.
    pub samples: usize,
    /// Checkpoints that are kept, the last one among them.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub keep: usize,
    /// Compute activations again in the backward pass rather than hold them: less memory, more
    /// time, and the same bits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recompute: bool,
    /// Small batches that a step is made of, one after the other, in the memory of one: the losses and
    /// gradients of the whole batch, but for batch normalisation, whose statistics are those of each.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Whether batch normalisation of several ranks takes the statistics of the whole batch, so that
    /// their losses are those of one rank, and not of each rank's part of it.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub sync_batch_norm: bool,
    /// Decay of a moving average of the weights, which samples and figures are then made with; 0
    /// for none. See [`Optimizer::ema`].
    #[serde(default)]
    pub ema: f64,
    /// Whether that decay warms up, see [`Optimizer::ema_warm_up`]. A new run has it unless it says
    /// otherwise; a run that does not say was made before there was the setting, and goes on
    /// without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema_warm_up: Option<bool>,
    /// The largest norm that a network's gradient keeps in an update; 0 for no limit. See
    /// [`Optimizer::clip_norm`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clip_norm: f64,
    /// How the learning rate falls over the run, besides the `decay` of the optimiser's own.
    #[serde(default, skip_serializing_if = "is_constant")]
    pub lr_schedule: Falling,
    /// The share of the learning rate that the schedule ends at.
    #[serde(default = "lr_end", skip_serializing_if = "is_lr_end")]
    pub lr_end: f64,
    /// Training steps of the schedule; with 0 a run takes its own, and writes down how many.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lr_steps: u32,
    /// Training steps in which the learning rate rises to its own along a line; 0 for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lr_warm_up: u32,
    /// How products are computed. [`super::train`] writes down what its device was opened for.
    #[serde(default, skip_serializing_if = "is_full")]
    pub precision: Precision,
}

/// A source, where it is a known set by the name that this has on screen: `builtin`, as files from
/// before say, is `fashion-mini`.
fn known_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(data::known_name)
}

/// Settings that a run fills in where they are left open.
const FILLED_IN: [&str; 4] = ["train.steps", "train.lr_steps", "train.ema_warm_up", "optim.batches"];

pub(super) fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn is_yes(yes: &bool) -> bool {
    *yes
}

fn minutes() -> f64 {
    5.0
}

fn is_minutes(v: &f64) -> bool {
    *v == minutes()
}

pub(super) fn is_one(count: &usize) -> bool {
    *count == 1
}

fn is_zero(v: &f64) -> bool {
    *v == 0.0
}

fn is_none(v: &u32) -> bool {
    *v == 0
}

fn is_constant(falling: &Falling) -> bool {
    *falling == Falling::Constant
}

fn lr_end() -> f64 {
    Schedule::default().end
}

fn is_lr_end(end: &f64) -> bool {
    *end == lr_end()
}

fn is_format(range: &Range) -> bool {
    *range == Range::Full
}

fn is_full(precision: &Precision) -> bool {
    *precision == Precision::Full
}

impl Config {
    /// Settings for training a model of any kind: Adam at 0.001, a batch of 64, one pass over the
    /// built-in images.
    pub fn of(model: ModelConfig) -> Config {
        Config {
            name: String::new(),
            model,
            data: DataConfig { source: "fashion-mini".into(), range: Range::Full, classes: Vec::new() },
            optim: OptimConfig::adam(0.001),
            train: TrainConfig {
                batch: 64,
                epochs: 1,
                steps: None,
                seed: 0,
                log_every: 10,
                sample_every: None,
                checkpoint_every: 1000,
                checkpoint_minutes: minutes(),
                eval_every: None,
                views_every: None,
                samples: 64,
                keep: 1,
                recompute: false,
                accumulate: 1,
                sync_batch_norm: true,
                ema: 0.0,
                ema_warm_up: None,
                clip_norm: 0.0,
                lr_schedule: Falling::Constant,
                lr_end: lr_end(),
                lr_steps: 0,
                lr_warm_up: 0,
                precision: Precision::Full,
            },
            given: Given::ALL,
        }
    }

    /// The settings of a preset.
    pub fn preset(name: &str) -> Result<Config, ConfigError> {
        let Some((name, text)) = presets().iter().find(|(n, _)| *n == name) else {
            let hint = nearest(name, presets().iter().map(|(n, _)| *n));
            return Err(ConfigError::UnknownPreset { name: name.into(), hint });
        };
        let mut config: Config = toml::from_str(text).map_err(|e| ConfigError::Value(format!("{name}: {e}")))?;
        config.name = (*name).into();
        Ok(config)
    }

    /// A preset by its name, or a file. A file says `preset = "NAME"` at its top and then only what
    /// differs, or everything.
    ///
    /// # Errors
    /// One sentence with the nearest names, or with file, line and key.
    pub fn load(spec: &str) -> Result<Config, ConfigError> {
        let path = Path::new(spec);
        let is_path = spec.ends_with(".toml") || spec.contains(['/', '\\']);
        if presets().iter().any(|(name, _)| *name == spec) || !(is_path || path.is_file()) {
            return Config::preset(spec);
        }
        if path.is_dir() {
            return Err(ConfigError::Folder { path: path.into() });
        }
        Config::read(path)
    }

    /// The settings in a file; see [`Config::load`].
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let fault = |why: String| ConfigError::Read { path: path.into(), why };
        let bytes = files::read_whole(path, MAX_FILE, &files::NEVER).map_err(|e| fault(e.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| fault("it is not UTF-8 text".into()))?;
        read(path, &text)
    }

    /// Changes one setting.
    ///
    /// # Errors
    /// One sentence; the settings are as they were.
    pub fn set(&mut self, setting: Setting) -> Result<(), ConfigError> {
        self.set_all(&[setting])
    }

    /// Changes several settings. A new kind of optimiser is set first wherever it stands, so that
    /// its defaults do not undo the others.
    ///
    /// # Errors
    /// As [`Config::set`].
    pub fn set_all(&mut self, all: &[Setting]) -> Result<(), ConfigError> {
        let mut settings = SettingsTable::of(self)?;
        let is_kind = |setting: &&Setting| setting.key == "optim.kind";
        for setting in all.iter().filter(is_kind).chain(all.iter().filter(|s| !is_kind(s))) {
            settings.set(setting)?;
        }
        let given = all.iter().fold(self.given, |given, setting| given.and(&setting.key));
        *self = Config { given, ..settings.config().map_err(ConfigError::Value)? };
        Ok(())
    }

    /// Takes as many classes as the data have, where the model is told of classes, of which it
    /// `has` some, and nobody said how many. Returns the model of the new settings.
    ///
    /// # Errors
    /// More than the model can have.
    pub(super) fn adopt_classes(&mut self, has: usize, data: &Dataset) -> Result<Option<Box<dyn Model>>, ConfigError> {
        match data.class_count() {
            Some(count) if has > 0 && !self.given.classes && count != has => {
                self.set(Setting::new("model.classes", count))?;
                self.given.classes = false;
                self.validate().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Settles what the settings leave to the run: its steps, where epochs say how many, how long
    /// the schedule of the learning rate is, which stays at its end in a run that goes on for
    /// longer, and the batches of a pass. Returns the steps.
    pub(super) fn settle(&mut self, passes: Passes, per_step: u64) -> u64 {
        self.optim.settle(passes.batches);
        let epochs = passes.until(self.train.epochs).div_ceil(per_step.max(1));
        let total = *self.train.steps.get_or_insert(epochs);
        if self.train.lr_schedule != Falling::Constant && self.train.lr_steps == 0 {
            self.train.lr_steps = u32::try_from(total).unwrap_or(u32::MAX);
        }
        total
    }

    /// What a run with these settings filled in by itself, where `preset`, which it came from, left
    /// it open: settings by their keys. It has `images` to train on.
    pub fn filled_in(&self, preset: &Config, images: usize) -> BTreeMap<String, String> {
        let passes = Passes { batches: (images / self.train.batch.max(1)).max(1) as u64, more: 0 };
        let per_step = self.model.build().map_or(1, |model| model.batches_per_step() as u64);
        let mut open = self.clone();
        open.train.steps = preset.train.steps;
        if preset.train.lr_steps == 0 {
            open.train.lr_steps = 0;
        }
        if let (OptimConfig::Em { batches, .. }, OptimConfig::Em { batches: 0, .. }) = (&mut open.optim, &preset.optim)
        {
            *batches = 0;
        }
        open.settle(passes, per_step);
        // A schedule is as long as the run, whoever said how long that is.
        let mut schedule =
            Config { train: TrainConfig { steps: self.train.steps, ..open.train.clone() }, ..open.clone() };
        schedule.train.lr_steps = preset.train.lr_steps;
        schedule.settle(passes, per_step);
        open.train.lr_steps = schedule.train.lr_steps;
        if preset.train.ema_warm_up.is_none() && self.train.ema > 0.0 {
            open.train.ema_warm_up = Some(true);
        }
        let (open, preset) = (open.by_keys(), preset.by_keys());
        open.into_iter()
            .filter(|(key, value)| FILLED_IN.contains(&key.as_str()) && preset.get(key) != Some(value))
            .collect()
    }

    /// How the model's networks are trained.
    pub fn optimizer(&self) -> Optimizer {
        let (ema, ema_warm_up) = (self.train.ema, self.train.ema_warm_up.unwrap_or(false));
        let TrainConfig { lr_schedule: kind, lr_end: end, lr_steps: steps, lr_warm_up: warm_up, clip_norm, .. } =
            self.train;
        let schedule = Schedule { kind, end, steps, warm_up };
        Optimizer { rule: self.optim.clone(), ema, ema_warm_up, schedule, clip_norm }
    }

    /// What to call the run in a sentence.
    pub fn name_or_kind(&self) -> String {
        if self.name.is_empty() { self.model.kind().into() } else { self.name.clone() }
    }

    /// The model that the settings describe, untrained.
    ///
    /// # Errors
    /// Settings that make no sense, in one sentence.
    pub fn validate(&self) -> Result<Box<dyn Model>, ConfigError> {
        self.check()?;
        self.model_of_sense()
    }

    /// Refuses numbers that make no sense for any model.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.fault().map_or(Ok(()), |why| Err(ConfigError::Value(why)))
    }

    fn fault(&self) -> Option<String> {
        let t = &self.train;
        let at_least_1 = [
            ("batch", t.batch as u64),
            ("accumulate", t.accumulate as u64),
            ("epochs", t.epochs),
            ("steps", t.steps.unwrap_or(1)),
            ("keep", t.keep as u64),
        ];
        if let Some((key, _)) = at_least_1.iter().find(|(_, v)| *v == 0) {
            return Some(format!("train.{key} = 0 must be at least 1"));
        }
        if t.batch > u32::MAX as usize {
            return Some(format!("train.batch = {} must be at most {}", t.batch, u32::MAX));
        }
        if t.log_every < 1 || t.log_every > HISTORY_ROWS as u64 {
            return Some(format!("train.log_every = {} must be between 1 and {HISTORY_ROWS}", t.log_every));
        }
        if t.samples < 1 || t.samples > 4096 {
            return Some(format!("train.samples = {} must be between 1 and 4096", t.samples));
        }
        if !t.checkpoint_minutes.is_finite() || t.checkpoint_minutes < 0.0 {
            return Some(format!("train.checkpoint_minutes = {} must be 0 or more", t.checkpoint_minutes));
        }
        if i64::try_from(t.seed).is_err() {
            return Some(format!("train.seed = {} must be at most {}", t.seed, i64::MAX));
        }
        // The device counts steps, and updates of every network, in 32 bits.
        if t.steps.is_some_and(|s| s > u64::from(u32::MAX)) {
            return Some(format!("train.steps = {} must be at most {}", t.steps.unwrap_or(0), u32::MAX));
        }
        self.float_fault().or_else(|| self.optim_fault())
    }

    /// Devices compute in 32 bits, in which what is very small is 0 and what is very large
    /// infinite.
    fn float_fault(&self) -> Option<String> {
        let sections = [
            ("model", toml::Table::try_from(&self.model)),
            ("optim", toml::Table::try_from(&self.optim)),
            ("train", toml::Table::try_from(&self.train)),
        ];
        let tables = sections.into_iter().filter_map(|(name, table)| Some((name, table.ok()?)));
        tables.into_iter().find_map(|(section, table)| {
            table.iter().find_map(|(key, value)| {
                let v = value.as_float().filter(|v| v.is_finite() && *v != 0.0 && key != "checkpoint_minutes")?;
                let is = match v as f32 {
                    f if f.abs() < f32::MIN_POSITIVE => "0",
                    f if f.is_infinite() => "infinite",
                    _ => return None,
                };
                Some(format!("{section}.{key} = {v:?} is {is} in the 32 bits that devices compute in"))
            })
        })
    }

    fn optim_fault(&self) -> Option<String> {
        let table = toml::Table::try_from(&self.optim).ok()?;
        let finite = |v: &toml::Value| v.as_float().is_none_or(f64::is_finite);
        if let Some((key, value)) = table.iter().find(|(_, v)| !finite(v)) {
            return Some(format!("optim.{key} = {value} must be a finite number"));
        }
        self.optimizer().fault()
    }

    /// How the model is to be trained.
    fn training(&self) -> Training<'_> {
        let TrainConfig { batch, ema, precision, .. } = self.train;
        Training { rule: &self.optim, batch, ema, mixed: precision == Precision::Mixed }
    }

    fn model_of_sense(&self) -> Result<Box<dyn Model>, ConfigError> {
        let refuse = |why: String| Err(ConfigError::Value(why));
        self.model.trainable(&self.training())?;
        let table = toml::Table::try_from(&self.model).unwrap_or_default();
        // A number of steps is no size; the device counts them in 32 bits.
        let most = |key: &str| if key == "warm_up" || key.ends_with("_steps") { u32::MAX.into() } else { MAX_SIZE };
        let too_large = |(key, v): &(&String, &toml::Value)| v.as_integer() > Some(most(key));
        if let Some((key, value)) = table.iter().find(too_large) {
            return refuse(format!("model.{key} = {value} must be at most {}", most(key)));
        }
        let model = match self.model.build() {
            Err(error @ ModelError::Setting { key: "image" | "image_height" | "image_width", .. }) => {
                return refuse(error.to_string() + &sizes::hint(&table));
            }
            built => built?,
        };
        let [channels, height, width] = model.geometry();
        if let Err(e) = Geometry::new(channels, height, width).check() {
            return refuse(e.to_string());
        }
        match model.networks().into_iter().find(|n| n.count() > MAX_PARAMETERS) {
            Some(large) => refuse(format!(
                "the network \"{}\" would have {} parameters, more than the {} limn can hold; make it smaller",
                large.name,
                count(large.count()),
                count(MAX_PARAMETERS)
            )),
            None => Ok(model),
        }
    }

    /// All settings by their keys, such as `train.batch`, as TOML writes them.
    pub fn by_keys(&self) -> BTreeMap<String, String> {
        flat("", self).into_iter().map(|(key, value)| (key, value.to_string())).collect()
    }

    /// The keys that settings of this kind of model and optimiser may have, dotted.
    pub fn keys(&self) -> Vec<String> {
        SettingsTable::of(self).map(|table| table.keys()).unwrap_or_default()
    }

    /// All settings as TOML: loading it gives the same run.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let text = toml::to_string(self).map_err(|e| ConfigError::Value(e.to_string()))?;
        Ok(format!("# limn {}\n{text}", env!("CARGO_PKG_VERSION")))
    }
}

#[cfg(test)]
mod tests;
