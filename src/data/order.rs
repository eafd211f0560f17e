//! Which images make up the batch of which step.

use std::sync::Mutex;

use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};

use super::Error;

/// The order in which a split's images are visited: a pure function of (seed, step), so a resumed
/// run sees exactly the batches it would have seen.
///
/// Each epoch is a fresh permutation; images left over after its last full batch are dropped, as
/// shapes are static.
pub struct Order {
    len: usize,
    batch: usize,
    seed: Option<u64>,
    /// The permutation of the epoch asked for last.
    current: Mutex<Option<(u64, Vec<u32>)>>,
}

impl Order {
    /// A shuffled order over `len` images in batches of `batch`.
    ///
    /// # Errors
    /// [`Error::BatchZero`], [`Error::BatchTooLarge`], [`Error::TooMany`].
    pub fn new(len: usize, batch: usize, seed: u64) -> Result<Self, Error> {
        Self::checked(len, batch, Some(seed))
    }

    /// The images as they lie, every epoch the same. Errors as [`Order::new`].
    pub fn sequential(len: usize, batch: usize) -> Result<Self, Error> {
        Self::checked(len, batch, None)
    }

    fn checked(len: usize, batch: usize, seed: Option<u64>) -> Result<Self, Error> {
        if batch == 0 {
            return Err(Error::BatchZero);
        }
        if batch > len {
            return Err(Error::BatchTooLarge { batch, len });
        }
        if u32::try_from(len).is_err() {
            return Err(Error::TooMany { len });
        }
        Ok(Order { len, batch, seed, current: Mutex::new(None) })
    }

    /// Images of a batch.
    pub fn size(&self) -> usize {
        self.batch
    }

    /// Full batches in one epoch, at least 1.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.len / self.batch) as u64
    }

    /// The epoch (from 0) that global step `step` (from 0) belongs to.
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// The image indices of global step `step` (from 0): `batch` of them, each below `len`.
    pub fn batch(&self, step: u64) -> Vec<u32> {
        let first = (step % self.steps_per_epoch()) as usize * self.batch;
        let Some(seed) = self.seed else {
            return (first as u32..(first + self.batch) as u32).collect();
        };
        let epoch = self.epoch(step);
        // A poisoned lock holds a whole permutation or none: either is fine to go on with.
        let mut current = self.current.lock().unwrap_or_else(|e| e.into_inner());
        if current.as_ref().is_none_or(|(of, _)| *of != epoch) {
            *current = Some((epoch, permutation(self.len as u32, seed, epoch)));
        }
        match &*current {
            Some((_, order)) => order[first..first + self.batch].to_vec(),
            None => Vec::new(),
        }
    }
}

/// The order of epoch `epoch`: ChaCha8 keyed by (seed, epoch) drives a Fisher-Yates shuffle.
fn permutation(len: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[16..26].copy_from_slice(b"limn order");
    let mut order: Vec<u32> = (0..len).collect();
    order.shuffle(&mut ChaCha8Rng::from_seed(key));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_permutation() {
        let order = Order::new(103, 10, 7).unwrap();
        assert_eq!(order.steps_per_epoch(), 10);
        let mut seen: Vec<u32> = (0..10).flat_map(|s| order.batch(s)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 100);
        assert!(seen.iter().all(|&i| i < 103));
        let mut whole = permutation(103, 7, 0);
        assert_ne!(whole, (0..103).collect::<Vec<_>>());
        whole.sort_unstable();
        assert_eq!(whole, (0..103).collect::<Vec<_>>());
    }

    #[test]
    fn a_step_depends_only_on_seed_and_number() {
        let forward = Order::new(50, 8, 3).unwrap();
        let all: Vec<_> = (0..30).map(|s| forward.batch(s)).collect();
        let backward = Order::new(50, 8, 3).unwrap();
        for s in (0..30).rev() {
            assert_eq!(backward.batch(s), all[s as usize]);
        }
        assert_ne!(all[0], all[6], "epochs differ");
        assert_ne!(all[0], Order::new(50, 8, 4).unwrap().batch(0), "seeds differ");
        assert_eq!(Order::new(50, 8, 3).unwrap().batch(u64::MAX).len(), 8);
    }

    #[test]
    fn the_shuffle_is_pinned() {
        // A dependency that shuffled otherwise would break resuming across versions of limn.
        assert_eq!(permutation(10, 1, 0), PINNED);
    }
    const PINNED: [u32; 10] = [0, 2, 6, 5, 8, 1, 4, 9, 3, 7];

    #[test]
    fn sequential_keeps_the_order_and_drops_the_tail() {
        let order = Order::sequential(7, 3).unwrap();
        assert_eq!(order.batch(0), [0, 1, 2]);
        assert_eq!(order.batch(1), [3, 4, 5]);
        assert_eq!(order.batch(2), [0, 1, 2]);
    }

    #[test]
    fn impossible_batches_are_refused() {
        let e = Order::new(10, 64, 0).err().unwrap().to_string();
        assert!(e.contains("64") && e.contains("10 images"), "{e}");
        assert!(matches!(Order::new(10, 0, 0), Err(Error::BatchZero)));
        assert!(matches!(Order::new(0, 1, 0), Err(Error::BatchTooLarge { .. })));
    }
}
