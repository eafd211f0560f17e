//! A run on the terminal: its lines, and a bar. For machines: an object a line.

use super::bar::{Curve, Glyphs, Standing};
use super::{flags, term};
use crate::train::{Progress, RunDir, Tested, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Where there is no terminal, progress is told no more often than this.
const PLAIN_EVERY: Duration = Duration::from_secs(1);
/// And there, where steps are slow, no more seldom than this.
const PLAIN_AT_LEAST_EVERY: Duration = Duration::from_secs(30);

/// The terminal, or whatever stdout is.
pub struct Screen {
    /// None where nothing can be overwritten.
    bar: Option<ProgressBar>,
    preparing: term::Progress,
    glyphs: Glyphs,
    standing: Standing,
    told: Option<Instant>,
    /// Since when steps have gone by without a line, where there is no bar.
    silent: Option<Instant>,
}

impl Screen {
    /// One that shows a bar where stdout and stderr are terminals, and lines now and then elsewhere.
    pub fn new() -> Screen {
        let standing =
            Standing { step: 0, total: 0, losses: Vec::new(), rate: None, left: None, test: None, curve: Curve::new() };
        Screen {
            bar: None,
            preparing: term::Progress::new(),
            glyphs: Glyphs::of_locale(),
            standing,
            told: None,
            silent: None,
        }
    }

    fn draw(&mut self) {
        let Some(bar) = &self.bar else { return };
        bar.set_message(self.standing.line(term::columns().unwrap_or(80), self.glyphs));
    }

    fn take(&mut self, p: &Progress) {
        let now = &mut self.standing;
        (now.step, now.total, now.left) = (p.step, p.total, p.left);
        if !p.losses.is_empty() {
            now.losses = p.losses.to_vec();
            now.rate = Some(p.rate).filter(|rate| *rate > 0.0);
        }
    }
}

impl Watch for Screen {
    fn line(&mut self, line: &str) {
        if term::is_quiet() {
            return;
        }
        self.preparing.clear();
        let line = &flags::flagged(line);
        let lines = if line.contains('\n') { vec![line.to_string()] } else { term::sentence(line) };
        match &self.bar {
            Some(bar) => bar.println(lines.join("\n")),
            None => {
                let _ = writeln!(io::stdout().lock(), "{}", lines.join("\n"));
            }
        }
    }

    fn preparing(&mut self, words: &str) {
        self.preparing.show(words);
    }

    fn begin(&mut self, _run: &RunDir, step: u64, total: u64) {
        self.preparing.clear();
        (self.standing.step, self.standing.total) = (step, total);
        if io::stdout().is_terminal() && term::Progress::is_seen() {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            self.bar = Some(bar);
            self.draw();
        }
    }

    fn progress(&mut self, p: &Progress) {
        self.take(p);
        self.standing.curve.push(p.losses.first().map_or(0.0, |(_, value)| *value));
        if self.bar.is_some() {
            return self.draw();
        }
        let due = self.told.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) || p.step == p.total;
        if due && !term::is_quiet() {
            (self.told, self.silent) = (Some(Instant::now()), None);
            let _ = writeln!(io::stdout().lock(), "{}", p.line());
        }
    }

    fn live(&mut self, p: &Progress) {
        self.take(p);
        if self.bar.is_some() {
            return self.draw();
        }
        if self.silent.get_or_insert_with(Instant::now).elapsed() >= PLAIN_AT_LEAST_EVERY && !term::is_quiet() {
            self.silent = None;
            let _ = writeln!(io::stdout().lock(), "{}", p.line());
        }
    }

    fn tested(&mut self, _step: u64, figures: &[Tested], _best: bool) {
        self.standing.test = figures.first().map(|figure| figure.value);
        self.draw();
    }

    fn warn(&mut self, warning: &str) {
        let words = format!("warning: {}", flags::told(warning));
        match &self.bar {
            Some(bar) => bar.suspend(|| term::note(words)),
            None => term::note(words),
        }
    }

    fn finish(&mut self) {
        self.preparing.clear();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// An object of JSON a line, on stdout.
pub struct JsonLines;

impl JsonLines {
    /// Writes what has happened: an object of the event's name and these values.
    pub fn event(&self, name: &str, values: Value) {
        let mut object = Map::from_iter([("event".to_string(), Value::from(name))]);
        if let Value::Object(values) = values {
            object.extend(values);
        }
        // A reader that has gone away does not end a run.
        let _ = writeln!(io::stdout().lock(), "{}", Value::Object(object));
    }
}

/// Names and values as an object.
pub fn object<'a>(values: impl IntoIterator<Item = (&'a str, f64)>) -> Value {
    Value::Object(values.into_iter().map(|(name, value)| (name.to_string(), term::number(value))).collect())
}

impl Watch for JsonLines {
    fn line(&mut self, line: &str) {
        self.event("line", json!({ "text": line }));
    }

    fn preparing(&mut self, words: &str) {
        self.event("preparing", json!({ "text": words }));
    }

    fn begin(&mut self, run: &RunDir, step: u64, total: u64) {
        self.event("begin", json!({ "run": run.path.to_string_lossy(), "step": step, "steps": total }));
    }

    fn progress(&mut self, p: &Progress) {
        let values = json!({
            "step": p.step,
            "steps": p.total,
            "losses": object(p.losses.iter().copied()),
            "images_per_s": term::number(p.rate),
            "left_s": p.left.map(|left| left.as_secs_f64()),
        });
        self.event("progress", values);
    }

    fn tested(&mut self, step: u64, figures: &[Tested], best: bool) {
        let figures = object(figures.iter().map(|figure| (figure.name.as_str(), figure.value)));
        self.event("test", json!({ "step": step, "figures": figures, "best": best }));
    }

    fn drawn(&mut self, step: u64, picture: &Path) {
        self.event("picture", json!({ "step": step, "file": picture.to_string_lossy() }));
    }

    fn warn(&mut self, warning: &str) {
        self.event("warning", json!({ "text": warning }));
    }
}
