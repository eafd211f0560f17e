//! Choosing a device.

use super::{Error, term};
use crate::gpu::{Gpu, GpuError};
use crate::program::Device;
use std::sync::Arc;

/// How to get a driver, for machines that have none.
pub const NO_ADAPTER: &str =
    "no Vulkan, Metal or DX12 adapter was found; on Debian or Ubuntu `apt-get install mesa-vulkan-drivers` gives one";

/// Opens the device that `--device` names. Without a name it is the best adapter, or the CPU with a
/// remark where there is none.
///
/// # Errors
/// A name that fits no device, an adapter that lacks a limit or does not open.
pub fn open(wanted: Option<&str>) -> Result<Device, Error> {
    if wanted.is_some_and(is_cpu) {
        return Ok(Device::Cpu);
    }
    match Gpu::open(wanted) {
        Ok(gpu) => Ok(Device::Gpu(Arc::new(gpu))),
        Err(GpuError::NoAdapter) => {
            term::note(format!("{NO_ADAPTER}; running on the built-in cpu device"));
            Ok(Device::Cpu)
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens an adapter for work that means nothing on the CPU; `why` says so in a sentence.
///
/// # Errors
/// As [`open`], and where the CPU was asked for or nothing else is there.
pub fn adapter(wanted: Option<&str>, why: &str) -> Result<Arc<Gpu>, Error> {
    if wanted.is_some_and(is_cpu) {
        return Err(Error::new(why));
    }
    match Gpu::open(wanted) {
        Ok(gpu) => Ok(Arc::new(gpu)),
        Err(GpuError::NoAdapter) => Err(Error::new(format!("{why}; {NO_ADAPTER}"))),
        Err(error) => Err(error.into()),
    }
}

fn is_cpu(wanted: &str) -> bool {
    wanted.eq_ignore_ascii_case("cpu")
}
