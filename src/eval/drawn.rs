//! Figures of what a model draws: its samples held against images it was not trained on.

use super::{Figure, FigureError, How, NamedMetric, Parzen, ParzenFigure, finite, levels, parzen, widths};
use crate::data::{Binarisation, Dataset, Split};
use crate::sample::{self, Drawing};
use crate::train::{Session, Weights};
use std::ops::Range;

/// Samples of the Parzen window's protocol.
pub const PARZEN_SAMPLES: usize = 10_000;

/// Images that its width is chosen on, where there are as many.
const VALIDATION: usize = 1000;

pub(super) static PARZEN: NamedMetric = NamedMetric {
    name: "parzen",
    what: "the Parzen window of the first GAN's paper",
    how: How::Samples(parzen_figures),
};

/// Samples of a model, and the images they are held against.
#[derive(Clone, Copy, Debug)]
pub struct Drawn<'a> {
    /// The images, as [`crate::train::images`] opens them.
    pub data: &'a Dataset,
    /// How many test images count, evenly spread; at most all, at least one.
    pub images: usize,
    /// How many samples are drawn; at least one.
    pub samples: usize,
    /// Seed of their noise.
    pub seed: u64,
    /// How they are drawn, where that is pixel by pixel.
    pub drawing: Drawing,
}

impl Drawn<'_> {
    /// What a figure says of the samples and of the images they are held against.
    pub(super) fn protocol(&self, session: &Session) -> String {
        let weights = if session.weights == Weights::Averaged { " of averaged weights" } else { "" };
        let test = self.data.test.len();
        let which = match self.images == test {
            true => format!("all {test} test images"),
            false => format!("{} evenly spread of the {test} test images", self.images),
        };
        // What the model draws for itself is no property of the images.
        let binarisation = match session.model.images().binarisation {
            Binarisation::Static => Binarisation::Static,
            Binarisation::None | Binarisation::Dynamic => Binarisation::None,
        };
        let levels = levels(session.model.as_ref(), binarisation);
        format!("{} samples{weights}, seed {}; {which} of {}; {levels}", self.samples, self.seed, self.data.name)
    }
}

/// Images in [0, 1].
pub(super) fn pixels(split: &Split, range: Range<usize>) -> Vec<f32> {
    let indices: Vec<u32> = range.map(|i| i as u32).collect();
    split.gather(&indices, 0.0, 1.0)
}

/// The Parzen window's log-likelihood of the test images, its standard error, and the width that
/// was chosen on some training images: see [`parzen`].
///
/// # Errors
/// All that can be wrong with a device.
pub fn parzen_figures(session: &mut Session, drawn: &Drawn) -> Result<Vec<Figure>, FigureError> {
    let dimensions = session.model.geometry().iter().product();
    let train = &drawn.data.train;
    let held_out = VALIDATION.min(train.len());
    let validation = pixels(&train.spread(held_out), 0..held_out);
    let test = pixels(&drawn.data.test.spread(drawn.images), 0..drawn.images);
    let (mut validation, mut test) = (Parzen::new(&validation, dimensions), Parzen::new(&test, dimensions));
    sample::in_pieces(session, drawn.samples, drawn.seed, drawn.drawing, |_, _, samples| {
        validation.add(samples);
        test.add(samples);
        Ok(())
    })?;
    let ParzenFigure { sigma, mean, error } = parzen(&validation, &test);
    let [first, .., last] = widths();
    let protocol = format!(
        "Parzen window, Goodfellow et al. 2014: {}; pixels in [0, 1]; sigma {sigma:.4} is the best of {} from {first} \
         to {last} on {held_out} training images",
        drawn.protocol(session),
        widths().len(),
    );
    Ok(finite(vec![
        Figure::new("parzen", mean, "nats/image", &protocol),
        Figure::new("parzen_standard_error", error, "nats/image", &protocol),
        Figure::new("parzen_sigma", sigma, "of the pixels' range", &protocol),
    ])?)
}
