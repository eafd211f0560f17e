//! What to say where what was typed cannot be read: settings that were taken for flags, and
//! commands without anything behind them, lead on.

use super::times::{self, Times, about};
use super::{Cli, Error, commands, device, term};
use crate::train::{Config, Setting, presets};
use crate::words::{either, similar, word};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};
use std::collections::BTreeSet;

/// What other programs call limn's flags and settings. A name without dashes before it is a
/// setting.
const ALIASES: &[(&str, &str)] = &[
    ("learning_rate", "optim.lr"),
    ("batch_size", "--batch"),
    ("bs", "--batch"),
    ("epoch", "--epochs"),
    ("n_epochs", "--epochs"),
    ("num_epochs", "--epochs"),
    ("max_epochs", "--epochs"),
    ("iters", "--steps"),
    ("iterations", "--steps"),
    ("n_iters", "--steps"),
    ("num_steps", "--steps"),
    ("max_steps", "--steps"),
    ("output", "--out"),
    ("output_dir", "--out"),
    ("out_dir", "--out"),
    ("outdir", "--out"),
    ("save_dir", "--out"),
    ("logdir", "--out"),
    ("log_dir", "--out"),
    ("dataset", "--data"),
    ("dataroot", "--data"),
    ("data_dir", "--data"),
    ("data_path", "--data"),
    ("images", "--data"),
    ("image_size", "--size"),
    ("img_size", "--size"),
    ("imgsz", "--size"),
    ("resolution", "--size"),
    ("rgb", "--color"),
    ("gpu", "--device"),
    ("gpus", "--device"),
    ("cuda", "--device"),
    ("cpu", "--device cpu"),
    ("no_cuda", "--device cpu"),
    ("no_gpu", "--device cpu"),
    ("project", "--out"),
    ("name", "--out"),
    ("run_name", "--out"),
    ("workdir", "--out"),
    ("n_samples", "--n"),
    ("num_samples", "--n"),
    ("resume_from", "--resume"),
    ("hidden_size", "model.hidden"),
    ("hidden_dim", "model.hidden"),
    ("warmup", "train.lr_warm_up"),
    ("warmup_steps", "train.lr_warm_up"),
    ("scheduler", "train.lr_schedule"),
    ("lr_scheduler", "train.lr_schedule"),
    ("grad_clip", "train.clip_norm"),
    ("clip_grad", "train.clip_norm"),
    ("max_grad_norm", "train.clip_norm"),
    ("amp", "--precision mixed"),
    ("fp16", "--precision mixed"),
    ("half", "--precision mixed"),
    ("random_seed", "--seed"),
    ("manual_seed", "--seed"),
    ("checkpoint", "--resume"),
    ("ckpt", "--resume"),
    ("o", "--out"),
    ("b", "--batch"),
    ("e", "--epochs"),
    ("mask", "--keep"),
    ("region", "--keep"),
    ("count", "--n"),
    ("number", "--n"),
    ("num", "--n"),
    ("num_images", "--n"),
    ("nz", "model.latent"),
    ("z_dim", "model.latent"),
    ("latent_dim", "model.latent"),
    ("latent_size", "model.latent"),
    ("optimizer", "optim.kind"),
    ("optimiser", "optim.kind"),
    ("augmentation", "model.augment"),
    ("gp_weight", "model.penalty_weight"),
    ("lambda_gp", "model.penalty_weight"),
    ("ema_decay", "train.ema"),
    ("save_every", "train.checkpoint_every"),
    ("save_interval", "train.checkpoint_every"),
    ("log_interval", "train.log_every"),
    ("sample_interval", "train.sample_every"),
    ("eval_interval", "train.eval_every"),
    ("fid", "--metric frechet"),
    ("kid", "--metric kernel"),
    ("precision_recall", "--metric prdc"),
];

/// What people call some settings.
const IN_WORDS: &[(&str, &str)] = &[
    ("optim.lr", "the learning rate"),
    ("optim.kind", "the optimiser"),
    ("model.latent", "the number of latent dimensions"),
    ("model.augment", "augmentation"),
];

/// What to say in place of clap's own words about this mistake; `None` where those are best. `typed`
/// is the command line behind the program's name.
pub fn told(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    commands::told(mistake, typed).or_else(|| leading(mistake, typed)).or_else(|| unknown(mistake, typed))
}

