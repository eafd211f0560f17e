//! Choosing a device.

use super::{Error, term};
use crate::check;
use crate::data;
use crate::gpu::{self, AdapterDesc, Gpu, GpuError};
use crate::kernels::Precision;
use crate::program::Device;
use crate::train::Machine;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to get a driver, for machines that have none.
pub const NO_ADAPTER: &str =
    "no Vulkan, Metal or DX12 adapter was found; on Debian or Ubuntu `apt-get install mesa-vulkan-drivers` gives one";

/// What is known of a card that has a driver but shows itself to no program that computes with
/// Vulkan.
const CONTAINER: &str = "the NVIDIA card here has no Vulkan driver in this container, which gets it with \
                         NVIDIA_DRIVER_CAPABILITIES=graphics (or all)";

/// The number of NVIDIA among vendors.
const NVIDIA: u32 = 0x10de;

/// What a container lacks for its NVIDIA card to be used, if that is how it is.
pub fn container_hint(adapters: &[AdapterDesc]) -> Option<&'static str> {
    let card = ["/dev/nvidiactl", "/dev/nvidia0"].iter().any(|path| Path::new(path).exists());
    hint(adapters, card)
}

fn hint(adapters: &[AdapterDesc], card: bool) -> Option<&'static str> {
    let shown = adapters.iter().any(|adapter| adapter.numbers[0] == NVIDIA);
    (card && !shown).then_some(CONTAINER)
}

/// Says that the built-in cpu device runs what nobody named a device for.
const NO_GPU: &str = "no GPU was found, so the processor computes (cpu); see `limn devices`";

/// Why there is no GPU, and what to do about it.
pub fn why_no_gpu(adapters: &[AdapterDesc]) -> String {
    no_gpu(adapters, container_hint(adapters))
}

fn no_gpu(adapters: &[AdapterDesc], hint: Option<&str>) -> String {
    let why = match (hint, adapters) {
        (Some(hint), _) => hint,
        (None, []) => NO_ADAPTER,
        (None, _) => "no GPU was found: one needs its Vulkan driver, of its maker or of Mesa",
    };
    match adapters.first() {
        Some(software) => format!("{why}; --device {} takes the software driver, which is slow", software.index),
        None => why.into(),
    }
}

/// The same as [`open`] for what computes for long, as training and measuring do: where it is no
/// GPU that does, a remark says so.
///
/// # Errors
/// Those of [`open_for`].
pub fn open_to_compute(wanted: Option<&str>, precision: Precision) -> Result<Device, Error> {
    let device = open_for(wanted, precision)?;
    if wanted.is_none() && matches!(device, Device::Cpu) && !term::is_quiet() {
        term::later(NO_GPU);
    }
    Ok(device)
}

/// Opens the device that `--device` names. Without a name it is the fastest there is, or else the
/// processor.
///
/// # Errors
/// A name that fits no device, an adapter that lacks a limit or does not open.
pub fn open(wanted: Option<&str>) -> Result<Device, Error> {
    if let Some(device) = wanted.and_then(built_in) {
        return Ok(device);
    }
    let index = match wanted {
        Some(wanted) => wanted.to_string(),
        None => {
            let adapters = gpu::adapters();
            let Some((adapter, _)) = gpu::fastest(&adapters) else {
                return Ok(Device::Cpu);
            };
            adapter.index.to_string()
        }
    };
    Ok(opened(Gpu::open(Some(&index))?))
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
    match check::open_mixed(wanted, pipelines().as_deref()) {
        Ok((gpu, remark)) => {
            remark.into_iter().for_each(term::note);
            Ok(Device::Gpu(Arc::new(gpu)))
        }
        Err(GpuError::NoAdapter) => {
            Err(Error::new(format!("mixed precision needs a GPU, and {NO_ADAPTER}; or use --precision full")))
        }
        Err(error) => Err(error.into()),
    }
}

