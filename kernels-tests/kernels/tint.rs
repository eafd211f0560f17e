//! Every shader that fits WebGPU's default limits, as pages have it, through Tint, the compiler of
//! WGSL in Chromium: it refuses some of what naga takes.

use crate::support::not_tested;
use crate::translate::{DEVICES, excess, specialised, stages};
use limn::export::WebPipeline;
use limn::kernels::{Caps, Class, Stage};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::process::{Command, Output};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/tint_test.py");

/// The script on some pipelines, if Python and a Chromium with WebGPU are there. Says aloud what is
/// not tested without.
fn tint(rows: &[Value], untested: &str) -> Option<Output> {
    let python = std::env::var("LIMN_PYTHON").unwrap_or_else(|_| "python3".into());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipelines.jsonl");
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).expect("a file");
    let ran = Command::new(&python).arg(SCRIPT).arg(&path).output();
    let without = match &ran {
        Err(error) => format!("{python}: {error}"),
        Ok(ran) if ran.status.code() == Some(77) => String::from_utf8_lossy(&ran.stdout).into_owned(),
        Ok(_) => return ran.ok(),
    };
    not_tested(&format!("{untested}: {without}"));
    None
}

/// A stage as a page has it, and the size of its workgroups.
fn row(stage: &Stage) -> Value {
    let (module, _) = specialised(stage, Capabilities::empty()).expect("a shader");
    let mut row = json!(WebPipeline::of(stage));
    row["workgroup_size"] = json!(module.entry_points[0].workgroup_size);
    row
}

#[test]
fn chromium_takes_every_shader_within_webgpus_limits() {
    let mut known = HashMap::new();
    // A page without a GPU runs what is meant for software rasterisers.
    let devices = [&DEVICES[..], &[Caps { class: Class::Lanes, ..Caps::WEBGPU }]].concat();
    let stages = stages(&devices);
    let fit: Vec<&Stage> = stages.iter().filter(|stage| excess(stage, &mut known).is_none()).collect();
    let names: BTreeSet<&str> = fit.iter().map(|stage| stage.shader.name).collect();
    println!("{} shaders with constants of {}, {} shaders", fit.len(), stages.len(), names.len());
    let rows: Vec<Value> = fit.into_iter().map(row).collect();
    let Some(said) = tint(&rows, "shaders by Chromium's compiler") else { return };
    let told = String::from_utf8_lossy(&said.stdout);
    println!("{told}");
    assert_eq!(said.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&said.stderr));
    let all = format!("{} sets of constants", rows.len());
    assert!(told.contains(&all) && told.contains("all taken"), "no \"{all}\" in: {told}");
}

/// A module whose `main` has one buffer `y` and this body.
fn module(body: &str) -> String {
    format!(
        "override N: u32 = 4u;
        struct Params {{ n: u32 }}
        @group(0) @binding(0) var<uniform> p: Params;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        var<workgroup> local: array<f32, N>;
        @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) {{ {body} }}"
    )
}

#[test]
fn what_only_chromium_refuses_is_told() {
    // Name, body, N, whether naga takes it, and what Chromium says.
    let cases = [
        ("sound", "local[0] = y[p.n]; workgroupBarrier(); y[i] = local[0];", 4, true, ""),
        ("some", "if (y[i] > 0.0) { workgroupBarrier(); } y[i] = local[0];", 4, true, "uniform control flow"),
        ("endless", "loop { y[i] += local[0]; }", 4, true, "loop does not exit"),
        ("memory", "local[p.n] = 1.0; y[i] = local[i];", 5000, true, "workgroup storage"),
        ("broken", "y[i] = local[", 4, false, "unable to parse"),
        // Which of its constants make it wrong shows once they are put in.
        ("division", "y[i] = f32(i / (N - 4u));", 5, true, ""),
        ("division", "y[i] = f32(i / (N - 4u));", 4, true, "division by zero"),
    ];
    let mut rows = Vec::new();
    for (name, body, n, taken, _) in cases {
        let code = module(body);
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        let valid = naga::front::wgsl::parse_str(&code).is_ok_and(|module| validator.validate(&module).is_ok());
        assert_eq!(valid, taken, "naga on {name}");
        let constants = json!({"N": n});
        let size = [8, 1, 1];
        rows.push(json!({"name": name, "code": code, "constants": constants, "access": "w", "workgroup_size": size}));
    }
    let Some(said) = tint(&rows, "what Chromium's compiler alone refuses") else { return };
    let told = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.status.code(), Some(1), "{told}{}", String::from_utf8_lossy(&said.stderr));
    for (name, _, n, _, words) in cases {
        let of = |line: &&str| {
            let constants = !line.contains("{\"N\"") || line.contains(&format!("{{\"N\": {n}}}"));
            line.starts_with(name) && constants
        };
        let lines: Vec<&str> = told.lines().filter(of).collect();
        assert_eq!(lines.len(), usize::from(!words.is_empty()), "{name} {n}: {told}");
        assert!(lines.iter().all(|line| line.contains(words)), "{name} {n}: {told}");
    }
}
