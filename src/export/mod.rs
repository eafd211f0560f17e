//! What others run: a trained model as a page for a browser, as a PyTorch module, as ONNX, and as a
//! folder for the Hub.
//!
//! An export is made whole in memory as a [`Package`], and then written; what cannot be made leaves
//! nothing behind.

mod hub;
pub mod onnx;
mod package;
mod pytorch;
mod web;

pub use package::Package;
pub use web::{Half, TooLarge, WebPipeline};

/// Several models as one site: a page of each, and one that shows them all.
///
/// # Errors
/// Those of a page of each of them.
pub fn gallery(all: &mut [Trained], options: &Options) -> Result<Package, ExportError> {
    web::gallery(all, options)
}

use crate::data::{Dataset, Medium};
use crate::eval::{self, KeptFigure};
use crate::program::{DeviceError, PlanError};
use crate::report::differences;
use crate::sample::{self, Drawing, Grid};
use crate::train::{CheckpointError, Config, ConfigError, RunDir, RunError, Session, SessionError};
use image::{DynamicImage, ImageFormat};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// What a model is exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Format {
    /// A page for a browser, which runs the kernels that the model was trained with.
    Web,
    /// A module of PyTorch and its weights.
    Pytorch,
    /// A graph in ONNX for each function of the model.
    Onnx,
    /// A folder for the Hub: a model card, settings, weights.
    Hub,
}

/// What there is to choose in an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Weights in f16, where the format knows them: half as large, and rounded.
    pub half: bool,
    /// Formats that a folder for the Hub has beside its own.
    pub also: Vec<Format>,
}

impl Format {
    /// The file or folder in a run's folder that such an export goes to.
    pub fn place(self) -> &'static str {
        match self {
            Format::Web => "model.html",
            Format::Pytorch => "pytorch",
            Format::Onnx => "onnx",
            Format::Hub => "hub",
        }
    }

    /// Makes the export, and writes nothing.
    ///
    /// # Errors
    /// What the format cannot say, or what is wrong with the run or the device.
    pub fn package(self, trained: &mut Trained, options: &Options) -> Result<Package, ExportError> {
        match self {
            Format::Web => web::package(trained, options),
            Format::Pytorch => pytorch::package(trained),
            Format::Onnx => onnx::package(trained),
            Format::Hub => hub::package(trained, options),
        }
    }
}

/// Films in a picture of samples, at most.
const FILMS: usize = 8;

/// A trained model, as a run has left it.
pub struct Trained {
    /// The run.
    pub run: RunDir,
    /// The model with its weights.
    pub session: Session,
    /// The training steps that it has seen.
    pub step: u64,
    /// The images it was trained on, where they are at hand.
    pub data: Option<Dataset>,
}

impl Trained {
    /// What the model is called: the name of its run's folder.
    pub fn name(&self) -> String {
        let path = self.run.path.canonicalize().unwrap_or_else(|_| self.run.path.clone());
        path.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
    }

    /// What its preset says of it, and the settings of the model in which it differs from that.
    pub fn words(&self) -> String {
        let config = &self.run.config;
        let Some(words) = config.about() else { return String::new() };
        let preset = Config::preset(&config.name).ok();
        let differ = preset.map(|preset| differences(&[&preset, config])).unwrap_or_default();
        let own = differ.into_iter().filter(|differ| differ.key.starts_with("model."));
        let own: Vec<String> =
            own.filter_map(|differ| Some(format!("{} = {}", differ.key, differ.values[1].as_ref()?))).collect();
        match own.is_empty() {
            true => words,
            // Another size has another number of parameters.
            false => format!("{} Here with {}.", uncounted(&words), own.join(", ")),
        }
    }

    /// Its figures, measured at this step.
    fn figures(&self) -> Result<Vec<KeptFigure>, ExportError> {
        let kept = eval::kept(&self.run)
            .map_err(|source| ExportError::Read { path: self.run.path.clone(), source })?
            .into_iter()
            .filter(|kept| kept.step == self.step);
        Ok(Origin::of(&self.run.config).told(kept))
    }

    /// Names of the classes of its images: numbers, where only the model knows of them.
    pub fn class_names(&self) -> Vec<String> {
        let (own, data) = (&self.run.config.data.classes, self.data.as_ref());
        let known = data.map(|data| &data.classes).filter(|_| own.is_empty()).unwrap_or(own);
        if !known.is_empty() {
            return known.clone();
        }
        let count = data.and_then(Dataset::class_count).unwrap_or(0).max(self.session.model.classes());
        (0..count).map(|class| class.to_string()).collect()
    }

