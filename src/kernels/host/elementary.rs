//! Elementary functions in f32 without branches, so that loops over them become vectors: those of
//! `shaders/lib/activation.wgsl` and `elementary.wgsl`, and the exponential of Cephes. Each errs by
//! one or two units of the last place; NaN and infinities go through.

use crate::kernels::philox::{self, Stream, unit};

/// e^x.
#[inline(always)]
pub(in crate::kernels) fn exp(x: f32) -> f32 {
    /// What makes a whole number of its addend, which then stands in the lowest bits.
    const SHIFT: f32 = 12_582_912.0;
    // Beyond these are infinity and zero; NaN is neither.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -105.0 { -105.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut y = 1.987_569_1e-4;
    y = y * r + 1.398_199_9e-3;
    y = y * r + 8.333_452e-3;
    y = y * r + 4.166_579_6e-2;
    y = y * r + 1.666_666_5e-1;
    y = y * r + 0.5;
    let y = y * (r * r) + r + 1.0;
    // 2^n in two factors, for it may lie outside of what a number takes.
    let n = (shifted.to_bits() as i32).wrapping_sub(SHIFT.to_bits() as i32);
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    y * power(half) * power(n.wrapping_sub(half))
}

/// e^x - 1 without cancellation near zero.
#[inline(always)]
pub(in crate::kernels) fn exp_m1(x: f32) -> f32 {
    let mut series = 1.984_127e-4;
    series = series * x + 1.388_888_9e-3;
    series = series * x + 8.333_334e-3;
    series = series * x + 4.166_666_8e-2;
    series = series * x + 1.666_666_7e-1;
    series = series * x + 0.5;
    series = x + x * x * series;
    let far = exp(x) - 1.0;
    if x.abs() < 0.35 { series } else { far }
}

/// tanh x = 1 - 2 / (e^2x + 1), by what keeps the digits of small x.
#[inline(always)]
pub(in crate::kernels) fn tanh(x: f32) -> f32 {
    let a = if x.abs() > 15.0 { 15.0 } else { x.abs() };
    let t = exp_m1(2.0 * a);
    (t / (t + 2.0)).copysign(x)
}

/// 1 / (1 + e^-x), by the exponential of a number that is not positive.
#[inline(always)]
pub(in crate::kernels) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x >= 0.0 { 1.0 } else { e }) / (1.0 + e)
}

/// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), the logarithm as 2 atanh(e / (2 + e)), whose series
/// keeps small e.
#[inline(always)]
pub(in crate::kernels) fn softplus(x: f32) -> f32 {
    let e = exp(-x.abs());
    let s = e / (2.0 + e);
    let q = s * s;
    let mut l = 6.666_667e-2;
    l = l * q + 7.692_308e-2;
    l = l * q + 9.090_909e-2;
    l = l * q + 1.111_111_1e-1;
    l = l * q + 1.428_571_5e-1;
    l = l * q + 0.2;
    l = l * q + 3.333_333_4e-1;
    let l = 2.0 * s + 2.0 * s * q * l;
    (if x > 0.0 { x } else { 0.0 }) + l
}

/// ln x (Cephes): x = m 2^e with m in [√½, √2).
#[inline(always)]
pub(in crate::kernels) fn ln(x: f32) -> f32 {
    const ROOT: i32 = 0x3f35_04f3;
    // Numbers below the normal ones are brought among them.
    let small = x < f32::MIN_POSITIVE;
    let bits = if small { x * 8_388_608.0 } else { x }.to_bits() as i32;
    let bits = bits.wrapping_sub(ROOT);
    let e = (bits >> 23).wrapping_sub(if small { 23 } else { 0 }) as f32;
    let f = f32::from_bits((bits & 0x7f_ffff).wrapping_add(ROOT) as u32) - 1.0;
    let z = f * f;
    let mut y = 7.037_683_6e-2;
    y = y * f - 1.151_461e-1;
    y = y * f + 1.167_699_9e-1;
    y = y * f - 1.242_014_1e-1;
    y = y * f + 1.424_932_3e-1;
    y = y * f - 1.666_805_8e-1;
    y = y * f + 2.000_071_5e-1;
    y = y * f - 2.499_999_4e-1;
    y = y * f + 3.333_333e-1;
    let y = y * f * z - 2.121_944_4e-4 * e - 0.5 * z;
    let y = (f + y) + 0.693_359_4 * e;
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    // Infinity and NaN, and what has no logarithm.
    let y = if x < f32::INFINITY { y } else { x };
    if x < 0.0 { f32::NAN } else { y }
}

/// (cos 2πu, sin 2πu) for u in [0, 1): the nearest quarter turn is taken off exactly.
#[inline(always)]
fn cos_sin_turn(u: f32) -> (f32, f32) {
    let quarter = (4.0 * u + 0.5) as i32;
    let x = (4.0 * u - quarter as f32) * std::f32::consts::FRAC_PI_2;
    let z = x * x;
    let s = x + x * z * ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1);
    let c = 1.0 - 0.5 * z + z * z * ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2);
    let (a, b) = if quarter & 1 == 1 { (s, c) } else { (c, s) };
    let negative = |yes: bool, x: f32| if yes { -x } else { x };
    (negative(quarter & 3 == 1 || quarter & 3 == 2, a), negative(quarter & 3 >= 2, b))
}

