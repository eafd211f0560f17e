//! Words for people: names of files as part of a command that can be pasted, and without the
//! characters that steer a terminal; durations and sizes; the names most like one that is not
//! known.

use std::borrow::Cow;
#[cfg(feature = "cli")]
use std::ffi::OsStr;
#[cfg(feature = "cli")]
use std::path::Path;
use std::time::Duration;

/// A path as one word of a command for the shell that is usual on this system. One that begins with
/// a dash is written `./-name`, so that it is not taken for a flag.
#[cfg(feature = "cli")]
pub(crate) fn quoted(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    match path.as_os_str().as_encoded_bytes().first() {
        Some(b'-') => word(Path::new(".").join(path).as_os_str()),
        _ => word(path.as_os_str()),
    }
}

/// Any argument as one word of a command for the shell that is usual on this system.
#[cfg(feature = "cli")]
pub(crate) fn word(argument: impl AsRef<OsStr>) -> String {
    let bytes = argument.as_ref().as_encoded_bytes();
    let text = String::from_utf8_lossy(bytes);
    let safe = |c: char| c.is_alphanumeric() || "_-./:=@%+,".contains(c) || (cfg!(windows) && c == '\\');
    let awkward = std::str::from_utf8(bytes).is_err() || text.contains(steers);
    match text {
        text if !text.is_empty() && !awkward && text.chars().all(safe) => text.into_owned(),
        text if cfg!(windows) => format!("\"{}\"", shown(&text)),
        text if !awkward => format!("'{}'", text.replace('\'', r"'\''")),
        _ => dollar(bytes),
    }
}

/// `$'...'`, in which bash, zsh, ksh and the shells of POSIX 2024 read escapes: for names with
/// characters that cannot be printed, or that are no text at all.
#[cfg(feature = "cli")]
fn dollar(bytes: &[u8]) -> String {
    let byte = |b: &u8| format!("\\{b:03o}");
    let mut out = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                c if steers(c) => c.encode_utf8(&mut [0; 4]).as_bytes().iter().for_each(|b| out.push_str(&byte(b))),
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|b| out.push_str(&byte(b)));
    }
    out + "'"
}

/// Whether a character does something to a terminal instead of being shown: control characters, and
/// those that turn the direction of what follows or make a line of it.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text with what steers a terminal written as `\u001b`, which JSON reads back; ends of lines stay.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    escaped(text, |c| steers(c) && c != '\n')
}

/// The same, lines of which all but the first are indented.
pub(crate) fn hanging(words: &str) -> String {
    harmless(words).lines().collect::<Vec<_>>().join("\n      ")
}

/// Characters of a remark at its beginning and at its end that are always told.
#[cfg(feature = "cli")]
const TOLD: [usize; 2] = [2500, 1000];

/// A remark without the middle of one that nobody would read to its end: names in a damaged file
/// can be as long as the file.
#[cfg(feature = "cli")]
pub(crate) fn readable(words: &str) -> Cow<'_, str> {
    let place = |characters: usize| words.char_indices().nth(characters).map(|(at, _)| at);
    let count = words.chars().count();
    match (place(TOLD[0]), place(count.saturating_sub(TOLD[1]))) {
        (Some(start), Some(end)) if count > TOLD[0] + TOLD[1] + 100 => {
            let left_out = count - TOLD[0] - TOLD[1];
            format!("{} ... ({left_out} characters left out) ... {}", &words[..start], &words[end..]).into()
        }
        _ => words.into(),
    }
}

/// A name for the middle of a sentence: the same, in one line.
pub(crate) fn shown(name: &str) -> Cow<'_, str> {
    escaped(name, steers)
}

/// The end of a sentence about a name that is not known: "did you mean a or b?" with the most
/// similar of `names`, else all of them.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest_or(wanted, names, "there are ")
}

/// The same, with `else_all` before all of the names where none is similar.
pub(crate) fn nearest_or<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>, else_all: &str) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let near = similar(wanted, &names);
    match near.is_empty() {
        true => format!("{else_all}{}", names.join(", ")),
        false => format!("did you mean {}?", near.join(" or ")),
    }
}

