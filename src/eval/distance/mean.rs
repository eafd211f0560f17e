//! The squared distance of the means of two sets of features.

use super::Features;
use crate::eval::{How, NamedMetric};

pub(in crate::eval) static METRIC: NamedMetric = NamedMetric {
    name: "mean",
    what: "the distance of mean features",
    how: How::Features(|features| {
        let mean = |set: &Features, k: usize| set.rows().map(|row| row[k]).sum::<f64>() / set.len() as f64;
        let apart = |k: usize| mean(&features.real, k) - mean(&features.fake, k);
        let d2 = (0..features.real.dimensions()).map(|k| apart(k) * apart(k)).sum();
        features.figures("squared distance of means", &[("mean", d2, "of the features, squared")])
    }),
};
