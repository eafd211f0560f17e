//! The gradient of batch normalisation (Ioffe & Szegedy 2015, section 3).

use super::batch_norm::{
    CASES, Extents, FEW, SHAPES, by_channels, depth, lanes, of_groups, order, pick, split, widths,
};
use super::columns::Columns;
use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// dy `[groups, n, c, hw]` (the gradient in front of the activation), x `[groups, n, c, hw]`,
    /// gamma `[c]`, mean, variance `[c, groups]` -> dx `[groups, n, c, hw]`, dgamma, dbeta `[c]`,
    /// the sums of those of the groups.
    pub struct BatchNormGrad {
        /// Groups of samples.
        pub groups: u32,
        /// Samples of a group.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Pixels of a channel.
        pub hw: u32,
        /// Added to the variance.
        pub eps: f32,
    }
}

static BACKWARD: Signature = Signature {
    name: "batch_norm_grad",
    reads: &["dy", "x", "gamma", "mean", "variance"],
    writes: &[("grad_x", Access::Write), ("dgamma", Access::Write), ("dbeta", Access::Write)],
};

params! {
    /// The block of `batch_norm_grad_sums.wgsl`.
    pub struct GradSumsStage {
        /// Groups of samples.
        pub groups: u32,
        /// Samples of a group.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Pixels of a channel, in elements of the shader.
        pub hw: u32,
        /// Elements of a chunk.
        pub chunk: u32,
        /// Chunks of a channel.
        pub chunks: u32,
    }
}

params! {
    /// The block of `batch_norm_grad_combine.wgsl`.
    pub struct GradCombineStage {
        /// Channels.
        pub c: u32,
        /// Groups of samples.
        pub groups: u32,
        /// Chunks of a channel of a group.
        pub chunks: u32,
        /// Added to the variance.
        pub eps: f32,
    }
}

static GRAD_COMBINE: Shader = shader!(GradCombineStage, "batch_norm_grad_combine");
static GRAD_CHANNEL: [Shader; 2] = widths!(BatchNormGrad, "batch_norm_grad_channel");
static GRAD_SUMS: [Shader; 2] = widths!(GradSumsStage, "batch_norm_grad_sums");
static GRAD_APPLY: [Shader; 2] = widths!(BatchNormGrad, "batch_norm_grad_apply");
pub(super) static COLUMNS_SUMS: Shader = shader!(Columns, "batch_norm_grad_columns_sums");
static COLUMNS_APPLY: Shader = shader!(Columns, "batch_norm_grad_columns_apply");

host::wide! {
    /// dx = factor (dy - plain - along (x - mean)).
    fn backward(dy: &[f32], x: &[f32], mean: f32, factor: f32, means: [f32; 2], dx: &mut [f32]) {
        let [along, plain] = means;
        for (dx, (dy, x)) in std::iter::zip(dx, std::iter::zip(dy, x)) {
            *dx = factor * (dy - (plain + along * (x - mean)));
        }
    }
}

impl BatchNormGrad {
    fn extents(&self) -> Extents {
        Extents([self.groups, self.n, self.c, self.hw].map(|extent| extent as usize))
    }
}

/// Binds what the sums of chunks are made of, and where they go.
fn parts(stage: Stage) -> Stage {
    let reads = [("dy", 0), ("x", 1), ("mean", 3)];
    let stage = reads.into_iter().fold(stage, |stage, (name, read)| stage.bind(name, Slot::Read(read)));
    stage.bind("part", Slot::ScratchOut(0))
}

