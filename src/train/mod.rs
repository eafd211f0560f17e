//! Training: settings, the session that holds a model on a device, the step's program,
//! checkpoints and the loop.

mod measure;
pub mod checkpoint;
mod config;
mod files;
mod folder;
mod session;
mod settings;
mod step;

pub use measure::{Profile, ProfileRow, StepTiming, profile, time_steps};
pub use checkpoint::{CheckpointError, CheckpointInfo};
pub use config::{Config, ConfigError, DataConfig, PRESETS, TrainConfig};
pub use folder::{RunDir, RunError};
pub use session::{Session, SessionError};
pub use step::{HISTORY_ROWS, train_source};
