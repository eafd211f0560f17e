//! The device: the only room that says `wgpu`.
//!
//! ```
//! let adapters = limn::gpu::adapters();
//! for adapter in &adapters {
//!     println!("{} {} ({})", adapter.index, adapter.name, adapter.backend);
//! }
//! if let Some((adapter, why)) = limn::gpu::preferred(&adapters) {
//!     println!("without a word limn takes {}: {why:?}", adapter.name);
//! }
//! ```

mod cache;
mod choice;
mod memory;
mod pipeline;
mod poll;
mod readback;
mod reflect;
mod staging;
mod subgroups;
mod timing;

pub use choice::{Reason, fastest, in_turn, named, preferred};
pub use memory::{Commands, Span};
pub use pipeline::{Pipeline, Ready};
pub use poll::{Submission, is_polling};
pub use readback::{Readback, ReadbackRing};
pub use reflect::{Mismatch, reflect};
pub use staging::Staging;
pub use timing::Stretch;
/// The wgpu that limn is built with: whoever brings a device of their own needs the same.
pub use wgpu;

use crate::kernels::{Caps, Class, Coop, Precision};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// What can go wrong between the host and a device.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// No adapter of the backends limn speaks.
    #[error(
        "no Vulkan, Metal or DX12 adapter was found; install a driver (on Debian or Ubuntu: apt-get install mesa-vulkan-drivers)"
    )]
    NoAdapter,
    /// The name on the command line matches no adapter.
    #[error("no device is called \"{wanted}\"; there are: {}", .known.join(", "))]
    UnknownDevice {
        /// What was asked for.
        wanted: String,
        /// The names and numbers there are.
        known: Vec<String>,
    },
    /// The adapter lacks something every limn kernel needs.
    #[error("{adapter} offers {limit} = {has}, and limn needs {needs}")]
    Limit {
        /// Adapter name.
        adapter: String,
        /// The limit's name in wgpu.
        limit: &'static str,
        /// What the adapter has.
        has: u64,
        /// What is needed.
        needs: u64,
    },
    /// A buffer larger than the adapter can bind.
    #[error(
        "a buffer of {needs} bytes ({what}) is larger than the {has} bytes this adapter can bind; use a smaller batch or model"
    )]
    TooLarge {
        /// What the buffer holds.
        what: String,
        /// Its size in bytes.
        needs: u64,
        /// The largest binding in bytes.
        has: u64,
    },
    /// Mixed precision on an adapter that knows no f16.
    #[error("{adapter} cannot compute in f16 (it lacks shader_f16), so there is no mixed precision on it")]
    NoF16 {
        /// Adapter name.
        adapter: String,
    },
    /// Mixed precision through DX12 with FXC, which knows no f16.
    #[error(
        "{adapter} does not compute in f16 through DX12, which takes Microsoft's newer shader compiler, the dxcompiler.dll of DirectXShaderCompiler (1.8.2502 or later), beside the program"
    )]
    NoDxc {
        /// Adapter name.
        adapter: String,
    },
    /// Opening the device failed.
    #[error("the device {adapter} could not be opened: {reason}")]
    Open {
        /// Adapter name.
        adapter: String,
        /// wgpu's words.
        reason: String,
    },
    /// The shader and the host disagree about a parameter block or a binding.
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
    /// The device refused something; wgpu's own words follow.
    #[error("the device refused a command: {0}")]
    Validation(String),
    /// The device is gone.
    #[error("the device was lost ({0})")]
    Lost(String),
    /// The device does not end what it was given.
    #[error("the device hangs: it did not end {what} in {seconds} seconds")]
    Hung {
        /// What it was given.
        what: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Memory ran out.
    #[error("the device is out of memory; use a smaller batch ({0})")]
    OutOfMemory(String),
}

/// An adapter as `limn devices` shows it.
#[derive(Clone, Debug)]
pub struct AdapterDesc {
    /// Position in wgpu's list, usable as `--device N`.
    pub index: usize,
    /// Adapter name.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub kind: &'static str,
    /// The vendor's number and the device's, on the PCI bus or as Vulkan has them.
    pub numbers: [u32; 2],
    /// Driver and its version.
    pub driver: String,
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Workgroup memory in bytes.
    pub max_workgroup_bytes: u32,
    /// Invocations per workgroup.
    pub max_invocations: u32,
    /// Smallest and largest subgroup.
    pub subgroup: (u32, u32),
    /// Features that matter to limn and that the adapter has.
    pub features: Vec<&'static str>,
}

