//! The presets: the files in `assets/presets`, each called by its name there.

use super::Config;
use crate::models::kinds;
use include_dir::{Dir, include_dir};
use std::sync::LazyLock;
use toml::Table;

static FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/assets/presets");

static SORTED: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
    let named = FILES.files().filter(|file| file.path().extension().is_some_and(|ending| ending == "toml"));
    let mut all: Vec<(&str, &str)> =
        named.filter_map(|file| Some((file.path().file_stem()?.to_str()?, file.contents_utf8()?))).collect();
    let kinds = kinds();
    all.sort_by_cached_key(|&(name, text)| {
        let kind =
            text.parse::<Table>().ok().and_then(|table| Some(table.get("model")?.get("kind")?.as_str()?.to_string()));
        let kind = kind.unwrap_or_default();
        let family = kinds.iter().position(|known| *known == kind).unwrap_or(kinds.len());
        // What is called as its kind comes before its relatives.
        (family, name != kind, name)
    });
    all
});

/// The presets and their TOML: those of one kind of model side by side, in the order of the kinds
/// and then of the names.
pub fn presets() -> &'static [(&'static str, &'static str)] {
    &SORTED
}

impl Config {
    /// What the preset that these settings are called by says of the model at its top; nothing,
    /// where there is none of the name.
    pub fn about(&self) -> Option<String> {
        let (_, text) = presets().iter().find(|(known, _)| *known == self.name)?;
        Some(about(text))
    }
}

/// What the file of a preset says at its top.
pub(crate) fn about(text: &str) -> String {
    let comments = text.lines().map_while(|line| line.strip_prefix('#'));
    comments.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::count;

    const WORDS: [&str; 6] = ["none", "one", "two", "three", "four", "five"];

    /// What is counted in words, and the setting that has it.
    const COUNTED: [(&str, &[&str]); 6] = [
        ("blocks", &["blocks", "dilations"]),
        ("layers", &["layers"]),
        ("layer", &["layers"]),
        ("filters", &["filters"]),
        ("gaussians", &["components"]),
        ("draws", &["samples"]),
    ];

    /// What a file says at its top, in small letters, and its settings of the model.
    fn said(name: &str) -> (String, Table) {
        let (_, text) = presets().iter().find(|(known, _)| *known == name).expect("a preset");
        let about: Vec<&str> = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
        let table: Table = text.parse().expect("TOML");
        (about.join(" ").to_lowercase(), table["model"].as_table().expect("a table").clone())
    }

    #[test]
    fn presets_have_the_numbers_that_their_sentences_tell() {
        let (mut numbers, mut shares) = (0, 0);
        for (name, _) in presets() {
            let (about, model) = said(name);
            let words: Vec<&str> = about.split([' ', ',', '.', ':']).filter(|word| !word.is_empty()).collect();
            for (at, word) in words.iter().enumerate() {
                let Some((_, keys)) = COUNTED.iter().find(|(counted, _)| counted == word) else { continue };
                let before = words[..at].iter().rfind(|word| **word != "narrow").copied().unwrap_or_default();
                let spelled = WORDS.iter().position(|word| *word == before).map(|n| n as i64);
                let Some(told) = before.parse().ok().or(spelled) else { continue };
                let number =
                    |value: &toml::Value| value.as_array().map_or(value.as_integer(), |all| Some(all.len() as i64));
                let is = keys.iter().find_map(|key| model.get(*key)).and_then(number);
                assert_eq!(is, Some(told), "{name}: {before} {word}");
                numbers += 1;
            }
            let shared = [("half as wide", 2), ("a third as wide", 3), ("a quarter as wide", 4)];
            if let Some((words, share)) = shared.iter().find(|(words, _)| about.contains(words)) {
                let (_, whole) = said(name.strip_suffix("-small").expect("a small one"));
                let of = |model: &Table| ["width", "hidden"].iter().find_map(|key| model.get(*key)?.as_integer());
                assert_eq!(of(&model).map(|width| share * width), of(&whole), "{name}: {words}");
                shares += 1;
            }
            if let Some((before, _)) = about.split_once(" parameters") {
                let model = Config::preset(name).expect("a preset").validate().expect("a model");
                assert!(before.ends_with(&count(model.parameters())), "{name}: {before}");
                numbers += 1;
            }
        }
        assert!(numbers > 15 && shares > 5, "{numbers} and {shares}");
    }
}
