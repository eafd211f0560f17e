//! Proof that the harness can fail: each test breaks one thing and expects to be told.

use crate::references::{check_variants, in_turn};
use crate::support::device;
use limn::check::{self, Example, Reference};
use limn::gpu::{Gpu, reflect};
use limn::kernels::concat::{self, Concat};
use limn::kernels::conv::Conv;
use limn::kernels::conv2d_weight_grad::Conv2dWeightGrad;
use limn::kernels::copy::Copy;
use limn::kernels::matmul::MatMul;
use limn::kernels::reduce::Reduce;
use limn::kernels::{
    Caps, Checks, Field, Kernel, Layout, Lens, Operand, Recipe, Shader, Signature, Slot, Stage, grid_1d,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// A kernel with one thing about it changed.
#[derive(Debug)]
struct Broken {
    inner: Box<dyn Kernel>,
    /// Elements the reference believes in, if not what the inner kernel says.
    lens: Option<Lens>,
    /// Added to the middle element of the reference's first output.
    nudge: f32,
}

impl Kernel for Broken {
    fn signature(&self) -> &'static Signature {
        self.inner.signature()
    }

    fn lens(&self) -> Lens {
        self.lens.clone().unwrap_or_else(|| self.inner.lens())
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.inner.cpu(reads, writes);
        let middle = writes[0].len() / 2;
        writes[0][middle] += self.nudge;
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        self.inner.variants(caps)
    }

    fn flops(&self) -> u64 {
        self.inner.flops()
    }

    fn label(&self) -> String {
        self.inner.label()
    }
}

impl Checks for Broken {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        self.inner.example(operand, len, draw)
    }

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.inner.bounds(reads, old, reference)
    }
}

fn concat() -> Concat {
    Concat { outer: 3, a: 5, b: 5, inner: 7 }
}

/// The first failure of a kernel's variants; every variant must have one.
fn failure(gpu: &Gpu, kernel: &dyn Kernel) -> String {
    let outcomes = check::check(gpu, kernel.signature().name, kernel, 1);
    assert!(!outcomes.is_empty());
    let failures: Vec<_> = outcomes.into_iter().map(|o| o.failure.expect("a failure")).collect();
    failures[0].clone()
}

#[test]
fn an_element_that_is_off_by_little_more_than_its_bound_is_found() {
    let gpu = device();
    let mut nudged = 0;
    for (name, cases) in limn::kernels::all().into_iter().map(|entry| (entry.name, (entry.cases)())) {
        let Some(inner) = cases.into_iter().find(|k| k.lens().writes[0] > 2 && k.lens().writes[0] < 10_000) else {
            continue;
        };
        let label = inner.label();
        let Reference::All(reference, bounds) = Example::new(inner.as_ref(), 1).reference else {
            panic!("the reference ran")
        };
        // A variant may err by as much as the bound to the other side, and the sum is rounded.
        let middle = reference[0].len() / 2;
        let (value, bound) = (reference[0][middle], bounds[0][middle]);
        let nudge = 3.0 * bound + 4.0 * f32::EPSILON * value.abs();
        let exact = bound <= 2.0 * f32::EPSILON * value.abs() + 1e-30;
        nudged += usize::from(!exact);
        let broken = Broken { inner, lens: None, nudge: if exact { 1.5 } else { nudge } };
        // The reference is what is wrong, for every variant alike.
        let recipes = in_turn(nudged, 1, broken.variants(gpu.caps()));
        for outcome in check_variants(&gpu, name, &broken, &recipes) {
            let why = outcome.failure.unwrap_or_else(|| panic!("{name} {label}: a wrong element went unseen"));
            assert!(why.contains("where the reference has"), "{why}");
            assert!(outcome.ratio > 1.0);
        }
    }
    assert!(nudged > 30, "{nudged}");
}

limn::params! {
    /// x `[len]` -> y `[len]`.
    pub struct Copies {
        /// Elements.
        pub len: u32,
    }
}