/// An open device.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    desc: AdapterDesc,
    caps: Caps,
    limits: wgpu::Limits,
    timestamps: bool,
    /// Whether timestamps measure what they should, once somebody has found out.
    timestamps_hold: OnceLock<bool>,
    pipelines: Mutex<HashMap<pipeline::Key, Arc<Pipeline>>>,
    modules: Mutex<HashMap<(usize, bool), wgpu::ShaderModule>>,
    dummies: OnceLock<[Span; 2]>,
    /// The name of the file compiled pipelines can be kept in, where the driver lets a program have
    /// them.
    cache_name: Option<String>,
    cache: OnceLock<cache::PipelineCache>,
    fault: Arc<Mutex<Option<GpuError>>>,
    /// Why it is lost, once it is.
    lost: Arc<OnceLock<String>>,
    course: poll::Course,
    /// Whether it can be opened again as it was: it is not somebody else's.
    own: bool,
}

/// Times of single launches.
const TIMING: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES);

/// Refuses limits below those of WebGPU's defaults, which at least one variant of every kernel
/// needs.
fn enough(limits: &wgpu::Limits, adapter: &str) -> Result<(), GpuError> {
    let needs: [(&'static str, u64, u64); 4] = [
        ("max_storage_buffers_per_shader_stage", u64::from(limits.max_storage_buffers_per_shader_stage), 8),
        ("max_compute_invocations_per_workgroup", u64::from(limits.max_compute_invocations_per_workgroup), 256),
        ("max_compute_workgroup_storage_size", u64::from(limits.max_compute_workgroup_storage_size), 16384),
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size, 128 << 20),
    ];
    match needs.into_iter().find(|(_, has, needs)| has < needs) {
        Some((limit, has, needs)) => Err(GpuError::Limit { adapter: adapter.into(), limit, has, needs }),
        None => Ok(()),
    }
}

/// Features worth naming, and how.
const FEATURES: [(wgpu::Features, &str); 6] = [
    (wgpu::Features::TIMESTAMP_QUERY, "timestamp_query"),
    (wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES, "timestamp_query_inside_passes"),
    (wgpu::Features::SUBGROUP, "subgroup"),
    (wgpu::Features::SHADER_F16, "shader_f16"),
    (wgpu::Features::PIPELINE_CACHE, "pipeline_cache"),
    (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative_matrix"),
];

/// What all devices come from. It lives as long as the process: with the last instance its drivers'
/// libraries are unloaded, and were a thread to let go of it last, while the process ends, their
/// own exit handlers would be running in memory that is no longer there.
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let mut desc = wgpu::InstanceDescriptor::new_without_display_handle();
        desc.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        desc.flags = wgpu::InstanceFlags::from_build_config().with_env();
        // Asked for more than this share of the memory, drivers would rather slow down than refuse.
        desc.memory_budget_thresholds.for_resource_creation = Some(95);
        wgpu::Instance::new(desc)
    })
}

fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> AdapterDesc {
    let (info, limits, has) = (adapter.get_info(), adapter.limits(), adapter.features());
    AdapterDesc {
        index,
        name: info.name.clone(),
        backend: info.backend.to_string(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        },
        numbers: [info.vendor, info.device],
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        subgroup: (info.subgroup_min_size, info.subgroup_max_size),
        features: FEATURES.iter().filter(|(f, _)| has.contains(*f)).map(|(_, n)| *n).collect(),
    }
}

/// Every adapter of the backends limn speaks.
pub fn adapters() -> Vec<AdapterDesc> {
    enumerate(instance()).iter().enumerate().map(|(i, a)| describe(i, a)).collect()
}

impl Gpu {
    /// Opens the adapter that `wanted` names: an index of [`adapters`], or a part of a name,
    /// backend or driver, case ignored. Without a name it is the [`preferred`] one.
    pub fn open(wanted: Option<&str>) -> Result<Gpu, GpuError> {
        Self::open_as(wanted, Precision::Full, false, None)
    }

    /// The same for mixed precision: with the adapter's matrix units if `coop` and it has fitting
    /// ones.
    ///
    /// # Errors
    /// [`GpuError::NoF16`] or [`GpuError::NoDxc`], and those of [`Gpu::open`].
    pub fn open_mixed(wanted: Option<&str>, coop: bool) -> Result<Gpu, GpuError> {
        Self::open_as(wanted, Precision::Mixed, coop, None)
    }

    /// Opens an adapter, without its matrix units, as a device of `class`, whatever its kind: tests
    /// run the variants that a GPU gets where the only adapter is a software rasteriser. No user is
    /// offered it, since the variants of the other class are slow there.
    ///
    /// # Errors
    /// Those of [`Gpu::open`], and with [`Precision::Mixed`] those of [`Gpu::open_mixed`].
    pub fn open_as_class(wanted: Option<&str>, precision: Precision, class: Class) -> Result<Gpu, GpuError> {
        Self::open_as(wanted, precision, false, Some(class))
    }

