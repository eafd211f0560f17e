//! Every variant of a kernel held against its CPU twin.
//!
//! Inputs are seeded and never zero, outputs start as NaN, canaries stand behind every operand,
//! the permitted error comes from the error bound of the sum, and two runs must agree bitwise.

use crate::gpu::{Gpu, GpuError, Ready, Span};
use crate::kernels::activation::Activation;
use crate::kernels::conv::Conv;
use crate::kernels::conv_transpose2d::ConvTranspose2d;
use crate::kernels::conv2d::Conv2d;
use crate::kernels::conv2d_weight_grad::Conv2dWeightGrad;
use crate::kernels::matmul::MatMul;
use crate::kernels::{Access, Caps, Kernel, Lens, Operand, Precision, Recipe, Slot, philox};
use std::cell::OnceCell;

/// Words behind every operand: NaN behind reads, a pattern behind writes.
const GUARD: usize = 64;
/// What stands behind a write; a kernel that touches it wrote out of range.
const CANARY: u32 = 0x7fc0_1a5e;

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
    /// The largest |GPU - twin| over all writes.
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

/// Seeded inputs of a kernel and what its twin makes of them.
pub struct Example {
    /// Each read.
    pub reads: Vec<Vec<f32>>,
    /// Each write before the launch; NaN where it is only written.
    pub old: Vec<Vec<f32>>,
    /// What the launch is held against.
    pub reference: Reference,
    /// The same for variants that round operands to f16, once one is checked.
    pub mixed: OnceCell<Reference>,
}

/// What a launch is held against.
pub enum Reference {
    /// Each write after the twin ran, and the permitted error of each of its elements.
    Twin(Vec<Vec<f32>>, Vec<Vec<f32>>),
    /// Some elements of the first write, the twin's values there and the permitted errors.
    Spots(Vec<usize>, Vec<[f32; 2]>),
    /// Nothing: it is only timed.
    Nothing,
}

/// Draws after which the inputs repeat, so that large ones cost no time: a prime, so that no mistake in an
/// index falls on an equal number.
const PERIOD: usize = 65_521;
/// Elements looked at where the twin is not asked for all.
const SPOTS: usize = 300;

impl Example {
    /// Draws inputs; nothing is known of the outputs, which start as `blank`.
    pub fn inputs(kernel: &dyn Kernel, seed: u64, blank: f32) -> Example {
        let Lens { reads, writes } = kernel.lens();
        let fill = |operand, len: usize, stream| {
            let source = philox::Stream { seed, domain: 9, stream, step: 0 };
            let mut table: Vec<f32> = Vec::new();
            let mut next = 0;
            let mut draw = || {
                if table.len() < PERIOD {
                    table.push(source.uniform(table.len()));
                }
                next += 1;
                table[(next - 1) % PERIOD]
            };
            kernel.example(operand, len, &mut draw)
        };
        let reads = reads.iter().enumerate().map(|(i, n)| fill(Operand::Read(i), *n, i as u32)).collect();
        let old = std::iter::zip(&writes, kernel.signature().writes)
            .enumerate()
            .map(|(i, (n, (_, access)))| match access {
                Access::Write => vec![blank; *n],
                Access::Update => fill(Operand::Write(i), *n, 64 + i as u32),
            })
            .collect();
        Example { reads, old, reference: Reference::Nothing, mixed: OnceCell::new() }
    }

