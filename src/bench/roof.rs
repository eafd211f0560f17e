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
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A device's ceilings: what a kernel can reach that only multiplies and adds, or only copies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Roof {
    /// 10⁹ operations of f32 a second, a multiply-add counting two.
    pub gflops: f64,
    /// The same in f16, where the device computes in it.
    pub f16_gflops: Option<f64>,
    /// The same by matrix units, of f16 added in f32, where the device was opened with some.
    pub matrix_gflops: Option<f64>,
    /// 10⁹ bytes a second, read and written, of more than any cache holds.
    #[serde(rename = "gbs")]
    pub gbps: f64,
    /// The same of less, which caches may hold; the smallest first.
    #[serde(default)]
    pub cached: Vec<Copied>,
}

/// What copying reaches where it touches no more than this.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    /// Bytes read and written.
    pub bytes: u64,
    /// 10⁹ of them a second.
    #[serde(rename = "gbs")]
    pub gbps: f64,
}

/// Elements of the largest copy, and of smaller ones.
const COPY: u32 = 16 << 20;
const CACHED: [u32; 4] = [16 << 10, 128 << 10, 1 << 20, 4 << 20];

/// How often ceilings are measured again that something stands above.
const AGAIN: usize = 3;

/// How long one ceiling is measured if it does not hold still.
const LIMIT: Duration = Duration::from_secs(2);
/// How long it is measured at least: a device takes a while to raise its clock.
const LEAST: Duration = Duration::from_millis(80);
/// The same of what caches hold, which are many.
const CACHED_LIMIT: Duration = Duration::from_millis(400);
/// Seconds of a sample, and of a launch.
const PART: f64 = 0.004;

/// A ceiling holds still when so many rounds in turn come near the best of all, and so many are
/// behind it.
const STEADY: usize = 4;
const ROUNDS: usize = 6;
const NEAR: f64 = 0.97;

impl Roof {
    /// Measures a GPU with `multiply_add`, its variants for f16 and matrix units, and copies of up
    /// to 64 MiB; on the CPU, without one, a product of the matrix library takes the place of the
    /// former, and all threads copy.
    ///
    /// # Errors
    /// That the device is gone.
    pub fn measure(gpu: Option<&Gpu>) -> Result<Roof, GpuError> {
        let Some(gpu) = gpu else {
            let product = MatMul::new(768, 768, 768);
            let gflops = on_host(&product, product.flops(), |reads, writes| product.host(reads, writes))?;
            return Roof { gflops, ..Roof::default() }.with_copies(|copy| {
                // Waking the others takes longer than a small copy.
                let alone = on_host(&copy, copy.cost().bytes, |reads, writes| copy.host(reads, writes))?;
                let all = on_host(&copy, copy.cost().bytes, |reads, writes| copy_by_all(reads[0], writes[0]))?;
                Ok(alone.max(all))
            });
        };
        let software = gpu.caps().class == Class::Lanes;
        let (len, subgroups) = if software { (4096, 64) } else { (1 << 20, 1 << 13) };
        let caps = Caps { precision: Precision::Mixed, ..*gpu.caps() };
        let registers = |arithmetic| ceiling(gpu, &caps, arithmetic, |turns| Box::new(MultiplyAdd::new(len, turns)));
        let gflops = registers(Arithmetic::F32)?.unwrap_or(0.0);
        let f16_gflops = registers(Arithmetic::F16)?;
        let edge = caps.coop.map_or(0, |coop| coop.edge);
        let matrix_gflops =
            ceiling(gpu, &caps, Arithmetic::Matrix, |turns| Box::new(MultiplyAddMatrix { edge, subgroups, turns }))?;
        let copied = |copy| Ok(ceiling(gpu, &caps, Arithmetic::F32, |_| Box::new(copy))?.unwrap_or(0.0));
        Roof { gflops, f16_gflops, matrix_gflops, ..Roof::default() }.with_copies(copied)
    }

    fn with_copies(self, rate: impl Fn(Copy) -> Result<f64, GpuError>) -> Result<Roof, GpuError> {
        let cached = |len| {
            let copy = Copy { len };
            Ok(Copied { bytes: copy.cost().bytes, gbps: rate(copy)? })
        };
        let cached = CACHED.into_iter().map(cached).collect::<Result<_, GpuError>>()?;
        Ok(Roof { gbps: rate(Copy { len: COPY })?, cached, ..self })
    }

