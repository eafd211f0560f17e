//! Losses over steps, few enough to be drawn.

use crate::files::each_line;
use crate::train::RunError;
use serde::Serialize;
use std::io::ErrorKind;
use std::path::Path;

/// Points of a curve, at most: more than a screen has columns.
const POINTS: usize = 1500;

/// The losses of a run. Where there are more steps than points, a point stands for several of them.
#[derive(Default, Serialize)]
pub(super) struct Curves {
    /// The last step of each point.
    step: Vec<u64>,
    /// Seconds of training at each point.
    seconds: Vec<f64>,
    /// Images a second.
    rate: Vec<f64>,
    /// The losses, in the order of the file.
    losses: Vec<Curve>,
}

/// One loss: its mean, its smallest and its largest at each point.
#[derive(Serialize)]
struct Curve {
    name: String,
    mean: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
}

impl Curves {
    /// Reads `metrics.csv` line by line: it is as long as a run has steps, and a run that goes on makes its page beside
    /// its training. One that has none yet has no points.
    pub(super) fn read(path: &Path) -> Result<Curves, RunError> {
        let mut lines = 0;
        let read = each_line(path, |_| lines += 1).and_then(|()| {
            let mut gathered = Gathered::of(lines);
            each_line(path, |line| gathered.take(line)).map(|()| gathered.end())
        });
        match read {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Curves::default()),
            read => read.map_err(|source| RunError::Io { doing: "read", path: path.into(), source }),
        }
    }

    /// Steps that have been taken.
    pub(super) fn steps(&self) -> u64 {
        self.step.last().copied().unwrap_or(0)
    }

    /// A loss over steps, each point by this `weight` what came before, as on the page.
    #[cfg(feature = "plot")]
    pub(super) fn smooth(&self, name: &str, weight: f64) -> Vec<(f64, f64)> {
        let Some(curve) = self.losses.iter().find(|curve| curve.name == name) else { return Vec::new() };
        let (mut sum, mut total) = (0.0, 0.0);
        let averages = curve.mean.iter().map(|value| {
            if !value.is_finite() {
                return *value;
            }
            sum = weight * sum + (1.0 - weight) * value;
            total = weight * total + (1.0 - weight);
            sum / total
        });
        std::iter::zip(self.step.iter().map(|step| *step as f64), averages).collect()
    }

    /// The names of the losses.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.losses.iter().map(|curve| &curve.name)
    }
}

/// What is made of the lines of a file, one after the other.
struct Gathered {
    curves: Curves,
    /// Columns of a row, none before the header.
    columns: Option<usize>,
    /// Rows of a point, and those of the one that is being made.
    each: usize,
    rows: usize,
    /// The last of them, and the sum, the smallest and the largest of each loss.
    last: Vec<f64>,
    losses: Vec<[f64; 3]>,
}

/// Nothing yet: sum, smallest, largest.
const NOTHING: [f64; 3] = [0.0, f64::INFINITY, f64::NEG_INFINITY];

impl Gathered {
    /// From a file of so many lines.
    fn of(lines: usize) -> Gathered {
        let each = lines.saturating_sub(1).div_ceil(POINTS).max(1);
        Gathered { curves: Curves::default(), columns: None, each, rows: 0, last: Vec::new(), losses: Vec::new() }
    }

    /// Lines that are no rows, as the last may be while a run goes on, are passed over.
    fn take(&mut self, line: &str) {
        let Some(columns) = self.columns else {
            let header: Vec<&str> = line.split(',').collect();
            let names = if let [_, _, names @ .., _, _] = &header[..] { names } else { &[] };
            let new = |name: &&str| Curve { name: (*name).into(), mean: Vec::new(), min: Vec::new(), max: Vec::new() };
            self.curves.losses = names.iter().map(new).collect();
            self.losses = vec![NOTHING; names.len()];
            self.columns = Some(header.len());
            return;
        };
        self.last.clear();
        for field in line.split(',') {
            match field.parse() {
                Ok(value) if self.last.len() < columns => self.last.push(value),
                _ => return,
            }
        }
        if self.last.len() < columns || columns < 4 {
            return;
        }
        for (loss, value) in std::iter::zip(&mut self.losses, &self.last[2..]) {
            *loss = [loss[0] + value, loss[1].min(*value), loss[2].max(*value)];
        }
        self.rows += 1;
        if self.rows == 1 {
            self.curves.step.push(0);
            self.curves.rate.push(0.0);
            self.curves.seconds.push(0.0);
        }
        let latest = self.curves.step.len() - 1;
        self.curves.step[latest] = self.last[0] as u64;
        self.curves.rate[latest] = self.last[columns - 2];
        self.curves.seconds[latest] = self.last[columns - 1];
        if self.rows == self.each {
            self.point();
        }
    }

    /// Ends the point that is being made.
    fn point(&mut self) {
        for (curve, loss) in std::iter::zip(&mut self.curves.losses, &mut self.losses) {
            let [sum, min, max] = std::mem::replace(loss, NOTHING);
            curve.mean.push(short(sum / self.rows as f64));
            curve.min.push(short(min));
            curve.max.push(short(max));
        }
        self.rows = 0;
    }

    fn end(mut self) -> Curves {
        if self.rows > 0 {
            self.point();
        }
        self.curves
    }
}

/// A number to six digits: a page is not the place for more.
fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Curves {
        fn of(text: &str) -> Curves {
            let mut gathered = Gathered::of(text.lines().count());
            text.lines().for_each(|line| gathered.take(line));
            gathered.end()
        }
    }

    #[test]
    fn many_steps_are_few_points_that_keep_extremes() {
        let mut text = String::from("step,epoch,loss,kl,images_per_s,seconds\n");
        for step in 1..=4000 {
            let loss = if step == 1234 { 900.0 } else { f64::from(step) };
            text += &format!("{step},1,{loss},0.5,100.0,{}\n", f64::from(step) / 10.0);
        }
        text += "4001,1,5";
        let curves = Curves::of(&text);
        assert_eq!((curves.steps(), curves.step.len()), (4000, 1334));
        let loss = &curves.losses[0];
        assert_eq!(loss.name, "loss");
        assert_eq!((loss.min[0], loss.mean[0], loss.max[0]), (1.0, 2.0, 3.0));
        // Steps 1234 to 1236 are one point.
        assert_eq!((loss.min[411], loss.max[411], loss.mean[411]), (900.0, 1236.0, 1123.67));
        assert_eq!(curves.seconds[0], 0.3);
    }

    #[cfg(feature = "plot")]
    #[test]
    fn smooth_curves_begin_with_their_first_point() {
        let curves = Curves::of("step,epoch,loss,images_per_s,seconds\n1,1,4,1,1\n2,1,nan,1,1\n3,1,8,1,1\n");
        let smooth = curves.smooth("loss", 0.5);
        assert_eq!((smooth[0], smooth[2].0, (1e3 * smooth[2].1).round()), ((1.0, 4.0), 3.0, 6667.0));
        assert!(smooth[1].1.is_nan() && curves.smooth("other", 0.5).is_empty());
    }

    #[test]
    fn a_run_without_losses_has_no_points() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Curves::read(&folder.path().join("metrics.csv")).unwrap().steps(), 0);
        assert_eq!(Curves::of("").steps(), 0);
        assert_eq!(Curves::of("step\n1\n").steps(), 0);
    }
}
