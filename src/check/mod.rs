//! Every variant of a kernel held against its CPU reference.
//!
//! Inputs are seeded and never zero, outputs start as NaN, canaries stand behind every operand, the
//! permitted error comes from the error bound of the sum, and two runs must agree bitwise. That
//! bound grows with the number of terms until one that is lost or counted twice hides in it:
//! kernels that sum are run on small whole numbers as well, where nothing is rounded and results
//! must be equal.
//!
//! ```
//! use limn::{check, gpu::Gpu, kernels::matmul::MatMul};
//!
//! let product = MatMul::new(3, 5, 7);
//! let mut outcomes = vec![check::check_host("matmul", &product, 1)];
//! if let Ok(gpu) = Gpu::open(None) {
//!     outcomes.extend(check::check(&gpu, "matmul", &product, 1));
//! }
//! for outcome in outcomes {
//!     assert_eq!(outcome.failure, None, "{} {}", outcome.variant, outcome.case);
//! }
//! ```

mod example;
mod trial;
mod trust;

pub use example::{Example, Reference};
pub use trial::{Ran, Trial};
pub use trust::{distrust, open_mixed};

use crate::gpu::{Gpu, GpuError};
use crate::kernels::{Kernel, Precision, Recipe, Stage};
use example::slices;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use trial::{CANARY, GUARD};

/// How one variant of one case did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Kernel name.
    pub kernel: &'static str,
    /// Variant name.
    pub variant: &'static str,
    /// Whether the variant rounds operands to f16, and its bounds are those of f16.
    pub mixed: bool,
    /// The case, as the kernel labels it.
    pub case: String,
    /// The largest |GPU - reference| over all writes.
    pub worst: f32,
    /// The bound at that element.
    pub bound: f32,
    /// The largest quotient of error and bound over all elements; above 1 the variant fails.
    pub ratio: f32,
    /// What failed, in a sentence; `None` when nothing did.
    pub failure: Option<String>,
}

impl Outcome {
    /// No error yet, and no failure.
    pub fn new(kernel: &'static str, variant: &'static str, case: &dyn Kernel) -> Outcome {
        let (mixed, case) = (false, case.label());
        Outcome { kernel, variant, mixed, case, worst: 0.0, bound: 0.0, ratio: 0.0, failure: None }
    }
}

/// Checks every variant that is legal on this device, or with mixed precision those that round
/// operands to f16. A variant the device refuses is a failure.
pub fn check(gpu: &Gpu, name: &'static str, kernel: &dyn Kernel, seed: u64) -> Vec<Outcome> {
    let variants = checked(gpu, kernel);
    if variants.is_empty() {
        return Vec::new();
    }
    compile(gpu, &variants, true);
    let example = Example::new(kernel, seed);
    variants.iter().map(|recipe| check_variant(gpu, name, kernel, recipe, &example)).collect()
}

/// The variants that are checked on a device.
fn checked(gpu: &Gpu, kernel: &dyn Kernel) -> Vec<Recipe> {
    let mixed = gpu.caps().precision == Precision::Mixed;
    let mut variants = kernel.variants(gpu.caps());
    variants.retain(|recipe| recipe.mixed() == mixed);
    variants
}

