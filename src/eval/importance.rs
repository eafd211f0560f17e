//! log p(x) by importance sampling: draws of z from q(z|x), weighed by p(x,z)/q(z|x).

use super::{CLOCK, Figure, How, LogMeanExp, Meaning, Measure, NamedMetric, Sample};
use crate::kernels::philox::Domain;
use crate::models::Batch;
use crate::program::{DeviceError, PlanError, Runner};
use crate::train::{Session, SessionError};

/// Images that are weighed together, where the device has room for them.
const IMAGES: usize = 16;

/// Draws for each of them that a program makes at once. Memory goes with their product, and not
/// with the number of draws asked for.
const DRAWS: u32 = 64;

/// Counts the runs of the program that draws.
const DRAWN: &str = "importance.clock";

pub(super) static IWAE: NamedMetric =
    NamedMetric { name: "iwae-K", what: "the bound of K draws", how: How::Densities(Measure::Bound) };

pub(super) static LOG_P: NamedMetric =
    NamedMetric { name: "log-p", what: "log p by importance sampling", how: How::Densities(|_| Measure::LogP) };

/// The program that makes images what the model's likelihood speaks of, and the one that draws for
/// them.
struct Estimator {
    observe: Runner,
    weigh: Runner,
    /// Images, and labels where the model has classes: what goes from one to the other.
    inputs: usize,
    images: usize,
    draws: u32,
}

impl Estimator {
    fn new(session: &mut Session, images: usize, draws: u32) -> Result<Estimator, SessionError> {
        // Images are made binary once, and not anew for every program run that draws for them; the
        // two programs have domains of their own, for else they would draw the same numbers.
        let graph = session.graph(Domain::Eval, session.seed, CLOCK);
        let x = session.model.observe(&Batch::uploaded(&graph, session.model.as_ref(), images));
        graph.output("images", &x.images);
        x.labels.iter().for_each(|labels| graph.output("labels", labels));
        graph.advance(&graph.clock());
        let observe = session.runner(&graph)?;
        let graph = session.graph(Domain::Importance, session.seed, DRAWN);
        let x = Batch::given(&graph, session.model.as_ref(), images);
        let Some(model) = session.model.family().densities() else {
            return Err(SessionError::Lacks("has no latent vectors to draw for an image"));
        };
        graph.output("log_weights", &model.log_weights(&x, draws as usize));
        graph.advance(&graph.clock());
        let weigh = session.runner(&graph)?;
        let inputs = if session.model.classes() > 0 { 2 } else { 1 };
        Ok(Estimator { observe, weigh, inputs, images, draws })
    }

    /// For as many images and draws at once as the device has room for, at most these.
    fn fitting(session: &mut Session, mut images: usize, mut draws: u32) -> Result<Estimator, SessionError> {
        loop {
            match Estimator::new(session, images, draws) {
                Err(SessionError::Device(
                    DeviceError::Exceeded(_) | DeviceError::Plan(PlanError::NoVariant { .. }),
                )) if images > 1 || draws > 1 => {
                    (images, draws) = if images > 1 { (images / 2, draws) } else { (1, draws / 2) };
                }
                other => return other,
            }
        }
    }

    /// The estimate for each of the images in `words`, which are those of number `k` where as many
    /// images at a time are looked at one after the other: their noise goes by it.
    fn log_p(
        &mut self,
        session: &mut Session,
        (k, words): (usize, &[f32]),
        samples: u32,
        going: impl Fn(u32) -> String,
    ) -> Result<Vec<f64>, SessionError> {
        let runs = k * samples.div_ceil(self.draws) as usize;
        session.store.write(CLOCK, &[f32::from_bits(k as u32)])?;
        session.store.write(DRAWN, &[f32::from_bits(runs as u32)])?;
        self.observe.write("images", words)?;
        self.observe.run()?;
        for name in ["images", "labels"].iter().take(self.inputs) {
            let values = self.observe.read(name)?;
            self.weigh.write(name, &values)?;
        }
        let mut means = vec![LogMeanExp::NONE; self.images];
        let mut left = samples;
        while left > 0 {
            session.going(|| going(samples - left))?;
            self.weigh.run()?;
            let weights = self.weigh.read("log_weights")?;
            let wanted = left.min(self.draws);
            for draw in weights.chunks_exact(self.images).take(wanted as usize) {
                std::iter::zip(&mut means, draw).for_each(|(mean, w)| mean.add(f64::from(*w)));
            }
            left -= wanted;
        }
        Ok(means.iter().map(LogMeanExp::value).collect())
    }
}

