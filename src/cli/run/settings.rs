//! The settings of `limn run`, checked against what an operation knows.

use super::super::{Error, Setting, nearest};
use super::ops::OpSpec;

/// The largest number a setting takes: more is a slip, and would only overflow later.
const MOST: usize = 1_000_000;

/// Settings that were given; an operation fills in the rest.
pub struct OpSettings<'a> {
    op: &'static str,
    given: &'a [Setting],
}

impl OpSettings<'_> {
    /// Refuses keys that `op` does not know.
    pub fn new<'a>(op: &OpSpec, given: &'a [Setting]) -> Result<OpSettings<'a>, Error> {
        for key in given.iter().map(|s| s.key.as_str()) {
            if !op.settings.contains(&key) && !op.idle.contains(&key) {
                let hint = if op.settings.is_empty() {
                    "it has none".into()
                } else {
                    nearest(key, op.settings.iter().copied())
                };
                return Err(Error::new(format!("{} has no setting called \"{key}\"; {hint}", op.name)));
            }
        }
        Ok(OpSettings { op: op.name, given })
    }

    /// The value as it was typed; the last one counts.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.given.iter().rev().find(|s| s.key == key).map(|s| s.value.as_str())
    }

    fn refuse(&self, key: &str, why: &str) -> Error {
        let value = self.text(key).unwrap_or_default();
        Error::new(format!("{}: {key}={value} {why}", self.op))
    }

    fn numbers(&self, key: &str, text: &str, least: usize) -> Result<Vec<usize>, Error> {
        let number = |part: &str| match part.trim().parse::<usize>() {
            Ok(n) if n < least => Err(self.refuse(key, &format!("is too small; it must be at least {least}"))),
            Ok(n) if n > MOST => Err(self.refuse(key, &format!("is too large; limn run takes up to {MOST}"))),
            Ok(n) => Ok(n),
            Err(_) => Err(self.refuse(key, &format!("is not a whole number of {least} or more"))),
        };
        text.split(',').map(number).collect()
    }

    /// Vertical and horizontal; one number stands for both.
    pub fn pair(&self, key: &str, usual: usize, least: usize) -> Result<[usize; 2], Error> {
        let Some(text) = self.text(key) else { return Ok([usual; 2]) };
        match self.numbers(key, text, least)?[..] {
            [both] => Ok([both; 2]),
            [v, h] => Ok([v, h]),
            _ => Err(self.refuse(key, "must be one number, or two: vertical,horizontal")),
        }
    }

    /// Top, left, bottom and right; one number stands for all, two for vertical and horizontal.
    pub fn sides(&self, key: &str) -> Result<[usize; 4], Error> {
        let Some(text) = self.text(key) else { return Ok([0; 4]) };
        match self.numbers(key, text, 0)?[..] {
            [all] => Ok([all; 4]),
            [v, h] => Ok([v, h, v, h]),
            [top, left, bottom, right] => Ok([top, left, bottom, right]),
            _ => Err(self.refuse(key, "must be one number, two (vertical,horizontal) or four (top,left,bottom,right)")),
        }
    }

    /// One number.
    pub fn count(&self, key: &str, usual: usize, least: usize) -> Result<usize, Error> {
        let Some(text) = self.text(key) else { return Ok(usual) };
        match self.numbers(key, text, least)?[..] {
            [n] => Ok(n),
            _ => Err(self.refuse(key, "must be one number")),
        }
    }

    /// A yes or no.
    pub fn flag(&self, key: &str) -> Result<bool, Error> {
        match self.text(key) {
            None | Some("0" | "false" | "no") => Ok(false),
            Some("1" | "true" | "yes") => Ok(true),
            Some(_) => Err(self.refuse(key, "must be true or false")),
        }
    }

    /// A finite real number.
    pub fn real(&self, key: &str, usual: f32) -> Result<f32, Error> {
        let Some(text) = self.text(key) else { return Ok(usual) };
        let Some(number) = text.parse::<f64>().ok().filter(|n| n.is_finite()) else {
            return Err(self.refuse(key, "is not a number"));
        };
        match number as f32 {
            n if n.is_infinite() => Err(self.refuse(key, "is infinite in the 32 bits that devices compute in")),
            n if number != 0.0 && n.abs() < f32::MIN_POSITIVE => {
                Err(self.refuse(key, "is 0 in the 32 bits that devices compute in"))
            }
            n => Ok(n),
        }
    }

    /// The seed, a whole number of up to 64 bits.
    pub fn seed(&self) -> Result<u64, Error> {
        let Some(text) = self.text("seed") else { return Ok(0) };
        text.parse().map_err(|_| self.refuse("seed", &format!("is not a whole number from 0 to {}", u64::MAX)))
    }

    /// An error about a setting, in words that follow `key=value`.
    pub fn wrong(&self, key: &str, why: &str) -> Error {
        self.refuse(key, why)
    }
}
