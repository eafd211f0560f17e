//! Tiles whose invocations could not share out what they load: a step of none is a loop without an
//! end.

use limn::kernels::{self, Caps, Class, Coop, Precision, Stage};
use std::collections::BTreeSet;

/// What the tile shaders know of a block: invocations, lines, columns and terms, by the constants
/// of a stage.
#[derive(Debug)]
struct Block {
    threads: u32,
    lines: u32,
    columns: u32,
    terms: u32,
    /// Whether an invocation takes eight terms at a time, of as many lines and columns as there are.
    eights: bool,
}

impl Block {
    /// Of a stage with a block, evaluated as `tile.wgsl`, `tile_wide.wgsl` and `coop.wgsl` do.
    fn of(stage: &Stage) -> Option<Block> {
        let constant = |name: &str| stage.constants.iter().find(|(n, _)| *n == name).map(|(_, value)| *value as u32);
        let says = |text: &str| stage.shader.source().expect("a module").contains(text);
        if let (Some(tx), Some(ty), Some(terms)) = (constant("TX"), constant("TY"), constant("BK")) {
            let edge = if says("TY * 8") { 8 } else { 4 };
            return Some(Block { threads: tx * ty, lines: ty * edge, columns: tx * edge, terms, eights: false });
        }
        let (rows, columns, threads) = (constant("ROWS")?, constant("COLUMNS")?, constant("THREADS")?);
        let edge = if says("const EDGE = 16u;") { 16 } else { 8 };
        assert!(says("const BK = 32u;") && says("BM: u32 = ROWS * 4 * EDGE") && says("BN: u32 = COLUMNS * 2 * EDGE"));
        Some(Block { threads, lines: rows * 4 * edge, columns: columns * 2 * edge, terms: 32, eights: true })
    }

    /// The first of the loaders' steps that is none, or not all of the invocations.
    fn fault(&self) -> Option<String> {
        let shares = [("lines", self.lines), ("columns", self.columns), ("terms", self.terms)];
        let is_uneven = |(what, n): &&(&str, u32)| match self.eights {
            true => *what != "terms" && (n * self.terms / 8 == 0 || !(n * self.terms / 8).is_multiple_of(self.threads)),
            false => self.threads / n == 0 || !self.threads.is_multiple_of(*n),
        };
        shares.iter().find(is_uneven).map(|(what, n)| format!("{} invocations for {n} {what}", self.threads))
    }
}

/// Devices with every size of subgroup and of fragment, and limits small and large.
fn devices() -> Vec<Caps> {
    let mut all = Vec::new();
    for (max_invocations, max_workgroup_bytes) in [(256, 16384), (1024, 32768), (1024, 65536)] {
        let limits = Caps { max_invocations, max_workgroup_bytes, ..Caps::WEBGPU };
        for class in [Class::Lanes, Class::Gpu] {
            all.push(Caps { class, ..limits });
            let mixed = Caps { class, precision: Precision::Mixed, f16: true, ..limits };
            all.push(mixed);
            for subgroup in [4, 8, 16, 32, 64, 128] {
                for (edge, emulated) in [(8, 0), (16, 0), (8, subgroup), (16, subgroup)] {
                    all.push(Caps { coop: Some(Coop { edge, subgroup, emulated }), ..mixed });
                }
            }
        }
    }
    all
}

#[test]
fn no_tile_loads_in_steps_of_none() {
    let mut kinds = BTreeSet::new();
    for entry in kernels::all() {
        for kernel in (entry.cases)().into_iter().chain((entry.shapes)()) {
            for caps in devices() {
                for recipe in kernel.variants(&caps) {
                    for block in recipe.stages.iter().filter_map(Block::of) {
                        let what = format!("{} {} [{}] {:?}", entry.name, kernel.label(), recipe.name, caps.coop);
                        assert_eq!(block.fault(), None, "{what}: {block:?}");
                        kinds.insert((recipe.name, block.threads));
                    }
                }
            }
        }
    }
    // Six sizes in registers in either precision, and three of either size of fragments, of which one is the same.
    let names: BTreeSet<_> = kinds.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 17, "{names:?}");
    assert!(kinds.len() > names.len(), "subgroups of several sizes: {kinds:?}");
}

#[test]
fn a_step_of_none_is_seen() {
    let caps = Caps {
        precision: Precision::Mixed,
        f16: true,
        max_invocations: 1024,
        max_workgroup_bytes: 65536,
        ..Caps::WEBGPU
    };
    let caps = Caps { coop: Some(Coop { edge: 16, subgroup: 32, emulated: 0 }), ..caps };
    let all = kernels::matmul::cases().iter().flat_map(|kernel| kernel.variants(&caps)).collect::<Vec<_>>();
    for (name, constant, value) in [("coop_f16_128x64", "THREADS", 96.0), ("tile_64x64", "BK", 512.0)] {
        let recipe = all.iter().find(|recipe| recipe.name == name).expect("the variant");
        let mut stage = recipe.stages.iter().find(|stage| Block::of(stage).is_some()).expect("its tile").clone();
        assert_eq!(Block::of(&stage).expect("a tile").fault(), None);
        stage.constants.iter_mut().filter(|(n, _)| *n == constant).for_each(|(_, v)| *v = value);
        assert!(Block::of(&stage).expect("a tile").fault().is_some(), "{name}");
    }
}
