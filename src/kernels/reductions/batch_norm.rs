//! Batch normalisation with the statistics of the batch (Ioffe & Szegedy 2015, algorithm 1), and
//! its gradient.

use crate::kernels::activation::{Activation, ActivationBlock};
use crate::kernels::pointwise::{Operation, activate};
use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// x `[n, c, hw]`, gamma `[c]`, beta `[c]` -> y `[n, c, hw]`, mean `[c]`, variance `[c]`
    /// (biased): y = act(gamma (x - mean) / sqrt(variance + eps) + beta).
    pub struct BatchNorm {
        /// Samples.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Pixels of a channel.
        pub hw: u32,
        /// Added to the variance.
        pub eps: f32,
        /// The activation.
        pub act: ActivationBlock,
    }
}

params! {
    /// dy `[n, c, hw]` (the gradient in front of the activation), x `[n, c, hw]`, gamma, mean,
    /// variance `[c]` -> dx `[n, c, hw]`, dgamma `[c]`, dbeta `[c]`.
    pub struct BatchNormGrad {
        /// Samples.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Pixels of a channel.
        pub hw: u32,
        /// Added to the variance.
        pub eps: f32,
    }
}

static FORWARD: Signature = Signature {
    name: "batch_norm",
    reads: &["x", "gamma", "beta"],
    writes: &[("y", Access::Write), ("mean", Access::Write), ("variance", Access::Write)],
};

static BACKWARD: Signature = Signature {
    name: "batch_norm_grad",
    reads: &["dy", "x", "gamma", "mean", "variance"],
    writes: &[("grad_x", Access::Write), ("dgamma", Access::Write), ("dbeta", Access::Write)],
};

