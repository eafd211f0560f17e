//! `limn compare`: what runs differ in, and what came of it.

use super::{Error, term};
use crate::eval;
use crate::report::{self, Overview};
use crate::train::RunDir;
use crate::words::{count, duration};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `limn compare`.
#[derive(clap::Args, Debug)]
pub struct CompareArgs {
    /// Run folders
    #[arg(required = true, num_args = 2.., value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// One JSON object per setting or number
    #[arg(long)]
    json: bool,
}

/// A line of the comparison: what it is about, and what each run has.
struct Line {
    of: &'static str,
    name: String,
    values: Vec<Option<String>>,
    /// How a figure was measured, where others of its name were measured otherwise.
    protocol: Option<String>,
}

/// Prints settings that differ, and numbers beside each other.
pub fn compare(args: &CompareArgs) -> Result<(), Error> {
    let runs = args.dirs.iter().map(|dir| RunDir::open(dir)).collect::<Result<Vec<_>, _>>()?;
    let all = runs.iter().map(Overview::of).collect::<Result<Vec<_>, _>>()?;
    let mut lines = Vec::new();
    for difference in report::differences(&runs.iter().map(|run| &run.config).collect::<Vec<_>>()) {
        lines.push(Line { of: "setting", name: difference.key, values: difference.values, protocol: None });
    }
    lines.extend(numbers(&all));
    lines.extend(figures(&runs, &all)?);
    if args.json {
        return lines.iter().try_for_each(|line| {
            let values: serde_json::Map<_, _> = std::iter::zip(&args.dirs, &line.values)
                .map(|(dir, value)| (dir.display().to_string(), json!(value)))
                .collect();
            let mut row = json!({ "of": line.of, "name": line.name, "values": values });
            if let Some(protocol) = &line.protocol {
                row["protocol"] = json!(protocol);
            }
            term::say(row)
        });
    }
    let head = std::iter::once(String::new()).chain(report::told_apart(&runs)).collect::<Vec<_>>();
    let mut rows = vec![head];
    let protocols = names(lines.iter().filter_map(|line| line.protocol.as_ref()));
    for line in &lines {
        let values = line.values.iter().map(|value| value.clone().unwrap_or_else(|| "-".into()));
        let note = protocols.iter().position(|protocol| Some(protocol) == line.protocol.as_ref());
        let note = note.map_or_else(String::new, |place| format!(" [{}]", place + 1));
        rows.push(std::iter::once(line.name.clone() + &note).chain(values).collect());
    }
    if lines.iter().all(|line| line.of != "setting") {
        term::say("(the same settings)")?;
    }
    term::beside(&rows).iter().try_for_each(term::say)?;
    for (place, protocol) in protocols.iter().enumerate() {
        term::sentence(&format!("[{}] {protocol}", place + 1)).iter().try_for_each(term::say)?;
    }
    let dirs: Vec<String> = args.dirs.iter().map(term::quoted).collect();
    term::say("curves and pictures beside each other:")?;
    term::say(format!("  limn report {}", dirs.join(" ")))
}

/// Steps, time, rate, losses and the best figure of each.
fn numbers(all: &[Overview]) -> Vec<Line> {
    let line = |name: &str, value: &dyn Fn(&Overview) -> Option<String>| Line {
        of: "run",
        name: name.into(),
        values: all.iter().map(value).collect(),
        protocol: None,
    };
    let mut lines = vec![
        line("state", &|run| Some(run.standing())),
        line("steps", &|run| Some(count(run.step))),
        line("time", &|run| Some(duration(Duration::try_from_secs_f64(run.seconds).unwrap_or_default()))),
        line("images/s", &|run| Some(format!("{:.0}", run.rate?))),
        line("device", &|run| run.device.clone()),
    ];
    for name in names(all.iter().flat_map(|run| run.losses.iter().map(|loss| &loss.0))) {
        let of = |run: &Overview| Some(format!("{:.4}", run.losses.iter().find(|loss| loss.0 == name)?.1));
        lines.push(Line { of: "loss", ..line(&format!("last {name}"), &of) });
    }
    for name in names(all.iter().filter_map(|run| run.best.as_ref().map(|best| &best.name))) {
        let of = |run: &Overview| {
            let best = run.best.as_ref().filter(|best| best.name == name)?;
            Some(format!("{:.4} at {}", best.value, count(best.step)))
        };
        lines.push(Line { of: "figure", ..line(&format!("best {name} (test)"), &of) });
    }
    lines
}

/// What `limn eval` has measured of each, of the latest step; of an earlier one than its last with
/// that step.
fn figures(runs: &[RunDir], overviews: &[Overview]) -> Result<Vec<Line>, Error> {
    let mut all = Vec::new();
    for run in runs {
        let path = run.path.display();
        let mut kept = eval::kept(run).map_err(|e| Error::new(format!("cannot read the figures of {path}: {e}")))?;
        // Of the latest step that which was measured last is the last.
        kept.sort_by_key(|kept| kept.step);
        all.push(kept);
    }
    let mut lines = Vec::new();
    for name in names(all.iter().flatten().map(|kept| &kept.figure.name)) {
        let last = |kept: &Vec<eval::KeptFigure>| kept.iter().rfind(|kept| kept.figure.name == name).cloned();
        let last: Vec<Option<eval::KeptFigure>> = all.iter().map(last).collect();
        // Figures that were measured otherwise, or on other images, do not stand beside each other.
        let protocols = names(last.iter().flatten().map(|kept| &kept.figure.protocol));
        for protocol in &protocols {
            let value = |(kept, run): (&Option<eval::KeptFigure>, &Overview)| {
                let kept = kept.as_ref().filter(|kept| kept.figure.protocol == *protocol)?;
                let value = format!("{:.4} {}", kept.figure.value, kept.figure.unit);
                let at = if kept.step == run.step { String::new() } else { format!(" (at step {})", count(kept.step)) };
                Some(format!("{}{at}", value.trim_end()))
            };
            let values = std::iter::zip(&last, overviews).map(value).collect();
            let protocol = (protocols.len() > 1).then(|| protocol.clone());
            lines.push(Line { of: "figure", name: format!("{name} (eval)"), values, protocol });
        }
    }
    Ok(lines)
}

/// Each name once, in the order of their first places.
fn names<'a>(all: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in all {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
