//! The Parzen window of Goodfellow et al., "Generative Adversarial Nets" (NIPS 2014, §5), after
//! Breuleux, Bengio & Vincent (2011): a Gaussian around each of many samples of a model, whose
//! width is chosen on validation images, and the mean log-likelihood of the test images under their
//! mixture.
//!
//! log p(x) = log Σᵢ exp(-‖x - sᵢ‖² / 2σ²) - log n - d/2 · log 2πσ²
//!
//! It is a figure to compare with those of its time: it prefers a model that has learnt the
//! training images by heart to one that has understood them (Theis, van den Oord & Bethge 2016).

use super::LogMeanExp;
use crate::kernels::matrix::{Matrix, product};
use rayon::prelude::*;

/// Images that are held against the samples together.
const BLOCK: usize = 64;

/// The number of widths that are tried.
const WIDTHS: usize = 10;

/// Images under a window that samples are added to: memory goes with the images, not with the
/// samples.
pub struct Parzen<'a> {
    /// [m,d].
    images: &'a [f32],
    dimensions: usize,
    /// For each image and width, the exponents -‖x - s‖² / 2σ² of the samples so far, [m,widths].
    kernels: Vec<LogMeanExp>,
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

/// The protocol's end: chooses the best of [`widths`] on `validation` and takes the figure of
/// `test` with it. Both have seen the same samples, one at least.
pub fn parzen(validation: &Parzen, test: &Parzen) -> ParzenFigure {
    let widths = widths();
    let held_out: Vec<f64> = (0..WIDTHS).map(|width| mean(&validation.log_likelihoods(width))).collect();
    let best = (1..WIDTHS).fold(0, |best, k| if held_out[k] > held_out[best] { k } else { best });
    let test = test.log_likelihoods(best);
    let n = test.len() as f64;
    let mean = mean(&test);
    let variance = test.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0).max(1.0);
    ParzenFigure { sigma: widths[best], mean, error: (variance / n).sqrt() }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn squares(rows: &[f64], dimensions: usize) -> Vec<f64> {
    rows.chunks(dimensions).map(|row| row.iter().map(|v| v * v).sum()).collect()
}

fn precise(rows: &[f32]) -> Vec<f64> {
    rows.iter().map(|v| f64::from(*v)).collect()
}

impl<'a> Parzen<'a> {
    /// A window without samples, over `images` `[m,dimensions]` of pixels in [0, 1].
    pub fn new(images: &'a [f32], dimensions: usize) -> Parzen<'a> {
        Parzen { images, dimensions, kernels: vec![LogMeanExp::NONE; images.len() / dimensions * WIDTHS] }
    }

    /// Adds `samples` `[n,dimensions]`.
    pub fn add(&mut self, samples: &[f32]) {
        let d = self.dimensions;
        let samples = precise(samples);
        let own = squares(&samples, d);
        let scales = widths().map(|sigma| 0.5 / (sigma * sigma));
        let blocks = self.images.par_chunks(BLOCK * d).zip(self.kernels.par_chunks_mut(BLOCK * WIDTHS));
        blocks.for_each(|(images, kernels)| {
            let images = precise(images);
            let (m, n) = (images.len() / d, own.len());
            let mut products = vec![0.0; m * n];
            product(Matrix::new(&images, m, d), Matrix::new(&samples, n, d).transposed(), &mut products, false);
            let rows = std::iter::zip(products.chunks(n), squares(&images, d));
            for ((products, square), kernels) in std::iter::zip(rows, kernels.chunks_mut(WIDTHS)) {
                // -‖x - s‖² of every sample.
                let nearness: Vec<f64> = std::iter::zip(products, &own)
                    .map(|(p, own)| 2.0 * p - square - own)
                    .map(|x| if x > 0.0 { 0.0 } else { x })
                    .collect();
                for (kernel, scale) in std::iter::zip(kernels, scales) {
                    nearness.iter().for_each(|x| kernel.add(x * scale));
                }
            }
        });
    }

    /// The log-likelihood in nats of each image, for the width of this number among [`widths`].
    pub fn log_likelihoods(&self, width: usize) -> Vec<f64> {
        let sigma = widths()[width];
        let volume = 0.5 * self.dimensions as f64 * (std::f64::consts::TAU * sigma * sigma).ln();
        self.kernels.iter().skip(width).step_by(WIDTHS).map(|kernel| kernel.value() - volume).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::philox::Stream;

    fn draws(stream: u32, len: usize) -> Vec<f32> {
        let source = Stream { seed: 1, domain: 9, stream, step: 0, first: 0 };
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
    fn log_likelihoods_are_those_of_a_direct_sum_however_the_samples_come() {
        let (samples, images) = (draws(0, 37 * 5), draws(1, 150 * 5));
        for piece in [37, 10, 1] {
            let mut window = Parzen::new(&images, 5);
            samples.chunks(piece * 5).for_each(|samples| window.add(samples));
            for width in [3, 9] {
                let got = window.log_likelihoods(width);
                assert_eq!(got.len(), 150);
                for (image, got) in std::iter::zip(images.chunks(5), got) {
                    let want = direct(&samples, image, widths()[width]);
                    assert!((got - want).abs() < 1e-10 * want.abs().max(1.0), "{got} {want}");
                }
            }
        }
    }

    #[test]
    fn an_image_far_from_every_sample_has_a_finite_likelihood() {
        let mut window = Parzen::new(&[1.0; 784], 784);
        window.add(&[0.0; 784]);
        let got = window.log_likelihoods(0)[0];
        let want = -784.0 / 0.02 - 392.0 * (std::f64::consts::TAU * 0.01).ln();
        assert!((got - want).abs() < 1e-6, "{got} {want}");
    }

    #[test]
    fn the_width_is_the_best_on_validation_images() {
        let tried = widths();
        assert!((tried[0] - 0.1).abs() < 1e-12 && (tried[9] - 1.0).abs() < 1e-12);
        assert!((tried[1] / tried[0] - tried[9] / tried[8]).abs() < 1e-12);
        let (samples, validation, test) = (draws(0, 200 * 3), draws(1, 50 * 3), draws(2, 80 * 3));
        let [window, held_out] = [&test, &validation].map(|images| {
            let mut window = Parzen::new(images, 3);
            window.add(&samples);
            window
        });
        let figure = parzen(&held_out, &window);
        let on = |images: &[f32], sigma: f64| {
            mean(&images.chunks(3).map(|x| direct(&samples, x, sigma)).collect::<Vec<_>>())
        };
        assert!(tried.iter().all(|sigma| on(&validation, *sigma) <= on(&validation, figure.sigma)));
        assert!((figure.mean - on(&test, figure.sigma)).abs() < 1e-10);
        assert!(figure.error > 0.0 && figure.error < 0.2);
    }
}
