//! How batch normalisation is shared out where its samples have one pixel: channels are neighbours in
//! memory then, as they are in images that have them last.

use super::batch_norm::{COLUMNS_STATS, CombineStage};
use super::batch_norm_grad::{COLUMNS_SUMS, GradCombineStage};
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

/// Sums over the columns of a batch normalisation's first read, or over those of its gradient's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    /// The mean of a chunk, and the sum of squares around it.
    Moments,
    /// Σ dy (x - mean) and Σ dy.
    Turns,
}

/// What the first stage of a recipe takes for its second, and others may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub sums: Sums,
    /// Groups of samples, each of which has sums of its own.
    pub groups: u32,
    /// Words of scratch buffer 0 for a chunk of every group.
    pub words: usize,
}

impl Wanted {
    /// What that of a recipe takes, if it is one of these.
    pub(crate) fn by(recipe: &Recipe) -> Option<Wanted> {
        let first = recipe.stages.first()?;
        let sums = match first.shader {
            shader if std::ptr::eq(shader, &COLUMNS_STATS) => Sums::Moments,
            shader if std::ptr::eq(shader, &COLUMNS_SUMS) => Sums::Turns,
            _ => return None,
        };
        let Columns { groups, c, .. } = bytemuck::pod_read_unaligned(&first.params);
        Some(Wanted { sums, groups, words: 2 * (4 * c * groups) as usize })
    }
}

/// The chunks of a group of samples that somebody else takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    /// Samples of one.
    pub len: u32,
    /// All of them.
    pub count: u32,
    /// Runs of as many samples each, of which the last chunk is shorter.
    pub runs: u32,
}

/// Takes that stage away where others have filled scratch buffer 0.
pub(crate) fn spare(recipe: &mut Recipe, Chunks { len: chunk, count: chunks, runs }: Chunks) {
    let Some(wanted) = Wanted::by(recipe) else { return };
    recipe.stages.remove(0);
    recipe.scratch[0] = wanted.words * chunks as usize;
    let params = &mut recipe.stages[0].params;
    *params = match wanted.sums {
        Sums::Moments => {
            let block: CombineStage = bytemuck::pod_read_unaligned(params);
            bytemuck::bytes_of(&CombineStage { chunk, chunks, runs, ..block }).to_vec()
        }
        Sums::Turns => {
            let block: GradCombineStage = bytemuck::pod_read_unaligned(params);
            bytemuck::bytes_of(&GradCombineStage { chunks, ..block }).to_vec()
        }
    };
}
