//! Settings in what the library says, as they are given on the command line: it knows their names,
//! and this how to change them.

/// The tables of settings.
const SECTIONS: [&str; 4] = ["model.", "optim.", "train.", "data."];

/// A text in which settings with their values, `train.clip_norm=1`, stand as flags do; where it
/// names one without a value, how to give it is told at the end.
pub fn told(text: &str) -> String {
    let flagged = flagged(text);
    // What complains of a setting has been given it.
    let complains = flagged.contains("--set ") || flagged.contains(": key ") || flagged.starts_with("key ");
    if complains {
        return flagged;
    }
    let after = |(at, key): &(usize, &str)| flagged[at + key.len()..].to_string();
    let bare = keys(&flagged).find(|found| !after(found).starts_with(['=', '*', ':', '/']));
    match bare.filter(|found| !after(found).starts_with(" =")) {
        Some((_, key)) => format!("{flagged} (--set {key}=VALUE)"),
        None => flagged,
    }
}

/// The same without what is told at the end.
pub fn flagged(text: &str) -> String {
    let (mut out, mut from) = (String::new(), 0);
    for (at, key) in keys(text) {
        let before = &text[from..at];
        let has_value = text[at + key.len()..].strip_prefix('=').is_some_and(|value| !value.starts_with(['=', ' ']));
        let is_given = text[..at].trim_end().rsplit(' ').next().is_some_and(|word| word.starts_with("--"));
        if !has_value || is_given {
            continue;
        }
        match before.strip_suffix("set ") {
            Some(before) if before.is_empty() || before.ends_with([' ', '(']) => {
                out.extend([before, "use --set "]);
            }
            _ => out.extend([before, "--set "]),
        }
        from = at;
    }
    out + &text[from..]
}

/// The names of settings in a text, and where they stand.
fn keys(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = |at: usize| text[..at].chars().next_back().is_none_or(|c| " (\n`".contains(c));
    let key = move |at: usize| {
        let section = SECTIONS.iter().find(|section| text[at..].starts_with(**section))?;
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let name = text[at + section.len()..].find(|c| !is_part(c)).unwrap_or(text.len() - at - section.len());
        (name > 0).then(|| (at, &text[at..at + section.len() + name]))
    };
    text.char_indices().map(|(at, _)| at).filter(move |at| starts(*at)).filter_map(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_as_they_are_given() {
        for (text, is) in [
            ("set train.clip_norm=1, or lower optim.lr", "use --set train.clip_norm=1, or lower optim.lr"),
            ("so model.augment=color,cutout helps", "so --set model.augment=color,cutout helps"),
            ("values; data.range=\"auto\" stretches", "values; --set data.range=\"auto\" stretches"),
            (
                "none yet; begin with a smaller optim.lr",
                "none yet; begin with a smaller optim.lr (--set optim.lr=VALUE)",
            ),
            // What was given is known, and what is no setting stays.
            ("train.keep = 0 must be at least 1", "train.keep = 0 must be at least 1"),
            ("a.toml:3: key train.batch: no", "a.toml:3: key train.batch: no"),
            ("`limn train --resume r --set optim.lr=0.1`", "`limn train --resume r --set optim.lr=0.1`"),
            ("--against train.batch=64: no", "--against train.batch=64: no"),
            ("cannot read /a/train.x=1/model.toml", "cannot read /a/train.x=1/model.toml"),
            ("nothing at all", "nothing at all"),
        ] {
            assert_eq!(told(text), is);
        }
    }
}
