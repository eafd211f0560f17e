//! The clock's tick, made by the device itself.

use super::*;

params! {
    /// clock updated: word 0, the step, grows by one.
    pub struct Advance {
        /// Not used; a parameter block is never empty.
        pub pad: u32,
    }
}

static SIGNATURE: Signature = Signature { name: "advance", reads: &[], writes: &[("clock", Access::Update)] };

impl Kernel for Advance {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![], writes: vec![1] }
    }

    fn cpu(&self, _reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0][0] = f32::from_bits(step(writes[0]).wrapping_add(1));
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        "clock[1]".into()
    }
}
