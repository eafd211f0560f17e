//! Every reader of files that people give or that may be damaged, as a function of a file's bytes:
//! what fuzzing (`fuzz/`) and the tests of damaged files (`kernels-tests/readers/`) call. No part of
//! the library's interface: it is always there, for with a feature of its own everything would be
//! compiled twice where the command is built and tested.

use crate::eval::FeatureNet;
use crate::program::Device;
use crate::sample::read_latents;
use crate::train::{Config, RunDir, Session, Setting};
use std::fmt::Display;
use std::path::Path;
use tempfile::TempDir;

/// One reader.
pub struct Reader {
    /// Its name, which is that of the folder of its files in `fuzz/corpus` too.
    pub name: &'static str,
    /// Reads a file of these bytes. The error is what a person is told.
    pub read: fn(&[u8]) -> Result<(), String>,
    /// The most bytes of memory that it may hold at once for a file of so many.
    pub most: fn(u64) -> u64,
}

/// All of them.
pub fn all() -> Vec<&'static Reader> {
    let parts = [crate::data::READERS, HERE, crate::train::READERS];
    let parts = parts.into_iter().chain([crate::report::READERS, crate::cli::READERS]);
    parts.flatten().collect()
}

const HERE: &[Reader] = &[
    Reader { name: "latents-npz", read: |bytes| of_latents("npz", bytes), most: unpacked },
    Reader { name: "latents-npy", read: |bytes| of_latents("npy", bytes), most: text },
    Reader { name: "latents-csv", read: |bytes| of_latents("csv", bytes), most: text },
    Reader { name: "latents-safetensors", read: |bytes| of_latents("safetensors", bytes), most: text },
    Reader { name: "figures", read: |bytes| in_run("figures.jsonl", bytes, crate::eval::kept), most: text },
    Reader { name: "network", read: network, most: text },
];

/// The weights of a network whose features are compared.
fn network(bytes: &[u8]) -> Result<(), String> {
    let config = small()?;
    let session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu);
    let mut session = session.map_err(|error| error.to_string())?;
    file("network.safetensors", bytes, |path| FeatureNet::mobilenet(&mut session, path, 32))
}

fn of_latents(extension: &str, bytes: &[u8]) -> Result<(), String> {
    file(&format!("latents.{extension}"), bytes, |path| read_latents(path, 4))
}

/// What a file of text, or of numbers one by one, may take: its bytes, what is made of them, some
/// of it twice where a list grows, and the reader's own tables.
pub(crate) fn text(bytes: u64) -> u64 {
    (4 << 20) + 256 * bytes
}

/// What a file may take that is packed by deflate, which makes at most 1032 bytes of one: these, a
/// list of them that grows, and numbers made of them.
pub(crate) fn unpacked(bytes: u64) -> u64 {
    (4 << 20) + 8 * 1032 * bytes
}

/// What a picture, a film or a sound may take: half a gigabyte as it is decoded, whatever the file's
/// size, and four times as much as it is turned into colours in eight bits.
pub(crate) fn decoded(bytes: u64) -> u64 {
    (5 << 29) + text(bytes)
}

/// Has a file of these bytes read by its path.
pub(crate) fn file<T, E: Display>(
    name: &str,
    bytes: &[u8],
    read: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<(), String> {
    in_folder(|folder| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
        read(&path).map(drop).map_err(|error| error.to_string())
    })
}

/// Works in the folder that this thread's files are put in, which goes with it: in memory where the
/// system has such a place, as disks take their time for thousands of files.
fn in_folder(work: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    thread_local!(static FOLDER: std::io::Result<TempDir> =
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()));
    FOLDER.with(|folder| match folder {
        Ok(folder) => work(folder.path()),
        Err(error) => Err(format!("no folder for files: {error}")),
    })
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
