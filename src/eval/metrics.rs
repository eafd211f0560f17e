//! The figures that people ask for by name: one list, which names, help and errors are read from. A
//! row stands beside what measures it.

use super::distance::{frechet, kernel, neighbourhood};
use super::{Compared, Drawn, Figure, FigureError, LOG_P_SAMPLES, MOST_SAMPLES, Measure, PARZEN_SAMPLES};
use super::{drawn, importance};
use crate::models::{Family, Model};
use crate::train::Session;
use crate::words::either;

/// A figure beside a model's own, which goes by [`Model::figure`].
pub struct NamedMetric {
    /// Its name; one that ends in K is written with a number of draws in its place.
    pub name: &'static str,
    /// What it is, in a few words.
    pub what: &'static str,
    /// How it is measured.
    pub how: How,
}

/// Measures a model by samples.
pub type BySamples = fn(&mut Session, &Drawn) -> Result<Vec<Figure>, FigureError>;

/// How a figure is measured.
#[derive(Clone, Copy)]
pub enum How {
    /// On test images, under densities of images and latent vectors, which the model has to give:
    /// by so many draws.
    Densities(fn(draws: u32) -> Measure),
    /// By samples, beside images.
    Samples(BySamples),
    /// By features of samples beside those of test images.
    Features(fn(&Compared) -> Vec<Figure>),
}

/// The figures.
static METRICS: &[&NamedMetric] =
    &[&importance::IWAE, &importance::LOG_P, &drawn::PARZEN, &frechet::METRIC, &kernel::METRIC, &neighbourhood::METRIC];

/// A figure that somebody asks for.
#[derive(Clone, Copy)]
pub enum Asked {
    /// The model's own, and what a bound on its likelihood comes to.
    Of(Measure),
    /// One by samples, or by features of them.
    By(&'static NamedMetric),
}

impl NamedMetric {
    fn compares_features(&self) -> bool {
        matches!(self.how, How::Features(_))
    }

    fn is_had_by(&self, model: &dyn Model) -> bool {
        match self.how {
            How::Densities(_) => model.family().densities().is_some(),
            How::Samples(_) | How::Features(_) => !matches!(model.family(), Family::Features(_)),
        }
    }

    /// What is asked for, or how its number is to be written, where `name` is one of this row.
    fn read(&'static self, name: &str) -> Option<Result<Asked, FigureError>> {
        let How::Densities(measure) = self.how else { return (name == self.name).then_some(Ok(Asked::By(self))) };
        let Some(stem) = self.name.strip_suffix('K') else {
            return (name == self.name).then_some(Ok(Asked::Of(measure(0))));
        };
        let draws = name.strip_prefix(stem)?.parse::<u32>().ok().filter(|k| (1..=MOST_SAMPLES).contains(k));
        let (pattern, most) = (self.name, MOST_SAMPLES);
        let wrong = || FigureError::Draws { name: name.into(), pattern, most };
        Some(draws.map(|k| Asked::Of(measure(k))).ok_or_else(wrong))
    }
}

impl Asked {
    /// The figure of this name; a model's own goes by [`Model::figure`].
    ///
    /// # Errors
    /// [`FigureError::Unknown`] with the figures that this model has, or [`FigureError::Draws`].
    pub fn named(name: &str, session: &Session) -> Result<Asked, FigureError> {
        let model = session.model.as_ref();
        if name == model.figure() {
            return Ok(Asked::Of(Measure::Own));
        }
        let found = METRICS.iter().find_map(|row| Some((row, row.read(name)?)));
        match found {
            // Who draws no images says so better.
            Some((row, asked)) if !matches!(row.how, How::Densities(_)) || row.is_had_by(model) => asked,
            _ => {
                let others = METRICS.iter().filter(|row| row.is_had_by(model)).map(|row| row.name);
                let known = std::iter::once(model.figure()).chain(others).map(str::to_string).collect();
                Err(FigureError::Unknown { name: name.into(), known })
            }
        }
    }

    /// Whether it compares features.
    pub fn compares_features(&self) -> bool {
        matches!(self, Asked::By(metric) if metric.compares_features())
    }
}

/// The names of the figures that compare features, as a list that ends in "or".
pub fn by_features() -> String {
    let names: Vec<&str> = METRICS.iter().filter(|row| row.compares_features()).map(|row| row.name).collect();
    either(&names)
}

/// What may be asked for, for the help of a flag.
pub fn in_words() -> String {
    let told = |wanted: fn(&How) -> bool| {
        let rows: Vec<String> =
            METRICS.iter().filter(|row| wanted(&row.how)).map(|row| format!("`{}`, {}", row.name, row.what)).collect();
        rows.join("; ")
    };
    format!(
        "What to measure: the model's own loss with its parts (`elbo`, `nll`, ...), which is the default; of models with \
         an encoder {} ({LOG_P_SAMPLES} draws); of all that draw images {} ({PARZEN_SAMPLES} samples); and by a network's features {}",
        told(|how| matches!(how, How::Densities(_))),
        told(|how| matches!(how, How::Samples(_))),
        told(|how| matches!(how, How::Features(_))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Device;
    use crate::train::Config;

    fn session(preset: &str) -> Session {
        let config = Config::preset(preset).unwrap();
        Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).unwrap()
    }

    #[test]
    fn every_row_is_read_by_its_name_and_told() {
        let vae = session("vae");
        let help = in_words();
        for row in METRICS {
            let written = row.name.replace('K', "7");
            assert!(Asked::named(&written, &vae).is_ok(), "{written}");
            assert!(help.contains(&format!("`{}`, {}", row.name, row.what)), "{help}");
        }
        assert!(matches!(Asked::named("iwae-7", &vae), Ok(Asked::Of(Measure::Bound(7)))));
        assert!(matches!(Asked::named("elbo", &vae), Ok(Asked::Of(Measure::Own))));
        assert_eq!(by_features(), "frechet, kernel or prdc");
    }

    #[test]
    fn what_a_model_does_not_have_is_refused_with_what_it_has() {
        let why = |name: &str, preset: &str| Asked::named(name, &session(preset)).err().unwrap().to_string();
        let all =
            "metric fid: this model has no such metric; it has elbo, iwae-K, log-p, parzen, frechet, kernel, prdc";
        assert_eq!(why("fid", "vae"), all);
        assert!(why("log-p", "pixelcnn-small").ends_with("it has nll, parzen, frechet, kernel, prdc"));
        for name in ["iwae-", "iwae-0", "iwae-K", "iwae-1000001"] {
            assert!(why(name, "vae").contains("write iwae-K with a number K of draws from 1 to 1000000"), "{name}");
        }
    }
}
