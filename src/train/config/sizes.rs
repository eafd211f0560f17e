//! Which presets take images of a size, and settings for images of other sizes and colours.

use super::{Config, ConfigError};
use crate::data::Geometry;
use crate::train::presets;
use toml::{Table, Value};

/// The keys of `[model]` that say how large an image is.
pub(super) const KEYS: [&str; 5] = ["image", "image_height", "image_width", "height", "width"];

/// Presets that are named at most.
const NAMED: usize = 6;

/// What to add to the refusal of a model's size: a preset of each kind that takes such images, if
/// there is one.
pub(super) fn hint(model: &Table) -> String {
    let size = |key: &str| model.get(key).and_then(Value::as_integer).filter(|side| *side > 0);
    let Some(side) = size("image") else { return String::new() };
    let [height, width] = ["image_height", "image_width"].map(|key| size(key).unwrap_or(side));
    presets_for(height, width)
}

/// The end of a sentence that names presets which take images of these sides, if there are any.
fn presets_for(height: i64, width: i64) -> String {
    match first_of_each_kind(|preset| resized(preset, height, width).is_some())[..] {
        [] => String::new(),
        ref names => format!("; presets that take {width}x{height}: {}", names.join(", ")),
    }
}

/// The first preset of each kind of which something is true.
fn first_of_each_kind(is: impl Fn(&Config) -> bool) -> Vec<&'static str> {
    let (mut kinds, mut names) = (Vec::new(), Vec::new());
    for (name, _) in presets() {
        let Ok(preset) = Config::preset(name) else { continue };
        let kind = preset.model.kind();
        if !kinds.contains(&kind) && is(&preset) {
            names.push(*name);
            kinds.push(kind);
        }
    }
    names.truncate(NAMED);
    names
}

/// A preset for images of these sides, if its model takes them.
fn resized(preset: &Config, height: i64, width: i64) -> Option<Config> {
    let config = preset.with_sides(height, width)?;
    let [_, h, w] = config.model.build().ok()?.geometry();
    ([h as i64, w as i64] == [height, width]).then_some(config)
}

impl Config {
    /// The same settings for images of these sides; `None` where the kind of model has no such
    /// settings. Whether the model takes them shows when it is built.
    fn with_sides(&self, height: i64, width: i64) -> Option<Config> {
        let model = self.model_table()?;
        let has = |key: &str| model.contains_key(key);
        let keys: &[(&str, i64)] = match height == width {
            true if has("image_height") => &[("image", height), ("image_height", 0), ("image_width", 0)],
            false if has("image_height") => &[("image_height", height), ("image_width", width)],
            true if has("image") => &[("image", height)],
            _ if has("height") && has("width") => &[("height", height), ("width", width)],
            _ => return None,
        };
        self.with(keys)
    }

    /// The same settings with other numbers in `[model]`.
    fn with(&self, numbers: &[(&str, i64)]) -> Option<Config> {
        let mut table = Table::try_from(self).ok()?;
        let model = table.get_mut("model")?.as_table_mut()?;
        for (key, number) in numbers {
            model.insert((*key).into(), Value::Integer(*number));
        }
        let config: Config = table.try_into().ok()?;
        Some(Config { given: self.given, ..config })
    }

    fn model_table(&self) -> Option<Table> {
        Table::try_from(&self.model).ok()
    }

    /// Settings for images of another size, where the model takes them.
    pub(in crate::train) fn resized(&self, height: usize, width: usize) -> Option<Config> {
        resized(self, height as i64, width as i64).filter(|config| config.validate().is_ok())
    }

    /// Settings for images of so many channels, where the model takes them.
    pub(in crate::train) fn recoloured(&self, channels: usize) -> Option<Config> {
        let has = self.model_table()?.contains_key("channels");
        let config = has.then(|| self.with(&[("channels", channels as i64)]))??;
        let [c, ..] = config.validate().ok()?.geometry();
        (c == channels).then_some(config)
    }

    /// Takes images of these sides, whatever the data have.
    ///
    /// # Errors
    /// A model that does not take them, with presets that do.
    pub fn set_sides(&mut self, height: usize, width: usize) -> Result<(), ConfigError> {
        let [tall, wide] = [height, width].map(|side| i64::try_from(side).unwrap_or(i64::MAX));
        let name = self.name_or_kind();
        let Some(config) = self.with_sides(tall, wide) else {
            let other = if height == width { "other sizes" } else { "images that are not square" };
            let hint = presets_for(tall, wide);
            return Err(ConfigError::Value(format!("{name} has no settings for {other}{hint}")));
        };
        config.validate()?;
        *self = config;
        self.given.size = true;
        Ok(())
    }

    /// Takes images of so many channels, 1 or 3, whatever the data have.
    ///
    /// # Errors
    /// A model that does not take them, with presets that do.
    pub fn set_channels(&mut self, channels: usize) -> Result<(), ConfigError> {
        let colour = if channels == 1 { "grey" } else { "colour" };
        let takes = self.validate()?.geometry()[0];
        let Some(config) = self.recoloured(channels).or_else(|| (takes == channels).then(|| self.clone())) else {
            let kinds = first_of_each_kind(|preset| preset.recoloured(channels).is_some());
            let why =
                format!("{} takes no images in {colour}; presets that do: {}", self.name_or_kind(), kinds.join(", "));
            return Err(ConfigError::Value(why));
        };
        *self = config;
        self.given.colour = true;
        Ok(())
    }

    /// What the model takes, as the data speak of it.
    pub fn takes(&self) -> Result<Geometry, ConfigError> {
        let [channels, height, width] = self.validate()?.geometry();
        Ok(Geometry::new(channels, height, width))
    }
}
