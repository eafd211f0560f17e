//! A copy: what gathers gradients into the flat buffer of an optimiser.

use crate::kernels::*;

params! {
    /// x `[len]` -> y `[len]`.
    pub struct Copy {
        /// Elements.
        pub len: u32,
    }
}

static SHADER: Shader = shader!(Copy, "copy", width = "1");
static SHADER4: Shader = shader!(Copy, "copy" as "copy4", width = "4");

static SIGNATURE: Signature = Signature { name: "copy", reads: &["x"], writes: &[("y", Access::Write)] };

impl Kernel for Copy {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0].copy_from_slice(reads[0]);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        Recipe::in_fours(self.len, |width| {
            let (shader, params) = (if width == 4 { &SHADER4 } else { &SHADER }, Copy { len: self.len / width });
            flat(shader, &params, params.len as usize, caps).operands(&SIGNATURE)
        })
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(Copy { len }))
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("x[{}]", self.len)
    }
}

impl Checks for Copy {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [1, 3, 4, 1021, 4096, 100_003].map(|len| Box::new(Copy { len }) as Box<dyn Kernel>).into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [131_072, 627_200].map(|len| Box::new(Copy { len }) as Box<dyn Kernel>).into()
}
