//! What the kernels of optimisers share: the learning rate, the launch, and the moving average of
//! the parameters that is kept in the same launch.

use super::ema::{Ema, follow};
use super::schedule::{Falling, Schedule};
use crate::kernels::*;
use rayon::prelude::*;
use std::f64::consts::PI;

params! {
    /// A learning rate, as a block inside of an optimiser's: lr exp(t ln_decay) at update t, times
    /// the factor of its [`Schedule`] at training step s, which is at x = min(s per_step, 1) of its
    /// way: exp(x ln_end), or end + (1 - end) (1 + cos πx) / 2 where it is a cosine; times
    /// min((s + 1) warm, 1).
    pub struct RateBlock {
        /// At step 0.
        pub start: f32,
        /// Logarithm of its factor per update.
        pub ln_decay: f32,
        /// How much of the schedule is gone at a training step; 0 for none.
        pub per_step: f32,
        /// Its factor at the schedule's end.
        pub end: f32,
        /// The logarithm of that, from the host's double.
        pub ln_end: f32,
        /// 1: the way there is a cosine.
        pub cosine: u32,
        /// How much of the warm-up is gone at a training step; 0 for none.
        pub warm: f32,
    }
}

impl RateBlock {
    /// One that is multiplied by `decay` at every update, and by what a schedule says.
    pub fn new(start: f64, decay: f64, schedule: &Schedule) -> RateBlock {
        let Schedule { kind, end, steps, warm_up } = *schedule;
        let scheduled = kind != Falling::Constant && steps > 0;
        RateBlock {
            start: start as f32,
            ln_decay: decay.ln() as f32,
            per_step: if scheduled { (1.0 / f64::from(steps)) as f32 } else { 0.0 },
            end: end as f32,
            ln_end: end.ln() as f32,
            cosine: u32::from(kind == Falling::Cosine),
            warm: if warm_up > 0 { (1.0 / f64::from(warm_up)) as f32 } else { 0.0 },
        }
    }

    /// The rate at a clock of updates and one of training steps.
    pub fn at(&self, [clock, steps]: [&[f32]; 2]) -> f64 {
        let s = f64::from(step(steps));
        let decayed = f64::from(self.start) * (f64::from(step(clock)) * f64::from(self.ln_decay)).exp();
        let x = (s * f64::from(self.per_step)).min(1.0);
        let end = f64::from(self.end);
        let factor = match self.cosine {
            _ if self.per_step == 0.0 => 1.0,
            0 => (x * f64::from(self.ln_end)).exp(),
            _ => end + (1.0 - end) * (0.5 + 0.5 * (PI * x).cos()),
        };
        let warm = if self.warm > 0.0 { ((s + 1.0) * f64::from(self.warm)).min(1.0) } else { 1.0 };
        decayed * factor * warm
    }

    /// The relative error permitted to it on a device: products, exponentials and the cosine.
    pub fn error(&self, [clock, steps]: [&[f32]; 2]) -> f32 {
        let x = step(clock) as f32 * self.ln_decay;
        let way = (step(steps) as f32 * self.per_step).min(1.0);
        let factor = match self.cosine {
            _ if self.per_step == 0.0 => 0.0,
            0 => exp_error(way * self.ln_end) + 3.0 * (way * self.ln_end).abs() * EPS,
            // The way is off by two roundings, whose slope is at most π/2, and the sum by three; the
            // factor is no less than the end's.
            _ => (4.0 * way + 6.0) * EPS / self.end,
        };
        let warm = if self.warm > 0.0 { 4.0 * EPS } else { 0.0 };
        exp_error(x) + (x.abs() + 2.0) * EPS + factor + warm + 2.0 * EPS
    }

    /// What it is besides its start, for people.
    fn label(&self) -> String {
        let falls = if self.cosine == 1 { "cosine" } else { "exponential" };
        let scheduled = if self.per_step > 0.0 { format!(" {falls} to {}", self.end) } else { String::new() };
        scheduled + if self.warm > 0.0 { " warming up" } else { "" }
    }

    /// Those of cases: a rate without a schedule.
    pub(super) fn example(start: f32, ln_decay: f32) -> RateBlock {
        RateBlock { start, ln_decay, ..RateBlock::new(1.0, 1.0, &Schedule::default()) }
    }