    /// Draws inputs and runs the twin.
    pub fn new(kernel: &dyn Kernel, seed: u64) -> Example {
        let example = Example::inputs(kernel, seed, f32::NAN);
        let mut twin = example.old.clone();
        kernel.cpu(&slices(&example.reads), &mut twin.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
        let bounds = kernel.bounds(&slices(&example.reads), &slices(&example.old), &slices(&twin));
        Example { reference: Reference::Twin(twin, bounds), ..example }
    }

    /// Draws inputs and asks the twin for some elements, or for all if it cannot give single ones.
    pub fn spots(kernel: &dyn Kernel, seed: u64) -> Example {
        let example = Example::inputs(kernel, seed, f32::NAN);
        let len = kernel.lens().writes[0];
        let draws = philox::Stream { seed, domain: 9, stream: 128, step: 0 };
        let anywhere = (0..SPOTS).map(|i| ((draws.uniform(i) * len as f32) as usize).min(len - 1));
        let ends = [0, len / 2, len - 1];
        let at: Vec<usize> = ends.into_iter().chain(anywhere).collect();
        match kernel.spots(&slices(&example.reads), &at, Precision::Full) {
            Some(spots) => Example { reference: Reference::Spots(at, spots), ..example },
            None => Example::new(kernel, seed),
        }
    }

    /// What a variant is held against, which may round operands to f16 or not.
    fn reference(&self, kernel: &dyn Kernel, mixed: bool) -> &Reference {
        if !mixed {
            return &self.reference;
        }
        self.mixed.get_or_init(|| {
            let reads = slices(&self.reads);
            match &self.reference {
                Reference::Twin(twin, _) => {
                    let bounds = kernel.mixed_bounds(&reads, &slices(&self.old), &slices(twin));
                    Reference::Twin(twin.clone(), bounds)
                }
                Reference::Spots(at, _) => {
                    let spots = kernel.spots(&reads, at, Precision::Mixed).unwrap_or_default();
                    Reference::Spots(at.clone(), spots)
                }
                Reference::Nothing => Reference::Nothing,
            }
        })
    }
}

fn slices(data: &[Vec<f32>]) -> Vec<&[f32]> {
    data.iter().map(Vec::as_slice).collect()
}

/// A kernel's operands on a device, with one variant ready to run.
pub struct Bench {
    reads: Vec<Span>,
    writes: Vec<Span>,
    ready: Vec<Ready>,
}

impl Bench {
    /// Uploads an example and prepares `recipe`.
    pub fn new(gpu: &Gpu, example: &Example, recipe: &Recipe, checks: bool) -> Result<Bench, GpuError> {
        let upload = |data: &Vec<f32>, guard: f32| {
            let span = gpu.buffer(data.len() + GUARD, "check")?;
            let mut all = data.clone();
            all.resize(data.len() + GUARD, guard);
            gpu.write(&span, &all);
            Ok::<Span, GpuError>(span)
        };
        let reads = example.reads.iter().map(|r| upload(r, f32::NAN)).collect::<Result<Vec<_>, _>>()?;
        let canary = f32::from_bits(CANARY);
        let writes = example.old.iter().map(|w| upload(w, canary)).collect::<Result<Vec<_>, _>>()?;
        let scratch =
            recipe.scratch.iter().map(|n| upload(&vec![f32::NAN; *n], canary)).collect::<Result<Vec<_>, _>>()?;
        let mut ready = Vec::new();
        for stage in &recipe.stages {
            let params = gpu.uniforms(&stage.params)?;
            let operands: Vec<Span> = stage
                .bind
                .iter()
                .map(|(_, slot)| match *slot {
                    Slot::Read(i) => reads[i].clone(),
                    Slot::Write(i) => writes[i].clone(),
                    Slot::ScratchIn(i) | Slot::ScratchOut(i) => scratch[i].clone(),
                })
                .collect();
            ready.push(gpu.ready(stage, checks, &params, &operands)?);
        }
        Ok(Bench { reads, writes, ready })
    }

    /// The prepared stages.
    pub fn stages(&self) -> &[Ready] {
        &self.ready
    }

    /// Runs every stage once and returns the writes with their guards.
    pub fn run(&self, gpu: &Gpu) -> Result<Vec<Vec<f32>>, GpuError> {
        gpu.submit(|pass| self.ready.iter().for_each(|r| r.record(pass)));
        self.writes.iter().map(|w| gpu.read(w)).collect()
    }

    /// Puts the old contents back, so that a second run starts like the first.
    pub fn reset(&self, gpu: &Gpu, example: &Example) {
        for (span, data) in std::iter::zip(&self.writes, &example.old) {
            gpu.write(span, data);
        }
    }

