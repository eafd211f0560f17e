//! How a kernel is checked.

use super::Precision;
#[cfg(doc)]
use super::{Access, Kernel};

/// How a kernel is held against its reference: with which operands, and how far each element may be
/// off.
pub trait Checks {
    /// What `limn check` feeds operand `operand` with: by default uniform in [-1, 1), never zeros.
    /// Kernels whose operands mean something else (class indices, variances, counters, packed
    /// bytes) say what. `draw(n)` yields n uniforms in [0, 1).
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let _ = operand;
        (0..len).map(|_| 2.0 * draw() - 1.0).collect()
    }

    /// The largest permitted |GPU - reference| for every element of every write, given the reads,
    /// the old contents of the writes, and what the reference made of them. Sums use [`sum_bound`]
    /// with the sum of the magnitudes of their terms; the default suits short pointwise formulas.
    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let _ = (reads, old);
        reference.iter().map(|y| y.iter().map(|v| 1e-6 + 8e-6 * v.abs()).collect()).collect()
    }

    /// The same for variants that round operands to f16; those of other kernels do not.
    fn mixed_bounds(&self, reads: &[&[f32]], old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.bounds(reads, old, reference)
    }

    /// Whether every write is a sum of products of its reads, or of its reads alone, times powers
    /// of two at most: of whole numbers it then makes such without rounding, in whatever order it
    /// adds them, and a term that is left out or counted twice shows.
    fn sums(&self) -> bool {
        false
    }

    /// Elements `at` of the first write as the reference would have them, and their permitted
    /// errors in this precision, without the rest: for kernels whose reference takes seconds at the
    /// sizes people train with.
    fn sampled(&self, reads: &[&[f32]], at: &[usize], precision: Precision) -> Option<Vec<[f32; 2]>> {
        let _ = (reads, at, precision);
        None
    }
}

/// Which operand [`Checks::example`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The i-th read.
    Read(usize),
    /// The old contents of the i-th write (only asked for [`Access::Update`]).
    Write(usize),
}

/// Unit round-off of f32.
pub const EPS: f32 = f32::EPSILON / 2.0;

/// Error bound of an f32 sum of `terms` products in any order whose magnitudes sum to `magnitude`:
/// γ_n = n·u / (1 - n·u) applied to Σ|terms| (Higham, Accuracy and Stability, §4.2), plus one unit
/// for the final rounding of the reference. Real sums stay far below it; a dropped term does not.
pub fn sum_bound(terms: usize, magnitude: f32) -> f32 {
    let n = (terms + 2) as f32 * EPS;
    (n / (1.0 - n.min(0.5))) * magnitude + f32::MIN_POSITIVE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures by hand: γ of n + 2 roundings, which for few terms is n + 2 units.
    #[test]
    fn bounds_are_a_few_units_a_term_and_no_more() {
        let unit = 2.0f32.powi(-24);
        for (terms, units) in [(1, 3.0), (14, 16.0), (1000, 1002.06), (1_000_000, 1_063_384.8)] {
            let bound = sum_bound(terms, 1.0) / unit;
            assert!((bound / units - 1.0).abs() < 1e-4, "{terms} terms: {bound} units");
            assert_eq!(sum_bound(terms, 0.5) * 2.0, sum_bound(terms, 1.0));
        }
        assert!(sum_bound(3, 0.0) > 0.0, "the bound of zeros is no division by zero");
    }

    /// Eight millionths of a result, and a millionth beside it.
    #[test]
    fn short_formulas_may_err_in_the_sixth_digit() {
        struct Plain;
        impl Checks for Plain {}
        let bounds = Plain.bounds(&[], &[], &[&[0.0, 1.0, -100.0]]).concat();
        for (bound, most) in std::iter::zip(bounds, [1e-6, 9e-6, 8.01e-4]) {
            assert!(bound <= most * 1.001 && bound >= most * 0.999, "{bound} instead of {most}");
        }
    }
}