/// What names the device of a rank, the `local`th of those on its machine, where `wanted` is a
/// device or a list of them, `0,2`, which ranks take in turn. Without a list they take the GPUs that
/// there are, the fastest kinds first; `None` where there is none, so that the processor computes.
///
/// # Errors
/// A name that fits no device.
pub fn of_rank(wanted: Option<&str>, local: usize) -> Result<Option<String>, Error> {
    let adapters = if wanted.and_then(built_in).is_some() { Vec::new() } else { gpu::adapters() };
    in_turn(&adapters, wanted, local)
}

fn in_turn(adapters: &[AdapterDesc], wanted: Option<&str>, local: usize) -> Result<Option<String>, Error> {
    let turn = |count: usize| local % count.max(1);
    let Some(wanted) = wanted else {
        let gpus = gpu::in_turn(adapters);
        return Ok(gpus.get(turn(gpus.len())).map(|adapter| adapter.index.to_string()));
    };
    let one = |wanted: &str| match built_in(wanted) {
        Some(device) => Ok(device.name()),
        None => gpu::named(adapters, wanted).map(|adapter| adapter.index.to_string()),
    };
    let listed = wanted.split(',').map(str::trim).filter(|item| !item.is_empty());
    match listed.map(one).collect::<Result<Vec<_>, _>>() {
        Ok(all) if !all.is_empty() => Ok(all.get(turn(all.len())).cloned()),
        // A name may have a comma in it.
        listed => match (one(wanted), listed) {
            (Ok(device), _) => Ok(Some(device)),
            (_, Err(unknown)) | (Err(unknown), _) => Err(unknown.into()),
        },
    }
}

/// The name of the device that `--device` names, or that is taken where nobody names one, without
/// opening it.
///
/// # Errors
/// A name that fits no device.
pub fn quiet_name(wanted: Option<&str>) -> Result<String, Error> {
    if let Some(device) = wanted.and_then(built_in) {
        return Ok(device.name());
    }
    let adapters = gpu::adapters();
    let adapter = match wanted {
        Some(wanted) => Some(gpu::named(&adapters, wanted)?),
        None => gpu::fastest(&adapters).map(|(adapter, _)| adapter),
    };
    Ok(adapter.map_or_else(|| Device::Cpu.name(), |adapter| adapter.name.clone()))
}

/// What names a device for `--device`: a built-in one, or an adapter's number.
pub fn number(device: &Device) -> String {
    device.gpu().map_or_else(|| device.name(), |gpu| gpu.desc().index.to_string())
}

/// The same of the device that is taken where nobody names one.
pub fn number_taken() -> String {
    gpu::fastest(&gpu::adapters()).map_or_else(|| Device::Cpu.name(), |(adapter, _)| adapter.index.to_string())
}

/// What names the device that a run was made on, if this machine has it.
pub fn of_run(machine: &Machine) -> Option<String> {
    if machine.is_built_in() {
        return Some(machine.name.clone());
    }
    gpu::adapters().iter().find(|adapter| machine.is(adapter)).map(|adapter| adapter.index.to_string())
}

/// The device of an adapter, with its compiled pipelines kept in the user's cache folder.
fn opened(gpu: Gpu) -> Device {
    if let Some(folder) = pipelines() {
        gpu.keep_pipelines(&folder);
    }
    Device::Gpu(Arc::new(gpu))
}

/// Where compiled pipelines are kept.
fn pipelines() -> Option<PathBuf> {
    Some(data::cache_dir().ok()?.join("pipelines"))
}

