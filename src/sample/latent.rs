//! Pictures of a latent space.

use super::classes::{fit, one_hot};
use super::{CHUNK, Function, finite};
use crate::kernels::philox::{Domain, Stream};
use crate::models::{Family, LatentModel, Prior};
use crate::train::{Session, SessionError};
use std::ops::Range;

/// Clock of sampling programs; latent ones never look at it.
pub(super) const CLOCK: &str = "sample.clock";

fn latent_of(session: &Session) -> Result<&dyn LatentModel, SessionError> {
    match session.model.family() {
        Family::Latent(model) => Ok(model),
        _ => Err(SessionError::Lacks("has no latent space")),
    }
}

/// `n` draws from the prior, `[n,latent]`.
pub fn prior(prior: Prior, n: usize, latent: usize, seed: u64) -> Vec<f32> {
    prior_from(prior, 0..n, latent, seed)
}

/// Those of these numbers among all draws that the seed gives.
pub(super) fn prior_from(prior: Prior, range: Range<usize>, latent: usize, seed: u64) -> Vec<f32> {
    let stream = Stream { seed, domain: Domain::Sample as u32, stream: 0, step: 0, first: 0 };
    (range.start * latent..range.end * latent).map(|i| prior.element(&stream, i)).collect()
}

/// `n` draws from the prior, `[n,latent]`, in which every number farther than `bound` from the mean
/// is drawn again until it is not (Brock et al. 2019, §3.1); the others are those of [`prior`]. A
/// bound takes about 1 / bound draws where it is small.
pub fn truncated(prior: Prior, n: usize, latent: usize, bound: f32, seed: u64) -> Vec<f32> {
    let near = |i: usize| {
        let draw = |step| prior.element(&Stream { seed, domain: Domain::Sample as u32, stream: 0, step, first: 0 }, i);
        (0..u32::MAX).map(draw).find(|z| z.abs() <= bound).unwrap_or(0.0)
    };
    (0..n * latent).map(near).collect()
}

/// Images `[n,c,h,w]` of latent vectors `[n,latent]`, of these labels if the model has classes.
pub fn decode(session: &mut Session, z: &[f32], labels: &[u8]) -> Result<Vec<f32>, SessionError> {
    let latent = latent_of(session)?.latent();
    fit(session.model.as_ref(), labels, z.len() / latent)?;
    chunked(session, Function::Decode, ["z", "images"], latent, z, labels)
}

/// Posterior means `[n,latent]` of images `[n,c,h,w]` in [0, 1], of these labels if the model has
/// classes.
pub fn encode(session: &mut Session, images: &[f32], labels: &[u8]) -> Result<Vec<f32>, SessionError> {
    let size = session.model.geometry().iter().product::<usize>();
    fit(session.model.as_ref(), labels, images.len() / size)?;
    chunked(session, Function::Encode, ["images", "z"], size, images, labels)
}

/// A function of any number of images, some at a time: its input has a name and rows of `width`
/// numbers. The last chunk is filled up with zeros. Returns the rows of its output.
fn chunked(
    session: &mut Session,
    function: Function,
    [input, output]: [&str; 2],
    width: usize,
    rows: &[f32],
    labels: &[u8],
) -> Result<Vec<f32>, SessionError> {
    let classes = session.model.classes();
    let labels = one_hot(labels, classes);
    let n = (rows.len() / width).clamp(1, CHUNK);
    let graph = function.graph(session, n)?;
    let chunks = session.spread((rows.len() / width).div_ceil(n), |session, mine| {
        let mut runner = session.runner(&graph)?;
        let mut chunks = Vec::new();
        for first in mine.iter().map(|k| k * n) {
            for (name, width, rows) in [(input, width, rows), ("labels", classes, &labels[..])] {
                if width > 0 {
                    runner.write_first(name, &rows[first * width..rows.len().min((first + n) * width)])?;
                }
            }
            session.going(|| format!("{first} of {} images", rows.len() / width))?;
            runner.run()?;
            let mut made = runner.read(output)?;
            let count = n.min(rows.len() / width - first);
            made.truncate(count * (made.len() / n));
            chunks.push(made);
        }
        Ok(chunks)
    })?;
    finite(chunks.concat())
}

