//! Checkpoints: safetensors with PyTorch's names, written whole or not at all.
//!
//! ```
//! use limn::program::Device;
//! use limn::train::{Config, Session, checkpoint};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::preset("vae")?;
//! let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu)?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("checkpoint.safetensors");
//! checkpoint::save(&path, &session, 0, 128)?;
//! assert_eq!(checkpoint::load(&path, &mut session)?.step, 0);
//! # Ok(())
//! # }
//! ```

use super::change::{self, Change, Flat, flat};
use super::checksum::{self, Sealed};
use super::{Session, Weights};
use crate::files::{read_in_memory, replace};
use crate::models::ModelConfig;
use crate::nn::{OptimConfig, ParamInfo};
use crate::program::{DeviceError, Pending};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

/// The layout of tensors and metadata that this limn writes. From 2 on there is a checksum.
const FORMAT: u32 = 2;

/// The only key of the file's metadata. One key, because the order of several would change from
/// file to file, and equal runs are to leave equal files.
const KEY: &str = "limn";

/// What stands before a parameter's name in the name of its average.
const AVERAGE: &str = "average.";

/// What can go wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// `read` or `save`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a whole safetensors file.
    #[error("{} is damaged or cut short, or is no safetensors file ({why})", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A safetensors file that is not this run's.
    #[error("{} {why}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// A tensor that does not fit the model.
    #[error("{} does not fit the model: tensor {tensor} {why}", .path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What is wrong with it.
        why: String,
    },
    /// A checkpoint of other settings than those it is to be used with.
    #[error(
        "{} was written with {} = {}, and the settings say {}: {why}; put config.toml back as it was",
        .path.display(), .change.key, .change.from, .change.to
    )]
    Differs {
        /// The file.
        path: PathBuf,
        /// The setting, with its value in the file and that in the settings.
        change: Box<Change>,
        /// Why that is no use.
        why: &'static str,
    },
    /// A tensor with NaN or infinity.
    #[error("tensor {tensor} holds values that are not finite")]
    NotFinite {
        /// The tensor.
        tensor: String,
    },
    /// The device's words.
    #[error("{0}")]
    Device(#[from] DeviceError),
}

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// Version of the layout.
    pub format: u32,
    /// The limn that wrote it.
    pub version: String,
    /// Training steps done.
    pub step: u64,
    /// The run's seed.
    pub seed: u64,
    /// The model.
    pub model: ModelConfig,
    /// The optimiser of the step before it, which limn writes down since there is a checksum.
    #[serde(default)]
    pub optim: Option<OptimConfig>,
    /// Decay of the average of the weights, likewise.
    #[serde(default)]
    pub ema: Option<f64>,
    /// Images in a batch, likewise.
    #[serde(default)]
    pub batch: Option<usize>,
}

impl CheckpointInfo {
    /// A remark on what it lacks, if it lacks something.
    pub fn remark(&self) -> Option<String> {
        let words = "has no checksum, so that damage to it would not show; the next checkpoint will have one";
        (self.format < 2).then(|| {
            format!("the checkpoint of step {} is from an earlier limn ({}) and {words}", self.step, self.version)
        })
    }

    /// Model, seed and optimiser, as far as they are known.
    fn settings(&self) -> Flat {
        let mut all = flat("model", &self.model);
        all.extend(flat("train.seed", &self.seed));
        if let (Some(optim), Some(ema)) = (&self.optim, self.ema) {
            all.extend(flat("optim", optim));
            all.extend(flat("train.ema", &ema));
        }
        all
    }
}

/// Where a tensor of the file lives on the device.
pub(super) struct Item {
    pub(super) tensor: String,
    pub(super) shape: Vec<usize>,
    dtype: Dtype,
    pub(super) state: String,
    state_len: usize,
    pub(super) offset: usize,
}

