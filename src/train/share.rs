//! How much of a run's time something on its way may take.

use std::time::Duration;

/// At most this share of a run's time, for one kind of thing that is done between steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// From 0 to 1.
    most: f64,
    /// What it took so far.
    spent: Duration,
}

impl Share {
    /// At most `most` of the time, from 0 to 1.
    pub(crate) const fn of(most: f64) -> Share {
        Share { most, spent: Duration::ZERO }
    }

    /// Whether what is expected to take `next` leaves all of it within its share of `seconds`.
    pub(crate) fn allows(&self, next: Duration, seconds: f64) -> bool {
        (self.spent + next).as_secs_f64() <= self.most * seconds
    }

    /// Takes note of what it took.
    pub(crate) fn took(&mut self, time: Duration) {
        self.spent += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_and_what_is_expected_stay_within_a_share() {
        let mut share = Share::of(0.02);
        assert!(share.allows(Duration::ZERO, 0.0) && share.allows(Duration::from_millis(200), 10.0));
        assert!(!share.allows(Duration::from_millis(250), 10.0));
        share.took(Duration::from_millis(150));
        assert!(!share.allows(Duration::from_millis(100), 10.0) && share.allows(Duration::from_millis(100), 13.0));
    }
}