/// Latent vectors [side², latent] on a grid: the first two dimensions take quantiles of the prior
/// (Kingma & Welling 2014, appendix A), the others stay at its mean. Of more than two dimensions
/// there are no such draws: see [`sheet`].
pub fn manifold(prior: Prior, latent: usize, side: usize) -> Vec<f32> {
    let quantile = |k: usize| prior.quantile((k as f64 + 0.5) / side as f64) as f32;
    let mut z = vec![0.0; side * side * latent];
    for (k, row) in z.chunks_exact_mut(latent).enumerate() {
        row[0] = quantile(k % side);
        if latent > 1 {
            row[1] = quantile(side - 1 - k / side);
        }
    }
    z
}

/// Latent vectors [shares.len()·steps, latent] along circles in the plane of the first two
/// dimensions, each around a share of the prior on both axes; the others stay at its mean. Of more
/// than two dimensions there are no such draws: see [`great_circles`].
pub fn circles(prior: Prior, latent: usize, shares: &[f64], steps: usize) -> Vec<f32> {
    let mut z = vec![0.0; shares.len() * steps * latent];
    for (k, row) in z.chunks_exact_mut(latent).enumerate() {
        let radius = prior.quantile(0.5 + shares[k / steps] / 2.0);
        let (sine, cosine) = ((k % steps) as f64 / steps as f64 * std::f64::consts::TAU).sin_cos();
        for (z, way) in std::iter::zip(row, [cosine, sine]) {
            *z = (radius * way) as f32;
        }
    }
    z
}

/// Draws from the prior in a row of a [`sheet`], and in a column.
const DRAWS: usize = 3;

/// Latent vectors [side², latent] on a sheet that hangs on nine draws from the prior, three by
/// three, with great circles between neighbours (White 2016, §2). In many dimensions nearly all
/// draws are equally far from the mean, and so is every point of the sheet; the plane of a
/// [`manifold`] holds none that a decoder has seen.
pub fn sheet(prior: Prior, latent: usize, side: usize, seed: u64) -> Vec<f32> {
    let draws = normal_draws(DRAWS * DRAWS, latent, seed);
    let last = DRAWS - 2;
    // Between which two draws a row or column is, and how far behind the first.
    let place = |k: usize| {
        let at = k as f64 / (side.max(2) - 1) as f64 * (DRAWS - 1) as f64;
        let first = (at as usize).min(last);
        (first, at - first as f64)
    };
    let mut z = Vec::with_capacity(side * side * latent);
    for k in 0..side * side {
        let ((row, down), (column, right)) = (place(k / side), place(k % side));
        let draw = |row: usize, column: usize| &draws[(row * DRAWS + column) * latent..][..latent];
        let [top, bottom] =
            [row, row + 1].map(|row| between(Prior::Normal, draw(row, column), draw(row, column + 1), right));
        z.extend(between(Prior::Normal, &top, &bottom, down).into_iter().map(|z| prior.of_normal(z)));
    }
    z
}

/// Latent vectors [count·steps, latent] along great circles, each through two draws from the prior:
/// every vector on its way is as likely as a draw.
pub fn great_circles(prior: Prior, latent: usize, count: usize, steps: usize, seed: u64) -> Vec<f32> {
    let draws = normal_draws(2 * count, latent, seed);
    let mut z = Vec::with_capacity(count * steps * latent);
    for pair in draws.chunks_exact(2 * latent) {
        let (a, b) = pair.split_at(latent);
        for step in 0..steps {
            let (sine, cosine) = (step as f64 / steps as f64 * std::f64::consts::TAU).sin_cos();
            let way = std::iter::zip(a, b).map(|(a, b)| cosine * f64::from(*a) + sine * f64::from(*b));
            z.extend(way.map(|z| prior.of_normal(z as f32)));
        }
    }
    z
}

