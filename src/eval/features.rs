//! Figures of samples by what a network makes of them: distances between features of samples and of
//! test images.

use super::distance::Features;
use super::drawn::pixels;
use super::{CLOCK, Drawn, Figure, FigureError, finite, finite_features, mobilenet};
use crate::kernels::philox::Domain;
use crate::models::Family;
use crate::program::{Runner, room};
use crate::sample;
use crate::train::{RunDir, Session, SessionError};
use rayon::prelude::*;
use std::path::Path;

/// Images that go through limn's own networks together, and through one of larger images.
const BATCH: usize = 64;
const PREPARED: usize = 16;

/// Images of a network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Takes {
    /// [`BATCH`] images of this geometry as they are.
    These([usize; 3]),
    /// [`PREPARED`] images of any size, scaled to this side.
    Scaled(usize),
}

/// A network that makes features of images.
pub struct FeatureNet {
    runner: Runner,
    takes: Takes,
    dimensions: usize,
    /// What figures by it are called after: letters, digits and underscores.
    name: String,
    /// What it is.
    words: String,
}

impl FeatureNet {
    /// The hidden layer of a classifier that limn has trained: the run, its model and its training
    /// steps.
    ///
    /// # Errors
    /// A run of a model that is no classifier, and all that can be wrong with a device.
    pub fn of_run(run: &RunDir, session: &mut Session, steps: u64) -> Result<FeatureNet, FigureError> {
        let [c, h, w] = session.model.geometry();
        let graph = session.graph(Domain::Eval, session.seed, CLOCK);
        let Family::Features(model) = session.model.family() else {
            return Err(FigureError::NoClassifier { path: run.path.clone() });
        };
        let features = model.features(&graph.input("images", &[BATCH, c, h, w]));
        graph.output("features", &features);
        let source = &run.config.data.source;
        Ok(FeatureNet {
            runner: session.runner(&graph)?,
            takes: Takes::These([c, h, w]),
            dimensions: features.shape()[1],
            name: format!("classifier_{}", data_name(source)),
            words: format!(
                "the {} hidden units of limn's classifier of {}, {steps} steps of batch {}, seed {}",
                features.shape()[1],
                last_part(source),
                run.config.train.batch,
                session.seed
            ),
        })
    }

    /// The last 1,280 channels of a MobileNetV2 on `session`'s device, for images scaled to `side`
    /// (224 as it was made for), with torchvision's weights in a safetensors file.
    ///
    /// # Errors
    /// A file that does not hold them, and all that can be wrong with a device.
    pub fn mobilenet(session: &mut Session, path: &Path, side: usize) -> Result<FeatureNet, FigureError> {
        let graph = session.graph(Domain::Eval, session.seed, CLOCK);
        let (features, digest) =
            mobilenet::features(session, &graph, &graph.input("images", &[PREPARED, 3, side, side]), path)?;
        graph.output("features", &features);
        Ok(FeatureNet {
            runner: session.runner(&graph)?,
            takes: Takes::Scaled(side),
            dimensions: mobilenet::FEATURES,
            name: "mobilenet_v2".into(),
            words: format!(
                "the {} last channels of a MobileNetV2, images scaled to {side}x{side}, weights of SHA-256 {digest}",
                mobilenet::FEATURES
            ),
        })
    }

    /// The features of images of this geometry in [0, 1].
    pub(super) fn features(&mut self, images: &[f32], geometry: [usize; 3]) -> Result<Vec<f32>, SessionError> {
        let size: usize = geometry.iter().product();
        let mut all = Vec::new();
        let batch = if let Takes::These(_) = self.takes { BATCH } else { PREPARED };
        for chunk in images.chunks(batch * size) {
            let rows = match self.takes {
                Takes::These(_) => chunk.to_vec(),
                Takes::Scaled(side) => {
                    chunk.par_chunks(size).flat_map_iter(|image| mobilenet::prepare(image, geometry, side)).collect()
                }
            };
            let count = chunk.len() / size;
            self.runner.write_first("images", &rows)?;
            self.runner.run()?;
            let features = self.runner.read("features")?;
            let features = &features[..count * self.dimensions];
            finite_features(features)?;
            all.extend_from_slice(features);
        }
        Ok(all)
    }
}

