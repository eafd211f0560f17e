//! What other programs call limn's commands, and values that flags cannot have: what was meant, in
//! place of clap's words.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;

/// What other programs call what limn does, and how it is typed here.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["resume", "continue", "restart"], "limn train --resume DIR"),
    (&["fit", "start", "learn", "new", "create", "finetune"], "limn train PRESET"),
    (&["generate", "predict", "infer", "inference", "draw", "synthesize", "gen"], "limn sample DIR"),
    (&["test", "val", "valid", "validate", "evaluate", "score", "metrics", "loss"], "limn eval DIR"),
    (&["fid"], "limn eval DIR --metric frechet --features DIR|FILE"),
    (&["inpaint", "fill"], "limn complete DIR --images FOLDER"),
    (&["interpolate", "reconstruct", "traverse", "manifold", "arithmetic"], "limn latent DIR WHAT"),
    (&["models", "model", "list", "ls", "zoo", "configs"], "limn presets"),
    (&["summary", "info", "describe", "params", "graph"], "limn plan PRESET"),
    (&["plot", "curves", "ui", "dashboard", "visualize", "view"], "limn report DIR"),
    (&["diff"], "limn compare DIR DIR"),
    (&["save", "convert", "onnx", "deploy", "publish", "web"], "limn export DIR --format web|pytorch|onnx|hub"),
    (&["animate", "gif", "video"], "limn film DIR"),
    (&["benchmark", "speed", "time"], "limn bench step PRESET"),
    (&["tune", "autotune"], "limn bench --tune PRESET"),
    (&["verify", "selftest"], "limn check"),
    (&["datasets", "dataset"], "limn data list"),
    (&["download", "fetch", "get"], "limn data get NAME"),
    (&["device", "gpu", "gpus", "env"], "limn devices"),
    (&["completion", "complete-shell"], "limn completions SHELL"),
    (&["version"], "limn --version"),
];

/// What to say of this mistake; `None` where clap says it best.
pub fn told(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    match mistake.kind() {
        ErrorKind::InvalidSubcommand => command(mistake, typed),
        ErrorKind::ValueValidation => value(mistake),
        ErrorKind::UnknownArgument => negative(mistake, typed).or_else(|| needless(mistake, typed)),
        ErrorKind::MissingRequiredArgument => missing(mistake, typed),
        _ => None,
    }
}

