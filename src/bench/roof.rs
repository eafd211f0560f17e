//! A device's ceilings.

use super::clock::{Timer, quantile};
use super::{Stages, calls, clock};
use crate::check::{Example, Trial};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::copy::Copy;
use crate::kernels::matmul::MatMul;
use crate::kernels::multiply_add::MultiplyAdd;
use crate::kernels::multiply_add_matrix::MultiplyAddMatrix;
use crate::kernels::{Arithmetic, Caps, Class, Cost, Kernel, Precision};
use std::time::{Duration, Instant};

/// A device's ceilings: what a kernel can reach that only multiplies and adds, or only copies.
#[derive(Clone, Copy, Debug)]
pub struct Roof {
    /// 10⁹ operations of f32 a second, a multiply-add counting two.
    pub gflops: f64,
    /// The same in f16, where the device computes in it.
    pub f16_gflops: Option<f64>,
    /// The same by matrix units, of f16 added in f32, where the device was opened with some.
    pub matrix_gflops: Option<f64>,
    /// 10⁹ bytes a second, read and written.
    pub gbps: f64,
}

/// How long one ceiling is measured if it does not hold still.
const LIMIT: Duration = Duration::from_millis(1500);
/// Seconds of a sample, and of a launch.
const PART: f64 = 0.004;

/// A ceiling holds still when so many rounds in turn come near the best of all, and so many are
/// behind it.
const STEADY: usize = 4;
const ROUNDS: usize = 6;
const NEAR: f64 = 0.97;

impl Roof {
    /// Measures a GPU with `multiply_add`, its variants for f16 and matrix units, and a copy of 64
    /// MiB; on the CPU, without one, a product of the matrix library takes the place of the former.
    ///
    /// # Errors
    /// That the device is gone.
    pub fn measure(gpu: Option<&Gpu>) -> Result<Roof, GpuError> {
        let copy = Copy { len: 16 << 20 };
        let Some(gpu) = gpu else {
            let rate = |kernel: &dyn Kernel, work: u64| {
                let run = |reads: &[&[f32]], writes: &mut [&mut [f32]]| kernel.host(reads, writes);
                calls(kernel, run, |call| steady(LIMIT, || Ok(1e-9 * work as f64 / call())))
            };
            let product = MatMul::new(768, 768, 768);
            let (gflops, gbps) = (rate(&product, product.flops())?, rate(&copy, copy.cost().bytes)?);
            return Ok(Roof { gflops, f16_gflops: None, matrix_gflops: None, gbps });
        };
        let software = gpu.caps().class == Class::Lanes;
        let (len, subgroups) = if software { (4096, 64) } else { (1 << 20, 1 << 13) };
        let caps = Caps { precision: Precision::Mixed, ..*gpu.caps() };
        let registers = |arithmetic| ceiling(gpu, &caps, arithmetic, |turns| Box::new(MultiplyAdd::new(len, turns)));
        let f32 = registers(Arithmetic::F32)?.unwrap_or(0.0);
        let f16 = registers(Arithmetic::F16)?;
        let edge = caps.coop.map_or(0, |coop| coop.edge);
        let matrix =
            ceiling(gpu, &caps, Arithmetic::Matrix, |turns| Box::new(MultiplyAddMatrix { edge, subgroups, turns }))?;
        let gbps = ceiling(gpu, &caps, Arithmetic::F32, |_| Box::new(copy))?.unwrap_or(0.0);
        Ok(Roof { gflops: f32, f16_gflops: f16, matrix_gflops: matrix, gbps })
    }

    /// The ceiling of what computes this way, in 10⁹ operations a second. Where it was not measured
    /// it is that of f32.
    pub fn of(&self, arithmetic: Arithmetic) -> f64 {
        let own = match arithmetic {
            Arithmetic::F32 => None,
            Arithmetic::F16 => self.f16_gflops,
            Arithmetic::Matrix => self.matrix_gflops,
        };
        own.unwrap_or(self.gflops)
    }

    /// The share of the nearer ceiling that a launch reaches which takes `ms` milliseconds: that of
    /// what computes it, or that of copying.
    pub fn share(&self, cost: Cost, arithmetic: Arithmetic, ms: f64) -> f64 {
        let least = (cost.flops as f64 / self.of(arithmetic)).max(cost.bytes as f64 / self.gbps) / 1e6;
        least / ms.max(1e-9)
    }
}

