//! The Fréchet distance of Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to
//! a Local Nash Equilibrium" (NIPS 2017): between the normal distributions that have the means and
//! covariances of two sets.
//!
//! d² = ‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½)

use super::Features;
use crate::eval::{How, NamedMetric};
use crate::kernels::matrix::{Matrix, product};
use nalgebra::{DMatrix, SymmetricEigen};

pub(in crate::eval) static METRIC: NamedMetric = NamedMetric {
    name: "frechet",
    what: "the Fréchet distance",
    how: How::Features(|features| {
        let d2 = frechet(&features.real, &features.fake);
        let how = "Fréchet distance, Heusel et al. 2017; no FID, for its network is another";
        features.figures(how, &[("frechet", d2, "of the features, squared")])
    }),
};

/// Mean `[d]` and unbiased covariance [d,d].
fn moments(features: &Features) -> (Vec<f64>, DMatrix<f64>) {
    let (n, d) = (features.len(), features.dimensions());
    let mut mean = vec![0.0; d];
    for row in features.rows() {
        std::iter::zip(&mut mean, row).for_each(|(m, v)| *m += v / n as f64);
    }
    let centred: Vec<f64> = features.rows().flat_map(|row| std::iter::zip(row, &mean).map(|(v, m)| v - m)).collect();
    let mut sums = vec![0.0; d * d];
    product(Matrix::new(&centred, n, d).transposed(), Matrix::new(&centred, n, d), &mut sums, false);
    (mean, DMatrix::from_row_slice(d, d, &sums) / (n as f64 - 1.0).max(1.0))
}

/// d² of the two sets, which have the same dimensions and two images at least.
///
/// The trace of (Σ₁ Σ₂)^½ is that of (Σ₁^½ Σ₂ Σ₁^½)^½, which is symmetric: the roots of its
/// eigenvalues, with those that rounding has made negative at 0.
pub fn frechet(one: &Features, other: &Features) -> f64 {
    let ((mean_1, cov_1), (mean_2, cov_2)) = (moments(one), moments(other));
    let between: f64 = std::iter::zip(&mean_1, &mean_2).map(|(a, b)| (a - b) * (a - b)).sum();
    let traces = cov_1.trace() + cov_2.trace();
    let eigen = SymmetricEigen::new(cov_1);
    let roots = eigen.eigenvalues.map(|v| v.max(0.0).sqrt());
    let root = &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose();
    let inner = &root * cov_2 * &root;
    let overlap: f64 = inner.symmetric_eigenvalues().iter().map(|v| v.max(0.0).sqrt()).sum();
    between + traces - 2.0 * overlap
}

#[cfg(test)]
mod tests {
    use super::super::tests::drawn;
    use super::*;

    #[test]
    fn of_a_set_with_itself_it_is_nothing_and_of_a_moved_one_the_way_squared() {
        let set = drawn(1, 40, 6, 1.0, 0.0);
        assert!(frechet(&set, &set).abs() < 1e-9);
        let mut moved = set.clone();
        moved.values.iter_mut().for_each(|v| *v += 0.5);
        assert!((frechet(&set, &moved) - 6.0 * 0.25).abs() < 1e-9);
        // Stretched by 3: the standard deviations s and 3s of every direction give (3s - s)².
        let mut wide = set.clone();
        wide.values.iter_mut().for_each(|v| *v *= 3.0);
        let (mean, cov) = moments(&set);
        let want = 4.0 * (mean.iter().map(|m| m * m).sum::<f64>() + cov.trace());
        assert!((frechet(&set, &wide) - want).abs() < 1e-9 * want, "{} {want}", frechet(&set, &wide));
    }

    #[test]
    fn fewer_images_than_dimensions_are_no_trouble() {
        let (one, other) = (drawn(1, 5, 12, 1.0, 0.0), drawn(2, 6, 12, 1.0, 0.0));
        let d = frechet(&one, &other);
        assert!(d.is_finite() && d > 0.0 && (d - frechet(&other, &one)).abs() < 1e-6, "{d}");
    }
}
