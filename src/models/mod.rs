//! The models: a file each, its layers, its forward pass and its training step as the paper has
//! them.
//!
//! ```
//! use limn::models::Family;
//! use limn::train::Config;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Config::preset("dcgan-28")?.model.build()?;
//! let [channels, height, width] = model.geometry();
//! println!("{} parameters, for images of {channels} x {height} x {width}", model.parameters());
//! assert!(matches!(model.family(), Family::Latent(generator) if generator.encoder().is_none()));
//! # Ok(())
//! # }
//! ```

mod adversarial;
mod architecture;
mod autoencoder;
mod batch;
mod biggan;
mod classifier;
mod dcgan;
mod decoder;
mod error;
mod gan;
mod gmm;
mod meaning;
mod pixelcnn;
mod pixelcnn_gated;
mod pixelcnn_pp;
mod pixelrnn;
mod pixels;
mod prior;
mod progan;
mod vae;
mod vae_conv;
mod variational;
mod wavegan;

pub use adversarial::{Adversarial, AdversarialLoss, AdversarialModel, Augmentation, Game, Judged, Penalty};
pub use architecture::{Architecture, ModelConfig, Training, kinds, register};
pub use autoencoder::{Autoencoder, AutoencoderConfig};
pub use batch::Batch;
pub use biggan::{BigGan, BigGanConfig};
pub use classifier::{Classifier, ClassifierConfig};
pub use dcgan::{Dcgan, DcganConfig, Norm};
pub use decoder::Decoder;
pub use error::ModelError;
pub use gan::{Gan, GanConfig};
pub use gmm::{Gmm, GmmConfig};
pub use meaning::{meaning, meanings};
pub use pixelcnn::{PixelCnn, PixelCnnConfig};
pub use pixelcnn_gated::{PixelCnnGated, PixelCnnGatedConfig};
pub use pixelcnn_pp::{PixelCnnPp, PixelCnnPpConfig};
pub use pixelrnn::{PixelRnn, PixelRnnConfig, Recurrence};
pub use pixels::{Autoregressive, PixelModel};
pub use prior::Prior;
pub use progan::{Progan, ProganConfig};
pub use vae::{Activation, Vae, VaeConfig};
pub use vae_conv::{VaeConv, VaeConvConfig};
pub use variational::{Objective, Variational, VariationalModel};
pub use wavegan::{WaveGan, WaveGanConfig};

use error::{each_positive, few_classes, finite, positive};

use crate::data::{Binarisation, Medium};
use crate::graph::{Graph, Var};
use crate::nn::{Network, Optimizer};

/// A quantity measured on every test image.
pub struct Metric {
    /// Its name: `bce`, `kl`, `loss`, `nll`, ...
    pub name: &'static str,
    /// Its unit: `nats/image`, `probability`, ...
    pub unit: &'static str,
    /// One number for each image, `[n]`.
    pub values: Var,
    /// Of what it is the negative log-likelihood in nats, or a bound on it.
    pub likelihood: Likelihood,
    /// The figure that it is the negative of and that people know by a name of its own, such as
    /// `elbo`.
    pub negative_of: Option<&'static str>,
}

impl Metric {
    /// A quantity that says nothing of likelihoods.
    pub fn new(name: &'static str, unit: &'static str, values: Var) -> Metric {
        Metric { name, unit, values, likelihood: Likelihood::None, negative_of: None }
    }
}

/// What a model's likelihood is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likelihood {
    /// Of nothing.
    None,
    /// Probabilities of the levels that pixels have, from which bits/dim follow.
    Levels,
    /// Probabilities of pixels that are 0 or 1; of pixels in between it is a cross-entropy only.
    Binary,
    /// Densities of grey levels from 0 to 1.
    Density,
}

/// What the images of a model are, and what it is told of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    /// Channels, height and width.
    pub geometry: [usize; 3],
    /// Pictures, films or sounds.
    pub medium: Medium,
    /// How many classes they have, which the model is told of each; 0 for a model that does not
    /// ask.
    pub classes: usize,
    /// Levels that a colour of a pixel has; [`crate::train::images`] rounds those of the data to
    /// them.
    pub levels: usize,
    /// How grey levels are made binary, in training and for figures alike. A static one is that of
    /// the data, which [`crate::train::images`] opens; a dynamic one is the model's own.
    pub binarisation: Binarisation,
}

impl ImageSpec {
    /// Pictures `[channels,height,width]` of 256 levels, of which the model is told nothing else.
    pub const fn new(geometry: [usize; 3]) -> ImageSpec {
        ImageSpec { geometry, medium: Medium::Pictures, classes: 0, levels: 256, binarisation: Binarisation::None }
    }
}

/// A part of a model's training whose steps are one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingStage {
    /// What is trained, in words.
    pub name: String,
    /// The first step of the next stage, counted from 0; the last stage has no end.
    pub end: Option<u64>,
}

/// A generative model: its networks and the programs that train and test it.
pub trait Model {
    /// Its networks.
    fn networks(&self) -> Vec<&Network>;

    /// What its images are, and what it is told of them.
    fn images(&self) -> ImageSpec;

    /// Of what [`Model::evaluate`] gives the likelihood, or a bound on it.
    fn likelihood(&self) -> Likelihood {
        Likelihood::None
    }

