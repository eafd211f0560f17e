//! The host's view of a shader held against the shader itself.
//!
//! A stage says which bindings it has, what they are called, how they are used and what its
//! parameter block looks like. naga says the same of the WGSL. Where the two differ, the pipeline
//! is refused with a message that shows both sides.

use crate::kernels::{Stage, Word, words};
use naga::{AddressSpace, ScalarKind, StorageAccess, TypeInner};

/// The host and the shader disagree, or the shader does not parse.
#[derive(Debug, thiserror::Error)]
#[error("shader {shader}: {what}\n  host:   {host}\n  shader: {wgsl}")]
pub struct Mismatch {
    /// Shader file name.
    pub shader: &'static str,
    /// What is wrong.
    pub what: String,
    /// The host's side.
    pub host: String,
    /// The shader's side.
    pub wgsl: String,
}

/// Parses the stage's shader and compares bindings and parameter block; errors show both sides.
pub fn reflect(stage: &Stage) -> Result<naga::Module, Mismatch> {
    let shader = stage.shader.name;
    let fault = |what: &str, wgsl: String| Mismatch { shader, what: what.into(), host: "-".into(), wgsl };
    let source = stage.shader.source().map_err(|e| fault("is not put together", e.to_string()))?;
    let module = naga::front::wgsl::parse_str(source).map_err(|e| fault("does not parse", e.emit_to_string(source)))?;
    let host: Vec<String> = std::iter::once("0 uniform p".to_string())
        .chain(stage.bind.iter().enumerate().map(|(i, (name, slot))| {
            let access = if slot.is_read() { "read" } else { "read_write" };
            format!("{} {access} {name}", i + 1)
        }))
        .collect();
    let mut found = Vec::new();
    let mut block = Vec::new();
    for (_, var) in module.global_variables.iter() {
        let Some(binding) = &var.binding else { continue };
        let name = var.name.clone().unwrap_or_default();
        let kind = match var.space {
            AddressSpace::Uniform => {
                block = fields(&module, var.ty);
                "uniform"
            }
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => "read_write",
            AddressSpace::Storage { .. } => "read",
            _ => "other",
        };
        let group = if binding.group == 0 { String::new() } else { format!(" (group {})", binding.group) };
        found.push((binding.binding, format!("{} {kind} {name}{group}", binding.binding)));
    }
    found.sort();
    let found: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    if host != found {
        let what = "bindings differ".to_string();
        return Err(Mismatch { shader, what, host: host.join(", "), wgsl: found.join(", ") });
    }
    let text = |word: &Word| format!("{}: {} @{}", word.name, word.ty, word.offset);
    let host: Vec<String> = words(stage.fields).iter().map(text).collect();
    if host != block {
        let what = "the parameter block differs".to_string();
        return Err(Mismatch { shader, what, host: host.join(", "), wgsl: block.join(", ") });
    }
    Ok(module)
}

fn fields(module: &naga::Module, ty: naga::Handle<naga::Type>) -> Vec<String> {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else { return Vec::new() };
    members
        .iter()
        .map(|m| {
            let ty = match module.types[m.ty].inner {
                TypeInner::Scalar(s) if s.width == 4 => match s.kind {
                    ScalarKind::Uint => "u32",
                    ScalarKind::Sint => "i32",
                    ScalarKind::Float => "f32",
                    _ => "other",
                },
                _ => "not a 32-bit scalar",
            };
            format!("{}: {ty} @{}", m.name.as_deref().unwrap_or(""), m.offset)
        })
        .collect()
}