impl Item {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Items of some tensors of a network, named with `prefix`, that lie in one state of `state_len`
/// elements.
fn parts(prefix: &'static str, infos: &[ParamInfo], state: String, state_len: usize) -> impl Iterator<Item = Item> {
    infos.iter().map(move |info| Item {
        tensor: format!("{prefix}{}", info.name),
        shape: info.shape.clone(),
        dtype: Dtype::F32,
        state: state.clone(),
        state_len,
        offset: info.offset,
    })
}

/// Parameters and running statistics: what a trained model is. Averaged parameters take the place
/// of the trained ones in networks that make images.
pub(super) fn weights(session: &Session, weights: Weights) -> Vec<Item> {
    let mut items = Vec::new();
    for net in session.model.networks() {
        let averaged = weights == Weights::Averaged && net.makes_images;
        let prefix = if averaged { AVERAGE } else { "" };
        items.extend(parts(prefix, &net.params, net.params_state(), net.flat_len()));
        items.extend(parts("", &net.stats, net.stats_state(), net.stats_len()));
    }
    items
}

/// What going on with a run needs beside the weights: averages, moments and counters.
fn progress(session: &Session) -> Vec<Item> {
    let networks = session.model.networks().into_iter().filter(|net| session.optim.averages(net));
    let mut items: Vec<Item> =
        networks.flat_map(|net| parts(AVERAGE, &net.params, net.average_state(), net.flat_len())).collect();
    let mut whole = |tensor: String, state: String, len: usize, dtype| {
        items.push(Item { tensor, shape: vec![len], dtype, state, state_len: len, offset: 0 });
    };
    for net in session.model.networks() {
        for buffer in session.optim.rule.buffers() {
            let name = net.moment_state(buffer);
            whole(format!("optim.{name}"), name, net.flat_len(), Dtype::F32);
        }
        whole(format!("optim.{}.updates", net.name), net.updates_state(), 1, Dtype::U32);
    }
    whole("clock".into(), "clock".into(), 1, Dtype::U32);
    items
}

/// Reads the states of `items`; one that no program has touched yet is zeros.
pub(super) fn read_states(session: &Session, items: &[Item]) -> Result<BTreeMap<String, Vec<f32>>, DeviceError> {
    let mut pending: BTreeMap<&str, Option<Pending>> = BTreeMap::new();
    for item in items {
        if !pending.contains_key(item.state.as_str()) {
            let known = session.store.names().any(|name| name == item.state);
            pending.insert(&item.state, known.then(|| session.store.start_read(&item.state)).transpose()?);
        }
    }
    let mut states = BTreeMap::new();
    for item in items {
        if !states.contains_key(&item.state) {
            let data = match &pending[item.state.as_str()] {
                Some(pending) => pending.take()?,
                None => vec![0.0; item.state_len],
            };
            states.insert(item.state.clone(), data);
        }
    }
    Ok(states)
}

/// The first parameter or running statistic that is not finite, by name.
pub fn not_finite(session: &Session) -> Result<Option<String>, DeviceError> {
    let items = weights(session, Weights::Trained);
    let states = read_states(session, &items)?;
    Ok(first_not_finite(&items, &states).map(String::from))
}

fn first_not_finite<'a>(items: &'a [Item], states: &BTreeMap<String, Vec<f32>>) -> Option<&'a str> {
    let bad = |item: &&Item| {
        let data = &states[&item.state][item.offset..item.offset + item.len()];
        item.dtype == Dtype::F32 && !data.iter().all(|v| v.is_finite())
    };
    items.iter().find(bad).map(|item| item.tensor.as_str())
}

/// Saves everything that resuming after `step` training steps of `batch` images needs. An error
/// leaves a checkpoint that was there before as it was.
///
/// # Errors
/// [`CheckpointError::NotFinite`] before anything is written, [`CheckpointError::Io`].
pub fn save(path: &Path, session: &Session, step: u64, batch: usize) -> Result<(), CheckpointError> {
    let items: Vec<Item> = weights(session, Weights::Trained).into_iter().chain(progress(session)).collect();
    let bytes = packed(path, session, &items, step, Some(batch))?;
    replace(path, |file| file.write_all(&bytes)).map_err(|source| io_failed(path, source))
}

