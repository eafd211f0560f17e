//! Which part of the range of values a set uses, and stretching it.

use serde::{Deserialize, Serialize};

/// What the values of a set are taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Range {
    /// What the format says: 0 is black, its largest number white, and full scale the loudest
    /// sound.
    #[default]
    Full,
    /// The smallest value of the whole set becomes black and the largest white; the loudest sample
    /// of a set of sounds becomes full scale.
    Auto,
}

/// The smallest and the largest value of pictures, where 0 is the format's black and 1 its white.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The smallest.
    pub low: f32,
    /// The largest.
    pub high: f32,
}

impl Levels {
    /// Of no value at all.
    pub const NONE: Levels = Levels { low: f32::INFINITY, high: f32::NEG_INFINITY };

    /// The loudest of samples.
    pub fn peak(self) -> f32 {
        self.high.max(-self.low)
    }

    /// Whether there are two values that can be told apart.
    pub fn is_spread(self) -> bool {
        (self.high - self.low).is_finite() && self.high > self.low
    }

    /// Of both.
    pub fn join(self, other: Levels) -> Levels {
        Levels { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// Of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Levels {
        match (bytes.iter().min(), bytes.iter().max()) {
            (Some(low), Some(high)) => Levels { low: f32::from(*low) / 255.0, high: f32::from(*high) / 255.0 },
            _ => Levels::NONE,
        }
    }

    /// A value as a byte, `low` as 0 and `high` as 255. Where there is one value only nothing can
    /// be told apart, and it stays what it is.
    pub fn stretch(self, value: f32) -> u8 {
        let share = if self.high > self.low { (value - self.low) / (self.high - self.low) } else { value };
        (255.0 * share.clamp(0.0, 1.0)).round() as u8
    }

    /// [`Levels::stretch`] of every byte.
    pub fn stretch_bytes(self, bytes: &mut [u8]) {
        let table: Vec<u8> = (0..=255u8).map(|b| self.stretch(f32::from(b) / 255.0)).collect();
        bytes.iter_mut().for_each(|b| *b = table[usize::from(*b)]);
    }

    /// One sentence where the values of the pictures of a whole set cannot be meant: where they use
    /// a quarter of the range or less, or go beyond it.
    pub fn warning(self, name: &str) -> Option<String> {
        // Three digits: 12 bits in 16 reach 0.0625.
        let (low, high) = (self.low, self.high);
        let spread = high - low;
        if !spread.is_finite() || spread <= 0.0 {
            return None;
        }
        let what = match () {
            () if low < 0.0 || high > 1.0 => "go beyond the range of 0 to 1 (black to white) and are cut off there",
            // Fourteen bits in sixteen are one step below a quarter.
            () if spread <= 0.25 => "use a small part of the range of 0 to 1 (black to white)",
            () => return None,
        };
        Some(format!(
            "the values of the pictures of {name}, {low:.3} to {high:.3}, {what}; data.range=\"auto\" stretches the \
             smallest to black and the largest to white"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_become_black_and_white() {
        let mut bytes = vec![0, 1, 1, 0];
        let levels = Levels::of_bytes(&bytes);
        assert!(levels.warning("masks").unwrap().contains("0.000 to 0.004"));
        levels.stretch_bytes(&mut bytes);
        assert_eq!(bytes, [0, 255, 255, 0]);
        let mut one = vec![7; 3];
        Levels::of_bytes(&one).stretch_bytes(&mut one);
        assert_eq!(one, [7; 3]);
    }

    #[test]
    fn ordinary_values_are_not_spoken_of() {
        for (low, high) in [(0.0, 1.0), (0.2, 0.5), (0.4, 0.4), (f32::INFINITY, f32::NEG_INFINITY)] {
            assert_eq!(Levels { low, high }.warning("x"), None, "{low} {high}");
        }
        assert!(Levels { low: -1.0, high: 1.0 }.warning("x").unwrap().contains("beyond"));
        assert!(Levels { low: 0.0, high: 16383.0 / 65535.0 }.warning("x").is_some());
    }
}
