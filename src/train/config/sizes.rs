//! Which presets take images of a size.

use super::Config;
use crate::train::presets;
use toml::{Table, Value};

/// Presets that are named at most.
const NAMED: usize = 6;

/// What to add to the refusal of a model's size: a preset of each kind that takes such images, if
/// there is one.
pub(super) fn hint(model: &Table) -> String {
    let size = |key: &str| model.get(key).and_then(Value::as_integer).filter(|side| *side > 0);
    let Some(side) = size("image") else { return String::new() };
    let [height, width] = ["image_height", "image_width"].map(|key| size(key).unwrap_or(side));
    match taking(height, width)[..] {
        [] => String::new(),
        ref names => format!("; presets that take {width}x{height}: {}", names.join(", ")),
    }
}

/// The first preset of each kind that takes images of these sides.
fn taking(height: i64, width: i64) -> Vec<&'static str> {
    let (mut kinds, mut names) = (Vec::new(), Vec::new());
    for (name, _) in presets() {
        let Ok(preset) = Config::preset(name) else { continue };
        let kind = preset.model.kind();
        if !kinds.contains(&kind) && resized(&preset, height, width).is_some() {
            names.push(*name);
            kinds.push(kind);
        }
    }
    names.truncate(NAMED);
    names
}

/// A preset for images of these sides, if its model takes them.
fn resized(preset: &Config, height: i64, width: i64) -> Option<Config> {
    let mut table = Table::try_from(preset).ok()?;
    let model = table.get_mut("model")?.as_table_mut()?;
    let keys: &[(&str, i64)] = match () {
        () if model.contains_key("image_height") => &[("image_height", height), ("image_width", width)],
        () if model.contains_key("image") && height == width => &[("image", height)],
        () if model.contains_key("height") => &[("height", height), ("width", width)],
        () => return None,
    };
    for (key, side) in keys {
        model.insert((*key).into(), Value::Integer(*side));
    }
    let config: Config = table.try_into().ok()?;
    let [_, h, w] = config.model.build().ok()?.geometry();
    ([h as i64, w as i64] == [height, width]).then_some(config)
}
