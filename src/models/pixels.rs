//! Models that draw pixels in raster order, each given those before it: p(x) = Π p(x_i | x_1 ..
//! x_{i-1}).

use super::{Batch, Family, ImageSpec, Likelihood, Metric, Model, ModelError};
use crate::data::Binarisation;
use crate::graph::Var;
use crate::nn::{Mode, Network, Optimizer};
use crate::ops::Head;

/// A model that draws pixels in raster order, which [`Autoregressive`] makes a [`Model`] of. All it
/// has to say is its network; how it is trained and measured follows.
pub trait PixelModel {
    /// Its network.
    fn network(&self) -> &Network;

    /// Channels, height and width of its images.
    fn shape(&self) -> [usize; 3];

    /// The distribution of a pixel.
    fn head(&self) -> Head {
        Head::Bernoulli
    }

    /// Classes that images are told apart by; 0 without.
    fn classes(&self) -> usize {
        0
    }

    /// Whether some of its layers start from a first batch, by [`Mode::Initialise`].
    fn starts_from_data(&self) -> bool {
        false
    }

    /// What the head draws each pixel from, `[n,channels,h,w]`, given the pixels before it.
    fn outputs(&self, batch: &Batch, mode: Mode) -> Var;

    /// The same of a trained network in a form that does the same at every pixel, without strides,
    /// so that it can be computed one pixel at a time.
    fn outputs_by_pixel(&self, batch: &Batch) -> Var {
        self.outputs(batch, Mode::Eval)
    }
}

/// A [`Model`] that is trained by the likelihood of each pixel given those before it.
#[derive(Debug)]
pub struct Autoregressive<M>(pub M);

impl<M: PixelModel> Autoregressive<M> {
    /// Negative log-likelihood of images, [n] in nats.
    fn nll(&self, batch: &Batch, mode: Mode) -> Var {
        let x = self.observe(batch);
        let outputs = self.0.outputs(&x, mode);
        x.graph().scope("loss");
        self.0.head().nll(&outputs, &x.images)
    }
}

impl<M: PixelModel> Model for Autoregressive<M> {
    fn networks(&self) -> Vec<&Network> {
        vec![self.0.network()]
    }

    fn images(&self) -> ImageSpec {
        let (levels, binarisation) = match self.0.head() {
            Head::Bernoulli => (256, Binarisation::Dynamic),
            Head::Categorical { levels } => (levels as usize, Binarisation::None),
            Head::LogisticMixture { .. } => (256, Binarisation::None),
        };
        ImageSpec { classes: self.0.classes(), levels, binarisation, ..ImageSpec::new(self.0.shape()) }
    }

    fn likelihood(&self) -> Likelihood {
        if self.0.head() == Head::Bernoulli { Likelihood::Binary } else { Likelihood::Levels }
    }

    fn losses(&self) -> &'static [&'static str] {
        &["nll"]
    }

    fn initialise(&self, batch: &Batch) -> bool {
        if self.0.starts_from_data() {
            self.0.outputs(&self.observe(batch), Mode::Initialise);
        }
        self.0.starts_from_data()
    }

    fn step(&self, batch: &Batch, optim: &Optimizer) -> Vec<Var> {
        let loss = self.nll(batch, Mode::Train).mean();
        optim.minimize(&loss, self.0.network());
        vec![loss]
    }

    fn evaluate(&self, batch: &Batch) -> Vec<Metric> {
        let values = self.nll(batch, Mode::Eval);
        vec![Metric { likelihood: self.likelihood(), ..Metric::new("nll", "nats/image", values) }]
    }

    fn family(&self) -> Family<'_> {
        Family::Pixels(&self.0)
    }
}

/// Pixels in [0, 1] as networks for grey levels take them, in [-1, 1].
pub(super) fn centred(images: &Var) -> Var {
    images.mul_scalar(2.0).add_scalar(-1.0)
}

/// The head of images with so many levels: two are black and white.
pub(super) fn head(levels: usize) -> Head {
    if levels == 2 { Head::Bernoulli } else { Head::Categorical { levels: levels as u32 } }
}

/// Refuses a number of levels that makes no sense.
pub(super) fn check_levels(levels: usize) -> Result<(), ModelError> {
    match levels {
        2..=256 => Ok(()),
        _ => Err(ModelError::setting("levels", levels, "must be from 2 (black and white) to 256")),
    }
}