params! {
    /// The block of `batch_norm_stats.wgsl`.
    pub struct StatsStage {
        /// Samples.
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
    /// The block of `batch_norm_combine.wgsl`.
    pub struct CombineStage {
        /// Channels.
        pub c: u32,
        /// Numbers of a channel.
        pub terms: u32,
        /// Numbers of a chunk.
        pub chunk: u32,
        /// Chunks of a channel.
        pub chunks: u32,
    }
}

params! {
    /// The block of `batch_norm_grad_sums.wgsl`.
    pub struct GradSumsStage {
        /// Samples.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Pixels of a channel, in elements of the shader.
        pub hw: u32,
        /// Elements of a chunk.
        pub chunk: u32,
        /// Chunks of a channel.
        pub chunks: u32,
        /// Added to the variance.
        pub eps: f32,
    }
}

/// One shader at both widths of its elements.
macro_rules! widths {
    ($block:ty, $name:literal) => {
        [shader!($block, $name, width = "1"), shader!($block, $name as concat!($name, "4"), width = "4")]
    };
}

static CHANNEL: [Shader; 2] = widths!(BatchNorm, "batch_norm_channel");
static STATS: [Shader; 2] = widths!(StatsStage, "batch_norm_stats");
static COMBINE: Shader = shader!(CombineStage, "batch_norm_combine");
static APPLY: [Shader; 2] = widths!(BatchNorm, "batch_norm_apply");
static GRAD_CHANNEL: [Shader; 2] = widths!(BatchNormGrad, "batch_norm_grad_channel");
static GRAD_SUMS: [Shader; 2] = widths!(GradSumsStage, "batch_norm_grad_sums");
static GRAD_APPLY: [Shader; 2] = widths!(BatchNormGrad, "batch_norm_grad_apply");

fn pick(shaders: &'static [Shader; 2], wide: bool) -> &'static Shader {
    &shaders[usize::from(wide)]
}

/// Lanes that share a channel or a chunk.
fn lanes(caps: &Caps) -> u32 {
    match caps.class {
        Class::Lanes => 8,
        Class::Gpu => 256,
    }
}

/// Elements of a chunk, and chunks, for a channel of `count` elements.
fn split(count: u32, caps: &Caps) -> (u32, u32) {
    let chunk = (8 * lanes(caps)).max(256).min(count);
    (chunk, count.div_ceil(chunk))
}

/// A channel to a workgroup needs one dispatch and keeps the channel in cache, but leaves a GPU
/// idle when channels are few and long.
fn order(channel: Recipe, split: Recipe, chunks: u32, caps: &Caps) -> Vec<Recipe> {
    match caps.class {
        Class::Gpu if chunks > 2 => vec![split, channel],
        _ => vec![channel, split],
    }
}

/// Additions the worst-placed of `terms` terms goes through: a run of 64, the runs of one of eight
/// lanes, the lanes.
fn depth(terms: u32) -> usize {
    let terms = terms as usize;
    terms.min(64 + terms / 512 + 1) + 8
}

/// The indices of a channel's elements in `[n, c, hw]`.
fn channel(n: u32, c: u32, hw: u32, ic: usize) -> impl Iterator<Item = usize> {
    let [n, c, hw] = [n, c, hw].map(|v| v as usize);
    (0..n).flat_map(move |i| (0..hw).map(move |k| (i * c + ic) * hw + k))
}

/// Pixels of a channel below which the reference is as fast.
const FEW: u32 = 8;
/// Neighbouring elements of an image that a task takes, about: whole channels, one at least.
const TOGETHER: usize = 1024;

/// The planes of some channels of `[n, c, hw]`: for each few channels a slice of every image.
fn by_channels(y: &mut [f32], c: usize, hw: usize) -> Vec<Vec<&mut [f32]>> {
    let together = (TOGETHER / hw).clamp(1, c);
    let mut tasks: Vec<Vec<&mut [f32]>> = (0..c.div_ceil(together)).map(|_| Vec::new()).collect();
    for image in y.chunks_mut(c * hw) {
        std::iter::zip(&mut tasks, image.chunks_mut(together * hw)).for_each(|(task, y)| task.push(y));
    }
    tasks
}

host::wide! {
    /// y = factor (x - mean) + beta.
    fn normalise(x: &[f32], mean: f32, factor: f32, beta: f32, y: &mut [f32]) {
        for (y, x) in std::iter::zip(y, x) {
            *y = factor * (x - mean) + beta;
        }
    }
}

host::wide! {
    /// dx = factor (dy - plain - along (x - mean)).
    fn backward(dy: &[f32], x: &[f32], mean: f32, factor: f32, means: [f32; 2], dx: &mut [f32]) {
        let [along, plain] = means;
        for (dx, (dy, x)) in std::iter::zip(dx, std::iter::zip(dy, x)) {
            *dx = factor * (dy - (plain + along * (x - mean)));
        }
    }
}

impl Kernel for BatchNorm {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let c = self.c as usize;
        let all = self.n as usize * c * self.hw as usize;
        Lens { reads: vec![all, c, c], writes: vec![all, c, c] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[x, gamma, beta] = reads else { return };
        let [y, mean, var] = writes else { return };
        let (c, hw) = (self.c as usize, self.hw as usize);
        let terms = f64::from(self.n) * f64::from(self.hw);
        let elements = |ic| channel(self.n, self.c, self.hw, ic).map(|i| f64::from(x[i]));
        let moments = |ic| {
            let mean = elements(ic).sum::<f64>() / terms;
            (mean, elements(ic).map(|v| (v - mean) * (v - mean)).sum::<f64>() / terms)
        };
        let moments: Vec<(f64, f64)> = (0..c).into_par_iter().map(moments).collect();
        let act = self.act.activation();
        y.par_chunks_mut(hw).enumerate().for_each(|(plane, y)| {
            let ic = plane % c;
            let rstd = 1.0 / (moments[ic].1 + f64::from(self.eps)).sqrt();
            for (k, y) in y.iter_mut().enumerate() {
                let hat = (f64::from(x[plane * hw + k]) - moments[ic].0) * rstd;
                *y = act.apply((f64::from(gamma[ic]) * hat + f64::from(beta[ic])) as f32);
            }
        });
        for ic in 0..c {
            (mean[ic], var[ic]) = (moments[ic].0 as f32, moments[ic].1 as f32);
        }
    }

    /// Some channels to a task: they stay in cache from their means to what is made of them.
    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        if self.hw < FEW {
            return self.cpu(reads, writes);
        }
        let &[x, gamma, beta] = reads else { return };
        let [y, mean, var] = writes else { return };
        let (n, c, hw) = (self.n as usize, self.c as usize, self.hw as usize);
        let terms = f64::from(self.n) * f64::from(self.hw);
        let act = Operation::of(self.act.activation());
        let mut tasks = by_channels(y, c, hw);
        let together = tasks[0][0].len() / hw;
        let one = |(task, images): (usize, &mut Vec<&mut [f32]>)| -> Vec<[f32; 2]> {
            let channels = task * together..c.min((task + 1) * together);
            // Image by image, as x lies in memory; from there on it is in cache.
            let mut sums = vec![0.0; channels.len()];
            for x in x.chunks(c * hw) {
                let planes = x[channels.start * hw..channels.end * hw].chunks(hw);
                std::iter::zip(&mut sums, planes).for_each(|(sum, plane)| *sum += host::sum(plane));
            }
            // What an image is made with: the mean as it is rounded, a factor, and what is added.
            let mut lines = Vec::new();
            let moments = std::iter::zip(channels.clone(), sums).map(|(ic, sum)| {
                let planes = host::Planes { first: ic * hw, len: hw, step: c * hw, count: n };
                let rough = (sum / terms) as f32;
                let [d, square] = host::around(x, planes, rough);
                // What the first mean is off by, for it is rounded, is in the second sum.
                let off = d / terms;
                let (mean, var) = (f64::from(rough) + off, square / terms - off * off);
                let factor = f64::from(gamma[ic]) / (var + f64::from(self.eps)).sqrt();
                lines.push([rough, factor as f32, (f64::from(beta[ic]) - factor * off) as f32]);
                [mean as f32, var as f32]
            });
            let moments = moments.collect();
            for (i, y) in images.iter_mut().enumerate() {
                let x = &x[i * c * hw + channels.start * hw..][..y.len()];
                for ((x, y), [mean, factor, beta]) in std::iter::zip(x.chunks(hw), y.chunks_mut(hw)).zip(&lines) {
                    normalise(x, *mean, *factor, *beta, y);
                }
                activate(act, y);
            }
            moments
        };
        let moments: Vec<Vec<[f32; 2]>> = tasks.par_iter_mut().enumerate().map(one).collect();
        for (ic, [m, v]) in moments.into_iter().flatten().enumerate() {
            (mean[ic], var[ic]) = (m, v);
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let wide = self.hw.is_multiple_of(4);
        let width = if wide { 4 } else { 1 };
        let p = BatchNorm { hw: self.hw / width, ..*self };
        let channel = Stage::new(pick(&CHANNEL, wide), &p, grid_1d(p.c as usize, caps))
            .constant("WG", lanes(caps))
            .constant("ACT", self.act.code)
            .operands(self.signature());
        let channel = Recipe::single("channel", channel);
        let (chunk, chunks) = split(p.n * p.hw, caps);
        let part = StatsStage { n: p.n, c: p.c, hw: p.hw, chunk, chunks };
        let stats = Stage::new(pick(&STATS, wide), &part, grid_1d((p.c * chunks) as usize, caps))
            .constant("WG", lanes(caps))
            .bind("x", Slot::Read(0))
            .bind("part", Slot::ScratchOut(0));
        let whole = CombineStage { c: p.c, terms: p.n * self.hw, chunk: chunk * width, chunks };
        let combine = Stage::new(&COMBINE, &whole, grid_1d(p.c as usize, caps))
            .constant("WG", lanes(caps).min(64))
            .bind("part", Slot::ScratchIn(0))
            .bind("mean", Slot::Write(1))
            .bind("variance", Slot::Write(2));
        let apply = flat(pick(&APPLY, wide), &p, (p.n * p.c * p.hw) as usize, caps)
            .constant("ACT", self.act.code)
            .operands(self.signature());
        let scratch = vec![2 * (p.c * chunks) as usize];
        let split = Recipe { name: "split", scratch, stages: vec![stats, combine, apply] };
        order(channel, split, chunks, caps)
    }

    fn flops(&self) -> u64 {
        8 * u64::from(self.n) * u64::from(self.c) * u64::from(self.hw)
    }

    fn label(&self) -> String {
        let BatchNorm { n, c, hw, act, .. } = self;
        format!("x[{n},{c},{hw}] act {}", act.code)
    }

    fn fuse(&self, epilogue: Epilogue) -> Option<Fused> {
        match epilogue {
            Epilogue::Activation(act) if self.act.code == 0 => {
                Some(Fused { kernel: Arc::new(BatchNorm { act: act.into(), ..*self }), read: None })
            }
            _ => None,
        }
    }
}

impl Checks for BatchNorm {
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[x, gamma, beta] = reads else { return Vec::new() };
        let (c, hw, terms) = (self.c as usize, self.hw as usize, (self.n * self.hw) as f32);
        let share = |magnitude: f32| sum_bound(depth(self.n * self.hw), magnitude / terms);
        let moments: Vec<(f32, f32)> = (0..c)
            .map(|ic| {
                let (mean, var) = (reference[1][ic], reference[2][ic]);
                let elements = || channel(self.n, self.c, self.hw, ic).map(|i| x[i]);
                // What the first pass may be off; the second is taken around it and corrects it.
                let rough = share(elements().map(f32::abs).sum());
                let around = share(elements().map(|v| (v - mean).abs() + rough).sum());
                let d_mean = around + 3.0 * EPS * mean.abs();
                let d_var = share((var + rough * rough) * terms) + 4.0 * EPS * var + 4.0 * around * around;
                (d_mean, d_var)
            })
            .collect();
        let act = self.act.activation();
        let steepest = self.act.slope.abs().max(1.0);
        let y = |(i, y): (usize, &f32)| {
            let ic = i / hw % c;
            let (d_mean, d_var) = moments[ic];
            let inside = reference[2][ic] + self.eps;
            let rstd = 1.0 / inside.sqrt();
            let hat = (x[i] - reference[1][ic]).abs() * rstd;
            let d_hat = rstd * d_mean + (hat + rstd * d_mean) * (d_var / inside + 8.0 * EPS);
            let inner = gamma[ic].abs() * d_hat + 3.0 * EPS * (gamma[ic].abs() * hat + beta[ic].abs());
            let outer = match act {
                Activation::Identity | Activation::Relu | Activation::LeakyRelu(_) => 2.0 * EPS * y.abs(),
                // Errors of the exponential, whose argument is at most a few units.
                _ => 12.0 * EPS,
            };
            steepest * inner + outer + f32::MIN_POSITIVE
        };
        vec![
            reference[0].iter().enumerate().map(y).collect(),
            moments.iter().map(|m| m.0).collect(),
            moments.iter().map(|m| m.1 + f32::MIN_POSITIVE).collect(),
        ]
    }

    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            // Off centre, so that a variance computed as E x² - (E x)² would show.
            Operand::Read(0) => (0..len).map(|_| 30.0 + 2.0 * draw()).collect(),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }
}