/// Checks cases side by side, each on one of some devices that are alike, and gives what came of each
/// case. `begun` is told which one is looked at.
///
/// Drivers that compute on the processor compile a pipeline when it first runs, one after the other on
/// each device, and that takes nearly all of the time. Cases with the same pipelines go to the same device.
pub fn check_cases(
    gpus: &[Arc<Gpu>],
    name: &'static str,
    cases: &[Box<dyn Kernel>],
    seed: u64,
    begun: &(dyn Fn(usize) + Sync),
) -> Vec<Vec<Outcome>> {
    let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, case) in cases.iter().enumerate() {
        let pipelines = gpus.first().map_or_else(Vec::new, |gpu| pipelines_of(&checked(gpu, case.as_ref())));
        alike.entry(pipelines.join(" ")).or_default().push(i);
    }
    let mut groups: Vec<Vec<usize>> = alike.into_values().collect();
    groups.sort_by_key(|group| (Reverse(group.len()), group[0]));
    let groups = Mutex::new(groups.into_iter());
    let found: Vec<Mutex<Vec<Outcome>>> = cases.iter().map(|_| Mutex::default()).collect();
    let work = &|gpu: &Arc<Gpu>| {
        while let Some(group) = groups.lock().ok().and_then(|mut groups| groups.next()) {
            for i in group {
                begun(i);
                let outcomes = check(gpu, name, cases[i].as_ref(), seed);
                *found[i].lock().unwrap_or_else(PoisonError::into_inner) = outcomes;
            }
        }
    };
    std::thread::scope(|scope| gpus.iter().for_each(|gpu| drop(scope.spawn(move || work(gpu)))));
    gpus.iter().for_each(|gpu| gpu.release_pipelines());
    found.into_iter().map(|found| found.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// The pipelines that take longest to compile, one of each variant.
fn pipelines_of(recipes: &[Recipe]) -> Vec<String> {
    let size = |stage: &&Stage| stage.shader.source().map_or(0, str::len);
    let main = |recipe: &Recipe| recipe.stages.iter().max_by_key(size).cloned();
    let words = |stage: Stage| format!("{} {:?}", stage.shader.name, stage.constants);
    recipes.iter().filter_map(main).map(words).collect()
}

/// Makes the pipelines of some variants side by side, since drivers take their time. What one of
/// them refuses is told when the variant is run.
fn compile<'a>(gpu: &Gpu, variants: impl IntoIterator<Item = &'a Recipe>, checks: bool) {
    let stages: Vec<&Stage> = variants.into_iter().flat_map(|recipe| &recipe.stages).collect();
    let _ = gpu.pipelines(&stages, checks);
}

/// Checks one variant on given inputs.
pub fn check_variant(
    gpu: &Gpu,
    name: &'static str,
    kernel: &dyn Kernel,
    recipe: &Recipe,
    example: &Example,
) -> Outcome {
    check_as(gpu, name, kernel, recipe, example, true)
}

/// The same with the shaders' own checks on or off.
fn check_as(
    gpu: &Gpu,
    name: &'static str,
    kernel: &dyn Kernel,
    recipe: &Recipe,
    example: &Example,
    checks: bool,
) -> Outcome {
    judged(gpu, name, kernel, recipe, example, checks).map_or_else(
        |error| Outcome { failure: Some(error.to_string()), ..outcome(name, kernel, recipe) },
        |(_, outcome)| outcome,
    )
}

/// Runs a variant once, as training does without checks in its shaders, and holds it against the
/// example.
pub fn once(gpu: &Gpu, name: &'static str, kernel: &dyn Kernel, recipe: &Recipe, example: &Example) -> Outcome {
    let mut outcome = outcome(name, kernel, recipe);
    match Trial::new(gpu, example, recipe, false).and_then(|trial| trial.run(gpu)) {
        Ok(ran) => compare(kernel, example, &ran, &mut outcome),
        Err(error) => outcome.failure = Some(error.to_string()),
    }
    outcome
}

fn outcome(name: &'static str, kernel: &dyn Kernel, recipe: &Recipe) -> Outcome {
    Outcome { mixed: recipe.mixed(), ..Outcome::new(name, recipe.name, kernel) }
}

/// A variant ready to run, and how two runs of it did.
fn judged(
    gpu: &Gpu,
    name: &'static str,
    kernel: &dyn Kernel,
    recipe: &Recipe,
    example: &Example,
    checks: bool,
) -> Result<(Trial, Outcome), GpuError> {
    let trial = Trial::new(gpu, example, recipe, checks)?;
    let first = trial.run(gpu)?;
    trial.reset(gpu, example);
    let mut outcome = outcome(name, kernel, recipe);
    judge(kernel, example, &first, &trial.run(gpu)?, &mut outcome);
    if let Some(whole) = example.beside(kernel).filter(|_| checks && outcome.failure.is_none()) {
        trial.reset(gpu, whole);
        compare(kernel, whole, &trial.run(gpu)?, &mut outcome);
    }
    Ok((trial, outcome))
}

/// A variant ready to run, with the checks in its shaders off, if two runs of it agree with the
/// reference.
///
/// # Errors
/// Why it must not be used, or what the device said.
pub fn agreement(gpu: &Gpu, kernel: &dyn Kernel, recipe: &Recipe, example: &Example) -> Result<Trial, Disagreement> {
    let (trial, outcome) = judged(gpu, kernel.signature().name, kernel, recipe, example, false)?;
    match outcome.failure {
        Some(why) => Err(Disagreement::Wrong(why)),
        None => Ok(trial),
    }
}

