//! A small convolutional classifier. It makes no images: the activations of its last hidden layer
//! are features by which the images of other models are compared with real ones.

use super::{Architecture, Batch, Family, FeatureModel, ImageSpec, Metric, Model, ModelError, positive};
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Optimizer, Sequential};
use crate::ops::ConvSpec;
use serde::{Deserialize, Serialize};

/// Sizes of a [`Classifier`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// Side of the square images, a multiple of 4.
    pub image: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Channels of the first convolution; the two others have twice and four times as many.
    pub width: usize,
    /// Units of the hidden layer, whose activations are the features.
    pub features: usize,
    /// Classes.
    pub classes: usize,
}

impl Architecture for ClassifierConfig {
    const KIND: &'static str = "classifier";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Classifier::new(self)?))
    }
}

/// Three convolutions, a hidden layer and a linear one.
pub struct Classifier {
    config: ClassifierConfig,
    net: Network,
    body: Sequential,
    head: Sequential,
}

/// Dropout keeps this share of the features.
const KEEP: f32 = 0.5;

impl Classifier {
    /// The network.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &ClassifierConfig) -> Result<Classifier, ModelError> {
        positive(&[("image", c.image), ("channels", c.channels), ("width", c.width), ("features", c.features)])?;
        if !c.image.is_multiple_of(4) {
            return Err(ModelError::setting("image", c.image, "must be a multiple of 4"));
        }
        if !(2..=256).contains(&c.classes) {
            return Err(ModelError::setting("classes", c.classes, "must be between 2 and 256"));
        }
        let (w, side) = (c.width, c.image / 4);
        let mut net = NetworkBuilder::new("classifier", &Numbering::default());
        let body = net
            .sequence("body")
            .conv(c.channels, w, 3, ConvSpec::new(1, 1), true)
            .relu()
            .conv(w, 2 * w, 3, ConvSpec::new(2, 1), true)
            .relu()
            .conv(2 * w, 4 * w, 3, ConvSpec::new(2, 1), true)
            .relu()
            .flatten()
            .linear(4 * w * side * side, c.features, true)
            .relu()
            .build();
        let head = net.sequence("head").dropout(KEEP).linear(c.features, c.classes, true).build();
        Ok(Classifier { config: c.clone(), net: net.build(), body, head })
    }

    /// Negative log-likelihood of each image's class under a softmax of the logits, and whether
    /// another class has a larger one, both [n].
    fn judge(&self, batch: &Batch, mode: Mode) -> [Var; 2] {
        let logits = self.head.forward(&self.body.forward(&batch.images, mode), mode);
        let n = batch.len();
        let labels = batch.labels.clone().unwrap_or_else(|| batch.graph().constant(logits.shape(), 0.0));
        let own = (&logits * &labels).sum_axes(&[1]).reshape(&[n]);
        let all = logits.log_sum_exp(1).reshape(&[n]);
        [&all - &own, (&logits.max_axis(1) - &own).relu_mask(0.0)]
    }
}

impl Model for Classifier {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.net]
    }

    fn images(&self) -> ImageSpec {
        let ClassifierConfig { channels, image, classes, .. } = self.config;
        ImageSpec { classes, ..ImageSpec::new([channels, image, image]) }
    }

    fn losses(&self) -> &'static [&'static str] {
        &["cross_entropy", "error"]
    }

    fn step(&self, batch: &Batch, optim: &Optimizer) -> Vec<Var> {
        let [loss, wrong] = self.judge(batch, Mode::Train).map(|v| v.mean());
        optim.minimize(&loss, &self.net);
        vec![loss, wrong]
    }

    fn figure(&self) -> &'static str {
        "accuracy"
    }

    fn evaluate(&self, batch: &Batch) -> Vec<Metric> {
        let [loss, wrong] = self.judge(batch, Mode::Eval);
        let right = wrong.mul_scalar(-1.0).add_scalar(1.0);
        vec![Metric::new("accuracy", "of the images", right), Metric::new("cross_entropy", "nats/label", loss)]
    }

    fn family(&self) -> Family<'_> {
        Family::Features(self)
    }
}

impl FeatureModel for Classifier {
    fn features(&self, images: &Var) -> Var {
        self.body.forward(images, Mode::Eval)
    }
}