impl Kernel for BatchNormGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let c = self.c as usize;
        let all = self.n as usize * c * self.hw as usize;
        Lens { reads: vec![all, all, c, c, c], writes: vec![all, c, c] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dy, x, gamma, mean, var] = reads else { return };
        let [dx, dgamma, dbeta] = writes else { return };
        let (c, hw) = (self.c as usize, self.hw as usize);
        let terms = f64::from(self.n) * f64::from(self.hw);
        let rstd = |ic: usize| 1.0 / (f64::from(var[ic]) + f64::from(self.eps)).sqrt();
        let hat = |i: usize, ic: usize| (f64::from(x[i]) - f64::from(mean[ic])) * rstd(ic);
        let sums = |ic: usize| {
            channel(self.n, self.c, self.hw, ic).fold((0.0, 0.0), |(g, b), i| {
                let d = f64::from(dy[i]);
                (g + d * hat(i, ic), b + d)
            })
        };
        let sums: Vec<(f64, f64)> = (0..c).into_par_iter().map(sums).collect();
        dx.par_chunks_mut(hw).enumerate().for_each(|(plane, dx)| {
            let ic = plane % c;
            let factor = f64::from(gamma[ic]) * rstd(ic);
            for (k, dx) in dx.iter_mut().enumerate() {
                let i = plane * hw + k;
                let along = (sums[ic].1 + hat(i, ic) * sums[ic].0) / terms;
                *dx = (factor * (f64::from(dy[i]) - along)) as f32;
            }
        });
        for ic in 0..c {
            (dgamma[ic], dbeta[ic]) = (sums[ic].0 as f32, sums[ic].1 as f32);
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        if self.hw < FEW {
            return self.cpu(reads, writes);
        }
        let &[dy, x, gamma, mean, var] = reads else { return };
        let [dx, dgamma, dbeta] = writes else { return };
        let (n, c, hw) = (self.n as usize, self.c as usize, self.hw as usize);
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
        let channel = Stage::new(pick(&GRAD_CHANNEL, wide), &p, grid_1d(p.c as usize, caps));
        let channel = Recipe::single("channel", channel.constant("WG", lanes(caps)).operands(&BACKWARD));
        let (chunk, chunks) = split(p.n * p.hw, caps);
        let part = GradSumsStage { n: p.n, c: p.c, hw: p.hw, chunk, chunks, eps: p.eps };
        let sums = Stage::new(pick(&GRAD_SUMS, wide), &part, grid_1d((p.c * chunks) as usize, caps))
            .constant("WG", lanes(caps))
            .bind("dy", Slot::Read(0))
            .bind("x", Slot::Read(1))
            .bind("mean", Slot::Read(3))
            .bind("variance", Slot::Read(4))
            .bind("part_gamma", Slot::ScratchOut(0))
            .bind("part_beta", Slot::ScratchOut(1));
        let total = |from: usize, to: usize| {
            reduce::total(p.c, chunks, caps).bind("x", Slot::ScratchIn(from)).bind("y", Slot::Write(to))
        };
        let apply = flat(pick(&GRAD_APPLY, wide), &p, (p.n * p.c * p.hw) as usize, caps).operands(&BACKWARD);
        let split = Recipe {
            name: "split",
            scratch: vec![(p.c * chunks) as usize; 2],
            stages: vec![sums, total(0, 1), total(1, 2), apply],
        };
        order(channel, split, chunks, caps)
    }

    fn flops(&self) -> u64 {
        11 * u64::from(self.n) * u64::from(self.c) * u64::from(self.hw)
    }

    fn label(&self) -> String {
        let BatchNormGrad { n, c, hw, .. } = self;
        format!("dy[{n},{c},{hw}]")
    }
}

