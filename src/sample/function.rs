//! What a trained model computes, as graphs.

use super::latent::CLOCK;
use crate::graph::Graph;
use crate::kernels::philox::Domain;
use crate::models::{Batch, Family};
use crate::nn::Mode;
use crate::train::{Session, SessionError};

/// A function of a trained model. Its graph has inputs and outputs of these names, of which the
/// first axis counts images: `z` `[n,latent]`, `images` `[n,c,h,w]` in [0, 1], and for models with
/// classes `labels` `[n,classes]`, a one in the column of each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Function {
    /// From `z` to `images`.
    Decode,
    /// From `images` to `z`, the mean of the latent vectors of each.
    Encode,
    /// From `images` to `logits` `[n,k,h,w]`, what each pixel is drawn from given those before it.
    Logits,
    /// From `images` to `features` `[n,f]`.
    Features,
    /// From nothing to `weights` `[k]` and `means` `[k,c,h,w]`, a mixture's components.
    Components,
}

impl Function {
    /// Those that a model has.
    pub fn all(session: &Session) -> Vec<Function> {
        match session.model.family() {
            Family::Latent(model) => {
                let encoder = model.encoder().map(|_| Function::Encode);
                [Function::Decode].into_iter().chain(encoder).collect()
            }
            Family::Pixels(_) => vec![Function::Logits],
            Family::Mixture(_) => vec![Function::Components],
            Family::Features(_) => vec![Function::Features],
        }
    }

    /// Its graph for `n` images.
    ///
    /// # Errors
    /// A function that the model does not have.
    pub fn graph(self, session: &Session, n: usize) -> Result<Graph, SessionError> {
        let model = session.model.as_ref();
        let graph = session.graph(Domain::Sample, session.seed, CLOCK);
        match (self, model.family()) {
            (Function::Decode, Family::Latent(decoder)) => {
                let z = graph.input("z", &[n, decoder.latent()]);
                let labels = Batch::given_labels(&graph, model, n);
                graph.output("images", &decoder.decode(&z, labels.as_ref()));
            }
            (Function::Encode, family) => {
                let encoder = family.encoder().ok_or(SessionError::Lacks("has no encoder"))?;
                graph.output("z", &encoder.encode(&Batch::given(&graph, model, n)));
            }
            (Function::Logits, Family::Pixels(network)) => {
                graph.output("logits", &network.outputs(&Batch::given(&graph, model, n), Mode::Eval));
            }
            (Function::Features, Family::Features(network)) => {
                graph.output("features", &network.features(&Batch::given(&graph, model, n).images));
            }
            (Function::Components, Family::Mixture(mixture)) => {
                let [weights, means] = mixture.components(&graph);
                graph.output("weights", &weights);
                graph.output("means", &means);
            }
            (Function::Decode, _) => return Err(SessionError::Lacks("has no latent space")),
            (Function::Logits, _) => return Err(SessionError::Lacks("does not draw pixel by pixel")),
            (Function::Features, _) => return Err(SessionError::Lacks("makes no features")),
            (Function::Components, _) => return Err(SessionError::Lacks("is no mixture, so it has no components")),
        }
        Ok(graph)
    }
}
