//! The tuner: which variant of a kernel is fastest on this device, by measuring.
//!
//! It is given the kernels of a program, and for each one that has several variants it runs the
//! first few: one that disagrees with the CPU reference, or differs between two runs, is refused;
//! the fastest of the rest is the choice. Choices are kept in a file for each device and driver,
//! with a fingerprint of the variants they were made among, so that new shaders are measured anew.
//! A kernel for which no time was left has no choice there: the next program that has it finds it
//! unknown.
//!
//! ```
//! use limn::kernels::matmul::MatMul;
//! use limn::tune::{Budget, Tuner};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! if let Ok(gpu) = limn::gpu::Gpu::open(None) {
//!     let mut tuner = Tuner::new(Arc::new(gpu), None); // or the folder in which choices are kept
//!     let report = tuner.tune(&[Arc::new(MatMul::new(8, 8, 8))], Budget::All, &mut |_, _, _| ())?;
//!     report.lines().iter().for_each(|line| println!("{line}"));
//!     assert_eq!(tuner.choices().kernels.len(), 1);
//! }
//! # Ok(())
//! # }
//! ```

use crate::bench::{self, Clock, Stages, Timer, quantile};
use crate::check::{self, Example, Trial};
use crate::choices::{Choice, Choices, Verdict, fingerprint, key};
use crate::files;
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{Arithmetic, Class, Kernel, Recipe};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Another variant must be this much faster than the first, which needs no measuring to be chosen.
const GAIN: f64 = 0.93;

/// How often two variants are timed in turns, and the seconds of one sample.
const TURNS: usize = 3;
const PART: f64 = 0.001;

/// How long a program's kernels may be measured. A kernel is measured as a whole: the last one may
/// take longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Until all are.
    All,
    /// So long.
    Time(Duration),
    /// A share of the time that so many runs of the program will take, by what measuring finds out
    /// on its way.
    Runs(u64),
}

/// The share of a training that measuring may take: it saves more than that wherever the best
/// guesses are not the best.
const SHARE: f64 = 0.03;
/// What even the shortest training is worth, and the longest.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(120);

impl Budget {
    /// The same for each of so many programs that follow one another in a training and are measured
    /// at once.
    pub fn over(self, programs: usize) -> Budget {
        match self {
            Budget::Runs(runs) => Budget::Runs(runs / programs.max(1) as u64),
            other => other,
        }
    }

    /// Whether it is used up after so much time, where a run takes `run` seconds as far as is
    /// known.
    fn spent(self, elapsed: Duration, run: f64) -> bool {
        match self {
            Budget::All => false,
            Budget::Time(time) => elapsed >= time,
            Budget::Runs(runs) => {
                let share = (SHARE * runs as f64 * run).clamp(SHORTEST.as_secs_f64(), LONGEST.as_secs_f64());
                elapsed.as_secs_f64() >= share
            }
        }
    }
}

