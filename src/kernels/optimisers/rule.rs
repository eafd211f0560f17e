//! The rule of an optimiser, as settings have it.

use super::descent::AverageBlock;
use super::schedule::Schedule;
use crate::kernels::{Access, Kernel};
use std::fmt::Debug;
use std::sync::Arc;

/// Settings of an optimiser, which serde reads and writes, and the kernel that they make.
pub trait Rule: Debug {
    /// The learning rate of the first step.
    fn lr(&self) -> f64;

    /// A sentence about a value that makes no sense, if there is one. It begins with the setting's
    /// name.
    fn fault(&self) -> Option<String>;

    /// The update of `len` parameters: see [`Descent`](super::descent::Descent).
    fn kernel(&self, len: u32, schedule: &Schedule, average: AverageBlock) -> Arc<dyn Kernel>;

    /// What the optimiser keeps beside the parameters, in tensors of their size: what its kernel
    /// updates between the parameters and their average.
    fn moments(&self) -> Vec<&'static str> {
        let writes = self.kernel(0, &Schedule::default(), AverageBlock::NONE).signature().writes;
        let inner = &writes[1..writes.len() - 1];
        inner.iter().filter(|(_, access)| *access == Access::Update).map(|(name, _)| *name).collect()
    }
}

/// What is wrong with a setting that has to be above 0.
pub fn positive(key: &str, v: f64) -> Option<String> {
    wants(key, v, v > 0.0 && v.is_finite(), "above 0")
}

/// What is wrong with a factor of the learning rate.
pub fn decay(v: f64) -> Option<String> {
    wants("decay", v, v > 0.0 && v <= 1.0, "above 0 and at most 1")
}

/// What is wrong with a setting that wants something, unless it has that.
pub fn wants(key: &str, v: f64, has: bool, what: &str) -> Option<String> {
    (!has).then(|| format!("{key} = {v} must be {what}"))
}

/// What is wrong with a share of 1 that has to be less than all of it.
pub fn share(key: &str, v: f64) -> Option<String> {
    match v {
        v if !(0.0..1.0).contains(&v) => Some(format!("{key} = {v} must be at least 0 and below 1")),
        v if v as f32 == 1.0 => Some(format!("{key} = {v} is 1 in the 32 bits that devices compute in")),
        _ => None,
    }
}