/// The names most like `wanted`, three at most, the most similar first.
pub(crate) fn similar<'a>(wanted: &str, names: &[&'a str]) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    // What dotted names have in common says nothing.
    let common = names
        .iter()
        .map(|name| name.rfind('.').map_or("", |dot| &name[..=dot]))
        .reduce(|a, b| if a == b { a } else { "" });
    let common = common.filter(|common| wanted.starts_with(common)).map_or(0, str::len);
    let similarity = |name: &str| {
        let (wanted, name) = (&wanted[common..], name[common..].to_lowercase());
        // Jaro and Winkler think little of swapped letters and of missing beginnings.
        let slip = if strsim::damerau_levenshtein(wanted, &name) == 1 { 0.95 } else { 0.0 };
        let part = if wanted.len() > 2 && name.contains(wanted) { 0.85 } else { 0.0 };
        strsim::jaro_winkler(wanted, &name).max(slip).max(part)
    };
    let mut near: Vec<(f64, &str)> = names.iter().map(|name| (similarity(name), *name)).collect();
    near.retain(|(similarity, _)| *similarity > 0.8);
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.truncate(3);
    near.into_iter().map(|(_, name)| name).collect()
}

/// Names as a list that ends in "or".
pub(crate) fn either(names: &[&str]) -> String {
    match names {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number of bytes for people, as memory is sold: 1 GB is 10⁹ bytes.
pub(crate) fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1000 => return format!("{bytes} bytes"),
        1000..1_000_000 => (1e3, "kB"),
        1_000_000..1_000_000_000 => (1e6, "MB"),
        1_000_000_000..1_000_000_000_000 => (1e9, "GB"),
        _ => (1e12, "TB"),
    };
    format!("{:.1} {name}", bytes as f64 / unit)
}

/// A number in four digits.
pub(crate) fn four(v: f64) -> String {
    match v.abs() {
        a if !a.is_finite() => v.to_string(),
        0.0 => "0".into(),
        a if !(9.995e-4..99_995.0).contains(&a) => format!("{v:.1e}"),
        a if a < 0.99995 => format!("{v:.4}"),
        a if a < 9.9995 => format!("{v:.3}"),
        a if a < 99.995 => format!("{v:.2}"),
        a if a < 999.95 => format!("{v:.1}"),
        _ => format!("{v:.0}"),
    }
}