/// The mean over images of the logarithm of the mean of `samples` weights, under this name.
pub(super) fn figures(
    session: &mut Session,
    sample: &Sample,
    name: &str,
    samples: u32,
) -> Result<Vec<Figure>, SessionError> {
    let most = (IMAGES.min(sample.count), DRAWS.min(samples));
    let mut fitting = None;
    // What has room on every device.
    let sizes = session.spread(session.sharing(), |session, mine| {
        let made = fitting.insert(Estimator::fitting(session, most.0, most.1)?);
        Ok(vec![vec![made.images as u64, u64::from(made.draws)]; mine.len()])
    })?;
    let least = |of: usize| sizes.iter().map(|sizes| sizes[of]).min().unwrap_or(1);
    let (images, draws) = (least(0) as usize, least(1) as u32);
    let sums = session.spread(sample.count.div_ceil(images), |session, mine| {
        let mut estimator = match fitting.filter(|made| (made.images, made.draws) == (images, draws)) {
            Some(made) => made,
            None => Estimator::new(session, images, draws)?,
        };
        let sum = |k: &usize| {
            let (first, count) = (k * images, images.min(sample.count - k * images));
            let words = sample.words(session, first, images);
            let going = |drawn| {
                format!("draw {drawn} of {samples} for test images {first} to {} of {}", first + count, sample.count)
            };
            Ok(vec![estimator.log_p(session, (*k, &words), samples, going)?[..count].iter().sum::<f64>()])
        };
        mine.iter().map(sum).collect()
    })?;
    let mean = sums.iter().flatten().sum::<f64>() / sample.count as f64;
    let words = format!("log of the mean weight p(x,z)/q(z|x) of {samples} draws of z from q(z|x) per image");
    let meaning = sample.meaning(session, session.model.likelihood());
    let protocol = sample.protocol(session, meaning, &words);
    let mut figures = vec![Figure::new(name, mean, "nats/image", &protocol)];
    if meaning != Meaning::CrossEntropy {
        figures.push(Figure::new("nll", -mean, "nats/image", &protocol));
    }
    if meaning == Meaning::Probability {
        figures.push(Figure::bits_per_dim(-mean, session.model.geometry(), &protocol));
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Device;
    use crate::train::{Config, Setting, pack};

    #[test]
    fn draws_in_chunks_give_what_all_of_them_together_do() {
        let mut config = Config::preset("vae").unwrap();
        config
            .set_all(&Setting::all(&["model.hidden=8", "model.latent=3", "model.binarisation=dynamic"]).unwrap())
            .unwrap();
        let mut session = Session::new(&config.model, &config.optimizer(), 3, Device::Cpu).unwrap();
        let words = pack((0..2 * 784).map(|i| (i % 251) as u8).collect());
        let (images, draws) = (2, 8);
        // 37 draws are four chunks and a part of the fifth.
        let mut estimator = Estimator::new(&mut session, images, draws).unwrap();
        let chunked = estimator.log_p(&mut session, (0, &words), 37, |_| String::new()).unwrap();
        [CLOCK, DRAWN].iter().for_each(|clock| session.store.write(clock, &[0.0]).unwrap());
        estimator.observe.write("images", &words).unwrap();
        estimator.observe.run().unwrap();
        let x = estimator.observe.read("images").unwrap();
        assert!(x.iter().all(|v| *v == 0.0 || *v == 1.0));
        estimator.weigh.write("images", &x).unwrap();
        let mut all = Vec::new();
        for _ in 0..5 {
            estimator.weigh.run().unwrap();
            all.extend(estimator.weigh.read("log_weights").unwrap());
        }
        assert!(all[..16] != all[16..32], "every chunk draws anew");
        for (image, estimate) in chunked.iter().enumerate() {
            let weights: Vec<f64> = all.iter().skip(image).step_by(images).take(37).map(|w| f64::from(*w)).collect();
            let direct = LogMeanExp::direct(&weights);
            assert!((estimate - direct).abs() < 1e-9, "{estimate} {direct}");
        }
    }
}
