//! What the tests of graphs and programs share: seeded numbers, devices, running a graph, and what
//! must hold for every planned program.

// Each target uses a part of this.
#![allow(dead_code)]

pub mod fixtures;
pub mod runs;

use limn::gpu::{self, Gpu};
use limn::graph::{Graph, Noise};
use limn::kernels::philox::Stream;
use limn::kernels::{Class, Precision};
use limn::program::{Device, Options, Place, Program, Runner, Source, Store, View, plan};
use limn::train::{Config, train_source};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, OnceLock};

/// Named tensors, as they go into a program and come out of it.
pub type Tensors = BTreeMap<String, Vec<f32>>;

/// Whether all there is to be tried is tried, however long it takes (`make trust`).
pub fn is_long() -> bool {
    std::env::var_os("LIMN_TRUST").is_some()
}

/// Says aloud what is not tested here, and why: past the harness, which shows nothing of tests that pass.
pub fn not_tested(what: &str) {
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {}", what.trim());
}

/// An empty graph with the noise of the tests.
pub fn graph() -> Graph {
    Graph::new(Noise { seed: 7, domain: 9, clock: "clock".into() })
}

/// The GPU every test shares: `LIMN_DEVICE`, or the best there is.
pub fn gpu() -> Device {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    let open = || Arc::new(Gpu::open(std::env::var("LIMN_DEVICE").ok().as_deref()).expect("a device"));
    Device::Gpu(GPU.get_or_init(open).clone())
}

/// The same device told to be a GPU, of a test's own.
pub fn gpu_class() -> Device {
    let wanted = std::env::var("LIMN_DEVICE").ok();
    Device::Gpu(Arc::new(Gpu::open_as_class(wanted.as_deref(), Precision::Full, Class::Gpu).expect("a device")))
}

/// A GPU of a test's own, opened as [`gpu`] opens it.
pub fn device() -> Gpu {
    Gpu::open(std::env::var("LIMN_DEVICE").ok().as_deref()).expect("a device")
}

/// `--device` with the same for the command line, which by itself would take the processor where
/// there is no GPU.
pub fn device_flag() -> Vec<String> {
    let best = || gpu::preferred(&gpu::adapters()).map(|(adapter, _)| adapter.index.to_string());
    std::env::var("LIMN_DEVICE").ok().or_else(best).map_or(Vec::new(), |device| vec!["--device".into(), device])
}

/// `len` standard normal numbers; every `stream` has its own.
pub fn normals(stream: u32, len: usize) -> Vec<f32> {
    let source = Stream { seed: 3, domain: 9, stream, step: 0, first: 0 };
    (0..len).map(|i| source.normal(i)).collect()
}

/// A deterministic source of choices.
pub struct Choices {
    source: Stream,
    drawn: usize,
}

impl Choices {
    /// The choices of this seed.
    pub fn new(seed: u64) -> Choices {
        Choices { source: Stream { seed, domain: 9, stream: 99, step: 0, first: 0 }, drawn: 0 }
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.drawn += 1;
        (self.source.uniform(self.drawn) * n as f32) as usize
    }
}

/// The training step of a preset at its batch.
pub fn step_of(preset: &str) -> Source {
    let config = Config::preset(preset).expect("a preset");
    let model = config.model.build().expect("a model");
    train_source(model.as_ref(), &config.optimizer(), config.train.batch, 0, limn::graph::Shard::WHOLE).expect("a step")
}

/// Every way to plan for a device: all on, and each optimisation off.
pub fn plans(device: &Device) -> [Options<'static>; 4] {
    let on = Options::new(device.caps());
    [on, Options { fuse: false, ..on }, Options { reuse: false, ..on }, Options { fuse: false, reuse: false, ..on }]
}

/// Plans and holds the program against what GPU APIs demand.
pub fn planned(source: &Source, options: &Options) -> Program {
    let program = plan(source, options).expect("a plan");
    if let Err(why) = sound(&program) {
        panic!("{why}\n{}", program.listing());
    }
    program
}

/// No launch has one buffer among both what it reads and what it writes, and no two of its writes
/// overlap.
pub fn sound(program: &Program) -> Result<(), String> {
    let overlap =
        |a: &View, b: &View| a.buffer == b.buffer && a.offset < b.offset + b.len && b.offset < a.offset + a.len;
    for (i, launch) in program.launches.iter().enumerate() {
        let name = launch.kernel.signature().name;
        let writes: Vec<&View> = launch.writes.iter().chain(&launch.scratch).collect();
        for read in launch.reads.iter().flatten() {
            if writes.iter().any(|w| w.buffer == read.buffer) {
                return Err(format!("launch {i} ({name}) reads and writes buffer {}", read.buffer));
            }
        }
        for (k, a) in writes.iter().enumerate() {
            if writes[..k].iter().any(|b| overlap(a, b)) {
                return Err(format!("launch {i} ({name}) writes buffer {} twice at one place", a.buffer));
            }
        }
    }
    Ok(())
}

/// A program on a device with the states it shares.
pub struct Rig {
    pub runner: Runner,
    pub store: Store,
}

impl Rig {
    /// Plans `source` and fills states and inputs.
    pub fn new(source: &Source, device: &Device, options: &Options, values: &Tensors) -> Rig {
        Rig::holding(planned(source, options), source, device, values)
    }

