//! Logarithms of means of exponentials.

/// log of the mean of exponentials that come one after the other, without overflow: the largest so
/// far, and the sum of the exponentials of what the others are above it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogMeanExp {
    largest: f64,
    sum: f64,
    count: u32,
}

impl LogMeanExp {
    pub(super) const NONE: LogMeanExp = LogMeanExp { largest: f64::NEG_INFINITY, sum: 0.0, count: 0 };

    pub(super) fn add(&mut self, x: f64) {
        self.count += 1;
        if x > self.largest {
            self.sum = self.sum * (self.largest - x).exp() + 1.0;
            self.largest = x;
        } else if x != f64::NEG_INFINITY {
            // NaN, which is not larger than anything, is not left out.
            self.sum += (x - self.largest).exp();
        }
    }

    pub(super) fn value(&self) -> f64 {
        self.largest + (self.sum / f64::from(self.count)).ln()
    }

    /// The same of all at once.
    #[cfg(test)]
    pub(super) fn direct(all: &[f64]) -> f64 {
        let largest = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + (all.iter().map(|x| (x - largest).exp()).sum::<f64>() / all.len() as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_that_come_one_by_one_are_those_taken_together() {
        for all in [&[-5.0, -1000.0, 3.0, 2.5][..], &[1000.0, 999.0], &[-2000.0; 7], &[0.25]] {
            let mut mean = LogMeanExp::NONE;
            all.iter().for_each(|x| mean.add(*x));
            let direct = LogMeanExp::direct(all);
            assert!((mean.value() - direct).abs() < 1e-12 * direct.abs().max(1.0), "{all:?}");
        }
    }
}