/// A number of things for people, thousands apart: 6,340,000.
pub(crate) fn count(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(u64::MAX).to_string();
    let apart = |(i, digit): (usize, char)| {
        let comma = i > 0 && (digits.len() - i).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(apart).collect()
}

/// A duration for people, of time that was taken, is left, or is estimated: in two units at most,
/// and in days from a hundred hours on.
pub(crate) fn duration(d: Duration) -> String {
    match d.as_secs() {
        s if s >= 360_000 => format!("{} days", s / 86_400),
        s if s >= 3600 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        s if s >= 60 => format!("{}m{:02}s", s / 60, s % 60),
        s => format!("{s}s"),
    }
}

fn escaped(text: &str, wrong: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wrong) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if wrong(c) { format!("\\u{:04x}", c as u32) } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn of_remarks_without_end_the_middle_is_left_out() {
        let usual = "a".repeat(3500);
        assert_eq!(readable(&usual), usual);
        let long = format!("x.npz: it has no array called latents; its arrays: {}, the last", "ä, ".repeat(1 << 20));
        let told = readable(&long);
        assert!(told.starts_with("x.npz: it has no array") && told.ends_with("ä, , the last"), "{told}");
        let left_out = long.chars().count() - 3500;
        assert!(told.chars().count() < 3600 && told.contains(&format!("({left_out} characters left out)")), "{told}");
    }

    #[test]
    fn plain_paths_stay_and_others_are_quoted() {
        let cases = [
            ("runs/vae-1", "runs/vae-1"),
            ("/data/Größe 2", "'/data/Größe 2'"),
            ("it's", r"'it'\''s'"),
            ("a;rm -rf *", "'a;rm -rf *'"),
            ("~/x", "'~/x'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
            ("-x", "./-x"),
            ("-x y", "'./-x y'"),
            ("a\nb", r"$'a\012b'"),
            ("\x1b[31m'\\", r"$'\033[31m\'\\'"),
            ("\u{202e}gpj", r"$'\342\200\256gpj'"),
        ];
        for (path, command) in cases {
            assert_eq!(quoted(path), command);
        }
        assert_eq!(quoted(Path::new(OsStr::from_bytes(b"a\xff"))), r"$'a\377'");
    }

    /// What a shell makes of the word is the path again.
    #[test]
    fn a_shell_reads_every_word_back() {
        let paths = [&b"a b'c\"d"[..], b"\x1b]0;title\x07", b"a\xff\n\\n", b"$(date) `date` !x", b"*", b"#", b"a\\'b"];
        for path in paths {
            let command = format!("printf %s {}", quoted(Path::new(OsStr::from_bytes(path))));
            // Where there is no bash there is nothing to ask.
            let Ok(read) = std::process::Command::new("bash").args(["-c", &command]).output() else { return };
            assert_eq!(read.stdout, path, "{command}");
        }
    }

    #[test]
    fn what_steers_a_terminal_is_written_out_and_json_reads_it_back() {
        let name = "a\x1b]0;b\x07\u{9b}\u{202e}\r\n";
        assert_eq!(harmless(name), "a\\u001b]0;b\\u0007\\u009b\\u202e\\u000d\n");
        assert_eq!(shown(name), "a\\u001b]0;b\\u0007\\u009b\\u202e\\u000d\\u000a");
        let json = serde_json::to_string(name).unwrap();
        assert_eq!(serde_json::from_str::<String>(&harmless(&json)).unwrap(), name);
        assert!(matches!(harmless("plain\ntext"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_name_with_ends_of_lines_forges_no_line() {
        assert_eq!(hanging("no a\nlimn: all is well\n\x1b[2J"), "no a\n      limn: all is well\n      \\u001b[2J");
    }

    #[test]
    fn near_names_come_first() {
        let names = ["conv2d", "conv_transpose2d", "matmul"];
        assert!(nearest("Conv2", names).starts_with("did you mean conv2d"));
        assert_eq!(nearest("matlum", names), "did you mean matmul?");
        assert_eq!(nearest("zzz", names), "there are conv2d, conv_transpose2d, matmul");
        assert_eq!(nearest("cat", ["Cat", "Dog"]), "did you mean Cat?");
        let keys = ["model.hidden", "model.latent"];
        assert_eq!(nearest("model.hiden", keys), "did you mean model.hidden?");
        assert_eq!(nearest("model.zzz", keys), "there are model.hidden, model.latent");
        assert_eq!(nearest("größe", []), "there are ");
    }

    #[test]
    fn lists_end_in_or() {
        assert_eq!([&[][..], &["a"], &["a", "b"], &["a", "b", "c"]].map(either), ["", "a", "a or b", "a, b or c"]);
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }

    #[test]
    fn sizes_are_told_in_units_of_a_thousand() {
        let told = [0, 900, 1_500_000, 41_200_000_000, 7_000_000_000_000].map(size);
        assert_eq!(told, ["0 bytes", "900 bytes", "1.5 MB", "41.2 GB", "7.0 TB"]);
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        let told = [0u64, 12, 999, 1000, 53_569, 6_340_000, u64::MAX].map(count);
        assert_eq!(told, ["0", "12", "999", "1,000", "53,569", "6,340,000", "18,446,744,073,709,551,615"]);
        assert_eq!(count(1234usize), "1,234");
    }

    #[test]
    fn durations_are_short() {
        let show = |s| duration(Duration::from_secs(s));
        let told = [0, 9, 75, 3905, 7260, 359_999, 864_000].map(show);
        assert_eq!(told, ["0s", "9s", "1m15s", "1h05m", "2h01m", "99h59m", "10 days"]);
    }

    #[test]
    fn numbers_have_four_digits() {
        let shown = [0.0, 0.12345, 1.0, 12.345, 999.96, 1234.5, 99_999.0, 1.5e-5, -0.5, 9.99999, f64::NAN].map(four);
        assert_eq!(
            shown,
            ["0", "0.1235", "1.000", "12.35", "1000", "1234", "1.0e5", "1.5e-5", "-0.5000", "10.00", "NaN"]
        );
    }
}
