//! Settings as tables: editing one key at a time, with types and near names checked against what
//! is there, and reading files so that every complaint has its line.

use super::config::{Config, ConfigError, Given};
use super::presets::presets;
use crate::models::{self, ModelConfig};
use crate::nn::OptimConfig;
use crate::words::{nearest, nearest_or};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr;
use strum::VariantNames;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

/// One setting as people give it: `section.key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, dotted.
    pub key: String,
    /// The value as it was written; strings need no quotes.
    pub value: String,
}

impl Setting {
    /// The setting of `key` to what `value` is shown as.
    pub fn new(key: impl Into<String>, value: impl ToString) -> Setting {
        Setting { key: key.into(), value: value.to_string() }
    }

    /// The settings that texts are, one each.
    ///
    /// # Errors
    /// A text that is none.
    pub fn all<S: AsRef<str>>(texts: &[S]) -> Result<Vec<Setting>, ConfigError> {
        texts.iter().map(|text| text.as_ref().parse()).collect()
    }
}

impl FromStr for Setting {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Setting, ConfigError> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Setting::new(key.trim(), value.trim())),
            _ => Err(ConfigError::Value(format!("\"{text}\" is not a setting; write it as key=value"))),
        }
    }
}

/// The settings of a new optimiser of this kind, or a sentence with the kinds there are.
fn new_optimiser(kind: &str) -> Result<OptimConfig, String> {
    if !OptimConfig::VARIANTS.contains(&kind) {
        let hint = nearest(kind, OptimConfig::VARIANTS.iter().copied());
        return Err(format!("there is no optimiser \"{kind}\"; {hint}"));
    }
    let table = Table::from_iter([("kind".to_string(), Value::from(kind))]);
    OptimConfig::deserialize(table).map_err(|e| first_line(e.message()))
}

/// Keys that are not written down where they are as they were before there was the setting.
const OPTIONAL: [&str; 19] = [
    "train.steps",
    "train.sample_every",
    "train.checkpoint_minutes",
    "train.clip_norm",
    "train.lr_schedule",
    "train.lr_end",
    "train.lr_steps",
    "train.lr_warm_up",
    "train.precision",
    "train.recompute",
    "train.accumulate",
    "train.sync_batch_norm",
    "train.eval_every",
    "train.views_every",
    "train.ema",
    "train.ema_warm_up",
    "train.keep",
    "data.classes",
    "data.range",
];

/// A complete table of settings under edit.
pub(super) struct SettingsTable(Table);

impl SettingsTable {
    pub(super) fn of(config: &Config) -> Result<SettingsTable, ConfigError> {
        Table::try_from(config).map(SettingsTable).map_err(|e| ConfigError::Value(e.to_string()))
    }

    pub(super) fn config(&self) -> Result<Config, String> {
        Config::deserialize(self.0.clone()).map_err(|e| with_nearest(in_words(&first_line(e.message()))))
    }

    fn kind(&self, section: &str) -> Option<&str> {
        self.0.get(section)?.get("kind")?.as_str()
    }

