//! When a run's end has time for pictures beside those of samples.

use std::time::Duration;

/// The share of a run's time that such pictures take at most, where nothing else is said.
const SHARE: f64 = 0.02;

/// Whether they take little of `active` seconds of training, where the slowest picture of samples
/// took this long: they are fewer images than one of samples, and of those that are completed half
/// is there.
pub(super) fn are_cheap(slowest: Duration, active: f64) -> bool {
    slowest.as_secs_f64() / 2.0 <= SHARE * active
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_beside_samples_wait_for_runs_long_enough() {
        assert!(are_cheap(Duration::from_millis(400), 10.0));
        assert!(!are_cheap(Duration::from_millis(500), 10.0));
        assert!(are_cheap(Duration::ZERO, 0.0));
    }
}
