//! How batch normalisation is shared out where its samples have one pixel: channels are neighbours in
//! memory then, as they are in images that have them last.

use crate::kernels::*;

params! {
    /// The block of the shaders of `shaders/lib/columns_block.wgsl`.
    pub struct Columns {
        /// Groups of samples.
        pub groups: u32,
        /// Samples of a group, each of one pixel.
        pub n: u32,
        /// Fours of channels.
        pub c: u32,
        /// Samples of a chunk.
        pub chunk: u32,
        /// Chunks of a group.
        pub chunks: u32,
        /// Added to the variance.
        pub eps: f32,
        /// The slope of the activation.
        pub act_slope: f32,
    }
}

/// Lanes of a workgroup.
const WG: u32 = 256;
/// Workgroups from which on a GPU has enough to do.
const ENOUGH: u32 = 768;
/// Samples of a chunk at least and at most: more than a lane adds up in a run of 64 there are not.
const CHUNK: [u32; 2] = [64, 1024];

impl Columns {
    /// Of so many groups, samples and channels, if channels are fours and samples of one pixel.
    pub(super) fn of([groups, n, c, hw]: [u32; 4], eps: f32, act_slope: f32) -> Option<Columns> {
        if hw != 1 || !c.is_multiple_of(4) {
            return None;
        }
        let c = c / 4;
        let across = c.div_ceil(Self::fours(c)) * groups;
        let chunk = n.div_ceil(ENOUGH.div_ceil(across)).clamp(CHUNK[0], CHUNK[1]).min(n);
        Some(Columns { groups, n, c, chunk, chunks: n.div_ceil(chunk), eps, act_slope })
    }

    /// Fours of channels that a workgroup takes.
    fn fours(c: u32) -> u32 {
        c.next_power_of_two().min(16)
    }

    /// A stage of one of the shaders.
    pub(super) fn stage(&self, shader: &'static Shader, caps: &Caps) -> Stage {
        let fours = Self::fours(self.c);
        let grid = self.groups * self.chunks * self.c.div_ceil(fours);
        Stage::new(shader, self, grid_1d(grid as usize, caps)).constant("WG", WG).constant("COLUMNS", fours)
    }
}