/// What can go wrong while tuning.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The device's words.
    #[error("{0}")]
    Gpu(#[from] GpuError),
    /// The device was lost under a variant, which is refused from now on.
    #[error("{why}, as {kernel} [{variant}] was measured, which is not tried again")]
    Lost {
        /// Kernel and shapes.
        kernel: String,
        /// What was measured.
        variant: &'static str,
        /// The device's words.
        why: String,
    },
    /// Every variant computes something else than the reference.
    #[error("no variant of {kernel} {label} agrees with the CPU on this device ({fault}); update its driver")]
    AllWrong {
        /// Kernel name.
        kernel: &'static str,
        /// Its shapes.
        label: String,
        /// What the last variant did.
        fault: String,
    },
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
    /// Kernels for which no time was left, and that stay unknown.
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
                left => format!(", {left} left for next time"),
            };
            lines.push(format!(
                "tuned {} kernels in {:.1} s: {} by another variant{left}",
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
    /// Launches of it in the program.
    times: usize,
    /// How much of the program it is.
    weight: u64,
}

/// What measuring a kernel's variants gave.
struct Measured {
    variant: &'static str,
    /// Milliseconds of it.
    ms: f64,
    verdicts: BTreeMap<String, Verdict>,
}

/// What became of a kernel whose variants were measured.
enum Outcome {
    /// One is the fastest.
    Chosen(Measured),
    /// It was told to leave the rest.
    Left,
    /// The device was lost under a variant; another one to take, where one is left.
    Lost { lost: &'static str, instead: Option<&'static str>, verdicts: BTreeMap<String, Verdict>, why: String },
}

/// Measures variants on one device and remembers what was fastest.
pub struct Tuner {
    gpu: Arc<Gpu>,
    /// Where choices are kept, if anywhere.
    folder: Option<PathBuf>,
    choices: Choices,
    again: bool,
    /// Whether a device was lost while it measured.
    lost: bool,
    /// Asked between two variants: whether to leave the rest.
    stop: Option<fn() -> bool>,
}

impl Tuner {
    /// A tuner that knows what is kept in `folder` and keeps there what it learns.
    pub fn new(gpu: Arc<Gpu>, folder: Option<&Path>) -> Tuner {
        let choices = known(&gpu, folder);
        Tuner { gpu, folder: folder.map(Path::to_path_buf), choices, again: false, lost: false, stop: None }
    }

    /// Goes on with this device where it measured another one. If that was lost, no more is measured: a person waits for
    /// what is to run, and the next time goes on where this one ended.
    pub fn on(&mut self, gpu: &Arc<Gpu>) {
        if Arc::ptr_eq(gpu, &self.gpu) {
            return;
        }
        self.lost |= self.gpu.is_lost();
        if Choices::new(gpu.desc()).device != self.choices.device {
            self.choices = known(gpu, self.folder.as_deref());
        }
        self.gpu = gpu.clone();
    }

    /// Measures what is known as well.
    pub fn again(mut self) -> Tuner {
        self.again = true;
        self
    }

    /// Leaves what is not measured yet once `stop` says so.
    pub fn until(mut self, stop: fn() -> bool) -> Tuner {
        self.stop = Some(stop);
        self
    }

    /// Everything known of this device.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Chooses a variant for each of `kernels`, which may name one many times, those that matter
    /// most first and as many as `budget` allows, and saves the choices.
    ///
    /// # Errors
    /// [`TuneError::AllWrong`]; [`TuneError::Lost`], where everything known is saved as well. A file that cannot be written
    /// is no error: the same will be measured again.
    pub fn tune(
        &mut self,
        kernels: &[Arc<dyn Kernel>],
        budget: Budget,
        progress: &mut Progress,
    ) -> Result<Report, TuneError> {
        let begun = Instant::now();
        let work = self.unknown(kernels);
        let mut report = Report::default();
        let count = work.len();
        // Of the kernels measured so far: seconds in a run of the program, and their part of its
        // weight. What is not measured, because it is known or has one variant, is taken to be as
        // heavy as it looks.
        let all: u64 = kernels.iter().map(|kernel| weight(kernel.as_ref())).sum();
        let (mut seconds, mut weighed) = (0.0, 0);
        for (done, Work { key, kernel, recipes, times, weight }) in work.into_iter().enumerate() {
            let run = seconds * all as f64 / weighed.max(1) as f64;
            if self.lost || budget.spent(begun.elapsed(), run) {
                report.left = count - done;
                break;
            }
            let by = bench::clock(&self.gpu)?;
            progress(done, count, &key);
            let Measured { variant, ms, verdicts } = match self.measure(by, kernel, &recipes)? {
                Outcome::Chosen(measured) => measured,
                Outcome::Left => {
                    report.left = count - done;
                    break;
                }
                Outcome::Lost { lost, instead, verdicts, why } => {
                    if let Some(variant) = instead {
                        self.choose(key.clone(), &recipes, variant, verdicts);
                    }
                    self.save();
                    return Err(TuneError::Lost { kernel: key, variant: lost, why });
                }
            };
            seconds += 1e-3 * ms * times as f64;
            weighed += weight;
            report.measured += 1;
            report.changed += usize::from(variant != recipes[0].name);
            let refused = verdicts.iter().filter_map(|(name, verdict)| match verdict {
                Verdict::Refused(why) => Some(format!("{key} [{name}]: {why}")),
                Verdict::Ms(_) => None,
            });
            report.refused.extend(refused);
            self.choose(key, &recipes, variant, verdicts);
        }
        if report.measured > 0 {
            self.save();
        }
        report.seconds = begun.elapsed().as_secs_f64();
        Ok(report)
    }

    fn choose(&mut self, key: String, among: &[Recipe], variant: &str, measured: BTreeMap<String, Verdict>) {
        let choice = Choice { variant: variant.into(), among: fingerprint(among), measured };
        self.choices.kernels.insert(key, choice);
    }

    /// Keeps what is known; what cannot be written is measured again.
    fn save(&self) {
        if let Some(file) = self.folder.as_deref().map(|folder| file_of(folder, &self.choices)) {
            let _ = files::make_folder_of(&file).and_then(|()| self.choices.save(&file));
        }
    }

    /// The kernels that have something to choose and no choice yet, those that matter most first.
    fn unknown<'a>(&self, kernels: &'a [Arc<dyn Kernel>]) -> Vec<Work<'a>> {
        let mut all: BTreeMap<String, Work> = BTreeMap::new();
        for kernel in kernels {
            let key = key(kernel.as_ref());
            let work = all.entry(key.clone()).or_insert_with(|| {
                let recipes = kernel.variants(self.gpu.caps());
                Work { key, kernel: kernel.as_ref(), recipes, times: 0, weight: 0 }
            });
            work.times += 1;
            work.weight += weight(kernel.as_ref());
        }
        // What was taken unmeasured is as unknown as ever.
        let known =
            |work: &Work| self.choices.of(work.kernel, &work.recipes).is_some_and(|choice| !choice.measured.is_empty());
        let open = |work: &Work| work.recipes.len() > 1 && (self.again || !known(work));
        let mut all: Vec<Work> = all.into_values().filter(open).collect();
        all.sort_by_key(|work| std::cmp::Reverse(work.weight));
        all
    }

    /// The fastest right variant of a kernel, and what each of those tried did.
    fn measure(&self, by: Clock, kernel: &dyn Kernel, recipes: &[Recipe]) -> Result<Outcome, TuneError> {
        // A software device compiles for a second or two what it then runs; its models of work
        // order the variants well, and the first is nearly always the fastest.
        let most = if self.gpu.caps().class == Class::Lanes { 4 } else { 9 };
        let example = Example::sampled(kernel, 3);
        let mut verdicts = BTreeMap::new();
        let mut best: Option<(&'static str, f64, Trial)> = None;
        let mut fault = String::new();
        for (i, recipe) in by_kinds(recipes).into_iter().enumerate() {
            if self.stop.is_some_and(|stop| stop()) {
                return Ok(Outcome::Left);
            }
            // Past the few, only until one is right.
            if i >= most && best.is_some() {
                break;
            }
            let tried = check::agreement(&self.gpu, kernel, recipe, &example).map_err(|why| why.to_string());
            let timed = tried.map(|trial| (self.timed(by, &trial, best.as_ref().map(|(.., best)| best)), trial));
            // A device that is gone refuses everything.
            if self.gpu.is_lost() {
                let why = self.gpu.check().expect_err("it is lost").to_string();
                verdicts.insert(recipe.name.to_string(), Verdict::Refused(why.clone()));
                let untried = || recipes.iter().map(|r| r.name).find(|name| !verdicts.contains_key(*name));
                let instead = best.as_ref().map(|(variant, ..)| *variant).or_else(untried);
                return Ok(Outcome::Lost { lost: recipe.name, instead, verdicts, why });
            }
            let (ms, least, trial) = match timed {
                Ok((timed, trial)) => {
                    let [ms, least] = timed?;
                    (ms, least, trial)
                }
                Err(why) => {
                    fault = why;
                    verdicts.insert(recipe.name.to_string(), Verdict::Refused(fault.clone()));
                    continue;
                }
            };
            verdicts.insert(recipe.name.to_string(), Verdict::Ms(ms));
            if ms < GAIN * least {
                best = Some((recipe.name, ms, trial));
            }
        }
        match best {
            Some((variant, ms, _)) => Ok(Outcome::Chosen(Measured { variant, ms, verdicts })),
            None => Err(TuneError::AllWrong { kernel: kernel.signature().name, label: kernel.label(), fault }),
        }
    }

    /// Milliseconds of a launch of one variant, and of the best so far as it is measured beside it.
    fn timed(&self, by: Clock, trial: &Trial, best: Option<&Trial>) -> Result<[f64; 2], GpuError> {
        match best {
            Some(best) => self.race(by, trial, best),
            None => Ok([typical(self.timer(by, trial)?.samples(0.0, TURNS)?), f64::INFINITY]),
        }
    }

    fn timer<'a>(&'a self, by: Clock, trial: &'a Trial) -> Result<Timer<Stages<'a>>, GpuError> {
        Timer::new(Stages { gpu: &self.gpu, stages: trial.stages() }, by, PART)
    }

    /// Milliseconds of a launch of each of two variants, by samples taken in turns: what else the
    /// machine does comes and goes.
    fn race(&self, by: Clock, one: &Trial, other: &Trial) -> Result<[f64; 2], GpuError> {
        let mut timers = [self.timer(by, one)?, self.timer(by, other)?];
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..TURNS {
            for (samples, timer) in std::iter::zip(&mut samples, &mut timers) {
                samples.extend(timer.round()?);
            }
            let [one, other] = [&samples[0], &samples[1]].map(|samples| typical(samples.clone()));
            // Far apart already.
            if one > 2.0 * other {
                break;
            }
        }
        Ok(samples.map(typical))
    }
}

