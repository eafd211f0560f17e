//! Figures that a run's folder keeps: `figures.jsonl`, one object a line.

use super::Figure;
use crate::files::read_in_memory;
use crate::train::RunDir;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::time::SystemTime;

/// A figure of a run, when it was measured, and of which checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptFigure {
    /// When it was measured, in UTC.
    pub measured: String,
    /// Training steps the model had seen.
    pub step: u64,
    /// The figure itself.
    #[serde(flatten)]
    pub figure: Figure,
}

/// The file of a run's figures.
fn file(run: &RunDir) -> PathBuf {
    run.path.join("figures.jsonl")
}

/// Adds figures of a model that has seen `step` training steps to those of its run.
///
/// # Errors
/// What the system says.
pub fn keep(run: &RunDir, step: u64, figures: &[Figure]) -> io::Result<()> {
    let measured = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let mut lines = String::new();
    for figure in figures {
        let kept = KeptFigure { measured: measured.clone(), step, figure: figure.clone() };
        lines += &serde_json::to_string(&kept)?;
        lines.push('\n');
    }
    // In one piece, so that of two who measure at once neither takes the other's away.
    OpenOptions::new().create(true).append(true).open(file(run))?.write_all(lines.as_bytes())
}

/// The figures of a run: of each that was measured the same way on the same checkpoint the last, in
/// the order in which they were measured first. Lines that are no figures are passed over.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn kept(run: &RunDir) -> io::Result<Vec<KeptFigure>> {
    let bytes = match read_in_memory(&file(run)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let (mut all, mut places): (Vec<KeptFigure>, _) = (Vec::new(), HashMap::new());
    for line in String::from_utf8_lossy(&bytes).lines() {
        let Ok(new) = serde_json::from_str::<KeptFigure>(line) else { continue };
        match places.entry((new.step, new.figure.name.clone(), new.figure.protocol.clone())) {
            Entry::Occupied(place) => all[*place.get()] = new,
            Entry::Vacant(place) => {
                place.insert(all.len());
                all.push(new);
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Config;

    #[test]
    fn of_figures_measured_again_the_last_counts_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir { path: folder.path().into(), config: Config::preset("vae").unwrap() };
        assert_eq!(kept(&run).unwrap(), []);
        let figure = |name: &str, value| Figure::new(name, value, "nats", "mean over \"all\"");
        keep(&run, 7, &[figure("elbo", -1.0), figure("kl", 2.0)]).unwrap();
        std::fs::OpenOptions::new().append(true).open(file(&run)).unwrap().write_all(b"{\"half\n").unwrap();
        keep(&run, 7, &[figure("elbo", -3.0)]).unwrap();
        keep(&run, 9, &[figure("elbo", -4.0)]).unwrap();
        let all = kept(&run).unwrap();
        let shown: Vec<_> = all.iter().map(|f| (f.step, f.figure.name.as_str(), f.figure.value)).collect();
        assert_eq!(shown, [(7, "elbo", -3.0), (7, "kl", 2.0), (9, "elbo", -4.0)]);
        assert!(all[0].measured.ends_with('Z') && all[0].figure.protocol.contains("\"all\""));
    }
}