/// A file of the weights that the session makes images with, for those who do not train on: what
/// [`load_weights`] reads as [`Weights::Trained`]. `path` is what it is called in errors.
///
/// # Errors
/// Weights that are not finite, or a device that is lost.
pub fn weights_only(path: &Path, session: &Session, step: u64) -> Result<Vec<u8>, CheckpointError> {
    packed(path, session, &weights(session, Weights::Trained), step, None)
}

fn io_failed(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { doing: "save", path: path.into(), source }
}

/// These tensors as a file.
fn packed(
    path: &Path,
    session: &Session,
    items: &[Item],
    step: u64,
    batch: Option<usize>,
) -> Result<Vec<u8>, CheckpointError> {
    let states = read_states(session, items)?;
    if let Some(tensor) = first_not_finite(items, &states) {
        return Err(CheckpointError::NotFinite { tensor: tensor.into() });
    }
    let failed = |source| io_failed(path, source);
    let info = CheckpointInfo {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        step,
        seed: session.seed,
        model: session.config.clone(),
        optim: batch.map(|_| session.optim.rule.clone()),
        ema: batch.map(|_| session.optim.ema),
        batch,
    };
    let info = serde_json::to_string(&info).map_err(|e| failed(e.into()))?;
    let mut tensors = Vec::new();
    for item in items {
        let data = &states[&item.state][item.offset..item.offset + item.len()];
        let view = TensorView::new(item.dtype, item.shape.clone(), bytemuck::cast_slice(data));
        tensors.push((item.tensor.as_str(), view.map_err(|e| failed(io::Error::other(e)))?));
    }
    let metadata = HashMap::from([(KEY.to_string(), checksum::seal(&info, &tensors))]);
    safetensors::serialize(tensors, Some(metadata)).map_err(|e| failed(io::Error::other(e)))
}

/// Loads a checkpoint with all that resuming needs, and returns what it says of itself.
///
/// # Errors
/// One sentence that names the file, and the tensor or the setting; then nothing has been loaded.
pub fn load(path: &Path, session: &mut Session) -> Result<CheckpointInfo, CheckpointError> {
    let items: Vec<Item> = weights(session, Weights::Trained).into_iter().chain(progress(session)).collect();
    load_items(path, session, &items, true)
}

/// Loads the running statistics and these of the parameters only, for a session that will not
/// train. Returns what the checkpoint says of itself. Errors as [`load`].
pub fn load_weights(path: &Path, session: &mut Session, which: Weights) -> Result<CheckpointInfo, CheckpointError> {
    let items = weights(session, which);
    let info = load_items(path, session, &items, false)?;
    session.weights = which;
    Ok(info)
}

/// Refuses a checkpoint of another model, and for a run that goes on one of another seed or
/// optimiser; what may change where a run goes on may differ.
fn agree(path: &Path, info: &CheckpointInfo, session: &Session, resume: bool) -> Result<(), CheckpointError> {
    let (mut was, mut now) = (info.settings(), flat("model", &session.config));
    now.extend(flat("train.seed", &session.seed));
    if info.optim.is_some() && info.ema.is_some() {
        now.extend(flat("optim", &session.optim.rule));
        now.extend(flat("train.ema", &session.optim.ema));
    }
    if !resume {
        [&mut was, &mut now].into_iter().for_each(|all| all.retain(|key, _| key.starts_with("model.")));
    }
    let changes = change::changes(&was, &now);
    match change::refused(&changes) {
        None => Ok(()),
        Some((change, why)) => {
            Err(CheckpointError::Differs { path: path.into(), change: Box::new(change.clone()), why })
        }
    }
}

