//! `limn eval`: figures of a model on its test images.

use super::sample::drawing;
use super::{Error, TrainedArg, term};
use crate::eval::{self, Drawn, Figure, Measure, Sample};
use crate::train;

/// Arguments of `limn eval`.
#[derive(clap::Args, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    trained: TrainedArg,
    /// What to measure: the model's own loss with its parts (`elbo`, `nll`, ...); for models with an
    /// encoder also `iwae-K`, the bound of K draws, and `log-p`, importance sampling with 5,000 draws; for all that
    /// draw images `parzen`, the Parzen window of the first GAN's paper
    #[arg(long, value_name = "M")]
    metric: Option<String>,
    /// How many test images, from the first on; by default all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    images: Option<u32>,
    /// How many samples a figure of samples draws; by default 10,000
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
    let (run, mut session, _) = args.trained.open()?;
    let of_samples = args.metric.as_deref() == Some("parzen");
    let measure = match &args.metric {
        Some(name) if !of_samples => Measure::named(name, &session)?,
        _ => Measure::Own,
    };
    let data = train::images(&run.config.data.source, session.model.as_ref())?;
    let all = data.test.len();
    let count = args.images.map_or(all, |n| n as usize);
    if count > all {
        return Err(Error::new(format!("--images {count}: {} has {all} test images", data.name)));
    }
    let figures = match of_samples {
        true => {
            let samples = args.samples.map_or(eval::PARZEN_SAMPLES, |n| n as usize);
            let drawing = drawing(&session, false);
            let drawn = Drawn { data: &data, images: count, samples, seed: args.seed, drawing };
            let mut bar = term::Progress::new();
            eval::parzen_figures(&mut session, &drawn, &mut |done| bar.show(format!("{done} of {samples} samples")))?
        }
        false => {
            let sample = Sample { data: &data.name, test: &data.test, count };
            eval::evaluate(&mut session, &sample, measure, run.config.train.batch)?
        }
    };
    show(&figures, args.json)
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
        Some(figure) if !json => term::say(format!("({})", figure.protocol)),
        _ => Ok(()),
    }
}
