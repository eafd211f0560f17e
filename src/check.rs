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
    /// Each write after the twin ran.
    pub twin: Vec<Vec<f32>>,
    /// The permitted error of each element of each write.
    pub bounds: Vec<Vec<f32>>,
    /// The same for variants that round operands to f16, once one is checked.
    pub mixed_bounds: OnceCell<Vec<Vec<f32>>>,
}

impl Example {
    /// Draws inputs and runs the twin.
    pub fn new(kernel: &dyn Kernel, seed: u64) -> Example {
        let Lens { reads, writes } = kernel.lens();
        let fill = |operand, len, stream| {
            let source = philox::Stream { seed, domain: 9, stream, step: 0 };
            let mut next = 0;
            let mut draw = || {
                next += 1;
                source.uniform(next - 1)
            };
            kernel.example(operand, len, &mut draw)
        };
        let reads: Vec<Vec<f32>> =
            reads.iter().enumerate().map(|(i, n)| fill(Operand::Read(i), *n, i as u32)).collect();
        let old: Vec<Vec<f32>> = std::iter::zip(&writes, kernel.signature().writes)
            .enumerate()
            .map(|(i, (n, (_, access)))| match access {
                Access::Write => vec![f32::NAN; *n],
                Access::Update => fill(Operand::Write(i), *n, 64 + i as u32),
            })
            .collect();
        let mut twin = old.clone();
        let ins: Vec<&[f32]> = reads.iter().map(Vec::as_slice).collect();
        kernel.cpu(&ins, &mut twin.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
        let before: Vec<&[f32]> = old.iter().map(Vec::as_slice).collect();
        let after: Vec<&[f32]> = twin.iter().map(Vec::as_slice).collect();
        let bounds = kernel.bounds(&ins, &before, &after);
        Example { reads, old, twin, bounds, mixed_bounds: OnceCell::new() }
    }

    fn bounds(&self, kernel: &dyn Kernel, mixed: bool) -> &[Vec<f32>] {
        if !mixed {
            return &self.bounds;
        }
        let [reads, old, twin] =
            [&self.reads, &self.old, &self.twin].map(|all| all.iter().map(Vec::as_slice).collect::<Vec<_>>());
        self.mixed_bounds.get_or_init(|| kernel.mixed_bounds(&reads, &old, &twin))
    }
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
    let mut outcome = Outcome { mixed: recipe.mixed(), ..Outcome::new(name, recipe.name, kernel) };
    let runs = Bench::new(gpu, example, recipe, checks).and_then(|bench| {
        let first = bench.run(gpu)?;
        bench.reset(gpu, example);
        Ok((first, bench.run(gpu)?))
    });
    match runs {
        Err(error) => outcome.failure = Some(error.to_string()),
        Ok((first, second)) => judge(kernel, example, &first, &second, &mut outcome),
    }
    outcome
}

/// Checks the kernel as the CPU runs it when it is a device.
pub fn check_host(name: &'static str, kernel: &dyn Kernel, seed: u64) -> Outcome {
    let example = Example::new(kernel, seed);
    let reads: Vec<&[f32]> = example.reads.iter().map(Vec::as_slice).collect();
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

/// Holds the writes (with guards) against the twin and notes the worst element.
pub fn compare(kernel: &dyn Kernel, example: &Example, writes: &[Vec<f32>], outcome: &mut Outcome) {
    let bounds = example.bounds(kernel, outcome.mixed);
    for (w, got) in writes.iter().enumerate() {
        let name = kernel.signature().writes[w].0;
        let (twin, bounds) = (&example.twin[w], &bounds[w]);
        if got[twin.len()..].iter().any(|v| v.to_bits() != CANARY) {
            outcome.failure.get_or_insert(format!("{name}: wrote behind its end"));
        }
        for (i, want) in twin.iter().enumerate() {
            // Equal bits agree, but two NaNs agree about nothing.
            if got[i].to_bits() == want.to_bits() && !want.is_nan() {
                continue;
            }
            let error = (got[i] - want).abs();
            let ratio = error / bounds[i];
            if ratio.is_nan() || ratio > 1.0 {
                outcome.failure.get_or_insert(format!(
                    "{name}[{i}]: {} where the twin has {want} (permitted error {:e})",
                    got[i], bounds[i]
                ));
            }
            // NaN counts as the worst there is.
            if ratio.is_nan() || ratio > outcome.ratio {
                outcome.ratio = if ratio.is_nan() { f32::INFINITY } else { ratio };
                outcome.worst = error;
                outcome.bound = bounds[i];
            }
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
