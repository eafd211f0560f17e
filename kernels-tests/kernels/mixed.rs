//! Mixed precision: every variant that rounds operands to f16 against its reference, matrix units
//! among them by way of invocations that stand in for them.

use crate::references::{check_variants, every_case, in_turn, wanted};
use crate::support::is_long;
use limn::check::{self, Example, Trial};
use limn::gpu::Gpu;
use limn::kernels::conv::Conv;
use limn::kernels::conv2d::Conv2d;
use limn::kernels::conv2d_weight_grad::Conv2dWeightGrad;
use limn::kernels::matmul::MatMul;
use limn::kernels::multiply_add_matrix::MultiplyAddMatrix;
use limn::kernels::{self, Caps, Checks, Class, Coop, Kernel, Lens, Operand, Recipe, Signature};
use std::collections::BTreeSet;

/// The device of the tests, opened for mixed precision.
fn device() -> Gpu {
    Gpu::open_mixed(std::env::var("LIMN_DEVICE").ok().as_deref(), false).expect("a device that knows f16")
}

/// Matrix units in whose place `lanes` invocations play a subgroup, of which 32 are expected.
fn emulated(gpu: &Gpu, edge: u32, lanes: u32) -> Caps {
    Caps { coop: Some(Coop { edge, subgroup: 32, emulated: lanes }), ..*gpu.caps() }
}

/// A GPU with such matrix units.
fn emulated_gpu(gpu: &Gpu) -> Caps {
    Caps { class: Class::Gpu, ..emulated(gpu, 16, 32) }
}

/// The variants that only `caps` with matrix units has.
fn cooperative(kernel: &dyn Kernel, caps: &Caps) -> Vec<Recipe> {
    let mut all = kernel.variants(caps);
    all.retain(|recipe| recipe.name.starts_with("coop_"));
    all
}

#[test]
fn every_mixed_variant_agrees_with_its_reference() {
    let gpu = device();
    let mut names = BTreeSet::new();
    every_case(Some(&gpu), 3, |name, case, kernel| {
        let mixed = kernel.variants(gpu.caps()).into_iter().filter(Recipe::mixed).collect();
        let outcomes = check_variants(&gpu, name, kernel, &in_turn(case, 1, mixed));
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
    assert_eq!(names.len(), 8, "{names:?}");
}

#[test]
fn the_index_arithmetic_of_matrix_units_agrees_with_the_reference() {
    let gpu = device();
    // Subgroups of the expected size; twice as large, so that blocks take two passes; half as
    // large.
    for (edge, lanes) in [(16, 32), (8, 32), (16, 64), (8, 16)] {
        let caps = emulated(&gpu, edge, lanes);
        let mut sizes = BTreeSet::new();
        for entry in kernels::all().iter().filter(|e| wanted(e.name)) {
            let small = (entry.cases)().into_iter().filter(|kernel| kernel.lens().writes[0] < 5_000);
            let cases = small.map(|kernel| (cooperative(kernel.as_ref(), &caps), kernel));
            let cases = cases.filter(|(recipes, _)| !recipes.is_empty());
            // The cases of a kernel differ in what is loaded, which all sizes share.
            let apart = if is_long() { 1 } else { [20, 8][usize::from(edge == 16 && lanes == 32)] };
            for (i, (recipes, kernel)) in cases.step_by(apart).enumerate() {
                let example = Example::new(kernel.as_ref(), 1);
                let recipe = &recipes[i % recipes.len()];
                sizes.insert(recipe.name);
                let outcome = check::check_variant(&gpu, entry.name, kernel.as_ref(), recipe, &example);
                assert!(outcome.mixed && outcome.failure.is_none(), "{edge} {lanes} {outcome:?}");
            }
            gpu.release_pipelines();
        }
        // Those of the products that there is workgroup memory for, and the registers that the ceiling is
        // measured with.
        let products = if edge == 8 || caps.max_workgroup_bytes >= 40_000 { 3 } else { 2 };
        assert_eq!(sizes.len(), products + 1, "{edge} {lanes}: {sizes:?}");
    }
}

#[test]
fn the_ceilings_matrices_agree_with_their_twin_whatever_a_subgroups_size() {
    let gpu = device();
    // Four to a workgroup are expected: so many, two, eight.
    for (edge, lanes) in [(16, 32), (16, 64), (8, 64), (8, 16)] {
        for subgroups in [1, 4, 7] {
            let kernel = MultiplyAddMatrix { edge, subgroups, turns: 3 };
            let recipes = cooperative(&kernel, &emulated(&gpu, edge, lanes));
            assert_eq!(recipes.len(), 1);
            let example = Example::new(&kernel, 1);
            let outcome = check::check_variant(&gpu, "multiply_add_matrix", &kernel, &recipes[0], &example);
            assert!(outcome.mixed && outcome.failure.is_none(), "{edge} {lanes} {outcome:?}");
        }
    }
}

#[test]
fn matrix_units_that_do_not_work_are_found_out() {
    let gpu = device();
    assert_eq!(check::distrust(&gpu, gpu.caps()), None, "without any there is nothing to doubt");
    assert_eq!(check::distrust(&gpu, &emulated(&gpu, 16, 32)), None);
    // Subgroups that are not as large as their fragments' shares add up to: sums go missing.
    let why = check::distrust(&gpu, &emulated(&gpu, 16, 48)).expect("wrong sums");
    assert!(why.contains("coop_f16_") && why.contains("where the reference has"), "{why}");
    if !gpu.desc().features.contains(&"cooperative_matrix") {
        let why = check::distrust(&gpu, &emulated(&gpu, 16, 0)).expect("a refused pipeline");
        assert!(why.contains("coop_f16_") && why.contains("coop_16_gather"), "{why}");
        let (gpu, why) = check::open_mixed(std::env::var("LIMN_DEVICE").ok().as_deref(), None).expect("a device");
        assert!(gpu.caps().coop.is_none() && why.is_none(), "{why:?}");
    }
    assert!(gpu.check().is_ok());
}

/// A kernel of the family whose operands are powers of two times the usual ones.
#[derive(Debug)]
struct Scaled<K>(K, [i32; 2]);

impl<K: Kernel> Kernel for Scaled<K> {
    fn signature(&self) -> &'static Signature {
        self.0.signature()
    }

    fn lens(&self) -> Lens {
        self.0.lens()
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.0.cpu(reads, writes);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        self.0.variants(caps)
    }

    fn flops(&self) -> u64 {
        self.0.flops()
    }

    fn label(&self) -> String {
        format!("{} by {:?}", self.0.label(), self.1)
    }
}

impl<K: Kernel> Checks for Scaled<K> {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let Operand::Read(i) = operand else { panic!("writes are only written") };
        let scale = 2f32.powi(self.1.get(i).copied().unwrap_or(0));
        self.0.example(operand, len, draw).iter().map(|v| v * scale).collect()
    }

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.0.bounds(reads, old, reference)
    }

    fn mixed_bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.0.mixed_bounds(reads, old, reference)
    }
}

