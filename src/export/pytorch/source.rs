//! Python with holes.

/// A piece of Python from `templates/`, with its holes filled: what stands as `{{name}}` in a line
/// becomes the value of that name. A line of nothing else becomes the value's lines, each as far in,
/// or none where the value is empty.
macro_rules! python {
    ($file:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::export::pytorch::source::fill(
            include_str!(concat!("templates/", $file)),
            &[$((concat!("{{", stringify!($name), "}}"), $value.to_string())),*],
        )
    };
}

pub(super) use python;

/// Fills the holes of a template.
pub(super) fn fill(template: &str, holes: &[(&str, String)]) -> String {
    let mut lines = Vec::new();
    for line in template.lines() {
        let (bare, indent) = (line.trim_start(), line.len() - line.trim_start().len());
        match holes.iter().find(|(name, _)| *name == bare) {
            Some((_, value)) => lines.extend(value.lines().map(|line| format!("{:indent$}{line}", ""))),
            None => lines.push(holes.iter().fold(line.to_string(), |line, (name, value)| line.replace(name, value))),
        }
    }
    lines.join("\n")
}

/// Items of a list over several lines, each with its comma.
pub(super) fn listed(items: &[String]) -> String {
    items.iter().map(|item| format!("{item},\n")).collect()
}

/// Extents as they stand in a shape: `1, 28, 28`.
pub(super) fn extents(of: &[usize]) -> String {
    of.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// Words of a text in lines of at most `width` characters.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        match lines[last].chars().count() {
            0 => lines[last].push_str(word),
            so_far if so_far + 1 + word.chars().count() <= width => lines[last] += &format!(" {word}"),
            _ => lines.push(word.into()),
        }
    }
    lines.join("\n")
}

/// Characters that a line has at most, if words can be moved.
const LONGEST: usize = 110;

/// A line that begins a docstring, as lines that are not too long.
fn folded(line: &str) -> String {
    let (indent, text) = line.split_at(line.len() - line.trim_start().len());
    match text.starts_with("\"\"\"") && line.chars().count() > LONGEST {
        true => wrapped(text, LONGEST - indent.len()).replace('\n', &format!("\n{indent}")).replacen("", indent, 1),
        false => line.into(),
    }
}

/// Python without spaces at the ends of lines and with two blank lines between what stands at the
/// left, one elsewhere, as its style guide has it.
pub(super) fn tidy(text: &str) -> String {
    let (mut tidied, mut blank) = (String::new(), 0);
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            blank += 1;
            continue;
        }
        let most = if line.starts_with(' ') { 1 } else { 2 };
        tidied += &"\n".repeat(if tidied.is_empty() { 0 } else { blank.min(most) });
        blank = 0;
        tidied += &folded(line);
        tidied.push('\n');
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_in_a_line_and_over_lines() {
        let holes = [("{{a}}", "x, y".to_string()), ("{{b}}", "one\n  two".into()), ("{{c}}", String::new())];
        let filled = fill("f({{a}}, {{a}})\n    {{b}}\n    {{c}}\nend", &holes);
        assert_eq!(filled, "f(x, y, x, y)\n    one\n      two\nend");
        assert_eq!(tidy("a\n\n\n\nb \n\n\n  c\n"), "a\n\n\nb\n\n  c\n");
        let long = format!("    \"\"\"{}end.\"\"\"", "word ".repeat(30));
        assert!(folded(&long).lines().all(|line| line.starts_with("    ") && line.len() <= LONGEST));
        assert_eq!(wrapped("one two  three\nfour", 9), "one two\nthree\nfour");
    }
}
