//! A command that is one of several processes, started together by `mpirun` and the like.

use super::{Error, device, term};
use crate::program::{Device, Together, speak};
use crate::ranks;

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

impl Rank {
    /// Opens the device that is this rank's turn.
    ///
    /// # Errors
    /// Those of [`device::open`].
    pub fn open(&self, wanted: Option<&str>) -> Result<Device, Error> {
        device::open(Some(device::of_rank(wanted, self.local)?.as_deref().unwrap_or("cpu")))
    }
}

/// Has each of the processes that were started together do its part of a command, or this one all of
/// it, where it is by itself. The first alone speaks to people, but for an error of which it knows
/// nothing.
///
/// # Errors
/// The command's, and those of other ranks.
pub fn each<T>(stop: fn() -> bool, work: impl FnOnce(Option<&Rank>) -> Result<T, Error>) -> Result<T, Error> {
    let Some(rank) = join(stop)? else { return work(None) };
    if rank.number > 0 {
        term::be_silent();
    }
    work(Some(&rank)).map_err(|error| {
        let mut ranks = speak(&rank.together);
        ranks.leave(&error.to_string());
        let said = ranks.left();
        let of = |rank: usize| said.iter().find(|(other, _)| *other == rank).map(|(_, why)| why.as_str());
        let known = |first: &str, own: &str| first.contains(own) || own.contains(first);
        let is_told = std::iter::zip(of(0), of(rank.number)).any(|(first, own)| known(first, own));
        if rank.number == 0 || is_told {
            return error;
        }
        term::be_heard();
        Error::new(format!("rank {}: {error}", rank.number))
    })
}

/// The same of a command in which ranks wait for each other as long as it takes, and end together.
///
/// # Errors
/// Those of [`each`].
pub fn all<T>(work: impl FnOnce(Option<&Rank>) -> Result<T, Error>) -> Result<T, Error> {
    let never = || false;
    each(never, |rank| {
        let pause = rank.map(|rank| speak(&rank.together).pause());
        let done = work(rank)?;
        drop(pause);
        // Whoever is done first hears of what may happen to the others.
        rank.map_or(Ok(false), |rank| speak(&rank.together).any(false))?;
        Ok(done)
    })
}

/// Refuses a command that does its work once where several processes were started together, each of
/// which would do it. One of them says so.
///
/// # Errors
/// One sentence.
pub fn refuse() -> Result<(), Error> {
    let Some(count) = ranks::started_by_many() else { return Ok(()) };
    one_speaks();
    Err(Error::new(format!(
        "{count} processes were started together, and each would do all of this command's work: start it by itself; \
         train, sample, eval and devices are for several"
    )))
}

/// Leaves it to one of the processes that were started together to say what all of them have to.
pub fn one_speaks() {
    if ranks::number_of_many().is_some_and(|number| number > 0) {
        term::be_silent();
    }
}

/// This process among others; `None` where it is by itself.
///
/// # Errors
/// Others that it cannot talk to.
#[cfg(feature = "mpi")]
fn join(stop: fn() -> bool) -> Result<Option<Rank>, Error> {
    use crate::ranks::Ranks;
    let Some(mpi) = ranks::mpi::join()? else { return Ok(None) };
    let mpi = mpi.stopped_by(stop, AGREED);
    let (number, local) = (mpi.rank(), mpi.local_rank());
    Ok(Some(Rank { number, local, together: std::sync::Arc::new(std::sync::Mutex::new(mpi)) }))
}

/// The same of a program that computes by itself.
#[cfg(not(feature = "mpi"))]
fn join(_stop: fn() -> bool) -> Result<Option<Rank>, Error> {
    match ranks::started_by_many() {
        Some(count) => Err(alone(count)),
        None => Ok(None),
    }
}

/// What to say where so many processes were started together, and none of them knows of the others.
#[cfg(not(feature = "mpi"))]
pub fn alone(count: usize) -> Error {
    one_speaks();
    Error::new(format!(
        "{count} processes were started together, and this limn knows of no other: `make mpi` builds one that does \
         (cargo build --locked --release --features mpi); by itself it is started once"
    ))
}
