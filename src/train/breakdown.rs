//! Runs whose numbers broke down: what is written of it, and what may help.

use super::checkpoint;
use super::folder::{RunDir, RunError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the numbers of a run broke down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakdown {
    /// The step, from 1.
    pub step: u64,
    /// What is no longer finite, in words.
    pub why: String,
}

impl fmt::Display for Breakdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "training broke down at step {}: {}", self.step, self.why)
    }
}

/// What may keep a run from breaking down again, where the same steps would end as they did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cure {
    /// A lower learning rate, of a rule that has one.
    pub lr: Option<f32>,
    /// A bound on the norm of gradients that is lower than the one they have, where there are
    /// gradients.
    pub clip_norm: Option<f32>,
    /// The last checkpoint that is kept from before the last one.
    pub earlier: Option<u64>,
}

/// How much lower a rate or a bound is that may help.
const LOWER: f64 = 10.0;

impl RunDir {
    /// How the run broke down, where that is how it ended last.
    ///
    /// # Errors
    /// Those of [`RunDir::provenance`].
    pub fn broke_down(&self) -> Result<Option<Breakdown>, RunError> {
        Ok(self.provenance()?.sittings.pop().and_then(|sitting| sitting.broke_down))
    }

    /// What may help the run if it breaks down with the settings it has.
    pub fn cure(&self) -> Cure {
        let saved = checkpoint::info(&self.checkpoint()).ok().map(|info| info.step);
        let clip = self.config.train.clip_norm;
        let lr = self.config.optim.lr();
        let lower = if clip > 0.0 { clip / LOWER } else { 1.0 };
        Cure {
            lr: lr.map(|lr| (lr / LOWER) as f32),
            clip_norm: lr.map(|_| lower as f32),
            earlier: self.kept().into_iter().rfind(|step| saved.is_some_and(|saved| *step < saved)),
        }
    }

    /// Writes down that the run broke down. What cannot be written is in the log as well.
    pub(super) fn note_breakdown(&self, how: &Breakdown) {
        self.note(|sitting| sitting.broke_down = Some(how.clone()));
    }
}
