//! What is done every so often in a run, in a share of its time.

use super::share::Share;
use std::time::Duration;

/// Times in a run, where nothing else is said.
const TIMES: u64 = 10;
/// The share of a run's time that it takes at most.
const SHARE: Share = Share::of(0.05);

/// The turns of something that is done between steps.
pub(super) struct Turns {
    every: u64,
    /// The share of the time beyond which turns are left out, where they are.
    share: Option<Share>,
}

impl Turns {
    /// Every so many steps, 0 for never; some ten times in `total` steps where nothing is said.
    pub(super) fn new(every: Option<u64>, total: u64, bounded: bool) -> Turns {
        Turns { every: every.unwrap_or_else(|| total.div_ceil(TIMES).max(1)), share: bounded.then_some(SHARE) }
    }

    /// Whether it is the turn after `step`, `active` seconds after the run began or went on.
    pub(super) fn due(&self, step: u64, active: f64) -> bool {
        // One that is too long shows in the wait for the next.
        let affordable = self.share.is_none_or(|share| share.allows(Duration::ZERO, active));
        self.wanted() && step.is_multiple_of(self.every) && affordable
    }

    /// Whether it is done at all.
    pub(super) fn wanted(&self) -> bool {
        self.every > 0
    }

    /// Takes note of what a turn took.
    pub(super) fn took(&mut self, time: Duration) {
        if let Some(share) = &mut self.share {
            share.took(time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_about_ten_turns_however_long_a_run_is() {
        for (total, turns) in [(7, 7), (10, 10), (95, 9), (1000, 10), (123_457, 9)] {
            let all = Turns::new(None, total, true);
            assert_eq!((1..=total).filter(|step| all.due(*step, 1.0)).count(), turns, "{total}");
        }
    }

    #[test]
    fn turns_come_after_whole_numbers_of_them() {
        let every = |n| (1..=100).filter(|step| Turns::new(Some(n), 100, false).due(*step, 0.0)).collect::<Vec<_>>();
        assert_eq!([every(0), every(30), every(100)], [vec![], vec![30, 60, 90], vec![100]]);
        assert_eq!(every(1).len(), 100);
    }

    #[test]
    fn turns_that_cost_more_than_their_share_are_left_out() {
        let mut turns = Turns::new(Some(1), 100, true);
        assert!(turns.due(1, 0.0));
        turns.took(Duration::from_secs(1));
        assert!(!turns.due(2, 19.0) && turns.due(2, 21.0));
        // What somebody asked for is done.
        let mut asked = Turns::new(Some(1), 100, false);
        asked.took(Duration::from_secs(1));
        assert!(asked.due(2, 1.0));
    }
}
