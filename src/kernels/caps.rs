//! What variants may rely on, and what they are asked for.

/// What variants may rely on: the class and the limits of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// What the device is like.
    pub class: Class,
    /// Workgroups per grid dimension.
    pub max_groups: u32,
    /// Invocations per workgroup.
    pub max_invocations: u32,
    /// Bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
    /// Storage bindings per stage.
    pub max_storage_bindings: u32,
    /// Bytes one storage binding may span.
    pub max_binding_bytes: u64,
    /// Invocations per subgroup where it is always the same and WGSL's subgroup operations are
    /// there, 0 otherwise.
    pub subgroup: u32,
    /// Whether the compiler of a [`Class::Lanes`] device unrolls loops over nested arrays, and
    /// indexes a flat one lane by lane. Mesa before 24; newer ones are the other way round.
    pub nested_arrays: bool,
    /// Whether programs run a few times only, so that to compile them takes longer than to run them:
    /// variants that are little code come first on a [`Class::Lanes`] device.
    pub once: bool,
    /// What is asked for: with [`Precision::Mixed`] variants with operands in f16 come first.
    pub precision: Precision,
    /// Whether shaders may compute in f16.
    pub f16: bool,
    /// Matrix units that multiply f16 and add in f32.
    pub coop: Option<Coop>,
}

/// How the convolution family and `matmul` compute. Tensors are f32 either way, and so are sums.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// In f32.
    #[default]
    Full,
    /// Operands of products are rounded to f16, scaled by a power of two to their tensor's largest.
    Mixed,
}

/// Cooperative matrices: products of square fragments by a subgroup's matrix units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coop {
    /// Lines and columns of a fragment, 8 or 16.
    pub edge: u32,
    /// Invocations a subgroup is expected to have; any number gives right results.
    pub subgroup: u32,
    /// 0 for matrix units. Otherwise ordinary invocations stand in for them, so many to a subgroup:
    /// tests hold the shaders' index arithmetic against the reference where there are none.
    pub emulated: u32,
}

/// The two kinds of device for which a different shape of kernel is fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A software rasteriser: invocations are SIMD lanes of a CPU core, workgroup memory is
    /// ordinary memory, and loads go lane by lane.
    Lanes,
    /// A GPU with wide warps and workgroup memory.
    Gpu,
}

impl Caps {
    /// WebGPU's default limits, which at least one variant of every kernel must fit.
    pub const WEBGPU: Caps = Caps {
        class: Class::Gpu,
        max_groups: 65535,
        max_invocations: 256,
        max_workgroup_bytes: 16384,
        max_storage_bindings: 8,
        max_binding_bytes: 128 << 20,
        subgroup: 0,
        nested_arrays: false,
        once: false,
        precision: Precision::Full,
        f16: false,
        coop: None,
    };
}