fn built_in(wanted: &str) -> Option<Device> {
    match wanted.to_ascii_lowercase().as_str() {
        "cpu" => Some(Device::Cpu),
        // What it was called in limn 0.1, by which runs of then know it.
        "reference" | "twins" => Some(Device::Reference),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, kind: &'static str, vendor: u32) -> AdapterDesc {
        AdapterDesc {
            index,
            name: name.into(),
            backend: "vulkan".into(),
            kind,
            numbers: [vendor, 1],
            driver: "made up".into(),
            max_binding_bytes: 1 << 27,
            max_workgroup_bytes: 16384,
            max_invocations: 256,
            subgroup: (8, 8),
            features: Vec::new(),
        }
    }

    fn llvmpipe(index: usize) -> AdapterDesc {
        adapter(index, "llvmpipe (LLVM 15.0.6, 256 bits)", "cpu", 0x10005)
    }

    #[test]
    fn a_gpu_comes_before_the_processor_and_the_processor_before_a_software_driver() {
        let index = |adapters: &[AdapterDesc]| gpu::fastest(adapters).map(|(adapter, _)| adapter.index);
        assert_eq!(index(&[]), None);
        assert_eq!(index(&[llvmpipe(0)]), None);
        for kind in ["discrete", "integrated", "virtual", "other"] {
            assert_eq!(index(&[llvmpipe(0), adapter(1, "Radeon", kind, 0x1002)]), Some(1));
        }
    }

    #[test]
    fn ranks_on_a_machine_take_devices_in_turn() {
        let gpus = [llvmpipe(0), adapter(1, "Radeon", "discrete", 0x1002), adapter(2, "Radeon", "discrete", 0x1002)];
        let taken = |adapters: &[AdapterDesc], wanted, local| in_turn(adapters, wanted, local).unwrap();
        let all = |adapters: &[AdapterDesc], wanted| {
            (0..4).map(|local| taken(adapters, wanted, local).unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(all(&gpus, None), "1 2 1 2");
        assert_eq!(all(&gpus, Some("2,1,0")), "2 1 0 2");
        assert_eq!(all(&gpus, Some(" 2 , cpu")), "2 cpu 2 cpu");
        assert_eq!(all(&gpus, Some("0")), "0 0 0 0");
        assert_eq!(all(&gpus, Some("reference")), "reference reference reference reference");
        // A name as `limn devices` has it, with a comma of its own.
        assert_eq!(all(&gpus, Some("llvmpipe (LLVM 15.0.6, 256 bits)")), "0 0 0 0");
        assert_eq!(taken(&[llvmpipe(0)], None, 1), None);
        assert_eq!(taken(&[], None, 0), None);
        // An item that is no device is named, and not the list.
        for (wrong, named) in [("7", "\"7\""), ("0,7", "\"7\""), ("0,warp", "\"warp\""), ("", "\"\"")] {
            let error = in_turn(&gpus, Some(wrong), 0).unwrap_err().to_string();
            assert!(error.contains(named), "{wrong}: {error}");
        }
    }

    #[test]
    fn one_line_says_why_the_processor_runs_it_and_what_to_do() {
        let line = no_gpu(&[llvmpipe(0)], None);
        for words in ["no GPU was found", "Vulkan driver", "--device 0"] {
            assert!(line.contains(words), "{words}: {line}");
        }
        assert!(!line.contains("NVIDIA"));
        // That there is none is said in a line of a terminal.
        assert!(format!("limn: {NO_GPU}").len() <= 80);
        let line = no_gpu(&[], None);
        assert!(line.contains("mesa-vulkan-drivers") && !line.contains("--device"), "{line}");
        let line = no_gpu(&[llvmpipe(0)], Some(CONTAINER));
        assert!(line.contains("NVIDIA_DRIVER_CAPABILITIES=graphics") && line.contains("--device 0"), "{line}");
        assert!(!line.contains('\n') && !line.contains("  "), "{line}");
    }

    #[test]
    fn the_container_is_to_blame_where_a_card_shows_no_adapter() {
        let card = adapter(1, "NVIDIA H100", "discrete", NVIDIA);
        assert_eq!(hint(&[llvmpipe(0)], true), Some(CONTAINER));
        assert_eq!(hint(&[], true), Some(CONTAINER));
        assert_eq!(hint(&[llvmpipe(0)], false), None);
        assert_eq!(hint(&[llvmpipe(0), card], true), None);
    }
}