/// Draws of a standard normal prior.
fn normal_draws(n: usize, latent: usize, seed: u64) -> Vec<f32> {
    prior(Prior::Normal, n, latent, seed)
}

/// The mean `[latent]` of latent vectors `[n,latent]`.
pub fn mean(z: &[f32], latent: usize) -> Vec<f32> {
    let n = (z.len() / latent).max(1) as f64;
    let sum = |k: usize| z.iter().skip(k).step_by(latent).map(|v| f64::from(*v)).sum::<f64>();
    (0..latent).map(|k| (sum(k) / n) as f32).collect()
}

/// Latent vectors [n·columns, latent]: each of z `[n,latent]` as it is, and on its way along
/// `direction` to where all of that is added.
pub fn moved(z: &[f32], direction: &[f32], columns: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(z.len() * columns);
    for row in z.chunks_exact(direction.len()) {
        for column in 0..columns {
            let t = column as f32 / (columns.max(2) - 1) as f32;
            all.extend(std::iter::zip(row, direction).map(|(z, d)| z + t * d));
        }
    }
    all
}

/// Latent vectors [rows·columns, latent] that differ from `centre` in one dimension a row, running
/// from one end of the prior to the other: -3 to 3, where it is normal.
pub fn traverse(prior: Prior, centre: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut z = Vec::with_capacity(rows * columns * centre.len());
    for dimension in 0..rows.min(centre.len()) {
        for column in 0..columns {
            let mut row = centre.to_vec();
            row[dimension] = -prior.reach() + 2.0 * prior.reach() * column as f32 / (columns.max(2) - 1) as f32;
            z.extend(row);
        }
    }
    z
}

/// Latent vectors [columns, latent] from `a` to `b` along a great circle (White 2016), which keeps
/// to lengths a normal prior knows; along the straight line, which stays within a uniform one,
/// where it is that or the two point the same way.
pub fn interpolate(prior: Prior, a: &[f32], b: &[f32], columns: usize) -> Vec<f32> {
    let column = |column: usize| between(prior, a, b, column as f64 / (columns.max(2) - 1) as f64);
    (0..columns).flat_map(column).collect()
}

