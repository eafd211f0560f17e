//! The figures that people ask for by name: one table, which names, help and errors are read from.

use super::{Distance, FigureError, LOG_P_SAMPLES, MOST_SAMPLES, Measure, PARZEN_SAMPLES};
use crate::models::{Family, Model};
use crate::train::Session;
use crate::words::either;

/// A figure that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One of the test images alone.
    Of(Measure),
    /// The Parzen window of samples.
    Parzen,
    /// A distance of samples from test images by features.
    Distance(Distance),
}

/// What a name stands for.
enum Named {
    /// This figure.
    As(Asked),
    /// The figure of so many draws; the name ends in K, for which people write the number.
    Draws(fn(u32) -> Asked),
}

/// What a model must be able to do to have a figure.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    /// Give densities of images and latent vectors.
    Densities,
    /// Draw images.
    Samples,
}

/// A row of the table.
struct Metric {
    name: &'static str,
    /// What it is, in a few words.
    what: &'static str,
    needs: Needs,
    named: Named,
}

/// The figures beside a model's own, which goes by [`Model::figure`].
const METRICS: [Metric; 6] = [
    Metric {
        name: "iwae-K",
        what: "the bound of K draws",
        needs: Needs::Densities,
        named: Named::Draws(|k| Asked::Of(Measure::Bound(k))),
    },
    Metric {
        name: "log-p",
        what: "log p by importance sampling",
        needs: Needs::Densities,
        named: Named::As(Asked::Of(Measure::LogP)),
    },
    Metric {
        name: "parzen",
        what: "the Parzen window of the first GAN's paper",
        needs: Needs::Samples,
        named: Named::As(Asked::Parzen),
    },
    Metric {
        name: "frechet",
        what: "the Fréchet distance",
        needs: Needs::Samples,
        named: Named::As(Asked::Distance(Distance::Frechet)),
    },
    Metric {
        name: "kernel",
        what: "the kernel distance",
        needs: Needs::Samples,
        named: Named::As(Asked::Distance(Distance::Kernel)),
    },
    Metric {
        name: "prdc",
        what: "precision, recall, density and coverage",
        needs: Needs::Samples,
        named: Named::As(Asked::Distance(Distance::Prdc)),
    },
];

impl Metric {
    fn compares_features(&self) -> bool {
        matches!(self.named, Named::As(Asked::Distance(_)))
    }

    fn is_had_by(&self, model: &dyn Model) -> bool {
        match self.needs {
            Needs::Densities => model.family().densities().is_some(),
            Needs::Samples => !matches!(model.family(), Family::Features(_)),
        }
    }

    /// The figure, or how its number is to be written, where `name` is one of this row.
    fn read(&self, name: &str) -> Option<Result<Asked, FigureError>> {
        match self.named {
            Named::As(asked) => (name == self.name).then_some(Ok(asked)),
            Named::Draws(of) => {
                let draws = name.strip_prefix(self.name.strip_suffix('K')?)?.parse::<u32>();
                let right = draws.ok().filter(|k| (1..=MOST_SAMPLES).contains(k)).map(of);
                let (pattern, most) = (self.name, MOST_SAMPLES);
                Some(right.ok_or_else(|| FigureError::Draws { name: name.into(), pattern, most }))
            }
        }
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
            Some((row, asked)) if row.needs == Needs::Samples || row.is_had_by(model) => asked,
            _ => {
                let others = METRICS.iter().filter(|row| row.is_had_by(model)).map(|row| row.name);
                let known = std::iter::once(model.figure()).chain(others).map(str::to_string).collect();
                Err(FigureError::Unknown { name: name.into(), known })
            }
        }
    }
}

/// The names of the figures that compare features, as a list that ends in "or".
pub fn by_features() -> String {
    let names: Vec<&str> = METRICS.iter().filter(|row| row.compares_features()).map(|row| row.name).collect();
    either(&names)
}

/// What may be asked for, for the help of a flag.
pub fn in_words() -> String {
    let told = |wanted: &dyn Fn(&Metric) -> bool| {
        let rows: Vec<String> =
            METRICS.iter().filter(|row| wanted(row)).map(|row| format!("`{}`, {}", row.name, row.what)).collect();
        rows.join("; ")
    };
    format!(
        "What to measure: the model's own loss with its parts (`elbo`, `nll`, ...), which is the default; of models with \
         an encoder {} ({LOG_P_SAMPLES} draws); of all that draw images {} ({PARZEN_SAMPLES} samples); and by --features {}",
        told(&|row| row.needs == Needs::Densities),
        told(&|row| row.needs == Needs::Samples && !row.compares_features()),
        told(&Metric::compares_features),
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
        for row in &METRICS {
            let written = row.name.replace('K', "7");
            assert!(Asked::named(&written, &vae).is_ok(), "{written}");
            assert!(help.contains(&format!("`{}`, {}", row.name, row.what)), "{help}");
        }
        assert_eq!(Asked::named("iwae-7", &vae).unwrap(), Asked::Of(Measure::Bound(7)));
        assert_eq!(Asked::named("elbo", &vae).unwrap(), Asked::Of(Measure::Own));
        assert_eq!(by_features(), "frechet, kernel or prdc");
    }

    #[test]
    fn what_a_model_does_not_have_is_refused_with_what_it_has() {
        let why = |name: &str, preset: &str| Asked::named(name, &session(preset)).unwrap_err().to_string();
        let all =
            "metric fid: this model has no such metric; it has elbo, iwae-K, log-p, parzen, frechet, kernel, prdc";
        assert_eq!(why("fid", "vae"), all);
        assert!(why("log-p", "pixelcnn-small").ends_with("it has nll, parzen, frechet, kernel, prdc"));
        for name in ["iwae-", "iwae-0", "iwae-K", "iwae-1000001"] {
            assert!(why(name, "vae").contains("write iwae-K with a number K of draws from 1 to 1000000"), "{name}");
        }
    }
}
