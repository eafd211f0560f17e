//! Distances between two sets of images, by what a network makes of them: rows of features. Nothing
//! here knows the network, so nothing here has a name that speaks of one.
//!
//! ```
//! use limn::eval::distance::{Features, frechet};
//!
//! let (mut one, mut other) = (Features::new(1), Features::new(1));
//! one.extend(&[-1.0, 1.0]);
//! other.extend(&[2.0, 4.0]);
//! assert!((frechet(&one, &other) - 9.0).abs() < 1e-6); // means 3 apart, and the same variance
//! ```

pub(super) mod frechet;
pub(super) mod kernel;
pub(super) mod neighbourhood;

pub use frechet::frechet;
pub use kernel::{KernelDistance, SUBSET_SIZE, SUBSETS, kernel_distance};
pub use neighbourhood::{NEAREST, Neighbourhoods, neighbourhoods};

use crate::kernels::matrix::{Matrix, product};

/// Features of some images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// [n,dimensions].
    values: Vec<f64>,
    dimensions: usize,
}

impl Features {
    /// None yet.
    ///
    /// # Panics
    /// If there are no dimensions.
    pub fn new(dimensions: usize) -> Features {
        assert!(dimensions > 0, "features have a dimension at least");
        Features { values: Vec::new(), dimensions }
    }

    /// Those of further images, `[n,dimensions]`.
    pub fn extend(&mut self, rows: &[f32]) {
        self.values.extend(rows.iter().map(|v| f64::from(*v)));
    }

    /// How many images they are of.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimensions
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers for each image.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.dimensions..(i + 1) * self.dimensions]
    }

    fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.dimensions)
    }

    /// Those of the images at these indices.
    fn pick(&self, indices: &[usize]) -> Features {
        let values = indices.iter().flat_map(|i| self.row(*i).iter().copied()).collect();
        Features { values, dimensions: self.dimensions }
    }

    /// ‖x‖² of each image.
    fn squares(&self) -> Vec<f64> {
        self.rows().map(|row| row.iter().map(|v| v * v).sum()).collect()
    }
}

/// x·y of `rows`, some rows of features, with all of `others`, [rows,others].
fn products(rows: &[f64], others: &Features) -> Vec<f64> {
    let (m, n, d) = (rows.len() / others.dimensions, others.len(), others.dimensions);
    let mut c = vec![0.0; m * n];
    product(Matrix::new(rows, m, d), Matrix::new(&others.values, n, d).transposed(), &mut c, false);
    c
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernels::philox::Stream;

    /// Normal features [n,dimensions], stretched and moved; as assets/fixtures/make.py draws them.
    pub(crate) fn drawn(stream: u32, n: usize, dimensions: usize, scale: f32, shift: f32) -> Features {
        let source = Stream { seed: 0, domain: 9, stream, step: 0, first: 0 };
        let mut features = Features::new(dimensions);
        features.extend(&(0..n * dimensions).map(|i| scale * source.normal(i) + shift).collect::<Vec<_>>());
        features
    }

    fn number(fixture: &serde_json::Value, key: &str) -> f64 {
        fixture[key].as_f64().unwrap_or_else(|| panic!("{key}"))
    }

    #[test]
    fn distances_are_those_of_numpy() {
        let text = std::fs::read_to_string("assets/fixtures/distances.json").unwrap();
        let fixture: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (real, fake) = (drawn(300, 150, 7, 1.0, 0.0), drawn(301, 130, 7, 0.8, 0.3));
        let near = |got: f64, key: &str| {
            let want = number(&fixture, key);
            assert!((got - want).abs() < 1e-5 * want.abs().max(1.0), "{key}: {got} {want}");
        };
        near(frechet(&real, &fake), "frechet");
        near(kernel::squared_discrepancy(&real, &fake), "kernel");
        let found = neighbourhoods(&real, &fake);
        near(found.precision, "precision");
        near(found.recall, "recall");
        near(found.density, "density");
        near(found.coverage, "coverage");
    }
}