/// The latent vector on that way of which a share `t` lies behind it.
fn between(prior: Prior, a: &[f32], b: &[f32], t: f64) -> Vec<f32> {
    let dot = |x: &[f32], y: &[f32]| std::iter::zip(x, y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    let angle =
        if lengths > 0.0 && prior == Prior::Normal { (dot(a, b) / lengths).clamp(-1.0, 1.0).acos() } else { 0.0 };
    let (wa, wb) = match angle.sin() {
        sine if sine > 1e-4 => (((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine),
        _ => (1.0 - t, t),
    };
    std::iter::zip(a, b).map(|(a, b)| (wa * f64::from(*a) + wb * f64::from(*b)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_draws_again_only_what_is_too_far() {
        let all = prior(Prior::Normal, 50, 8, 3);
        let near = truncated(Prior::Normal, 50, 8, 0.5, 3);
        for (any, near) in std::iter::zip(&all, &near) {
            assert!(near.abs() <= 0.5 && (any == near || any.abs() > 0.5));
        }
        let deviation = (near.iter().map(|z| z * z).sum::<f32>() / near.len() as f32).sqrt();
        // That of a normal cut off at ±1/2.
        assert!((deviation - 0.2842).abs() < 0.02, "{deviation}");
        assert_eq!(truncated(Prior::Normal, 50, 8, 9.0, 3), all);
    }

    #[test]
    fn interpolation_starts_and_ends_where_it_should_and_keeps_its_length() {
        let z = interpolate(Prior::Normal, &[3.0, 0.0], &[0.0, 3.0], 5);
        assert_eq!(&z[..2], &[3.0, 0.0]);
        assert!((z[8]).abs() < 1e-5 && (z[9] - 3.0).abs() < 1e-5);
        assert!(z.chunks(2).all(|p| ((p[0] * p[0] + p[1] * p[1]).sqrt() - 3.0).abs() < 1e-5));
        assert_eq!(interpolate(Prior::Normal, &[1.0], &[3.0], 3), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn circles_close_and_codes_move_along_the_difference_of_means() {
        let z = circles(Prior::Uniform, 3, &[0.5, 1.0], 4);
        let near = |a: &[f32], b: &[f32]| std::iter::zip(a, b).all(|(a, b)| (a - b).abs() < 1e-6);
        let root = 3f32.sqrt();
        assert!(near(&z[..6], &[root / 2.0, 0.0, 0.0, 0.0, root / 2.0, 0.0]) && near(&z[12..15], &[root, 0.0, 0.0]));
        assert_eq!(circles(Prior::Normal, 1, &[0.5], 3).len(), 3);
        assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0], 2), [2.0, 4.0]);
        assert_eq!(moved(&[1.0, 1.0, 5.0, 5.0], &[2.0, -4.0], 3)[..6], [1.0, 1.0, 2.0, -1.0, 3.0, -3.0]);
    }

    #[test]
    fn in_many_dimensions_every_point_is_as_far_from_the_mean_as_draws_are() {
        let (latent, side) = (200, 7);
        for prior in [Prior::Normal, Prior::Uniform] {
            let sheet = sheet(prior, latent, side, 3);
            let circles = great_circles(prior, latent, 4, 12, 3);
            assert_eq!((sheet.len(), circles.len()), (side * side * latent, 4 * 12 * latent));
            for z in sheet.chunks(latent).chain(circles.chunks(latent)) {
                let deviation = (z.iter().map(|z| z * z).sum::<f32>() / latent as f32).sqrt();
                // Four standard errors of it, and what a way between two loses.
                assert!((deviation - 1.0).abs() < 0.25, "{prior:?}: {deviation}");
                assert!(z.iter().all(|z| prior == Prior::Normal || z.abs() <= prior.reach()));
            }
            // Neighbours are alike, and the ends of the sheet are not.
            let far = |a: usize, b: usize| {
                let at = |k: usize| &sheet[k * latent..(k + 1) * latent];
                std::iter::zip(at(a), at(b)).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
            };
            assert!((1..side).all(|k| far(k - 1, k) < 0.6 * far(0, side - 1)));
            assert!(far(0, side * side - 1) > 10.0);
        }
        // The middle and the corners are the draws themselves.
        let draws = prior(Prior::Normal, 9, latent, 3);
        let sheet = sheet(Prior::Normal, latent, side, 3);
        for (draw, at) in [(0, 0), (2, side - 1), (4, side * side / 2), (8, side * side - 1)] {
            let of_sheet = &sheet[at * latent..(at + 1) * latent];
            let of_draws = &draws[draw * latent..(draw + 1) * latent];
            assert!(std::iter::zip(of_sheet, of_draws).all(|(a, b)| (a - b).abs() < 1e-4), "{draw}");
        }
        assert_eq!(super::sheet(Prior::Normal, 3, 1, 0).len(), 3);
    }

    #[test]
    fn the_manifold_is_a_grid_of_the_first_two_dimensions() {
        let z = manifold(Prior::Normal, 3, 2);
        assert_eq!(z.len(), 12);
        assert!(z[0] < 0.0 && z[3] > 0.0 && z[1] > 0.0 && z[7] < 0.0);
        assert!(z.chunks(3).all(|row| row[2] == 0.0));
        assert!(manifold(Prior::Normal, 1, 3).iter().all(|v| v.is_finite()));
    }
}
