//! What latent variables are drawn from.

use crate::graph::{Graph, Var};
use crate::kernels::philox::Stream;

/// The distribution of each latent variable: mean 0, variance 1, all independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prior {
    /// Standard normal.
    Normal,
    /// Uniform in [-√3, √3).
    Uniform,
}

/// √3: half the width of a uniform distribution of variance 1.
const HALF: f32 = 1.732_050_8;

impl Prior {
    /// A tensor of new draws at every step.
    pub fn draw(self, graph: &Graph, shape: &[usize]) -> Var {
        match self {
            Prior::Normal => graph.normal(shape),
            Prior::Uniform => graph.uniform(shape, -HALF, HALF),
        }
    }

    /// Element `i` of a stream.
    pub fn element(self, stream: &Stream, i: usize) -> f32 {
        match self {
            Prior::Normal => stream.normal(i),
            Prior::Uniform => HALF * (2.0 * stream.uniform(i) - 1.0),
        }
    }

    /// The number below which a share `p` of all draws lies.
    pub fn quantile(self, p: f64) -> f64 {
        match self {
            Prior::Normal => normal_quantile(p),
            Prior::Uniform => f64::from(HALF) * (2.0 * p - 1.0),
        }
    }

    /// The draw that lies where `z` does among those of a standard normal distribution.
    pub fn of_normal(self, z: f32) -> f32 {
        match self {
            Prior::Normal => z,
            Prior::Uniform => self.quantile(normal_distribution(f64::from(z).clamp(-8.0, 8.0))) as f32,
        }
    }

    /// How far from the mean a picture of one dimension goes.
    pub fn reach(self) -> f32 {
        match self {
            Prior::Normal => 3.0,
            Prior::Uniform => HALF,
        }
    }
}

/// The standard normal's quantile function, by bisection on its distribution function: exact
/// enough for a picture and nothing to get wrong.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-8.0f64, 8.0f64);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if normal_distribution(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(X < x), by its series 1/2 + φ(x)·(x + x³/3 + x⁵/15 + ...).
fn normal_distribution(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..200 {
        term *= x * x / (2 * k + 1) as f64;
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        for (p, x) in [(0.5, 0.0), (0.975, 1.959_964), (0.025, -1.959_964), (0.95, 1.644_854), (0.995, 2.575_829)] {
            assert!((normal_quantile(p) - x).abs() < 1e-5, "{p}");
        }
    }

    #[test]
    fn uniform_draws_have_mean_zero_and_variance_one() {
        let stream = Stream { seed: 1, domain: 0, stream: 0, step: 0, first: 0 };
        let draws: Vec<f64> = (0..40_000).map(|i| f64::from(Prior::Uniform.element(&stream, i))).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|v| v * v).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        let ends = [0.0, 0.5, 1.0].map(|p| Prior::Uniform.quantile(p) as f32);
        assert_eq!(ends, [-HALF, 0.0, HALF]);
        let normal = [-60.0, 0.0, 0.674_49, 60.0].map(|z| Prior::Uniform.of_normal(z));
        let near = std::iter::zip(normal, [-HALF, 0.0, HALF / 2.0, HALF]).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near && normal.iter().all(|z| z.abs() <= HALF), "{normal:?}");
    }
}
