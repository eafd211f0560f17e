//! A tensor of one number.

use crate::kernels::*;

params! {
    /// y `[len]` = value.
    pub struct Fill {
        /// Elements.
        pub len: u32,
        /// The number.
        pub value: f32,
    }
}

static SHADER: Shader = shader!(Fill, "fill", width = "1");
static SHADER4: Shader = shader!(Fill, "fill" as "fill4", width = "4");

static SIGNATURE: Signature = Signature { name: "fill", reads: &[], writes: &[("y", Access::Write)] };

impl Kernel for Fill {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![], writes: vec![self.len as usize] }
    }

    fn cpu(&self, _reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0].fill(self.value);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        Recipe::in_fours(self.len, |width| {
            let (shader, params) =
                (if width == 4 { &SHADER4 } else { &SHADER }, Fill { len: self.len / width, ..*self });
            flat(shader, &params, params.len as usize, caps).operands(&SIGNATURE)
        })
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("y[{}] {}", self.len, self.value)
    }
}

impl Checks for Fill {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [(1, 0.0), (3, -1.5), (4, 1.0), (1021, 0.1), (4096, -0.0), (200_003, f32::MAX)]
        .map(|(len, value)| Box::new(Fill { len, value }) as Box<dyn Kernel>)
        .into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [(6400, 0.0), (131_072, 1.0)].map(|(len, value)| Box::new(Fill { len, value }) as Box<dyn Kernel>).into()
}
