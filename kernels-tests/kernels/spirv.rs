//! Every shader of every variant in SPIR-V, as wgpu has a Vulkan driver compile it, through Khronos's `spirv-val`:
//! without the checks that a trained step leaves out, and with those that `limn check` puts in, for the oldest Vulkan
//! with subgroups and for the newest that wgpu tells apart. In short each shader in one of the four ways in turn.

use crate::support::{is_long, not_tested};
use crate::translate::{DEVICES, extensions, specialised, stages};
use limn::kernels::Stage;
use naga::back::spv::{self, ZeroInitializeWorkgroupMemoryMode as Zeros};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy as Policy};
use naga::valid::{Capabilities, ModuleInfo};
use naga::{Module, ShaderStage};
use rayon::prelude::*;
use std::path::Path;
use std::process::Command;

/// A Vulkan as `spirv-val` calls it, with the SPIR-V that wgpu writes for it.
#[derive(Clone, Copy)]
struct Vulkan {
    name: &'static str,
    version: (u8, u8),
}

const OLD: Vulkan = Vulkan { name: "vulkan1.1", version: (1, 3) };
const NEW: Vulkan = Vulkan { name: "vulkan1.3", version: (1, 6) };
/// For what, and whether with checks.
const WAYS: [(Vulkan, bool); 4] = [(OLD, true), (NEW, false), (OLD, false), (NEW, true)];

/// A stage with its constants.
fn module(stage: &Stage) -> Result<(Module, ModuleInfo), String> {
    specialised(stage, Capabilities::default() | extensions(stage))
}

/// A module in SPIR-V, as it is trained with or as it is checked.
fn written((module, info): &(Module, ModuleInfo), vulkan: Vulkan, checked: bool) -> Result<Vec<u32>, String> {
    let policy = if checked { Policy::Restrict } else { Policy::Unchecked };
    let options = spv::Options {
        lang_version: vulkan.version,
        bounds_check_policies: BoundsCheckPolicies { index: policy, buffer: policy, ..Default::default() },
        force_loop_bounding: checked,
        emit_int_div_checks: checked,
        zero_initialize_workgroup_memory: if checked { Zeros::Polyfill } else { Zeros::None },
        ..Default::default()
    };
    let only = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(module, info, &options, Some(&only)).map_err(|e| e.to_string())
}

/// What `spirv-val` says against a module.
fn refused(words: &[u32], vulkan: Vulkan, path: &Path) -> Option<String> {
    std::fs::write(path, bytemuck::cast_slice(words)).expect("a file");
    let output = Command::new("spirv-val").args(["--target-env", vulkan.name]).arg(path).output().expect("spirv-val");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    (!output.status.success()).then(|| said.trim().to_string())
}

/// The year of the `spirv-val` at hand.
fn year() -> Option<u32> {
    let output = Command::new("spirv-val").arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.split_once(" v")?.1.split('.').next()?.parse().ok()
}

#[test]
fn khronos_takes_every_shader_in_spirv() {
    let Some(year) = year() else {
        return not_tested("shaders by spirv-val, which is not installed (on Debian: spirv-tools)");
    };
    let mut stages = stages(&DEVICES);
    let all = stages.len();
    // Cooperative matrices became Khronos's in 2023, and its tool knows them since the next version.
    if year < 2024 {
        stages.retain(|stage| !extensions(stage).contains(Capabilities::COOPERATIVE_MATRIX));
        not_tested(&format!("{} of {all} shaders, with matrix units, by spirv-val of {year}", all - stages.len()));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let fault = |(i, stage): (usize, &Stage)| {
        let path = folder.path().join(format!("{i}.spv"));
        let ways = if is_long() { &WAYS[..] } else { &WAYS[i % WAYS.len()..][..1] };
        let module = module(stage).unwrap_or_else(|why| panic!("{}: {why}", stage.shader.name));
        let fault = ways.iter().find_map(|&(vulkan, checked)| {
            let fault = written(&module, vulkan, checked).map_or_else(Some, |words| refused(&words, vulkan, &path))?;
            let how = if checked { "as checked" } else { "as trained" };
            Some(format!("{} {:?}, {}, {how}: {fault}", stage.shader.name, stage.constants, vulkan.name))
        });
        // There is none where nothing could be written.
        let _ = std::fs::remove_file(&path);
        fault
    };
    let faults: Vec<String> = stages.par_iter().enumerate().filter_map(fault).collect();
    let ways = if is_long() { WAYS.len() } else { 1 };
    println!("{} of {all} shaders with constants, {ways} modules each", stages.len());
    assert!(stages.len() > 500, "{}", stages.len());
    assert!(faults.is_empty(), "{} refused:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn what_is_no_module_is_refused() {
    if year().is_none() {
        return not_tested("what spirv-val refuses");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.spv");
    let module = module(&stages(&DEVICES[..1])[0]).expect("a module");
    for vulkan in [OLD, NEW] {
        let sound = written(&module, vulkan, true).expect("a module");
        assert_eq!(refused(&sound, vulkan, &path), None);
        // Without its end, and with a bound below its identifiers.
        let mut low = sound.clone();
        low[3] = 2;
        for (wrong, words) in [(&sound[..sound.len() - 1], "FunctionEnd"), (&low, "bound")] {
            let said = refused(wrong, vulkan, &path).expect("no module");
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    let newer = written(&module, NEW, true).expect("a module");
    let said = refused(&newer, OLD, &path).expect("too new");
    assert!(said.contains("version 1.6"), "{said}");
}
