//! Batch normalisation with the statistics of the batch (Ioffe & Szegedy 2015, algorithm 1), and
//! what it shares with its gradient.

use super::columns::Columns;
use crate::kernels::activation::{Activation, ActivationBlock};
use crate::kernels::pointwise::{Operation, activate};
use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// x `[groups, n, c, hw]`, gamma `[c]`, beta `[c]` -> y `[groups, n, c, hw]`, mean
    /// `[c, groups]`, variance `[c, groups]` (biased): y = act(gamma (x - mean) / sqrt(variance + eps)
    /// + beta). Groups are batches of which each is normalised by itself.
    pub struct BatchNorm {
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
        /// The activation.
        pub act: ActivationBlock,
    }
}

static FORWARD: Signature = Signature {
    name: "batch_norm",
    reads: &["x", "gamma", "beta"],
    writes: &[("y", Access::Write), ("mean", Access::Write), ("variance", Access::Write)],
};

params! {
    /// The block of `batch_norm_stats.wgsl`.
    pub struct StatsStage {
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
        /// Runs of as many numbers each, of which the last chunk is shorter.
        pub runs: u32,
    }
}

/// One shader at both widths of its elements.
macro_rules! widths {
    ($block:ty, $name:literal) => {
        [shader!($block, $name, width = "1"), shader!($block, $name as concat!($name, "4"), width = "4")]
    };
}
pub(super) use widths;

static CHANNEL: [Shader; 2] = widths!(BatchNorm, "batch_norm_channel");
static STATS: [Shader; 2] = widths!(StatsStage, "batch_norm_stats");
static COMBINE: Shader = shader!(CombineStage, "batch_norm_combine");
static APPLY: [Shader; 2] = widths!(BatchNorm, "batch_norm_apply");
pub(super) static COLUMNS_STATS: Shader = shader!(Columns, "batch_norm_columns_stats");
static COLUMNS_APPLY: Shader = shader!(Columns, "batch_norm_columns_apply");

