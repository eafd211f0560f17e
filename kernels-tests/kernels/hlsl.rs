//! What Microsoft's compilers refuse of what naga makes of WGSL for DX12. They do not run here, so
//! what they were found to refuse is looked for in every shader; ARCHITECTURE.md says what works
//! instead.

use crate::translate::{DEVICES, extensions, specialised, stages};
use naga::valid::{Capabilities, FunctionInfo, ModuleInfo, ValidationFlags, Validator};
use naga::{Block, Expression, Function, Module, Statement, TypeInner};
use std::collections::BTreeSet;

/// Names that are taken in DXC's language and that naga lets stand.
const TAKEN: [&str; 2] = ["dx", "vk"];

/// Every block of a function, and whether it is in a loop.
fn blocks<'a>(block: &'a Block, looped: bool, found: &mut Vec<(&'a Block, bool)>) {
    found.push((block, looped));
    for statement in block.iter() {
        match statement {
            Statement::Block(inner) => blocks(inner, looped, found),
            Statement::If { accept, reject, .. } => [accept, reject].into_iter().for_each(|b| blocks(b, looped, found)),
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| blocks(&case.body, looped, found)),
            Statement::Loop { body, continuing, .. } => {
                [body, continuing].into_iter().for_each(|b| blocks(b, true, found))
            }
            _ => {}
        }
    }
}

/// What is refused of a function, in words.
fn of_function(module: &Module, function: &Function, info: &FunctionInfo, faults: &mut BTreeSet<String>) {
    let name = function.name.as_deref().unwrap_or("main");
    let mut all = Vec::new();
    blocks(&function.body, false, &mut all);
    let statements = || all.iter().flat_map(|(block, looped)| block.iter().map(|statement| (statement, *looped)));
    let returns = statements().filter(|(s, _)| matches!(s, Statement::Return { value: Some(_) })).count();
    let structure = |of: &naga::FunctionResult| matches!(module.types[of.ty].inner, TypeInner::Struct { .. });
    if function.result.as_ref().is_some_and(structure) && returns > 1 {
        faults.insert(format!("{name} returns a struct in {returns} places"));
    }
    for (statement, looped) in statements() {
        let Statement::Store { pointer, .. } = statement else { continue };
        let Expression::Access { base, .. } = function.expressions[*pointer] else { continue };
        let vector = match *info[base].ty.inner_with(&module.types) {
            TypeInner::Pointer { base, .. } => matches!(module.types[base].inner, TypeInner::Vector { .. }),
            TypeInner::ValuePointer { size, .. } => size.is_some(),
            _ => false,
        };
        if vector && looped {
            faults.insert(format!("{name} stores into a vector by an index in a loop"));
        }
    }
    let zero = |e: &Expression| matches!(e, Expression::ZeroValue(ty) if matches!(module.types[*ty].inner, TypeInner::Vector { .. }));
    if function.expressions.iter().any(|(_, e)| zero(e)) {
        faults.insert(format!("{name} makes a vector of zeros without naming them"));
    }
}

/// What is refused of a shader, in words.
fn faults(module: &Module, info: &ModuleInfo) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    for (handle, function) in module.functions.iter() {
        of_function(module, function, &info[handle], &mut faults);
    }
    for (i, entry) in module.entry_points.iter().enumerate() {
        of_function(module, &entry.function, info.get_entry_point(i), &mut faults);
    }
    let functions = module.functions.iter().map(|(_, f)| &f.name);
    let globals = module.global_variables.iter().map(|(_, g)| &g.name);
    for name in functions.chain(globals).flatten().filter(|name| TAKEN.contains(&name.as_str())) {
        faults.insert(format!("something is called {name}"));
    }
    faults
}

#[test]
fn no_shader_has_what_microsofts_compilers_refuse() {
    let mut found = BTreeSet::new();
    for stage in stages(&DEVICES) {
        let uses = extensions(&stage);
        // Cooperative matrices are not for DX12.
        if uses.contains(Capabilities::COOPERATIVE_MATRIX) {
            continue;
        }
        let (module, info) = specialised(&stage, Capabilities::default() | uses).expect("a shader");
        found.extend(faults(&module, &info).into_iter().map(|fault| format!("{}: {fault}", stage.shader.name)));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn each_of_it_is_found() {
    let head = "struct Pair { a: u32, b: u32 }
        @group(0) @binding(0) var<storage, read_write> y: array<vec4<u32>>;
        @group(0) @binding(1) var<storage, read_write> dx: array<u32>;
        fn early(i: u32) -> Pair { if (i == 0u) { return Pair(1u, 2u); } return Pair(i, i); }
        @compute @workgroup_size(8) fn main(@builtin(local_invocation_index) i: u32) {
          var v = vec4<u32>();
          for (var j = 0u; j < dx[1]; j += 1u) { v[j % 4u] = early(i).a + dx[0]; }
          y[i] = v;
        }";
    let module = naga::front::wgsl::parse_str(head).expect("a shader");
    let info = Validator::new(ValidationFlags::all(), Capabilities::default()).validate(&module).expect("a valid one");
    let found: Vec<String> = faults(&module, &info).into_iter().collect();
    let want = [
        "early returns a struct in 2 places",
        "main makes a vector of zeros without naming them",
        "main stores into a vector by an index in a loop",
        "something is called dx",
    ];
    assert_eq!(found, want);
}