    /// So many samples at most in so many columns, or as many of each class in a column of its own;
    /// some films in rows of their frames: the bytes of a PNG.
    fn picture(&mut self, most: usize, columns: Option<usize>, scale: Option<usize>) -> Result<Vec<u8>, ExportError> {
        let session = &mut self.session;
        let medium = session.model.images().medium;
        let most = if matches!(medium, Medium::Films { .. }) { most.min(FILMS) } else { most };
        let classes = session.model.classes();
        let columns = columns.or((classes > most).then(|| most.isqrt()));
        let n = if columns.is_none() { most - most % classes.max(1) } else { most };
        let images = sample::samples(session, n, None, 0, Drawing::Cached)?;
        let grid = Grid::of(session, &images, None);
        let grid = Grid { columns: columns.unwrap_or(grid.columns), ..grid };
        let picture = DynamicImage::from(match medium {
            Medium::Films { frames } => grid.strips(frames, scale),
            Medium::Pictures | Medium::Sounds { .. } => grid.enlarged(scale),
        });
        let picture = if session.model.geometry()[0] == 1 { picture.to_luma8().into() } else { picture };
        let mut bytes = Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, ImageFormat::Png)
            .map_err(|e| ExportError::Write { path: "a picture".into(), source: std::io::Error::other(e) })?;
        Ok(bytes.into_inner())
    }

    /// Its parameters and running statistics with PyTorch's names, network by network, and values
    /// as they are used: averages, where the session has these.
    ///
    /// # Errors
    /// A device that is lost.
    pub fn tensors(&self) -> Result<Vec<Tensor>, ExportError> {
        let mut all = Vec::new();
        for net in self.session.model.networks() {
            for (infos, state) in [(&net.params, net.params_state()), (&net.stats, net.stats_state())] {
                if infos.is_empty() {
                    continue;
                }
                let flat = self.session.store.read(&state)?;
                all.extend(infos.iter().map(|info| Tensor {
                    name: info.name.clone(),
                    shape: info.shape.clone(),
                    values: flat[info.offset..info.offset + info.len()].to_vec(),
                }));
            }
        }
        Ok(all)
    }
}

/// The words of a preset without the sentence that counts its parameters.
fn uncounted(words: &str) -> String {
    let is_count = |sentence: &str| {
        let number = sentence.strip_suffix(" parameters");
        number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit() || c == ','))
    };
    let sentences = words.trim_end_matches('.').split(". ").filter(|sentence| !is_count(sentence));
    sentences.collect::<Vec<_>>().join(". ") + "."
}

/// Where the images of a model come from.
struct Origin {
    /// What they are called, without a path of somebody's machine.
    name: String,
    /// That path, which is nobody else's business.
    path: Option<String>,
    /// Of a set that limn knows its licence, and who made it.
    known: Option<[&'static str; 2]>,
}

impl Origin {
    fn of(config: &Config) -> Origin {
        let source = &config.data.source;
        let known = crate::data::licence(source);
        let last = Path::new(source).file_name().filter(|_| known.is_none());
        let name = last.map_or_else(
            || crate::data::known_name(source.clone()),
            |name| crate::words::shown(&name.to_string_lossy()).into_owned(),
        );
        let path = Some(source.clone()).filter(|path| last.is_some() && *path != name);
        Origin { name, path, known }
    }

    /// A text with their name in place of their path.
    fn without_path(&self, text: &str) -> String {
        self.path.as_ref().map_or_else(|| text.into(), |path| text.replace(path.as_str(), &self.name))
    }

    /// Figures whose protocols name the images and not where they lie.
    fn told(&self, figures: impl IntoIterator<Item = KeptFigure>) -> Vec<KeptFigure> {
        let mut figures: Vec<KeptFigure> = figures.into_iter().collect();
        for KeptFigure { figure, .. } in &mut figures {
            figure.protocol = self.without_path(&figure.protocol);
        }
        figures
    }
}

/// Numbers of a model, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// Values, in row-major order.
    pub values: Vec<f32>,
}

/// Why a model cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The run's files.
    #[error("{0}")]
    Run(#[from] RunError),
    /// Its weights.
    #[error("{0}")]
    Weights(#[from] CheckpointError),
    /// Its settings.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The model, or the device that it is on.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// A format that has no words for what the model does.
    #[error("{format} cannot say what this model does: {why}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// What it is that cannot be said, by name.
        why: String,
    },
    /// A page that browsers could not load or run.
    #[error("this model is too large for a page: {0}")]
    TooLarge(#[from] TooLarge),
    /// One of several models.
    #[error("{model}: {why}")]
    Of {
        /// What it is called.
        model: String,
        /// What is wrong with it.
        #[source]
        why: Box<ExportError>,
    },
    /// A folder with a file of somebody's own where one of these is to be.
    #[error("{} has a {name} that limn has not made", .path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The file.
        name: String,
    },
    /// A file of the run that cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<DeviceError> for ExportError {
    fn from(e: DeviceError) -> ExportError {
        ExportError::Session(e.into())
    }
}

impl From<PlanError> for ExportError {
    fn from(e: PlanError) -> ExportError {
        ExportError::Session(e.into())
    }
}
