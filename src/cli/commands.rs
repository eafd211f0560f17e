//! What other programs call limn's commands, and values that flags cannot have: what was meant, in
//! place of clap's words.

use super::{Cli, usage};
use crate::words::{either, similar};
use clap::CommandFactory;
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
    let mut words = typed.iter().filter(|word| !word.starts_with('-'));
    let first = words.next()?;
    let helped = first == "help" && words.next().is_some_and(|second| second == wrong);
    // Commands of commands have names of their own.
    if first != wrong && !helped {
        return None;
    }
    let plain = wrong.to_lowercase();
    if ["delete", "remove", "rm", "del", "prune"].contains(&plain.as_str()) {
        return Some(format!("there is no command {wrong}: a run is its folder and nothing else; remove that"));
    }
    if let Some((_, meant)) = COMMANDS.iter().find(|(names, _)| names.contains(&plain.as_str())) {
        return Some(format!("there is no command {wrong}; it is `{meant}`"));
    }
    // Of these clap tells nothing that is near.
    let all = Cli::command();
    let names: Vec<&str> = all.get_subcommands().map(clap::Command::get_name).collect();
    helped.then(|| match &similar(&plain, &names)[..] {
        [] => format!("there is no command {wrong}; `limn --help` lists those there are"),
        near => {
            let near: Vec<String> = near.iter().map(|name| format!("`limn help {name}`")).collect();
            let near: Vec<&str> = near.iter().map(String::as_str).collect();
            format!("there is no command {wrong}; did you mean {}?", either(&near))
        }
    })
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
    (
        &["val-split", "split", "validation-split", "test-split", "train-split", "val-size", "test-size", "val"],
        "a tenth of the images is held out for testing, 1,000 at most; folders called train/ and test/ say it otherwise \
         (docs/data.md)",
    ),
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

/// What a command takes first: the folder of a run, as many do, a preset, or data.
fn missing(mistake: &clap::Error, typed: &[String]) -> Option<String> {
    let Some(ContextValue::Strings(missing)) = mistake.get(ContextKind::InvalidArg) else { return None };
    let (_, command) = usage::command(typed);
    let run = missing.iter().find(|missing| missing.starts_with("<DIR>"));
    let what = match run.or(missing.first())?.as_str() {
        two if two.starts_with("<DIR> <DIR>") || (two.starts_with("<DIR>") && command == "limn compare") => {
            "the folders of two runs or more, such as runs/vae-1 runs/vae-2; `limn runs` lists those there are"
        }
        one if one.starts_with("<DIR>") => "the folder of a run, such as runs/vae-1; `limn runs` lists those there are",
        preset if preset.starts_with("<PRESET") => "a preset, such as vae; `limn presets` lists them",
        images if images.starts_with("--images ") => {
            "--images: a picture, a folder of pictures, or test for test images of the run"
        }
        "<D>" => {
            "a folder of pictures or a dataset, such as fashion-mini; `limn data list` lists those, and --preset NAME \
             shows a preset's own"
        }
        "<NAME>" if command == "limn data get" => "the name of a dataset, such as mnist; `limn data list` lists them",
        _ => return None,
    };
    Some(format!("{command} takes {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

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
            ("report", "limn report takes the folder of a run, such as runs/vae-1"),
            ("compare", "limn compare takes the folders of two runs or more"),
            ("data show", "limn data show takes a folder of pictures or a dataset, such as fashion-mini"),
            ("data get", "limn data get takes the name of a dataset"),
            ("plan", "limn plan takes a preset, such as vae; `limn presets` lists them"),
            ("bench step", "limn bench step takes a preset"),
            ("profile", "limn profile takes a preset"),
            ("complete", "limn complete takes the folder of a run"),
            ("complete runs/vae-1", "limn complete takes --images: a picture, a folder"),
            ("delete runs/vae-1", "a run is its folder and nothing else; remove that"),
            ("help trian", "there is no command trian; did you mean `limn help train`?"),
            ("help zzz", "`limn --help` lists"),
            ("help fit", "it is `limn train PRESET`"),
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
