//! How fast a variant runs on a device: wall-clock time over many dispatches per submission.

use crate::check::{Bench, Example};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::matmul::MatMul;
use crate::kernels::multiply_add::MultiplyAdd;
use crate::kernels::{Access, Class, Cost, Kernel, Lens, Operand, Recipe, copy::Copy, philox};
use std::time::Instant;

/// What one variant of one shape took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Median time of one launch, all stages, in milliseconds.
    pub median_ms: f64,
    /// Arithmetic per second, in 10^9 floating-point operations; dead taps do not count.
    pub gflops: f64,
    /// Minimal traffic per second, in 10^9 bytes.
    pub gbps: f64,
    /// Samples behind the median; each may hold several launches.
    pub runs: usize,
}

/// Draws the operands of a kernel without asking its twin.
pub fn operands(kernel: &dyn Kernel) -> Example {
    let Lens { reads, writes } = kernel.lens();
    let fill = |operand, len, stream| {
        let source = philox::Stream { seed: 1, domain: philox::Domain::Eval as u32, stream, step: 0 };
        let mut next = 0;
        let mut draw = || {
            next += 1;
            source.uniform(next - 1)
        };
        kernel.example(operand, len, &mut draw)
    };
    let reads = reads.iter().enumerate().map(|(i, n)| fill(Operand::Read(i), *n, i as u32)).collect();
    let old = std::iter::zip(&writes, kernel.signature().writes)
        .enumerate()
        .map(|(i, (n, (_, access)))| match access {
            Access::Write => vec![0.0; *n],
            Access::Update => fill(Operand::Write(i), *n, 64 + i as u32),
        })
        .collect();
    Example { reads, old, twin: Vec::new(), bounds: Vec::new(), mixed_bounds: Default::default() }
}

/// Times `recipe` for about `seconds`: launches are put together into submissions of some
/// milliseconds, so that what a submission costs the host does not count, and the median over the
/// submissions is taken. The first submission, which compiles, is not counted.
pub fn time(gpu: &Gpu, kernel: &dyn Kernel, recipe: &Recipe, seconds: f64) -> Result<Timing, GpuError> {
    let bench = Bench::new(gpu, &operands(kernel), recipe, false)?;
    let sample = |launches: usize| -> Result<f64, GpuError> {
        let start = Instant::now();
        gpu.submit(|pass| {
            for ready in (0..launches).flat_map(|_| bench.stages()) {
                ready.record(pass);
            }
        });
        gpu.wait()?;
        Ok(start.elapsed().as_secs_f64())
    };
    sample(1)?;
    let once = sample(1)?;
    let launches = (0.02_f64.min(seconds / 8.0) / once.max(1e-7)).clamp(1.0, 1000.0) as usize;
    let begun = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < 3 || (begun.elapsed().as_secs_f64() < seconds && samples.len() < 1000) {
        samples.push(sample(launches)? / launches as f64);
    }
    samples.sort_by(f64::total_cmp);
    let median = samples[samples.len() / 2];
    let cost = kernel.cost();
    Ok(Timing {
        median_ms: 1e3 * median,
        gflops: 1e-9 * cost.flops as f64 / median,
        gbps: 1e-9 * cost.bytes as f64 / median,
        runs: samples.len(),
    })
}

/// A device's ceilings: what a kernel can reach that only multiplies and adds, or only copies.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Roof {
    /// 10⁹ operations a second, a multiply-add counting two.
    pub gflops: f64,
    /// 10⁹ bytes a second, read and written.
    pub gbps: f64,
}

impl Roof {
    /// Measures a GPU with `multiply_add` and a copy of 64 MiB; on the CPU, without one, a product of the matrix
    /// library takes the place of the former.
    pub fn measure(gpu: Option<&Gpu>) -> Result<Roof, GpuError> {
        let copy = Copy { len: 16 << 20 };
        let Some(gpu) = gpu else {
            let product = MatMul::new(768, 768, 768);
            return Ok(Roof { gflops: rate(&product, product.flops()), gbps: rate(&copy, copy.cost().bytes) });
        };
        let (len, turns) = if gpu.caps().class == Class::Lanes { (4096, 256) } else { (1 << 18, 256) };
        let arithmetic = MultiplyAdd { len, turns };
        // Another program's work lowers what is measured, and nothing raises it: so the best of a few.
        let best = |kernel: &dyn Kernel, of: fn(&Timing) -> f64| -> Result<f64, GpuError> {
            let recipe = &kernel.variants(gpu.caps())[0];
            (0..4).try_fold(0.0, |best: f64, _| Ok(best.max(of(&time(gpu, kernel, recipe, 0.08)?))))
        };
        Ok(Roof { gflops: best(&arithmetic, |t| t.gflops)?, gbps: best(&copy, |t| t.gbps)? })
    }

    /// The share of the nearer ceiling that a launch reaches which takes `ms` milliseconds.
    pub fn share(&self, cost: Cost, ms: f64) -> f64 {
        let least = (cost.flops as f64 / self.gflops).max(cost.bytes as f64 / self.gbps) / 1e6;
        least / ms.max(1e-9)
    }
}

/// 10⁹ of `work` a second, by the median of a few calls on the CPU.
fn rate(kernel: &dyn Kernel, work: u64) -> f64 {
    work as f64 / 1e6 / time_call(kernel, 0.3, |reads, writes| kernel.host(reads, writes))
}

/// The median of some calls on the CPU after a warm-up, in milliseconds.
pub fn time_call(kernel: &dyn Kernel, seconds: f64, run: impl Fn(&[&[f32]], &mut [&mut [f32]])) -> f64 {
    let example = operands(kernel);
    let reads: Vec<&[f32]> = example.reads.iter().map(Vec::as_slice).collect();
    let mut writes = example.old.clone();
    let mut writes: Vec<&mut [f32]> = writes.iter_mut().map(Vec::as_mut_slice).collect();
    let mut call = || {
        let start = Instant::now();
        run(&reads, &mut writes);
        1e3 * start.elapsed().as_secs_f64()
    };
    call();
    let mut times = vec![call()];
    while times.len() < 100 && times.iter().sum::<f64>() < 1e3 * seconds {
        times.push(call());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
