//! How long a step of each preset takes on each device of this machine: measured once, or learnt
//! from training, and kept in the cache folder.

use super::{Error, Switch, TuneArg, device, term, tune};
use crate::bench::quantile;
use crate::data;
use crate::files;
use crate::graph::Shard;
use crate::kernels::Precision;
use crate::program::Device;
use crate::train::{Config, Session, StepSpec, presets, time_steps};
use crate::tune::Budget;
use crate::words::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The time of one step.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Time {
    /// Seconds a step.
    pub seconds: f64,
    /// Whether it was worked out from that of others, by its arithmetic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// What was timed: a digest of model, batch and optimiser, which may change between versions.
    settings: String,
}

/// Times of presets by device.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Times(BTreeMap<String, BTreeMap<String, Time>>);

impl Times {
    /// Those that are known; none where there is no cache folder or nothing fit to be read in it.
    pub fn load() -> Times {
        let bytes = file().and_then(|path| crate::files::read_small(&path).ok());
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// What is known of a preset on the device of this name.
    pub fn of(&self, device: &str, preset: &Config) -> Option<&Time> {
        let time = self.0.get(device)?.get(&preset.name)?;
        (time.settings == digest(preset) && time.seconds > 0.0 && time.seconds.is_finite()).then_some(time)
    }

    /// Whether anything is known of a device.
    pub fn knows(&self, device: &str) -> bool {
        self.0.get(device).is_some_and(|times| !times.is_empty())
    }

    /// How long settings run on the device of this name, in seconds, if they are as long to compute
    /// as those of a preset of which that is known.
    pub fn run(&self, device: &str, config: &Config) -> Option<f64> {
        let time = self.of(device, &of_preset(config)?)?;
        Some(time.seconds * config.planned_steps()? as f64)
    }

    /// The same of a preset in words.
    pub fn in_words(&self, device: &str, preset: &Config) -> Option<String> {
        let estimated = self.of(device, preset)?.estimated;
        let told = about(self.run(device, preset)?);
        Some(if estimated { format!("{told} (estimated)") } else { told })
    }
}

/// Keeps how long a step takes, if the settings are those of a preset as far as time goes; a folder
/// that cannot be written to is no reason to stop. An estimate does not take the place of what was
/// measured.
pub fn remember(device: &str, config: &Config, seconds: f64, estimated: bool) {
    let Some(preset) = of_preset(config).filter(|_| seconds > 0.0 && seconds.is_finite()) else { return };
    // Another limn may have written since.
    let mut times = Times::load();
    if estimated && times.of(device, &preset).is_some_and(|time| !time.estimated) {
        return;
    }
    let time = Time { seconds, estimated, settings: digest(&preset) };
    times.0.entry(device.into()).or_default().insert(preset.name, time);
    if let (Some(path), Ok(text)) = (file(), serde_json::to_vec_pretty(&times)) {
        let _ = files::make_folder_of(&path).and_then(|()| files::replace(&path, |file| file.write_all(&text)));
    }
}

/// The preset that settings take as long as.
fn of_preset(config: &Config) -> Option<Config> {
    let preset = Config::preset(&config.name).ok()?;
    let (now, its) = (&config.train, &preset.train);
    let same = config.model == preset.model
        && digest(config) == digest(&preset)
        && now.precision == Precision::Full
        && (now.recompute, now.accumulate, now.ema > 0.0) == (its.recompute, its.accumulate, its.ema > 0.0);
    same.then_some(preset)
}

fn digest(config: &Config) -> String {
    let told = format!(
        "{:?} {} {}",
        config.model,
        config.train.batch,
        config.by_keys().get("optim.kind").cloned().unwrap_or_default()
    );
    hex(&Sha256::digest(told)[..8])
}

fn file() -> Option<PathBuf> {
    Some(data::cache_dir().ok()?.join("times.json"))
}

/// A step may take this long to be timed; of what takes longer the time is worked out.
const PATIENCE: f64 = 4.0;

/// How long variants of a preset's kernels are measured before.
const TUNING: Budget = Budget::Time(Duration::from_secs(3));

/// Times steps of presets on a device, the quickest first, and keeps what they take.
pub fn measure(presets: &[Config], device: Option<&str>) -> Result<(), Error> {
    let device = device::open_to_compute(device, Precision::Full)?;
    let mut planned = Vec::new();
    for preset in presets {
        // What costs time are the last steps of a model that grows.
        let model = preset.model.at(preset.planned_steps().unwrap_or(1).saturating_sub(1))?;
        let (optim, recompute) = (preset.optimizer(), preset.train.recompute);
        let step =
            StepSpec { model: model.as_ref(), optim: &optim, seed: 0, recompute, choices: None, shard: Shard::WHOLE };
        planned.push((step.program(preset.train.batch, device.caps())?.totals().flops as f64, preset));
    }
    planned.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The kinds that were timed, and how much arithmetic they do in a second.
    let mut rates: Vec<(&str, f64)> = Vec::new();
    let (mut progress, all) = (term::Progress::new(), planned.len());
    for (i, (flops, preset)) in planned.into_iter().enumerate() {
        progress.show(format!("timing {}, {} of {all}", preset.name, i + 1));
        let kind = preset.model.kind();
        let guess = rate(&rates, kind).map(|rate| flops / rate);
        if let Some(guess) = guess.filter(|guess| *guess > PATIENCE) {
            remember(&device.name(), preset, guess, true);
            continue;
        }
        match timed(preset, &device) {
            Ok(seconds) => {
                rates.push((kind, flops / seconds));
                remember(&device.name(), preset, seconds, false);
            }
            Err(error) => {
                progress.clear();
                term::note(format!("{}: {error}", preset.name));
            }
        }
    }
    Ok(())
}

/// The rate that a kind of model can be expected to have: that of the largest of its own that was
/// timed, or else a middle one.
fn rate(rates: &[(&str, f64)], kind: &str) -> Option<f64> {
    let own = rates.iter().rev().find(|(of, _)| *of == kind).map(|(_, rate)| *rate);
    let mut all: Vec<f64> = rates.iter().map(|(_, rate)| *rate).collect();
    own.or_else(|| (!all.is_empty()).then(|| quantile(&mut all, 0.5)))
}

/// Seconds of a step as a training takes them, one after the other.
fn timed(preset: &Config, device: &Device) -> Result<f64, Error> {
    let mut session = Session::new(&preset.model, &preset.optimizer(), preset.train.seed, device.clone())?;
    session.recompute = preset.train.recompute;
    session.go_to(preset.planned_steps().unwrap_or(1).saturating_sub(1))?;
    let mut tuner = tune::tuner(TuneArg { tune: Switch::On }, device);
    tune::tune(&mut session, preset.train.batch, 1, TUNING, tuner.as_mut())?;
    let timing = time_steps(&mut session, &preset.name, preset.train.batch, 1, 2)?;
    Ok(timing.pipelined_ms / 1e3)
}

/// A long time in words: "about 4 min". It is an estimate for somebody who has not begun yet, so in
/// one unit, unlike time that is taken or left.
pub fn about(seconds: f64) -> String {
    let told = match seconds {
        s if s < 10.0 => "10 s".into(),
        s if s < 90.0 => format!("{:.0} s", 10.0 * (s / 10.0).round()),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    };
    let rough = if seconds < 10.0 { "under" } else { "about" };
    format!("{rough} {told}")
}

/// The preset for machines without a GPU that is made of these settings' one, or else one of the same
/// kind of model; `None` where they are such a preset's, or there is none.
pub fn small(config: &Config) -> Option<&'static str> {
    let mut all = presets().iter().map(|(name, _)| *name).filter(|name| name.ends_with(SMALL));
    if config.name.ends_with(SMALL) {
        return None;
    }
    let own = format!("{}{SMALL}", config.name);
    let of_kind = |name: &&str| Config::preset(name).is_ok_and(|preset| preset.model.kind() == config.model.kind());
    all.clone().find(|name| *name == own).or_else(|| all.find(of_kind))
}