fn load_items(
    path: &Path,
    session: &mut Session,
    items: &[Item],
    resume: bool,
) -> Result<CheckpointInfo, CheckpointError> {
    let bytes =
        read_in_memory(path).map_err(|source| CheckpointError::Io { doing: "read", path: path.into(), source })?;
    let (info, file) = open(path, &bytes)?;
    agree(path, &info, session, resume)?;
    let mut states: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    for item in items {
        let fault = |why: String| CheckpointError::Tensor { path: path.into(), tensor: item.tensor.clone(), why };
        let missing = || match item.tensor.starts_with(AVERAGE) {
            true => "is missing: no averages were kept when it was written, and the settings now say train.ema > 0",
            false => "is missing",
        };
        let tensor = file.tensor(&item.tensor).map_err(|_| fault(missing().into()))?;
        if tensor.dtype() != item.dtype {
            return Err(fault(format!("holds {}, not {}", tensor.dtype(), item.dtype)));
        }
        if tensor.shape() != item.shape {
            return Err(fault(format!("has shape {:?}, not {:?}", tensor.shape(), item.shape)));
        }
        let data: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
        if item.dtype == Dtype::F32 && !data.iter().all(|v| v.is_finite()) {
            return Err(fault("holds values that are not finite".into()));
        }
        let state = states.entry(&item.state).or_insert_with(|| vec![0.0; item.state_len]);
        state[item.offset..item.offset + data.len()].copy_from_slice(&data);
    }
    if resume && states.get("clock").is_some_and(|c| c[0].to_bits() != info.step as u32) {
        let why = "contradicts itself: its clock is not its step".into();
        return Err(CheckpointError::Foreign { path: path.into(), why });
    }
    for (state, data) in states {
        session.store.write(state, &data)?;
    }
    Ok(info)
}

/// What a checkpoint says of itself, without loading it.
pub fn info(path: &Path) -> Result<CheckpointInfo, CheckpointError> {
    let bytes =
        read_in_memory(path).map_err(|source| CheckpointError::Io { doing: "read", path: path.into(), source })?;
    Ok(open(path, &bytes)?.0)
}

/// The tensors of a file that anybody wrote, and whether limn did, whose checksum they must match.
pub(super) fn tensors<'a>(path: &Path, bytes: &'a [u8]) -> Result<(SafeTensors<'a>, bool), CheckpointError> {
    let (file, text) = read(path, bytes)?;
    match text {
        Some(_) => open(path, bytes).map(|(_, file)| (file, true)),
        None => Ok((file, false)),
    }
}

/// The tensors of a file, and the text that only limn writes.
fn read<'a>(path: &Path, bytes: &'a [u8]) -> Result<(SafeTensors<'a>, Option<String>), CheckpointError> {
    let damaged = |why: String| CheckpointError::Damaged { path: path.into(), why };
    if bytes.is_empty() {
        return Err(damaged("it is empty".into()));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
    let text = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).cloned();
    Ok((file, text))
}

fn open<'a>(path: &Path, bytes: &'a [u8]) -> Result<(CheckpointInfo, SafeTensors<'a>), CheckpointError> {
    let damaged = |why: String| CheckpointError::Damaged { path: path.into(), why };
    let foreign = |why: String| CheckpointError::Foreign { path: path.into(), why };
    let (file, Some(text)) = read(path, bytes)? else {
        return Err(foreign("is a safetensors file, but not one that limn wrote".into()));
    };
    let sealed = Sealed::of(&text, &file);
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    if value["format"].as_u64().is_none_or(|format| format > u64::from(FORMAT)) {
        let version = value["version"].as_str().unwrap_or("unknown");
        return Err(foreign(format!("was written by another limn ({version}); this is {}", env!("CARGO_PKG_VERSION"))));
    }
    let info: CheckpointInfo =
        serde_json::from_value(value).map_err(|e| foreign(format!("has metadata limn cannot read: {e}")))?;
    match sealed {
        Sealed::Whole => Ok((info, file)),
        Sealed::Not if info.format < 2 => Ok((info, file)),
        Sealed::Not | Sealed::Broken => Err(damaged("it does not match its own checksum".into())),
    }
}