    /// Those of cases: every kind of schedule, on the way of clocks of up to a thousand.
    pub(super) fn scheduled() -> [RateBlock; 4] {
        let of = |kind, end, steps, warm_up| RateBlock::new(1e-3, 1.0, &Schedule { kind, end, steps, warm_up });
        [
            of(Falling::Cosine, 0.01, 1000, 0),
            of(Falling::Cosine, 0.5, 500, 300),
            of(Falling::Exponential, 0.01, 700, 0),
            of(Falling::Constant, 0.01, 0, 600),
        ]
    }
}

params! {
    /// The moving average of the parameters that an optimiser keeps in its own launch, as a block
    /// inside of its own: average += rate (w - average) once w is updated, with rate = 1 - decay.
    pub struct AverageBlock {
        /// How much of the new parameters enters their average; 0 keeps none.
        pub rate: f32,
        /// By w / (w + 1 + clock), where that is more than the rate, the average of few parameters
        /// follows them; 0 for an average whose rate is the same from the start. With w = 9 the
        /// decay is the usual min(decay, (1 + t) / (10 + t)).
        pub warm: f32,
    }
}

impl AverageBlock {
    /// No average.
    pub const NONE: AverageBlock = AverageBlock { rate: 0.0, warm: 0.0 };

    fn is_kept(&self) -> bool {
        self.rate > 0.0
    }

    /// How much of the parameters enters their average at a clock.
    fn at(&self, clock: &[f32]) -> f32 {
        let warm = f64::from(self.warm);
        self.rate.max((warm / (warm + 1.0 + f64::from(step(clock)))) as f32)
    }

    /// The average's own kernel, which follows `len` parameters at a clock.
    fn ema(&self, len: usize, clock: &[f32]) -> Ema {
        Ema::new(len as u32, self.at(clock), 1.0)
    }

    /// The permitted error of each element of the average, from the reference's `w` and its
    /// permitted error.
    fn bounds(&self, clock: &[f32], w: &[f32], d_w: &[f32], old: &[f32]) -> Vec<f32> {
        let rate = self.at(clock);
        let own = self.ema(w.len(), clock).bounds(&[w], &[old], &[]).remove(0);
        // What w is off by enters by a product, which rounds.
        std::iter::zip(own, d_w)
            .map(|(own, d_w)| own + rate * d_w * (1.0 + 4.0 * EPS))
            .zip(std::iter::zip(w, old))
            // The rate may be a quotient, which Vulkan has off by 2.5 units.
            .map(|(bound, (w, old))| bound + 6.0 * EPS * rate * (w.abs() + old.abs()))
            .collect()
    }

    fn label(&self) -> String {
        let warms = if self.warm > 0.0 { " warming up" } else { "" };
        if self.is_kept() { format!(" average rate {}{warms}", self.rate) } else { String::new() }
    }

    /// That of a case of `len` parameters: every second warms up.
    pub(super) fn example(len: u32, rate: f32) -> AverageBlock {
        AverageBlock { rate, warm: if len.is_multiple_of(2) && rate > 0.0 { 9.0 } else { 0.0 } }
    }
}

/// An optimiser's shader without and with an average, each for one and for four elements at a time.
pub struct Shaders {
    /// Without.
    pub plain: [Shader; 2],
    /// With.
    pub averaged: [Shader; 2],
}

/// The [`Shaders`] of an optimiser of limn.
macro_rules! optimizer_shaders {
    ($block:ty, $name:literal) => {{
        use $crate::kernels::shader;
        $crate::kernels::optimisers::descent::Shaders {
            plain: [
                shader!($block, $name, width = "1", average = "unaveraged"),
                shader!($block, $name as concat!($name, "4"), width = "4", average = "unaveraged"),
            ],
            averaged: [
                shader!($block, $name as concat!($name, "_averaged"), width = "1", average = "averaged"),
                shader!($block, $name as concat!($name, "_averaged4"), width = "4", average = "averaged"),
            ],
        }
    }};
}
pub(super) use optimizer_shaders;

/// The block of an optimiser's kernel. The kernel reads the gradient g `[len]`, the clock, which
/// is the number of updates so far, and that of training steps; it updates the parameters w, the optimiser's moments, all
/// `[len]`, and the average of w, which is absent where none is kept.
pub trait Descent: Params + std::fmt::Debug + Send + Sync {
    /// g, the clock and the steps; w, the moments, and the average.
    const SIGNATURE: &'static Signature;

    /// Its shaders.
    fn shaders() -> &'static Shaders;

    /// Parameters.
    fn count(&self) -> u32;

