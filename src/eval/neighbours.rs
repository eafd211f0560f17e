//! The nearest training images of what a model draws: a model that has learnt images by heart shows
//! itself there.

use super::{CLOCK, drawn::pixels};
use crate::data::Split;
use crate::kernels::philox::Domain;
use crate::program::Runner;
use crate::train::{Session, SessionError, pack};

/// Elements of the training images that are on the device at once.
const ELEMENTS: usize = 1 << 22;

/// Images whose neighbours are looked for together.
const TOGETHER: usize = 64;

/// How many more than are wanted the device puts forward: its sums are rounded, and their order may
/// be.
const SPARE: usize = 8;

/// An image of a split, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its number in the split.
    pub index: usize,
    /// Euclidean distance of the pixels in [0, 1].
    pub distance: f64,
}

/// For each of `images` `[n,c,h,w]` in [0, 1] the `k` nearest images of `among`, the nearest first;
/// all of them where there are fewer. The device takes the split in pieces, each in one matrix
/// product: ‖x - t‖² = ‖x‖² - 2 x·t + ‖t‖².
///
/// # Errors
/// All that can be wrong with a device.
pub fn nearest(
    session: &mut Session,
    images: &[f32],
    among: &Split,
    k: usize,
) -> Result<Vec<Vec<Neighbour>>, SessionError> {
    let size = among.geometry.elements();
    let piece = (ELEMENTS / size).clamp(1, among.len());
    let together = (images.len() / size).clamp(1, TOGETHER);
    let mut runner = distances(session, together, piece, size)?;
    let mut all = Vec::new();
    for images in images.chunks(together * size) {
        let mut found = vec![Vec::new(); images.len() / size];
        runner.write_first("images", images)?;
        for first in (0..among.len()).step_by(piece) {
            let count = piece.min(among.len() - first);
            let mut bytes = Vec::new();
            among.upload(first..first + count, false, &mut bytes);
            bytes.resize(piece * size, 0);
            runner.write("others", &pack(bytes))?;
            runner.run()?;
            let distances = runner.read("distances")?;
            for (found, row) in std::iter::zip(&mut found, distances.chunks(piece)) {
                found.extend(row[..count].iter().enumerate().map(|(i, d)| (*d, first + i)));
                keep(found, k + SPARE, |(d, _)| f64::from(*d));
            }
        }
        let exact = std::iter::zip(images.chunks(size), found).map(|(image, found)| {
            let measure =
                |(_, index): &(f32, usize)| Neighbour { index: *index, distance: distance(image, among, *index) };
            let mut near: Vec<Neighbour> = found.iter().map(measure).collect();
            keep(&mut near, k, |n| n.distance);
            near
        });
        all.extend(exact);
    }
    Ok(all)
}

/// The program of ‖t‖² - 2 x·t for `n` images x and `m` images t; ‖x‖² changes nobody's order.
fn distances(session: &mut Session, n: usize, m: usize, size: usize) -> Result<Runner, SessionError> {
    let graph = session.graph(Domain::Eval, session.seed, CLOCK);
    let images = graph.input("images", &[n, size]);
    let words = graph.input("others", &[(m * size).div_ceil(4)]);
    let others = graph.decode_u8(&words, &[m, size], 1.0, 0.0);
    let squares = others.square().sum_axes(&[1]).reshape(&[1, m]);
    graph.output("distances", &(&squares - &images.matmul_t(&others, false, true).mul_scalar(2.0)));
    session.runner(&graph)
}

/// Leaves the first `k` in order.
fn keep<T>(all: &mut Vec<T>, k: usize, distance: impl Fn(&T) -> f64) {
    all.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    all.truncate(k);
}

fn distance(image: &[f32], among: &Split, index: usize) -> f64 {
    let other = pixels(among, index..index + 1);
    std::iter::zip(image, other).map(|(a, b)| (f64::from(*a) - f64::from(b)).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Geometry;
    use crate::kernels::philox::Stream;
    use crate::program::Device;
    use crate::train::Config;

    #[test]
    fn planted_duplicates_are_found_and_the_others_are_in_order() {
        let config = Config::preset("vae").unwrap();
        let mut session = Session::new(&config.model, &config.optimizer(), 3, Device::Cpu).unwrap();
        // More images than are on the device at once, and more than are looked for together.
        let (geometry, len) = (Geometry::new(3, 64, 64), 700);
        let noise = Stream { seed: 1, domain: 9, stream: 0, step: 0, first: 0 };
        let bytes = (0..len * geometry.elements()).map(|i| (256.0 * noise.uniform(i)) as u8);
        let split = Split::new(geometry, bytes.collect::<Vec<u8>>(), None);
        let planted: Vec<usize> = (0..70).map(|k| (k * 389) % len).collect();
        let mut images: Vec<f32> = planted.iter().flat_map(|i| pixels(&split, *i..i + 1)).collect();
        // The last of them is not quite the same.
        *images.last_mut().unwrap() += 0.5;
        let near = nearest(&mut session, &images, &split, 3).unwrap();
        assert_eq!(near.len(), 70);
        for (k, near) in near.iter().enumerate() {
            assert_eq!(near[0].index, planted[k]);
            let wanted = if k < 69 { 0.0 } else { 0.5 };
            assert!((near[0].distance - wanted).abs() < 1e-6, "{near:?}");
            let image = &images[k * geometry.elements()..][..geometry.elements()];
            let mut direct: Vec<f64> = (0..len).map(|i| distance(image, &split, i)).collect();
            direct.sort_by(f64::total_cmp);
            assert!(near.iter().map(|n| n.distance).eq(direct[..3].iter().copied()), "{near:?} {:?}", &direct[..3]);
        }
        let few = Split::new(geometry, [split.image(0), split.image(1)].concat(), None);
        assert_eq!(nearest(&mut session, &images[..geometry.elements()], &few, 3).unwrap()[0].len(), 2);
    }
}