/// Why a variant must not be used.
#[derive(Debug, thiserror::Error)]
pub enum Disagreement {
    /// The device refused it.
    #[error("{0}")]
    Gpu(#[from] GpuError),
    /// It computes something else.
    #[error("{0}")]
    Wrong(String),
}

/// Checks the kernel as the CPU runs it when it is a device.
pub fn check_host(name: &'static str, kernel: &dyn Kernel, seed: u64) -> Outcome {
    check_host_on(name, kernel, &Example::new(kernel, seed))
}

/// Checks it on given inputs.
pub fn check_host_on(name: &'static str, kernel: &dyn Kernel, example: &Example) -> Outcome {
    let run = |example: &Example| {
        let guarded = |old: &Vec<f32>| old.iter().copied().chain([f32::from_bits(CANARY); GUARD]).collect();
        let mut writes: Vec<Vec<f32>> = example.old.iter().map(guarded).collect();
        let mut inner: Vec<&mut [f32]> =
            std::iter::zip(&mut writes, &example.old).map(|(all, old)| &mut all[..old.len()]).collect();
        kernel.host(&slices(&example.reads), &mut inner);
        let touched = |all: &Vec<f32>| all[all.len() - GUARD..].iter().any(|v| v.to_bits() != CANARY);
        let name = |w: usize| kernel.signature().writes[w].0;
        let trespass = writes.iter().position(touched).map(|w| format!("it wrote behind the end of {}", name(w)));
        writes.iter_mut().for_each(|all| all.truncate(all.len() - GUARD));
        Ran { writes, trespass }
    };
    let mut outcome = Outcome::new(name, "cpu", kernel);
    judge(kernel, example, &run(example), &run(example), &mut outcome);
    if let Some(whole) = example.beside(kernel).filter(|_| outcome.failure.is_none()) {
        compare(kernel, whole, &run(whole), &mut outcome);
    }
    outcome
}

/// Holds the first of two runs against the reference, and the second against the first.
fn judge(kernel: &dyn Kernel, example: &Example, first: &Ran, second: &Ran, outcome: &mut Outcome) {
    compare(kernel, example, first, outcome);
    let bits = |run: &Ran| -> Vec<u32> { run.writes.iter().flatten().map(|v| v.to_bits()).collect() };
    if outcome.failure.is_none() && bits(first) != bits(second) {
        outcome.failure = Some("two runs differ: a race".into());
    }
}

/// Holds what a run left behind against the reference and notes the worst element.
pub fn compare(kernel: &dyn Kernel, example: &Example, ran: &Ran, outcome: &mut Outcome) {
    if let Some(why) = &ran.trespass {
        outcome.failure.get_or_insert(why.clone());
    }
    let reference = example.reference(kernel, outcome.mixed);
    for (w, got) in ran.writes.iter().enumerate() {
        let name = kernel.signature().writes[w].0;
        match reference {
            Reference::All(reference, bounds) => {
                for i in 0..got.len() {
                    outcome.element((name, i), got[i], [reference[w][i], bounds[w][i]], example.whole);
                }
            }
            Reference::Sampled(at, sampled) => {
                if let Some(i) = got.iter().position(|v| v.is_nan()) {
                    outcome.failure.get_or_insert(format!("{name}[{i}] was not written"));
                }
                let first = std::iter::zip(at, sampled).filter(|_| w == 0);
                first.for_each(|(i, spot)| outcome.element((name, *i), got[*i], *spot, example.whole));
            }
            Reference::Nothing => {}
        }
    }
}

impl Outcome {
    /// Holds one element against what the reference has there, and the error it permits, or, where
    /// terms were whole numbers, none.
    fn element(&mut self, (name, i): (&str, usize), got: f32, [want, bound]: [f32; 2], whole: bool) {
        if whole {
            if got != want {
                let is = format!("whole numbers: {name}[{i}] is {got} where the reference has {want}");
                self.failure.get_or_insert_with(|| is + ": a term is lost or counted twice");
            }
            return;
        }
        // Equal bits agree, but two NaNs agree about nothing.
        if got.to_bits() == want.to_bits() && !want.is_nan() {
            return;
        }
        let error = (got - want).abs();
        let ratio = error / bound;
        if ratio.is_nan() || ratio > 1.0 {
            self.failure.get_or_insert_with(|| {
                format!("{name}[{i}]: {got} where the reference has {want} (permitted error {bound:e})")
            });
        }
        // NaN counts as the worst there is.
        if ratio.is_nan() || ratio > self.ratio {
            self.ratio = if ratio.is_nan() { f32::INFINITY } else { ratio };
            (self.worst, self.bound) = (error, bound);
        }
    }
}