    /// The higher of the ceilings of two measurements: what lowers one is a disturbance.
    pub fn or(self, other: Roof) -> Roof {
        let higher = |a: Option<f64>, b: Option<f64>| a.map_or(b, |a| Some(b.map_or(a, |b| b.max(a))));
        let cached = |mine: Copied| {
            let theirs = other.cached.iter().find(|theirs| theirs.bytes == mine.bytes);
            Copied { gbps: theirs.map_or(mine.gbps, |theirs| theirs.gbps.max(mine.gbps)), ..mine }
        };
        Roof {
            gflops: self.gflops.max(other.gflops),
            f16_gflops: higher(self.f16_gflops, other.f16_gflops),
            matrix_gflops: higher(self.matrix_gflops, other.matrix_gflops),
            gbps: self.gbps.max(other.gbps),
            cached: self.cached.into_iter().map(cached).collect(),
        }
    }

    /// These ceilings, or the best of a few more measurements where `highest`, the largest share of
    /// anything that was timed, is above the whole: then it was the ceilings that were disturbed.
    ///
    /// # Errors
    /// That the device is gone.
    pub fn above(self, gpu: Option<&Gpu>, highest: impl Fn(&Roof) -> f64) -> Result<Roof, GpuError> {
        self.raised(highest, || Roof::measure(gpu))
    }

    fn raised(
        mut self,
        highest: impl Fn(&Roof) -> f64,
        mut measure: impl FnMut() -> Result<Roof, GpuError>,
    ) -> Result<Roof, GpuError> {
        for _ in 0..AGAIN {
            if highest(&self) <= 1.0 {
                break;
            }
            self = self.or(measure()?);
        }
        Ok(self)
    }

    /// 10⁹ bytes a second that can be copied where a launch touches so many: as fast as copies of
    /// that size go, or larger ones, which caches help less.
    pub fn copying(&self, bytes: u64) -> f64 {
        let at = self.cached.iter().rposition(|copied| copied.bytes <= bytes).unwrap_or(0);
        // More than the last one is what no cache is known to hold.
        let held = self.cached.last().is_some_and(|last| bytes <= last.bytes);
        let near = self.cached.iter().skip(at).filter(|_| held).map(|copied| copied.gbps);
        near.fold(self.gbps, f64::max)
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
        let least = (cost.flops as f64 / self.of(arithmetic)).max(cost.bytes as f64 / self.copying(cost.bytes)) / 1e6;
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
        let mut shortest = quantile(&mut timer.round()?, 0.5);
        let short = |seconds: f64| flops > 0 && seconds < PART / 2.0 && turns < 1 << 20;
        let mut rate = None;
        if !short(shortest) {
            rate = Some(steady([LEAST, limit(kernel.as_ref())], || {
                let seconds = quantile(&mut timer.round()?, 0.5).max(1e-12);
                shortest = shortest.min(seconds);
                Ok(1e-9 * work / seconds)
            })?);
        }
        // What a short launch costs beside its own work is not to count. That it is short may only
        // turn out later: the first may have waited for another program, or for the device to wake.
        if short(shortest) {
            turns *= (PART / shortest.max(PART / 16.0)).ceil() as u32;
            continue;
        }
        return Ok(rate);
    }
}

/// How long what this kernel shows may take to hold still.
fn limit(kernel: &dyn Kernel) -> Duration {
    let Cost { flops, bytes } = kernel.cost();
    if flops > 0 || bytes >= (Copy { len: COPY }).cost().bytes { LIMIT } else { CACHED_LIMIT }
}

/// 10⁹ units of work a second, of which a call does so many.
fn on_host(kernel: &dyn Kernel, work: u64, run: impl Fn(&[&[f32]], &mut [&mut [f32]])) -> Result<f64, GpuError> {
    calls(kernel, run, |call| {
        // The clock's own ticks, and what the threads need to wake, are not to count.
        let count = (PART / call().max(1e-7)).clamp(1.0, 1e4) as usize;
        steady([LEAST, limit(kernel)], || {
            let best = (0..count).map(|_| call()).fold(f64::INFINITY, f64::min);
            Ok(1e-9 * work as f64 / best.max(1e-9))
        })
    })
}

