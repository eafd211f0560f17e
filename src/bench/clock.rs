//! How the time of a launch is found: by the device's timestamps, or by the difference of two
//! lengths.
//!
//! Handing work over and waiting for its end costs a GPU's host a tenth of a millisecond, more than
//! most kernels take. So the host's clock around some launches says little about them, but the
//! difference between so many launches and twice as many does.

use crate::check::{Example, Trial};
use crate::gpu::{Gpu, GpuError, Ready};
use crate::kernels::multiply_add::MultiplyAdd;
use crate::kernels::{Class, Kernel};
use std::time::Instant;

/// What times are taken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The device's timestamps around launches.
    Stamps,
    /// The host's clock around submissions of two lengths, and the difference.
    Differences,
    /// The host's clock around what the host itself computes.
    Host,
}

/// One thing that can be launched again and again, and who can say how long that took.
pub trait Launches {
    /// Seconds, by the device, of each of `parts` times `count` launches that follow `warm` more.
    fn stamped(&mut self, warm: usize, count: usize, parts: usize) -> Result<Vec<f64>, GpuError>;

    /// Seconds, by the host, from handing over `count` launches to their end.
    fn waited(&mut self, count: usize) -> Result<f64, GpuError>;
}

/// The stages of a launch on a device.
pub struct Stages<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// What is dispatched, in order.
    pub stages: &'a [Ready],
}

impl Launches for Stages<'_> {
    fn stamped(&mut self, warm: usize, count: usize, parts: usize) -> Result<Vec<f64>, GpuError> {
        let mut stretches = vec![(self.stages, warm)];
        stretches.extend((0..parts).map(|_| (self.stages, count)));
        let times = self.gpu.time_stretches(&stretches)?;
        Ok(times[1..].iter().map(|ns| 1e-9 * ns).collect())
    }

    fn waited(&mut self, count: usize) -> Result<f64, GpuError> {
        let start = Instant::now();
        self.gpu.submit(|pass| (0..count).for_each(|_| self.stages.iter().for_each(|stage| stage.record(pass))));
        self.gpu.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }
}

/// Most launches of a submission's part: recording more takes the host longer than it is worth.
const MOST: usize = 4096;

/// Samples that there are at least, unless they take so many times as long as was asked for.
const FEW: usize = 3;
const HELD_UP: f64 = 10.0;

/// Finds the time of a launch, again and again.
pub struct Timer<L> {
    launches: L,
    clock: Clock,
    /// Launches of a part.
    count: usize,
    /// A launch so long that nothing was to be added up, by which this was found out.
    first: Option<f64>,
}

impl<L: Launches> Timer<L> {
    /// Looks for how many launches take `part` seconds, or are told apart from what a submission
    /// costs.
    ///
    /// # Errors
    /// That the device is gone.
    pub fn new(mut launches: L, clock: Clock, part: f64) -> Result<Timer<L>, GpuError> {
        let mut count = 1;
        let mut first = None;
        if clock == Clock::Stamps {
            loop {
                let took = launches.stamped(0, count, 1)?.iter().sum::<f64>();
                first = (count == 1 && took >= part).then_some(took);
                let wanted = count as f64 * part / took.max(part / 16.0);
                count = (wanted.ceil() as usize).clamp(1, MOST);
                if took >= part / 4.0 || count == MOST {
                    break;
                }
            }
        } else {
            loop {
                let (short, long) = (launches.waited(count)?, launches.waited(2 * count)?);
                let apart = long - short;
                // Were the submission the half of it, its noise would be too large a part.
                if (apart >= part && apart >= 0.4 * long) || count >= MOST {
                    break;
                }
                count *= if apart < part / 8.0 { 8 } else { 2 };
            }
        }
        Ok(Timer { launches, clock, count, first })
    }

