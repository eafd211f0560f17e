//! A command that is one of several processes, started together by `mpirun` and the like.

use super::Error;
use crate::program::Together;
#[cfg(feature = "mpi")]
use crate::ranks::Ranks;

/// How long a rank that is to stop waits for others to agree.
#[cfg(feature = "mpi")]
const AGREED: std::time::Duration = std::time::Duration::from_secs(5);

/// This process among those that were started with it.
pub struct Rank {
    /// Its number.
    pub number: usize,
    /// Its number among those of its machine.
    pub local: usize,
    /// All of them.
    pub together: Together,
}

/// This process among others; `None` where it is by itself.
///
/// # Errors
/// Others that it cannot talk to.
#[cfg(feature = "mpi")]
pub fn join(stop: fn() -> bool) -> Result<Option<Rank>, Error> {
    let Some(mpi) = crate::ranks::mpi::join()? else { return Ok(None) };
    let mpi = mpi.stopped_by(stop, AGREED);
    let (number, local) = (mpi.rank(), mpi.local_rank());
    Ok(Some(Rank { number, local, together: std::sync::Arc::new(std::sync::Mutex::new(mpi)) }))
}

/// The same of a program that trains by itself.
#[cfg(not(feature = "mpi"))]
pub fn join(_stop: fn() -> bool) -> Result<Option<Rank>, Error> {
    match crate::ranks::started_by_many() {
        Some(count) => Err(super::device::alone(count)),
        None => Ok(None),
    }
}