    /// A program planned from `source`, with states and inputs filled.
    pub fn holding(program: Program, source: &Source, device: &Device, values: &Tensors) -> Rig {
        let mut store = Store::new(device.clone());
        for state in &source.states {
            if let Some(data) = values.get(&state.name) {
                store.write(&state.name, data).expect("the state fits");
            }
        }
        let runner = Runner::with_checks(program, &mut store, true).expect("a runner");
        let rig = Rig { runner, store };
        let inputs: Vec<String> = rig.runner.program().inputs.iter().map(|(name, _)| name.clone()).collect();
        inputs.iter().for_each(|name| rig.runner.write(name, &values[name]).expect("the input fits"));
        rig
    }

    /// Everything the program computes planned the usual way.
    pub fn on(source: &Source, device: &Device, values: &Tensors) -> Rig {
        Rig::new(source, device, &Options::new(device.caps()), values)
    }

    /// Runs and reads every output.
    pub fn outputs(&mut self) -> Tensors {
        self.runner.run().expect("a run");
        let names: Vec<String> = self.runner.program().outputs.iter().map(|(name, _)| name.clone()).collect();
        names.into_iter().map(|name| (name.clone(), self.runner.read(&name).expect("an output"))).collect()
    }

    /// Runs `steps` times and reads every output and every state.
    pub fn after(mut self, steps: usize) -> Tensors {
        (1..steps).for_each(|_| self.runner.run().expect("a run"));
        let mut all = self.outputs();
        let states: Vec<String> = self.store.names().map(str::to_string).collect();
        for name in states {
            let data = self.store.read(&name).expect("a state");
            all.insert(name, data);
        }
        all
    }
}

/// Fails with the first element that differs in a single bit.
pub fn assert_same_bits(got: &Tensors, want: &Tensors, what: &str) {
    // A plan that fills no constants may have no clock.
    let names = |all: &Tensors| all.keys().filter(|name| *name != "clock").cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(want), "{what}");
    for (name, want) in want.iter().filter(|(name, _)| got.contains_key(*name)) {
        for (i, (g, w)) in std::iter::zip(&got[name], want).enumerate() {
            assert_eq!(g.to_bits(), w.to_bits(), "{what}: {name}[{i}] is {g:e} and should be {w:e}");
        }
    }
}

/// Fails where the tensors differ by more than `tolerance` times the largest wanted element.
pub fn assert_close(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    let largest = want.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    for (i, (g, w)) in std::iter::zip(got, want).enumerate() {
        let error = (g - w).abs();
        assert!(error <= tolerance * largest, "{what}[{i}]: {g:e} and should be {w:e} (largest {largest:e})");
    }
}

/// Stages of a program's shaders of this name.
pub fn stages_of(program: &Program, shader: &str) -> usize {
    let recipes = program.launches.iter().filter_map(|launch| launch.recipe.as_ref());
    recipes.flat_map(|recipe| &recipe.stages).filter(|stage| stage.shader.name == shader).count()
}

/// The names of the launches of a plan, in order.
pub fn launches(source: &Source, options: &Options) -> Vec<&'static str> {
    planned(source, options).launches.iter().map(|l| l.kernel.signature().name).collect()
}

/// Normal numbers for every input and state; counters start at zero.
pub fn random_values(source: &Source) -> Tensors {
    let inputs = source.values.iter().filter_map(|v| match &v.place {
        Place::Input(name) => Some((name.clone(), v.len())),
        _ => None,
    });
    let states = source.states.iter().filter(|s| s.name != "clock").map(|s| (s.name.clone(), s.len));
    inputs.chain(states).enumerate().map(|(i, (name, len))| (name, normals(200 + i as u32, len))).collect()
}

/// Outputs and states after `steps` runs are the same in every bit however the program is planned.
pub fn assert_same_under_every_plan(source: &Source, values: &Tensors, device: &Device, steps: usize) -> Tensors {
    let [on, others @ .., off] = plans(device);
    let want = Rig::new(source, device, &off, values).after(steps);
    for options in others.iter().chain([&on]) {
        let got = Rig::new(source, device, options, values).after(steps);
        assert_same_bits(&got, &want, &format!("{} {options:?}", device.name()));
    }
    want
}

/// The same on a GPU, whose results are close to those of the reference as well.
pub fn assert_same_everywhere(source: &Source, values: &Tensors, gpu: &Device, steps: usize) {
    let got = assert_same_under_every_plan(source, values, gpu, steps);
    let want = Rig::on(source, &Device::Reference, values).after(steps);
    assert_all_close(&got, &want, 2e-5);
}

/// Every tensor within `tolerance` times its largest element; counters exactly.
pub fn assert_all_close(got: &Tensors, want: &Tensors, tolerance: f32) {
    let names = |all: &Tensors| all.keys().filter(|name| *name != "clock").cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(want));
    for (name, want) in want.iter().filter(|(name, _)| got.contains_key(*name)) {
        if name == "clock" {
            assert_eq!(got[name][0].to_bits(), want[0].to_bits(), "the clock");
        } else {
            assert_close(&got[name], want, tolerance, name);
        }
    }
}
