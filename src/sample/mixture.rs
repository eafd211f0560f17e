//! Images of mixtures.

use super::latent::CLOCK;
use super::{CHUNK, Function, finite};
use crate::graph::Graph;
use crate::kernels::philox::Domain;
use crate::models::{Family, MixtureModel};
use crate::train::{Session, SessionError};
use std::ops::Range;

fn mixture_of(session: &Session) -> Result<&dyn MixtureModel, SessionError> {
    match session.model.family() {
        Family::Mixture(model) => Ok(model),
        _ => Err(SessionError::Lacks("is no mixture, so it has no components")),
    }
}

/// A program that draws 64 new `images` [64,c,h,w] of a mixture: those of number `k` among all that
/// the seed gives, 64 at a time, where the state of the graph's clock is `k`, to which it adds one.
///
/// # Errors
/// A model that is no mixture.
pub fn mixture_graph(session: &Session, seed: u64) -> Result<Graph, SessionError> {
    let graph = session.graph(Domain::Sample, seed, CLOCK);
    graph.output("images", &mixture_of(session)?.draw(&graph, CHUNK));
    graph.advance(&graph.clock());
    Ok(graph)
}

/// New images [n,c,h,w] of these numbers; the first is a multiple of [`CHUNK`].
pub(super) fn draw(session: &mut Session, range: Range<usize>, seed: u64) -> Result<Vec<f32>, SessionError> {
    let (n, first) = (range.len(), (range.start / CHUNK) as u32);
    let size = session.model.geometry().iter().product::<usize>();
    let graph = mixture_graph(session, seed)?;
    let chunks = session.spread(n.div_ceil(CHUNK), |session, mine| {
        let mut runner = session.runner(&graph)?;
        let one = |k: &usize| {
            session.store.write(CLOCK, &[f32::from_bits(first + *k as u32)])?;
            runner.run()?;
            Ok(runner.read("images")?)
        };
        mine.iter().map(one).collect()
    })?;
    let mut images = chunks.concat();
    images.truncate(n * size);
    finite(images)
}

/// The mean images `[k,c,h,w]` of a mixture's components, the most probable first, and their
/// probabilities.
pub fn components(session: &mut Session) -> Result<(Vec<f32>, Vec<f32>), SessionError> {
    let size = session.model.geometry().iter().product::<usize>();
    let mut runner = session.runner(&Function::Components.graph(session, 1)?)?;
    runner.run()?;
    let (weights, means) = (runner.read("weights")?, runner.read("means")?);
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
    let images = order.iter().flat_map(|k| means[k * size..(k + 1) * size].iter().copied()).collect();
    Ok((images, order.iter().map(|k| weights[*k]).collect()))
}
