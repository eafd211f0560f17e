//! Figures of a trained model on its test set.
//!
//! ```
//! use limn::eval::{Measure, Sample, evaluate};
//! use limn::program::Device;
//! use limn::train::{Config, Session};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::preset("vae")?;
//! let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu)?;
//! let data = limn::data::open("fashion-mini", None, &limn::data::Options::default())?;
//! let sample = Sample { data: &data.name, test: &data.test, count: 16 };
//! for figure in evaluate(&mut session, &sample, Measure::Own, 8)? {
//!     println!("{} {:.2} {} ({})", figure.name, figure.value, figure.unit, figure.protocol);
//!     assert!(figure.value.is_finite());
//! }
//! # Ok(())
//! # }
//! ```

pub mod distance;
mod drawn;
mod error;
mod features;
mod importance;
mod kept;
mod log_mean_exp;
mod metrics;
mod mobilenet;
mod neighbours;
mod parzen;
mod probe;
mod svm;

pub use drawn::{Drawn, PARZEN_SAMPLES, parzen_figures};
pub use error::FigureError;
pub use features::{Compared, FeatureNet, feature_figures};
pub use kept::{KeptFigure, keep, kept};
pub use metrics::{Asked, BySamples, How, NamedMetric, by_features, in_words};
pub use mobilenet::SIDE as MOBILENET_SIDE;
pub use neighbours::{Neighbour, nearest};
pub use parzen::{Parzen, ParzenFigure, parzen, widths};
pub use probe::probe;
pub use svm::{Labelled, Svm};

use crate::data::{Binarisation, Medium, Split, spread, spread_at};
use crate::kernels::philox::Domain;
use crate::models::{Batch, Family, Likelihood, Metric, Model};
use crate::train::{Session, SessionError, Tested, Weights, pack};
use log_mean_exp::LogMeanExp;

/// Counts the batches of an evaluation.
const CLOCK: &str = "eval.clock";

/// One figure and how it came about.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Figure {
    /// Its name: `loss`, `bce`, `kl`, `elbo`, `nll`, `bits_per_dim`, ...
    pub name: String,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Data, binarisation, samples and seed.
    pub protocol: String,
}

impl Figure {
    fn new(name: &str, value: f64, unit: &str, protocol: &str) -> Figure {
        Figure { name: name.into(), value, unit: unit.into(), protocol: protocol.into() }
    }

    /// Nats of an image as bits of each of its numbers.
    fn bits_per_dim(nats: f64, geometry: [usize; 3], protocol: &str) -> Figure {
        let numbers = geometry.iter().product::<usize>() as f64;
        Figure::new("bits_per_dim", nats / (numbers * std::f64::consts::LN_2), "bits/dim", protocol)
    }
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// What the model's own metrics are, in one pass over the images.
    Own,
    /// The mean over images of log (1/k) Σ p(x,z)/q(z|x) over k draws of z from q(z|x): the bound
    /// of Burda et al. (2016).
    Bound(u32),
    /// The same with [`LOG_P_SAMPLES`] draws, by which papers estimate log p(x).
    LogP,
}

/// Draws for an estimate of log p(x), as in Burda et al. (2016), §5.
pub const LOG_P_SAMPLES: u32 = 5000;

/// Draws for a bound, at most.
const MOST_SAMPLES: u32 = 1_000_000;

/// The images of a figure.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// What they are of.
    pub data: &'a str,
    /// The test images, as [`crate::train::images`] opens them.
    pub test: &'a Split,
    /// How many of them count, evenly spread; at most all, at least one.
    pub count: usize,
}

