//! `limn eval`: figures of a model on its test images.

use super::images::ImagesArg;
use super::ranks::{self, Rank};
use super::sample::drawing;
use super::{Error, TrainedArg, report, term};
use crate::data::Dataset;
use crate::eval::{self, Asked, Drawn, FeatureNet, Figure, How, Measure, NamedMetric, Sample};
use crate::train::{RunDir, Session};
use std::path::{Path, PathBuf};

/// Arguments of `limn eval`.
#[derive(clap::Args, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    trained: TrainedArg,
    #[command(flatten)]
    of: ImagesArg,
    #[arg(long, value_name = "M", help = eval::in_words())]
    metric: Option<String>,
    /// The network by whose features samples are compared: the run folder of a classifier
    /// (`limn train classifier`), or a safetensors file with torchvision's MobileNetV2
    #[arg(long, value_name = "DIR|FILE")]
    features: Option<PathBuf>,
    /// How many test images, evenly spread; by default all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    images: Option<u32>,
    /// How many samples a figure of samples draws; by default 10,000 for `parzen`, and as many as
    /// test images otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    samples: Option<u32>,
    /// Seed of those samples
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// One JSON object per metric
    #[arg(long)]
    json: bool,
}

/// Prints each metric with value, unit and protocol.
pub fn eval(args: &EvalArgs) -> Result<(), Error> {
    ranks::all(|rank| eval_as(rank, args))
}

fn eval_as(rank: Option<&Rank>, args: &EvalArgs) -> Result<(), Error> {
    let (run, mut session, step) = args.trained.open_as(rank)?;
    let asked = args.metric.as_deref().map_or(Ok(Asked::Of(Measure::Own)), |name| Asked::named(name, &session))?;
    if args.features.is_some() && !asked.compares_features() {
        return Err(Error::new(format!("--features is for --metric {}", eval::by_features())));
    }
    let mut data = args.of.open(&run, session.model.as_ref())?;
    // The same images are the same data wherever they lie now, and others are not.
    match run.identity()? {
        Some(was) if was.require(&data.identity, &data.name).is_ok() => data.name.clone_from(&run.config.data.source),
        Some(_) => data.name += " (other images than the run's)",
        None => {}
    }
    let all = data.test.len();
    let count = args.images.map_or(all, |n| n as usize);
    if count > all {
        return Err(Error::new(format!("--images {count}: {} has {all} test images", data.name)));
    }
    let figures = match asked {
        Asked::By(metric) => drawn(args, &mut session, &data, count, metric)?,
        Asked::Of(measure) => {
            let sample = Sample { data: &data.name, test: &data.test, count };
            eval::evaluate(&mut session, &sample, measure, run.config.train.batch)?
        }
    };
    if !session.is_first() {
        return Ok(());
    }
    keep(&run, step, &figures);
    show(&figures, args.json)
}

/// Keeps figures in the run's folder, for pages and lists. Where nothing can be written they are
/// still worth showing.
pub(super) fn keep(run: &RunDir, step: u64, figures: &[Figure]) {
    if let Err(error) = eval::keep(run, step, figures) {
        term::note(format!("the figures are not kept in {}: {error}", run.path.display()));
    }
    report::renew(run, None);
}

/// A figure of samples beside `images` test images.
fn drawn(
    args: &EvalArgs,
    session: &mut Session,
    data: &Dataset,
    images: usize,
    metric: &NamedMetric,
) -> Result<Vec<Figure>, Error> {
    let default = if let How::Features(_) = metric.how { images } else { eval::PARZEN_SAMPLES };
    let samples = args.samples.map_or(default, |n| n as usize);
    let drawn = Drawn { data, images, samples, seed: args.seed, drawing: drawing(session, false) };
    match (metric.how, &args.features) {
        (How::Samples(measure), _) => Ok(measure(session, &drawn)?),
        (How::Features(compare), Some(path)) => {
            let mut net = network(path, session)?;
            Ok(eval::feature_figures(session, &mut net, &drawn, compare)?)
        }
        _ => Err(Error::new(format!(
            "--metric {} compares features: give --features the run folder of a classifier (`limn train classifier`), or a \
             safetensors file with torchvision's MobileNetV2",
            metric.name
        ))),
    }
}

/// The network that `--features` names, on the session's device.
fn network(path: &Path, session: &mut Session) -> Result<FeatureNet, Error> {
    if !path.exists() {
        return Err(Error::new(format!("--features {}: there is no such folder or file", path.display())));
    }
    if !path.is_dir() {
        return Ok(FeatureNet::mobilenet(session, path, eval::MOBILENET_SIDE)?);
    }
    let run = RunDir::open(path)?;
    let (mut classifier, steps) = run.session(session.store.device().clone(), None)?;
    Ok(FeatureNet::of_run(&run, &mut classifier, steps)?)
}

/// Each figure in a line, and their protocol once.
pub(super) fn show(figures: &[Figure], json: bool) -> Result<(), Error> {
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0).max(14);
    for figure in figures {
        match json {
            true => term::say(serde_json::to_string(figure)?)?,
            false => term::say(format!("{:<width$} {:>12.4} {}", figure.name, figure.value, figure.unit))?,
        }
    }
    match figures.first() {
        Some(figure) if !json => term::paragraph(&format!("({})", figure.protocol)).iter().try_for_each(term::say),
        _ => Ok(()),
    }
}
