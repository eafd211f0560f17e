//! Precision and recall by the balls that reach to each image's k-th nearest neighbour in its own
//! set (Kynkäänniemi et al. 2019, "Improved Precision and Recall NamedMetric for Assessing
//! Generative Models"), and density and coverage, which outliers disturb less (Naeem et al. 2020,
//! "Reliable Fidelity and Diversity Metrics for Generative Models").

use super::{Features, products};
use crate::eval::{How, NamedMetric};
use rayon::prelude::*;

/// The neighbour that a ball reaches to: k of both papers' sections on how to choose it.
pub const NEAREST: usize = 5;

/// Images whose distances to all others are computed together.
const BLOCK: usize = 64;

pub(in crate::eval) static METRIC: NamedMetric = NamedMetric {
    name: "prdc",
    what: "precision, recall, density and coverage",
    how: How::Features(|features| {
        let found = neighbourhoods(&features.real, &features.fake);
        let how = format!(
            "balls to the neighbour {NEAREST}; precision and recall of Kynkäänniemi et al. 2019, density and coverage of \
             Naeem et al. 2020"
        );
        let figures = [
            ("precision", found.precision, "of the samples"),
            ("recall", found.recall, "of the images"),
            ("density", found.density, "per ball"),
            ("coverage", found.coverage, "of the images"),
        ];
        features.figures(&how, &figures)
    }),
};

/// How two sets lie in each other's balls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbourhoods {
    /// Share of the samples that lie in a ball of some real image.
    pub precision: f64,
    /// Share of the real images that lie in a ball of some sample.
    pub recall: f64,
    /// Mean over samples of the number of real images' balls they lie in, divided by k.
    pub density: f64,
    /// Share of the real images whose ball holds some sample.
    pub coverage: f64,
}

/// What the balls of [`NEAREST`] say of real images and samples, of the same dimensions. Of k
/// images or fewer, a ball reaches to the farthest.
pub fn neighbourhoods(real: &Features, samples: &Features) -> Neighbourhoods {
    let (real_balls, sample_balls) = (radii(real), radii(samples));
    // For each real image: balls of samples it lies in, samples in its own ball; and in how many
    // balls each sample lies. Counts, so that no order of sums matters.
    let found: Vec<(bool, bool, Vec<usize>)> = blocks(real, samples, |i, distances| {
        let inside: Vec<usize> = (0..distances.len()).filter(|j| distances[*j] < real_balls[i]).collect();
        (std::iter::zip(distances, &sample_balls).any(|(d, r)| d < r), !inside.is_empty(), inside)
    });
    let mut balls = vec![0usize; samples.len()];
    found.iter().flat_map(|(_, _, inside)| inside).for_each(|j| balls[*j] += 1);
    let share = |count: usize, of: usize| count as f64 / of as f64;
    Neighbourhoods {
        precision: share(balls.iter().filter(|n| **n > 0).count(), samples.len()),
        recall: share(found.iter().filter(|(recalled, ..)| *recalled).count(), real.len()),
        density: share(balls.iter().sum(), NEAREST * samples.len()),
        coverage: share(found.iter().filter(|(_, covered, _)| *covered).count(), real.len()),
    }
}

/// Squared distance of each image to its k-th nearest, itself not counted.
fn radii(set: &Features) -> Vec<f64> {
    blocks(set, set, |i, distances| {
        let mut others = distances.to_vec();
        others.swap_remove(i);
        if others.is_empty() {
            return 0.0;
        }
        let k = NEAREST.min(others.len()) - 1;
        *others.select_nth_unstable_by(k, f64::total_cmp).1
    })
}

/// What `look` says of the number of each of `rows` and of its squared distances to all of
/// `others`, in order.
fn blocks<T: Send>(rows: &Features, others: &Features, look: impl Fn(usize, &[f64]) -> T + Sync) -> Vec<T> {
    let squares = others.squares();
    let block = |(block, rows): (usize, &[f64])| -> Vec<T> {
        let mut distances = products(rows, others);
        let each = std::iter::zip(rows.chunks(others.dimensions()), distances.chunks_mut(others.len()));
        each.enumerate()
            .map(|(i, (row, distances))| {
                let own: f64 = row.iter().map(|v| v * v).sum();
                for (d, square) in std::iter::zip(distances.iter_mut(), &squares) {
                    *d = (own + square - 2.0 * *d).max(0.0);
                }
                look(block * BLOCK + i, distances)
            })
            .collect()
    };
    let blocks: Vec<Vec<T>> = rows.values.par_chunks(BLOCK * rows.dimensions()).enumerate().map(block).collect();
    blocks.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::drawn;
    use super::*;

    #[test]
    fn the_same_distribution_has_a_density_of_one_and_a_far_one_nothing() {
        let (real, alike) = (drawn(1, 500, 3, 1.0, 0.0), drawn(2, 400, 3, 1.0, 0.0));
        let near = neighbourhoods(&real, &alike);
        assert!((near.density - 1.0).abs() < 0.15 && near.coverage > 0.9, "{near:?}");
        assert!(near.precision > 0.9 && near.recall > 0.9, "{near:?}");
        let far = neighbourhoods(&real, &drawn(3, 400, 3, 1.0, 50.0));
        assert_eq!(far, Neighbourhoods { precision: 0.0, recall: 0.0, density: 0.0, coverage: 0.0 });
        // Few places, all of them right: precise, and most of the real images are missed.
        let narrow = neighbourhoods(&real, &drawn(3, 400, 3, 0.05, 0.0));
        assert!(narrow.precision > 0.99 && narrow.recall < 0.2 && narrow.coverage < 0.3, "{narrow:?}");
    }

    #[test]
    fn radii_reach_to_the_fifth_other() {
        let mut line = Features::new(1);
        line.extend(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 100.0]);
        assert_eq!(radii(&line)[0], 25.0);
        assert_eq!(radii(&line)[6], 99.0 * 99.0);
        assert_eq!(radii(&line)[3], 9.0);
        let mut few = Features::new(1);
        few.extend(&[0.0, 2.0]);
        assert_eq!(radii(&few), [4.0, 4.0]);
    }
}
