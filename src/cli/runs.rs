//! `limn runs`: the runs there are.

use super::{Error, term};
use crate::report::{self, Overview, State};
use crate::train::RunDir;
use crate::words::{count, duration};
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments of `limn runs`.
#[derive(clap::Args, Debug)]
pub struct RunsArgs {
    /// Folder with runs in it, or in folders in it
    #[arg(value_name = "FOLDER", default_value = FOLDER)]
    folder: PathBuf,
    /// One JSON object per run
    #[arg(long)]
    json: bool,
}

/// Where runs are if nobody says where.
const FOLDER: &str = "runs";

/// Lists the runs below a folder, the latest first.
pub fn runs(args: &RunsArgs) -> Result<(), Error> {
    let folder = args.folder.display();
    let found = match report::folders(&args.folder) {
        // Before the first training there is none, and that is no mistake.
        Err(error) if error.kind() == ErrorKind::NotFound && args.folder == Path::new(FOLDER) => Vec::new(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::new(format!("there is no folder {folder}")));
        }
        found => found.map_err(|e| Error::new(format!("cannot look into {folder}: {e}")))?,
    };
    let (mut all, mut broken) = (Vec::new(), Vec::new());
    for path in found {
        match RunDir::open(&path).and_then(|run| Overview::of(&run)) {
            Ok(run) => all.push(run),
            Err(error) => broken.push(Error::from(error)),
        }
    }
    all.sort_by(|a, b| (&b.began, &b.name).cmp(&(&a.began, &a.name)));
    if args.json {
        all.iter().try_for_each(|run| {
            let mut run_json = serde_json::to_value(run)?;
            run_json["losses"] = run.losses.iter().map(|(name, value)| (name.clone(), term::number(*value))).collect();
            run_json["age_s"] = run.age().map_or(json!(null), |age| json!(age.as_secs()));
            term::say(run_json)
        })?;
    } else if all.is_empty() {
        term::say(format!("there are no runs in {folder}; `limn train vae` makes one"))?;
    } else {
        let head = ["run", "model", "data", "steps", "state", "best figure", "began"].map(String::from).to_vec();
        let rows: Vec<_> = std::iter::once(head).chain(all.iter().map(|run| row(run, args))).collect();
        term::table(&rows).iter().try_for_each(term::say)?;
    }
    broken.iter().for_each(term::note);
    Ok(())
}

/// A run in a line.
fn row(run: &Overview, args: &RunsArgs) -> Vec<String> {
    let path = run.folder.strip_prefix(&args.folder).ok().filter(|path| path.components().next().is_some());
    let path = term::shown(&path.unwrap_or(&run.folder).display().to_string()).into_owned();
    let steps = match (run.state, run.steps) {
        (State::Done, _) | (_, None) => count(run.step),
        (_, Some(steps)) => format!("{} of {}", count(run.step), count(steps)),
    };
    let best = run.best.as_ref().map_or_else(String::new, |best| format!("{} {:.4}", best.name, best.value));
    let age = run.age().map_or_else(String::new, |age| format!("{} ago", ago(age)));
    vec![path, run.from.clone(), short(&run.data), steps, run.standing(), best, age]
}

/// How long ago something was, in one unit: of what is past nobody asks for the minute.
fn ago(age: Duration) -> String {
    match age.as_secs() {
        s if s < 60 => duration(age),
        s if s < 3600 => format!("{} min", s / 60),
        s if s < 48 * 3600 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86400),
    }
}

/// The end of a path, which tells it from others.
fn short(source: &str) -> String {
    let last = std::path::Path::new(source).file_name().map(|name| name.to_string_lossy().into_owned());
    last.unwrap_or_else(|| source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let told = |s| ago(Duration::from_secs(s));
        assert_eq!([5, 60, 7199, 7200, 172_800].map(told), ["5s", "1 min", "1 h", "2 h", "2 days"].map(String::from));
        assert_eq!([short("/home/x/pictures"), short("mnist")], ["pictures", "mnist"]);
    }
}
