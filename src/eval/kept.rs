//! Figures that a run's folder keeps: `figures.jsonl`, one object a line.

use super::Figure;
use crate::files::{Appended, read_in_memory};
use crate::train::RunDir;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
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
    let path = run.figures();
    // Half a line, which a disk without power left, is not to take this one with it.
    if read_in_memory(&path).is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n')) {
        lines.insert(0, '\n');
    }
    // In one piece, so that of two who measure at once neither takes the other's away.
    let mut file = Appended::open(&path)?;
    file.write_all(lines.as_bytes())?;
    file.sync()
}

/// The figures of a run: of each that was measured the same way on the same checkpoint the last, in
/// the order in which those were measured. Lines that are no figures are passed over.
///
/// # Errors
/// A file that is there and cannot be read.
pub fn kept(run: &RunDir) -> io::Result<Vec<KeptFigure>> {
    let bytes = match read_in_memory(&run.figures()) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let (mut all, mut places): (Vec<Option<KeptFigure>>, _) = (Vec::new(), HashMap::new());
    for line in String::from_utf8_lossy(&bytes).lines() {
        let Ok(new) = serde_json::from_str::<KeptFigure>(line) else { continue };
        let was = places.insert((new.step, new.figure.name.clone(), new.figure.protocol.clone()), all.len());
        if let Some(was) = was {
            all[was] = None;
        }
        all.push(Some(new));
    }
    Ok(all.into_iter().flatten().collect())
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
        std::fs::OpenOptions::new().append(true).open(run.figures()).unwrap().write_all(b"{\"half").unwrap();
        keep(&run, 7, &[figure("elbo", -3.0)]).unwrap();
        keep(&run, 9, &[figure("elbo", -4.0)]).unwrap();
        let all = kept(&run).unwrap();
        let shown: Vec<_> = all.iter().map(|f| (f.step, f.figure.name.as_str(), f.figure.value)).collect();
        assert_eq!(shown, [(7, "kl", 2.0), (7, "elbo", -3.0), (9, "elbo", -4.0)]);
        assert!(all[0].measured.ends_with('Z') && all[0].figure.protocol.contains("\"all\""));
    }
}
