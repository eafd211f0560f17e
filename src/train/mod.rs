//! Training: the step's program, the session that holds a model on a device.

mod session;
mod step;

pub use session::{Session, SessionError};
pub use step::{HISTORY_ROWS, train_source};
