//! From the binary alone: what leads on from where somebody stands, and what is remembered of how
//! long things take.

use super::models::{Place, on_cpu};
use super::{Call, call, limn, text};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Calls limn on the processor with a cache folder of its own.
fn with_cache(cache: &Path, args: &[&str]) -> Call {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    call(command.args(args).args(["--device", "cpu"]).env("LIMN_CACHE", cache))
}

#[test]
fn nothing_behind_a_command_leads_on() {
    let help = limn(&[]);
    assert_eq!((help.code, help.out.as_str()), (Some(2), ""));
    assert!(help.err.contains("limn train vae") && help.err.contains("limn presets"), "{}", help.err);
    let train = limn(&["train"]);
    assert_eq!((train.code, train.out.as_str()), (Some(2), ""));
    for words in ["limn train vae\n", "--data FOLDER", "limn train dcgan-28-small", "`limn presets`", "--help"] {
        assert!(train.err.contains(words), "no {words} in {}", train.err);
    }
    // Every command that it names can be typed.
    for line in train.err.lines().filter(|line| line.starts_with("  limn train ") && !line.contains("FOLDER")) {
        let preset = line.split_whitespace().nth(2).expect("a preset");
        limn(&["presets", preset]).good();
    }
}

#[test]
fn what_is_no_flag_leads_to_what_there_is() {
    limn(&["train", "vae", "--lr", "0.1"]).bad(&["the learning rate is a setting: --set optim.lr=0.1"]);
    limn(&["plan", "vae", "--batch-size=8"]).bad(&["it is --batch 8"]);
    limn(&["train", "vae", "--latent", "3", "--steps", "1"]).bad(&["--set model.latent=3"]);
    limn(&["resume", "runs/vae-1"]).bad(&["limn train --resume DIR"]);
    limn(&["train", "vae", "--epochs", "0"]).bad(&["--epochs is at least 1, not 0"]);
    limn(&["train", "vae", "--seed", "-1"]).bad(&["--seed takes no negative number"]);
    limn(&["train", "dcgan-28", "--set", "model.augment=colour"]).bad(&["did you mean color?"]);
    limn(&["plan", "vae", "--device", "cuda:0"]).bad(&["without --device it is the fastest"]);
    let place = Place::new();
    let run = place.vae();
    let eval = |metric: &str, words: &[&str]| on_cpu(&["eval", text(&run), "--metric", metric]).bad(words);
    eval("fid", &["--metric frechet --features"]);
    eval("KID", &["--metric kernel --features"]);
    eval("is", &["there is no Inception score", "--metric prdc"]);
}

#[test]
fn programs_are_shown_of_presets_files_and_runs_alike() {
    let place = Place::new();
    let run = place.vae();
    let file = place.path("my.toml");
    std::fs::write(&file, "preset = \"vae\"\n[model]\nhidden = 8\nlatent = 2\n").expect("a file");
    let parameters = |what: &str, set: &[&str]| {
        let rows = on_cpu(&[&["plan", what, "--json", "--batch", "4"], set].concat()).good().rows();
        rows[0]["parameters"].as_u64().expect("a number")
    };
    let tiny = ["--set", "model.hidden=8", "--set", "model.latent=2"];
    let wanted = parameters("vae", &tiny);
    assert_eq!([parameters(text(&file), &[]), parameters(text(&run), &[])], [wanted; 2]);
    assert!(parameters(text(&run), &["--set", "model.hidden=9"]) > wanted);
    for what in ["vae", text(&file), text(&run)] {
        for command in [&["profile"][..], &["bench", "step"]] {
            let args = [command, &[what, "--json", "--batch", "2"], &tiny].concat();
            assert!(!on_cpu(&args).good().rows().is_empty(), "{command:?} {what}");
        }
    }
    on_cpu(&["plan", text(&place.path("."))]).bad(&["no run"]);
}

