//! The page of a run that goes on, made anew now and then.

use super::pictures::Read;
use super::{FILE, ReportError, frame, page_with};
use crate::train::{RunDir, Share};
use std::time::{Duration, Instant};

/// The share of a run's time that its page takes at most.
const SHARE: Share = Share::of(0.02);

/// What a first page is taken to cost.
const GUESS: Duration = Duration::from_millis(50);

/// Makes the page of a run again and again, in at most a fiftieth of the time; pictures that have
/// not changed are not read again.
pub struct Live {
    began: Instant,
    share: Share,
    /// What the last page took.
    last: Duration,
    pictures: Read,
}

impl Default for Live {
    fn default() -> Live {
        Live { began: Instant::now(), share: SHARE, last: GUESS, pictures: Read::default() }
    }
}

impl Live {
    /// Makes the page in the run's folder, if there has been time enough since the last or the run
    /// ends here. Returns whether it did.
    ///
    /// # Errors
    /// Those of [`super::write`].
    pub fn refresh(&mut self, run: &RunDir, ends: bool) -> Result<bool, ReportError> {
        if !ends && !self.due(self.began.elapsed()) {
            return Ok(false);
        }
        let start = Instant::now();
        let page = page_with(std::slice::from_ref(run), &mut self.pictures)?;
        frame::put(&page, &run.path.join(FILE))?;
        self.took(start.elapsed());
        Ok(true)
    }

    /// Whether another page, if it takes as long as the last, leaves all of them within their share
    /// of `elapsed`.
    fn due(&self, elapsed: Duration) -> bool {
        self.share.allows(self.last, elapsed.as_secs_f64())
    }

    fn took(&mut self, time: Duration) {
        self.share.took(time);
        self.last = time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_take_their_share_of_the_time_and_no_more() {
        let (mut live, mut pages) = (Live::default(), 0);
        let mut spent = 0.0;
        for second in 1..=1000 {
            if live.due(Duration::from_secs(second)) {
                live.took(Duration::from_millis(500));
                pages += 1;
                spent += 0.5;
            }
            assert!(spent <= 0.02 * second as f64 + 0.45, "after {second} s: {spent}");
        }
        assert!((38..=40).contains(&pages), "{pages}");
    }
}
