//! A mixture, and a classifier.

use super::source::{extents, python};
use super::{Module, Told};
use crate::models::{ClassifierConfig, GmmConfig};

/// A mixture of Gaussians.
pub(super) fn mixture(c: &GmmConfig) -> Module {
    let shape = extents(&[c.channels, c.height, c.width]);
    let pixels = c.channels * c.height * c.width;
    let body = python!("gmm.py", components = c.components, pixels = pixels, shape = shape);
    let about = format!(
        "A mixture of {} Gaussians with diagonal covariances for images [{shape}]: Dempster, Laird & Rubin, \"Maximum \
         Likelihood from Incomplete Data via the EM Algorithm\" (JRSS B, 1977).",
        c.components
    );
    let using = format!("{}\nnats = model.log_prob(images)", Told { classes: 0 }.using());
    Module { about, class: "GaussianMixture", body, using }
}

/// A classifier.
pub(super) fn classifier(c: &ClassifierConfig) -> Module {
    let (shape, side) = (extents(&[c.channels, c.image, c.image]), c.image / 4);
    let body = python!(
        "classifier.py",
        channels = c.channels,
        width = c.width,
        twice = 2 * c.width,
        fourfold = 4 * c.width,
        plane = 4 * c.width * side * side,
        features = c.features,
        classes = c.classes,
        shape = shape,
    );
    let about = format!(
        "A small convolutional classifier of images [{shape}], the activations of whose last hidden layer are features to \
         compare images by."
    );
    let using = format!(
        "import torch\nfrom model import load\nmodel, images = load(), torch.rand(16, {shape})\nclasses = \
         model(images).argmax(1)\nfeatures = model.features(images)"
    );
    Module { about, class: "Classifier", body, using }
}
