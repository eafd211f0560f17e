//! The tuner: which variant of a kernel is fastest on this device, by measuring.
//!
//! It is given the kernels of a program, and for each one that has several variants it runs the first
//! few: one that disagrees with the CPU twin, or differs between two runs, is refused; the fastest of
//! the rest is the choice. Choices are kept in a file for each device and driver, with a fingerprint
//! of the variants they were made among, so that new shaders are measured anew.

use crate::bench;
use crate::check::{self, Bench, Example};
use crate::files;
use crate::gpu::{AdapterDesc, Gpu, GpuError};
use crate::kernels::{Class, Kernel, Recipe};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Another variant must be this much faster than the first, which needs no measuring to be chosen.
const GAIN: f64 = 0.93;

/// How often two variants are timed in turns, and for how long.
const TURNS: usize = 3;
const SECONDS: f64 = 0.01;

/// How long a program's kernels are measured; what is left then keeps its first variant.
const BUDGET: Duration = Duration::from_secs(10);

/// What can go wrong while tuning.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The device's words.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// Every variant computes something else than the twin.
    #[error(
        "no variant of {kernel} {label} agrees with the CPU on this device ({fault}); update its driver, or use --device cpu"
    )]
    AllWrong {
        /// Kernel name.
        kernel: &'static str,
        /// Its shapes.
        label: String,
        /// What the last variant did.
        fault: String,
    },
}

/// The variant chosen for one kernel and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Its name.
    pub variant: String,
    /// Fingerprint of the variants it was chosen among.
    pub among: String,
    /// Milliseconds of each variant that was measured, and why others were refused.
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
        Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
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

    /// The chosen variant among a kernel's `recipes`, the first where nothing was chosen among these.
    pub fn pick(&self, kernel: &dyn Kernel, recipes: Vec<Recipe>) -> Option<Recipe> {
        let wanted = self.of(kernel, &recipes).map(|choice| choice.variant.clone());
        let at = recipes.iter().position(|r| Some(r.name) == wanted.as_deref());
        recipes.into_iter().nth(at.unwrap_or(0))
    }

    /// The choices made for some kernels.
    pub fn of_these(&self, kernels: &[Arc<dyn Kernel>]) -> Choices {
        let known = |kernel: &Arc<dyn Kernel>| self.kernels.get_key_value(&key(kernel.as_ref()));
        let kernels = kernels.iter().filter_map(known).map(|(key, choice)| (key.clone(), choice.clone())).collect();
        Choices { device: self.device.clone(), kernels }
    }

    fn of(&self, kernel: &dyn Kernel, recipes: &[Recipe]) -> Option<&Choice> {
        self.kernels.get(&key(kernel)).filter(|choice| choice.among == fingerprint(recipes))
    }
}

/// A short hash of everything that makes the variants what they are.
fn fingerprint(recipes: &[Recipe]) -> String {
    let mut hash = Sha256::new();
    for recipe in recipes {
        hash.update(format!("{} {:?}", recipe.name, recipe.scratch));
        for stage in &recipe.stages {
            hash.update(format!("{} {:?} {:?}", stage.shader.name, stage.constants, stage.grid));
            hash.update(stage.shader.source());
        }
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Told before each kernel: how many are done, how many there are, and its name.
pub type Progress<'a> = dyn FnMut(usize, usize, &str) + 'a;

/// What tuning did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Kernels measured.
    pub measured: usize,
    /// Those among them that got another variant than the first.
    pub changed: usize,
    /// Variants refused, in words.
    pub refused: Vec<String>,
    /// Kernels for which no time was left.
    pub left: usize,
    /// Time it took.
    pub seconds: f64,
}

impl Report {
    /// In words, if anything was done.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.refused.iter().map(|why| format!("refused {why}")).collect();
        if self.measured > 0 {
            let left = match self.left {
                0 => String::new(),
                left => format!(", {left} small ones left as they are"),
            };
            lines.push(format!(
                "tuned {} kernels in {:.1} s: {} are faster in another variant than the first{left}",
                self.measured, self.seconds, self.changed
            ));
        }
        lines
    }
}

/// A kernel to choose a variant for.
struct Work<'a> {
    key: String,
    kernel: &'a dyn Kernel,
    recipes: Vec<Recipe>,
    /// How much of the program it is.
    weight: u64,
}

/// Measures variants on one device and remembers what was fastest.
pub struct Tuner {
    gpu: Arc<Gpu>,
    /// Where choices are kept, if anywhere.
    file: Option<PathBuf>,
    choices: Choices,
    budget: Option<Duration>,
    again: bool,
}

impl Tuner {
    /// A tuner that knows what is kept in `folder` and keeps there what it learns.
    pub fn new(gpu: Arc<Gpu>, folder: Option<&Path>) -> Tuner {
        let empty = Choices::new(gpu.desc());
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let name: String = empty.device.chars().map(plain).collect();
        let file = folder.map(|folder| folder.join(format!("{name}.json")));
        // What cannot be read is measured again.
        let known = file.as_deref().and_then(|file| Choices::read(file).ok()?.of_device(gpu.desc()));
        let choices = known.unwrap_or(empty);
        Tuner { gpu, file, choices, budget: Some(BUDGET), again: false }
    }

