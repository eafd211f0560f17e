//! The Parzen window of Goodfellow et al., "Generative Adversarial Nets" (NIPS 2014, §5), after Breuleux, Bengio
//! & Vincent (2011): a Gaussian around each of many samples of a model, whose width is chosen on validation images,
//! and the mean log-likelihood of the test images under their mixture.
//!
//! log p(x) = log Σᵢ exp(-‖x - sᵢ‖² / 2σ²) - log n - d/2 · log 2πσ²
//!
//! It is a figure to compare with those of its time: it prefers a model that has learnt the training images by
//! heart to one that has understood them (Theis, van den Oord & Bethge 2016).

use crate::kernels::matrix::{Matrix, product};
use rayon::prelude::*;

/// Images that are held against the samples together.
const BLOCK: usize = 64;

/// The number of widths that are tried.
const WIDTHS: usize = 10;

/// Samples of a model, with a Gaussian of the same width around each.
pub struct Parzen {
    /// [n,d].
    samples: Vec<f64>,
    /// ‖s‖² of each.
    squares: Vec<f64>,
    dimensions: usize,
}

/// The test figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParzenFigure {
    /// The width σ with the best mean on the validation images.
    pub sigma: f64,
    /// Mean log-likelihood of the test images in nats.
    pub mean: f64,
    /// Standard error of that mean.
    pub error: f64,
}

/// The widths of the paper's protocol: ten from 0.1 to 1, evenly spaced in their logarithms.
pub fn widths() -> [f64; WIDTHS] {
    std::array::from_fn(|k| 10f64.powf(k as f64 / (WIDTHS - 1) as f64 - 1.0))
}

/// The protocol: chooses the best of [`widths`] on `validation` and measures `test`. All are rows of `dimensions`
/// pixels in [0, 1]; the paper takes 10,000 samples, 1,000 validation images and all test images. `None` where one
/// of them is empty or has broken rows.
pub fn parzen(samples: &[f32], validation: &[f32], test: &[f32], dimensions: usize) -> Option<ParzenFigure> {
    let whole = |rows: &[f32]| dimensions > 0 && !rows.is_empty() && rows.len().is_multiple_of(dimensions);
    if ![samples, validation, test].into_iter().all(whole) {
        return None;
    }
    let window = Parzen::new(samples, dimensions);
    let widths = widths();
    let held_out = window.log_likelihoods(validation, &widths);
    let best = |a: &usize, b: &usize| mean(&held_out[*a]).total_cmp(&mean(&held_out[*b]));
    let sigma = widths[(0..WIDTHS).max_by(best)?];
    let test = window.log_likelihoods(test, &[sigma]).remove(0);
    let n = test.len() as f64;
    let mean = mean(&test);
    let variance = test.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0).max(1.0);
    Some(ParzenFigure { sigma, mean, error: (variance / n).sqrt() })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn squares(rows: &[f64], dimensions: usize) -> Vec<f64> {
    rows.chunks(dimensions).map(|row| row.iter().map(|v| v * v).sum()).collect()
}

impl Parzen {
    /// A window around `samples` [n,dimensions].
    pub fn new(samples: &[f32], dimensions: usize) -> Parzen {
        let samples: Vec<f64> = samples.iter().map(|v| f64::from(*v)).collect();
        let squares = squares(&samples, dimensions);
        Parzen { samples, squares, dimensions }
    }

    /// The log-likelihood in nats of each image [m,dimensions], for each width: one row a width.
    pub fn log_likelihoods(&self, images: &[f32], widths: &[f64]) -> Vec<Vec<f64>> {
        let blocks: Vec<Vec<Vec<f64>>> =
            images.par_chunks(BLOCK * self.dimensions).map(|block| self.block(block, widths)).collect();
        (0..widths.len()).map(|k| blocks.iter().flat_map(|block| block[k].iter().copied()).collect()).collect()
    }