    /// Names of what [`Model::step`] returns.
    fn losses(&self) -> &'static [&'static str];

    /// Batches one training step consumes.
    fn batches_per_step(&self) -> usize {
        1
    }

    /// Adds what sets the parameters that start from data by a first batch; whether there are any.
    /// It runs before the first training step.
    fn initialise(&self, _batch: &Batch) -> bool {
        false
    }

    /// The stage of its training that this model is at, where training has several: [`Model::step`]
    /// is that of the stage, and images and figures are made as the model would at just this step.
    /// What comes later takes a model made by [`ModelConfig::at`].
    fn stage(&self) -> Option<TrainingStage> {
        None
    }

    /// One training step, optimiser included: its losses, scalars in the order of
    /// [`Model::losses`].
    fn step(&self, batch: &Batch, optim: &Optimizer) -> Vec<Var>;

    /// What people call that which [`Model::evaluate`] measures first.
    fn figure(&self) -> &'static str {
        self.losses()[0]
    }

    /// What is measured on test images.
    fn evaluate(&self, batch: &Batch) -> Vec<Metric>;

    /// Images as the model's likelihood speaks of them.
    fn observe(&self, batch: &Batch) -> Batch {
        match self.images().binarisation {
            Binarisation::Dynamic => {
                batch.graph().scope("data");
                batch.with_images(batch.images.bernoulli())
            }
            Binarisation::None | Binarisation::Static => batch.clone(),
        }
    }

    /// Activations `[n,c,h,w]` of every convolution of a discriminator, for images `[n,c,h,w]` in
    /// [0, 1]; none for models without such a network.
    fn discriminator_activations(&self, _images: &Var) -> Vec<Var> {
        Vec::new()
    }

    /// How new images are made.
    fn family(&self) -> Family<'_>;
}

impl std::fmt::Debug for dyn Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let networks: Vec<_> = self.networks().into_iter().map(|net| (&net.name, net.count())).collect();
        f.debug_struct("Model").field("images", &self.images()).field("networks", &networks).finish_non_exhaustive()
    }
}

impl dyn Model + '_ {
    /// Channels, height and width of its images.
    pub fn geometry(&self) -> [usize; 3] {
        self.images().geometry
    }

    /// How many classes its images have; 0 for a model that is not told of them.
    pub fn classes(&self) -> usize {
        self.images().classes
    }

    /// Trained parameters.
    pub fn parameters(&self) -> usize {
        self.networks().iter().map(|n| n.count()).sum()
    }
}

/// How a model makes images.
pub enum Family<'a> {
    /// From a latent vector, in one pass.
    Latent(&'a dyn LatentModel),
    /// Pixel by pixel.
    Pixels(&'a dyn PixelModel),
    /// From a component, and noise.
    Mixture(&'a dyn MixtureModel),
    /// Not at all: the model makes features of images.
    Features(&'a dyn FeatureModel),
}

impl<'a> Family<'a> {
    /// The encoder of a model that has one.
    pub fn encoder(self) -> Option<&'a dyn Encoder> {
        match self {
            Family::Latent(model) => model.encoder(),
            Family::Pixels(_) | Family::Mixture(_) | Family::Features(_) => None,
        }
    }

    /// The densities of a model that has them.
    pub fn densities(self) -> Option<&'a dyn Densities> {
        match self {
            Family::Latent(model) => model.densities(),
            Family::Pixels(_) | Family::Mixture(_) | Family::Features(_) => None,
        }
    }
}

/// A model that decodes latent vectors.
pub trait LatentModel {
    /// Latent dimensions.
    fn latent(&self) -> usize;

    /// What each of them is drawn from.
    fn prior(&self) -> Prior {
        Prior::Normal
    }

    /// Images `[n,c,h,w]` in [0, 1] from z `[n,latent]`, and the labels of a [`Batch`] where there
    /// are classes.
    fn decode(&self, z: &Var, labels: Option<&Var>) -> Var;

    /// Its way back from images, if it has one.
    fn encoder(&self) -> Option<&dyn Encoder> {
        None
    }

    /// Its densities, if it has them.
    fn densities(&self) -> Option<&dyn Densities> {
        None
    }

    /// What to know of new images where the prior is none that the model was trained for.
    fn caveat(&self) -> Option<&'static str> {
        None
    }
}

/// A model that finds latent vectors of images.
pub trait Encoder {
    /// The mean `[n,latent]` of the latent vectors of images.
    fn encode(&self, batch: &Batch) -> Var;
}

/// A model with a density of images and latent vectors, p(x,z), and one of latent vectors given an
/// image, q(z|x).
pub trait Densities {
    /// log p(x,z) - log q(z|x) in nats of `samples` draws of z from q(z|x) for each image,
    /// `[samples,n]`; images come from [`Model::observe`].
    fn log_weights(&self, batch: &Batch, samples: usize) -> Var;
}

/// A model that draws one of several components, and then an image of it.
pub trait MixtureModel {
    /// `n` new images `[n,c,h,w]` in [0, 1], other ones at every step of the graph's clock.
    fn draw(&self, graph: &Graph, n: usize) -> Var;

    /// Each component's probability, `[k]`, and its mean image, `[k,c,h,w]` in [0, 1].
    fn components(&self, graph: &Graph) -> [Var; 2];
}

/// A model that makes features of images instead of images.
pub trait FeatureModel {
    /// Features `[n,f]` of images `[n,c,h,w]` in [0, 1].
    fn features(&self, images: &Var) -> Var;
}

/// What a setting is where files from before there was the setting leave it out.
fn one<T: From<u8>>() -> T {
    T::from(1)
}

/// Levels of black and white images.
fn two() -> usize {
    2
}
