//! The tick of the clock and of other counters, made by the device itself.

use crate::kernels::*;

/// The most counters of one launch.
pub const MAX_COUNTERS: usize = 4;

params! {
    /// counters updated: word 0 of each, the step, grows by one.
    pub struct Advance {
        /// How many, at most [`MAX_COUNTERS`].
        pub counters: u32,
    }
}

/// WGSL: bindings of so many counters, and their tick.
macro_rules! counters {
    ($($binding:literal $counter:literal)*) => {
        concat!(
            $("@group(0) @binding(", $binding, ") var<storage, read_write> ", $counter, ": array<u32>;  // [1]\n",)*
            "fn tick() {\n", $("  ", $counter, "[0] += 1u;\n",)* "}\n",
        )
    };
}
pub(super) use counters;

static SHADERS: [Shader; MAX_COUNTERS] = [
    shader!(Advance, "advance" as "advance"; counters!("1" "c0")),
    shader!(Advance, "advance" as "advance_2"; counters!("1" "c0" "2" "c1")),
    shader!(Advance, "advance" as "advance_3"; counters!("1" "c0" "2" "c1" "3" "c2")),
    shader!(Advance, "advance" as "advance_4"; counters!("1" "c0" "2" "c1" "3" "c2" "4" "c3")),
];

/// Adds one to a counter.
pub(super) fn tick(counter: &mut [f32]) {
    counter[0] = f32::from_bits(step(counter).wrapping_add(1));
}

pub(super) const COUNTERS: [(&str, Access); MAX_COUNTERS] =
    [("c0", Access::Update), ("c1", Access::Update), ("c2", Access::Update), ("c3", Access::Update)];

static SIGNATURES: [Signature; MAX_COUNTERS] = [
    Signature { name: "advance", reads: &[], writes: &[COUNTERS[0]] },
    Signature { name: "advance", reads: &[], writes: &[COUNTERS[0], COUNTERS[1]] },
    Signature { name: "advance", reads: &[], writes: &[COUNTERS[0], COUNTERS[1], COUNTERS[2]] },
    Signature { name: "advance", reads: &[], writes: &COUNTERS },
];

impl Kernel for Advance {
    fn signature(&self) -> &'static Signature {
        &SIGNATURES[self.counters as usize - 1]
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![], writes: vec![1; self.counters as usize] }
    }

    fn cpu(&self, _reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for counter in writes {
            tick(counter);
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        let stage = Stage::new(&SHADERS[self.counters as usize - 1], self, [1, 1, 1]);
        vec![Recipe::single("single", stage.operands(self.signature()))]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("counters {}", self.counters)
    }
}

impl Checks for Advance {
    fn example(&self, _operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        example_clock(len, draw)
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    (1..=MAX_COUNTERS as u32).map(|counters| Box::new(Advance { counters }) as Box<dyn Kernel>).collect()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    cases()
}
