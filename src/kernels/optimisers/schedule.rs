//! How a learning rate moves over a run.

use super::rule;
use serde::{Deserialize, Serialize};

/// How a learning rate falls.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Falling {
    /// Not at all.
    #[default]
    Constant,
    /// By the same factor at each step.
    Exponential,
    /// Along half a cosine: slowly at first and at last (Loshchilov & Hutter 2017, without
    /// restarts).
    Cosine,
}

/// How a learning rate moves over the training steps of a run, whatever the optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// How it falls.
    pub kind: Falling,
    /// What it is multiplied by at the end, above 0 and at most 1; it stays there.
    pub end: f64,
    /// Training steps until then; with 0 it does not fall.
    pub steps: u32,
    /// Steps in which it rises along a line from near 0 at the beginning; 0 for none.
    pub warm_up: u32,
}

impl Default for Schedule {
    /// A rate that stays.
    fn default() -> Schedule {
        Schedule { kind: Falling::Constant, end: 0.01, steps: 0, warm_up: 0 }
    }
}

impl Schedule {
    /// A sentence about a value that makes no sense, if there is one.
    pub fn fault(&self) -> Option<String> {
        rule::wants("lr_end", self.end, self.end > 0.0 && self.end <= 1.0, "above 0 and at most 1")
    }
}
