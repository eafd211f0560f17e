//! Mixed precision: every variant that rounds operands to f16 against its twin, matrix units among them
//! by way of invocations that stand in for them, and what mixed training steps make of it.

use crate::kernels::{every_case, wanted};
use limn::check::{self, Example, Outcome};
use limn::gpu::Gpu;
use limn::kernels::conv::Conv;
use limn::kernels::conv2d::Conv2d;
use limn::kernels::conv2d_weight_grad::Conv2dWeightGrad;
use limn::kernels::matmul::MatMul;
use limn::kernels::{self, Caps, Coop, Kernel, Operand, Precision, Recipe};

/// The device of the tests, opened for mixed precision.
fn device() -> Gpu {
    Gpu::open_mixed(std::env::var("LIMN_DEVICE").ok().as_deref(), false).expect("a device that knows f16")
}

/// Matrix units of which `lanes` invocations play a subgroup, where `subgroup` are expected.
fn emulated(gpu: &Gpu, edge: u32, subgroup: u32, lanes: u32) -> Caps {
    let coop = Some(Coop { edge, subgroup, emulated: lanes });
    // Blocks of the largest size want more workgroup memory than some devices have.
    Caps { coop, ..*gpu.caps() }
}

/// The variants that only `caps` with matrix units has.
fn cooperative(kernel: &dyn Kernel, caps: &Caps) -> Vec<Recipe> {
    let mut all = kernel.variants(caps);
    all.retain(|recipe| recipe.name.starts_with("coop_"));
    all
}

#[test]
fn every_mixed_variant_agrees_with_its_twin() {
    let gpu = device();
    let mut names = std::collections::BTreeSet::new();
    every_case(|name, kernel| {
        let outcomes = check::check(&gpu, name, kernel, 1);
        assert!(outcomes.iter().all(|o| o.mixed));
        outcomes
    });
    for entry in kernels::all() {
        let case = &(entry.cases)()[0];
        let mixed: Vec<_> = case.variants(gpu.caps()).into_iter().filter(Recipe::mixed).map(|r| r.name).collect();
        if !mixed.is_empty() {
            assert!(case.variants(gpu.caps())[0].mixed(), "{}: mixed variants come first", entry.name);
            names.insert(entry.name);
        }
    }
    assert_eq!(names.len(), 7, "{names:?}");
}

#[test]
fn the_index_arithmetic_of_matrix_units_agrees_with_the_twins() {
    let gpu = device();
    // Subgroups of the expected size; twice as large, so that blocks take two passes; half as large.
    for (edge, lanes) in [(16, 32), (8, 32), (16, 64), (8, 16)] {
        let caps = emulated(&gpu, edge, 32, lanes);
        let mut sizes = std::collections::BTreeSet::new();
        for entry in kernels::all().iter().filter(|e| wanted(e.name)) {
            // The cases of a kernel differ in what is loaded, which all sizes share.
            for (i, kernel) in (entry.cases)().iter().enumerate().filter(|(i, _)| lanes == 32 || i % 4 == 0) {
                let recipes = cooperative(kernel.as_ref(), &caps);
                if recipes.is_empty() {
                    continue;
                }
                let example = Example::new(kernel.as_ref(), 1);
                let recipe = &recipes[i % recipes.len()];
                sizes.insert(recipe.name);
                let outcome = check::check_variant(&gpu, entry.name, kernel.as_ref(), recipe, &example);
                assert!(outcome.mixed && outcome.failure.is_none(), "{edge} {lanes} {outcome:?}");
            }
        }
        println!("{edge} {lanes}: {sizes:?}");
    }
}
