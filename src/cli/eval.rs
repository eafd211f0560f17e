//! `limn eval`: figures of a model on its test images.

use super::{Error, TrainedArg, term};
use crate::eval::{self, Measure, Sample};
use crate::train;

/// Arguments of `limn eval`.
#[derive(clap::Args, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    trained: TrainedArg,
    /// What to measure: the model's own loss with its parts (`elbo`, `nll`, ...); for models with an
    /// encoder also `iwae-K`, the bound of K draws, and `log-p`, importance sampling with 5,000 draws
    #[arg(long, value_name = "M")]
    metric: Option<String>,
    /// How many test images, from the first on; by default all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    images: Option<u32>,
    /// One JSON object per metric
    #[arg(long)]
    json: bool,
}

/// Prints each metric with value, unit and protocol.
pub fn eval(args: &EvalArgs) -> Result<(), Error> {
    let (run, mut session, _) = args.trained.open()?;
    let measure = args.metric.as_deref().map_or(Ok(Measure::Own), |name| Measure::named(name, &session))?;
    let data = train::images(&run.config.data.source, session.model.as_ref())?;
    let all = data.test.len();
    let count = args.images.map_or(all, |n| n as usize);
    if count > all {
        return Err(Error::new(format!("--images {count}: {} has {all} test images", data.name)));
    }
    let sample = Sample { data: &data.name, test: &data.test, count };
    let figures = eval::evaluate(&mut session, &sample, measure, run.config.train.batch)?;
    for figure in &figures {
        match args.json {
            true => term::say(serde_json::to_string(figure)?)?,
            false => term::say(format!("{:<14} {:>12.4} {}", figure.name, figure.value, figure.unit))?,
        }
    }
    match figures.first() {
        Some(figure) if !args.json => term::say(format!("({})", figure.protocol)),
        _ => Ok(()),
    }
}
