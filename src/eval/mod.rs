//! Figures of a trained model on its test set.

mod parzen;

pub use parzen::{Parzen, ParzenFigure, parzen, widths};

use crate::data::Split;
use crate::kernels::philox::Domain;
use crate::train::{Session, SessionError, Weights, pack};

/// Counts the batches of an evaluation.
const CLOCK: &str = "eval.clock";

/// One figure and how it came about.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Figure {
    /// Its name: `loss`, `bce`, `kl`, `elbo`, `nll`, `bits_per_dim`, ...
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Data, binarisation, samples and seed.
    pub protocol: String,
}

/// Measures the model on every image of `test`, `batch` at a time. Likelihoods are also given in
/// bits per dimension, and a bound on them as the evidence lower bound.
pub fn evaluate(session: &mut Session, data: &str, test: &Split, batch: usize) -> Result<Vec<Figure>, SessionError> {
    let [c, h, w] = session.model.geometry();
    let (size, batch) = (c * h * w, batch.clamp(1, test.len().max(1)));
    let graph = session.graph(Domain::Eval, session.seed, CLOCK);
    let words = graph.input("images", &[(batch * size).div_ceil(4)]);
    let images = graph.decode_u8(&words, &[batch, c, h, w], 1.0, 0.0);
    let metrics = session.model.evaluate(&images);
    for metric in &metrics {
        graph.output(metric.name, &metric.values);
    }
    graph.advance(&graph.clock());
    let mut runner = session.runner(&graph)?;
    session.store.write(CLOCK, &[0.0])?;
    let mut sums = vec![0.0f64; metrics.len()];
    for first in (0..test.len()).step_by(batch) {
        // The last batch is filled up with its first image, which is then not counted.
        let count = batch.min(test.len() - first);
        let bytes: Vec<u8> =
            (0..batch).flat_map(|k| test.image(first + if k < count { k } else { 0 }).iter().copied()).collect();
        runner.write("images", &pack(bytes))?;
        runner.run()?;
        for (sum, metric) in std::iter::zip(&mut sums, &metrics) {
            *sum += runner.read(metric.name)?[..count].iter().map(|v| f64::from(*v)).sum::<f64>();
        }
    }
    let averaged = session.weights == Weights::Averaged;
    let weights = if averaged { "; averaged weights" } else { "" };
    let protocol = format!(
        "mean over {} test images of {data}; {}{weights}; one draw of noise per image; seed {}",
        test.len(),
        session.model.binarisation(),
        session.seed
    );
    let figure = |name: &str, value: f64, unit: &str| Figure {
        name: name.into(),
        value,
        unit: unit.into(),
        protocol: protocol.clone(),
    };
    let mut figures = Vec::new();
    for (sum, metric) in std::iter::zip(&sums, &metrics) {
        let mean = sum / test.len() as f64;
        figures.push(figure(metric.name, mean, metric.unit));
        if metric.likelihood {
            if metric.name == "loss" {
                figures.push(figure("elbo", -mean, metric.unit));
            }
            figures.push(figure("bits_per_dim", mean / (size as f64 * std::f64::consts::LN_2), "bits/dim"));
        }
    }
    Ok(figures)
}