impl BatchNormGrad {
    /// A variant of sums of chunks, what is summed of these, and what is made of all.
    fn in_chunks(&self, name: &'static str, sums: Stage, apply: Stage, chunks: u32, caps: &Caps) -> Recipe {
        let numbers = self.extents().numbers();
        let block = GradCombineStage { c: self.c, groups: self.groups, chunks, eps: self.eps };
        let wide = if caps.class == Class::Lanes { 8 } else { chunks.next_power_of_two().clamp(32, 256) };
        let combine = Stage::new(&GRAD_COMBINE, &block, grid_1d(self.c as usize, caps)).constant("WG", wide);
        let parts = [("part", Slot::ScratchIn(0)), ("variance", Slot::Read(4))];
        let totals = [("dgamma", Slot::Write(1)), ("dbeta", Slot::Write(2))];
        let groups = [("of_gamma", Slot::ScratchOut(1)), ("of_beta", Slot::ScratchOut(2))];
        let bound = parts.into_iter().chain(totals).chain(groups);
        let combine = bound.fold(combine, |stage, (name, slot)| stage.bind(name, slot));
        let reads = BACKWARD.reads.iter().enumerate().map(|(k, name)| (*name, Slot::Read(k)));
        // The shader may write where the sums of a group stand, as it does not.
        let own = [("grad_x", Slot::Write(0)), ("dgamma", Slot::ScratchOut(1)), ("dbeta", Slot::ScratchOut(2))];
        let apply = reads.chain(own).fold(apply, |stage, (name, slot)| stage.bind(name, slot));
        let scratch = vec![2 * numbers * chunks as usize, numbers, numbers];
        Recipe { name, scratch, stages: vec![sums, combine, apply] }
    }
}

