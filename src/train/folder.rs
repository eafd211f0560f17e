//! A run's folder: what lies where, and opening it.

use super::change::ChangeError;
use super::checkpoint::{self, CheckpointError};
use super::claim::{self, Claim};
use super::provenance::Provenance;
use super::{Config, ConfigError, Session, SessionError, Weights};
use crate::choices::Choices;
use crate::data;
use crate::files::{replace, system};
use crate::nn::Optimizer;
use crate::program::Device;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What can go wrong with a run's folder.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A folder that is no run's.
    #[error("{} is no run folder: {why}", .path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A run without a checkpoint.
    #[error("{} has no checkpoint yet", .path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// A run that was never measured on test images.
    #[error("{} has no best checkpoint: it was not measured on test images", .path.display())]
    NoBest {
        /// The folder.
        path: PathBuf,
    },
    /// Averaged weights were asked of a run that keeps none.
    #[error("{} keeps no averaged weights", .path.display())]
    NoAverages {
        /// The folder.
        path: PathBuf,
    },
    /// A new run was to go into a folder that is in use.
    #[error("{} exists and is not empty", .path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Whether it is that of a run.
        run: bool,
    },
    /// Another process trains there.
    #[error("another limn is training in {}; wait for it, or stop it", .path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What the run was made with cannot be told.
    #[error("{} is damaged ({why}); take it away to go on without what it says", .path.display())]
    Provenance {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another checkpoint than those there are.
    #[error("{} has no checkpoint of step {step}; {known}", .path.display())]
    NoStep {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        step: u64,
        /// Those there are, in words.
        known: String,
    },
    /// The last checkpoint is gone, and earlier ones are there.
    #[error("{} has no checkpoint.safetensors any more; an earlier one is kept, of step {step}", .path.display())]
    Gone {
        /// The folder.
        path: PathBuf,
        /// The step of the last of the others.
        step: u64,
    },
    /// A checkpoint that cannot be used, where there are earlier ones.
    #[error("{error}; an earlier one is kept, of step {step}")]
    Earlier {
        /// What is wrong with the last one.
        error: Box<CheckpointError>,
        /// The folder.
        path: PathBuf,
        /// The step of the last of the others.
        step: u64,
    },
    /// Settings that the run cannot go on with.
    #[error("{0}")]
    Change(#[from] ChangeError),
    /// A mistake in the settings.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// A checkpoint that cannot be used.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// A model that cannot be built on the device.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// Its images.
    #[error("{0}")]
    Data(#[from] data::Error),
}

impl RunError {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
        let path = path.to_path_buf();
        move |source| RunError::Io { doing, path, source }
    }
}

/// The folder of a run, with its settings.
#[derive(Clone, Debug)]
pub struct RunDir {
    /// The folder.
    pub path: PathBuf,
    /// The settings in its `config.toml`, validated.
    pub config: Config,
}

impl RunDir {
    /// Opens the folder of a run.
    ///
    /// # Errors
    /// One sentence if it is none, or if its settings make no sense.
    pub fn open(path: &Path) -> Result<RunDir, RunError> {
        let no_run = |why: &str| RunError::NoRun { path: path.into(), why: why.into() };
        if !path.exists() {
            return Err(no_run("it does not exist"));
        }
        if !path.is_dir() {
            return Err(no_run("it is a file; give the folder that training made"));
        }
        let file = path.join(CONFIG);
        match fs::metadata(&file) {
            Ok(about) if about.is_file() => {}
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(RunError::io("read", &file)(error)),
            _ => return Err(no_run("it has no config.toml; give the folder that training made")),
        }
        let config = Config::read(&file)?;
        config.validate().map_err(|e| ConfigError::Value(format!("{}: {e}", file.display())))?;
        Ok(RunDir { path: path.into(), config })
    }

    /// Makes a run in the folder that was claimed for it. Writes the choices, if there are any, the
    /// checkpoint that it begins with, by `begin`, and then `config.toml`, which makes it a run:
    /// whenever it is killed, it goes on with the variants and the weights it began with, or the
    /// folder is one that a run can begin in. On an error the folder is as it was.
    pub(super) fn create(
        config: Config,
        claim: Claim,
        choices: Option<&Choices>,
        provenance: &Provenance,
        begin: impl FnOnce(&Path) -> Result<(), CheckpointError>,
    ) -> Result<(RunDir, Lock), RunError> {
        let run = RunDir { path: claim.path().into(), config };
        run.write_provenance(provenance)?;
        choices.map_or(Ok(()), |choices| run.write_choices(choices))?;
        let samples = run.samples();
        system::create_dir_all(&samples).map_err(RunError::io("create", &samples))?;
        begin(&run.checkpoint())?;
        run.write_config()?;
        Ok((run, Lock(claim.keep())))
    }

    pub(super) fn write_config(&self) -> Result<(), RunError> {
        let (path, text) = (self.path.join(CONFIG), self.config.to_toml()?);
        replace(&path, |file| file.write_all(text.as_bytes())).map_err(RunError::io("save", &path))
    }

    /// Where the checkpoint is, or will be.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// The variants chosen when the run began, if that was on this device: a run that goes on takes
    /// the same, for other variants add up in another order.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub(super) fn load_choices(&self, device: &Device) -> Result<Option<Choices>, RunError> {
        let Some(gpu) = device.gpu() else { return Ok(None) };
        match self.all_choices()? {
            // A run from before there were choices took every kernel's first variant.
            None => Ok(Some(Choices::new(gpu.desc()))),
            Some(choices) => Ok(choices.of_device(gpu.desc())),
        }
    }

    /// The variants that are written down, of whatever device.
    pub(super) fn all_choices(&self) -> Result<Option<Choices>, RunError> {
        let path = self.choices();
        match path.exists() {
            true => Choices::read(&path).map(Some).map_err(RunError::io("read", &path)),
            false => Ok(None),
        }
    }

    /// Writes the variants down that the run goes on with.
    pub(super) fn write_choices(&self, choices: &Choices) -> Result<(), RunError> {
        choices.save(&self.choices()).map_err(RunError::io("save", &self.choices()))
    }

    fn choices(&self) -> PathBuf {
        self.path.join(CHOICES)
    }

    /// Where pictures of samples are.
    pub fn samples(&self) -> PathBuf {
        self.path.join(SAMPLES)
    }

    /// Where the losses are.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// Where figures are that were measured of its checkpoints.
    pub fn figures(&self) -> PathBuf {
        self.path.join("figures.jsonl")
    }

    /// Where the log is.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// The trained model on a device, and the training steps it has seen. It has these `weights`;
    /// where they are not said, averaged ones if the run keeps them. Moments stay in the file.
    ///
    /// # Errors
    /// [`RunError::NoCheckpoint`], [`RunError::NoAverages`], or what is wrong with the checkpoint
    /// or the device.
    pub fn session(&self, device: Device, weights: Option<Weights>) -> Result<(Session, u64), RunError> {
        // A folder that was made to be handed on has the weights alone, by the name they have there.
        let handed_on = self.path.join(WEIGHTS);
        match [self.checkpoint(), handed_on].into_iter().find(|file| file.is_file()) {
            Some(file) => self.session_of(&file, device, weights),
            None => Err(RunError::NoCheckpoint { path: self.path.clone() }),
        }
    }

    /// The same of the checkpoint that did best on test images.
    ///
    /// # Errors
    /// [`RunError::NoBest`], and those of [`RunDir::session`].
    pub fn best_session(&self, device: Device, weights: Option<Weights>) -> Result<(Session, u64), RunError> {
        if !self.best().is_file() {
            return Err(RunError::NoBest { path: self.path.clone() });
        }
        self.session_of(&self.best(), device, weights)
    }

    fn session_of(&self, file: &Path, device: Device, weights: Option<Weights>) -> Result<(Session, u64), RunError> {
        let (c, kept) = (&self.config, self.config.train.ema > 0.0);
        let weights = match weights {
            Some(Weights::Averaged) if !kept => return Err(RunError::NoAverages { path: self.path.clone() }),
            Some(weights) => weights,
            None if kept => Weights::Averaged,
            None => Weights::Trained,
        };
        // Averages that are loaded are the parameters of a model that is not trained, and need
        // none.
        let optim = Optimizer { ema: 0.0, ..c.optimizer() };
        let mut session = Session::new(&c.model, &optim, c.train.seed, device)?;
        session.choices = self.load_choices(session.store.device())?;
        let info = checkpoint::load_weights(file, &mut session, weights)?;
        session.remarks.extend(info.remark());
        let step = info.step;
        session.go_to(step)?;
        Ok((session, step))
    }

    /// Whether a process trains here now.
    pub fn is_training(&self) -> bool {
        claim::is_locked(&self.path)
    }

    /// Keeps other processes from training here for as long as the lock lives.
    pub(super) fn lock(&self) -> Result<Lock, RunError> {
        claim::lock(&self.path).map(|file| Lock(Some(file)))
    }
}

/// A lock that keeps other processes from training in a folder.
pub(super) struct Lock(#[expect(dead_code, reason = "it is held, not read")] Option<File>);

/// The folder of pictures that training draws.
pub(super) const SAMPLES: &str = "samples";

/// The last checkpoint's name in the run's folder.
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";

/// The file of a run's settings, which makes its folder one.
pub(super) const CONFIG: &str = "config.toml";

/// The file of a trained model's weights, where there is nothing else of its training.
pub const WEIGHTS: &str = "model.safetensors";

/// The file of the variants a run takes.
pub(super) const CHOICES: &str = "choices.json";

/// The file whose lock says that somebody trains in a folder.
pub(super) const LOCK: &str = ".lock";
