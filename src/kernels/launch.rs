//! What the kernels of this folder share: the launch of flat loops, the clock, error bounds.

use super::{Caps, Class, EPS, Params, Shader, Stage, grid_1d};

/// The step held in word 0 of a clock buffer, whose u32 bits travel in f32 storage.
pub fn step(clock: &[f32]) -> u32 {
    clock[0].to_bits()
}

/// A clock for `limn check`: a small step.
pub(crate) fn example_clock(len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
    (0..len).map(|_| f32::from_bits((draw() * 1000.0) as u32)).collect()
}

/// Vulkan's permitted relative error of `exp(x)`: 3 + 2|x| units in the last place.
pub(crate) fn exp_error(x: f32) -> f32 {
    (3.0 + 2.0 * x.abs()) * 2.0 * EPS
}

/// A stage whose invocations walk over `items` independent items, `WG` to a workgroup and `PER` to
/// an invocation; both are override constants of the shader. Neighbouring invocations take
/// neighbouring items.
pub(crate) fn flat<P: Params>(shader: &'static Shader, params: &P, items: usize, caps: &Caps) -> Stage {
    let (wg, per) = match caps.class {
        Class::Lanes => (8, if items < 4096 { 8 } else { 64 }),
        Class::Gpu => (256, if items < 1 << 18 { 1 } else { 4 }),
    };
    let grid = grid_1d(items.div_ceil(wg as usize * per as usize), caps);
    Stage::new(shader, params, grid).constant("WG", wg).constant("PER", per)
}

/// The learning rate at the clock's step: lr · exp(t · ln_decay).
pub(crate) fn rate(lr: f32, ln_decay: f32, clock: &[f32]) -> f64 {
    f64::from(lr) * (f64::from(step(clock)) * f64::from(ln_decay)).exp()
}