impl Kernel for Copies {
    fn signature(&self) -> &'static Signature {
        Copy { len: self.len }.signature()
    }

    fn lens(&self) -> Lens {
        Copy { len: self.len }.lens()
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0].copy_from_slice(reads[0]);
    }

    /// By a unit of the last place too much where it has been before, which every bound permits: the second run finds
    /// what the first left in scratch.
    fn variants(&self, _: &Caps) -> Vec<Recipe> {
        let stage = Stage::new(&FORGETS, self, [1, 1, 1]);
        let stage = stage.bind("x", Slot::Read(0)).bind("y", Slot::Write(0)).bind("seen", Slot::ScratchOut(0));
        vec![Recipe { name: "forgets", scratch: vec![1], stages: vec![stage] }]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("x[{}]", self.len)
    }
}

impl Checks for Copies {}

static FORGETS: Shader = Shader::new(
    "forgets",
    "
#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [len]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;    // [len]
@group(0) @binding(3) var<storage, read_write> seen: array<u32>; // [1]

@compute @workgroup_size(1)
fn main() {
  let again = select(0u, 1u, seen[0] == 7u);
  for (var i = 0u; i < p.len; i++) {
    y[i] = bitcast<f32>(bitcast<u32>(x[i]) + again);
  }
  seen[0] = 7u;
}
",
)
.params::<Copies>();

#[test]
fn two_runs_that_differ_are_found() {
    let gpu = device();
    let kernel = Copies { len: 7 };
    let recipe = kernel.variants(gpu.caps()).remove(0);
    let example = Example::new(&kernel, 1);
    let outcome = check::check_variant(&gpu, "copies", &kernel, &recipe, &example);
    assert_eq!(outcome.failure.as_deref(), Some("two runs differ: a race"));
    assert!(outcome.ratio <= 1.0, "nothing else is wrong");
    let refused = check::agreement(&gpu, &kernel, &recipe, &example);
    assert_eq!(refused.err().map(|why| why.to_string()).as_deref(), Some("two runs differ: a race"));
}

#[test]
fn an_untouched_output_is_found() {
    // The reference computes seven elements, the launch one: the rest stays NaN.
    let gpu = device();
    let kernel = Copy { len: 7 };
    let example = Example::new(&kernel, 1);
    let recipe = Copy { len: 1 }.variants(gpu.caps()).remove(0);
    let outcome = check::check_variant(&gpu, "copy", &kernel, &recipe, &example);
    assert!(outcome.failure.expect("a failure").contains("y[1]: NaN"));
}

#[test]
fn a_twin_of_nans_is_found() {
    // NaN on both sides is agreement about nothing.
    let broken = Broken { inner: Box::new(Copy { len: 7 }), lens: None, nudge: f32::NAN };
    assert!(failure(&device(), &broken).contains("where the reference has NaN"));
    let gpu = device();
    let kernel = Copy { len: 7 };
    let mut example = Example::new(&kernel, 1);
    example.reads[0][3] = f32::NAN;
    let Reference::All(reference, _) = &mut example.reference else { panic!("the reference ran") };
    reference[0][3] = f32::NAN;
    let recipe = kernel.variants(gpu.caps()).remove(0);
    let outcome = check::check_variant(&gpu, "copy", &kernel, &recipe, &example);
    assert!(outcome.failure.expect("a failure").contains("y[3]: NaN where the reference has NaN"));
}

#[test]
fn a_write_behind_the_end_is_found() {
    let lens = Lens { reads: vec![7], writes: vec![7] };
    #[derive(Debug)]
    struct Short;
    impl Kernel for Short {
        fn signature(&self) -> &'static Signature {
            Copy { len: 7 }.signature()
        }

        fn lens(&self) -> Lens {
            Copy { len: 7 }.lens()
        }

        fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
            Copy { len: 7 }.cpu(reads, writes);
        }

        fn variants(&self, caps: &Caps) -> Vec<Recipe> {
            Copy { len: 9 }.variants(caps)
        }

        fn flops(&self) -> u64 {
            0
        }

        fn label(&self) -> String {
            "x[7], launched with 9".into()
        }
    }

    impl Checks for Short {}
    let broken = Broken { inner: Box::new(Short), lens: Some(lens), nudge: 0.0 };
    assert_eq!(failure(&device(), &broken), "stage 1 of 1 (copy) wrote behind the end of y");
}

