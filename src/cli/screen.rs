//! A run on the terminal: its lines, and a bar.

use super::term::columns;
use crate::train::{Progress, Watch};
use crate::words::duration;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Where there is no terminal, progress is told no more often than this.
const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// The terminal, or whatever stdout is.
#[derive(Default)]
pub struct Screen {
    bar: Option<ProgressBar>,
    told: Option<Instant>,
}

impl Watch for Screen {
    fn line(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => {
                let _ = writeln!(io::stdout().lock(), "{line}");
            }
        }
    }

    /// A bar on a terminal, a line now and then elsewhere.
    fn progress(&mut self, p: &Progress) {
        if io::stdout().is_terminal() && io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| bar(p.total));
            bar.set_position(p.step);
            bar.set_message(format!("{}  {} left", p.numbers(), duration(p.left)));
        } else if self.told.is_none_or(|last| last.elapsed() >= PLAIN_EVERY) || p.step == p.total {
            self.told = Some(Instant::now());
            let _ = writeln!(io::stdout().lock(), "{}", p.line());
        }
    }

    fn step(&mut self, step: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    // On a narrow terminal the numbers are worth more.
    let template = match columns() {
        Some(narrow) if narrow < 72 => "{pos}/{len}  {wide_msg}",
        _ => "{bar:24} {pos}/{len}  {wide_msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
