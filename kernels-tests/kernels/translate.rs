//! Every shader of every variant, validated and translated for Vulkan, Metal and DX12, and held
//! against WebGPU's default limits: what would fail on a user's desk fails here.

use crate::support::step_of;
use limn::gpu::reflect;
use limn::kernels::{self, Caps, Class, Coop, Precision, Stage, subgroups};
use limn::program::{Options, plan};
use naga::back::{hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A software rasteriser.
const LANES: Caps =
    Caps { class: Class::Lanes, max_workgroup_bytes: 32768, max_invocations: 1024, subgroup: 8, ..Caps::WEBGPU };

/// A large GPU.
const LARGE: Caps = Caps {
    max_invocations: 1024,
    max_workgroup_bytes: 49152,
    max_storage_bindings: 64,
    max_binding_bytes: 1 << 31,
    subgroup: 32,
    ..Caps::WEBGPU
};

/// Mixed precision in fragments of `edge`, or without matrix units.
const fn mixed(edge: u32, emulated: u32) -> Caps {
    let coop = if edge == 0 { None } else { Some(Coop { edge, subgroup: 32, emulated }) };
    Caps { precision: Precision::Mixed, f16: true, coop, ..LARGE }
}

/// Devices whose variants are translated: WebGPU's defaults, software rasterisers, a large GPU,
/// mixed precision.
pub(crate) const DEVICES: [Caps; 9] = [
    Caps::WEBGPU,
    LANES,
    Caps { nested_arrays: true, ..LANES },
    LARGE,
    mixed(0, 0),
    mixed(8, 0),
    mixed(16, 0),
    mixed(8, 32),
    mixed(16, 32),
];

/// A stage's module with its constants put in: what a driver would be given.
pub(crate) fn specialised(stage: &Stage, capabilities: Capabilities) -> Result<(naga::Module, ModuleInfo), String> {
    let module = reflect(stage).map_err(|e| e.to_string())?;
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(stage.shader.source().unwrap_or_default()))?;
    let constants = stage.constants.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    let (module, info) = process_overrides(&module, &info, Some((naga::ShaderStage::Compute, "main")), &constants)
        .map_err(|e| format!("{}: {e}", stage.shader.name))?;
    Ok((module.into_owned(), info.into_owned()))
}

/// Whether a stage is for devices with subgroups only.
fn has_subgroups(stage: &Stage) -> bool {
    stage.shader.source().is_ok_and(|source| source.contains("subgroup"))
}

/// What a stage may use beyond WebGPU's core.
pub(crate) fn extensions(stage: &Stage) -> Capabilities {
    let mut found = Capabilities::empty();
    found.set(Capabilities::SUBGROUP, has_subgroups(stage));
    found.set(Capabilities::SHADER_FLOAT16, stage.shader.has("f16"));
    found.set(Capabilities::COOPERATIVE_MATRIX, stage.shader.has("wgpu_cooperative_matrix"));
    found
}

/// Writes the module in the three languages: in the oldest version of each that wgpu may choose,
/// or the oldest that has what it uses. Cooperative matrices are not for DX12.
fn translate(module: &naga::Module, info: &ModuleInfo, uses: Capabilities) -> Result<(), String> {
    let (compute, main) = (naga::ShaderStage::Compute, "main".to_string());
    let coop = uses.contains(Capabilities::COOPERATIVE_MATRIX);
    let newer = uses.intersects(Capabilities::SUBGROUP | Capabilities::COOPERATIVE_MATRIX);
    let only = spv::PipelineOptions { shader_stage: compute, entry_point: main };
    let options = spv::Options { lang_version: (1, if newer { 3 } else { 0 }), ..Default::default() };
    spv::write_vec(module, info, &options, Some(&only)).map_err(|e| format!("SPIR-V: {e}"))?;

    let minor = if coop { 3 } else { u8::from(newer) };
    let options = msl::Options { lang_version: (2, minor), ..Default::default() };
    let (_, entry) = msl::write_string(module, info, &options, &Default::default()).map_err(|e| format!("MSL: {e}"))?;
    for name in entry.entry_point_names {
        name.map_err(|e| format!("MSL: {e}"))?;
    }
    if coop {
        return Ok(());
    }
    let shader_model = match (uses.contains(Capabilities::SHADER_FLOAT16), newer) {
        (true, _) => hlsl::ShaderModel::V6_2,
        (_, true) => hlsl::ShaderModel::V6_0,
        _ => hlsl::ShaderModel::V5_1,
    };
    let (options, pipeline) = (hlsl::Options { shader_model, ..Default::default() }, hlsl::PipelineOptions::default());
    let mut text = String::new();
    let entry = hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(module, info, None)
        .map_err(|e| format!("HLSL: {e}"))?;
    for name in entry.entry_point_names {
        name.map_err(|e| format!("HLSL: {e}"))?;
    }
    Ok(())
}