#[test]
fn a_write_behind_scratch_is_found() {
    // Each is given a word less than it writes. The second stage finds what it wants all the same,
    // behind the end.
    let gpu = device();
    let kernels: [Box<dyn Kernel>; 2] = [
        Box::new(Reduce { a: 1, r1: 40_000, b: 1, r2: 1, c: 10, scale: 1.0 }),
        Box::new(Reduce { a: 1, r1: 1, b: 1, r2: 100_003, c: 1, scale: 1.0 }),
    ];
    let mut seen = 0;
    for kernel in kernels {
        let example = Example::new(kernel.as_ref(), 1);
        for mut recipe in kernel.variants(gpu.caps()).into_iter().filter(|recipe| recipe.stages.len() == 2) {
            recipe.scratch[0] -= 1;
            let want = format!("stage 1 of 2 ({}) wrote behind the end of y", recipe.stages[0].shader.name);
            let outcome = check::check_variant(&gpu, "reduce_sum", kernel.as_ref(), &recipe, &example);
            assert_eq!(outcome.failure.as_ref(), Some(&want));
            assert!(outcome.ratio <= 1.0, "nothing else is wrong");
            let unchecked = check::agreement(&gpu, kernel.as_ref(), &recipe, &example);
            assert_eq!(unchecked.err().map(|why| why.to_string()), Some(want));
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} recipes have scratch");
}

/// A kernel that is launched as another.
#[derive(Debug)]
struct Launched<K>(K, K);

impl<K: Kernel> Kernel for Launched<K> {
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
        self.1.variants(caps)
    }

    fn flops(&self) -> u64 {
        self.0.flops()
    }

    fn label(&self) -> String {
        self.0.label()
    }
}

impl<K: Kernel> Checks for Launched<K> {
    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.0.bounds(reads, old, reference)
    }

    fn sums(&self) -> bool {
        self.0.sums()
    }
}

#[test]
fn one_lost_term_of_many_is_found() {
    // Stored by terms, so that the last one can be left out.
    let gpu = device();
    let product = |k| MatMul::new(2, k, 3).transposed(true, false);
    let conv = |n| Conv2dWeightGrad(Conv::new([n, 2, 25, 25], 3, [1, 1]));
    let lossy: [Box<dyn Kernel>; 2] =
        [Box::new(Launched(product(20_000), product(19_999))), Box::new(Launched(conv(80), conv(79)))];
    for kernel in lossy {
        let outcomes = check::check(&gpu, kernel.signature().name, kernel.as_ref(), 1);
        assert!(!outcomes.is_empty());
        for outcome in outcomes {
            assert!(outcome.ratio <= 1.0, "the bound of so many terms permits it: {outcome:?}");
            let why = outcome.failure.expect("a failure");
            assert!(why.starts_with("whole numbers: ") && why.ends_with(": a term is lost or counted twice"), "{why}");
        }
    }
    let sound = check::check(&gpu, "matmul", &product(20_000), 1);
    assert!(sound.iter().all(|outcome| outcome.failure.is_none()), "{sound:?}");
}

#[test]
fn swapped_operands_are_found() {
    // The names are right, what is bound is not.
    let gpu = device();
    let kernel = concat();
    let mut recipe = kernel.variants(gpu.caps()).remove(0);
    recipe.stages[0].bind[0].1 = Slot::Read(1);
    recipe.stages[0].bind[1].1 = Slot::Read(0);
    let outcome = check::check_variant(&gpu, "concat", &kernel, &recipe, &Example::new(&kernel, 1));
    assert!(outcome.failure.expect("a failure").contains("where the reference has"));
}

#[test]
fn a_missing_workgroup_is_found() {
    let gpu = device();
    let kernel = Copy { len: 100_003 };
    let mut recipe = kernel.variants(gpu.caps()).remove(0);
    // The blocks are cut from the grid, so the loss must come from the parameters.
    recipe.stages[0].params = bytemuck::bytes_of(&Copy { len: 100_002 }).to_vec();
    recipe.stages[0].grid = grid_1d(3, gpu.caps());
    let outcome = check::check_variant(&gpu, "copy", &kernel, &recipe, &Example::new(&kernel, 1));
    assert!(outcome.failure.expect("a failure").contains("y[100002]: NaN"));
}

/// What the device says of a stage it must refuse; it must be what reflection says.
fn refusal(gpu: &Gpu, recipe: &Recipe) -> String {
    let said = reflect(&recipe.stages[0]).expect_err("a refusal").to_string();
    let kernel = concat();
    let outcome = check::check_variant(gpu, "concat", &kernel, recipe, &Example::new(&kernel, 1));
    assert_eq!(outcome.failure.as_deref(), Some(said.as_str()));
    said
}

