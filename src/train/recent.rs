//! Losses between two lines of the log.

/// Losses of the latest steps, added up.
#[derive(Default)]
pub(super) struct Recent {
    sums: Vec<f64>,
    steps: u64,
    /// Images of those steps.
    images: f64,
    /// Seconds that they took.
    seconds: f64,
}

impl Recent {
    /// Takes those of a step.
    pub(super) fn add(&mut self, losses: &[f32]) {
        self.sums.resize(losses.len(), 0.0);
        std::iter::zip(&mut self.sums, losses).for_each(|(sum, l)| *sum += f64::from(*l));
        self.steps += 1;
    }

    /// Takes note of how many images the steps were given, and of how long they took.
    pub(super) fn took(&mut self, images: f64, seconds: f64) {
        self.images += images;
        self.seconds += seconds;
    }

    /// Images a second; 0 where there were no steps.
    pub(super) fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.images / self.seconds } else { 0.0 }
    }

    /// The means of the losses; none where there were no steps.
    pub(super) fn means(&self, names: &[&'static str]) -> Vec<(&'static str, f64)> {
        let mean = |sum: &f64| sum / self.steps as f64;
        std::iter::zip(names.iter().copied(), self.sums.iter().map(mean)).collect()
    }

    /// Begins anew; what it was.
    pub(super) fn take(&mut self) -> Recent {
        std::mem::take(self)
    }
}
