//! Times of launches on a device, by either clock.

use crate::support::device;
use crate::support::{Rig, Tensors, graph};
use limn::bench::{Clock, Launches, Roof, Stages, Timer, clock, quantile};
use limn::check::{Example, Trial};
use limn::gpu::Gpu;
use limn::kernels::copy::Copy;
use limn::kernels::multiply_add::MultiplyAdd;
use limn::kernels::{Class, Kernel};
use limn::program::Device;
use std::sync::Arc;

/// Seconds of a launch.
fn time(gpu: &Gpu, kernel: &dyn Kernel, by: Clock) -> f64 {
    let trial = prepared(gpu, kernel);
    let mut timer = Timer::new(Stages { gpu, stages: trial.stages() }, by, 0.0005).expect("a timer");
    quantile(&mut timer.samples(0.03, 9).expect("samples"), 0.1)
}

fn prepared(gpu: &Gpu, kernel: &dyn Kernel) -> Trial {
    let recipe = kernel.variants(gpu.caps()).remove(0);
    let trial = Trial::new(gpu, &Example::inputs(kernel, 1, 0.0), &recipe, false).expect("a trial");
    trial.run(gpu).expect("a run");
    trial
}

/// Whether `holds` does within a few attempts: another program may take the device's time from any
/// one.
fn soon(holds: impl Fn() -> Result<(), String>) {
    let mut said = Vec::new();
    for _ in 0..60 {
        match holds() {
            Ok(()) => return,
            Err(why) => said.push(why),
        }
    }
    panic!("{said:?}");
}

/// The clocks that this device has.
fn clocks(gpu: &Gpu) -> Vec<Clock> {
    let stamps = gpu.has_timestamps().then_some(Clock::Stamps);
    stamps.into_iter().chain([Clock::Differences]).collect()
}

#[test]
fn twice_the_work_takes_twice_as_long_by_either_clock() {
    let gpu = device();
    let len = if gpu.caps().class == Class::Lanes { 1024 } else { 1 << 18 };
    let kernel = |turns| MultiplyAdd::new(len, turns);
    for by in clocks(&gpu) {
        soon(|| {
            let [one, two] = [8, 16].map(|turns| time(&gpu, &kernel(turns), by));
            let factor = two / one;
            if (1.6..2.5).contains(&factor) { Ok(()) } else { Err(format!("{by:?}: {one} and {two} s")) }
        });
    }
    if clock(&gpu).expect("a clock") == Clock::Stamps {
        soon(|| {
            let [stamps, differences] = [Clock::Stamps, Clock::Differences].map(|by| time(&gpu, &kernel(16), by));
            let near = (0.6..1.6).contains(&(stamps / differences));
            if near { Ok(()) } else { Err(format!("{stamps} by stamps, {differences} by differences")) }
        });
    }
}

#[test]
fn a_small_launch_is_not_taken_for_its_submission() {
    let gpu = device();
    let kernel = Copy { len: 64 };
    for by in clocks(&gpu) {
        soon(|| {
            let trial = prepared(&gpu, &kernel);
            let mut stages = Stages { gpu: &gpu, stages: trial.stages() };
            let mut alone: Vec<f64> = (0..9).map(|_| stages.waited(1).expect("a wait")).collect();
            let (alone, launch) = (quantile(&mut alone, 0.5), time(&gpu, &kernel, by));
            if launch < alone / 2.0 { Ok(()) } else { Err(format!("{by:?}: {launch} s, waited for {alone} s")) }
        });
    }
}

#[test]
fn without_timestamps_a_profile_tells_launches_from_submissions() {
    let gpu = Arc::new(device());
    assert!(!gpu.timestamps_hold(|| Ok(false)).expect("an answer"));
    assert!(!gpu.timestamps_hold(|| Ok(true)).expect("the first answer"));
    let g = graph();
    let x = g.input("x", &[96, 96]);
    let product = x.matmul(&x).matmul(&x);
    g.output("product", &product);
    let given = Tensors::from([("x".to_string(), vec![0.01; 96 * 96])]);
    let mut rig = Rig::on(&g.finish().expect("a graph"), &Device::Gpu(gpu), &given);
    let (times, by) = rig.runner.profile().expect("a profile");
    assert_eq!((times.len(), by), (rig.runner.program().launches.len(), Clock::Differences));
    assert!(times.iter().all(|t| *t >= 0.0 && t.is_finite()) && times.iter().sum::<f64>() > 0.0, "{times:?}");
}

#[test]
fn ceilings_are_those_of_the_device() {
    let gpu = device();
    let roof = Roof::measure(Some(&gpu)).expect("ceilings");
    assert!(roof.gflops > 0.0 && roof.gbps > 0.0, "{roof:?}");
    assert_eq!(roof.f16_gflops.is_some(), gpu.caps().f16);
    assert!(roof.f16_gflops.is_none_or(|rate| rate > 0.0));
    // It was not opened with any.
    assert_eq!(roof.matrix_gflops, None);
    let cpu = Roof::measure(None).expect("ceilings");
    assert!(cpu.gflops > 0.0 && cpu.gbps > 0.0 && cpu.f16_gflops.is_none(), "{cpu:?}");
}
