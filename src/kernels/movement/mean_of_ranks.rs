//! Where a program is cut: what ranks that train together take the mean of. Of one rank alone it
//! is a copy.

use super::copy::Copy;
use crate::kernels::*;

/// x `[len]` -> y `[len]`: the mean of every rank's x. [`crate::program::Runner`] reads x back, has
/// [`crate::ranks::Ranks`] take the mean, and writes y.
#[derive(Clone, Copy, Debug)]
pub struct MeanOfRanks {
    /// Elements.
    pub len: u32,
}

static SIGNATURE: Signature = Signature { name: "mean_of_ranks", reads: &["x"], writes: &[("y", Access::Write)] };

impl MeanOfRanks {
    fn copy(&self) -> Copy {
        Copy { len: self.len }
    }
}

impl Kernel for MeanOfRanks {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        self.copy().lens()
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.copy().cpu(reads, writes);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        self.copy().variants(caps)
    }

    fn is_mean_of_ranks(&self) -> bool {
        true
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        self.copy().label()
    }
}

impl Checks for MeanOfRanks {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    [1, 6, 4099].map(|len| Box::new(MeanOfRanks { len }) as Box<dyn Kernel>).into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(MeanOfRanks { len: 1 << 20 })]
}
