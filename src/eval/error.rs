//! What can be wrong with a figure that is asked for.

use super::LOG_P_SAMPLES;
use crate::train::SessionError;
use std::path::PathBuf;

/// Why there is no such figure of this model, or none by this network.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// A name that this model has no figure of.
    #[error("metric {name}: this model has no such metric; it has {}", .known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A name that lacks its number of draws, or has too large a one.
    #[error("metric {name}: write {pattern} with a number K of draws from 1 to {most}")]
    Draws {
        /// What was asked for.
        name: String,
        /// How it is written.
        pattern: &'static str,
        /// Draws at most.
        most: u32,
    },
    /// An estimate of log p(x) under a decoder that has no probabilities of grey levels.
    #[error(
        "log-p: a Bernoulli decoder has no probability of grey levels; train with model.binarisation=static or dynamic, \
         or take iwae-{LOG_P_SAMPLES}, whose protocol says what it is"
    )]
    CrossEntropy,
    /// Features by a run of a model that makes none.
    #[error("{} is no run of a classifier", .path.display())]
    NoClassifier {
        /// The run.
        path: PathBuf,
    },
    /// Features by a file that does not hold the network.
    #[error("{}: {why}", .path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Features by a network that takes images of another size.
    #[error("the network of the features takes images of {takes} and this model makes {makes}")]
    Size {
        /// What it takes, in words.
        takes: String,
        /// What it would be given.
        makes: String,
    },
    /// All else that can go wrong with a model on a device.
    #[error("{0}")]
    Session(#[from] SessionError),
}