    fn block(&self, images: &[f32], widths: &[f64]) -> Vec<Vec<f64>> {
        let images: Vec<f64> = images.iter().map(|v| f64::from(*v)).collect();
        let n = self.squares.len();
        // -‖x - s‖² of every image and sample.
        let mut distances = self.products(&images);
        for (row, square) in std::iter::zip(distances.chunks_mut(n), squares(&images, self.dimensions)) {
            for (d, own) in std::iter::zip(row, &self.squares) {
                *d = (2.0 * *d - square - own).min(0.0);
            }
        }
        let likelihood = |row: &[f64], sigma: f64| {
            let scale = 0.5 / (sigma * sigma);
            let nearest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|d| ((d - nearest) * scale).exp()).sum();
            let volume = 0.5 * self.dimensions as f64 * (std::f64::consts::TAU * sigma * sigma).ln();
            nearest * scale + sum.ln() - (n as f64).ln() - volume
        };
        widths.iter().map(|sigma| distances.chunks(n).map(|row| likelihood(row, *sigma)).collect()).collect()
    }

    /// x·s of every image [m,d] and sample, [m,n].
    fn products(&self, images: &[f64]) -> Vec<f64> {
        let (d, n) = (self.dimensions, self.squares.len());
        let m = images.len() / d;
        let mut products = vec![0.0; m * n];
        product(Matrix::new(images, m, d), Matrix::new(&self.samples, n, d).transposed(), &mut products, false);
        products
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::philox::Stream;

    fn draws(stream: u32, len: usize) -> Vec<f32> {
        let source = Stream { seed: 1, domain: 9, stream, step: 0 };
        (0..len).map(|i| source.uniform(i)).collect()
    }

    /// The formula, term by term.
    fn direct(samples: &[f32], image: &[f32], sigma: f64) -> f64 {
        let d = image.len() as f64;
        let density = |sample: &[f32]| {
            let pairs = std::iter::zip(sample, image);
            let square: f64 = pairs.map(|(s, x)| (f64::from(*s) - f64::from(*x)).powi(2)).sum();
            (-square / (2.0 * sigma * sigma)).exp() / (std::f64::consts::TAU * sigma * sigma).powf(d / 2.0)
        };
        let n = samples.len() / image.len();
        (samples.chunks(image.len()).map(density).sum::<f64>() / n as f64).ln()
    }

    #[test]
    fn log_likelihoods_are_those_of_a_direct_sum() {
        let (samples, images) = (draws(0, 37 * 5), draws(1, 150 * 5));
        let window = Parzen::new(&samples, 5);
        let got = window.log_likelihoods(&images, &[0.2, 1.0]);
        for (k, sigma) in [0.2, 1.0].into_iter().enumerate() {
            assert_eq!(got[k].len(), 150);
            for (image, got) in std::iter::zip(images.chunks(5), &got[k]) {
                let want = direct(&samples, image, sigma);
                assert!((got - want).abs() < 1e-10 * want.abs().max(1.0), "{got} {want}");
            }
        }
    }

    #[test]
    fn an_image_far_from_every_sample_has_a_finite_likelihood() {
        let window = Parzen::new(&[0.0; 784], 784);
        let got = window.log_likelihoods(&[1.0; 784], &[0.1])[0][0];
        let want = -784.0 / 0.02 - 392.0 * (std::f64::consts::TAU * 0.01).ln();
        assert!((got - want).abs() < 1e-6, "{got} {want}");
    }

    #[test]
    fn the_width_is_the_best_on_validation_images() {
        let tried = widths();
        assert!((tried[0] - 0.1).abs() < 1e-12 && (tried[9] - 1.0).abs() < 1e-12);
        assert!((tried[1] / tried[0] - tried[9] / tried[8]).abs() < 1e-12);
        let (samples, validation, test) = (draws(0, 200 * 3), draws(1, 50 * 3), draws(2, 80 * 3));
        let figure = parzen(&samples, &validation, &test, 3).unwrap();
        let on = |images: &[f32], sigma: f64| {
            mean(&images.chunks(3).map(|x| direct(&samples, x, sigma)).collect::<Vec<_>>())
        };
        assert!(tried.iter().all(|sigma| on(&validation, *sigma) <= on(&validation, figure.sigma)));
        assert!((figure.mean - on(&test, figure.sigma)).abs() < 1e-10);
        assert!(figure.error > 0.0 && figure.error < 0.2);
        assert_eq!(parzen(&samples, &[], &test, 3), None);
        assert_eq!(parzen(&samples[1..], &validation, &test, 3), None);
    }
}
