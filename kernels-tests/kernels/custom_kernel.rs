//! A kernel as somebody writes it in a crate of their own, with what limn makes public.

use crate::support::device;
use limn::check;
use limn::gpu::reflect;
use limn::kernels::{Access, Caps, Checks, Kernel, Lens, Recipe, Shader, Signature, Slot, exact, flat};
use std::sync::Arc;

limn::params! {
    /// How much of what.
    pub struct Mix {
        /// Of each part.
        pub weights: [f32; 2],
        /// Where to begin, in elements.
        pub first: u32,
    }
}

limn::params! {
    /// x `[len]` -> y `[len]` = weights0 · larger(x, 0) + weights1 · x.
    pub struct Blend {
        /// Elements.
        pub len: u32,
        /// How they are mixed.
        pub mix: Mix,
    }
}

static SHADER: Shader = Shader::new(
    "blend",
    "// y = weights0 * larger(x, 0) + weights1 * x\n\n\
     #import flat\n#import nan\n#import scaled\n#params\n\n\
     override WG: u32 = 64u;\n\n\
     @group(0) @binding(0) var<uniform> p: Params;\n\
     @group(0) @binding(1) var<storage, read> x: array<f32>;        // [len]\n\
     @group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [len]\n\n\
     @compute @workgroup_size(WG)\n\
     fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,\n\
             @builtin(local_invocation_index) lane: u32) {\n\
       let range = flat_range(p.len, wg, groups, lane);\n\
       for (var i = range.first; i < range.end; i += WG) { y[i] = scaled(larger(x[i], 0.0)) + p.mix_weights1 * x[i]; }\n\
     }\n",
)
.library(&[("scaled", "#expects var p\n\nfn scaled(x: f32) -> f32 { return p.mix_weights0 * x; }\n")])
.params::<Blend>();

static SIGNATURE: Signature = Signature { name: "blend", reads: &["x"], writes: &[("y", Access::Write)] };

impl Kernel for Blend {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [a, b] = self.mix.weights;
        std::iter::zip(&mut *writes[0], reads[0]).for_each(|(y, x)| *y = a * x.max(0.0) + b * x);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = flat(&SHADER, self, self.len as usize, caps);
        vec![Recipe::single("flat", stage.bind("x", Slot::Read(0)).bind("y", Slot::Write(0)))]
    }

    fn flops(&self) -> u64 {
        3 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("[{}]", self.len)
    }
}

impl Checks for Blend {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Weights that are powers of two, so that nothing is rounded.
const BLEND: Blend = Blend { len: 1003, mix: Mix { weights: [2.0, 1.0], first: 0 } };

#[test]
fn a_kernel_of_another_crate_is_held_against_its_reference() {
    let outcomes = check::check(&device(), "blend", &BLEND, 1);
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].failure, None);
}

#[test]
fn its_shader_keeps_the_checks_of_indices() {
    assert!(!SHADER.is_unchecked());
    let gpu = device();
    let limns = limn::kernels::copy::Copy { len: 8 }.variants(gpu.caps());
    assert!(limns[0].stages[0].shader.is_unchecked());
}

#[test]
fn a_block_that_is_not_the_shaders_is_refused() {
    static NO_BLOCK: Shader = Shader::new("no_block", "#params\n@compute @workgroup_size(1)\nfn main() {}\n");
    let stage = limn::kernels::Stage::new(&NO_BLOCK, &BLEND, [1, 1, 1]);
    let said = reflect(&stage).unwrap_err().to_string();
    assert!(said.contains("no_block has the line #params, and the shader has no parameter block"), "{said}");

    static OTHER: Shader = Shader::new(
        "other",
        "#params\n@group(0) @binding(0) var<uniform> p: Params;\n@compute @workgroup_size(1)\nfn main() {}\n",
    )
    .params::<Mix>();
    let said = reflect(&limn::kernels::Stage::new(&OTHER, &BLEND, [1, 1, 1])).unwrap_err().to_string();
    assert!(said.contains("the parameter block differs"), "{said}");
    assert!(said.contains("mix_weights0: f32 @4, mix_weights1: f32 @8, mix_first: u32 @12"), "{said}");
}

#[test]
fn shaders_of_one_name_are_told_apart() {
    static TWICE: Shader = Shader::new(
        "blend",
        "#params\n@group(0) @binding(0) var<uniform> p: Params;\n\
         @group(0) @binding(1) var<storage, read> x: array<f32>;\n\
         @group(0) @binding(2) var<storage, read_write> y: array<f32>;\noverride WG: u32 = 8u;\n\
         @compute @workgroup_size(WG)\nfn main() { y[0] = x[0] + f32(p.len); }\n",
    )
    .params::<Blend>();
    let gpu = device();
    let of = |shader: &'static Shader| {
        let mut recipe = BLEND.variants(gpu.caps()).remove(0);
        recipe.stages[0].shader = shader;
        gpu.pipeline(&recipe.stages[0], true).expect("a pipeline")
    };
    assert!(!Arc::ptr_eq(&of(&SHADER), &of(&TWICE)));
    assert!(Arc::ptr_eq(&of(&SHADER), &of(&SHADER)));
}
