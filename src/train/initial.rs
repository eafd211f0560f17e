//! Weights that a new run starts from: a state dict of PyTorch's, or a checkpoint of limn's, of
//! which what has the name of one of the model's tensors is taken.

use super::Session;
use super::checkpoint::{self, CheckpointError};
use crate::files::read_in_memory;
use crate::nn::torch_names::in_limn;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// What a new run was started from, and what of it fitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initial {
    /// The file.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Tensors that were taken.
    pub taken: usize,
    /// Tensors of the model that the file lacks: they start as those of any new run do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Tensors of the file that the model has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// Names that are listed before the others are counted.
const LISTED: usize = 6;

/// What a checkpoint of limn's has beside weights.
const PROGRESS: [&str; 3] = ["average.", "optim.", "clock"];

/// PyTorch's count of batches, which nothing depends on.
const BATCHES: &str = ".num_batches_tracked";

/// How files begin that PyTorch's `save` writes: a ZIP file, or a pickle.
const PICKLED: [&[u8]; 2] = [b"PK\x03\x04", b"\x80"];

impl Initial {
    /// Lines that say what was taken, what the file lacks and what the model has not.
    pub(super) fn lines(&self) -> Vec<String> {
        let Initial { file, taken, missing, left, .. } = self;
        let tensors = |count: usize| if count == 1 { "1 tensor".into() } else { format!("{count} tensors") };
        let mut lines = vec![format!("starts from {}, of which {} fit", crate::words::shown(file), tensors(*taken))];
        let named = |names: &[String]| {
            let (listed, more) = (&names[..names.len().min(LISTED)], names.len().saturating_sub(LISTED));
            let all: Vec<_> = listed.iter().map(|name| crate::words::shown(name)).collect();
            if more == 0 { all.join(", ") } else { format!("{} and {more} more", all.join(", ")) }
        };
        if !missing.is_empty() {
            let start = "not in the file, so that they start as in any new run";
            lines.push(format!("{} of the model are {start}: {}", tensors(missing.len()), named(missing)));
        }
        if !left.is_empty() {
            lines.push(format!("{} of the file are not the model's: {}", tensors(left.len()), named(left)));
        }
        lines
    }
}

/// Starts a session from the tensors of a file that have the names of its own; averages start as
/// copies of what that makes of the parameters.
///
/// # Errors
/// One sentence that names the file and, where one does not fit, the tensor; then the session is as
/// it was.
pub(super) fn start_from(path: &Path, session: &mut Session) -> Result<Initial, CheckpointError> {
    let foreign = |why: &str| CheckpointError::Foreign { path: path.into(), why: why.into() };
    if path.is_dir() {
        return Err(foreign("is a folder; name a file of weights in it"));
    }
    let bytes =
        read_in_memory(path).map_err(|source| CheckpointError::Io { doing: "read", path: path.into(), source })?;
    let (file, is_own) = checkpoint::tensors(path, &bytes).map_err(|error| {
        let is_pickled = PICKLED.iter().any(|start| bytes.starts_with(start)) && bytes.get(8) != Some(&b'{');
        let why = "is pickled, and not read; save its state dict with safetensors.torch.save_file";
        if is_pickled { foreign(why) } else { error }
    })?;
    let is_weight = |name: &str| !is_own || !PROGRESS.iter().any(|start| name.starts_with(start));
    let mut given: BTreeMap<String, (String, TensorView)> = BTreeMap::new();
    let mut left = Vec::new();
    for (name, view) in file.tensors() {
        if is_weight(&name) && !name.ends_with(BATCHES) {
            left.extend(given.insert(in_limn(&name), (name, view)).map(|(twice, _)| twice));
        }
    }
    let items = checkpoint::weights(session, super::Weights::Trained);
    let mut states = checkpoint::read_states(session, &items)?;
    let (mut taken, mut missing) = (0, Vec::new());
    for item in &items {
        let Some((name, view)) = given.remove(&item.tensor) else {
            missing.push(item.tensor.clone());
            continue;
        };
        let fault = |why: String| CheckpointError::Tensor { path: path.into(), tensor: name.clone(), why };
        if view.shape() != item.shape {
            return Err(fault(format!("has shape {:?}, and the model's is {:?}", view.shape(), item.shape)));
        }
        let values =
            numbers(&view).ok_or_else(|| fault(format!("holds {}, not floating-point numbers", view.dtype())))?;
        if !values.iter().all(|v| v.is_finite()) {
            return Err(fault("holds values that are not finite".into()));
        }
        if let Some(state) = states.get_mut(&item.state) {
            state[item.offset..item.offset + values.len()].copy_from_slice(&values);
        }
        taken += 1;
    }
    left.extend(given.into_values().map(|(name, _)| name));
    if taken == 0 {
        let own = items.first().map_or("none", |item| item.tensor.as_str());
        let other = left.first().map_or("none", String::as_str);
        let why = format!("has no tensor with the name of one of the model's: it has {other}, the model {own}");
        return Err(foreign(&why));
    }
    for net in session.model.networks().into_iter().filter(|net| session.optim.averages(net)) {
        if let Some(params) = states.get(&net.params_state()) {
            session.store.write(&net.average_state(), params)?;
        }
    }
    for (state, data) in &states {
        session.store.write(state, data)?;
    }
    let sha256 = crate::words::hex(&Sha256::digest(&bytes));
    Ok(Initial { file: path.to_string_lossy().into_owned(), sha256, taken, missing, left })
}

/// The numbers of a tensor, as f32; none where they are of another kind.
fn numbers(view: &TensorView) -> Option<Vec<f32>> {
    let data = view.data();
    let halves = || data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    Some(match view.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F64 => {
            let number = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32;
            data.chunks_exact(8).map(number).collect()
        }
        Dtype::F16 => halves().map(|bits| f16::from_bits(bits).to_f32()).collect(),
        Dtype::BF16 => halves().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        _ => return None,
    })
}