impl Kernel for BatchNormGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let (c, all, numbers) = (self.c as usize, self.extents().len(), self.extents().numbers());
        Lens { reads: vec![all, all, c, numbers, numbers], writes: vec![all, c, c] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dy, x, gamma, mean, var] = reads else { return };
        let [dx, dgamma, dbeta] = writes else { return };
        let (extents, hw) = (self.extents(), self.hw as usize);
        let terms = f64::from(self.n) * f64::from(self.hw);
        let rstd = |ic: usize| 1.0 / (f64::from(var[ic]) + f64::from(self.eps)).sqrt();
        let hat = |i: usize, ic: usize| (f64::from(x[i]) - f64::from(mean[ic])) * rstd(ic);
        let sums = |ic: usize| {
            extents.of(ic).fold((0.0, 0.0), |(g, b), i| {
                let d = f64::from(dy[i]);
                (g + d * hat(i, ic), b + d)
            })
        };
        let sums: Vec<(f64, f64)> = (0..extents.numbers()).into_par_iter().map(sums).collect();
        dx.par_chunks_mut(hw).enumerate().for_each(|(plane, dx)| {
            let [channel, ic] = extents.at(plane);
            let factor = f64::from(gamma[channel]) * rstd(ic);
            for (k, dx) in dx.iter_mut().enumerate() {
                let i = plane * hw + k;
                let along = (sums[ic].1 + hat(i, ic) * sums[ic].0) / terms;
                *dx = (factor * (f64::from(dy[i]) - along)) as f32;
            }
        });
        for (channel, sums) in sums.chunks(self.groups as usize).enumerate() {
            let total = sums.iter().fold((0.0, 0.0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
            (dgamma[channel], dbeta[channel]) = (total.0 as f32, total.1 as f32);
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        if self.hw < FEW {
            return self.cpu(reads, writes);
        }
        let &[dy, x, gamma, mean, var] = reads else { return };
        let [dx, dgamma, dbeta] = writes else { return };
        let (n, c, hw) = (self.n as usize, self.c as usize, self.hw as usize);
        if self.groups > 1 {
            let (one, groups) = (BatchNormGrad { groups: 1, ..*self }, self.groups as usize);
            let len = n * c * hw;
            dgamma.fill(0.0);
            dbeta.fill(0.0);
            for (g, dx) in dx.chunks_mut(len).enumerate() {
                let own = |all: &[f32]| all.iter().skip(g).step_by(groups).copied().collect::<Vec<_>>();
                let (own_mean, own_var, at) = (own(mean), own(var), g * len..(g + 1) * len);
                let (mut gammas, mut betas) = (vec![0.0; c], vec![0.0; c]);
                let reads = [&dy[at.clone()], &x[at], gamma, &own_mean, &own_var];
                one.host(&reads, &mut [dx, &mut gammas, &mut betas]);
                std::iter::zip(&mut **dgamma, gammas).for_each(|(sum, more)| *sum += more);
                std::iter::zip(&mut **dbeta, betas).for_each(|(sum, more)| *sum += more);
            }
            return;
        }
        let terms = f64::from(self.n) * f64::from(self.hw);
        let mut tasks = by_channels(dx, c, hw);
        let together = tasks[0][0].len() / hw;
        let one = |(task, images): (usize, &mut Vec<&mut [f32]>)| -> Vec<[f32; 2]> {
            let channels = task * together..c.min((task + 1) * together);
            let mut turns = vec![[0.0; 2]; channels.len()];
            for i in 0..n {
                for (ic, turns) in std::iter::zip(channels.clone(), &mut turns) {
                    let plane = (i * c + ic) * hw..(i * c + ic + 1) * hw;
                    let [along, plain] = host::turns(&dy[plane.clone()], &x[plane], mean[ic]);
                    *turns = [turns[0] + along, turns[1] + plain];
                }
            }
            // What an image is made with: the factor, and the means of the gradient and along x.
            let mut lines = Vec::new();
            let sums = std::iter::zip(channels.clone(), turns).map(|(ic, [along, plain])| {
                let rstd = 1.0 / (f64::from(var[ic]) + f64::from(self.eps)).sqrt();
                let means = [(along * rstd * rstd / terms) as f32, (plain / terms) as f32];
                lines.push((mean[ic], (f64::from(gamma[ic]) * rstd) as f32, means));
                [(along * rstd) as f32, plain as f32]
            });
            let sums = sums.collect();
            for (i, dx) in images.iter_mut().enumerate() {
                let own = i * c * hw + channels.start * hw..i * c * hw + channels.end * hw;
                let operands = std::iter::zip(dy[own.clone()].chunks(hw), x[own].chunks(hw));
                for ((dx, (dy, x)), line) in std::iter::zip(dx.chunks_mut(hw), operands).zip(&lines) {
                    backward(dy, x, line.0, line.1, line.2, dx);
                }
            }
            sums
        };
        let sums: Vec<Vec<[f32; 2]>> = tasks.par_iter_mut().enumerate().map(one).collect();
        for (ic, [g, b]) in sums.into_iter().flatten().enumerate() {
            (dgamma[ic], dbeta[ic]) = (g, b);
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let wide = self.hw.is_multiple_of(4);
        let p = BatchNormGrad { hw: self.hw / if wide { 4 } else { 1 }, ..*self };
        let numbers = self.extents().numbers();
        let channel = Stage::new(pick(&GRAD_CHANNEL, wide), &p, grid_1d(p.c as usize, caps));
        let channel = Recipe::single("channel", channel.constant("WG", lanes(caps)).operands(&BACKWARD));
        let (chunk, chunks) = split(p.n * p.hw, caps);
        let part = GradSumsStage { groups: p.groups, n: p.n, c: p.c, hw: p.hw, chunk, chunks };
        let sums = Stage::new(pick(&GRAD_SUMS, wide), &part, grid_1d(numbers * chunks as usize, caps));
        let sums = parts(sums.constant("WG", lanes(caps)));
        let apply = flat(pick(&GRAD_APPLY, wide), &p, self.extents().len() / if wide { 4 } else { 1 }, caps);
        let split = self.in_chunks("split", sums, apply, chunks, caps);
        let columns = Columns::of([self.groups, self.n, self.c, self.hw], self.eps, 0.0).map(|p| {
            let sums = parts(p.stage(&COLUMNS_SUMS, caps));
            self.in_chunks("columns", sums, p.stage(&COLUMNS_APPLY, caps), p.chunks, caps)
        });
        order(channel, split, columns, chunks, caps)
    }

    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let own = Some(Images { channels: self.c, plane: self.hw });
        let kernel = Arc::new(BatchNormGrad { n: self.n * self.hw, hw: 1, ..*self });
        let operands_last = vec![true, true, false, false, false, true, false, false];
        [0, 1, 5].iter().all(|i| operands[*i] == own).then_some(ChannelsLast { kernel, operands: operands_last })
    }

    fn flops(&self) -> u64 {
        11 * self.extents().len() as u64
    }

    fn label(&self) -> String {
        let BatchNormGrad { n, c, hw, .. } = self;
        format!("dy[{}{n},{c},{hw}]", of_groups(self.groups))
    }
}

impl Checks for BatchNormGrad {
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[dy, x, gamma, mean, var] = reads else { return Vec::new() };
        let (extents, hw, terms) = (self.extents(), self.hw as usize, (self.n * self.hw) as f32);
        let rstd = |ic: usize| 1.0 / (var[ic] + self.eps).sqrt();
        let hat = |i: usize, ic: usize| ((x[i] - mean[ic]) * rstd(ic)).abs();
        let sums = |ic: usize| {
            let depth = depth(self.n * self.hw);
            let (along, plain) =
                extents.of(ic).fold((0.0, 0.0), |(a, b), i| (a + dy[i].abs() * hat(i, ic), b + dy[i].abs()));
            (sum_bound(depth + 10, along), sum_bound(depth, plain))
        };
        let sums: Vec<(f32, f32)> = (0..extents.numbers()).map(sums).collect();
        let sizes = |ic: usize| {
            let add = |(a, b): (f32, f32), i: usize| (a + dy[i] * (x[i] - mean[ic]) * rstd(ic), b + dy[i]);
            let (along, plain) = extents.of(ic).fold((0.0, 0.0), add);
            (along.abs() + sums[ic].0, plain.abs() + sums[ic].1)
        };
        let sizes: Vec<(f32, f32)> = (0..extents.numbers()).map(sizes).collect();
        let of_all = |pick: fn(&(f32, f32)) -> f32, k: usize| {
            let bound = |(c, sums): (usize, &[(f32, f32)])| {
                sums.iter().map(pick).sum::<f32>() + 4.0 * EPS * sums.len() as f32 * reference[k][c].abs()
            };
            sums.chunks(self.groups as usize).enumerate().map(bound).collect::<Vec<_>>()
        };
        let dx = |(i, dx): (usize, &f32)| {
            let [channel, ic] = extents.at(i / hw);
            let (along, plain) = (hat(i, ic) * sizes[ic].0 / terms, sizes[ic].1 / terms);
            let inner =
                (sums[ic].1 + hat(i, ic) * sums[ic].0) / terms + EPS * (4.0 * dy[i].abs() + 8.0 * plain + 16.0 * along);
            (gamma[channel] * rstd(ic)).abs() * inner + 10.0 * EPS * dx.abs() + f32::MIN_POSITIVE
        };
        vec![reference[0].iter().enumerate().map(dx).collect(), of_all(|sum| sum.0, 1), of_all(|sum| sum.1, 2)]
    }

    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(4) => (0..len).map(|_| 0.05 + draw()).collect(),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }
}

/// Odd shapes of [`BatchNormGrad`].
pub fn cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(|[groups, n, c, hw]| Box::new(BatchNormGrad { groups, n, c, hw, eps: 1e-5 }) as Box<dyn Kernel>).into()
}

/// Shapes of the presets for [`BatchNormGrad`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    SHAPES.map(|[groups, n, c, hw]| Box::new(BatchNormGrad { groups, n, c, hw, eps: 1e-5 }) as Box<dyn Kernel>).into()
}
