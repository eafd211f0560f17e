//! The line that shows how a training goes, in as many columns as there are.

use crate::words::{duration, four};
use std::time::Duration;

/// Columns of the bar, at most.
const BAR: usize = 24;
/// Columns of a bar that is worth showing.
const LEAST: usize = 4;
/// Columns of the curve of the loss, at most.
const CURVE: usize = 8;
/// Points that the curve is remembered by; beyond, two become one.
const POINTS: usize = 96;

/// The characters of bars and curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyphs {
    /// Blocks.
    Unicode,
    /// For terminals whose locale is not UTF-8.
    Ascii,
}

impl Glyphs {
    /// Those of the locale. A system that says nothing is taken for one of today.
    pub fn of_locale() -> Glyphs {
        let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set) {
            Some(locale) if !cfg!(windows) && !is_utf8(&locale) => Glyphs::Ascii,
            _ => Glyphs::Unicode,
        }
    }

    fn bar(self) -> [char; 2] {
        if self == Glyphs::Unicode { ['━', '─'] } else { ['#', '-'] }
    }

    fn levels(self) -> &'static [char] {
        if self == Glyphs::Unicode {
            &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        } else {
            &['_', '.', '-', '=', '*', '#']
        }
    }
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The course of a loss from the beginning, in a few points: each is the mean of as many values.
#[derive(Debug)]
pub struct Curve {
    points: Vec<f64>,
    /// Values to a point.
    each: usize,
    /// The point that is not full yet.
    open: (f64, usize),
}

impl Curve {
    /// Without a value.
    pub fn new() -> Curve {
        Curve { points: Vec::new(), each: 1, open: (0.0, 0) }
    }

    /// Takes the next value.
    pub fn push(&mut self, value: f64) {
        self.open = (self.open.0 + value, self.open.1 + 1);
        if self.open.1 < self.each {
            return;
        }
        self.points.push(self.open.0 / self.open.1 as f64);
        self.open = (0.0, 0);
        if self.points.len() == POINTS {
            self.points = self.points.chunks(2).map(mean).collect();
            self.each *= 2;
        }
    }