impl Sample<'_> {
    /// The bytes of `batch` images from `first` on as a program of `session` takes them, as words;
    /// behind the last, the first of them again, which are not to be counted.
    fn words(&self, session: &Session, first: usize, batch: usize) -> Vec<f32> {
        let which = |k: usize| spread_at(k, self.count, self.test.len());
        let index = |k: usize| which(if first + k < self.count { first + k } else { first });
        let mut bytes = Vec::new();
        self.test.upload((0..batch).map(index), session.model.classes() > 0, &mut bytes);
        pack(bytes)
    }

    /// What a likelihood of these images is: one of binary pixels is none of grey levels.
    fn meaning(&self, session: &Session, likelihood: Likelihood) -> Meaning {
        let model = session.model.as_ref();
        let binary = || {
            let is_binary = |i: usize| self.test.image(i).iter().all(|pixel| matches!(pixel, 0 | 255));
            model.images().binarisation != Binarisation::None
                || spread(self.count, self.test.len()).into_iter().all(is_binary)
        };
        match likelihood {
            Likelihood::None => Meaning::Other,
            Likelihood::Density => Meaning::Density,
            Likelihood::Binary if !binary() => Meaning::CrossEntropy,
            Likelihood::Levels | Likelihood::Binary => Meaning::Probability,
        }
    }

    /// What a figure says of how it came about.
    fn protocol(&self, session: &Session, meaning: Meaning, draws: &str) -> String {
        let which = match self.count == self.test.len() {
            true => format!("all {} test images", self.count),
            false => format!("{} evenly spread of the {} test images", self.count, self.test.len()),
        };
        let weights = if session.weights == Weights::Averaged { "; averaged weights" } else { "" };
        let pixels = levels(session.model.as_ref(), session.model.images().binarisation);
        let what = meaning.words();
        format!("mean over {which} of {}; {pixels}{what}{weights}; {draws}; seed {}", self.data, session.seed)
    }
}

/// What numbers of a likelihood are, for the images they are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// No likelihood.
    Other,
    /// Log-probabilities, which bits per dimension count.
    Probability,
    /// Log-densities.
    Density,
    /// Of Bernoulli pixels, for pixels that are neither 0 nor 1.
    CrossEntropy,
}

impl Meaning {
    /// What a protocol adds to the pixels.
    fn words(self) -> &'static str {
        match self {
            Meaning::Other | Meaning::Probability => "",
            Meaning::Density => ", of whose values in [0, 1] these are densities and no probabilities",
            Meaning::CrossEntropy => {
                ", for which a Bernoulli decoder has no probability: these are cross-entropies, and no log-likelihoods \
                 (model.binarisation makes pixels binary)"
            }
        }
    }
}

/// Refuses figures that are not finite: a model that has broken is no worse than others, it is
/// none.
fn finite(figures: Vec<Figure>) -> Result<Vec<Figure>, SessionError> {
    match figures.iter().find(|figure| !figure.value.is_finite()) {
        Some(Figure { name, value, .. }) => Err(SessionError::Config(format!(
            "{name} is {value}, which is no figure: parameters or outputs of the model are not finite, or too large; \
             measure an earlier checkpoint, or train anew with a smaller optim.lr"
        ))),
        None => Ok(figures),
    }
}

/// The same of features of images.
fn finite_features(features: &[f32]) -> Result<(), SessionError> {
    match features.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(SessionError::Config(format!(
            "a feature of an image is {v}: parameters of the network that makes features are not finite, or too large"
        ))),
        None => Ok(()),
    }
}

/// What pixels of images are, in words.
fn levels(model: &dyn Model, binarisation: Binarisation) -> String {
    let (images, [channels, ..]) = (model.images(), model.geometry());
    match (binarisation, images.medium, images.levels) {
        (Binarisation::None, Medium::Sounds { .. }, _) => "amplitudes as they are stored, companded".into(),
        (Binarisation::None, _, levels) if levels < 256 && channels > 1 => format!("{levels} levels of each colour"),
        (Binarisation::None, _, levels) if levels < 256 => format!("{levels} grey levels"),
        (Binarisation::None, ..) if channels > 1 => "levels of each colour".into(),
        _ => binarisation.to_string(),
    }
}

