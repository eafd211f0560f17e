//! The states that programs share.

use super::meet::Together;
use super::memory::{Host, Memory, OnGpu, OnHost, States};
use super::{Device, DeviceError, Pending, Program, ReadbackRing};

/// The named buffers that programs share on one device: parameters, moments, statistics, counters.
pub struct Store {
    device: Device,
    together: Option<Together>,
    pub(super) states: Kept,
}

/// States where the device has its memory.
pub(super) enum Kept {
    Host(States<OnHost>),
    Gpu(States<OnGpu>),
}

/// What is done to the states, wherever they are.
macro_rules! states {
    ($kept:expr, $states:ident => $what:expr) => {
        match $kept {
            Kept::Host($states) => $what,
            Kept::Gpu($states) => $what,
        }
    };
}

impl Store {
    /// No states yet.
    pub fn new(device: Device) -> Store {
        let states = match &device {
            Device::Cpu => Kept::Host(States::new(Host { reference: false })),
            Device::Reference => Kept::Host(States::new(Host { reference: true })),
            Device::Gpu(gpu) => Kept::Gpu(States::new(gpu.clone())),
        };
        Store { device, together: None, states }
    }

    /// Lets the programs that are made from now on run with other ranks.
    pub fn join(&mut self, together: Together) {
        self.together = Some(together);
    }

    /// The ranks that its programs run with.
    pub fn together(&self) -> Option<&Together> {
        self.together.as_ref()
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Bytes that a program's states have already.
    pub(super) fn present(&self, program: &Program) -> u64 {
        states!(&self.states, states => program.buffers.iter().map(|buffer| states.present(buffer)).sum())
    }

    /// Writes a whole state, making it if it is new.
    ///
    /// # Errors
    /// [`DeviceError::Length`] where it has another length; a device without memory for it.
    pub fn write(&mut self, name: &str, data: &[f32]) -> Result<(), DeviceError> {
        states!(&mut self.states, states => states.ensure(name, data.len())?.write(0, data));
        Ok(())
    }

    /// Reads a whole state.
    ///
    /// # Errors
    /// [`DeviceError::Name`] where there is none of this name; a device that is lost.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, DeviceError> {
        self.start_read(name)?.take()
    }

    /// Starts reading a whole state behind everything submitted so far.
    ///
    /// # Errors
    /// [`DeviceError::Name`] where there is none of this name.
    pub fn start_read(&self, name: &str) -> Result<Pending, DeviceError> {
        states!(&self.states, states => {
            let (memory, len) = states.get(name)?;
            Ok(memory.start_read(0, *len))
        })
    }

    /// A ring that reads a whole state, in the memory that it has now.
    ///
    /// # Errors
    /// [`DeviceError::Name`] where there is none of this name.
    pub fn ring(&self, name: &str) -> Result<ReadbackRing, DeviceError> {
        states!(&self.states, states => {
            let (memory, len) = states.get(name)?;
            Ok(memory.ring(*len))
        })
    }

    /// Lets two states of one length trade names. Programs that are ready keep to the memory they
    /// have.
    pub fn exchange(&mut self, one: &str, other: &str) {
        states!(&mut self.states, states => states.exchange(one, other));
    }

    /// Names of all states.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names: Box<dyn Iterator<Item = &String>> = states!(&self.states, states => Box::new(states.named.keys()));
        names.map(String::as_str)
    }
}
