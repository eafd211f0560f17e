//! Which settings may change where a run goes on, and why the others may not.

use super::Config;
use crate::data::Order;
use crate::nn::OptimConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use toml::Value;

/// A setting that is another than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The setting, as `section.key`.
    pub key: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes from {} to {}", self.key, self.from, self.to)
    }
}

/// A change that a run cannot go on with.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A setting that stays as it is.
    #[error("{key} = {from} cannot become {to} where a run goes on: {why}")]
    Fixed {
        /// The setting.
        key: String,
        /// What it is.
        from: String,
        /// What was asked for.
        to: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// A batch of another size in the middle of a pass over the images.
    #[error(
        "train.batch = {from} can become {to} only where a pass over the images ends with either size, or images would be \
         left out or come twice; after step {step} the next such place is step {next}"
    )]
    Batch {
        /// What it is.
        from: usize,
        /// What was asked for.
        to: usize,
        /// Steps done.
        step: u64,
        /// Steps after which it can change.
        next: u64,
    },
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// It is made: the next step is taken by the new value, and nothing that is kept contradicts
    /// it.
    Free,
    /// It is made where a pass over the images ends with both sizes.
    Batch,
    /// It is refused.
    Fixed(&'static str),
}

/// The rule of a setting. Free is what only the steps to come depend on, and what no bit depends
/// on.
fn rule(key: &str) -> Rule {
    match key {
        "optim.lr" | "optim.weight_decay" | "optim.eps" | "optim.momentum" | "optim.momentum_end" | "optim.floor" => {
            Rule::Free
        }
        "train.steps" | "train.epochs" | "train.recompute" | "train.accumulate" | "train.sync_batch_norm" => Rule::Free,
        "train.clip_norm" | "train.lr_schedule" | "train.lr_end" | "train.lr_steps" | "train.lr_warm_up" => Rule::Free,
        "train.eval_every"
        | "train.views_every"
        | "train.log_every"
        | "train.sample_every"
        | "train.checkpoint_every"
        | "train.checkpoint_minutes"
        | "train.samples"
        | "train.keep" => Rule::Free,
        "train.batch" => Rule::Batch,
        "train.seed" => Rule::Fixed("parameters, noise and the order of the images are drawn from it"),
        "train.ema" => Rule::Fixed("the average in the checkpoint was kept with it from the first step on"),
        "train.precision" => Rule::Fixed("it is chosen anew where the run goes on"),
        "optim.kind" => Rule::Fixed("the checkpoint holds what the other optimiser keeps"),
        "optim.decay" | "optim.momentum_steps" => Rule::Fixed(
            "it counts from the first step, so that what it has come to would jump; change optim.lr instead",
        ),
        "optim.batches" => Rule::Fixed("the run may be in the middle of a pass of so many batches"),
        _ if key.starts_with("optim.") => Rule::Fixed("the moments in the checkpoint were gathered with it"),
        _ if key.starts_with("model.") => Rule::Fixed("the checkpoint is of this model; another is a new run"),
        _ if key.starts_with("data.") => Rule::Fixed("a run goes on with the images it began with"),
        _ => Rule::Fixed("it is part of what the run is"),
    }
}

/// Settings by dotted keys.
pub(super) type Flat = BTreeMap<String, Value>;

/// All settings of a table, behind its name.
pub(super) fn flat(section: &str, settings: &impl Serialize) -> Flat {
    let mut all = Flat::new();
    // Settings that cannot be written down are none; they come from a file.
    if let Ok(value) = Value::try_from(settings) {
        put(&mut all, section.into(), value);
    }
    all
}

fn put(all: &mut Flat, key: String, value: Value) {
    match value {
        Value::Table(table) => {
            let name = |inner: String| if key.is_empty() { inner } else { format!("{key}.{inner}") };
            table.into_iter().for_each(|(inner, value)| put(all, name(inner), value));
        }
        value => drop(all.insert(key, value)),
    }
}

/// What differs between two tables, kinds first: other keys hang on them.
pub(super) fn changes(was: &Flat, now: &Flat) -> Vec<Change> {
    let shown = |value: Option<&Value>| value.map_or("unset".into(), |value| value.to_string());
    let keys: std::collections::BTreeSet<&String> = was.keys().chain(now.keys()).collect();
    let mut all: Vec<Change> = keys
        .into_iter()
        .filter(|key| !same(was.get(*key), now.get(*key)))
        .map(|key| Change { key: key.clone(), from: shown(was.get(key)), to: shown(now.get(key)) })
        .collect();
    all.sort_by_key(|change| !change.key.ends_with(".kind"));
    all
}

/// Whether two settings are the same; numbers that JSON was read into may be off in the last bit.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Float(a)), Some(Value::Float(b))) => a == b || (a - b).abs() <= 1e-14 * a.abs().max(b.abs()),
        (a, b) => a == b,
    }
}

/// The first change that is refused wherever a run stands, and why.
pub(super) fn refused(changes: &[Change]) -> Option<(&Change, &'static str)> {
    changes.iter().find_map(|change| match rule(&change.key) {
        Rule::Fixed(why) => Some((change, why)),
        Rule::Free | Rule::Batch => None,
    })
}