impl Checks for BatchNormGrad {
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[dy, x, gamma, mean, var] = reads else { return Vec::new() };
        let (c, hw, terms) = (self.c as usize, self.hw as usize, (self.n * self.hw) as f32);
        let rstd = |ic: usize| 1.0 / (var[ic] + self.eps).sqrt();
        let hat = |i: usize, ic: usize| ((x[i] - mean[ic]) * rstd(ic)).abs();
        let sums = |ic: usize| {
            let depth = depth(self.n * self.hw);
            let (along, plain) = channel(self.n, self.c, self.hw, ic)
                .fold((0.0, 0.0), |(a, b), i| (a + dy[i].abs() * hat(i, ic), b + dy[i].abs()));
            (sum_bound(depth + 10, along), sum_bound(depth, plain))
        };
        let sums: Vec<(f32, f32)> = (0..c).map(sums).collect();
        let dx = |(i, dx): (usize, &f32)| {
            let ic = i / hw % c;
            let (along, plain) = (hat(i, ic) * reference[1][ic].abs() / terms, reference[2][ic].abs() / terms);
            let inner =
                (sums[ic].1 + hat(i, ic) * sums[ic].0) / terms + EPS * (4.0 * dy[i].abs() + 8.0 * plain + 16.0 * along);
            (gamma[ic] * rstd(ic)).abs() * inner + 10.0 * EPS * dx.abs() + f32::MIN_POSITIVE
        };
        vec![
            reference[0].iter().enumerate().map(dx).collect(),
            sums.iter().map(|s| s.0).collect(),
            sums.iter().map(|s| s.1).collect(),
        ]
    }

    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(4) => (0..len).map(|_| 0.05 + draw()).collect(),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }
}