/// Copies with every thread.
fn copy_by_all(from: &[f32], to: &mut [f32]) {
    let piece = from.len().div_ceil(rayon::current_num_threads()).max(1024);
    to.par_chunks_mut(piece).zip(from.par_chunks(piece)).for_each(|(to, from)| to.copy_from_slice(from));
}

/// The best of what `round` gives, which is asked until it holds still: another program's work
/// lowers a ceiling, and so does a device that has not raised its clock yet; nothing raises it.
fn steady([least, limit]: [Duration; 2], mut round: impl FnMut() -> Result<f64, GpuError>) -> Result<f64, GpuError> {
    let begun = Instant::now();
    let (mut all, mut best) = (Vec::new(), 0.0f64);
    loop {
        let this = round()?;
        best = best.max(this);
        all.push(this);
        let still = all.iter().rev().take(STEADY).all(|rate| *rate >= NEAR * best);
        if (still && all.len() >= ROUNDS && begun.elapsed() >= least) || begun.elapsed() > limit {
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
        let limit = [Duration::ZERO, Duration::from_secs(3600)];
        let best = steady(limit, || {
            asked += 1;
            Ok(rates.next().unwrap())
        });
        assert_eq!((best.unwrap(), asked), (1.0, 30));
        // What never holds still has an end.
        let mut odd = false;
        let best = steady([Duration::ZERO, Duration::from_millis(5)], || {
            odd = !odd;
            Ok(if odd { 1.0 } else { 0.5 })
        });
        assert_eq!(best.unwrap(), 1.0);
    }

    #[test]
    fn a_launch_is_held_against_the_ceiling_of_what_computes_it() {
        let roof =
            Roof { gflops: 10.0, f16_gflops: Some(20.0), matrix_gflops: Some(80.0), gbps: 1.0, cached: Vec::new() };
        let cost = Cost { flops: 40_000_000, bytes: 100_000 };
        let share = |arithmetic| roof.share(cost, arithmetic, 4.0);
        assert_eq!([Arithmetic::F32, Arithmetic::F16, Arithmetic::Matrix].map(share), [1.0, 0.5, 0.125]);
        let less = Roof { f16_gflops: None, matrix_gflops: None, ..roof.clone() };
        assert_eq!(less.share(cost, Arithmetic::Matrix, 4.0), 1.0);
        assert_eq!(roof.share(Cost { bytes: 8_000_000, ..cost }, Arithmetic::Matrix, 8.0), 1.0);
    }

    #[test]
    fn what_caches_hold_is_held_against_copies_of_its_size() {
        let cached = [(1000, 5.0), (10_000, 8.0), (100_000, 4.0)].map(|(bytes, gbps)| Copied { bytes, gbps });
        let roof = Roof { gflops: 1e9, gbps: 2.0, cached: cached.into(), ..Roof::default() };
        // A small copy that is slow for what it costs to launch is no ceiling.
        assert_eq!([1, 1000, 9999, 10_000].map(|bytes| roof.copying(bytes)), [8.0; 4]);
        assert_eq!([50_000, 100_000, 100_001].map(|bytes| roof.copying(bytes)), [8.0, 4.0, 2.0]);
        // 10 kB in 2.5 microseconds.
        assert_eq!(roof.share(Cost { flops: 0, bytes: 10_000 }, Arithmetic::F32, 0.0025), 0.5);
    }

    #[test]
    fn ceilings_below_what_was_reached_are_measured_again_and_rise() {
        let one = |gflops, gbps| Roof { gflops, gbps, cached: vec![Copied { bytes: 8, gbps }], ..Roof::default() };
        let mut again = [one(2.0, 9.0), one(40.0, 3.0), one(99.0, 99.0)].into_iter();
        let roof = one(4.0, 1.0).raised(|roof| 20.0 / roof.gflops, || Ok(again.next().unwrap())).unwrap();
        assert_eq!((roof, again.len()), (one(40.0, 9.0), 1));
        // What nothing reaches is measured only so often.
        let mut asked = 0;
        let measure = || {
            asked += 1;
            Ok(one(1.0, 1.0))
        };
        assert_eq!(one(1.0, 1.0).raised(|_| 2.0, measure).unwrap().gflops, 1.0);
        assert_eq!(asked, AGAIN);
    }
}
