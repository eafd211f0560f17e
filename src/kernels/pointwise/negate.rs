//! Every element with its sign turned.

use crate::kernels::*;

params! {
    /// w `[len]` updated: w = -w.
    pub struct Negate {
        /// Elements.
        pub len: u32,
    }
}

static SHADER: Shader = shader!(Negate, "negate", width = "1");
static SHADER4: Shader = shader!(Negate, "negate" as "negate4", width = "4");

static SIGNATURE: Signature = Signature { name: "negate", reads: &[], writes: &[("w", Access::Update)] };

impl Kernel for Negate {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![], writes: vec![self.len as usize] }
    }

    fn cpu(&self, _reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0].iter_mut().for_each(|p| *p = -*p);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        Recipe::in_fours(self.len, |width| {
            let (shader, params) = (if width == 4 { &SHADER4 } else { &SHADER }, Negate { len: self.len / width });
            flat(shader, &params, params.len as usize, caps).operands(&SIGNATURE)
        })
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(Negate { len }))
    }

    fn flops(&self) -> u64 {
        u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("w[{}]", self.len)
    }
}

impl Checks for Negate {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [1, 127, 256, 10_007, 65_536].map(|len| Box::new(Negate { len }) as Box<dyn Kernel>).into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Negate { len: 138_688 })]
}
