//! Writing to people: lines on stdout, remarks on stderr, and tables.

use super::Error;
use crate::sample::Output;
use crate::words::{hanging, harmless, readable};
pub(crate) use crate::words::{quoted, shown, size};
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether only results, warnings and errors are told.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether nothing is told.
static SILENT: AtomicBool = AtomicBool::new(false);

/// From now on tells nothing at all, and says nothing on stdout: somebody else does.
pub fn be_silent() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Ends that.
pub fn be_heard() {
    SILENT.store(false, Ordering::Relaxed);
}

fn is_silent() -> bool {
    SILENT.load(Ordering::Relaxed)
}

/// From now on tells results, warnings and errors only.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only results, warnings and errors are told.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints one line on stdout. A reader that has gone away (`limn devices | head -1`) is no error:
/// the command finishes, and the rest of its words are lost. Names in it cannot steer the terminal,
/// or make lines of their own.
pub fn say(line: impl Display) -> Result<(), Error> {
    if is_silent() {
        return Ok(());
    }
    tell_what_waits();
    clear_line();
    match writeln!(io::stdout().lock(), "{}", shown(&line.to_string())) {
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

/// Says where something was written, on stderr where stdout is what it was written to.
pub fn written(place: &Output, words: impl Display) -> Result<(), Error> {
    if place.is_stream() {
        note(words);
        return Ok(());
    }
    say(words)
}

/// Prints one line on stderr. What follows the end of a line in it, as a driver's words or a name
/// may have one, cannot be taken for another.
pub fn note(words: impl Display) {
    if is_silent() {
        return;
    }
    tell_what_waits();
    clear_line();
    on_stderr(&format!("limn: {}\n", hanging(&readable(&words.to_string()))));
}

/// Writes text on stderr in one piece: other processes may write there too, as the ranks of a run
/// and what started them, and what they write is not to come between.
fn on_stderr(text: &str) {
    // Where stderr is closed there is nobody to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// What is to be told as soon as anything is.
static LATER: Mutex<Option<String>> = Mutex::new(None);

/// Tells a remark on stderr before whatever is told next; not where that is an error which ends the
/// command.
pub fn later(words: impl Display) {
    *LATER.lock().unwrap_or_else(|e| e.into_inner()) = Some(words.to_string());
}

/// Leaves untold what waits to be told.
pub fn forget_later() {
    LATER.lock().unwrap_or_else(|e| e.into_inner()).take();
}

fn tell_what_waits() {
    let waits = LATER.lock().unwrap_or_else(|e| e.into_inner()).take();
    if let Some(words) = waits {
        note(words);
    }
}

/// Prints lines on stderr that are no remark but all that a command says.
pub fn lead(lines: impl Display) {
    if is_silent() {
        return;
    }
    on_stderr(&format!("{lines}\n"));
}

/// Whether there is a line on the terminal that is to be overwritten. Whatever else is printed takes
/// it away first.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// A line on a terminal that is overwritten by the next; where stderr is no terminal, a line of its
/// own now and then.
pub struct Progress {
    /// When a line was last told where there is no terminal, or waiting began.
    told: Instant,
}

/// How often that is.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// How often a line that is heard of is shown.
const HEARD_EVERY: Duration = Duration::from_millis(50);

/// Shows on a line what it is told, a few times a second.
pub fn listener() -> impl FnMut(&str) + Send {
    let (mut line, mut last) = (Progress::new(), None::<Instant>);
    move |words| {
        if last.is_none_or(|last| last.elapsed() >= HEARD_EVERY) {
            last = Some(Instant::now());
            line.show(words);
        }
    }
}

fn clear_line() {
    if SHOWN.swap(false, Ordering::Relaxed) {
        on_stderr("\r\x1b[K");
    }
}

impl Progress {
    /// Nothing shown yet.
    pub fn new() -> Progress {
        Progress { told: Instant::now() }
    }

    /// Whether anybody sees it.
    pub fn is_seen() -> bool {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        io::stderr().is_terminal() && !dumb && !is_quiet() && !is_silent()
    }

    /// Replaces the line.
    pub fn show(&mut self, words: impl Display) {
        if Progress::is_seen() {
            let words = words.to_string();
            on_stderr(&format!("\r\x1b[K{}", cut(&shown(&words), columns())));
            SHOWN.store(true, Ordering::Relaxed);
        } else if !is_quiet() && self.is_due(Instant::now()) {
            note(words);
        }
    }

    /// Whether it is time for a line where there is no terminal.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = now - self.told >= TOLD_EVERY;
        if due {
            self.told = now;
        }
        due
    }

    /// Takes the line away, so that something else can be printed.
    pub fn clear(&mut self) {
        clear_line();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What the lines of a row begin with that follow its first.
const HANGING: &str = "    ";

/// Lines of aligned columns, numbers to the right. Where stdout is a terminal that is too narrow,
/// what does not fit goes on in further lines, in the same places for every row.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    table_within(rows, width())
}

/// A table of few columns that stand beside each other. Where stdout is a terminal that is too
/// narrow for it, each row becomes a block: its name, and below it each value behind the name of
/// its column.
pub fn beside(rows: &[Vec<String>]) -> Vec<String> {
    beside_within(rows, width())
}

fn beside_within(rows: &[Vec<String>], most: Option<usize>) -> Vec<String> {
    let wide = table_within(rows, None);
    let [head, rows @ ..] = rows else { return wide };
    if most.is_none_or(|most| wide.iter().all(|line| line.chars().count() <= most)) {
        return wide;
    }
    let names = head.iter().skip(1).map(|name| name.chars().count()).max().unwrap_or(0);
    let value = |(name, value): (&String, &String)| {
        let line = format!("{HANGING}{name:<names$}  {value}");
        match most.is_some_and(|most| line.chars().count() > most) {
            true => vec![format!("{HANGING}{name}"), format!("{HANGING}{HANGING}{value}")],
            false => vec![line],
        }
    };
    let block = |row: &Vec<String>| {
        let values = std::iter::zip(head, row).skip(1).flat_map(value);
        let lines: Vec<String> = std::iter::once(row[0].clone()).chain(values).collect();
        lines.iter().flat_map(|line| fold(line, most)).collect::<Vec<_>>()
    };
    rows.iter().flat_map(block).collect()
}

/// A sentence, in lines where stdout is a terminal. Not for what holds a command: it could not be
/// pasted any more.
pub fn sentence(words: &str) -> Vec<String> {
    fold(words, width())
}

/// Columns of a line that nothing says the width of.
const PAGE: usize = 100;

/// The same where stdout is no terminal, too. For what nobody takes apart: commands that print it
/// have `--json`.
pub fn paragraph(words: &str) -> Vec<String> {
    fold(words, Some(width().unwrap_or(PAGE)))
}

/// Columns of the terminal that stdout is, if it is one.
fn width() -> Option<usize> {
    columns_of(io::stdout())
}

fn table_within(rows: &[Vec<String>], most: Option<usize>) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |c: usize| rows.iter().filter_map(move |r| r.get(c));
    let widths: Vec<usize> = (0..columns).map(|c| cells(c).map(|s| s.chars().count()).max().unwrap_or(0)).collect();
    let number = |s: &String| s.is_empty() || s == "-" || s.replace(',', "").parse::<f64>().is_ok();
    let right: Vec<bool> = (0..columns).map(|c| cells(c).skip(1).all(number)).collect();
    // The columns at which a further line begins.
    let (mut breaks, mut end) = (Vec::new(), 0);
    for (c, width) in widths.iter().enumerate() {
        end += width + if c == 0 { 0 } else { 2 };
        if c > 0 && most.is_some_and(|most| end > most) {
            breaks.push(c);
            end = HANGING.len() + width;
        }
    }
    let mut lines = Vec::new();
    for row in rows {
        let mut line = String::new();
        for (c, s) in row.iter().enumerate() {
            let apart = match c {
                0 => "",
                c if breaks.contains(&c) => {
                    lines.extend(fold(line.trim_end(), most));
                    line.clear();
                    HANGING
                }
                _ => "  ",
            };
            let w = widths[c];
            line += &if right[c] { format!("{apart}{s:>w$}") } else { format!("{apart}{s:<w$}") };
        }
        lines.extend(fold(line.trim_end(), most));
    }
    lines
}

/// A line in lines of so many columns, broken between words; a word that is longer stays whole.
fn fold(line: &str, most: Option<usize>) -> Vec<String> {
    let Some(most) = most.filter(|most| line.chars().count() > *most) else { return vec![line.into()] };
    let mut lines = vec![String::new()];
    let (mut at, mut empty) = (0, true);
    for word in line.split_inclusive(' ') {
        let long = word.trim_end().chars().count();
        // A line does not begin with a second space behind a word, which stays on the one before.
        if !empty && long > 0 && at + long > most {
            lines.push(HANGING.into());
            at = HANGING.len();
        }
        if let Some(last) = lines.last_mut() {
            last.push_str(word);
        }
        at += word.chars().count();
        // Spaces that a line begins with are no word.
        empty &= long == 0;
    }
    lines.iter().map(|line| line.trim_end().to_string()).collect()
}

/// Columns of the terminal that stderr is, if it is one.
pub fn columns() -> Option<usize> {
    columns_of(io::stderr())
}

/// Columns of the terminal that a stream is, if it is one. Its rows, which terminals in a script do
/// not tell, do not matter.
#[cfg(unix)]
fn columns_of(stream: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Columns of the terminal that a stream is, if it is one.
#[cfg(not(unix))]
fn columns_of(stream: impl std::os::windows::io::AsHandle) -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(stream)?;
    Some(usize::from(width.0)).filter(|width| *width > 0)
}

/// A line cut so that a terminal of so many columns does not break it: what is written over it
/// later would leave the rest.
pub fn cut(line: &str, columns: Option<usize>) -> Cow<'_, str> {
    match columns {
        Some(most) if line.chars().count() >= most => {
            Cow::Owned(line.chars().take(most.saturating_sub(2)).chain(['…']).collect())
        }
        _ => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_terminal_a_line_comes_now_and_then() {
        let mut line = Progress::new();
        let start = line.told;
        let told = (1..=65).filter(|second| line.is_due(start + Duration::from_secs(*second)));
        assert_eq!(told.collect::<Vec<u64>>(), [10, 20, 30, 40, 50, 60]);
    }

    fn rows() -> Vec<Vec<String>> {
        [
            ["name", "train", "size", "licence", "source"],
            ["mnist", "60000", "28x28 grey", "CC BY-SA 3.0", "the database of handwritten digits by its authors"],
            ["a", "1", "4096 samples", "MIT", "made by limn"],
        ]
        .map(|row| row.map(String::from).to_vec())
        .to_vec()
    }

    #[test]
    fn a_table_fits_a_narrow_terminal_and_loses_no_word() {
        let words =
            |lines: &[String]| -> Vec<String> { lines.join(" ").split_whitespace().map(String::from).collect() };
        let wide = table_within(&rows(), None);
        assert_eq!(wide.len(), 3);
        assert_eq!(wide[2], "a          1  4096 samples  MIT           made by limn");
        for most in [120, 80, 40, 20, 12] {
            let lines = table_within(&rows(), Some(most));
            assert_eq!(words(&lines), words(&wide), "{most}");
            // A word alone may be longer than a terminal is wide.
            let wrong = lines.iter().find(|l| l.chars().count() > most && l.split_whitespace().count() > 1);
            assert_eq!(wrong, None, "{most}");
            assert_eq!(lines.len() > 3, most < 90, "{most}: {lines:?}");
        }
        // The columns of every row are in the same places.
        let lines = table_within(&rows(), Some(40));
        assert!(lines.iter().any(|line| line == "    MIT           made by limn") || lines.len() > 6, "{lines:#?}");
        assert_eq!(table_within(&[], Some(20)), Vec::<String>::new());
    }

    #[test]
    fn in_a_narrow_terminal_every_value_stands_behind_its_name() {
        let rows = [
            ["", "vae-1", "a-long-name-of-a-run"],
            ["optim.lr", "0.001", "0.01"],
            ["device", "cpu", "A card (vulkan)"],
        ];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        assert_eq!(beside_within(&rows, Some(80)), table_within(&rows, None));
        let narrow = beside_within(&rows, Some(31));
        let wanted = [
            "optim.lr",
            "    vae-1                 0.001",
            "    a-long-name-of-a-run  0.01",
            "device",
            "    vae-1                 cpu",
            "    a-long-name-of-a-run",
            "        A card (vulkan)",
        ];
        assert_eq!(narrow.join("\n"), wanted.join("\n"));
        assert_eq!(beside_within(&[], Some(40)), Vec::<String>::new());
    }

    #[test]
    fn lines_are_cut_to_the_terminal() {
        assert_eq!(cut("four words in line", Some(10)), "four wor…");
        assert_eq!(cut("short", Some(6)), "short");
        assert_eq!(cut("any", None), "any");
    }

    #[test]
    fn a_sentence_is_broken_between_words() {
        assert_eq!(fold("one two three", None), ["one two three"]);
        assert_eq!(fold("one two three", Some(13)), ["one two three"]);
        assert_eq!(fold("one two three", Some(9)), ["one two", "    three"]);
        assert_eq!(fold("one two  three", Some(7)), ["one two", "    three"]);
        assert_eq!(fold("a-very-long-word b", Some(4)), ["a-very-long-word", "    b"]);
        assert_eq!(fold("", Some(4)), [""]);
    }
}