pub(super) fn pick(shaders: &'static [Shader; 2], wide: bool) -> &'static Shader {
    &shaders[usize::from(wide)]
}

/// Lanes that share a channel or a chunk.
pub(super) fn lanes(caps: &Caps) -> u32 {
    match caps.class {
        Class::Lanes => 8,
        Class::Gpu => 256,
    }
}

/// Elements of a chunk, and chunks, for a channel of `count` elements.
pub(super) fn split(count: u32, caps: &Caps) -> (u32, u32) {
    let chunk = (8 * lanes(caps)).max(256).min(count);
    (chunk, count.div_ceil(chunk))
}

/// A channel to a workgroup needs one dispatch and keeps the channel in cache, but leaves a GPU
/// idle when channels are few and long. Where they are neighbours, a GPU takes some together.
pub(super) fn order(channel: Recipe, split: Recipe, columns: Option<Recipe>, chunks: u32, caps: &Caps) -> Vec<Recipe> {
    let columns = columns.into_iter();
    match caps.class {
        Class::Gpu if chunks > 2 => columns.chain([split, channel]).collect(),
        Class::Gpu => columns.chain([channel, split]).collect(),
        Class::Lanes => [channel, split].into_iter().chain(columns).collect(),
    }
}

/// Additions the worst-placed of `terms` terms goes through: a run of 64, the runs of one of eight
/// lanes, the lanes.
pub(super) fn depth(terms: u32) -> usize {
    let terms = terms as usize;
    terms.min(64 + terms / 512 + 1) + 8
}

/// The stage that makes means and variances of those of chunks in scratch buffer 0: of so many channels
/// of all groups, each of so many elements, elements to a chunk, and chunks.
fn combine(numbers: usize, [terms, chunk, chunks]: [u32; 3], caps: &Caps) -> Stage {
    let whole = CombineStage { c: numbers as u32, terms, chunk, chunks, runs: 1 };
    Stage::new(&COMBINE, &whole, grid_1d(numbers, caps))
        .constant("WG", lanes(caps).min(64))
        .bind("part", Slot::ScratchIn(0))
        .bind("mean", Slot::Write(1))
        .bind("variance", Slot::Write(2))
}

/// The first extent for people, who hear of groups only where there are several.
pub(super) fn of_groups(groups: u32) -> String {
    if groups == 1 { String::new() } else { format!("{groups},") }
}

/// The extents of `[groups, n, c, hw]`. Channel c of group g has the number c·groups + g.
#[derive(Clone, Copy)]
pub(super) struct Extents(pub(super) [usize; 4]);

impl Extents {
    pub(super) fn len(self) -> usize {
        self.0.iter().product()
    }

    /// Channels of all groups.
    pub(super) fn numbers(self) -> usize {
        self.0[0] * self.0[2]
    }

    /// The indices of the elements of the channel of this number.
    pub(super) fn of(self, number: usize) -> impl Iterator<Item = usize> {
        let [groups, n, c, hw] = self.0;
        let (group, channel) = (number % groups, number / groups);
        (group * n..(group + 1) * n).flat_map(move |i| (0..hw).map(move |k| (i * c + channel) * hw + k))
    }

    /// The channel that a plane is of, and its number.
    pub(super) fn at(self, plane: usize) -> [usize; 2] {
        let [groups, n, c, _] = self.0;
        [plane % c, plane % c * groups + plane / (n * c)]
    }
}

impl BatchNorm {
    fn extents(&self) -> Extents {
        Extents([self.groups, self.n, self.c, self.hw].map(|extent| extent as usize))
    }

    /// The variant for samples of one pixel.
    fn columns(&self, caps: &Caps) -> Option<Recipe> {
        let p = Columns::of([self.groups, self.n, self.c, self.hw], self.eps, self.act.slope)?;
        let numbers = self.extents().numbers();
        let stats = p.stage(&COLUMNS_STATS, caps).bind("x", Slot::Read(0)).bind("part", Slot::ScratchOut(0));
        let combine = combine(numbers, [p.n, p.chunk, p.chunks], caps);
        let apply = p.stage(&COLUMNS_APPLY, caps).constant("ACT", self.act.code).operands(&FORWARD);
        let scratch = vec![2 * numbers * p.chunks as usize];
        Some(Recipe { name: "columns", scratch, stages: vec![stats, combine, apply] })
    }
}

/// Pixels of a channel below which the reference is as fast.
pub(super) const FEW: u32 = 8;
/// Neighbouring elements of an image that a task takes, about: whole channels, one at least.
pub(super) const TOGETHER: usize = 1024;

/// The planes of some channels of `[n, c, hw]`: for each few channels a slice of every image.
pub(super) fn by_channels(y: &mut [f32], c: usize, hw: usize) -> Vec<Vec<&mut [f32]>> {
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

impl Kernel for BatchNorm {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let (c, all, numbers) = (self.c as usize, self.extents().len(), self.extents().numbers());
        Lens { reads: vec![all, c, c], writes: vec![all, numbers, numbers] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[x, gamma, beta] = reads else { return };
        let [y, mean, var] = writes else { return };
        let (extents, hw) = (self.extents(), self.hw as usize);
        let terms = f64::from(self.n) * f64::from(self.hw);
        let elements = |number| extents.of(number).map(|i| f64::from(x[i]));
        let moments = |number| {
            let mean = elements(number).sum::<f64>() / terms;
            (mean, elements(number).map(|v| (v - mean) * (v - mean)).sum::<f64>() / terms)
        };
        let moments: Vec<(f64, f64)> = (0..extents.numbers()).into_par_iter().map(moments).collect();
        let act = self.act.activation();
        y.par_chunks_mut(hw).enumerate().for_each(|(plane, y)| {
            let [channel, number] = extents.at(plane);
            let rstd = 1.0 / (moments[number].1 + f64::from(self.eps)).sqrt();
            for (k, y) in y.iter_mut().enumerate() {
                let hat = (f64::from(x[plane * hw + k]) - moments[number].0) * rstd;
                *y = act.apply((f64::from(gamma[channel]) * hat + f64::from(beta[channel])) as f32);
            }
        });
        for (number, moments) in moments.into_iter().enumerate() {
            (mean[number], var[number]) = (moments.0 as f32, moments.1 as f32);
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
        if self.groups > 1 {
            let (one, groups) = (BatchNorm { groups: 1, ..*self }, self.groups as usize);
            for (g, (x, y)) in std::iter::zip(x.chunks(n * c * hw), y.chunks_mut(n * c * hw)).enumerate() {
                let (mut means, mut vars) = (vec![0.0; c], vec![0.0; c]);
                one.host(&[x, gamma, beta], &mut [y, &mut means, &mut vars]);
                for (ic, moments) in std::iter::zip(means, vars).enumerate() {
                    (mean[ic * groups + g], var[ic * groups + g]) = moments;
                }
            }
            return;
        }
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
        let numbers = self.extents().numbers();
        let channel = Stage::new(pick(&CHANNEL, wide), &p, grid_1d(numbers, caps))
            .constant("WG", lanes(caps))
            .constant("ACT", self.act.code)
            .operands(self.signature());
        let channel = Recipe::single("channel", channel);
        let (chunk, chunks) = split(p.n * p.hw, caps);
        let part = StatsStage { groups: p.groups, n: p.n, c: p.c, hw: p.hw, chunk, chunks };
        let stats = Stage::new(pick(&STATS, wide), &part, grid_1d(numbers * chunks as usize, caps))
            .constant("WG", lanes(caps))
            .bind("x", Slot::Read(0))
            .bind("part", Slot::ScratchOut(0));
        let combine = combine(numbers, [p.n * self.hw, chunk * width, chunks], caps);
        let apply = flat(pick(&APPLY, wide), &p, (p.groups * p.n * p.c * p.hw) as usize, caps)
            .constant("ACT", self.act.code)
            .operands(self.signature());
        let scratch = vec![2 * numbers * chunks as usize];
        let split = Recipe { name: "split", scratch, stages: vec![stats, combine, apply] };
        order(channel, split, self.columns(caps), chunks, caps)
    }

    fn flops(&self) -> u64 {
        8 * self.extents().len() as u64
    }

    fn label(&self) -> String {
        let BatchNorm { n, c, hw, act, .. } = self;
        format!("x[{}{n},{c},{hw}] act {}", of_groups(self.groups), act.code)
    }

    /// With their channels last, images are as many samples of one pixel.
    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let own = Some(Images { channels: self.c, plane: self.hw });
        let kernel = Arc::new(BatchNorm { n: self.n * self.hw, hw: 1, ..*self });
        let operands_last = vec![true, false, false, true, false, false];
        (operands[0] == own && operands[3] == own).then_some(ChannelsLast { kernel, operands: operands_last })
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
        let (extents, hw, terms) = (self.extents(), self.hw as usize, (self.n * self.hw) as f32);
        let share = |magnitude: f32| sum_bound(depth(self.n * self.hw), magnitude / terms);
        let moments: Vec<(f32, f32)> = (0..extents.numbers())
            .map(|ic| {
                let (mean, var) = (reference[1][ic], reference[2][ic]);
                let elements = || extents.of(ic).map(|i| x[i]);
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
            let [ic, number] = extents.at(i / hw);
            let (d_mean, d_var) = moments[number];
            let inside = reference[2][number] + self.eps;
            let rstd = 1.0 / inside.sqrt();
            let hat = (x[i] - reference[1][number]).abs() * rstd;
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

/// Groups, samples, channels and pixels.
pub(super) const CASES: [[u32; 4]; 17] = [
    [1, 1, 5, 1],
    [1, 1, 1, 2],
    [1, 2, 3, 1],
    [1, 5, 7, 9],
    [1, 3, 2, 16],
    [1, 64, 3, 49],
    [1, 7, 5, 1012],
    [1, 130, 11, 1],
    [2, 5, 3, 9],
    [3, 2, 4, 1],
    [2, 7, 5, 516],
    [1, 70, 4, 1],
    [2, 1300, 72, 1],
    [1, 2050, 36, 1],
    [1, 2, 71, 8],
    [67, 2, 64, 1],
    [2, 70, 68, 1],
];

/// Odd shapes of [`BatchNorm`], each with another activation.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |(i, [groups, n, c, hw]): (usize, [u32; 4])| {
        Box::new(BatchNorm { groups, n, c, hw, eps: 1e-5, act: ActivationBlock { code: i as u32 % 6, slope: 0.2 } })
            as Box<dyn Kernel>
    };
    CASES.into_iter().enumerate().map(case).collect()
}

pub(super) const SHAPES: [[u32; 4]; 4] = [[1, 64, 128, 49], [1, 64, 64, 196], [1, 64, 64, 784], [2, 64, 128, 49]];

/// Shapes of the presets for [`BatchNorm`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let case = |[groups, n, c, hw]: [u32; 4]| BatchNorm { groups, n, c, hw, eps: 1e-5, act: Activation::Relu.into() };
    SHAPES.map(|shape| Box::new(case(shape)) as Box<dyn Kernel>).into()
}