#[test]
fn magnitudes_far_from_one_lose_nothing() {
    // Of f16 alone, 2^-24 is the smallest number and 2^16 too large.
    let gpu = device();
    let caps = emulated_gpu(&gpu);
    let conv = Conv::new([3, 5, 9, 8], 9, [3, 3]).with([2, 2], [1, 1], [1; 4]);
    let bits = |kernel: &dyn Kernel, scale: i32| -> Vec<Vec<u32>> {
        let example = Example::new(kernel, 1);
        let recipes = kernel.variants(&caps);
        let run = |recipe: &Recipe| -> Vec<u32> {
            let trial = Trial::new(&gpu, &example, recipe, true).expect("a trial");
            let writes = trial.run(&gpu).expect("a run").writes;
            writes[0].iter().map(|v| (v / 2f32.powi(scale)).to_bits()).collect()
        };
        recipes.iter().filter(|r| r.mixed()).map(run).collect()
    };
    fn all<K: Kernel + Clone + 'static>(kernel: &K, by: [i32; 2]) -> Box<dyn Kernel> {
        Box::new(Scaled(kernel.clone(), by))
    }
    for by in [[0, 0], [-40, 0], [0, -60], [30, 40], [-50, 80], [100, -30]] {
        let mut kernels = [[0, 0], by].map(|by| [all(&Conv2d(conv), by), all(&Conv2dWeightGrad(conv), by)]);
        let [plain, scaled] = &mut kernels;
        for (plain, scaled) in std::iter::zip(plain, scaled) {
            let example = Example::new(scaled.as_ref(), 1);
            let mut kinds = BTreeSet::new();
            for recipe in scaled.variants(&caps).iter().filter(|recipe| recipe.mixed()) {
                let outcome = check::check_variant(&gpu, "scaled", scaled.as_ref(), recipe, &example);
                assert!(outcome.failure.is_none(), "{outcome:?}");
                kinds.insert(recipe.name.split('_').next().unwrap_or_default());
            }
            assert_eq!(kinds, BTreeSet::from(["coop", "last", "tile"]));
            // Powers of two go in and out without a trace.
            assert_eq!(bits(scaled.as_ref(), by[0] + by[1]), bits(plain.as_ref(), 0), "{by:?}");
        }
    }
}

#[test]
fn what_is_not_finite_stays_so_and_what_is_stays_finite() {
    let gpu = device();
    let kernel = MatMul::new(5, 8, 3);
    let mut example = Example::new(&kernel, 1);
    // NVIDIA's NaN has every bit of its fraction set.
    example.reads[0][8] = f32::from_bits(0x7fff_ffff);
    example.reads[0][16] = f32::INFINITY;
    example.reads[0][24..32].fill(3.4e38);
    for recipe in kernel.variants(&emulated_gpu(&gpu)).iter().filter(|r| r.mixed()) {
        let trial = Trial::new(&gpu, &example, recipe, true).expect("a trial");
        let c = &trial.run(&gpu).expect("a run").writes[0];
        assert!(c[..3].iter().all(|v| v.is_finite()), "row 0: {c:?}");
        assert!(c[3..6].iter().all(|v| v.is_nan()), "row 1: {c:?}");
        assert!(c[6..9].iter().all(|v| !v.is_finite()), "row 2: {c:?}");
        let want: Vec<f32> = (0..3).map(|n| (0..8).map(|k| 3.4e38 * example.reads[1][3 * k + n]).sum()).collect();
        for (got, want) in std::iter::zip(&c[9..12], want) {
            let near = (got / want - 1.0).abs() < 0.02 || (!want.is_finite() && !got.is_finite());
            assert!(near, "row 3: {got} where {want} should be");
        }
    }
}
