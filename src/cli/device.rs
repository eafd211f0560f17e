//! Choosing a device.

use super::{Error, term};
use crate::check;
use crate::data;
use crate::gpu::{Gpu, GpuError};
use crate::kernels::Precision;
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
        Ok(gpu) => Ok(opened(gpu)),
        Err(GpuError::NoAdapter) => {
            term::note(format!("{NO_ADAPTER}; running on the built-in cpu device"));
            Ok(Device::Cpu)
        }
        Err(error) => Err(error.into()),
    }
}

/// The same for a precision. Matrix units that fall short are left out, with a remark.
///
/// # Errors
/// Those of [`open`]; mixed precision where there is no GPU, or one that knows no f16.
pub fn open_for(wanted: Option<&str>, precision: Precision) -> Result<Device, Error> {
    if precision == Precision::Full {
        return open(wanted);
    }
    if let Some(name) = wanted.filter(|wanted| built_in(wanted).is_some()) {
        return Err(Error::new(format!(
            "mixed precision needs a GPU's f16, which --device {name} has none of; use --precision full, or another device"
        )));
    }
    match check::open_mixed(wanted) {
        Ok((gpu, remark)) => {
            remark.into_iter().for_each(term::note);
            Ok(opened(gpu))
        }
        Err(GpuError::NoAdapter) => {
            Err(Error::new(format!("mixed precision needs a GPU, and {NO_ADAPTER}; or use --precision full")))
        }
        Err(error) => Err(error.into()),
    }
}

/// The device of an adapter, with its compiled pipelines kept in the user's cache folder.
fn opened(gpu: Gpu) -> Device {
    if let Ok(cache) = data::cache_dir() {
        gpu.keep_pipelines(&cache.join("pipelines"));
    }
    Device::Gpu(Arc::new(gpu))
}

fn built_in(wanted: &str) -> Option<Device> {
    match wanted.to_ascii_lowercase().as_str() {
        "cpu" => Some(Device::Cpu),
        "twins" => Some(Device::Twins),
        _ => None,
    }
}