    /// All keys, dotted.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = OPTIONAL.map(String::from).into();
        for (section, table) in &self.0 {
            let present = table.as_table().into_iter().flat_map(Table::keys).map(|key| format!("{section}.{key}"));
            keys.extend(present.filter(|key| !OPTIONAL.contains(&key.as_str())));
        }
        keys
    }

    /// Takes a dotted key away, for which its default then stands; false where there is no default.
    fn leave_out(&mut self, dotted: &str) -> bool {
        let (section, key) = dotted.split_once('.').unwrap_or((dotted, ""));
        self.0.get_mut(section).and_then(Value::as_table_mut).map(|table| table.remove(key));
        self.config().is_ok()
    }

    fn unknown(&self, section: &str, key: &str) -> String {
        let (keys, dotted) = (self.keys(), if key.is_empty() { section.into() } else { format!("{section}.{key}") });
        // A key in the wrong section, or without one, is a better guess than a similar word.
        let last = dotted.rsplit('.').next().unwrap_or_default();
        let elsewhere: Vec<&str> =
            keys.iter().filter(|k| k.rsplit('.').next() == Some(last)).map(String::as_str).collect();
        if !elsewhere.is_empty() {
            return format!("unknown key; did you mean {}?", elsewhere.join(" or "));
        }
        let prefix = format!("{section}.");
        let inside = keys.iter().filter(|k| k.starts_with(&prefix)).count();
        let candidates = keys.iter().filter(|k| key.is_empty() || inside == 0 || k.starts_with(&prefix));
        format!("unknown key; {}", nearest(&dotted, candidates.map(String::as_str)))
    }

    /// Puts a value at `section.key`, or says what is wrong with it. The kind of the optimiser may
    /// change (and brings that kind's defaults), the kind of the model may not.
    fn assign(&mut self, section: &str, key: &str, value: Value) -> Result<(), String> {
        if key == "kind" && (section == "model" || section == "optim") {
            return self.assign_kind(section, value);
        }
        let Some(table) = self.0.get(section).and_then(Value::as_table) else {
            return Err(self.unknown(section, key));
        };
        let value = match table.get(key) {
            Some(now) => fitted(now, value)?,
            None => value,
        };
        let before = self.0.clone();
        if let Some(table) = self.0.get_mut(section).and_then(Value::as_table_mut) {
            table.insert(key.into(), value);
        }
        match self.config() {
            Ok(_) => Ok(()),
            Err(why) => {
                self.0 = before;
                Err(if why.contains("unknown field") { self.unknown(section, key) } else { why })
            }
        }
    }

    fn assign_kind(&mut self, section: &str, value: Value) -> Result<(), String> {
        let Some(kind) = value.as_str() else {
            return Err(expected("a string", &value));
        };
        let now = self.kind(section).unwrap_or_default();
        if kind == now {
            return Ok(());
        }
        if section == "model" {
            let of_kind = |name: &&str| Config::preset(name).is_ok_and(|c| c.model.kind() == kind);
            let presets: Vec<&str> = presets().iter().map(|(name, _)| *name).filter(of_kind).collect();
            return Err(match presets.is_empty() {
                true => format!("there is no model \"{kind}\"; {}", nearest(kind, models::kinds())),
                false => {
                    format!("it is \"{now}\" and cannot be changed; start from the preset {}", presets.join(" or "))
                }
            });
        }
        let optim = Value::try_from(new_optimiser(kind)?).map_err(|e| e.to_string())?;
        self.0.insert("optim".into(), optim);
        Ok(())
    }

    /// Changes one setting.
    pub(super) fn set(&mut self, setting: &Setting) -> Result<(), ConfigError> {
        let (key, text) = (setting.key.as_str(), setting.value.as_str());
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        let now = self.0.get(section).and_then(|t| t.get(name));
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !matches!(now, Some(Value::Float(_) | Value::String(_) | Value::Array(_)))
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse::<i64>().is_err()
        {
            return Err(ConfigError::Value(format!("{key}: {text} is not between {} and {}", i64::MIN, i64::MAX)));
        }
        let value = parse(text, now);
        if key == "train.epochs"
            && let Some(train) = self.0.get_mut("train").and_then(Value::as_table_mut)
        {
            // The later word wins over a number of steps set before.
            train.remove("steps");
        }
        self.assign(section, name, value).map_err(|why| ConfigError::Value(format!("{key}: {why}")))
    }
}

/// What a setting is to be, in words, where a program's type was named.
fn in_words(why: &str) -> String {
    let types = [
        ("u32", "a whole number from 0 to 4294967295"),
        ("usize", "a whole number, 0 or more"),
        ("u64", "a whole number, 0 or more"),
        ("f32", "a number"),
        ("f64", "a number"),
    ];
    let told = why.strip_prefix("invalid type: ").or(why.strip_prefix("invalid value: "));
    match told.and_then(|told| told.split_once(", expected ")) {
        Some((found, wants)) => {
            let words = types.iter().find(|(name, _)| *name == wants).map_or(wants, |(_, words)| words);
            format!("expected {words}, found {found}")
        }
        None => why.into(),
    }
}

/// A value from the command line, by the type it replaces.
fn parse(text: &str, now: Option<&Value>) -> Value {
    let parsed = ValueDeserializer::parse(text).and_then(Value::deserialize);
    match (parsed, now) {
        (Ok(value @ Value::Array(_)), Some(Value::Array(_))) => value,
        // A shell takes quotes away, and some take brackets for a pattern.
        (_, Some(Value::Array(_))) => {
            let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
            let parts = inner.split(',').map(str::trim).filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| parse(part, None)).collect())
        }
        (Ok(Value::String(s)), _) => Value::String(s),
        (_, Some(Value::String(_))) => Value::String(text.into()),
        (Ok(value), _) => value,
        // TOML wants a digit before the point.
        (Err(_), Some(Value::Float(_))) if text.parse::<f64>().is_ok() => {
            Value::Float(text.parse().unwrap_or_default())
        }
        (Err(_), _) => Value::String(text.into()),
    }
}

/// `value` as the type of `now`, where that loses nothing.
fn fitted(now: &Value, value: Value) -> Result<Value, String> {
    match (now, value) {
        (Value::Integer(_), Value::Integer(i)) if i < 0 => Err(format!("{i} must not be negative")),
        (Value::Float(_), Value::Integer(i)) => Ok(Value::Float(i as f64)),
        (now, value) if now.same_type(&value) => Ok(value),
        (now, value) => Err(expected(with_article(now), &value)),
    }
}

fn expected(wants: &str, has: &Value) -> String {
    format!("expected {wants}, found {}", with_article(has))
}

fn with_article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::Table(_) => "a table",
    }
}

