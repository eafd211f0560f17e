//! Pixels as what a network says of each: how likely they are, and how they are drawn.

use super::{launch, mismatch};
use crate::graph::{Graph, Var};
use crate::kernels::philox::Stream;
use crate::kernels::pixel_code::PixelCode;
use crate::kernels::pixel_distribution::{LEAST_LOG_SCALE, LINKED, PixelDistribution, mixture_row};
use crate::kernels::{draw_pixels, sample_pixel};
use std::ops::Range;
use std::sync::Arc;

impl PixelDistribution {
    /// Negative log-probability in nats of the pixels of `images` `[n,c,h,w]` in [0, 1], given a
    /// network's `outputs` [n, channels, h, w] for each, `[n]`.
    ///
    /// Bernoulli variables take grey levels as they are; the others take the nearest of their
    /// levels.
    pub fn nll(self, outputs: &Var, images: &Var) -> Var {
        let &[n, colours, h, w] = images.shape() else {
            let why = "images must be [n,c,h,w]";
            return images.graph().fail(mismatch("nll", &[images.shape()], why), images.shape());
        };
        if matches!(self, PixelDistribution::LogisticMixture { .. }) && colours > 3 {
            let why = "mixtures of logistic variables are of one colour to three";
            return images.graph().fail(mismatch("nll", &[images.shape()], why), &[n]);
        }
        let wanted = [n, self.channels(colours), h, w];
        if outputs.shape() != wanted {
            let why = format!("these images need outputs {wanted:?}");
            return images.graph().fail(mismatch("nll", &[outputs.shape(), images.shape()], why), &[n]);
        }
        let each = match self {
            PixelDistribution::Bernoulli => outputs.bce_with_logits(images),
            PixelDistribution::Categorical { levels } => {
                let levels = levels as usize;
                let logits = outputs.reshape(&[n, levels, colours, h, w]);
                logits.cross_entropy(&images.mul_scalar((levels - 1) as f32).add_scalar(0.5))
            }
            PixelDistribution::LogisticMixture { components } => mixture_nll(outputs, images, components as usize),
        };
        each.sum_axes(&[1, 2, 3]).reshape(&[n])
    }
}

/// -ln Σ_m π_m Π_colours P(colour | m) of every pixel, [n,1,h,w] (Salimans et al. 2017, §2.1 and
/// 2.2).
fn mixture_nll(outputs: &Var, images: &Var, components: usize) -> Var {
    let colours = images.shape()[1];
    let row = |k: usize| outputs.slice(1, k * components, components);
    let output = |colour: usize, k: usize| row(mixture_row(colours, colour, k));
    let colour = |c: usize| images.slice(1, c, 1);
    let logits = row(0);
    let mut log_p = &logits - &logits.log_sum_exp(1);
    for (c, linked) in LINKED.iter().enumerate().take(colours) {
        let centred = |c: usize| colour(c).mul_scalar(2.0).add_scalar(-1.0);
        let mut mean = output(c, 0);
        for (coefficient, earlier) in *linked {
            mean = &mean + &(&output(*coefficient, 2).tanh() * &centred(*earlier));
        }
        // From levels in [-1, 1] to levels in [0, 1].
        let mean = mean.add_scalar(1.0).mul_scalar(0.5);
        let log_scale = output(c, 1).at_least(LEAST_LOG_SCALE).add_scalar(-std::f32::consts::LN_2);
        log_p = &log_p - &mean.discretised_logistic_nll(&log_scale, &colour(c));
    }
    -&log_p.log_sum_exp(1)
}

impl Graph {
    /// One draw of a pixel of each image by `distribution`, unless `keep` says it is known: number
    /// `clock` of as many draws as a pixel takes passes, pixel after pixel. outputs [n, channels,
    /// h, w]; keep and image [n, colours, h, w].
    pub fn sample_pixel(&self, distribution: PixelDistribution, outputs: &Var, keep: &Var, image: &Var) {
        let Ok([n, colours, h, w]) = image.four("sample_pixel") else { return };
        let noise = self.noise();
        let [kind, size] = distribution.words();
        let kernel = sample_pixel::SamplePixel {
            n: n as u32,
            colours: colours as u32,
            positions: (h * w) as u32,
            kind,
            size,
            seed_lo: noise.seed as u32,
            seed_hi: (noise.seed >> 32) as u32,
            stream: self.next_stream(),
            domain: noise.domain,
        };
        self.update(launch(kernel), &[Some(outputs), Some(keep), Some(&self.clock())], &[image]);
    }

    /// Runs instructions `run`, counted from the beginning of step `clock` on, of drawing each
    /// image by code that computes only new columns; pixels that `keep` says are known stay. words
    /// are those of the code, weights its packed weights, keep and image [n, colours·h·w], columns
    /// [n, 4·columns]. The images are number `first` and later ones of those that draw from
    /// `stream`.
    pub fn draw_pixels(
        &self,
        code: &Arc<PixelCode>,
        reads: [&Var; 3],
        writes: [&Var; 2],
        run: Range<u32>,
        [first, stream]: [u32; 2],
    ) {
        let ([words, weights, keep], noise) = (reads, self.noise());
        let &[images, _] = keep.shape() else {
            self.fail(mismatch("draw_pixels", &[keep.shape()], "keep must be [n,colours·h·w]"), keep.shape());
            return;
        };
        let source = Stream { seed: noise.seed, domain: noise.domain, stream, step: 0, first: 0 };
        let kernel = draw_pixels::DrawPixels::new(code.clone(), images as u32, run, first, &source);
        self.update(launch(kernel), &[Some(words), Some(weights), Some(keep), Some(&self.clock())], &writes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Noise;
    use crate::ops::{ConvSpec, Mask};
    use crate::program::PixelProgram;

    #[test]
    fn the_listing_of_the_worked_example_is_what_its_code_prints() {
        let graph = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() }).per_pixel();
        let weights = |name: &str, shape: [usize; 4]| graph.state(name, shape.iter().product(), 0, &shape);
        let image = graph.input("image", &[1, 1, 4, 5]);
        let (w, masked) = (weights("w0", [4, 1, 3, 3]), ConvSpec::masked(Mask::A, [3, 3], 1));
        let hidden = image.conv2d(&w, Some(&graph.state("b0", 4, 0, &[4])), &masked).relu();
        let logits = hidden.conv2d(&weights("w1", [1, 4, 1, 1]), None, &ConvSpec::default());
        let source = graph.finish().unwrap();
        let program = PixelProgram::new(&source, image.id(), logits.id(), PixelDistribution::Bernoulli).unwrap();
        let listing = program.code.to_string();
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md")).unwrap();
        assert!(page.contains(&listing), "ARCHITECTURE.md does not have\n{listing}");
    }
}