/// Where the choices of a device are kept.
fn file_of(folder: &Path, choices: &Choices) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = choices.device.chars().map(plain).collect();
    folder.join(format!("{name}.json"))
}

/// What is known of a device. What cannot be read is measured again.
fn known(gpu: &Gpu, folder: Option<&Path>) -> Choices {
    let none = Choices::new(gpu.desc());
    let kept = folder.and_then(|folder| Choices::read(&file_of(folder, &none)).ok()?.of_device(gpu.desc()));
    kept.unwrap_or(none)
}

/// Milliseconds of a launch by samples in seconds. What else the machine does only ever adds to
/// most of them; what a difference of two lengths is off by may lie on either side.
fn typical(mut samples: Vec<f64>) -> f64 {
    1e3 * quantile(&mut samples, 0.25)
}

/// A rough measure of a launch's time: devices do some eight operations in the time of a byte.
fn weight(kernel: &dyn Kernel) -> u64 {
    let cost = kernel.cost();
    cost.flops + 8 * cost.bytes
}

/// Variants in the order they are tried: the first of each kind, then the second of each, and so
/// on. The best of matrix units, of operands in f16 and of f32 are then all among the first few.
fn by_kinds(recipes: &[Recipe]) -> Vec<&Recipe> {
    let mut kinds: Vec<((bool, Arithmetic), VecDeque<&Recipe>)> = Vec::new();
    for recipe in recipes {
        let kind = (recipe.mixed(), recipe.arithmetic());
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, all)) => all.push_back(recipe),
            None => kinds.push((kind, VecDeque::from([recipe]))),
        }
    }
    let mut order = Vec::new();
    while order.len() < recipes.len() {
        order.extend(kinds.iter_mut().filter_map(|(_, all)| all.pop_front()));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::matmul::MatMul;
    use crate::kernels::{Caps, Precision};

    #[test]
    fn kinds_take_turns_and_the_first_stays_the_first() {
        let kernel = MatMul::new(512, 512, 512);
        let coop = Some(crate::kernels::Coop { edge: 16, subgroup: 32, emulated: 0 });
        let large = Caps { max_invocations: 1024, max_workgroup_bytes: 49152, f16: true, coop, ..Caps::WEBGPU };
        let recipes = kernel.variants(&Caps { precision: Precision::Mixed, ..large });
        let order = by_kinds(&recipes);
        assert_eq!((order.len(), order[0].name), (recipes.len(), recipes[0].name));
        let kinds: Vec<_> = order.iter().take(9).map(|r| (r.mixed(), r.arithmetic())).collect();
        let [matrix, f16, f32] = [(true, Arithmetic::Matrix), (true, Arithmetic::F32), (false, Arithmetic::F32)];
        assert_eq!(kinds, [matrix, f16, f32].repeat(3));
        // Each kind keeps its order, and one alone changes nothing.
        for kind in [matrix, f16, f32] {
            let of = |r: &&Recipe| (r.mixed(), r.arithmetic()) == kind;
            let before: Vec<_> = recipes.iter().filter(of).map(|r| r.name).collect();
            let after: Vec<_> = order.iter().copied().filter(of).map(|r| r.name).collect();
            assert_eq!(before, after);
        }
        let recipes = kernel.variants(&large);
        assert!(std::iter::zip(by_kinds(&recipes), &recipes).all(|(a, b)| a.name == b.name));
    }

    #[test]
    fn budgets_are_a_share_of_what_they_serve() {
        let (second, ms) = (Duration::from_secs(1), 0.001);
        assert!(!Budget::All.spent(1000 * second, 10.0));
        let ten = Budget::Time(10 * second);
        assert!(!ten.spent(9 * second, 1e6) && ten.spent(10 * second, 0.0));
        // An hour of steps of 10 ms is worth 108 seconds.
        let hour = Budget::Runs(360_000);
        assert!(!hour.spent(107 * second, 10.0 * ms) && hour.spent(109 * second, 10.0 * ms));
        // What is known of no step yet is worth the least there is, and a week no more than the
        // most.
        assert!(!hour.spent(second, 0.0) && hour.spent(2 * second, 0.0));
        assert!(!Budget::Runs(1).spent(second, ms) && Budget::Runs(1).spent(2 * second, ms));
        assert!(Budget::Runs(u64::MAX).spent(120 * second, 1.0) && !Budget::Runs(u64::MAX).spent(119 * second, 1.0));
    }
}
