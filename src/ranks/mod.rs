//! Ranks: processes, or threads of one, that train a model together. Each has a device and a share
//! of every batch; what depends on the whole batch is the mean over all of them.
//!
//! ```
//! use limn::ranks::{Ranks, threads};
//!
//! let means = std::thread::scope(|scope| {
//!     let ranks = threads(2).into_iter();
//!     let means: Vec<_> = ranks
//!         .map(|mut rank| {
//!             scope.spawn(move || {
//!                 rank.begin_mean(vec![1.0 + 2.0 * rank.rank() as f32])?;
//!                 rank.end_mean()
//!             })
//!         })
//!         .collect();
//!     means.into_iter().map(|mean| mean.join().unwrap().unwrap()).collect::<Vec<_>>()
//! });
//! assert_eq!(means, [[2.0], [2.0]]);
//! ```

mod clock;
#[cfg(feature = "mpi")]
pub mod mpi;
mod started;
mod threads;

pub use started::{number_of_many, started_by_many};
pub use threads::{Threads, threads};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a rank waits for another that says nothing, and has not said that it [pauses](Ranks::pause). Time in which
/// the waiting process itself stood still does not count.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Bytes of a mean, of one rank, up to which ranks that are processes send it whole to each other.
pub const SHORT: usize = 8192;

/// Why ranks do not go on together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RankError {
    /// A rank that says nothing any more.
    #[error("rank {rank} of {count} has not answered for {seconds} s, so it is lost or hangs")]
    Lost {
        /// Which.
        rank: usize,
        /// Of how many.
        count: usize,
        /// For how long it was waited for.
        seconds: u64,
    },
    /// A rank that ended before the others.
    #[error("rank {rank} has ended: {why}")]
    Left {
        /// Which.
        rank: usize,
        /// What it said.
        why: String,
    },
    /// This rank is to stop, and what the others do is not waited for.
    #[error("it was stopped while it waited for rank {rank}")]
    Stopped {
        /// Who was waited for.
        rank: usize,
    },
    /// Ranks that do not do the same.
    #[error("rank {rank} sends {has} numbers where {needs} are expected, so it does not train the same model")]
    Length {
        /// Whose numbers.
        rank: usize,
        /// How many it sends.
        has: usize,
        /// How many there should be.
        needs: usize,
    },
    /// A rank that could not do its share of what several do.
    #[error("rank {rank} could not do its share: {why}")]
    Share {
        /// Which.
        rank: usize,
        /// What it said.
        why: String,
    },
    /// What the library that carries messages says.
    #[error("{0}")]
    Library(String),
}

/// One of several ranks, as it sees the others. All of them call the same functions in the same
/// order; what each gets depends on what all of them gave, and not on who was first.
pub trait Ranks: Send {
    /// Its number, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn count(&self) -> usize;

    /// Starts the mean of every rank's `values`, element by element, which goes on while the rank
    /// does something else. Several may be under way.
    ///
    /// # Errors
    /// [`RankError`].
    fn begin_mean(&mut self, values: Vec<f32>) -> Result<(), RankError>;

    /// Waits for the oldest mean that was begun. The sum is taken in the order of ranks, in f64,
    /// so that it has the same bits on all of them, in every run.
    ///
    /// # Errors
    /// [`RankError`].
    fn end_mean(&mut self) -> Result<Vec<f32>, RankError>;

    /// What every rank gives, in the order of ranks. No mean may be under way.
    ///
    /// # Errors
    /// [`RankError`].
    fn gather(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RankError>;

    /// Tells the others that this rank ends, and why: whoever waits for it hears so.
    fn leave(&mut self, why: &str);

    /// Who has ended and said why, as far as this rank has heard, itself among them.
    fn left(&self) -> Vec<(usize, String)>;

    /// Has the others wait for this rank as long as it is alive, until what this returns is dropped:
    /// for what may take longer than they are patient. A process says again and again that it is
    /// there; one that is killed or stopped does not, and is waited for no longer than any other.
    fn pause(&self) -> Pause;

    /// What rank 0 gives.
    ///
    /// # Errors
    /// [`RankError`].
    fn of_first(&mut self, bytes: &[u8]) -> Result<Vec<u8>, RankError> {
        let mine = if self.rank() == 0 { bytes } else { &[] };
        Ok(self.gather(mine)?.swap_remove(0))
    }

    /// Whether any of them says so.
    ///
    /// # Errors
    /// [`RankError`].
    fn any(&mut self, mine: bool) -> Result<bool, RankError> {
        Ok(self.gather(&[u8::from(mine)])?.iter().any(|theirs| *theirs == [1]))
    }
}

/// How many pauses of a rank are under way.
#[derive(Clone, Debug, Default)]
struct Pauses(Arc<AtomicUsize>);

impl Pauses {
    fn begin(&self) -> Pause {
        self.0.fetch_add(1, Ordering::Relaxed);
        Pause(self.clone())
    }

    fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// A pause of a rank, which ends when this is dropped: see [`Ranks::pause`].
#[derive(Debug)]
#[must_use = "the pause ends when this is dropped"]
pub struct Pause(Pauses);

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The mean of as many numbers from each rank, in the order of ranks.
pub(crate) fn mean_in_order<'a>(parts: impl Iterator<Item = &'a [f32]> + Clone, mean: &mut [f32]) {
    let share = 1.0 / parts.clone().count().max(1) as f64;
    let mut sums = vec![0f64; mean.len().min(CHUNK)];
    for (k, mean) in mean.chunks_mut(CHUNK).enumerate() {
        let sums = &mut sums[..mean.len()];
        sums.fill(0.0);
        for part in parts.clone() {
            let part = &part[k * CHUNK..k * CHUNK + mean.len()];
            std::iter::zip(&mut *sums, part).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        std::iter::zip(mean, sums).for_each(|(mean, sum)| *mean = (*sum * share) as f32);
    }
}

/// Numbers whose sums are under way at once, so that they stay in cache.
const CHUNK: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_the_same_whatever_its_chunks_are() {
        let part = |rank: usize| (0..10_000).map(|i| ((i * 7 + rank * 13) % 101) as f32 / 7.0).collect::<Vec<f32>>();
        let parts = [part(0), part(1), part(2)];
        let mut mean = vec![f32::NAN; 10_000];
        mean_in_order(parts.iter().map(Vec::as_slice), &mut mean);
        for (i, mean) in mean.iter().enumerate() {
            let sum: f64 = parts.iter().map(|part| f64::from(part[i])).sum();
            assert_eq!(*mean, (sum * (1.0 / 3.0)) as f32, "{i}");
        }
    }
}
