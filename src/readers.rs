//! Every reader of files that people give or that may be damaged, as a function of a file's bytes:
//! what fuzzing (`fuzz/`) and the tests of damaged files (`kernels-tests/readers/`) call. No part of
//! the library's interface: it is always there, for with a feature of its own everything would be
//! compiled twice where the command is built and tested.

pub use crate::by_bytes::Reader;

use crate::by_bytes::{file, text, unpacked};
use crate::eval::FeatureNet;
use crate::program::Device;
use crate::sample::read_latents;
use crate::train::Session;
use crate::train::readers::{in_run, small};

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
