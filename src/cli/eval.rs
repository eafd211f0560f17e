//! `limn eval`: the test loss with its parts.

use super::{Error, TrainedArg, term};
use crate::{data, eval};

/// Arguments of `limn eval`.
#[derive(clap::Args, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    trained: TrainedArg,
    /// One JSON object per metric
    #[arg(long)]
    json: bool,
}

/// Prints each metric with value, unit and protocol.
pub fn eval(args: &EvalArgs) -> Result<(), Error> {
    let (run, mut session, _) = args.trained.open()?;
    let [c, h, w] = session.model.geometry();
    let data = data::open(&run.config.data.source, Some(data::Geometry::new(c, h, w)))?;
    let figures = eval::evaluate(&mut session, &data.name, &data.test, run.config.train.batch)?;
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