/// A dataset's name, or the last part of its path.
fn last_part(source: &str) -> &str {
    source.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(source)
}

/// The same as part of a figure's name.
fn data_name(source: &str) -> String {
    let letters =
        last_part(source).chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    letters.collect()
}

/// Features of test images and of samples, for a [`super::How::Features`].
pub struct Compared<'a> {
    /// Of the images.
    pub real: Features,
    /// Of the samples.
    pub fake: Features,
    /// The seed of the samples, for what draws from features.
    pub seed: u64,
    net: &'a FeatureNet,
    protocol: String,
}

impl Compared<'_> {
    /// Figures of these features: their names, numbers and units, and how all of them are measured.
    pub fn figures(&self, how: &str, figures: &[(&str, f64, &str)]) -> Vec<Figure> {
        let protocol = format!("{how}; features: {}; {}", self.net.words, self.protocol);
        let named = |name: &str| format!("{name}_{}", self.net.name);
        figures.iter().map(|(name, value, unit)| Figure::new(&named(name), *value, unit, &protocol)).collect()
    }
}

/// How samples compare with test images by the features of `net`.
///
/// # Errors
/// A network for images of another size, and all that can be wrong with a device.
pub fn feature_figures(
    session: &mut Session,
    net: &mut FeatureNet,
    drawn: &Drawn,
    compare: fn(&Compared) -> Vec<Figure>,
) -> Result<Vec<Figure>, FigureError> {
    let geometry = session.model.geometry();
    if let Takes::These(takes) = net.takes
        && takes != geometry
    {
        let words = |[c, h, w]: [usize; 3]| format!("{w}x{h} with {c} channels");
        return Err(FigureError::Size { takes: words(takes), makes: words(geometry) });
    }
    if drawn.images < 2 || drawn.samples < 2 {
        return Err(SessionError::Config("a distance needs two test images and two samples at least".into()).into());
    }
    let features = (drawn.images as u64).saturating_add(drawn.samples as u64).saturating_mul(8 * net.dimensions as u64);
    room(features, "the features of all images and samples", "take fewer of them").map_err(SessionError::from)?;
    let (mut real, mut fake) = (Features::new(net.dimensions), Features::new(net.dimensions));
    let test = drawn.data.test.spread(drawn.images);
    let of_images = session.spread(drawn.images.div_ceil(BATCH), |session, mine| {
        let one = |k: &usize| {
            let first = k * BATCH;
            session.going(|| format!("features of {first} of {} test images", drawn.images))?;
            net.features(&pixels(&test, first..drawn.images.min(first + BATCH)), geometry)
        };
        mine.iter().map(one).collect()
    })?;
    of_images.iter().for_each(|features| real.extend(features));
    let size = BATCH * geometry.iter().product::<usize>();
    sample::in_pieces(session, drawn.samples, drawn.seed, drawn.drawing, |session, _, samples| {
        let of_samples = session.spread(samples.len().div_ceil(size), |_, mine| {
            let one = |k: &usize| net.features(&samples[k * size..samples.len().min((k + 1) * size)], geometry);
            mine.iter().map(one).collect()
        })?;
        of_samples.iter().for_each(|features| fake.extend(features));
        Ok(())
    })?;
    let (seed, protocol) = (drawn.seed, drawn.protocol(session));
    Ok(finite(compare(&Compared { real, fake, seed, net, protocol }))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_named_for_their_network() {
        assert_eq!(data_name("fashion-mnist"), "fashion_mnist");
        assert_eq!(data_name("/home/me/My Pictures/"), "my_pictures");
    }
}