/// Blocks that are drawn together.
const BLOCKS: usize = 16;

/// Standard normals from element `first` of a stream on, which is the first of a block: the numbers
/// of [`Stream::normal`] but for rounding.
pub(in crate::kernels) fn normals(source: &Stream, first: usize, y: &mut [f32]) {
    of_blocks(source, first, y, normals_of);
}

/// The numbers of [`Stream::uniform`] from element `first` on, which is the first of a block.
pub(in crate::kernels) fn uniforms(source: &Stream, first: usize, y: &mut [f32]) {
    of_blocks(source, first, y, uniforms_of);
}

/// What makes numbers of a key and the counter of the first block.
type Draw = fn([u32; 2], [u32; 4], &mut [f32; 4 * BLOCKS]);

fn of_blocks(source: &Stream, first: usize, y: &mut [f32], draw: Draw) {
    let key = [source.seed as u32, (source.seed >> 32) as u32];
    for (i, y) in y.chunks_mut(4 * BLOCKS).enumerate() {
        let mut drawn = [0.0; 4 * BLOCKS];
        let block = source.first.wrapping_add((first / 4 + i * BLOCKS) as u32);
        draw(key, [block, source.stream, source.step, source.domain], &mut drawn);
        y.copy_from_slice(&drawn[..y.len()]);
    }
}

/// The words of some blocks, the first of each beside each other.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn words(key: [u32; 2], counter: [u32; 4]) -> [[u32; BLOCKS]; 4] {
    let mut words = [[0u32; BLOCKS]; 4];
    for b in 0..BLOCKS {
        let block = counter[0].wrapping_add(b as u32);
        let made = philox::philox4x32_10([block, counter[1], counter[2], counter[3]], key);
        for word in 0..4 {
            words[word][b] = made[word];
        }
    }
    words
}

super::wide! {
    fn uniforms_of(key: [u32; 2], counter: [u32; 4], y: &mut [f32; 4 * BLOCKS]) {
        let words = words(key, counter);
        for b in 0..BLOCKS {
            for word in 0..4 {
                y[4 * b + word] = unit(words[word][b]);
            }
        }
    }
}

super::wide! {
    fn normals_of(key: [u32; 2], counter: [u32; 4], y: &mut [f32; 4 * BLOCKS]) {
        let words = words(key, counter);
        let mut made = [[0.0f32; BLOCKS]; 4];
        for b in 0..BLOCKS {
            for pair in 0..2 {
                let radius = (-2.0 * ln(1.0 - unit(words[2 * pair][b]))).sqrt();
                let (cos, sin) = cos_sin_turn(unit(words[2 * pair + 1][b]));
                (made[2 * pair][b], made[2 * pair + 1][b]) = (radius * cos, radius * sin);
            }
        }
        for b in 0..BLOCKS {
            for word in 0..4 {
                y[4 * b + word] = made[word][b];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of both signs and every size, and those around which functions change their ways.
    fn numbers() -> impl Iterator<Item = f32> {
        let sizes = (-300..=130).map(|k| 1.37f32 * (k as f32 / 4.0).exp2());
        let edges = [0.0, 0.35, 0.349_99, 15.0, 87.3, 88.0, 88.72, 88.73, 89.0, 103.0, 105.0, 1e30, f32::INFINITY];
        sizes.chain(edges).flat_map(|x| [x, -x])
    }

    /// The largest error in units of the last place.
    fn worst(ours: fn(f32) -> f32, theirs: fn(f64) -> f64, numbers: impl Iterator<Item = f32>) -> f64 {
        assert!(ours(f32::NAN).is_nan());
        let unit = |y: f32| f64::from(y.abs().max(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
        let error = |x: f32| {
            let (y, want) = (ours(x), theirs(f64::from(x)));
            if y == want as f32 || (y.is_nan() && want.is_nan()) {
                return 0.0;
            }
            (f64::from(y) - want).abs() / unit(want as f32)
        };
        numbers.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_right_to_two_units() {
        let units = [
            worst(exp, f64::exp, numbers()),
            worst(exp_m1, f64::exp_m1, numbers()),
            worst(tanh, f64::tanh, numbers()),
            worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), numbers()),
            worst(softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), numbers()),
            worst(ln, f64::ln, numbers()),
        ];
        println!("{units:?}");
        assert!(units.iter().all(|units| *units <= 3.0), "{units:?}");
    }

    #[test]
    fn normals_are_those_of_the_stream() {
        let stream = Stream { seed: 3, domain: 1, stream: 5, step: 7, first: 0 };
        let mut y = [0.0; 203];
        normals(&stream, 8, &mut y);
        for (i, y) in y.iter().enumerate() {
            assert!((y - stream.normal(8 + i)).abs() < 2e-6, "{i}: {y} {}", stream.normal(8 + i));
        }
    }
}
