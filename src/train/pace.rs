//! How long a run has still to go.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Marks that are remembered.
const MARKS: usize = 64;
/// Time between two of them.
const APART: Duration = Duration::from_millis(250);
/// After so long what steps take is known well enough to speak of hours.
const SETTLED: Duration = Duration::from_secs(15);

/// The pace of a sitting: what its latest steps took, pauses included.
pub(super) struct Pace {
    marks: VecDeque<(u64, Instant)>,
    /// The last step, and when it was done.
    last: Option<(u64, Instant)>,
    /// Whether it has been asked for since it has settled.
    settled: bool,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { marks: VecDeque::new(), last: None, settled: false }
    }

    /// Takes note that so many steps are done.
    pub(super) fn step(&mut self, step: u64, now: Instant) {
        self.last = Some((step, now));
        if self.marks.back().is_none_or(|(_, at)| now - *at >= APART) {
            self.marks.push_back((step, now));
            if self.marks.len() > MARKS {
                self.marks.pop_front();
            }
        }
    }

    /// Forgets what was: steps of another kind begin.
    pub(super) fn restart(&mut self) {
        *self = Pace::new();
    }

    /// Whether it has just become known how long a run takes: true once.
    pub(super) fn settles(&mut self) -> bool {
        let taken = self.marks.front().zip(self.last).is_some_and(|((_, since), (_, now))| now - *since >= SETTLED);
        taken && !std::mem::replace(&mut self.settled, true)
    }

    /// Time left up to step `total`; none before the second step, as the first takes what is done
    /// once.
    pub(super) fn left(&self, total: u64) -> Option<Duration> {
        let ((first, since), (step, now)) = (self.marks.front()?, self.last?);
        let taken = step.checked_sub(*first).filter(|taken| *taken > 0)?;
        let seconds = (now - *since).as_secs_f64() / taken as f64 * total.saturating_sub(step) as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_known_after_the_second_step_and_follows_the_latest() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut pace = Pace::new();
        assert!(pace.left(100).is_none() && !pace.settles());
        // The first step took five seconds to make ready.
        pace.step(1, at(5000));
        assert_eq!(pace.left(100), None);
        pace.step(2, at(5100));
        assert_eq!(pace.left(102), Some(Duration::from_secs(10)));
        // Later ones take a second each, and in a minute nothing is left of the fast ones.
        (3..100).for_each(|step| pace.step(step, at(5100 + 1000 * (step - 2))));
        assert_eq!(pace.left(109), Some(Duration::from_secs(10)));
        // Then it is known how long it takes, which is told once.
        assert!(pace.settles() && !pace.settles());
        pace.restart();
        assert_eq!(pace.left(109), None);
    }
}
