//! The time in which this process runs, as whoever waits for another rank counts it.

use std::time::{Duration, Instant};

/// How much later than it meant to a thread may look before it counts as having stood still.
const LATE: Duration = Duration::from_millis(100);

/// A clock that stands still while the process does: stopped by Ctrl-Z, or with all of its machine. Such a time says
/// nothing of the ranks it waited for, which may have stood still with it, and whose messages it could not see.
#[derive(Debug)]
pub struct Clock {
    looked: Instant,
    runs: Duration,
}

impl Clock {
    pub fn new() -> Clock {
        Clock { looked: Instant::now(), runs: Duration::ZERO }
    }

    /// Has it go on by the time since the last look, which was to be no longer than `within`.
    pub fn look(&mut self, within: Duration) -> Duration {
        let now = Instant::now();
        self.runs += (now - self.looked).min(within + LATE);
        self.looked = now;
        self.runs
    }

    /// What the last look showed.
    pub fn now(&self) -> Duration {
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_comes_far_too_late_counts_as_a_little_late() {
        let mut clock = Clock::new();
        std::thread::sleep(Duration::from_millis(20));
        let soon = clock.look(Duration::from_millis(20));
        assert!(soon >= Duration::from_millis(20), "{soon:?}");
        std::thread::sleep(2 * LATE + Duration::from_millis(10));
        let late = clock.look(Duration::from_millis(10)) - soon;
        assert_eq!(late, LATE + Duration::from_millis(10));
        assert_eq!(clock.now(), soon + late);
    }
}