    /// The same adapter, opened once more as it was.
    ///
    /// # Errors
    /// Those of [`Gpu::open`]; a device that somebody else opened.
    pub fn again(&self) -> Result<Gpu, GpuError> {
        if !self.own {
            return Err(GpuError::Open { adapter: self.desc.name.clone(), reason: "somebody else opened it".into() });
        }
        let Caps { precision, coop, class, .. } = self.caps;
        let gpu = Self::open_as(Some(&self.desc.index.to_string()), precision, coop.is_some(), Some(class))?;
        if let Some(patience) = self.patience() {
            gpu.wait_no_longer_than(patience);
        }
        Ok(gpu)
    }

    /// Without a class the adapter's kind says which.
    fn open_as(wanted: Option<&str>, precision: Precision, coop: bool, class: Option<Class>) -> Result<Gpu, GpuError> {
        let adapters = enumerate(instance());
        let descs: Vec<_> = adapters.iter().enumerate().map(|(i, a)| describe(i, a)).collect();
        let chosen = match wanted {
            Some(wanted) => choice::named(&descs, wanted)?.index,
            None => preferred(&descs).ok_or(GpuError::NoAdapter)?.0.index,
        };
        let adapter = &adapters[chosen];
        if precision == Precision::Mixed && !adapter.features().contains(wgpu::Features::SHADER_F16) {
            return Err(no_f16(&descs[chosen]));
        }
        let coop = if coop { fitting_coop(adapter) } else { None };
        let of_kind = if descs[chosen].is_software() { Class::Lanes } else { Class::Gpu };
        Self::from_adapter(adapter, descs[chosen].clone(), precision, coop, class.unwrap_or(of_kind))
    }