    /// The course in so many columns, low values low. Losses of one sign are shown by their
    /// logarithm, as they fall by factors.
    fn drawn(&self, columns: usize, glyphs: Glyphs) -> String {
        let columns = columns.min(self.points.len());
        let cell =
            |i: usize| mean(&self.points[i * self.points.len() / columns..(i + 1) * self.points.len() / columns]);
        let mut cells: Vec<f64> = (0..columns).map(cell).collect();
        if cells.iter().all(|v| *v > 0.0) {
            cells.iter_mut().for_each(|v| *v = v.ln());
        }
        let ends = cells.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let levels = glyphs.levels();
        let level = |v: &f64| match ends.1 - ends.0 {
            range if range > 0.0 => ((v - ends.0) / range * (levels.len() - 1) as f64).round() as usize,
            _ => 0,
        };
        cells.iter().map(|v| levels[level(v)]).collect()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// What the line shows.
#[derive(Debug)]
pub struct Standing {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
    /// Losses, the first the one that is never left out.
    pub losses: Vec<(&'static str, f64)>,
    /// Images a second.
    pub rate: Option<f64>,
    /// Time left.
    pub left: Option<Duration>,
    /// The latest figure of test images.
    pub test: Option<f64>,
    /// The course of the first loss.
    pub curve: Curve,
}

/// What a line leaves out, least missed first.
#[derive(Clone, Copy)]
struct Shown {
    curve: bool,
    test: bool,
    losses: usize,
    units: bool,
    /// Characters of a loss's name.
    name: usize,
}

impl Standing {
    /// The line in so many columns: step, loss, rate and time left whatever happens, and of the rest
    /// what there is room for.
    pub fn line(&self, columns: usize, glyphs: Glyphs) -> String {
        let losses = self.losses.len();
        let all = Shown { curve: true, test: true, losses, units: true, name: usize::MAX };
        let one = losses.min(1);
        let fewer = (one..losses).rev().map(|losses| Shown { losses, ..all });
        let plain = Shown { curve: false, losses: one, ..all };
        let short = Shown { units: false, test: false, ..plain };
        let tries = std::iter::once(all).chain(fewer).chain([
            plain,
            Shown { test: false, ..plain },
            short,
            Shown { name: 6, ..short },
            Shown { name: 3, ..short },
            Shown { name: 0, ..short },
        ]);
        let mut words = String::new();
        for shown in tries {
            words = self.words(shown, glyphs);
            // The bar gives way to the words only where it is short already.
            let bar = if shown.losses > one { BAR } else { 6 * usize::from(shown.units) };
            if words.chars().count() + bar < columns {
                break;
            }
        }
        let room = columns.saturating_sub(words.chars().count() + 3).min(BAR);
        if room < LEAST { words } else { format!("{}  {words}", self.bar(room, glyphs)) }
    }

    fn bar(&self, columns: usize, glyphs: Glyphs) -> String {
        let done = (self.step as f64 / self.total.max(1) as f64 * columns as f64).floor() as usize;
        let [full, empty] = glyphs.bar();
        (0..columns).map(|i| if i < done { full } else { empty }).collect()
    }

    fn words(&self, shown: Shown, glyphs: Glyphs) -> String {
        let gap = if shown.units { "  " } else { " " };
        let mut words = vec![format!("{}/{}", self.step, self.total)];
        for (name, value) in self.losses.iter().take(shown.losses) {
            let name: String = name.chars().take(shown.name).collect();
            words.push(format!("{name} {}", four(*value)).trim_start().into());
        }
        words.extend(self.test.filter(|_| shown.test).map(|v| format!("test {}", four(v))));
        let unit = if shown.units { " images/s" } else { "/s" };
        words.extend(self.rate.map(|rate| format!("{}{unit}", four(rate))));
        let left = if shown.units { " left" } else { "" };
        words.extend(self.left.map(|time| format!("{}{left}", duration(time))));
        words.extend(shown.curve.then(|| self.curve.drawn(CURVE, glyphs)).filter(|curve| !curve.is_empty()));
        words.join(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        let mut curve = Curve::new();
        (0..300).for_each(|i| curve.push(600.0 * 0.99f64.powi(i) + 100.0));
        let losses = vec![("loss", 123.456), ("bce", 110.0), ("kl", 13.456)];
        let left = Some(Duration::from_secs(3905));
        Standing { step: 12_345, total: 50_000, losses, rate: Some(1234.5), left, test: Some(119.87), curve }
    }

    #[test]
    fn a_line_fits_and_always_has_step_loss_rate_and_time() {
        for glyphs in [Glyphs::Unicode, Glyphs::Ascii] {
            for columns in [200, 120, 100, 80, 72, 60, 50, 40] {
                let line = standing().line(columns, glyphs);
                let used = line.chars().count();
                assert!(used < columns, "{used} of {columns}: {line}");
                for word in ["12345/50000", "123.5", "1234", "1h05m"] {
                    assert!(line.contains(word), "{columns}: {line}");
                }
                assert!(glyphs == Glyphs::Unicode || line.is_ascii(), "{line}");
            }
        }
        let wide = standing().line(120, Glyphs::Unicode);
        assert!(wide.starts_with("━━━━━─"), "{wide}");
        assert!(wide.contains("loss 123.5  bce 110.0  kl 13.46  test 119.9  1234 images/s  1h05m left"), "{wide}");
        assert!(wide.ends_with('▁') && wide.contains('█'), "{wide}");
        let short = Standing { step: 1259, total: 2000, left: Some(Duration::from_secs(14)), ..standing() };
        let usual = short.line(80, Glyphs::Unicode);
        assert!(usual.contains('█') && usual.contains("test 119.9"), "{usual}");
        let narrow = standing().line(40, Glyphs::Ascii);
        assert!(narrow.contains("loss 123.5 1234/s 1h05m"), "{narrow}");
    }

    #[test]
    fn before_the_first_losses_there_is_a_bar_already() {
        let empty = Standing {
            step: 1,
            losses: Vec::new(),
            rate: None,
            left: None,
            test: None,
            curve: Curve::new(),
            ..standing()
        };
        for columns in [80, 40] {
            assert!(empty.line(columns, Glyphs::Ascii).starts_with("------"), "{}", empty.line(columns, Glyphs::Ascii));
        }
        // A long name gives way to its number.
        let long = Standing { losses: vec![("reconstruction", 1234.0)], ..standing() };
        assert!(long.line(40, Glyphs::Ascii).contains(" 1234 "), "{}", long.line(40, Glyphs::Ascii));
    }

    #[test]
    fn a_curve_keeps_its_course_however_long_it_grows() {
        let mut curve = Curve::new();
        for i in 0..100_000 {
            curve.push(100_000.0 - f64::from(i));
            assert!(curve.points.len() < POINTS);
        }
        let drawn = curve.drawn(8, Glyphs::Unicode);
        assert!(drawn.starts_with('█') && drawn.ends_with('▁'), "{drawn}");
        assert_eq!(Curve::new().drawn(8, Glyphs::Unicode), "");
    }
}
