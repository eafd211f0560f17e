//! Ranks that are threads of one process.

use super::clock::Clock;
use super::{PATIENCE, Pause, Pauses, RankError, Ranks, mean_in_order};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long it is waited at a time.
const SLICE: Duration = Duration::from_millis(250);

/// What all ranks of a round have given so far, and how many have taken it.
struct Round {
    given: Vec<Option<Arc<[u8]>>>,
    taken: usize,
}

#[derive(Default)]
struct Table {
    rounds: HashMap<u64, Round>,
    /// What those said that ended.
    left: HashMap<usize, String>,
}

struct Meeting {
    count: usize,
    pauses: Vec<Pauses>,
    table: Mutex<Table>,
    change: Condvar,
}

/// A rank that is a thread.
pub struct Threads {
    rank: usize,
    meeting: Arc<Meeting>,
    patience: Duration,
    /// Rounds that were begun, and ended.
    begun: u64,
    ended: u64,
}

/// So many ranks of one process, each for a thread of its own.
pub fn threads(count: usize) -> Vec<Threads> {
    let pauses = (0..count).map(|_| Pauses::default()).collect();
    let meeting = Arc::new(Meeting { count, pauses, table: Mutex::default(), change: Condvar::new() });
    let one = |rank| Threads { rank, meeting: meeting.clone(), patience: PATIENCE, begun: 0, ended: 0 };
    (0..count).map(one).collect()
}

impl Threads {
    /// The same, which waits no longer than this for the others.
    pub fn patient(mut self, patience: Duration) -> Threads {
        self.patience = patience;
        self
    }

    fn give(&mut self, bytes: &[u8]) {
        let count = self.meeting.count;
        let mut table = self.meeting.table.lock().unwrap_or_else(PoisonError::into_inner);
        let round = table.rounds.entry(self.begun).or_insert_with(|| Round { given: vec![None; count], taken: 0 });
        round.given[self.rank] = Some(bytes.into());
        self.begun += 1;
        self.meeting.change.notify_all();
    }

    /// What all gave in the oldest round that is under way.
    fn take(&mut self) -> Result<Vec<Arc<[u8]>>, RankError> {
        let (count, mut clock, mut since) = (self.meeting.count, Clock::new(), Duration::ZERO);
        let mut table = self.meeting.table.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let given = table.rounds.get_mut(&self.ended).map(|round| {
                let missing = round.given.iter().position(Option::is_none);
                (missing, round)
            });
            let rank = match given {
                Some((None, round)) => {
                    let all = round.given.iter().flatten().cloned().collect();
                    round.taken += 1;
                    if round.taken == count {
                        table.rounds.remove(&self.ended);
                    }
                    self.ended += 1;
                    return Ok(all);
                }
                Some((Some(missing), _)) => missing,
                None => (self.rank + 1) % count,
            };
            if let Some(why) = table.left.get(&rank) {
                return Err(RankError::Left { rank, why: why.clone() });
            }
            if self.meeting.pauses[rank].any() {
                since = clock.now();
            }
            let left = self.patience.saturating_sub(clock.now() - since).min(SLICE);
            if left.is_zero() {
                return Err(RankError::Lost { rank, count, seconds: self.patience.as_secs() });
            }
            table = self.meeting.change.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
            clock.look(left);
        }
    }
}

impl Ranks for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.meeting.count
    }

    fn begin_mean(&mut self, values: Vec<f32>) -> Result<(), RankError> {
        self.give(bytemuck::cast_slice(&values));
        Ok(())
    }

    fn end_mean(&mut self) -> Result<Vec<f32>, RankError> {
        let given = self.take()?;
        let needs = given[self.rank].len() / 4;
        if let Some(rank) = given.iter().position(|bytes| bytes.len() != 4 * needs) {
            return Err(RankError::Length { rank, has: given[rank].len() / 4, needs });
        }
        let parts: Vec<Vec<f32>> = given.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes)).collect();
        let mut mean = vec![0.0; needs];
        mean_in_order(parts.iter().map(Vec::as_slice), &mut mean);
        Ok(mean)
    }

    fn gather(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
        self.give(bytes);
        Ok(self.take()?.iter().map(|bytes| bytes.to_vec()).collect())
    }

    fn pause(&self) -> Pause {
        self.meeting.pauses[self.rank].begin()
    }

    fn left(&self) -> Vec<(usize, String)> {
        let table = self.meeting.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.left.iter().map(|(rank, why)| (*rank, why.clone())).collect()
    }

    fn leave(&mut self, why: &str) {
        let mut table = self.meeting.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.left.entry(self.rank).or_insert_with(|| why.into());
        self.meeting.change.notify_all();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.leave("it is done");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each of two ranks makes of this.
    fn both<T: Send>(work: impl Fn(Threads) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let started: Vec<_> = threads(2).into_iter().map(|rank| scope.spawn(|| work(rank))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn several_means_are_under_way_and_come_in_their_order() {
        let means = both(|mut rank| {
            let mine = rank.rank() as f32;
            for k in 0..3 {
                rank.begin_mean(vec![mine, mine + k as f32]).unwrap();
            }
            (0..3).map(|_| rank.end_mean().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(means[0], [[0.5, 0.5], [0.5, 1.5], [0.5, 2.5]]);
        assert_eq!(means[0], means[1]);
    }

    #[test]
    fn bytes_are_gathered_and_flags_agreed_on() {
        let seen = both(|mut rank| {
            let mine = [7, rank.rank() as u8];
            let all = rank.gather(&mine[..=rank.rank()]).unwrap();
            (all, rank.of_first(&mine).unwrap(), rank.any(mine[1] == 1).unwrap(), rank.any(false).unwrap())
        });
        for seen in seen {
            assert_eq!(seen, (vec![vec![7], vec![7, 1]], vec![7, 0], true, false));
        }
    }

    #[test]
    fn who_ends_is_named_and_so_is_who_says_nothing() {
        let errors = both(|mut rank| match rank.rank() {
            0 => rank.any(true).unwrap_err(),
            _ => {
                rank.leave("its device is lost");
                RankError::Stopped { rank: 0 }
            }
        });
        assert_eq!(errors[0], RankError::Left { rank: 1, why: "its device is lost".into() });
        let mut two = threads(2).into_iter().map(|rank| rank.patient(Duration::from_millis(20)));
        let (mut one, _other) = (two.next().unwrap(), two.next().unwrap());
        assert_eq!(one.any(true), Err(RankError::Lost { rank: 1, count: 2, seconds: 0 }));
    }

    #[test]
    fn who_pauses_is_waited_for_until_it_does_not_any_more() {
        let patient = |rank: Threads| rank.patient(Duration::from_millis(50));
        let agreed = both(|rank| {
            let mut rank = patient(rank);
            if rank.rank() == 1 {
                let _pause = rank.pause();
                std::thread::sleep(Duration::from_millis(400));
            }
            rank.any(false)
        });
        assert_eq!(agreed, [Ok(false), Ok(false)]);
        let mut two = threads(2).into_iter().map(patient);
        let (mut one, other) = (two.next().unwrap(), two.next().unwrap());
        drop(other.pause());
        assert_eq!(one.any(true), Err(RankError::Lost { rank: 1, count: 2, seconds: 0 }));
    }

    #[test]
    fn ranks_that_do_not_do_the_same_are_told() {
        let errors = both(|mut rank| {
            rank.begin_mean(vec![1.0; 1 + rank.rank()]).unwrap();
            rank.end_mean().unwrap_err()
        });
        assert_eq!(errors[0], RankError::Length { rank: 1, has: 2, needs: 1 });
    }
}
