//! A layer's weight: as it is stored; divided by its largest singular value (Miyato, Kataoka,
//! Koyama & Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018); or
//! times a constant, so that all layers learn at one rate (Karras, Aila, Laine & Lehtinen,
//! "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018, §4.1).

use super::network::{Init, NetworkBuilder, Param};
use crate::graph::{Graph, Var};

/// Added to lengths before they divide.
const EPS: f32 = 1e-12;

/// A weight [outputs, ...], seen as a matrix W [outputs, everything else].
#[derive(Clone, Debug)]
pub(super) struct Weight {
    stored: Param,
    used: Used,
}

/// How a weight is used.
#[derive(Clone, Debug)]
enum Used {
    /// As it is stored.
    Plain,
    /// Divided by its largest singular value, from estimates of the first singular vectors, u
    /// [outputs] and v [everything else]. They are running statistics: saved, and no gradient goes
    /// through them.
    Spectral([Param; 2]),
    /// Times a constant.
    Scaled(f32),
}

impl Weight {
    /// A weight that is used as it is stored.
    pub(super) fn plain(stored: Param) -> Weight {
        Weight { stored, used: Used::Plain }
    }

    /// A weight that is used as `scale` times what is stored.
    pub(super) fn scaled(stored: Param, scale: f32) -> Weight {
        Weight { stored, used: Used::Scaled(scale) }
    }

    /// A weight of this shape that is used as W / σ, with σ = uᵀ W v.
    pub(super) fn spectral(net: &mut NetworkBuilder, name: &str, stored: Param, shape: &[usize]) -> Weight {
        let (rows, columns) = (shape[0], shape[1..].iter().product());
        let mut vector = |letter, len| {
            let init = Init::Normal { mean: 0.0, std: 1.0 };
            net.stat(format!("{name}.weight_{letter}"), &[len], init)
        };
        let vectors = [vector('u', rows), vector('v', columns)];
        Weight { stored, used: Used::Spectral(vectors) }
    }

    /// The weight as the layer uses it.
    pub(super) fn var(&self, graph: &Graph) -> Var {
        let stored = self.stored.var(graph);
        match &self.used {
            Used::Plain => stored,
            Used::Scaled(scale) => stored.mul_scalar(*scale),
            Used::Spectral([u, v]) => stored.spectral_norm(&u.var(graph), &v.var(graph)),
        }
    }

    /// One power iteration (algorithm 1): v ← Wᵀu / ‖Wᵀu‖, then u ← Wv / ‖Wv‖.
    pub(super) fn iterate(&self, graph: &Graph) {
        let Used::Spectral([u, v]) = &self.used else { return };
        let (w, u, v) = (matrix(&self.stored.var(graph)), u.var(graph), v.var(graph));
        graph.assign_unit(&w.matmul_t(&column(&u), true, false), &v, EPS);
        graph.assign_unit(&w.matmul(&column(&v)), &u, EPS);
    }

    /// Makes every row of W no longer than `bound` (Hinton et al. 2012): W ← W min(1, bound /
    /// ‖row‖).
    pub(super) fn max_norm(&self, graph: &Graph, bound: f32) {
        let stored = self.stored.var(graph);
        let w = matrix(&stored);
        let lengths = w.square().sum_axes(&[1]).sqrt().add_scalar(EPS);
        let shorter = &w * &lengths.recip().mul_scalar(bound).clamp(0.0, 1.0);
        graph.assign(&shorter.reshape(stored.shape()), &stored);
    }
}

fn matrix(weight: &Var) -> Var {
    weight.flatten()
}

fn column(vector: &Var) -> Var {
    vector.reshape(&[vector.len(), 1])
}
