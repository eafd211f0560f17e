//! What the kernels of this folder share: the launch of flat loops, the clock, error bounds.

use super::{Caps, Class, EPS, Operand, Params, Shader, Stage, philox};

/// The step held in word 0 of a clock buffer, whose u32 bits travel in f32 storage.
pub fn step(clock: &[f32]) -> u32 {
    clock[0].to_bits()
}

/// A clock for `limn check`: a small step.
pub fn example_clock(len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
    (0..len).map(|_| f32::from_bits((draw() * 1000.0) as u32)).collect()
}

/// The operands of a kernel of which read `clock` is the clock, and the others are uniform in
/// [-1, 1).
pub fn example_with_clock(clock: usize, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
    if operand == Operand::Read(clock) {
        return example_clock(len, draw);
    }
    (0..len).map(|_| 2.0 * draw() - 1.0).collect()
}

/// Vulkan's permitted relative error of `exp(x)`: 3 + 2|x| units in the last place.
pub fn exp_error(x: f32) -> f32 {
    (3.0 + 2.0 * x.abs()) * 2.0 * EPS
}

/// Splits `groups` workgroups over x and y so that no dimension exceeds `caps.max_groups`.
/// A shader recovers the linear index as `wg.x + wg.y * num_workgroups.x` and must ignore indices
/// past its end.
pub fn grid_1d(groups: usize, caps: &Caps) -> [u32; 3] {
    let max = caps.max_groups as usize;
    let groups = groups.max(1);
    let y = groups.div_ceil(max);
    [groups.div_ceil(y) as u32, y as u32, 1]
}

/// A stage of a shader that walks over `items` independent items with `flat_range`. Software
/// devices get few workgroups with long blocks, because each costs them overhead; GPUs get many.
pub fn flat<P: Params>(shader: &'static Shader, params: &P, items: usize, caps: &Caps) -> Stage {
    let (wg, groups) = match caps.class {
        Class::Lanes => (8, (items / 512).clamp(1, 512)),
        Class::Gpu => (256, items.div_ceil(if items < 1 << 18 { 256 } else { 1024 })),
    };
    Stage::new(shader, params, grid_1d(groups, caps)).constant("WG", wg)
}

/// The absolute error permitted to `exp_m1(x)` of lib/activation.wgsl: a series near zero, the
/// driver's exponential elsewhere.
pub fn expm1_error(x: f32) -> f32 {
    if x.abs() < 0.36 { 8.0 * EPS * x.abs() } else { exp_error(x) * x.exp() + 2.0 * EPS }
}

/// The absolute error permitted to element `i` of a normal draw: that of the radius, whose root
/// Vulkan lets be off by ten units, and that of the angle's polynomials times the radius.
pub fn normal_error(source: &philox::Stream, i: usize) -> f32 {
    let (this, other) = (source.normal(i), source.normal(i ^ 1));
    14.0 * EPS * this.abs() + 3.5 * EPS * this.hypot(other)
}

/// Bounds of zero: every element must agree bitwise.
pub fn exact(reference: &[&[f32]]) -> Vec<Vec<f32>> {
    reference.iter().map(|y| vec![0.0; y.len()]).collect()
}

/// Whether nothing that is multiplied by `factor` is rounded: zero and the powers of two.
pub fn scales_exactly(factor: f32) -> bool {
    factor.is_finite() && factor.to_bits().trailing_zeros() >= 23
}