/// What serde says of a word that is none of those wanted, with the most similar of these.
fn with_nearest(message: String) -> String {
    let hint = message.split_once("unknown variant `").map(|(_, rest)| {
        let mut words = rest.split('`').step_by(2);
        let wrong = words.next().unwrap_or_default();
        nearest_or(wrong, words.filter(|word| !word.is_empty()), "")
    });
    match hint.filter(|hint| hint.starts_with("did you mean")) {
        Some(hint) => format!("{message}; {hint}"),
        None => message,
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_string()
}

/// A key of a file, its value and where it stands.
struct Leaf {
    section: String,
    key: String,
    value: Result<Value, String>,
    at: usize,
}

/// Reads a TOML file of settings; see [`Config::load`].
pub(super) fn read(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
    // Lines are counted where there is something to say of one: for every key of a long file it would take minutes.
    let fault = |at: usize, why: String| ConfigError::File { path: path.into(), line: line(at), why };
    let document = DeTable::parse(text).map_err(|e| fault(e.span().map_or(0, |s| s.start), first_line(e.message())))?;
    let (mut preset, mut name) = (None, None);
    let mut leaves = Vec::new();
    for (section, value) in document.into_inner() {
        let at = section.span().start;
        let section = section.into_inner().into_owned();
        match value.into_inner() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    let (at, value) = (key.span().start, owned(value));
                    leaves.push(Leaf { section: section.clone(), key: key.into_inner().into_owned(), value, at });
                }
            }
            DeValue::String(text) if section == "name" => name = Some(text.into_owned()),
            DeValue::String(name) if section == "preset" => {
                preset = Some(Config::preset(&name).map_err(|e| fault(at, format!("key preset: {e}")))?);
            }
            other => {
                let why = match section.as_str() {
                    "preset" | "name" => format!("expected a string, found {}", other.type_str()),
                    "model" | "data" | "optim" | "train" => {
                        format!("expected a table, written as [{section}], found {}", other.type_str())
                    }
                    _ => "unknown key; there are preset, name, [model], [data], [optim] and [train]".into(),
                };
                return Err(fault(at, format!("key {section}: {why}")));
            }
        }
    }
    let complete = preset.is_none();
    let base = match preset {
        Some(preset) => preset,
        None => {
            let kind = leaves.iter().find(|l| l.section == "model" && l.key == "kind");
            let Some(Leaf { value: Ok(Value::String(name)), at, .. }) = kind else {
                let why = "it says neither preset = \"NAME\" at the top nor kind = \"NAME\" in [model]".into();
                return Err(fault(kind.map_or(0, |l| l.at), why));
            };
            let model = leaves.iter().filter(|l| l.section == "model");
            let model = model.filter_map(|l| Some((l.key.clone(), l.value.clone().ok()?))).collect();
            template(name, model).map_err(|why| fault(*at, format!("key model.kind: {why}")))?
        }
    };
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let mut settings = SettingsTable::of(&base)?;
    let mut given = HashSet::new();
    // The kind of the optimiser decides which of its keys there are.
    leaves.sort_by_key(|l| l.key != "kind");
    for Leaf { section, key, value, at } in leaves {
        let dotted = format!("{section}.{key}");
        let put = value.and_then(|v| settings.assign(&section, &key, v));
        put.map_err(|why| fault(at, format!("key {dotted}: {why}")))?;
        given.insert(dotted);
    }
    let mut absent = settings.keys().into_iter().filter(|key| complete && !given.contains(key));
    if let Some(key) = absent.find(|key| !settings.leave_out(key)) {
        let why = format!("key {key} is missing; add it, or say preset = \"NAME\" at the top and only what differs");
        return Err(fault(text.len(), why));
    }
    let mut config = settings.config().map_err(|why| fault(0, why))?;
    config.name = name.or(stem).unwrap_or(base.name);
    let said = given.iter().fold(Given::default(), |said, key| said.and(key));
    config.given = if complete { Given { classes: said.classes, ..Given::ALL } } else { said };
    Ok(config)
}

/// A value without its place in the text, or a sentence.
fn owned(value: Spanned<DeValue<'_>>) -> Result<Value, String> {
    Value::deserialize(ValueDeserializer::from(value)).map_err(|e| first_line(e.message()))
}

/// Some complete settings for a model of this kind, which the table `model` describes where there
/// is no preset of it.
fn template(kind: &str, model: Table) -> Result<Config, String> {
    let mut presets = presets().iter().filter_map(|(name, _)| Config::preset(name).ok());
    if let Some(preset) = presets.find(|c| c.model.kind() == kind) {
        return Ok(preset);
    }
    if !models::kinds().contains(&kind) {
        return Err(format!("there is no model \"{kind}\"; {}", nearest(kind, models::kinds())));
    }
    Ok(Config::of(ModelConfig::deserialize(model).map_err(|e| first_line(e.message()))?))
}