/// What differs between the settings of a run and those it is to go on with. How long it is to be
/// is told elsewhere, and so is the precision, which the device decides.
///
/// # Errors
/// [`ChangeError::Fixed`].
pub(super) fn between(was: &Config, now: &Config) -> Result<Vec<Change>, ChangeError> {
    let mut all = changes(&flat("", was), &flat("", now));
    all.retain(|change| !matches!(&change.key[..], "train.steps" | "train.epochs"));
    match refused(&all) {
        Some((Change { key, from, to }, why)) => {
            Err(ChangeError::Fixed { key: key.clone(), from: from.clone(), to: to.clone(), why })
        }
        None => Ok(all),
    }
}

/// Refuses batches of another size where the order of the images does not allow it: an order is a
/// function of the size, and both have to begin a pass after `batches` batches, of which a step
/// takes `per_step`.
///
/// # Errors
/// [`ChangeError::Batch`], [`ChangeError::Fixed`].
pub(super) fn batch(optim: &OptimConfig, [was, now]: [&Order; 2], step: u64, per_step: u64) -> Result<(), ChangeError> {
    let (from, to) = (was.size(), now.size());
    if from == to {
        return Ok(());
    }
    if let OptimConfig::Em { .. } = optim {
        let why = "a pass of expectation-maximisation is so many batches of this size";
        return Err(ChangeError::Fixed { key: "train.batch".into(), from: from.to_string(), to: to.to_string(), why });
    }
    let [a, b] = [was, now].map(Order::steps_per_epoch);
    let both = (a / gcd(a, b)).saturating_mul(b);
    let every = both / gcd(both, per_step);
    match step.is_multiple_of(every) {
        true => Ok(()),
        false => Err(ChangeError::Batch { from, to, step, next: (step / every + 1).saturating_mul(every) }),
    }
}

/// The greatest common divisor of numbers of which one at least is not 0.
fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Setting, presets};

    #[test]
    fn every_setting_of_every_preset_has_a_rule_that_holds() {
        for (name, _) in presets() {
            let was = Config::preset(name).unwrap();
            assert_eq!(between(&was, &was).unwrap(), []);
            for key in flat("", &was).keys() {
                let free =
                    ["lr", "weight_decay", "eps", "momentum", "momentum_end", "floor"].map(|k| format!("optim.{k}"));
                let loose = ["steps", "epochs", "log_every", "clip_norm", "checkpoint_every", "samples"];
                let loose = loose.map(|k| format!("train.{k}"));
                let wanted = free.contains(key) || loose.contains(key);
                match rule(key) {
                    Rule::Free => assert!(wanted, "{name}: {key}"),
                    Rule::Batch => assert_eq!(key, "train.batch"),
                    Rule::Fixed(why) => assert!(!wanted && !why.is_empty(), "{name}: {key}"),
                }
            }
        }
    }

    #[test]
    fn changes_are_named_with_both_values_and_kinds_come_first() {
        let was = Config::preset("vae").unwrap();
        let mut now = was.clone();
        now.set_all(&Setting::all(&["optim.lr=1e-5", "train.log_every=7"]).unwrap()).unwrap();
        let found: Vec<String> = between(&was, &now).unwrap().iter().map(Change::to_string).collect();
        assert_eq!(found[0], "optim.lr changes from 0.001 to 0.00001");
        assert!(found[1].starts_with("train.log_every changes from ") && found[1].ends_with(" to 7"), "{found:?}");
        now.set("optim.kind=sgd".parse().unwrap()).unwrap();
        let error = between(&was, &now).unwrap_err().to_string();
        assert!(error.starts_with("optim.kind = \"adam\" cannot become \"sgd\""), "{error}");
        for (setting, words) in [
            ("model.beta=4", "model.beta = 1.0 cannot become 4.0"),
            ("train.seed=1", "train.seed = 0 cannot become 1"),
            ("train.ema=0.5", "train.ema"),
            ("data.source=mnist", "images it began with"),
            ("optim.beta1=0.5", "moments"),
            ("optim.decay=0.5", "counts from the first step"),
        ] {
            let mut now = was.clone();
            now.set(setting.parse().unwrap()).unwrap();
            let error = between(&was, &now).unwrap_err().to_string();
            assert!(error.contains(words), "{error}\n{words}");
        }
    }

    #[test]
    fn a_batch_changes_where_passes_of_both_sizes_end() {
        let adam = Config::preset("vae").unwrap().optim;
        let order = |size| Order::new(60, size, 0).unwrap();
        let (ten, five) = (order(10), order(5));
        let at = |step, per_step| batch(&adam, [&ten, &five], step, per_step);
        // Six batches a pass, and twelve.
        for step in 0..40 {
            assert_eq!(at(step, 1).is_ok(), step % 12 == 0, "{step}");
            assert_eq!(at(step, 8).is_ok(), step % 3 == 0, "{step}");
            // Where it is allowed the next step begins a whole pass of the new order.
            if at(step, 8).is_ok() {
                let mut pass: Vec<u32> = (8 * step..8 * step + 12).flat_map(|b| five.batch(b)).collect();
                pass.sort_unstable();
                assert_eq!(pass, (0..60).collect::<Vec<_>>());
            }
        }
        assert!(at(13, 1).unwrap_err().to_string().contains("the next such place is step 24"));
        let em = OptimConfig::Em { floor: 1.0, batches: 6 };
        assert!(batch(&em, [&ten, &five], 12, 1).is_err() && batch(&em, [&ten, &ten], 5, 1).is_ok());
    }
}
