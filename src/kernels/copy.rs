//! A copy: what gathers gradients into the flat buffer of an optimiser.

use super::*;

params! {
    /// x `[len]` -> y `[len]`.
    pub struct Copy {
        /// Elements.
        pub len: u32,
    }
}

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

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("x[{}]", self.len)
    }
}
