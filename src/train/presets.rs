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
        let comments = text.lines().map_while(|line| line.strip_prefix('#'));
        Some(comments.map(str::trim).collect::<Vec<_>>().join(" "))
    }
}
