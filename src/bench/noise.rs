//! Whether two sets of times differ by more than their noise.
//!
//! ```
//! use limn::bench::Comparison;
//!
//! let before = [2.0, 2.1, 1.9, 2.0, 2.2, 2.0];
//! let now = before.map(|ms| 0.5 * ms);
//! let compared = Comparison::of(&now, &before).unwrap();
//! assert!((compared.ratio - 0.5).abs() < 1e-9 && compared.beyond_noise());
//! ```

use super::quantile;
use crate::kernels::philox::Stream;

/// How times stand to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The median over the earlier one.
    pub ratio: f64,
    /// Where the ratio lies with 95 % confidence, by the bootstrap.
    pub interval: [f64; 2],
    /// How probable it is that times of the same kind are ranked as far apart as these (Mann and
    /// Whitney 1947, both sides).
    pub p: f64,
}

/// Times of which a set has to consist at least: of fewer no ranking is improbable enough.
const FEWEST: usize = 5;
/// What is taken for chance no more.
const CHANCE: f64 = 0.01;
/// Sets that are drawn for the interval.
const DRAWS: usize = 2000;
/// Ways to divide the times in two up to which each is looked at.
const WAYS: f64 = 50_000.0;

impl Comparison {
    /// Compares times with earlier ones; `None` where either are too few.
    pub fn of(now: &[f64], before: &[f64]) -> Option<Comparison> {
        if now.len().min(before.len()) < FEWEST {
            return None;
        }
        let median = |times: &[f64]| quantile(&mut times.to_vec(), 0.5).max(1e-12);
        let draw = Stream { seed: 1, domain: 9, stream: 11, step: 0, first: 0 };
        let mut next = 0;
        let mut drawn = |times: &[f64]| {
            let pick = |i: usize| times[((draw.uniform(i) * times.len() as f32) as usize).min(times.len() - 1)];
            let set: Vec<f64> = (next..next + times.len()).map(pick).collect();
            next += times.len();
            median(&set)
        };
        let mut ratios: Vec<f64> = (0..DRAWS).map(|_| drawn(now) / drawn(before)).collect();
        let interval = [0.025, 0.975].map(|share| quantile(&mut ratios, share));
        Some(Comparison { ratio: median(now) / median(before), interval, p: ranked_apart(now, before) })
    }

    /// Whether it is more than noise: by both the ranks and the interval.
    pub fn beyond_noise(&self) -> bool {
        let [low, high] = self.interval;
        self.p < CHANCE && (low > 1.0 || high < 1.0)
    }
}

/// The probability that chance divides these times so that the sum of the ranks of the first lies
/// as far from its mean.
fn ranked_apart(one: &[f64], other: &[f64]) -> f64 {
    let all: Vec<f64> = one.iter().chain(other).copied().collect();
    // Twice the rank, which is whole where times are equal.
    let rank = |time: &f64| {
        let below = all.iter().filter(|t| *t < time).count();
        let equal = all.iter().filter(|t| *t == time).count();
        (2 * below + equal + 1) as i64
    };
    let ranks: Vec<i64> = all.iter().map(rank).collect();
    let (n, m, count) = (one.len(), other.len(), all.len());
    let sum: i64 = ranks[..n].iter().sum();
    let mean = n as i64 * (count as i64 + 1);
    let off = (sum - mean).abs();
    let ways = (1..=n).fold(1.0, |ways, i| ways * (m + i) as f64 / i as f64);
    if ways <= WAYS {
        let far = divided(&ranks, n, -mean).into_iter().filter(|sum| sum.abs() >= off).count();
        return far as f64 / ways.round();
    }
    // Many: the sum is normal, and what ties take from its variance is left in, on the safe side.
    let deviation = (n as f64 * m as f64 * (count as f64 + 1.0) / 12.0).sqrt();
    let z = (off as f64 / 2.0 - 0.5).max(0.0) / deviation;
    two_sided(z)
}

/// `so_far` and the sum of the ranks, for every way to take `n` of them.
fn divided(ranks: &[i64], n: usize, so_far: i64) -> Vec<i64> {
    match (n, ranks) {
        (0, _) => vec![so_far],
        (_, []) => Vec::new(),
        (n, [first, rest @ ..]) => {
            let mut sums = divided(rest, n - 1, so_far + first);
            if rest.len() >= n {
                sums.extend(divided(rest, n, so_far));
            }
            sums
        }
    }
}

/// The probability of a normal deviate that is at least so far out (Abramowitz and Stegun 7.1.26).
fn two_sided(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    (series.into_iter().fold(0.0, |sum, a| (sum + a) * t) * (-x * x).exp()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_as_improbable_as_they_are() {
        // Eight above eight: two of the 12870 ways to divide sixteen.
        let [low, high] = [0.0, 10.0].map(|from| (0..8).map(|i| from + f64::from(i)).collect::<Vec<_>>());
        assert!((ranked_apart(&high, &low) - 2.0 / 12870.0).abs() < 1e-12);
        assert_eq!(ranked_apart(&low, &low), 1.0);
        // Two of four, one apart: the sums 3, 4, 5, 5, 6, 7.
        assert!((ranked_apart(&[1.0, 3.0], &[2.0, 4.0]) - 4.0 / 6.0).abs() < 1e-12);
        // Many, by the normal distribution: z = 1.96 is 5 %.
        assert!((two_sided(1.959_964) - 0.05).abs() < 1e-5 && (two_sided(0.0) - 1.0).abs() < 1e-6);
        let [low, high] = [0.0, 0.5].map(|from| (0..40).map(|i| from + f64::from(i)).collect::<Vec<_>>());
        assert!(ranked_apart(&low, &high) > 0.5);
        let high: Vec<f64> = low.iter().map(|t| t + 40.0).collect();
        assert!(ranked_apart(&low, &high) < 1e-9);
    }

    #[test]
    fn noise_alone_is_seldom_taken_for_more_and_a_tenth_is_found() {
        let draw = Stream { seed: 3, domain: 9, stream: 5, step: 0, first: 0 };
        // Times with a long tail, as other programs make them.
        let times = |set: usize, scale: f64| -> Vec<f64> {
            let one = |i: usize| scale * (1.0 + 0.02 * -(1.0 - f64::from(draw.uniform(8 * set + i))).max(1e-9).ln());
            (0..8).map(one).collect()
        };
        let beyond = |scale: f64| {
            let pairs = (0..200).map(|i| Comparison::of(&times(2 * i, scale), &times(2 * i + 1, 1.0)).unwrap());
            pairs.filter(Comparison::beyond_noise).count()
        };
        let (noise, slower) = (beyond(1.0), beyond(1.1));
        assert!(noise <= 6, "{noise} of 200");
        assert!(slower >= 190, "{slower} of 200");
        assert_eq!(Comparison::of(&[1.0; 4], &[1.0; 9]), None);
    }
}
