//! The kernel distance of Bińkowski et al., "Demystifying MMD GANs" (ICLR 2018): the squared
//! maximum mean discrepancy of two sets under k(x,y) = (x·y / d + 1)³, without bias, of many
//! subsets.

use super::{Features, products};
use crate::eval::{How, NamedMetric};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;

/// Subsets that are drawn.
pub const SUBSETS: usize = 100;

/// Images of each subset, where both sets have as many.
pub const SUBSET_SIZE: usize = 1000;

pub(in crate::eval) static METRIC: NamedMetric = NamedMetric {
    name: "kernel",
    what: "the kernel distance",
    how: How::Features(|features| {
        let KernelDistance { mean, deviation, size } = kernel_distance(&features.real, &features.fake, features.seed);
        let how = format!(
            "kernel distance (x·y/d + 1)³, Bińkowski et al. 2018, {SUBSETS} subsets of {size}; no KID, for its network is \
             another"
        );
        let unit = "of the kernel";
        features.figures(&how, &[("kernel", mean, unit), ("kernel_deviation", deviation, unit)])
    }),
};

/// A distance and how it spreads over subsets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelDistance {
    /// Mean over the subsets.
    pub mean: f64,
    /// Standard deviation over the subsets.
    pub deviation: f64,
    /// Images of each subset.
    pub size: usize,
}

/// The distance of two sets of the same dimensions and two images at least; `seed` draws the
/// subsets.
pub fn kernel_distance(one: &Features, other: &Features, seed: u64) -> KernelDistance {
    let size = SUBSET_SIZE.min(one.len()).min(other.len());
    let all: Vec<f64> = (0..SUBSETS)
        .into_par_iter()
        .map(|subset| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&seed.to_le_bytes());
            key[8..16].copy_from_slice(&(subset as u64).to_le_bytes());
            key[16..27].copy_from_slice(b"limn kernel");
            let mut words = ChaCha8Rng::from_seed(key);
            let [a, b] = [one, other].map(|set| set.pick(&chosen(set.len(), size, &mut words)));
            squared_discrepancy(&a, &b)
        })
        .collect();
    let n = SUBSETS as f64;
    let mean = all.iter().sum::<f64>() / n;
    let variance = all.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    KernelDistance { mean, deviation: variance.sqrt(), size }
}

/// `count` of the numbers below `n`, each once: the start of a Fisher-Yates shuffle.
fn chosen(n: usize, count: usize, words: &mut ChaCha8Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for i in 0..count {
        all.swap(i, words.random_range(i..n));
    }
    all.truncate(count);
    all
}

/// The mean of k over pairs of different images of each set, less twice its mean over pairs of
/// both.
pub(super) fn squared_discrepancy(one: &Features, other: &Features) -> f64 {
    let kernel = |dot: &f64| (dot / one.dimensions() as f64 + 1.0).powi(3);
    let within = |set: &Features| {
        let all: f64 = products(&set.values, set).iter().map(kernel).sum();
        let own: f64 = set.squares().iter().map(kernel).sum();
        let n = set.len() as f64;
        (all - own) / (n * (n - 1.0))
    };
    let across = products(&one.values, other).iter().map(kernel).sum::<f64>();
    within(one) + within(other) - 2.0 * across / (one.len() as f64 * other.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::tests::drawn;
    use super::*;

    #[test]
    fn alike_sets_are_near_zero_and_others_are_not() {
        let (one, alike, moved) = (drawn(1, 400, 5, 1.0, 0.0), drawn(2, 300, 5, 1.0, 0.0), drawn(3, 300, 5, 1.0, 0.5));
        let near = kernel_distance(&one, &alike, 7);
        assert_eq!(near.size, 300);
        let far = kernel_distance(&one, &moved, 7);
        assert!(near.mean.abs() < 4.0 * near.deviation.max(0.01) && far.mean > 0.5, "{near:?} {far:?}");
        assert_eq!(kernel_distance(&one, &alike, 7), near);
        assert_ne!(kernel_distance(&one, &alike, 8).mean, near.mean);
    }

    #[test]
    fn one_dimension_can_be_done_by_hand() {
        let set = |values: &[f32]| {
            let mut set = Features::new(1);
            set.extend(values);
            set
        };
        // k(1,2) = 27; k(0,3) = 1; k(1,0) = k(2,0) = 1, k(1,3) = 64, k(2,3) = 343.
        let got = squared_discrepancy(&set(&[1.0, 2.0]), &set(&[0.0, 3.0]));
        assert!((got - (27.0 + 1.0 - 2.0 * (1.0 + 1.0 + 64.0 + 343.0) / 4.0)).abs() < 1e-12, "{got}");
    }

    #[test]
    fn a_subset_has_no_image_twice() {
        let mut words = ChaCha8Rng::from_seed([1; 32]);
        let mut some = chosen(10, 10, &mut words);
        some.sort_unstable();
        assert_eq!(some, (0..10).collect::<Vec<_>>());
        assert_eq!(chosen(10, 4, &mut words).len(), 4);
    }
}
