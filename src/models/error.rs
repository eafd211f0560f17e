//! Why a model cannot be made.

/// Why a model cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A setting that makes no sense.
    #[error("model.{key} = {value} {must}")]
    Setting {
        /// The setting's key in the table `[model]`.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be, as the end of the sentence.
        must: String,
    },
    /// Settings that do not go together, in a sentence.
    #[error("{0}")]
    Settings(String),
}

impl ModelError {
    /// A setting and what it must be, such as "must be at least 1".
    pub fn setting(key: &'static str, value: impl ToString, must: impl Into<String>) -> ModelError {
        ModelError::Setting { key, value: value.to_string(), must: must.into() }
    }
}

/// Refuses sizes of zero.
pub(super) fn positive(sizes: &[(&'static str, usize)]) -> Result<(), ModelError> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((key, size)) => Err(ModelError::setting(key, size, "must be at least 1")),
        None => Ok(()),
    }
}

/// Refuses what is negative, infinite or NaN.
pub(super) fn finite(factors: &[(&'static str, f64)]) -> Result<(), ModelError> {
    match factors.iter().find(|(_, v)| !(*v >= 0.0 && *v <= f64::from(f32::MAX))) {
        Some((key, v)) => Err(ModelError::setting(key, v, "must be a finite number, at least 0")),
        None => Ok(()),
    }
}

/// Refuses more classes than a label can tell: it is a byte.
pub(super) fn few_classes(classes: usize) -> Result<(), ModelError> {
    match classes {
        0..=256 => Ok(()),
        more => Err(ModelError::setting("classes", more, "must be at most 256")),
    }
}

/// Refuses zeros among several sizes.
pub(super) fn each_positive(key: &str, sizes: &[usize]) -> Result<(), ModelError> {
    match sizes.contains(&0) {
        true => Err(ModelError::Settings(format!("model.{key} has a 0, which must be at least 1"))),
        false => Ok(()),
    }
}