    /// Measures everything, known or not, and takes the time it takes.
    pub fn again(mut self) -> Tuner {
        (self.again, self.budget) = (true, None);
        self
    }

    /// Everything known of this device.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Chooses a variant for each of `kernels`, which may name one many times, and saves the choices.
    ///
    /// # Errors
    /// [`TuneError::AllWrong`], or that the device is gone. A file that cannot be written is no error: the
    /// same will be measured again.
    pub fn tune(&mut self, kernels: &[Arc<dyn Kernel>], progress: &mut Progress) -> Result<Report, TuneError> {
        let begun = Instant::now();
        let work = self.unknown(kernels);
        let mut report = Report::default();
        let count = work.len();
        for (done, Work { key, kernel, recipes, .. }) in work.into_iter().enumerate() {
            let among = fingerprint(&recipes);
            let first = recipes[0].name;
            let choice = if self.budget.is_some_and(|budget| begun.elapsed() > budget) {
                report.left += 1;
                Choice { variant: first.into(), among, measured: BTreeMap::new() }
            } else {
                progress(done, count, &key);
                let (variant, measured) = self.measure(kernel, &recipes)?;
                report.measured += 1;
                report.changed += usize::from(variant != first);
                let refused = measured.iter().filter_map(|(name, verdict)| match verdict {
                    Verdict::Refused(why) => Some(format!("{key} [{name}]: {why}")),
                    Verdict::Ms(_) => None,
                });
                report.refused.extend(refused);
                Choice { variant: variant.into(), among, measured }
            };
            self.choices.kernels.insert(key, choice);
        }
        if let Some(file) = self.file.as_deref().filter(|_| count > 0) {
            let _ = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| self.choices.save(file));
        }
        report.seconds = begun.elapsed().as_secs_f64();
        Ok(report)
    }

    /// The kernels that have something to choose and no choice yet, those that matter most first.
    fn unknown<'a>(&self, kernels: &'a [Arc<dyn Kernel>]) -> Vec<Work<'a>> {
        let mut all: BTreeMap<String, Work> = BTreeMap::new();
        for kernel in kernels {
            let (key, cost) = (key(kernel.as_ref()), kernel.cost());
            let work = all.entry(key.clone()).or_insert_with(|| {
                let recipes = kernel.variants(self.gpu.caps());
                Work { key, kernel: kernel.as_ref(), recipes, weight: 0 }
            });
            // A rough measure of time: devices do some eight operations in the time of a byte.
            work.weight += cost.flops + 8 * cost.bytes;
        }
        let open = |work: &Work| self.again || self.choices.of(work.kernel, &work.recipes).is_none();
        let mut all: Vec<Work> = all.into_values().filter(|work| work.recipes.len() > 1 && open(work)).collect();
        all.sort_by_key(|work| std::cmp::Reverse(work.weight));
        all
    }

    /// The fastest right variant of a kernel, and what each of those tried did.
    fn measure(
        &self,
        kernel: &dyn Kernel,
        recipes: &[Recipe],
    ) -> Result<(&'static str, BTreeMap<String, Verdict>), TuneError> {
        // A software device compiles for a second or two what it then runs; its models of work order the
        // variants well, and the first is nearly always the fastest.
        let most = if self.gpu.caps().class == Class::Lanes { 4 } else { 9 };
        let example = Example::spots(kernel, 3);
        let mut measured = BTreeMap::new();
        let mut best: Option<(&'static str, Bench)> = None;
        let mut fault = String::new();
        for (i, recipe) in recipes.iter().enumerate() {
            // Past the few, only until one is right.
            if i >= most && best.is_some() {
                break;
            }
            let bench = match check::agreement(&self.gpu, kernel, recipe, &example) {
                Ok(bench) => bench,
                // A device that is gone refuses everything.
                Err(check::Disagreement::Gpu(GpuError::Lost(why))) => return Err(GpuError::Lost(why).into()),
                Err(why) => {
                    fault = why.to_string();
                    measured.insert(recipe.name.to_string(), Verdict::Refused(fault.clone()));
                    continue;
                }
            };
            let [ms, least] = match &best {
                Some((_, best)) => self.race(&bench, best)?,
                None => [self.race(&bench, &bench)?[0], f64::INFINITY],
            };
            measured.insert(recipe.name.to_string(), Verdict::Ms(ms));
            if ms < GAIN * least {
                best = Some((recipe.name, bench));
            }
        }
        match best {
            Some((name, _)) => Ok((name, measured)),
            None => Err(TuneError::AllWrong { kernel: kernel.signature().name, label: kernel.label(), fault }),
        }
    }

    /// Milliseconds of a launch of each of two variants, by the least of a few samples taken in turns:
    /// what else the machine does only ever adds, and comes and goes.
    fn race(&self, one: &Bench, other: &Bench) -> Result<[f64; 2], GpuError> {
        let mut least = [f64::INFINITY; 2];
        for turn in 0..TURNS {
            for (least, bench) in std::iter::zip(&mut least, [one, other]) {
                let samples = bench::samples(&self.gpu, bench, SECONDS, 1)?;
                *least = samples.into_iter().map(|s| 1e3 * s).fold(*least, f64::min);
            }
            // Far apart already.
            if turn == 0 && least[0] > 2.0 * least[1] {
                break;
            }
        }
        Ok(least)
    }
}
