//! The readers of settings and of a run's files, by bytes; see [`crate::by_bytes`].

use super::jsonl::JsonLines;
use super::{Config, RunDir, RunError, Session, Setting, StepProfile, Weights, checkpoint, checksum, initial, metrics};
use crate::by_bytes::{Reader, file, text};
use crate::choices::Choices;
use crate::data::Identity;
use crate::program::Device;
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::fmt::Display;

/// Those of this room.
pub(crate) const READERS: &[Reader] = &[
    Reader { name: "settings", read: settings, most: text },
    Reader { name: "set", read: set, most: text },
    Reader { name: "checkpoint", read: of_checkpoint, most: text },
    Reader { name: "weights", read: weights, most: text },
    Reader { name: "choices", read: |bytes| file("choices.json", bytes, Choices::read), most: text },
    Reader { name: "metrics", read: of_metrics, most: text },
    Reader { name: "tests", read: |bytes| in_run("tests.csv", bytes, RunDir::tests), most: text },
    Reader {
        name: "metrics-jsonl",
        read: |bytes| file("metrics.jsonl", bytes, |path| JsonLines::open(path, 10)),
        most: text,
    },
    Reader { name: "profile", read: |bytes| file("profile.json", bytes, StepProfile::read), most: text },
    Reader { name: "identity", read: |bytes| in_run("data.json", bytes, identity), most: text },
    Reader { name: "log", read: |bytes| in_run("log.txt", bytes, |run| Ok::<_, String>(run.warnings())), most: text },
];

/// A file of settings, as `config.toml` is, and what is made of it before anything is trained.
fn settings(bytes: &[u8]) -> Result<(), String> {
    file("config.toml", bytes, |path| {
        let config = Config::read(path)?;
        config.validate()?;
        config.to_toml().map(drop)
    })
}

/// Settings as people type them, one a line, on top of a preset.
fn set(bytes: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(bytes);
    let mut config = small()?;
    let settings = Setting::all(&text.lines().collect::<Vec<_>>()).map_err(|error| error.to_string())?;
    config.set_all(&settings).and_then(|()| config.validate()).map(drop).map_err(|error| error.to_string())
}

fn session() -> Result<Session, String> {
    let config = small()?;
    Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).map_err(|error| error.to_string())
}

/// A checkpoint as it is, and with the checksum that it would have if limn had written it: else hardly any file would
/// be read further than that.
fn of_checkpoint(bytes: &[u8]) -> Result<(), String> {
    let load = |bytes: &[u8]| {
        file("checkpoint.safetensors", bytes, |path| -> Result<(), String> {
            let said = |error: checkpoint::CheckpointError| error.to_string();
            checkpoint::info(path).map_err(said)?.remark();
            let mut session = session()?;
            checkpoint::load_weights(path, &mut session, Weights::Averaged).map_err(said)?;
            checkpoint::load(path, &mut session).map(drop).map_err(said)
        })
    };
    let read = load(bytes);
    if let (Err(_), Some(sealed)) = (&read, sealed(bytes)) {
        let _ = load(&sealed);
    }
    read
}

fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let file = SafeTensors::deserialize(bytes).ok()?;
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let (key, text) = header.metadata().as_ref()?.iter().next()?;
    let info = format!("{{{}", text.split_once("\",")?.1);
    let tensors = file.tensors();
    let named: Vec<_> = tensors.iter().map(|(name, view)| (name.as_str(), view.clone())).collect();
    let metadata = HashMap::from([(key.clone(), checksum::seal(&info, &named))]);
    safetensors::serialize(named, Some(metadata)).ok()
}

/// Weights that a run starts from.
fn weights(bytes: &[u8]) -> Result<(), String> {
    let mut session = session()?;
    file("weights.safetensors", bytes, |path| initial::start_from(path, &mut session))
}

fn of_metrics(bytes: &[u8]) -> Result<(), String> {
    metrics::kept("step,epoch,loss,bce,kl,images_per_s,seconds", &String::from_utf8_lossy(bytes), 7, 10);
    Ok(())
}

/// What a run's images were, held against others.
fn identity(run: &RunDir) -> Result<(), RunError> {
    let now = Identity {
        train: 9,
        test: 1,
        geometry: [1, 4, 4],
        classes: Vec::new(),
        digest: String::new(),
        stretched: None,
        counts: Vec::new(),
    };
    // That they are others is no fault of the file.
    let _ = run.identity()?.map(|was| was.require(&now, "images"));
    Ok(())
}

/// Has a file of these bytes read in the folder of a run, of which there is nothing else than its
/// settings: those of a variational autoencoder of 4x4 pixels.
pub(crate) fn in_run<T, E: Display>(
    name: &str,
    bytes: &[u8],
    read: impl FnOnce(&RunDir) -> Result<T, E>,
) -> Result<(), String> {
    file(name, bytes, |path| {
        let run = RunDir { path: path.parent().unwrap_or(path).into(), config: small()? };
        read(&run).map_err(|error| error.to_string())
    })
}

/// Settings of a small model that keeps averages.
pub(crate) fn small() -> Result<Config, String> {
    thread_local!(static SMALL: Result<Config, String> = Config::preset("vae").map_err(|e| e.to_string()).and_then(|mut config| {
        let settings = ["model.height=4", "model.width=4", "model.hidden=3", "model.latent=2", "train.ema=0.9"];
        let settings = Setting::all(&settings).and_then(|all| config.set_all(&all));
        settings.map(|()| config).map_err(|e| e.to_string())
    }));
    SMALL.with(Clone::clone)
}
