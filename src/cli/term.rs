//! Writing to people: lines on stdout, remarks on stderr, and tables.

use super::Error;
use crate::words::{columns, cut, harmless};
pub(crate) use crate::words::{quoted, shown};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Prints one line on stdout. A reader that has gone away (`limn devices | head -1`) is no error:
/// the command finishes, and the rest of its words are lost. Names in it cannot steer the terminal.
pub fn say(line: impl Display) -> Result<(), Error> {
    match writeln!(io::stdout().lock(), "{}", harmless(&line.to_string())) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::new(format!("cannot write to the output: {e}"))),
        _ => Ok(()),
    }
}

/// Whether nothing in a text steers a terminal.
pub fn is_harmless(text: &str) -> bool {
    harmless(text) == text
}

/// A number in JSON, which has no words for infinity and NaN: they are strings.
pub fn number(value: impl Into<f64>) -> serde_json::Value {
    let value = value.into();
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Into::into)
}

/// Prints one line on stderr.
pub fn note(words: impl Display) {
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "limn: {}", harmless(&words.to_string()));
}

/// A line on a terminal that is overwritten by the next; nothing where stderr is no terminal.
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Progress {
        Progress { shown: false }
    }

    /// Whether anybody sees it.
    pub fn is_seen() -> bool {
        io::stderr().is_terminal()
    }

    /// Replaces the line.
    pub fn show(&mut self, words: impl Display) {
        if io::stderr().is_terminal() {
            let words = words.to_string();
            let _ = write!(io::stderr().lock(), "\r\x1b[K{}", cut(&shown(&words), columns()));
            self.shown = true;
        }
    }

    /// Takes the line away, so that something else can be printed.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Lines of aligned columns, numbers to the right.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |c: usize| rows.iter().filter_map(move |r| r.get(c));
    let widths: Vec<usize> = (0..columns).map(|c| cells(c).map(|s| s.chars().count()).max().unwrap_or(0)).collect();
    let number = |s: &String| s.is_empty() || s == "-" || s.parse::<f64>().is_ok();
    let right: Vec<bool> = (0..columns).map(|c| cells(c).skip(1).all(number)).collect();
    let cell = |(c, s): (usize, &String)| {
        if right[c] { format!("{s:>w$}", w = widths[c]) } else { format!("{s:<w$}", w = widths[c]) }
    };
    let line =
        |row: &Vec<String>| row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_string();
    rows.iter().map(line).collect()
}

/// A number of bytes for people.
pub fn bytes(n: u64) -> String {
    match n {
        n if n >= 1 << 30 => format!("{:.3} GiB", n as f64 / f64::from(1 << 30)).replace(".000", ""),
        n if n >= 1 << 20 => format!("{} MiB", n >> 20),
        n if n >= 1 << 10 => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}
