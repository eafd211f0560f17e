//! What a discriminator has learnt without labels: Radford et al. (2016), §5.1. The activations of
//! all its convolutions, max-pooled to 4x4, flattened and concatenated, are the features of a
//! linear classifier.

use super::{CLOCK, Figure, Labelled, Svm, finite, finite_features};
use crate::data::{Dataset, Split, spread};
use crate::kernels::philox::Domain;
use crate::models::Batch;
use crate::program::Runner;
use crate::train::{Session, SessionError, Weights, pack};

/// Side of the planes that activations are pooled to.
const SIDE: usize = 4;

/// Images that go through the network together.
const BATCH: usize = 64;

/// The constants that are tried, for features whose squared length is 1 on average.
const CONSTANTS: [f64; 6] = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];

/// Images that the constant is chosen on, at most, and at most this share of the training images.
const HELD_OUT: usize = 5000;
const SHARE: usize = 5;

fn refuse(why: String) -> SessionError {
    SessionError::Config(why)
}

/// Trains the classifier on `images` training images, evenly spread, and tests it on all test
/// images. The constant is the best of some on a share of those, which the final classifier sees
/// too.
///
/// # Errors
/// A model without a discriminator that convolves, images without labels, more features than there
/// is memory for, and all that can be wrong with a device.
pub fn probe(session: &mut Session, data: &Dataset, images: usize) -> Result<Vec<Figure>, SessionError> {
    let labels = |split: &Split, which: &str| {
        let why = || refuse(format!("the {which} images of {} have no labels; a probe needs them", data.name));
        split.labels.clone().ok_or_else(why)
    };
    let held_out = HELD_OUT.min(images / SHARE);
    let of = data.train.pick(&held_out_last(images, held_out, data.train.len()));
    let (train_labels, test_labels) = (labels(&of, "training")?, labels(&data.test, "test")?);
    let classes = 1 + train_labels.iter().chain(&test_labels).max().map_or(0, |label| usize::from(*label));
    if held_out == 0 || classes < 2 {
        return Err(refuse(format!("a probe needs {SHARE} training images and two classes at least")));
    }
    let mut extractor = Extractor::new(session, BATCH.min(images))?;
    let mut train = extractor.features(session, &of, images, "training")?;
    let mut test = extractor.features(session, &data.test, data.test.len(), "test")?;
    let dimensions = extractor.dimensions + 1;
    let scale = normalise(&mut train, dimensions, None);
    normalise(&mut test, dimensions, Some(scale));
    let set = |rows, labels| Labelled { rows, labels, dimensions };
    let at = images - held_out;
    let (rows, held_rows) = train.split_at(at * dimensions);
    let (fit, held) = (set(rows, &train_labels[..at]), set(held_rows, &train_labels[at..]));
    let (mut best, mut last): (Option<(f64, f64)>, _) = (None, None);
    for c in CONSTANTS {
        session.going(|| format!("classifiers with C = {c}"))?;
        let svm = Svm::train(&fit, classes, c, last.as_ref());
        let accuracy = svm.accuracy(&held);
        if best.is_none_or(|(_, most)| accuracy > most) {
            best = Some((c, accuracy));
        }
        last = Some(svm);
    }
    let (c, chosen) = best.unwrap_or((CONSTANTS[0], 0.0));
    session.going(|| format!("the classifier with C = {c}"))?;
    let all = set(&train, &train_labels);
    let svm = Svm::train(&all, classes, c, None);
    let weights =
        if session.weights == Weights::Averaged { " (networks that make images have averaged weights)" } else { "" };
    let protocol = format!(
        "Radford et al. 2016, 5.1: activations of the discriminator's {} convolutions{weights}, max-pooled to \
         {SIDE}x{SIDE}, {} features; {classes} linear L2-SVMs with squared hinge loss, one against the rest, on {images} \
         of {} training images of {}; C = {c} is the best of {} from {} to {} on {held_out} of them; {} test \
         images; no augmentation",
        extractor.layers,
        dimensions - 1,
        data.train.len(),
        data.name,
        CONSTANTS.len(),
        CONSTANTS[0],
        CONSTANTS[CONSTANTS.len() - 1],
        data.test.len(),
    );
    let figure = |name, value| Figure::new(name, value, "of the images", &protocol);
    finite(vec![
        figure("probe_accuracy", svm.accuracy(&set(&test, &test_labels))),
        figure("probe_accuracy_held_out", chosen),
        figure("probe_accuracy_training", svm.accuracy(&all)),
    ])
}