/// A flag that there is nowhere near: those that are most like it, or where all are told. clap would
/// say how to pass it as a value, which nobody wants.
fn unknown(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    let Some(ContextValue::String(wrong)) = mistake.get(ContextKind::InvalidArg) else { return None };
    if mistake.kind() != ErrorKind::UnknownArgument || !wrong.starts_with('-') {
        return None;
    }
    let (command, path) = command(typed);
    let name = wrong.split('=').next().unwrap_or(wrong);
    let known: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    let near = similar(name.trim_start_matches('-'), &known);
    let near: Vec<String> = near.iter().map(|flag| format!("--{flag}")).collect();
    Some(match &near.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => format!("there is no {name} here; `{path} --help` tells all flags"),
        near => format!("there is no {name} here; did you mean {}?", either(near)),
    })
}

/// Flags of other programs and settings, which lead to limn's.
fn leading(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    if mistake.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(wrong)) = mistake.get(ContextKind::InvalidArg) else { return None };
    // Of -lr clap tells the first letter only.
    let at = typed.iter().position(|typed| typed.starts_with(wrong.as_str()))?;
    let (name, value) = match typed[at].split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (typed[at].as_str(), typed.get(at + 1).map(String::as_str).filter(|next| !next.starts_with("--"))),
    };
    let is_flag = name.starts_with('-');
    if !is_flag && !typed[at].contains('=') {
        return None;
    }
    let (command, path) = command(typed);
    // -oFILE is -o FILE.
    let (name, value) = match name.strip_prefix(wrong.as_str()).filter(|rest| wrong.len() == 2 && !rest.is_empty()) {
        Some(rest) if wrong != "--" && settings(&name[1..].to_lowercase(), typed).is_empty() => {
            (wrong.as_str(), Some(rest))
        }
        _ => (name, value),
    };
    let plain = name.trim_start_matches('-').replace('-', "_").to_lowercase();
    if let (Some(value), true) = (value, ["model", "arch", "config", "cfg", "preset"].contains(&plain.as_str()))
        && command.get_name() == "train"
    {
        return Some(format!("there is no {name} here; it goes by its name alone: limn train {}", word(value)));
    }
    let wanted =
        ALIASES.iter().find(|(alias, _)| *alias == plain && (is_flag || alias.len() > 1)).map(|(_, meant)| *meant);
    if let Some(flag) = wanted.filter(|meant| meant.starts_with("--")) {
        let (flag, fixed) = flag.split_once(' ').unwrap_or((flag, ""));
        let known = command.get_arguments().any(|arg| arg.get_long() == Some(flag.trim_start_matches("--")));
        let value = if fixed.is_empty() { value.map(word).unwrap_or_default() } else { fixed.into() };
        return known.then(|| format!("there is no {name} here; it is {}", format!("{flag} {value}").trim_end()));
    }
    if !command.get_arguments().any(|arg| arg.get_long() == Some("set")) {
        return None;
    }
    let meant = wanted.map_or_else(|| settings(&plain, typed), |key| vec![key.to_string()]);
    if path == "limn bench step"
        && let [key] = &meant[..]
        && IDLE.contains(&key.as_str())
    {
        let words = "as many steps as it takes are timed, whatever a run has";
        return Some(format!("there is no {name} here: {words}; `limn profile PRESET --steps N` takes their number"));
    }
    let set = |key: &String| format!("--set {key}={}", value.map_or("VALUE".into(), word));
    let ways: Vec<String> = meant.iter().map(set).collect();
    let what = match &meant[..] {
        [] => return None,
        [one] => IN_WORDS
            .iter()
            .find(|(key, _)| key == one)
            .map_or(format!("{} is a setting", bare(one)), |(_, words)| format!("{words} is a setting")),
        _ => "that is a setting".into(),
    };
    Some(format!("there is no {name} here; {what}: {}", ways.join(", or ")))
}