    /// The same for another number of them.
    fn of_len(&self, len: u32) -> Self;

    /// Its learning rate.
    fn rate(&self) -> RateBlock;

    /// The average that it keeps.
    fn average(&self) -> AverageBlock;

    /// The reference's update of w and the moments.
    fn update(&self, g: &[f32], clocks: [&[f32]; 2], w: &mut [f32], moments: &mut [&mut [f32]]);

    /// The same of some of the elements where the processor is the device, in f32 where that pays.
    fn update_fast(&self, g: &[f32], clocks: [&[f32]; 2], w: &mut [f32], moments: &mut [&mut [f32]]) {
        self.update(g, clocks, w, moments);
    }

    /// The permitted errors of w and the moments.
    fn permitted(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>>;

    /// What `limn check` feeds moment `k` with.
    fn moment(&self, k: usize, draw: f32) -> f32 {
        let _ = k;
        2.0 * draw - 1.0
    }

    /// Arithmetic for one parameter.
    fn flops_each(&self) -> u64;

    /// Its settings, for people.
    fn settings(&self) -> String;
}

impl<D: Descent> Kernel for D {
    fn signature(&self) -> &'static Signature {
        D::SIGNATURE
    }

    fn lens(&self) -> Lens {
        let len = self.count() as usize;
        let mut writes = vec![len; D::SIGNATURE.writes.len()];
        *writes.last_mut().expect("an average, if an absent one") *= usize::from(self.average().is_kept());
        Lens { reads: vec![len, 1, 1], writes }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let ([w, rest @ ..], &[g, clock, steps]) = (writes, reads) else { return };
        let Some((average, moments)) = rest.split_last_mut() else { return };
        self.update(g, [clock, steps], w, moments);
        self.average().ema(w.len(), clock).cpu(&[w], &mut [average]);
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[g, clock, steps] = reads else { return };
        let rate = self.average().at(clock);
        // The pieces of every write beside each other; an absent average has none.
        let mut pieces: Vec<Vec<&mut [f32]>> = g.chunks(host::PIECE).map(|_| Vec::new()).collect();
        for write in writes.iter_mut() {
            std::iter::zip(&mut pieces, write.chunks_mut(host::PIECE)).for_each(|(pieces, piece)| pieces.push(piece));
        }
        let one = |(g, writes): (&[f32], &mut Vec<&mut [f32]>)| {
            let Some((w, rest)) = writes.split_first_mut() else { return };
            let moments = D::SIGNATURE.writes.len() - 2;
            let (moments, average) = rest.split_at_mut(moments);
            self.update_fast(g, [clock, steps], w, moments);
            if let [average] = average {
                follow(w, rate, 1.0, average);
            }
        };
        if pieces.len() < 2 {
            std::iter::zip(g.chunks(host::PIECE), &mut pieces).for_each(one);
        } else {
            g.par_chunks(host::PIECE).zip(&mut pieces).for_each(one);
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let kept = self.average().is_kept();
        let shaders = if kept { &D::shaders().averaged } else { &D::shaders().plain };
        Recipe::in_fours(self.count(), |width| {
            let len = self.count() / width;
            let stage = flat(&shaders[usize::from(width == 4)], &self.of_len(len), len as usize, caps);
            let mut stage = stage.operands(D::SIGNATURE);
            // An absent average is bound by no shader.
            stage.bind.truncate(stage.bind.len() - usize::from(!kept));
            stage
        })
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(self.of_len(len)))
    }

    fn flops(&self) -> u64 {
        let average = if self.average().is_kept() { 3 } else { 0 };
        (self.flops_each() + average) * u64::from(self.count())
    }

    fn label(&self) -> String {
        format!("p[{}] {}{}{}", self.count(), self.settings(), self.rate().label(), self.average().label())
    }
}

impl<D: Descent> Checks for D {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let moments = 1..D::SIGNATURE.writes.len() - 1;
        match operand {
            // Corrections of moments and young averages show in the first steps, and later no more.
            Operand::Read(1 | 2) if self.count() % 3 == 2 => example_clock(len, &mut || draw() / 200.0),
            Operand::Read(1 | 2) => example_clock(len, draw),
            Operand::Write(k) if moments.contains(&k) => (0..len).map(|_| self.moment(k - 1, draw())).collect(),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut bounds = self.permitted(reads, old, reference);
        bounds.push(self.average().bounds(reads[1], reference[0], &bounds[0], old[old.len() - 1]));
        bounds
    }
}