    /// Operands held, for timing loops that want to look at them.
    pub fn operands(&self) -> (&[Span], &[Span]) {
        (&self.reads, &self.writes)
    }
}

/// Checks every variant that is legal on this device, or with mixed precision those that round operands
/// to f16. A variant the device refuses is a failure.
pub fn check(gpu: &Gpu, name: &'static str, kernel: &dyn Kernel, seed: u64) -> Vec<Outcome> {
    let mixed = gpu.caps().precision == Precision::Mixed;
    let mut variants = kernel.variants(gpu.caps());
    variants.retain(|recipe| recipe.mixed() == mixed);
    if variants.is_empty() {
        return Vec::new();
    }
    let example = Example::new(kernel, seed);
    variants.iter().map(|recipe| check_variant(gpu, name, kernel, recipe, &example)).collect()
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
) -> Result<(Bench, Outcome), GpuError> {
    let bench = Bench::new(gpu, example, recipe, checks)?;
    let first = bench.run(gpu)?;
    bench.reset(gpu, example);
    let mut outcome = outcome(name, kernel, recipe);
    judge(kernel, example, &first, &bench.run(gpu)?, &mut outcome);
    Ok((bench, outcome))
}

/// A variant ready to run, with the checks in its shaders off, if two runs of it agree with the twin.
///
/// # Errors
/// Why it must not be used, or what the device said.
pub fn agreement(gpu: &Gpu, kernel: &dyn Kernel, recipe: &Recipe, example: &Example) -> Result<Bench, Disagreement> {
    let (bench, outcome) = judged(gpu, kernel.signature().name, kernel, recipe, example, false)?;
    match outcome.failure {
        Some(why) => Err(Disagreement::Wrong(why)),
        None => Ok(bench),
    }
}

/// Why a variant must not be used.
#[derive(Debug, thiserror::Error)]
pub enum Disagreement {
    /// The device refused it.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// It computes something else.
    #[error("{0}")]
    Wrong(String),
}

/// Checks the kernel as the CPU runs it when it is a device.
pub fn check_host(name: &'static str, kernel: &dyn Kernel, seed: u64) -> Outcome {
    let example = Example::new(kernel, seed);
    let reads = slices(&example.reads);
    let run = || {
        let guarded = |old: &Vec<f32>| old.iter().copied().chain([f32::from_bits(CANARY); GUARD]).collect();
        let mut writes: Vec<Vec<f32>> = example.old.iter().map(guarded).collect();
        let mut inner: Vec<&mut [f32]> =
            std::iter::zip(&mut writes, &example.old).map(|(all, old)| &mut all[..old.len()]).collect();
        kernel.host(&reads, &mut inner);
        writes
    };
    let mut outcome = Outcome::new(name, "cpu", kernel);
    judge(kernel, &example, &run(), &run(), &mut outcome);
    outcome
}

/// Holds the first of two runs against the twin, and the second against the first.
fn judge(kernel: &dyn Kernel, example: &Example, first: &[Vec<f32>], second: &[Vec<f32>], outcome: &mut Outcome) {
    compare(kernel, example, first, outcome);
    let bits = |runs: &[Vec<f32>]| -> Vec<u32> { runs.iter().flatten().map(|v| v.to_bits()).collect() };
    if outcome.failure.is_none() && bits(first) != bits(second) {
        outcome.failure = Some("two runs differ: a race".into());
    }
}

/// Holds the writes (with guards) against the reference and notes the worst element.
pub fn compare(kernel: &dyn Kernel, example: &Example, writes: &[Vec<f32>], outcome: &mut Outcome) {
    let reference = example.reference(kernel, outcome.mixed);
    for (w, got) in writes.iter().enumerate() {
        let name = kernel.signature().writes[w].0;
        let len = example.old[w].len();
        if got[len..].iter().any(|v| v.to_bits() != CANARY) {
            outcome.failure.get_or_insert(format!("{name}: wrote behind its end"));
        }
        match reference {
            Reference::Twin(twin, bounds) => {
                for i in 0..len {
                    outcome.element((name, i), got[i], [twin[w][i], bounds[w][i]]);
                }
            }
            Reference::Spots(at, spots) => {
                if let Some(i) = got[..len].iter().position(|v| v.is_nan()) {
                    outcome.failure.get_or_insert(format!("{name}[{i}] was not written"));
                }
                let first = std::iter::zip(at, spots).filter(|_| w == 0);
                first.for_each(|(i, spot)| outcome.element((name, *i), got[*i], *spot));
            }
            Reference::Nothing => {}
        }
    }
}

impl Outcome {
    /// Holds one element against what the twin has there, and the error it permits.
    fn element(&mut self, (name, i): (&str, usize), got: f32, [want, bound]: [f32; 2]) {
        // Equal bits agree, but two NaNs agree about nothing.
        if got.to_bits() == want.to_bits() && !want.is_nan() {
            return;
        }
        let error = (got - want).abs();
        let ratio = error / bound;
        if ratio.is_nan() || ratio > 1.0 {
            self.failure.get_or_insert_with(|| {
                format!("{name}[{i}]: {got} where the twin has {want} (permitted error {bound:e})")
            });
        }
        // NaN counts as the worst there is.
        if ratio.is_nan() || ratio > self.ratio {
            self.ratio = if ratio.is_nan() { f32::INFINITY } else { ratio };
            (self.worst, self.bound) = (error, bound);
        }
    }
}

/// Opens an adapter, as [`Gpu::open`] does, for mixed precision. Its matrix units are used only if the
/// variants that need them compile there and agree with their twins; the string says why they are not.
///
/// # Errors
/// Those of [`Gpu::open_mixed`].
pub fn open_mixed(wanted: Option<&str>) -> Result<(Gpu, Option<String>), GpuError> {
    let why = match Gpu::open_mixed(wanted, true) {
        Ok(gpu) => match distrust(&gpu, gpu.caps()) {
            None => return Ok((gpu, None)),
            Some(why) => why,
        },
        Err(error @ GpuError::Open { .. }) => error.to_string(),
        Err(error) => return Err(error),
    };
    Ok((Gpu::open_mixed(wanted, false)?, Some(format!("matrix units are not used: {why}"))))
}

/// The first variant that needs matrix units and falls short on this device, and why. Every size of
/// every such shader is run as training runs it, on shapes that fill no block; without matrix units
/// there is nothing to run.
pub fn distrust(gpu: &Gpu, caps: &Caps) -> Option<String> {
    let without: Vec<&str> = probes()[0].variants(&Caps { coop: None, ..*caps }).iter().map(|r| r.name).collect();
    let fails = |kernel: &dyn Kernel| {
        let mut variants = kernel.variants(caps);
        variants.retain(|recipe| !without.contains(&recipe.name));
        let example = (!variants.is_empty()).then(|| Example::new(kernel, 1))?;
        let name = kernel.signature().name;
        let outcomes = variants.iter().map(|recipe| check_as(gpu, name, kernel, recipe, &example, false));
        let bad = outcomes.into_iter().find(|outcome| outcome.failure.is_some())?;
        Some(format!("{name} [{}]: {}", bad.variant, bad.failure.unwrap_or_default()))
    };
    probes().iter().find_map(|kernel| fails(kernel.as_ref()))
}

/// Small products of every role, none of which fills its blocks.
fn probes() -> [Box<dyn Kernel>; 6] {
    let conv = Conv::new([2, 5, 9, 15], 70, [3, 3]).with([1, 1], [1, 1], [1; 4]);
    let strided = Conv::new([3, 37, 12, 10], 9, [4, 4]).with([2, 2], [1, 1], [1; 4]);
    [
        Box::new(Conv2d(conv.epilogue(Activation::LeakyRelu(0.2), true, true))),
        Box::new(Conv2d(conv.masked(2, 3))),
        Box::new(ConvTranspose2d(strided.epilogue(Activation::Identity, true, false))),
        Box::new(Conv2dWeightGrad(conv)),
        Box::new(MatMul { batch: 2, ..MatMul::new(70, 83, 67) }),
        Box::new(MatMul::new(131, 45, 66).transposed(true, true)),
    ]
}
