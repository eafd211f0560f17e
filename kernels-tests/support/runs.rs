//! Short runs of small models on the processor, and what their folders hold.

use limn::program::Device;
use limn::train::{Config, Hooks, Outcome, Resume, Sampler, Session, Setting, Start, TrainError, train};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A preset with these settings, small and short.
pub fn config(preset: &str, settings: &[&str]) -> Config {
    let mut config = Config::preset(preset).expect("a preset");
    config
        .set_all(
            &Setting::all(&["train.batch=4", "train.steps=7", "train.log_every=3", "train.checkpoint_every=2"])
                .expect("settings"),
        )
        .expect("settings");
    config.set_all(&Setting::all(settings).expect("settings")).expect("settings");
    config
}

pub fn vae(settings: &[&str]) -> Config {
    let mut all = vec!["model.hidden=8", "model.latent=2"];
    all.extend(settings);
    config("vae", &all)
}

pub fn start(config: &Config, out: &Path) -> Start {
    Start::New { config: config.clone(), out: Some(out.into()), init: None }
}

pub fn resume(dir: &Path) -> Start {
    Start::Resume(Resume { dir: dir.into(), ..Resume::default() })
}

/// Nothing is chosen or shown; `sampler` draws, and `stop` stops.
pub fn hooks<'a>(sampler: &'a mut Sampler<'a>, stop: &'a AtomicBool) -> Hooks<'a> {
    Hooks { sampler: Some(sampler), stop, ..Hooks::default() }
}

pub fn run(start: Start) -> Result<Outcome, TrainError> {
    let stop = AtomicBool::new(false);
    let mut sampler = |_: &mut Session, _: usize, _: &Path| Ok(None);
    train(start, Device::Cpu, hooks(&mut sampler, &stop))
}

/// Trains until a picture of step `at` is due, and stops there as Ctrl-C would.
pub fn run_until(start: Start, at: u64) -> Outcome {
    let stop = AtomicBool::new(false);
    let end = format!("step-{at}.png");
    let mut sampler = |_: &mut Session, _: usize, path: &Path| {
        stop.fetch_or(path.ends_with(&end), Ordering::Relaxed);
        Ok(None)
    };
    let outcome = train(start, Device::Cpu, hooks(&mut sampler, &stop));
    outcome.expect("a stop is no error")
}

pub fn bytes(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("checkpoint.safetensors")).expect("a checkpoint")
}

/// Step, epoch and losses of every row, as they are written.
pub fn losses(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("metrics.csv")).expect("metrics");
    text.lines().map(|l| l.rsplitn(3, ',').last().unwrap_or_default().to_string()).collect()
}
