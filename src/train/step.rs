//! The program of one training step.

use crate::graph::{Graph, GraphError, Noise};
use crate::kernels::philox::Domain;
use crate::models::{Batch, Model};
use crate::nn::Optimizer;
use crate::program::Source;

/// Steps whose losses the device remembers until the host reads them.
pub const HISTORY_ROWS: usize = 256;

/// One training step of `model`: decodes the uploaded bytes, runs the model's step, records its
/// losses in row `step % HISTORY_ROWS` of the state `history`, and advances the state `clock`.
///
/// The input `images` holds `batch · batches_per_step` images and their labels, see
/// [`Batch::uploaded`].
pub fn train_source(model: &dyn Model, optim: &Optimizer, batch: usize, seed: u64) -> Result<Source, GraphError> {
    let g = Graph::new(Noise { seed, domain: Domain::Train as u32, clock: "clock".into() });
    g.scope("data");
    let images = Batch::uploaded(&g, model, batch * model.batches_per_step());
    let losses = model.step(&images, optim);
    g.scope("record");
    let history = g.state("history", HISTORY_ROWS * losses.len(), 0, &[HISTORY_ROWS, losses.len()]);
    g.record(&losses, &history);
    g.advance(&g.clock());
    g.finish()
}

/// What sets the parameters of `model` that start from data, from an input `images` as of a
/// training step; `None` where there are none. Its noise is that of the first step.
pub fn initialise_source(model: &dyn Model, batch: usize, seed: u64) -> Result<Option<Source>, GraphError> {
    let g = Graph::new(Noise { seed, domain: Domain::Train as u32, clock: "clock".into() });
    g.scope("data");
    let images = Batch::uploaded(&g, model, batch * model.batches_per_step());
    if !model.initialise(&images) {
        return Ok(None);
    }
    g.finish().map(Some)
}

/// Bytes as words, four to each.
pub fn pack(mut bytes: Vec<u8>) -> Vec<f32> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytemuck::pod_collect_to_vec(&bytes)
}