#[test]
fn how_long_a_preset_takes_is_measured_once_and_learnt_from_training() {
    let cache = tempfile::tempdir().expect("a folder");
    let place = Place::new();
    let told = |name: &str| with_cache(cache.path(), &["presets", name, "--json"]).good().rows()[0].clone();
    assert_eq!((&told("gan")["seconds"], &told("gan")["steps"]), (&Value::Null, &15000.into()));
    assert!(with_cache(cache.path(), &["presets"]).good().out.contains("`limn presets --measure` finds out"));
    with_cache(cache.path(), &["presets", "gan", "--measure"]).good();
    let seconds = told("gan")["seconds"].as_f64().expect("measured");
    assert!(seconds > 0.0 && told("gan")["estimated"] == false);
    let table = with_cache(cache.path(), &["presets"]).good().out;
    assert!(table.contains("a run here is on cpu") && table.matches("about ").count() >= 1, "{table}");
    // What was trained is known as well, unless it was another model than the preset's.
    let train = |more: &[&str]| {
        let out = place.path(&format!("run-{}", more.len()));
        let args = ["train", "ae", "--steps", "4", "--set", "train.log_every=2", "--out", text(&out)];
        with_cache(cache.path(), &[&args, more].concat()).good()
    };
    train(&["--set", "model.hidden=8"]);
    assert_eq!(told("ae")["seconds"], Value::Null);
    train(&[]);
    assert!(told("ae")["seconds_per_step"].as_f64() > Some(0.0));
    // A run that takes hours is told of one that does not.
    let file = cache.path().join("times.json");
    let mut times: Value = serde_json::from_slice(&std::fs::read(&file).expect("times")).expect("JSON");
    times["cpu"]["gan"]["seconds"] = 14400.0.into();
    std::fs::write(&file, times.to_string()).expect("a file");
    let long = with_cache(cache.path(), &["train", "gan", "--steps", "1", "--out", text(&place.path("long"))]).good();
    assert!(
        long.err.contains("about 4 h on cpu; gan-small is made for machines without a GPU"),
        "{}{}",
        long.out,
        long.err
    );
    // Whatever stands in the file, it is no reason to fail.
    std::fs::write(&file, "{\"cpu\": 3").expect("a file");
    with_cache(cache.path(), &["presets"]).good();
}

#[test]
fn shells_complete_commands_presets_and_datasets() {
    for (shell, words) in [
        ("bash", &["_limn()", "dcgan-28-small", "fashion-mnist"][..]),
        ("zsh", &["#compdef limn", "dcgan-28-small", "fashion-mnist"]),
        ("fish", &["complete -c limn", "dcgan-28-small", "fashion-mnist"]),
    ] {
        let script = limn(&["completions", shell]).good().out;
        words.iter().for_each(|word| assert!(script.contains(word), "no {word} for {shell}"));
    }
    // What bash then makes of a word that has begun.
    let complete = |words: &str, at: usize| {
        let script = format!(
            "source <('{}' completions bash); COMP_WORDS=({words}); COMP_CWORD={at}; _limn limn \
             \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{}]}}\"; echo ${{COMPREPLY[@]}}",
            env!("CARGO_BIN_EXE_limn"),
            at - 1
        );
        // Where there is no bash there is nothing to ask.
        let output = Command::new("bash").args(["-c", &script]).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (words, at, wanted) in [
        ("limn tra", 1, "train"),
        ("limn train wgan-g", 2, "wgan-gp"),
        ("limn train vae --data fashion-mn", 4, "fashion-mnist"),
        ("limn train vae --bat", 3, "--batch"),
        ("limn data show cif", 3, "cifar10"),
    ] {
        if let Some(reply) = complete(words, at) {
            assert!(reply.split_whitespace().any(|reply| reply == wanted), "{words}: {reply}");
        }
    }
    let call = limn(&["completions", "tcsh"]);
    assert!(call.code == Some(2) && call.err.contains("fish"), "{}", call.err);
}