    /// Launches that are added up for a sample.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A few samples: seconds of a launch, never negative.
    ///
    /// # Errors
    /// That the device is gone.
    pub fn round(&mut self) -> Result<Vec<f64>, GpuError> {
        if let Some(first) = self.first.take() {
            return Ok(vec![first]);
        }
        let count = self.count;
        if self.clock == Clock::Stamps {
            // What is short follows some of its like, so that the device has raised its clock.
            let (warm, parts) = if count > 1 { (count, 3) } else { (0, 1) };
            let parts = self.launches.stamped(warm, count, parts)?;
            return Ok(parts.into_iter().map(|seconds| seconds / count as f64).collect());
        }
        // What else the machine does only ever adds to either length: so the least of a few of
        // each.
        let (mut short, mut long) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..3 {
            short = self.launches.waited(count)?.min(short);
            long = self.launches.waited(2 * count)?.min(long);
            if short > 0.05 {
                break;
            }
        }
        Ok(vec![((long - short) / count as f64).max(0.0)])
    }

    /// Samples over about `seconds`, at least so many.
    ///
    /// # Errors
    /// That the device is gone.
    pub fn samples(&mut self, seconds: f64, least: usize) -> Result<Vec<f64>, GpuError> {
        let begun = Instant::now();
        let mut samples = Vec::new();
        let within = |times: f64| begun.elapsed().as_secs_f64() < times * seconds;
        // One that another program has held up is no sample to go by.
        while samples.len() < least || (within(1.0) && samples.len() < 1000) || (within(HELD_UP) && samples.len() < FEW)
        {
            samples.extend(self.round()?);
        }
        Ok(samples)
    }
}

/// The sample that a share of all are below: 0.5 is the median. Of none it is 0.
pub fn quantile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get((share * samples.len() as f64) as usize).or(samples.last()).copied().unwrap_or(0.0)
}

/// What times on this device are taken by: its timestamps, if a run of known lengths has shown that
/// they measure what they should.
///
/// # Errors
/// That the device is gone.
pub fn clock(gpu: &Gpu) -> Result<Clock, GpuError> {
    Ok(if gpu.timestamps_hold(|| hold(gpu))? { Clock::Stamps } else { Clock::Differences })
}

/// Work of which a stretch may be made without a system ending it for being too long.
const LONG: f64 = 0.01;
/// Work that nothing else can hide.
const LONGEST: f64 = 0.1;

