//! MemoryUse of a training step: what it takes, and the largest batch that fits.

use super::{SessionError, train_source};
use crate::choices::Choices;
use crate::graph::Shard;
use crate::kernels::Caps;
use crate::models::Model;
use crate::nn::Optimizer;
use crate::program::{Capacity, Device, DeviceError, Options, Program, Purpose, plan, plan_recomputing};

/// Everything a training step is planned from but its batch.
#[derive(Clone, Copy)]
pub struct StepSpec<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// Its optimiser.
    pub optim: &'a Optimizer,
    /// The run's seed.
    pub seed: u64,
    /// Whether activations are computed again rather than held.
    pub recompute: bool,
    /// Variants that were measured to be the fastest.
    pub choices: Option<&'a Choices>,
    /// The part of every batch that it computes.
    pub shard: Shard,
}

impl StepSpec<'_> {
    /// The step of its part of `batch` for a device with these capabilities; `None` plans for the CPU.
    pub fn program(&self, batch: usize, caps: Option<Caps>) -> Result<Program, SessionError> {
        let own = self.shard.share(batch).map_err(SessionError::Config)?;
        let source = train_source(self.model, self.optim, own, self.seed, self.shard)?;
        let plan = if self.recompute { plan_recomputing } else { plan };
        Ok(plan(&source, &Options { choices: self.choices, ..Options::new(caps) })?)
    }

    /// The step's program, if the device holds it.
    ///
    /// # Errors
    /// [`SessionError::TooLarge`] with the largest batch that fits, or what is wrong with the
    /// model.
    pub fn fitting(&self, batch: usize, device: &Device) -> Result<Program, SessionError> {
        let planned = self.program(batch, device.caps()).and_then(|program| {
            Capacity::of(device).check(&program).map_err(DeviceError::from)?;
            Ok(program)
        });
        planned.map_err(|error| self.refusal(error, batch, device))
    }

    /// What to say of a step of `batch` that failed to be planned or made: where it is too large,
    /// the largest batch that fits.
    pub fn refusal(&self, error: SessionError, batch: usize, device: &Device) -> SessionError {
        let Some((why, capacity)) = error.excess(Capacity::of(device)) else { return error };
        let largest = self.largest_batch(batch, device.caps(), &capacity);
        SessionError::TooLarge { batch, device: device.name(), why, largest }
    }

    /// The largest batch below `batch` whose step fits, if a batch of 1 does. Larger batches take
    /// more memory, so it is found by halving.
    fn largest_batch(&self, batch: usize, caps: Option<Caps>, capacity: &Capacity) -> Option<usize> {
        let count = self.shard.count();
        let fits = |n: usize| self.program(n * count, caps).is_ok_and(|program| capacity.check(&program).is_ok());
        let (mut good, mut bad) = (0, batch / count);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if fits(middle) { good = middle } else { bad = middle }
        }
        (good > 0).then_some(good * count)
    }
}

/// What a training step takes on its device, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Parameters.
    pub parameters: u64,
    /// The optimiser's buffers, and the averages it keeps of the parameters.
    pub optimizer: u64,
    /// Gradients of the parameters.
    pub gradients: u64,
    /// Running statistics, counters and losses.
    pub records: u64,
    /// What the host uploads.
    pub inputs: u64,
    /// Activations, their gradients and scratch if each had memory of its own.
    pub activations: u64,
    /// What those take when the ones never alive together share memory.
    pub shared: u64,
}

impl MemoryUse {
    /// Adds up the buffers of a step of `model`.
    pub fn of(program: &Program, model: &dyn Model, optim: &Optimizer) -> MemoryUse {
        let mut memory = MemoryUse { activations: program.totals().unshared, ..MemoryUse::default() };
        for buffer in &program.buffers {
            *match &buffer.purpose {
                Purpose::State(name) => {
                    let networks = model.networks();
                    if networks.iter().any(|net| *name == net.params_state()) {
                        &mut memory.parameters
                    } else if networks.iter().any(|net| optim.states(net).contains(name)) {
                        &mut memory.optimizer
                    } else {
                        &mut memory.records
                    }
                }
                Purpose::Input(_) => &mut memory.inputs,
                Purpose::Flat => &mut memory.gradients,
                Purpose::Temp => &mut memory.shared,
            } += 4 * buffer.len as u64;
        }
        memory
    }