/// Measures the model. Likelihoods are also given in bits per dimension, and a bound on them as the
/// evidence lower bound.
pub fn evaluate(
    session: &mut Session,
    sample: &Sample,
    measure: Measure,
    batch: usize,
) -> Result<Vec<Figure>, FigureError> {
    Ok(finite(match measure {
        Measure::Own => own(session, sample, batch),
        Measure::Bound(samples) => importance::figures(session, sample, &format!("iwae_{samples}"), samples),
        Measure::LogP => match sample.meaning(session, session.model.likelihood()) {
            Meaning::Density => importance::figures(session, sample, "log_density", LOG_P_SAMPLES),
            Meaning::CrossEntropy => return Err(FigureError::CrossEntropy),
            Meaning::Other | Meaning::Probability => importance::figures(session, sample, "log_p", LOG_P_SAMPLES),
        },
    }?)?)
}

/// The figures by which a training is followed, the one that it makes less first; none of models
/// whose figures of test images tell nothing of progress, as a discriminator's.
///
/// # Errors
/// Those of [`evaluate`].
pub fn followed(session: &mut Session, sample: &Sample, batch: usize) -> Result<Vec<Tested>, FigureError> {
    if matches!(session.model.family(), Family::Latent(_)) && session.model.family().encoder().is_none() {
        return Ok(Vec::new());
    }
    let mut figures = evaluate(session, sample, Measure::Own, batch)?;
    figures.sort_by_key(|figure| !session.model.losses().contains(&figure.name.as_str()));
    Ok(figures.into_iter().map(|Figure { name, value, .. }| Tested { name, value }).collect())
}

/// The model's own metrics, `batch` images at a time.
fn own(session: &mut Session, sample: &Sample, batch: usize) -> Result<Vec<Figure>, SessionError> {
    let geometry = session.model.geometry();
    let batch = batch.clamp(1, sample.count);
    let graph = session.graph(Domain::Eval, session.seed, CLOCK);
    let images = Batch::uploaded(&graph, session.model.as_ref(), batch);
    let metrics = session.model.evaluate(&images);
    for metric in &metrics {
        graph.output(metric.name, &metric.values);
    }
    graph.advance(&graph.clock());
    let batches = session.spread(sample.count.div_ceil(batch), |session, mine| {
        let mut runner = session.runner(&graph)?;
        let mut sums = Vec::new();
        for k in mine {
            let (first, count) = (k * batch, batch.min(sample.count - k * batch));
            session.going(|| format!("{first} of {} test images", sample.count))?;
            // Noise is numbered by the batch, whoever measures it.
            session.store.write(CLOCK, &[f32::from_bits(*k as u32)])?;
            runner.write("images", &sample.words(session, first, batch))?;
            runner.run()?;
            let sum = |metric: &Metric| -> Result<f64, SessionError> {
                Ok(runner.read(metric.name)?[..count].iter().map(|v| f64::from(*v)).sum())
            };
            sums.push(metrics.iter().map(sum).collect::<Result<Vec<f64>, _>>()?);
        }
        Ok(sums)
    })?;
    let mut sums = vec![0.0f64; metrics.len()];
    batches.iter().for_each(|batch| std::iter::zip(&mut sums, batch).for_each(|(sum, part)| *sum += part));
    let meaning = sample.meaning(session, session.model.likelihood());
    let protocol = sample.protocol(session, meaning, "one draw of noise per image");
    let mut figures = Vec::new();
    for (sum, Metric { name, unit, likelihood, negative_of, .. }) in std::iter::zip(&sums, &metrics) {
        let mean = sum / sample.count as f64;
        figures.push(Figure::new(name, mean, unit, &protocol));
        figures.extend(negative_of.map(|figure| Figure::new(figure, -mean, unit, &protocol)));
        if *likelihood != Likelihood::None && meaning == Meaning::Probability {
            figures.push(Figure::bits_per_dim(mean, geometry, &protocol));
        }
    }
    Ok(figures)
}
