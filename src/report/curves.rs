//! Losses over steps, few enough to be drawn.

use crate::files::read_in_memory;
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
    /// Reads `metrics.csv`; a run that has none yet has no points.
    pub(super) fn read(path: &Path) -> Result<Curves, RunError> {
        match read_in_memory(path) {
            Ok(bytes) => Ok(Curves::of(&String::from_utf8_lossy(&bytes))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Curves::default()),
            Err(source) => Err(RunError::Io { doing: "read", path: path.into(), source }),
        }
    }

    /// Lines that are no rows, as the last may be while a run goes on, are passed over.
    fn of(text: &str) -> Curves {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let [_, _, names @ .., _, _] = &header[..] else { return Curves::default() };
        let rows: Vec<Vec<f64>> = lines
            .filter_map(|line| line.split(',').map(|field| field.parse().ok()).collect::<Option<Vec<f64>>>())
            .filter(|row| row.len() == header.len())
            .collect();
        let each = rows.len().div_ceil(POINTS).max(1);
        let mut curves = Curves::default();
        let new = |name: &&str| Curve { name: (*name).into(), mean: Vec::new(), min: Vec::new(), max: Vec::new() };
        curves.losses = names.iter().map(new).collect();
        for rows in rows.chunks(each) {
            let last = &rows[rows.len() - 1];
            curves.step.push(last[0] as u64);
            curves.rate.push(last[last.len() - 2]);
            curves.seconds.push(last[last.len() - 1]);
            for (k, curve) in curves.losses.iter_mut().enumerate() {
                let values = || rows.iter().map(|row| row[2 + k]);
                curve.mean.push(short(values().sum::<f64>() / rows.len() as f64));
                curve.min.push(short(values().fold(f64::INFINITY, f64::min)));
                curve.max.push(short(values().fold(f64::NEG_INFINITY, f64::max)));
            }
        }
        curves
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

/// A number to six digits: a page is not the place for more.
fn short(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