    /// All that is really allocated.
    pub fn peak(&self) -> u64 {
        self.parameters + self.optimizer + self.gradients + self.records + self.inputs + self.shared
    }

    /// What sharing saves.
    pub fn reuse_saves(&self) -> u64 {
        self.activations - self.shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Exceeded;
    use crate::train::Config;

    #[test]
    fn a_device_that_gave_out_is_told_the_largest_batch_for_what_it_had() {
        let config = Config::preset("vae-conv").unwrap();
        let model = config.model.build().unwrap();
        for recompute in [false, true] {
            let step = StepSpec {
                model: model.as_ref(),
                optim: &config.optimizer(),
                seed: 0,
                recompute,
                choices: None,
                shard: Shard::WHOLE,
            };
            let takes = |batch: usize| {
                let program = step.program(batch, None).unwrap();
                let capacity = Capacity { buffer: u64::MAX, binding: u64::MAX, total: Some(0) };
                match capacity.check(&program) {
                    Err(Exceeded::Total { needs, .. }) => needs,
                    other => panic!("{other:?}"),
                }
            };
            let refused = |has: u64| {
                let error = DeviceError::from(Exceeded::Refused { needs: takes(128), has });
                step.refusal(error.into(), 128, &Device::Cpu)
            };
            for batch in [1, 2, 77, 127] {
                let SessionError::TooLarge { largest, .. } = refused(takes(batch)) else { panic!("a refusal") };
                assert_eq!(largest, Some(batch));
            }
            let none = refused(takes(1) - 1).to_string();
            assert!(none.contains("batch 128 does not fit cpu") && none.contains("not even a batch of 1"), "{none}");
        }
    }

    #[test]
    fn the_parts_of_a_steps_memory_add_up() {
        for ((name, _), ema) in crate::train::presets().iter().flat_map(|preset| [(preset, 0.0), (preset, 0.9)]) {
            let mut config = Config::preset(name).unwrap();
            config.train.ema = ema;
            if config.validate().is_err() {
                // A mixture has no average.
                continue;
            }
            let (model, optim) = (config.model.build().unwrap(), config.optimizer());
            let step = StepSpec {
                model: model.as_ref(),
                optim: &optim,
                seed: 0,
                recompute: false,
                choices: None,
                shard: Shard::WHOLE,
            };
            let program = step.program(config.train.batch, None).unwrap();
            let memory = MemoryUse::of(&program, model.as_ref(), &optim);
            assert_eq!(memory.peak(), program.totals().memory, "{name}");
            let networks = model.networks();
            let flat: usize = networks.iter().map(|net| net.flat_len()).sum();
            let averages: usize = networks.iter().filter(|net| optim.averages(net)).map(|net| net.flat_len()).sum();
            assert_eq!(averages > 0, ema > 0.0);
            let optimizer = flat * config.optim.buffers().len() + averages;
            // Each of a discriminator's steps has gradients of its own.
            let again = (model.batches_per_step() - 1) * networks[networks.len() - 1].flat_len();
            let gradients = if optim.em().is_some() { 0 } else { flat + again };
            let [flat, gradients, optimizer] = [flat, gradients, optimizer].map(|len| 4 * len as u64);
            assert_eq!((memory.parameters, memory.optimizer), (flat, optimizer), "{name}");
            // Sums of two passes' gradients may have a flat buffer for each pass besides.
            let held = gradients..=2 * gradients;
            assert!(held.contains(&memory.gradients), "{name}: {} of gradients {gradients}", memory.gradients);
        }
    }
}