/// 10⁹ operations a second, or bytes where there are none, of the kernel's variant that computes
/// this way; `None` where it has none. The kernel is given as many turns as last for a few
/// milliseconds.
fn ceiling(
    gpu: &Gpu,
    caps: &Caps,
    arithmetic: Arithmetic,
    make: impl Fn(u32) -> Box<dyn Kernel>,
) -> Result<Option<f64>, GpuError> {
    let by = clock(gpu)?;
    let prepare = |turns: u32| {
        let kernel = make(turns);
        let recipe = kernel.variants(caps).into_iter().find(|recipe| recipe.arithmetic() == arithmetic);
        let Some(recipe) = recipe else { return Ok(None) };
        let trial = Trial::new(gpu, &Example::inputs(kernel.as_ref(), 1, 0.0), &recipe, false)?;
        // Compiles.
        trial.run(gpu)?;
        Ok::<_, GpuError>(Some((kernel, trial)))
    };
    let mut turns = 4;
    loop {
        let Some((kernel, trial)) = prepare(turns)? else { return Ok(None) };
        let mut timer = Timer::new(Stages { gpu, stages: trial.stages() }, by, PART)?;
        let Cost { flops, bytes } = kernel.cost();
        let work = if flops > 0 { flops } else { bytes } as f64;
        let seconds = quantile(&mut timer.round()?, 0.5);
        if flops > 0 && seconds < PART / 2.0 && turns < 1 << 20 {
            // By the size of the launch's own work: what a short one costs beside is not to count.
            turns *= (PART / seconds.max(PART / 16.0)).ceil() as u32;
            continue;
        }
        let round = || Ok(1e-9 * work / quantile(&mut timer.round()?, 0.5).max(1e-12));
        return steady(LIMIT, round).map(Some);
    }
}

/// The best of what `round` gives, which is asked until it holds still: another program's work
/// lowers a ceiling, and so does a device that has not raised its clock yet; nothing raises it.
fn steady(limit: Duration, mut round: impl FnMut() -> Result<f64, GpuError>) -> Result<f64, GpuError> {
    let begun = Instant::now();
    let (mut all, mut best) = (Vec::new(), 0.0f64);
    loop {
        let this = round()?;
        best = best.max(this);
        all.push(this);
        let still = all.iter().rev().take(STEADY).all(|rate| *rate >= NEAR * best);
        if (still && all.len() >= ROUNDS) || begun.elapsed() > limit {
            return Ok(best);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_measured_until_it_holds_still() {
        // A clock that rises for long, another program that comes and goes, and rest.
        let rising = (1..=20).map(|i| 0.05 * f64::from(i));
        let busy = [0.5, 1.0, 0.4, 0.99, 0.98, 0.3];
        let mut rates = rising.chain(busy).chain(std::iter::repeat(1.0));
        let mut asked = 0;
        let limit = Duration::from_secs(3600);
        let best = steady(limit, || {
            asked += 1;
            Ok(rates.next().unwrap())
        });
        assert_eq!((best.unwrap(), asked), (1.0, 30));
        // What never holds still has an end.
        let mut odd = false;
        let best = steady(Duration::from_millis(5), || {
            odd = !odd;
            Ok(if odd { 1.0 } else { 0.5 })
        });
        assert_eq!(best.unwrap(), 1.0);
    }

    #[test]
    fn a_launch_is_held_against_the_ceiling_of_what_computes_it() {
        let roof = Roof { gflops: 10.0, f16_gflops: Some(20.0), matrix_gflops: Some(80.0), gbps: 1.0 };
        let cost = Cost { flops: 40_000_000, bytes: 100_000 };
        let share = |arithmetic| roof.share(cost, arithmetic, 4.0);
        assert_eq!([Arithmetic::F32, Arithmetic::F16, Arithmetic::Matrix].map(share), [1.0, 0.5, 0.125]);
        let less = Roof { f16_gflops: None, matrix_gflops: None, ..roof };
        assert_eq!(less.share(cost, Arithmetic::Matrix, 4.0), 1.0);
        assert_eq!(roof.share(Cost { bytes: 8_000_000, ..cost }, Arithmetic::Matrix, 8.0), 1.0);
    }
}