fn context(mistake: &clap::Error, kind: ContextKind) -> Option<&str> {
    match mistake.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

fn command(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    let wrong = context(mistake, ContextKind::InvalidSubcommand)?;
    // Commands of commands have names of their own.
    typed.iter().find(|word| !word.starts_with('-')).filter(|first| *first == wrong)?;
    let plain = wrong.to_lowercase();
    let (_, meant) = COMMANDS.iter().find(|(names, _)| names.contains(&plain.as_str()))?;
    Some(format!("there is no command {wrong}; it is `{meant}`"))
}

/// Numbers that a flag cannot have, without the limits of the machine's numbers.
fn value(mistake: &clap::Error) -> Option<String> {
    let flag = context(mistake, ContextKind::InvalidArg)?.split(' ').next()?;
    let value = context(mistake, ContextKind::InvalidValue)?;
    let why = mistake.source()?.to_string();
    let shown = if value.is_empty() { "nothing".into() } else { crate::words::word(value) };
    if why.contains("invalid digit") || why.contains("cannot parse integer") {
        return Some(format!("{flag} is a whole number, not {shown}"));
    }
    let (_, range) = why.split_once(" is not in ")?;
    let (low, high) = range.split_once("..").unwrap_or((range, ""));
    // What is only what so many bits can hold is no limit that somebody chose.
    let high: Option<u64> = high.strip_prefix('=').and_then(|high| high.parse().ok()).filter(|high| *high < 1 << 31);
    Some(match high {
        Some(high) => format!("{flag} is from {low} to {high}, not {shown}"),
        None if value.starts_with(|c: char| c.is_ascii_digit()) && value.len() > 9 => {
            format!("{flag} {shown} is too large")
        }
        None => format!("{flag} is at least {low}, not {shown}"),
    })
}

/// A negative number, which clap takes for a flag.
fn negative(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    let wrong = context(mistake, ContextKind::InvalidArg)?;
    let at = typed.iter().position(|word| word.starts_with(wrong) && word.parse::<f64>().is_ok())?;
    let flag = typed[..at].last().filter(|before| before.starts_with('-'))?;
    Some(format!("{flag} takes no negative number such as {}", typed[at]))
}

/// Flags of other programs for what limn does without being told.
const NEEDLESS: &[(&[&str], &str)] = &[
    (&["workers", "num-workers", "n-workers", "threads", "n-threads"], "all processors decode images and compute"),
    (&["verbose", "v", "progress"], "how it goes is told unless --quiet is given"),
    (&["shuffle"], "images come in another order at every pass, drawn by --seed"),
    (&["deterministic", "benchmark"], "the same seed makes the same bits on the same device"),
    (&["save", "save-model", "checkpoint-dir"], "a run saves itself into its folder"),
];

/// A flag for what is done anyway.
fn needless(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    let wrong = context(mistake, ContextKind::InvalidArg)?;
    let whole = typed.iter().find(|word| word.starts_with(wrong)).filter(|word| word.starts_with('-'))?;
    let name = whole.split('=').next()?;
    let plain = name.trim_start_matches('-').replace('_', "-").to_lowercase();
    // A device that somebody wants, and does not say which.
    let has_value = whole.contains('=') || typed.iter().skip_while(|word| *word != whole).nth(1).is_some();
    if ["gpu", "gpus", "cuda", "use-gpu", "use-cuda"].contains(&plain.as_str()) && !has_value {
        return Some(format!("there is no {name} here: a GPU is taken where there is one; --device D chooses another"));
    }
    let (_, why) = NEEDLESS.iter().find(|(names, _)| names.contains(&plain.as_str()))?;
    Some(format!("there is no {name} here: {why}"))
}

/// The folder of a run, which many commands take.
fn missing(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    let Some(ContextValue::Strings(missing)) = mistake.get(ContextKind::InvalidArg) else { return None };
    let command = typed.iter().find(|word| !word.starts_with('-'))?;
    let wants_run = missing.first().is_some_and(|first| first == "<DIR>");
    wants_run.then(|| {
        format!("limn {command} takes the folder of a run, such as runs/vae-1; `limn runs` lists those there are")
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, usage};
    use super::*;
    use clap::{CommandFactory, Parser};

    /// What is said of a command line.
    fn said(line: &str) -> Option<String> {
        let typed: Vec<String> = line.split(' ').map(String::from).collect();
        usage::told(&Cli::try_parse_from(std::iter::once("limn").chain(line.split(' '))).err()?, &typed)
    }

    #[test]
    fn what_others_call_a_command_leads_to_limns() {
        for (line, words) in [
            ("resume runs/a", "there is no command resume; it is `limn train --resume DIR`"),
            ("generate runs/a", "`limn sample DIR`"),
            ("predict", "`limn sample DIR`"),
            ("fit vae --epochs 3", "`limn train PRESET`"),
            ("val runs/a", "`limn eval DIR`"),
            ("Test", "`limn eval DIR`"),
            ("convert runs/a", "`limn export DIR --format web|pytorch|onnx|hub`"),
            ("--quiet download mnist", "`limn data get NAME`"),
            ("train vae --epochs 0", "--epochs is at least 1, not 0"),
            ("train vae --steps many", "--steps is a whole number, not many"),
            ("train vae --batch 99999999999", "--batch 99999999999 is too large"),
            ("sample a --scale 17", "--scale is from 1 to 16, not 17"),
            ("train vae --seed -1", "--seed takes no negative number such as -1"),
            ("sample a -n -3", "-n takes no negative number such as -3"),
            ("train vae --cpu", "it is --device cpu"),
            ("train vae --no-cuda", "it is --device cpu"),
            ("train --model vae", "limn train vae"),
            ("train vae --gpu", "a GPU is taken where there is one; --device D chooses another"),
            ("train vae --num-workers 4", "all processors"),
            ("train vae --verbose", "--quiet"),
            ("sample", "limn sample takes the folder of a run, such as runs/vae-1; `limn runs` lists"),
            ("eval --json", "limn eval takes the folder of a run"),
        ] {
            let said = said(line).unwrap_or_else(|| panic!("nothing of {line}"));
            assert!(said.contains(words), "{line}: {said}");
        }
        for line in ["trian vae", "data fetch mnist", "train vae --size x"] {
            assert_eq!(said(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_meant_is_there_and_what_is_not_is_no_command() {
        let all = Cli::command();
        for (names, meant) in COMMANDS {
            let command = meant.split(' ').nth(1).expect("a command");
            assert!(command.starts_with('-') || all.find_subcommand(command).is_some(), "{meant}");
            names.iter().for_each(|name| assert!(all.find_subcommand(name).is_none(), "{name} is one"));
        }
    }
}