/// The last part of a key.
fn bare(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The keys of settings that are called so, whole or by their last part: of the preset that was
/// typed, or else of any.
fn settings(name: &str, typed: &[String]) -> Vec<String> {
    let named: Vec<&str> = presets().iter().map(|(name, _)| *name).filter(|n| typed.iter().any(|t| t == n)).collect();
    let all: Vec<&str> = presets().iter().map(|(name, _)| *name).collect();
    for presets in [named, all] {
        let keys = presets.iter().filter_map(|preset| Config::preset(preset).ok()).flat_map(|config| config.keys());
        let found: BTreeSet<String> = keys.filter(|key| key == name || bare(key) == name).collect();
        if !found.is_empty() {
            return found.into_iter().collect();
        }
    }
    Vec::new()
}

/// The definition of the command that was typed, and how it is typed whole.
pub(super) fn command(typed: &[String]) -> (Command, String) {
    let (mut command, mut path) = (Cli::command(), String::from("limn"));
    for word in typed {
        if let Some(inner) = command.find_subcommand(word) {
            path += &format!(" {}", inner.get_name());
            command = inner.clone();
        }
    }
    (command, path)
}

/// Settings of a run that change nothing of a step.
const IDLE: [&str; 10] = [
    "train.steps",
    "train.epochs",
    "train.log_every",
    "train.checkpoint_every",
    "train.sample_every",
    "train.eval_every",
    "train.views_every",
    "train.checkpoint_minutes",
    "train.samples",
    "train.keep",
];

/// Refuses settings that would change nothing where single steps are timed.
pub fn refuse_idle(set: &[Setting]) -> Result<(), Error> {
    match set.iter().find(|setting| IDLE.contains(&setting.key.as_str())) {
        Some(Setting { key, .. }) => {
            let words = "single steps are timed, and it changes nothing of one; leave it away";
            Err(Error::new(format!("--set {key}: {words}")))
        }
        None => Ok(()),
    }
}

/// Where `limn train` has nothing behind it: what there is, and one command to try.
pub fn train() -> String {
    let (times, here) = (Times::load(), device::quiet_name(None).ok());
    let time = |name: &str| {
        let run = Config::preset(name).ok().and_then(|preset| times.run(here.as_deref()?, &preset));
        run.map_or(String::new(), |run| format!(", {}", about(run)))
    };
    let mut rows = Vec::new();
    let mut kinds = Vec::new();
    for (name, text) in presets() {
        let Ok(preset) = Config::preset(name) else { continue };
        let kind = preset.model.kind();
        if !kinds.contains(&kind) {
            kinds.push(kind);
            // What every machine can train is the one to begin with.
            let shown = times::small(&preset).unwrap_or(name);
            let text = presets().iter().find(|(name, _)| *name == shown).map_or(*text, |(_, text)| text);
            rows.push(vec![format!("  limn train {shown}"), format!("{}{}", brief(text), time(shown))]);
        }
    }
    let mut lines = vec!["limn train takes a preset, or a TOML file of your own. To begin with:".to_string()];
    lines.push("  limn train vae".into());
    lines.push("on your own pictures:".into());
    lines.push("  limn train dcgan --data FOLDER".into());
    lines.push("one of each kind of model:".into());
    lines.extend(term::table(&rows));
    lines.push("`limn presets` lists all of them, `limn train --help` all flags".into());
    lines.join("\n")
}

/// The name of what a preset's file tells of, without who made it and how.
fn brief(text: &str) -> String {
    let line = super::presets::line(text);
    let end = [" (", ":", ", "].iter().filter_map(|mark| line.find(mark)).min();
    line[..end.unwrap_or(line.len())].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// What is said of a command line.
    fn said(line: &str) -> Option<String> {
        let typed: Vec<String> = line.split(' ').map(String::from).collect();
        let mistake = Cli::try_parse_from(std::iter::once("limn").chain(line.split(' '))).err()?;
        told(&mistake, &typed)
    }

    #[test]
    fn settings_taken_for_flags_lead_to_set() {
        for (line, end) in [
            ("train vae --lr 0.1", "there is no --lr here; the learning rate is a setting: --set optim.lr=0.1"),
            ("train vae --lr=0.1", "--set optim.lr=0.1"),
            ("train vae --learning-rate 0.1", "--set optim.lr=0.1"),
            ("train vae --latent 3", "--set model.latent=3"),
            ("train vae --model.latent 3", "--set model.latent=3"),
            ("plan vae --beta1 0.5", "--set optim.beta1=0.5"),
            ("profile vae --hidden 8", "--set model.hidden=8"),
            ("bench step dcgan --image 32", "image is a setting: --set model.image=32"),
            ("train vae --keep 3", "--set train.keep=3"),
            ("train my.toml --penalty dragan", "--set model.penalty=dragan"),
            ("train vae --ema", "--set train.ema=VALUE"),
            ("train vae optim.lr=0.1", "--set optim.lr=0.1"),
            ("train vae lr=0.1", "--set optim.lr=0.1"),
            ("train vae --batch-size 4", "there is no --batch-size here; it is --batch 4"),
            ("train vae --gpu 0", "it is --device 0"),
            ("train vae --fp16", "it is --precision mixed"),
            ("eval DIR --fid", "it is --metric frechet"),
        ] {
            let said = said(line).unwrap_or_else(|| panic!("nothing of {line}"));
            assert!(said.ends_with(end), "{line}: {said}");
        }
        // Every setting that a preset has, by its key and by its last part.
        for (name, _) in presets() {
            for key in Config::preset(name).unwrap().keys() {
                for flag in [&key, bare(&key)] {
                    let line = format!("train {name} --{flag} 1");
                    if let Some(mistake) = Cli::try_parse_from(["limn", "train", name, &format!("--{flag}"), "1"]).err()
                        && mistake.kind() == ErrorKind::UnknownArgument
                    {
                        let said = said(&line).unwrap_or_else(|| panic!("nothing of {line}"));
                        assert!(said.contains(&key), "{line}: {said}");
                    }
                }
            }
        }
        for line in ["train vae other", "train a b=c d"] {
            assert_eq!(said(line), None, "{line}");
        }
    }

    #[test]
    fn unknown_flags_lead_to_those_that_are_like_them() {
        for (line, words) in [
            ("sample DIR -o a.png", "there is no -o here; it is --out a.png"),
            ("sample DIR -oa.png", "there is no -o here; it is --out a.png"),
            ("train vae -o DIR", "it is --out DIR"),
            ("complete DIR --images a --mask m.png", "there is no --mask here; it is --keep m.png"),
            ("sample DIR --count 4", "it is --n 4"),
            ("train vae --val-split 0.2", "a tenth of the images"),
            ("train vae --split=0.2", "a tenth of the images"),
            ("train vae --bacth 4", "there is no --bacth here; did you mean --batch?"),
            ("sample DIR --lr 3", "there is no --lr here; `limn sample --help` tells all flags"),
            ("data list --lr 1", "`limn data list --help`"),
            ("data show a --nonsense", "`limn data show --help` tells all flags"),
            ("train vae -z", "there is no -z here; `limn train --help`"),
            ("bench step vae --steps 3", "there is no --steps here: as many steps as it takes"),
            ("bench step vae --epochs=3", "`limn profile PRESET --steps N`"),
        ] {
            let said = said(line).unwrap_or_else(|| panic!("nothing of {line}"));
            assert!(said.contains(words) && !said.contains("as a value"), "{line}: {said}");
        }
    }

    #[test]
    fn settings_that_change_nothing_of_a_step_are_refused_where_steps_are_timed() {
        let keys: BTreeSet<String> =
            presets().iter().flat_map(|(name, _)| Config::preset(name).unwrap().keys()).collect();
        let set = |text: &str| refuse_idle(&[text.parse().unwrap()]);
        assert!(set("train.steps=3").unwrap_err().to_string().contains("--set train.steps: single steps"));
        assert!(set("train.recompute=true").is_ok() && set("model.hidden=3").is_ok());
        // Those that presets name are spelled as they are there.
        assert!(IDLE.iter().filter(|key| keys.contains(**key)).count() > 4);
    }

    #[test]
    fn what_others_call_a_flag_is_one_of_limns() {
        let all = Cli::command();
        let longs: Vec<String> = all
            .get_subcommands()
            .flat_map(|c| c.get_arguments().filter_map(|arg| arg.get_long().map(String::from)))
            .collect();
        let keys: BTreeSet<String> =
            presets().iter().flat_map(|(name, _)| Config::preset(name).unwrap().keys()).collect();
        for (alias, meant) in ALIASES {
            match meant.strip_prefix("--") {
                Some(flag) => {
                    let long = flag.split(' ').next().unwrap_or_default();
                    assert!(longs.iter().any(|known| known == long), "{alias} means {meant}");
                }
                None => assert!(keys.contains(*meant), "{alias} means {meant}"),
            }
        }
    }
}
