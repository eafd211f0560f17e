//! `metrics.jsonl`: what `metrics.csv` and `tests.csv` say, as an object a line.

use super::logs::Follow;
use super::metrics::Row;
use super::testing::Tested;
use crate::files::{Appended, read_in_memory, replace};
use serde_json::{Map, Value, json};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The open file.
pub(super) struct JsonLines(Appended);

impl JsonLines {
    /// Where it is in a run's folder.
    pub(super) fn file(folder: &Path) -> PathBuf {
        folder.join("metrics.jsonl")
    }

    /// Opens it for the steps after `step`; lines of later ones go, as those will be taken again,
    /// and what is no object of a step goes with them.
    pub(super) fn open(path: &Path, step: u64) -> io::Result<JsonLines> {
        leave_later(path, step)?;
        Ok(JsonLines(Appended::open(path)?))
    }
}

/// Takes lines of steps after `step` out of a file, where there is one, and what is no object of a step with them.
pub(super) fn leave_later(path: &Path, step: u64) -> io::Result<()> {
    let old = match read_in_memory(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let text = String::from_utf8_lossy(&old);
    let stays = |line: &&str| {
        let of = serde_json::from_str::<Value>(line).ok().and_then(|line| line.get("step")?.as_u64());
        of.is_some_and(|of| of <= step)
    };
    let kept: String = text.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
    match kept.as_bytes() == old {
        true => Ok(()),
        false => replace(path, |file| file.write_all(kept.as_bytes())),
    }
}

/// A number as it is written in the table: the shortest that gives the same 32 bits again.
fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().ok().filter(|value| value.is_finite()).map_or(Value::Null, Value::from)
}

impl Follow for JsonLines {
    fn step(&mut self, names: &[&str], row: &Row) -> io::Result<()> {
        let mut object = Map::new();
        object.insert("step".into(), row.step.into());
        object.insert("epoch".into(), row.epoch.into());
        for (name, loss) in std::iter::zip(names, row.losses) {
            object.insert((*name).into(), number(*loss));
        }
        object.insert("images_per_s".into(), json!((row.rate * 10.0).round() / 10.0));
        object.insert("seconds".into(), json!((row.seconds * 1e3).round() / 1e3));
        writeln!(self.0, "{}", Value::Object(object))
    }

    fn tests(&mut self, (step, seconds): (u64, f64), figures: &[Tested]) -> io::Result<()> {
        let test: Map<String, Value> = figures.iter().map(|f| (f.name.clone(), json!(f.value))).collect();
        writeln!(self.0, "{}", json!({ "step": step, "seconds": (seconds * 1e3).round() / 1e3, "test": test }))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_back_to_a_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = JsonLines::file(folder.path());
        let write = |from: u64, to: u64| {
            let mut lines = JsonLines::open(&path, from).unwrap();
            for step in from + 1..=to {
                let row = Row { step, epoch: 1, losses: &[0.1, f32::NAN], rate: 10.04, seconds: step as f64 };
                lines.step(&["loss", "kl"], &row).unwrap();
            }
            lines.tests((to, 2.5), &[Tested { name: "elbo".into(), value: -1.5 }]).unwrap();
            lines.flush().unwrap();
        };
        write(0, 4);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\":3,\"lo").unwrap();
        write(2, 3);
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [1, 2, 3, 3]);
        assert!(
            text.starts_with(r#"{"step":1,"epoch":1,"loss":0.1,"kl":null,"images_per_s":10.0,"seconds":1.0}"#),
            "{text}"
        );
        assert!(text.ends_with("{\"step\":3,\"seconds\":2.5,\"test\":{\"elbo\":-1.5}}\n"), "{text}");
    }
}
