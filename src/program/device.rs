//! Where programs run, and what can go wrong there.

use super::{Exceeded, PlanError};
use crate::gpu::{self, Gpu, GpuError};
use crate::kernels::{Caps, Precision};
use std::sync::Arc;

/// Where programs run.
#[derive(Clone)]
pub enum Device {
    /// The CPU, as fast as it can be without a GPU.
    Cpu,
    /// The CPU reference: the reference, slow.
    Reference,
    /// A GPU.
    Gpu(Arc<Gpu>),
}

/// What can go wrong when a program is prepared or run.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The GPU's words.
    #[error("{0}")]
    Gpu(#[from] GpuError),
    /// The program cannot be planned for this device.
    #[error("{0}")]
    Plan(#[from] PlanError),
    /// The program is too large for this device.
    #[error("the program does not fit this device: {0}; make the model smaller or take another device")]
    Exceeded(#[from] Exceeded),
    /// A name the program does not know.
    #[error("the program has no {kind} called \"{name}\"")]
    Name {
        /// `input`, `output` or `state`.
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// Data of the wrong length.
    #[error("\"{name}\" takes {needs} elements and was given {has}")]
    Length {
        /// The input or state.
        name: String,
        /// Elements it has.
        needs: usize,
        /// Elements given.
        has: usize,
    },
    /// Ranks that do not go on together.
    #[error("{0}")]
    Ranks(#[from] crate::ranks::RankError),
    /// An upload that was made for another program, or for none.
    #[error("an upload goes with the program whose feed it is from")]
    Foreign,
}

impl Device {
    /// The fastest device there is: a GPU, or else the CPU. One that is there and does not open is
    /// passed over; whoever wants to know why opens it by [`Gpu::open`].
    pub fn best() -> Device {
        let adapters = gpu::adapters();
        let fastest = gpu::fastest(&adapters).map(|(adapter, _)| adapter.index.to_string());
        match fastest.and_then(|index| Gpu::open(Some(&index)).ok()) {
            Some(gpu) => Device::Gpu(Arc::new(gpu)),
            None => Device::Cpu,
        }
    }

    /// Capabilities to plan for; `None` means the CPU.
    pub fn caps(&self) -> Option<Caps> {
        match self {
            Device::Cpu | Device::Reference => None,
            Device::Gpu(gpu) => Some(*gpu.caps()),
        }
    }

    /// The precision it was opened for.
    pub fn precision(&self) -> Precision {
        self.gpu().map_or(Precision::Full, |gpu| gpu.caps().precision)
    }

    /// The GPU, if it is one.
    pub fn gpu(&self) -> Option<&Gpu> {
        match self {
            Device::Gpu(gpu) => Some(gpu),
            _ => None,
        }
    }

    /// The same device opened once more, where it is lost and can be.
    pub fn anew(&self) -> Option<Device> {
        let gpu = self.gpu().filter(|gpu| gpu.is_lost())?;
        gpu.again().ok().map(|gpu| Device::Gpu(Arc::new(gpu)))
    }

    /// A name for people.
    pub fn name(&self) -> String {
        match self {
            Device::Cpu => "cpu".into(),
            Device::Reference => "reference".into(),
            Device::Gpu(gpu) => gpu.desc().name.clone(),
        }
    }
}