#[test]
fn swapped_bindings_are_refused_with_both_sides() {
    let gpu = device();
    let mut recipe = concat().variants(gpu.caps()).remove(0);
    recipe.stages[0].bind.swap(0, 1);
    let said = refusal(&gpu, &recipe);
    assert!(said.contains("shader concat: bindings differ"), "{said}");
    assert!(said.contains("host:   0 uniform p, 1 read y, 2 read x, 3 read_write z"), "{said}");
    assert!(said.contains("shader: 0 uniform p, 1 read x, 2 read y, 3 read_write z"), "{said}");
}

#[test]
fn a_wrong_access_is_refused_with_both_sides() {
    let gpu = device();
    let mut recipe = concat().variants(gpu.caps()).remove(0);
    recipe.stages[0].bind[2].1 = Slot::Read(1);
    let said = refusal(&gpu, &recipe);
    assert!(said.contains("3 read z") && said.contains("3 read_write z"), "{said}");
}

#[test]
fn dropped_and_renamed_fields_are_refused_with_both_sides() {
    const U32: Layout = Layout::Word("u32");
    static DROPPED: [Field; 3] = [
        Field { name: "outer", offset: 0, layout: U32 },
        Field { name: "a", offset: 4, layout: U32 },
        Field { name: "inner", offset: 8, layout: U32 },
    ];
    static RENAMED: [Field; 4] = [
        Field { name: "outer", offset: 0, layout: U32 },
        Field { name: "b", offset: 4, layout: U32 },
        Field { name: "a", offset: 8, layout: U32 },
        Field { name: "inner", offset: 12, layout: U32 },
    ];
    static RETYPED: [Field; 4] = [
        Field { name: "outer", offset: 0, layout: U32 },
        Field { name: "a", offset: 4, layout: U32 },
        Field { name: "b", offset: 8, layout: U32 },
        Field { name: "inner", offset: 12, layout: Layout::Word("f32") },
    ];
    let gpu = device();
    let sides: [(&'static [Field], &str); 3] = [
        (&DROPPED, "outer: u32 @0, a: u32 @4, inner: u32 @8"),
        (&RENAMED, "outer: u32 @0, b: u32 @4, a: u32 @8, inner: u32 @12"),
        (&RETYPED, "outer: u32 @0, a: u32 @4, b: u32 @8, inner: f32 @12"),
    ];
    for (fields, host) in sides {
        let mut recipe = concat().variants(gpu.caps()).remove(0);
        recipe.stages[0].fields = fields;
        let said = refusal(&gpu, &recipe);
        assert!(said.contains("shader concat: the parameter block differs"), "{said}");
        assert!(said.contains(&format!("host:   {host}\n")), "{said}");
        assert!(said.contains("shader: outer: u32 @0, a: u32 @4, b: u32 @8, inner: u32 @12"), "{said}");
    }
}

#[test]
fn cases_on_several_devices_come_out_as_on_one() {
    let gpu = Arc::new(device());
    let other = Arc::new(gpu.again().expect("the device once more"));
    assert_eq!(gpu.caps(), other.caps());
    let mut cases: Vec<Box<dyn Kernel>> = concat::cases().into_iter().take(6).collect();
    let nudged =
        Broken { inner: Box::new(Reduce { a: 3, r1: 4, b: 5, r2: 6, c: 7, scale: 1.0 }), lens: None, nudge: 1.0 };
    cases.insert(2, Box::new(nudged));
    let seen = Mutex::new(BTreeSet::new());
    let begun = |i| assert!(seen.lock().expect("nobody panicked").insert(i), "case {i} twice");
    let told = |outcomes: &[check::Outcome]| -> Vec<String> { outcomes.iter().map(|o| format!("{o:?}")).collect() };
    let both = check::check_cases(&[gpu.clone(), other], "cases", &cases, 1, &begun);
    for (case, outcomes) in std::iter::zip(&cases, &both) {
        assert!(!outcomes.is_empty());
        assert_eq!(told(outcomes), told(&check::check(&gpu, "cases", case.as_ref(), 1)));
    }
    assert!(both[2].iter().all(|o| o.failure.is_some()) && both[3].iter().all(|o| o.failure.is_none()));
    assert_eq!(seen.into_inner().expect("nobody panicked").len(), cases.len());
}
