//! The moving average of the parameters that an optimiser keeps in its own launch:
//! average += rate (p - average) once p is updated, with rate = 1 - decay; a rate of 0 keeps none. An average
//! that warms up follows faster in the beginning: see [`rate_at`].

use super::ema::Ema;
use crate::kernels::{Caps, Checks, EPS, Kernel, Params, Recipe, Shader, Slot, Stage, flat, step};

/// An optimiser's shader without and with an average, each for one and for four elements at a time.
pub(super) struct Shaders {
    pub plain: [Shader; 2],
    pub averaged: [Shader; 2],
}

/// The [`Shaders`] of an optimiser.
macro_rules! optimizer_shaders {
    ($block:ty, $name:literal) => {{
        use $crate::kernels::shader;
        $crate::kernels::optimisers::average::Shaders {
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

/// The variants of an optimiser of `len` parameters. `params` is its block for so many elements, `bind` are its
/// bindings; the average, if `rate` asks for one, is bound behind them and is the last of its writes.
pub(super) fn variants<P: Params>(
    shaders: &'static Shaders,
    (len, rate): (u32, f32),
    params: impl Fn(u32) -> P,
    bind: &[(&'static str, Slot)],
    caps: &Caps,
) -> Vec<Recipe> {
    let writes = bind.iter().filter(|(_, slot)| matches!(slot, Slot::Write(_))).count();
    let stage = |at: usize, len: u32| -> Stage {
        let shader = if rate > 0.0 { &shaders.averaged[at] } else { &shaders.plain[at] };
        let mut stage = flat(shader, &params(len), len as usize, caps);
        stage.bind.extend(bind);
        if rate > 0.0 { stage.bind("average", Slot::Write(writes)) } else { stage }
    };
    let scalar = Recipe::single("scalar", stage(0, len));
    match len % 4 {
        0 => vec![Recipe::single("vec4", stage(1, len / 4)), scalar],
        _ => vec![scalar],
    }
}

/// Elements of each of an optimiser's writes: `states` of `len`, and the average, absent if there is none.
pub(super) fn lens(states: usize, len: u32, rate: f32) -> Vec<usize> {
    let mut lens = vec![len as usize; states];
    lens.push(if rate > 0.0 { len as usize } else { 0 });
    lens
}

/// How much of the parameters enters their average at a clock: `rate`, or w / (w + 1 + clock) where that is more.
/// With w = 9 the decay is the usual min(decay, (1 + t) / (10 + t)).
pub(super) fn rate_at(rate: f32, warm: f32, clock: &[f32]) -> f32 {
    let warm = f64::from(warm);
    rate.max((warm / (warm + 1.0 + f64::from(step(clock)))) as f32)
}

fn ema(rate: f32, p: &[f32]) -> Ema {
    Ema::new(p.len() as u32, rate, 1.0)
}

/// The twin's average of the updated parameters `p`; an absent one has no elements.
pub(super) fn keep(rate: f32, p: &[f32], average: &mut [f32]) {
    ema(rate, p).cpu(&[p], &mut [average]);
}

/// The permitted error of each element of the average, from the twin's `p` and its permitted error.
pub(super) fn bounds(rate: f32, p: &[f32], d_p: &[f32], old: &[f32]) -> Vec<f32> {
    let own = ema(rate, p).bounds(&[p], &[old], &[]).remove(0);
    // What p is off by enters by a product, which rounds.
    std::iter::zip(own, d_p)
        .map(|(own, d_p)| own + rate * d_p * (1.0 + 4.0 * EPS))
        .zip(std::iter::zip(p, old))
        // The rate may be a quotient, which Vulkan has off by 2.5 units.
        .map(|(bound, (p, old))| bound + 6.0 * EPS * rate * (p.abs() + old.abs()))
        .collect()
}

/// Arithmetic of the average for `len` parameters.
pub(super) fn flops(rate: f32, len: u32) -> u64 {
    if rate > 0.0 { 3 * u64::from(len) } else { 0 }
}

/// What the average adds to an optimiser's label.
pub(super) fn label(rate: f32, warm: f32) -> String {
    let warms = if warm > 0.0 { " warming up" } else { "" };
    if rate > 0.0 { format!(" average rate {rate}{warms}") } else { String::new() }
}
