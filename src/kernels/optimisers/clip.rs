//! Weight clipping: every parameter is put back into a box.

use crate::kernels::*;

params! {
    /// w `[len]` updated: w = min(max(w, -bound), bound).
    pub struct Clip {
        /// Elements.
        pub len: u32,
        /// The largest magnitude that stays.
        pub bound: f32,
    }
}

static SHADER: Shader = shader!(Clip, "clip", width = "1");
static SHADER4: Shader = shader!(Clip, "clip" as "clip4", width = "4");

static SIGNATURE: Signature = Signature { name: "clip", reads: &[], writes: &[("w", Access::Update)] };

impl Kernel for Clip {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![], writes: vec![self.len as usize] }
    }

    fn cpu(&self, _reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0].iter_mut().for_each(|p| *p = p.clamp(-self.bound, self.bound));
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        Recipe::in_fours(self.len, |width| {
            let (shader, params) =
                (if width == 4 { &SHADER4 } else { &SHADER }, Clip { len: self.len / width, ..*self });
            flat(shader, &params, params.len as usize, caps).operands(&SIGNATURE)
        })
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(Clip { len, ..*self }))
    }

    fn flops(&self) -> u64 {
        2 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("p[{}] bound {}", self.len, self.bound)
    }
}

impl Checks for Clip {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [(1, 0.5), (127, 0.01), (256, 0.25), (10_007, 2.0), (65_536, 0.5)]
        .map(|(len, bound)| Box::new(Clip { len, bound }) as Box<dyn Kernel>)
        .into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Clip { len: 138_688, bound: 0.01 })]
}
