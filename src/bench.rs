//! How fast a variant runs on a device: wall-clock time over many dispatches per submission.

use crate::check::{Bench, Example};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{Access, Kernel, Lens, Operand, Recipe, philox};
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
    Example { reads, old, twin: Vec::new(), bounds: Vec::new() }
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