/// The numbers of `images` of `all` images, evenly spread, of which `held_out`, evenly spread as
/// well, come last.
fn held_out_last(images: usize, held_out: usize, all: usize) -> Vec<usize> {
    let which = spread(images, all);
    let held = spread(held_out, which.len());
    let rest = (0..which.len()).filter(|k| held.binary_search(k).is_err());
    rest.chain(held.iter().copied()).map(|k| which[k]).collect()
}

/// Divides features so that their squared length is 1 on average, or by what is given, and says by
/// what. The last of each row becomes 1, for a bias.
fn normalise(rows: &mut [f32], dimensions: usize, scale: Option<f64>) -> f64 {
    let squares: f64 = rows.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    let scale = scale.unwrap_or((squares / (rows.len() / dimensions) as f64).sqrt().max(f64::MIN_POSITIVE));
    for row in rows.chunks_mut(dimensions) {
        row.iter_mut().for_each(|v| *v = (f64::from(*v) / scale) as f32);
        row[dimensions - 1] = 1.0;
    }
    scale
}

/// The program that gives features of images.
struct Extractor {
    runner: Runner,
    /// Whether its program takes labels.
    labelled: bool,
    batch: usize,
    /// Convolutions that take part.
    layers: usize,
    /// Features of an image.
    dimensions: usize,
}

impl Extractor {
    fn new(session: &mut Session, batch: usize) -> Result<Extractor, SessionError> {
        let graph = session.graph(Domain::Eval, session.seed, CLOCK);
        let Batch { images, .. } = Batch::uploaded(&graph, session.model.as_ref(), batch);
        // A plane smaller than the pooled one is a score, and no map of the image.
        let layers: Vec<_> = session
            .model
            .discriminator_activations(&images)
            .into_iter()
            .filter(|a| a.shape()[2] >= SIDE && a.shape()[3] >= SIDE)
            .map(|a| a.adaptive_max_pool([SIDE, SIDE]).flatten())
            .collect();
        let Some(features) = layers.iter().cloned().reduce(|all, more| all.concat(&more, 1)) else {
            return Err(refuse("this model has no discriminator with convolutions to probe; train a dcgan".into()));
        };
        graph.output("features", &features);
        let (labelled, dimensions) = (session.model.classes() > 0, features.shape()[1]);
        Ok(Extractor { runner: session.runner(&graph)?, labelled, batch, layers: layers.len(), dimensions })
    }

    /// Features of the first `count` images, each with a place for a bias behind them.
    fn features(
        &mut self,
        session: &mut Session,
        split: &Split,
        count: usize,
        what: &str,
    ) -> Result<Vec<f32>, SessionError> {
        let mut all = Vec::new();
        let len = count * (self.dimensions + 1);
        if all.try_reserve_exact(len).is_err() {
            let why = format!("{} features of {count} images take more memory than there is", self.dimensions);
            return Err(refuse(format!("{why}; use fewer images")));
        }
        for first in (0..count).step_by(self.batch) {
            session.going(|| format!("features of {what} image {first} of {count}"))?;
            let index = |k: usize| (first + k).min(count - 1);
            let mut bytes = Vec::new();
            split.upload((0..self.batch).map(index), self.labelled, &mut bytes);
            self.runner.write("images", &pack(bytes))?;
            self.runner.run()?;
            let features = self.runner.read("features")?;
            finite_features(&features)?;
            for row in features.chunks(self.dimensions).take(count - first) {
                all.extend_from_slice(row);
                all.push(0.0);
            }
        }
        Ok(all)
    }
}