    fn from_adapter(
        adapter: &wgpu::Adapter,
        desc: AdapterDesc,
        precision: Precision,
        coop: Option<Coop>,
        class: Class,
    ) -> Result<Gpu, GpuError> {
        let limits = adapter.limits();
        enough(&limits, &desc.name)?;
        let optional = TIMING | wgpu::Features::SUBGROUP | wgpu::Features::SHADER_F16 | wgpu::Features::PIPELINE_CACHE;
        let mut features = adapter.features() & optional;
        let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
        if coop.is_some() {
            features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            // SAFETY: the feature is used by shaders of limn's own, and only where
            // `check::open_mixed` has found that they do on this device what they say.
            #[allow(unsafe_code, reason = "matrix units are an experiment of wgpu's")]
            let enabled = unsafe { wgpu::ExperimentalFeatures::enabled() };
            experimental_features = enabled;
        }
        let open = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("limn"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features,
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(open)
            .map_err(|e| GpuError::Open { adapter: desc.name.clone(), reason: e.to_string() })?;
        let fault: Arc<Mutex<Option<GpuError>>> = Arc::default();
        let slot = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let error = match error {
                wgpu::Error::OutOfMemory { source } => GpuError::OutOfMemory(source.to_string()),
                other => GpuError::Validation(other.to_string()),
            };
            slot.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(error);
        }));
        let lost: Arc<OnceLock<String>> = Arc::default();
        let slot = lost.clone();
        device.set_device_lost_callback(move |_, words| {
            let _ = slot.set(words);
        });
        let mut gpu = Gpu::of(adapter, desc, (device, queue), precision, class);
        (gpu.fault, gpu.lost, gpu.own) = (fault, lost, true);
        gpu.caps.coop = coop.map(|coop| gpu.with_subgroups(coop));
        Ok(gpu)
    }

    /// A device that somebody else opened, with the features and limits it was opened with; limn's
    /// kernels then run on its queue and on its buffers (see [`Gpu::bind`] and [`Span::of`]).
    /// Errors that nobody catches go where they went before.
    ///
    /// # Errors
    /// [`GpuError::Limit`]: a limit below WebGPU's defaults.
    pub fn adopt(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Result<Gpu, GpuError> {
        let desc = describe(0, adapter);
        enough(&device.limits(), &desc.name)?;
        let class = if desc.is_software() { Class::Lanes } else { Class::Gpu };
        Ok(Gpu::of(adapter, desc, (device, queue), Precision::Full, class))
    }

    /// What is known of an open device.
    fn of(
        adapter: &wgpu::Adapter,
        desc: AdapterDesc,
        (device, queue): (wgpu::Device, wgpu::Queue),
        precision: Precision,
        class: Class,
    ) -> Gpu {
        let (limits, features) = (device.limits(), device.features());
        let caps = Caps {
            class,
            max_groups: limits.max_compute_workgroups_per_dimension,
            max_invocations: limits.max_compute_invocations_per_workgroup,
            max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
            max_storage_bindings: limits.max_storage_buffers_per_shader_stage,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            subgroup: if features.contains(wgpu::Features::SUBGROUP) && desc.subgroup.0 == desc.subgroup.1 {
                desc.subgroup.0
            } else {
                0
            },
            nested_arrays: mesa_version(&desc.driver).is_some_and(|major| major < 24),
            once: false,
            precision,
            f16: features.contains(wgpu::Features::SHADER_F16),
            coop: None,
        };
        let cached = features.contains(wgpu::Features::PIPELINE_CACHE);
        let cache_name = wgpu::util::pipeline_cache_key(&adapter.get_info()).filter(|_| cached);
        Gpu {
            device,
            queue,
            desc,
            caps,
            limits,
            timestamps: features.contains(TIMING),
            timestamps_hold: OnceLock::new(),
            pipelines: Mutex::default(),
            modules: Mutex::default(),
            dummies: OnceLock::new(),
            cache_name,
            cache: OnceLock::new(),
            fault: Arc::default(),
            lost: Arc::default(),
            course: poll::Course::default(),
            own: false,
        }
    }

    /// What the adapter is.
    pub fn desc(&self) -> &AdapterDesc {
        &self.desc
    }

    /// What kernels may rely on.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// The first fault the device reported since it was last asked, if any; of one that is lost, always that.
    pub fn check(&self) -> Result<(), GpuError> {
        if let Some(why) = self.lost.get() {
            let at = self.suspect(false).filter(|what| !why.contains(what.as_str()));
            return Err(GpuError::Lost(at.map_or_else(|| why.clone(), |what| format!("at {what}: {why}"))));
        }
        match self.fault.lock().unwrap_or_else(|e| e.into_inner()).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Why an adapter has no f16: through DX12 it may be for want of a compiler that wgpu looks for
/// beside the program. With that compiler an adapter of its shader models has subgroups, and one
/// with them lacks f16 itself.
fn no_f16(desc: &AdapterDesc) -> GpuError {
    let adapter = desc.name.clone();
    let compiled_by_fxc = desc.backend == "dx12" && !desc.features.contains(&"subgroup");
    if compiled_by_fxc { GpuError::NoDxc { adapter } } else { GpuError::NoF16 { adapter } }
}

/// The adapter's square fragments of f16 whose products are added in f32, if it has some.
fn fitting_coop(adapter: &wgpu::Adapter) -> Option<Coop> {
    let needs = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP;
    if !adapter.features().contains(needs) {
        return None;
    }
    let all = adapter.cooperative_matrix_properties();
    let (f16, f32) = (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
    let fits = |edge: &u32| {
        let sizes = |c: &wgpu::CooperativeMatrixProperties| [c.m_size, c.n_size, c.k_size] == [*edge; 3];
        all.iter().any(|c| sizes(c) && (c.ab_type, c.cr_type) == (f16, f32))
    };
    let info = adapter.get_info();
    // Where subgroups come in several sizes this is a guess, until the device is asked.
    let subgroup = if info.subgroup_min_size == info.subgroup_max_size { info.subgroup_min_size } else { 32 };
    [16, 8].into_iter().find(fits).map(|edge| Coop { edge, subgroup, emulated: 0 })
}

/// The major version in a driver's description, if it is Mesa's.
fn mesa_version(driver: &str) -> Option<u32> {
    let (_, version) = driver.split_once("Mesa ")?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_mesa_is_found_in_a_drivers_description() {
        assert_eq!(mesa_version("llvmpipe Mesa 22.3.6 (LLVM 15.0.6)"), Some(22));
        assert_eq!(mesa_version("llvmpipe Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)"), Some(25));
        assert_eq!(mesa_version("NVIDIA 570.86.15"), None);
        assert_eq!(mesa_version("Mesa"), None);
    }

    #[test]
    fn without_f16_a_card_on_dx12_is_told_which_compiler_it_lacks() {
        let said = |backend: &str, features: &[&'static str]| {
            no_f16(&AdapterDesc {
                index: 0,
                name: "A card".into(),
                backend: backend.into(),
                kind: "discrete",
                numbers: [0x10de, 0x2330],
                driver: "made up".into(),
                max_binding_bytes: 1 << 27,
                max_workgroup_bytes: 16384,
                max_invocations: 256,
                subgroup: (32, 32),
                features: features.to_vec(),
            })
            .to_string()
        };
        for words in ["A card", "dxcompiler.dll", "beside the program"] {
            let fxc = said("dx12", &["timestamp_query"]);
            assert!(fxc.contains(words), "{fxc}");
        }
        for said in [said("vulkan", &[]), said("dx12", &["subgroup"])] {
            assert!(said.contains("shader_f16") && !said.contains("dxcompiler"), "{said}");
        }
    }
}
