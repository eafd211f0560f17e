//! A training as it is watched: a bar on a terminal, lines for machines, silence, warnings.

use crate::limn;
#[cfg(unix)]
use crate::support::not_tested;
use serde_json::Value;
use std::path::Path;
#[cfg(unix)]
use std::process::Command;

const SMALL: [&str; 9] = ["train", "vae", "--device", "cpu", "--batch", "16", "--set", "model.hidden=16", "--out"];

/// The events of a training with `--json`, an object a line.
fn events(args: &[&str]) -> Vec<Value> {
    let out = limn(args).good().out;
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

#[test]
fn machines_are_told_everything_an_object_a_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let args = [&SMALL[..], &[out.to_str().expect("a path"), "--json", "--steps", "40", "--set", "train.log_every=10"]];
    let events = events(&args.concat());
    assert_eq!(named(&events, "begin")[0]["steps"], 40);
    let steps: Vec<&Value> = named(&events, "progress").iter().map(|event| &event["step"]).collect();
    assert_eq!(steps, [10, 20, 30, 40]);
    for event in named(&events, "progress") {
        assert!(event["losses"]["loss"].as_f64().is_some_and(|loss| loss > 0.0), "{event}");
    }
    let pictures = named(&events, "picture");
    assert!((2..=10).contains(&pictures.len()), "{pictures:?}");
    assert!(pictures.iter().all(|event| Path::new(event["file"].as_str().unwrap_or_default()).is_file()));
    assert!(named(&events, "test").iter().any(|event| event["best"] == true && event["figures"]["loss"].is_f64()));
    let last = events.last().expect("events");
    assert!(last["event"] == "end" && last["step"] == 40 && last["interrupted"] == false, "{last}");
}

#[test]
fn a_training_ends_with_the_page_about_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let told = limn(&[&SMALL[..], &[out.to_str().expect("a path"), "--steps", "3"]].concat()).good().out;
    let page = out.join("report.html");
    assert!(page.is_file() && told.contains(&format!("report      {}", page.display())), "{told}");
}

#[test]
fn a_quiet_training_says_where_it_is_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let call = limn(&[&SMALL[..], &[out.to_str().expect("a path"), "--quiet", "--steps", "3"]].concat());
    assert_eq!((call.code, call.out.trim_end()), (Some(0), out.to_str().expect("a path")), "{}", call.err);
    assert!(out.join("checkpoint.safetensors").is_file());
}

/// What a terminal of so many columns is sent by a training, with these variables set.
#[cfg(unix)]
fn on_terminal(columns: u32, variables: &[(&str, &str)], out: &Path) -> Option<String> {
    let limn = env!("CARGO_BIN_EXE_limn");
    let args = [&SMALL[..], &[out.to_str().expect("a path"), "--steps", "60", "--set", "train.log_every=20"]].concat();
    let command = format!("stty cols {columns}; exec {limn} {}", args.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).envs(variables.iter().copied()).env("LC_ALL", "C.UTF-8");
    match script.output() {
        Ok(done) => Some(String::from_utf8_lossy(&done.stdout).into_owned()),
        Err(error) => {
            not_tested(&format!("lines in a terminal, which is not to be had from script: {error}"));
            None
        }
    }
}

#[cfg(unix)]
#[test]
fn a_bar_fits_the_terminal_and_shows_what_matters() {
    let dir = tempfile::tempdir().expect("a folder");
    for columns in [80, 40] {
        let out = dir.path().join(columns.to_string());
        let Some(text) = on_terminal(columns, &[("TERM", "xterm")], &out) else { return };
        // Lines as they are drawn, without what steers the terminal.
        let steering = |c: char| c == '\r' || c == '\n' || c == '\u{1b}';
        let lines = text.split(steering);
        // A line that is printed above the bar is filled up with blanks, and the bar follows it.
        let bar = |line: &str| line.find(['━', '─']).map(|at| line[at..].trim_end().to_string());
        let bars: Vec<String> = lines.filter_map(bar).collect();
        assert!(bars.iter().any(|bar| bar.contains(" 0/60")), "there is a bar before the first step: {text:?}");
        let full = |bar: &&String| ["loss ", "/s", " 0s"].iter().all(|word| bar.contains(word));
        assert!(bars.iter().any(|bar| full(&bar)), "{columns}: {bars:?}");
        let long = bars.iter().find(|bar| bar.chars().count() >= columns as usize);
        assert_eq!(long, None, "{columns}");
    }
}

#[cfg(unix)]
#[test]
fn a_dumb_terminal_is_sent_nothing_that_steers_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(text) = on_terminal(80, &[("TERM", "dumb"), ("NO_COLOR", "1")], &dir.path().join("run")) else { return };
    assert!(text.contains("step 60/60") && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn what_goes_wrong_is_told_once_in_the_log_and_on_the_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let wrong = ["--steps", "400", "--set", "model.beta=1000", "--set", "train.eval_every=0"];
    let call = limn(&[&SMALL[..], &[out.to_str().expect("a path")], &wrong].concat());
    assert_eq!(call.code, Some(0), "{}", call.err);
    assert_eq!(call.err.matches("warning: the posterior has collapsed").count(), 1, "{}", call.err);
    let page = std::fs::read_to_string(out.join("report.html")).expect("a page");
    assert!(page.contains("the posterior has collapsed"), "the page has the warning");
}
