//! Choosing a device.

use super::{Error, term};
use crate::data;
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
    if let Some(device) = wanted.and_then(built_in) {
        return Ok(device);
    }
    match Gpu::open(wanted) {
        Ok(gpu) => {
            if let Ok(cache) = data::cache_dir() {
                gpu.keep_pipelines(&cache.join("pipelines"));
            }
            Ok(Device::Gpu(Arc::new(gpu)))
        }
        Err(GpuError::NoAdapter) => {
            term::note(format!("{NO_ADAPTER}; running on the built-in cpu device"));
            Ok(Device::Cpu)
        }
        Err(error) => Err(error.into()),
    }
}

fn built_in(wanted: &str) -> Option<Device> {
    match wanted.to_ascii_lowercase().as_str() {
        "cpu" => Some(Device::Cpu),
        "twins" => Some(Device::Twins),
        _ => None,
    }
}
