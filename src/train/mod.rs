//! Training: settings, the session that holds a model on a device, the step's program,
//! checkpoints and the loop.
//!
//! ```
//! use limn::program::Device;
//! use limn::train::{Config, Hooks, Start, train};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::preset("vae")?;
//! config.set("model.hidden=8".parse()?)?;
//! config.train.steps = Some(3);
//! # let folder = tempfile::tempdir()?;
//! # let out = folder.path().join("run");
//! let start = Start::New { config, out: Some(out), init: None }; // the folder of the run
//! let outcome = train(start, Device::Cpu, Hooks::default())?;
//! assert_eq!(outcome.step, 3);
//! # Ok(())
//! # }
//! ```

mod batches;
mod beside;
mod breakdown;
mod change;
pub mod checkpoint;
mod checksum;
mod claim;
mod config;
mod events;
mod folder;
mod follow;
mod going_on;
mod health;
mod images;
mod initial;
mod jsonl;
mod kept;
mod log;
mod logs;
mod losses;
mod measure;
mod memory;
mod metrics;
mod pace;
mod prepare;
mod presets;
mod profile;
mod provenance;
#[cfg(feature = "cli")]
pub(crate) mod readers;
mod recent;
mod run;
mod session;
mod settings;
mod share;
mod spread;
mod step;
mod step_runner;
mod stopwatch;
mod testing;
mod together;
mod tracing;
mod turns;
mod under_way;

pub use breakdown::{Breakdown, Cure};
pub use change::{Change, ChangeError};
pub use checkpoint::{CheckpointError, CheckpointInfo};
pub use config::{Config, ConfigError, DataConfig, Given, TrainConfig};
pub use folder::{RunDir, RunError, WEIGHTS};
pub use follow::{Fitted, fitted};
pub use health::deviation;
pub use images::images;
pub use initial::Initial;
pub use log::{Progress, Watch};
pub use logs::LogKind;
pub use measure::{Profile, ProfileRow, StepTiming, profile, time_steps};
pub use memory::{MemoryUse, StepSpec};
#[cfg(feature = "cli")]
pub(crate) use presets::about;
pub use presets::presets;
pub use profile::{KernelTime, StepProfile};
pub use provenance::{Machine, Provenance, Sitting, Unfinished};
#[cfg(feature = "cli")]
pub(crate) use readers::READERS;
pub use run::{
    Evaluator, Hooks, Outcome, Pace, Phase, Reading, Reporter, Resume, Sampler, Saved, Start, TrainError, Tune, Viewer,
    train,
};
pub use session::{Listener, Session, SessionError, Weights};
pub use settings::Setting;
pub(crate) use share::Share;
pub use step::{HISTORY_ROWS, pack, train_source};
pub use testing::{TestCurve, Tested};
pub use together::take_part;
pub use tracing::TraceSteps;
