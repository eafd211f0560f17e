//! Which variant of each kernel a program takes on a device: what a tuner finds out, a planner
//! reads and a run keeps.

use crate::files;
use crate::gpu::AdapterDesc;
use crate::kernels::{Caps, Kernel, Recipe};
use crate::words::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The variant chosen for one kernel and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Its name.
    pub variant: String,
    /// Fingerprint of the variants it was chosen among.
    pub among: String,
    /// Milliseconds of each variant that was measured, and why others were refused. Nothing where
    /// the first was taken unmeasured, which a run writes down so that it goes on with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measured: BTreeMap<String, Verdict>,
}

/// What measuring a variant gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Verdict {
    /// Milliseconds of a launch.
    Ms(f64),
    /// Why it was refused.
    Refused(String),
}

/// The choices made on one device, by kernel and shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Choices {
    /// Adapter, backend and driver they hold for.
    pub device: String,
    /// By [`key`].
    pub kernels: BTreeMap<String, Choice>,
}

/// What a choice is kept under: the kernel's name and its shapes.
pub fn key(kernel: &dyn Kernel) -> String {
    format!("{} {}", kernel.signature().name, kernel.label())
}

impl Choices {
    /// No choices yet for this adapter.
    pub fn new(desc: &AdapterDesc) -> Choices {
        let device = format!("{}, {}, {}", desc.name, desc.backend, desc.driver);
        Choices { device, kernels: BTreeMap::new() }
    }

    /// The choices in a file.
    ///
    /// # Errors
    /// What the system said, or what is wrong with the text.
    pub fn read(path: &Path) -> std::io::Result<Choices> {
        Ok(serde_json::from_slice(&files::read_small(path)?)?)
    }

    /// These choices, if they were made on this adapter with this driver.
    pub fn of_device(self, desc: &AdapterDesc) -> Option<Choices> {
        (self.device == Choices::new(desc).device).then_some(self)
    }

    /// Replaces the file at `path` by these choices.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        files::replace(path, |file| writeln!(file, "{text}"))
    }

    /// The chosen variant among a kernel's `recipes`, the first where nothing was chosen among
    /// these.
    pub fn pick(&self, kernel: &dyn Kernel, recipes: Vec<Recipe>) -> Option<Recipe> {
        let wanted = self.of(kernel, &recipes).map(|choice| choice.variant.clone());
        let at = recipes.iter().position(|r| Some(r.name) == wanted.as_deref());
        recipes.into_iter().nth(at.unwrap_or(0))
    }

    /// What a program takes for each of these kernels that has several variants on such a device,
    /// chosen or not.
    pub fn taken(&self, kernels: &[Arc<dyn Kernel>], caps: &Caps) -> Choices {
        let mut taken = Choices { device: self.device.clone(), kernels: BTreeMap::new() };
        for kernel in kernels.iter().map(Arc::as_ref) {
            let key = key(kernel);
            if taken.kernels.contains_key(&key) {
                continue;
            }
            let recipes = kernel.variants(caps);
            if recipes.len() > 1 {
                let first = || Choice::unmeasured(&recipes);
                taken.kernels.insert(key, self.of(kernel, &recipes).cloned().unwrap_or_else(first));
            }
        }
        taken
    }

    /// The choice for a kernel, if it was made among these.
    pub(crate) fn of(&self, kernel: &dyn Kernel, recipes: &[Recipe]) -> Option<&Choice> {
        self.kernels.get(&key(kernel)).filter(|choice| choice.among == fingerprint(recipes))
    }
}

impl Choice {
    /// The first of these, which was not measured.
    fn unmeasured(recipes: &[Recipe]) -> Choice {
        Choice { variant: recipes[0].name.into(), among: fingerprint(recipes), measured: BTreeMap::new() }
    }
}

/// A short hash of everything that makes the variants what they are.
pub(crate) fn fingerprint(recipes: &[Recipe]) -> String {
    let mut hash = Sha256::new();
    for recipe in recipes {
        hash.update(format!("{} {:?}", recipe.name, recipe.scratch));
        for stage in &recipe.stages {
            hash.update(format!("{} {:?} {:?}", stage.shader.name, stage.constants, stage.grid));
            hash.update(stage.shader.source().unwrap_or_default());
        }
    }
    hex(&hash.finalize()[..8])
}