/// Whether timestamps around a stretch of work and around twice as much are one to two, and agree
/// with the host's clock. The work grows until it outweighs what a submission costs.
fn hold(gpu: &Gpu) -> Result<bool, GpuError> {
    let len = if gpu.caps().class == Class::Lanes { 4096 } else { 1 << 18 };
    for turns in (2..=16).step_by(2).map(|power| 1 << power) {
        let kernel = MultiplyAdd::new(len, turns);
        let trial = Trial::new(gpu, &Example::inputs(&kernel, 1, 0.0), &kernel.variants(gpu.caps())[0], false)?;
        trial.run(gpu)?;
        let mut longest = f64::INFINITY;
        // What else the machine does may disturb any one of them.
        for _ in 0..4 {
            let start = Instant::now();
            let stretches = [1, 1, 2].map(|times| (trial.stages(), times));
            let times = gpu.time_stretches(&stretches)?;
            let waited = start.elapsed().as_secs_f64();
            longest = longest.min(waited);
            if waited >= LONG && plausible(&times, 1e9 * waited) {
                return Ok(true);
            }
        }
        if longest >= LONGEST {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Whether these times of one, one and two units of work may be true, if the host waited so long
/// for all.
fn plausible(times: &[f64], waited: f64) -> bool {
    let &[warm, one, two] = times else { return false };
    let near = |a: f64, b: f64, factor: f64| a > 0.0 && a < factor * b && b < factor * a;
    near(2.0 * one, two, 1.5) && near(warm + one + two, waited, 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device without hardware: what it takes, and what its clocks say.
    struct Fake {
        launch: f64,
        fence: f64,
        /// Noise of the host's clock: each call takes the next.
        noise: Vec<f64>,
        calls: usize,
        launched: usize,
    }

    impl Fake {
        fn new(launch: f64, fence: f64, noise: &[f64]) -> Fake {
            Fake { launch, fence, noise: noise.to_vec(), calls: 0, launched: 0 }
        }
    }

    impl Launches for &mut Fake {
        fn stamped(&mut self, warm: usize, count: usize, parts: usize) -> Result<Vec<f64>, GpuError> {
            self.launched += warm + count * parts;
            // Ticks of 100 ns.
            Ok(vec![(count as f64 * self.launch / 1e-7).floor() * 1e-7; parts])
        }

        fn waited(&mut self, count: usize) -> Result<f64, GpuError> {
            self.launched += count;
            self.calls += 1;
            Ok(self.fence + count as f64 * self.launch + self.noise[self.calls % self.noise.len()])
        }
    }

    const NOISE: [f64; 7] = [0.0, 3e-5, 1e-5, 4e-5, 0.0, 2e-5, 5e-5];

    #[test]
    fn short_launches_are_told_from_what_a_submission_costs() {
        for (clock, within) in [(Clock::Stamps, 0.02), (Clock::Differences, 0.05)] {
            for launch in [2e-6, 3e-5, 1e-3, 0.07] {
                let mut fake = Fake::new(launch, 1e-4, &NOISE);
                let mut timer = Timer::new(&mut fake, clock, 1e-3).unwrap();
                let mut samples = timer.samples(0.0, 9).unwrap();
                let median = quantile(&mut samples, 0.5);
                assert!((median / launch - 1.0).abs() < within, "{clock:?}: {median} for {launch}");
            }
        }
    }

    #[test]
    fn long_launches_are_not_repeated_for_nothing() {
        let mut fake = Fake::new(0.1, 1e-4, &[0.0]);
        let mut timer = Timer::new(&mut fake, Clock::Stamps, 1e-3).unwrap();
        assert_eq!((timer.count(), timer.samples(0.0, 1).unwrap().len()), (1, 1));
        assert_eq!(fake.launched, 1);
        let mut fake = Fake::new(0.1, 1e-4, &[0.0]);
        let mut timer = Timer::new(&mut fake, Clock::Differences, 1e-3).unwrap();
        assert_eq!((timer.count(), timer.samples(0.0, 1).unwrap().len()), (1, 1));
        assert_eq!(fake.launched, 6);
    }

    #[test]
    fn a_device_that_does_nothing_has_an_end_and_no_negative_time() {
        for clock in [Clock::Stamps, Clock::Differences] {
            let mut fake = Fake::new(0.0, 1e-4, &NOISE);
            let mut timer = Timer::new(&mut fake, clock, 1e-3).unwrap();
            assert!(timer.samples(0.0, 20).unwrap().iter().all(|s| *s >= 0.0 && *s < 1e-7));
            assert!(fake.calls < 1000);
        }
    }

    #[test]
    fn timestamps_are_held_against_the_work_and_the_hosts_clock() {
        assert!(plausible(&[10e6, 10e6, 20e6], 41e6));
        for (times, waited) in [
            ([0.0, 0.0, 0.0], 40e6),
            // Written when the whole submission has begun, or has ended.
            ([1.0, 1.0, 1.0], 40e6),
            ([40e6, 0.0, 0.0], 40e6),
            // Ticks of another length than the device says.
            ([10e3, 10e3, 20e3], 40e6),
            ([10e9, 10e9, 20e9], 40e6),
        ] {
            assert!(!plausible(&times, waited), "{times:?}");
        }
        assert!(!plausible(&[], 1.0));
    }

    #[test]
    fn quantiles_are_samples() {
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&mut [4.0, 3.0, 1.0, 2.0], 0.25), 2.0);
        assert_eq!(quantile(&mut [4.0], 0.25), 4.0);
        assert_eq!(quantile(&mut [5.0, 4.0], 1.0), 5.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }
}
