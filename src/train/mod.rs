//! Training: settings, the session that holds a model on a device, the step's program,
//! checkpoints and the loop.

mod batches;
pub mod checkpoint;
mod claim;
mod config;
mod folder;
mod images;
mod log;
mod measure;
mod memory;
mod run;
mod session;
mod settings;
mod stage;
mod step;
mod under_way;

pub use checkpoint::{CheckpointError, CheckpointInfo};
pub use config::{Config, ConfigError, DataConfig, PRESETS, TrainConfig};
pub use folder::{RunDir, RunError};
pub use images::images;
pub use measure::{Profile, ProfileRow, StepTiming, profile, time_steps};
pub use memory::{Memory, Step};
pub use run::{Hooks, Outcome, Reading, Sampler, Start, TrainError, Tune, train};
pub use session::{Session, SessionError, Weights};
pub use step::{HISTORY_ROWS, pack, train_source};