const CASES: [[u32; 3]; 8] =
    [[1, 5, 1], [1, 1, 2], [2, 3, 1], [5, 7, 9], [3, 2, 16], [64, 3, 49], [7, 5, 1012], [130, 11, 1]];

/// Odd shapes of [`BatchNorm`], each with another activation.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |(i, [n, c, hw]): (usize, [u32; 3])| {
        Box::new(BatchNorm { n, c, hw, eps: 1e-5, act: ActivationBlock { code: i as u32 % 6, slope: 0.2 } })
            as Box<dyn Kernel>
    };
    CASES.into_iter().enumerate().map(case).collect()
}

/// Odd shapes of [`BatchNormGrad`].
pub fn grad_cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(|[n, c, hw]| Box::new(BatchNormGrad { n, c, hw, eps: 1e-5 }) as Box<dyn Kernel>).into()
}

const SHAPES: [[u32; 3]; 3] = [[64, 128, 49], [64, 64, 196], [64, 64, 784]];

/// Shapes of the presets for [`BatchNorm`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let case = |[n, c, hw]: [u32; 3]| BatchNorm { n, c, hw, eps: 1e-5, act: Activation::Relu.into() };
    SHAPES.map(|shape| Box::new(case(shape)) as Box<dyn Kernel>).into()
}

/// Shapes of the presets for [`BatchNormGrad`].
pub fn grad_shapes() -> Vec<Box<dyn Kernel>> {
    SHAPES.map(|[n, c, hw]| Box::new(BatchNormGrad { n, c, hw, eps: 1e-5 }) as Box<dyn Kernel>).into()
}