/// Everything the list of kernels can launch, and what devices with matrix units are asked, each
/// shader and set of constants once.
pub(crate) fn stages(devices: &[Caps]) -> Vec<Stage> {
    let mut found = BTreeMap::new();
    let mut add = |stage: Stage| {
        let constants: Vec<_> = stage.constants.iter().map(|(name, v)| (*name, v.to_bits())).collect();
        found.entry((stage.shader.name, constants)).or_insert(stage);
    };
    for entry in kernels::all() {
        let kernels = (entry.cases)().into_iter().chain((entry.shapes)());
        for kernel in kernels {
            devices.iter().flat_map(|caps| kernel.variants(caps)).flat_map(|recipe| recipe.stages).for_each(&mut add);
        }
    }
    devices.iter().filter_map(|caps| caps.coop).map(|coop| subgroups::asked(coop, 128)).for_each(&mut add);
    planned(devices).for_each(&mut add);
    found.into_values().collect()
}

/// What the steps of models with batch normalisation launch: the planner has some kernels leave what others want.
fn planned(devices: &[Caps]) -> impl Iterator<Item = Stage> {
    let recipes = devices.iter().flat_map(|caps| {
        ["dcgan", "dcgan-28"].into_iter().flat_map(|name| {
            let program = plan(&step_of(name), &Options::new(Some(*caps))).expect("a plan");
            program.launches.into_iter().filter_map(|launch| launch.recipe)
        })
    });
    recipes.flat_map(|recipe| recipe.stages)
}

#[test]
fn every_shader_translates_to_spirv_msl_and_hlsl() {
    let stages = stages(&DEVICES);
    let failures: Vec<String> = stages
        .iter()
        .filter_map(|stage| {
            let uses = extensions(stage);
            let result = specialised(stage, Capabilities::default() | uses)
                .and_then(|(module, info)| translate(&module, &info, uses));
            result.err().map(|why| format!("{} {:?}: {why}", stage.shader.name, stage.constants))
        })
        .collect();
    println!("{} shaders with constants", stages.len());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_stage_binds_what_its_shader_has() {
    // One shader with the same constants may be launched with other bindings elsewhere.
    let mut wrong = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut hold = |stage: &Stage, of: &dyn Fn() -> String| {
        let accesses: Vec<_> = stage.bind.iter().map(|(name, slot)| (*name, slot.is_read())).collect();
        if known.insert((stage.shader.name, accesses))
            && let Err(why) = reflect(stage)
        {
            wrong.insert(of(), why.to_string());
        }
    };
    for entry in kernels::all() {
        for kernel in (entry.cases)().into_iter().chain((entry.shapes)()) {
            let recipes = DEVICES.iter().flat_map(|caps| kernel.variants(caps));
            for (recipe, stage) in recipes.flat_map(|r| r.stages.into_iter().map(move |stage| (r.name, stage))) {
                hold(&stage, &|| format!("{} {} [{recipe}]", entry.name, kernel.label()));
            }
        }
    }
    planned(&DEVICES).for_each(|stage| hold(&stage, &|| format!("a step's {}", stage.shader.name)));
    assert!(known.len() > 100, "{}", known.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Invocations and bytes of workgroup memory of a specialised module.
fn size(module: &naga::Module) -> (u32, u32) {
    let invocations = module.entry_points[0].workgroup_size.iter().product::<u32>();
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
    // Each variable starts at its own alignment; 16 bytes is the strictest there is.
    let bytes = shared.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()).next_multiple_of(16)).sum();
    (invocations, bytes)
}

/// What [`size`] says of a stage, or why it has none.
pub(crate) type Needs = HashMap<(&'static str, Vec<(&'static str, u64)>), Result<(u32, u32), String>>;

fn needs(stage: &Stage, allowed: Capabilities, known: &mut Needs) -> Result<(u32, u32), String> {
    let constants = stage.constants.iter().map(|(name, v)| (*name, v.to_bits())).collect();
    let measure = || specialised(stage, allowed).map(|(module, _)| size(&module));
    known.entry((stage.shader.name, constants)).or_insert_with(measure).clone()
}