/// What the names of presets for machines without a GPU end in.
const SMALL: &str = "-small";

/// From so many seconds on a run is long.
const LONG: f64 = 3600.0;

/// What to say of a run that takes so many seconds on a device, where there is something shorter;
/// nothing of a short one.
pub fn too_long(config: &Config, device: &str, is_software: bool, seconds: f64) -> Option<String> {
    if seconds < LONG {
        return None;
    }
    let told = format!("{} on {device}", about(seconds));
    let preset = Config::preset(small(config)?).ok()?;
    let its = Times::load().run(device, &preset).filter(|its| *its < seconds);
    let its = its.map_or(String::new(), |its| format!(" ({} here)", about(its)));
    let made = if is_software { "is made for machines without a GPU" } else { "is the smaller one" };
    Some(format!("{told}; {} {made}{its}", preset.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_told_in_whole_units() {
        let told: Vec<String> = [3.0, 44.0, 240.0, 14_400.0, 900_000.0].map(about).to_vec();
        assert_eq!(told, ["under 10 s", "about 40 s", "about 4 min", "about 4 h", "about 10 days"]);
    }

    #[test]
    fn what_is_not_timed_is_as_fast_as_its_kind() {
        let rates = [("vae", 4.0), ("dcgan", 8.0), ("pixelrnn", 1.0), ("dcgan", 10.0)];
        assert_eq!([rate(&rates, "dcgan"), rate(&rates, "vae"), rate(&[], "vae")], [Some(10.0), Some(4.0), None]);
        assert!((1.0..=10.0).contains(&rate(&rates, "biggan").unwrap()));
    }

    #[test]
    fn a_run_that_takes_hours_is_told_of_what_is_shorter() {
        let dcgan = Config::preset("dcgan-28").unwrap();
        assert_eq!(too_long(&dcgan, "cpu", true, 600.0), None);
        let larger = Config::preset("dcgan").unwrap();
        assert!(too_long(&larger, "cpu", true, 14_400.0).unwrap().contains("; dcgan-28-small is made"));
        let told = too_long(&dcgan, "cpu", true, 14_400.0).unwrap();
        assert!(told.starts_with("about 4 h on cpu; dcgan-28-small is made for machines without a GPU"), "{told}");
        assert_eq!(too_long(&Config::preset("ae").unwrap(), "cpu", true, 14_400.0), None);
    }

    #[test]
    fn only_what_takes_as_long_as_a_preset_counts_as_one() {
        let vae = Config::preset("vae").unwrap();
        assert!(of_preset(&vae).is_some());
        for setting in ["model.hidden=8", "train.batch=7", "train.recompute=true", "train.precision=mixed"] {
            let mut other = vae.clone();
            other.set(setting.parse().unwrap()).unwrap();
            assert_eq!(of_preset(&other), None, "{setting}");
        }
        let mut longer = vae.clone();
        longer.train.steps = Some(9);
        assert!(of_preset(&longer).is_some());
    }
}