/// Why a stage does not fit WebGPU's default limits.
pub(crate) fn excess(stage: &Stage, known: &mut Needs) -> Option<String> {
    let limits = Caps::WEBGPU;
    let (invocations, bytes) = match needs(stage, Capabilities::empty(), known) {
        Ok(needs) => needs,
        Err(why) => return Some(why),
    };
    let size = stage.grid.iter().max().copied().unwrap_or(0);
    let checks = [
        ("storage bindings", stage.bind.len() as u32, limits.max_storage_bindings),
        ("bytes of workgroup memory", bytes, limits.max_workgroup_bytes),
        ("invocations", invocations, limits.max_invocations),
        ("workgroups in a dimension", size, limits.max_groups),
    ];
    let over = checks.iter().find(|(_, needs, has)| needs > has);
    over.map(|(what, needs, has)| format!("{} needs {needs} {what} of {has}", stage.shader.name))
}

#[test]
fn every_kernel_fits_webgpu_in_every_case() {
    let mut known = Needs::new();
    let mut failures = Vec::new();
    for entry in kernels::all() {
        for kernel in (entry.cases)().into_iter().chain((entry.shapes)()) {
            let variants = kernel.variants(&Caps::WEBGPU);
            if variants.is_empty() {
                failures.push(format!("{} {}: no variant at all", entry.name, kernel.label()));
            }
            // All variants offered to such a device must fit it, not only one.
            for (recipe, stage) in variants.iter().flat_map(|r| r.stages.iter().map(move |s| (r, s))) {
                if let Some(why) = excess(stage, &mut known) {
                    failures.push(format!("{} {} [{}]: {why}", entry.name, kernel.label(), recipe.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn mixed_variants_fit_the_devices_they_are_offered_to() {
    for caps in &DEVICES[4..] {
        let (mut names, mut known) = (BTreeSet::new(), Needs::new());
        for entry in kernels::all() {
            let kernels = (entry.cases)().into_iter().chain((entry.shapes)());
            for recipe in kernels.flat_map(|kernel| kernel.variants(caps)).filter(|recipe| recipe.mixed()) {
                names.insert(recipe.name);
                for stage in &recipe.stages {
                    let (invocations, bytes) =
                        needs(stage, Capabilities::default() | extensions(stage), &mut known).expect("a shader");
                    assert!(invocations <= caps.max_invocations, "{}: {invocations} invocations", recipe.name);
                    assert!(bytes <= caps.max_workgroup_bytes, "{}: {bytes} bytes", recipe.name);
                }
            }
        }
        let of = |kind: &str| names.iter().filter(|name| name.starts_with(kind)).count();
        assert_eq!(of("coop_") > 0, caps.coop.is_some(), "{caps:?}: {names:?}");
        assert!(of("tile_f16_") == 6 && of("last_f16_") == 5, "{caps:?}: {names:?}");
    }
}

#[test]
fn variants_have_names_of_their_own() {
    for entry in kernels::all() {
        for kernel in (entry.cases)() {
            for caps in &DEVICES {
                let variants = kernel.variants(caps);
                let names: BTreeSet<_> = variants.iter().map(|r| r.name).collect();
                assert_eq!(names.len(), variants.len(), "{} {}: two variants share a name", entry.name, kernel.label());
            }
        }
    }
}

#[test]
fn no_shader_is_an_orphan() {
    let stages = stages(&DEVICES);
    let sources: BTreeSet<&str> = stages.iter().map(|stage| stage.shader.source().expect("a module")).collect();
    let files = stages.iter().flat_map(|stage| stage.shader.files().expect("files"));
    let pieces: BTreeSet<&str> = files.map(|(name, _)| name).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let files = |folder: &std::path::Path| -> Vec<(String, String)> {
        let entries = std::fs::read_dir(folder).expect("the folder of shaders");
        let paths = entries.map(|e| e.expect("an entry").path());
        let wgsl = paths.filter(|path| path.extension().is_some_and(|e| e == "wgsl"));
        wgsl.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).expect("a shader"))).collect()
    };
    // A file without its head is the end of some shader's source.
    for (path, text) in files(&folder) {
        let head = text.rsplit_once("\n#").and_then(|(_, rest)| rest.split_once('\n'));
        let body = head.map_or(text.as_str(), |(_, rest)| rest);
        assert!(sources.iter().any(|source| source.ends_with(body)), "no kernel uses {path}");
    }
    for (path, _) in files(&folder.join("lib")) {
        let name = std::path::Path::new(&path).file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(pieces.contains(name.as_str()), "no shader uses {path}");
    }
}

#[test]
fn names_of_shaders_are_not_shared() {
    // What a tuner measured is kept under the shader's name.
    let mut known: HashMap<&'static str, &'static str> = HashMap::new();
    for stage in stages(&DEVICES) {
        let source = stage.shader.source().expect("a module");
        let first = known.entry(stage.shader.name).or_insert(source);
        assert_eq!(*first, source, "two shaders are called {}", stage.shader.name);
    }
}
