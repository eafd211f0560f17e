//! Sets that limn makes itself, so that films and sounds can be trained on with nothing at hand.
//! Item k of a split is drawn by ChaCha8 keyed by split and k, and by nothing else.

use super::{
    Error, Geometry, Source,
    medium::{frame, stacked, stored},
    reserve,
};
use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;
use std::f32::consts::TAU;

/// Training and test items of each set.
pub(super) const TRAIN: usize = 3000;
pub(super) const TEST: usize = 300;

/// Random numbers in [low, high).
struct Draws(ChaCha8Rng);

impl Draws {
    fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.0.next_u32() >> 8) as f32 / (1 << 24) as f32)
    }
}

/// Fills both splits by `draw`, which says what class an item is of.
fn source(name: &str, geometry: Geometry, draw: impl Fn(&mut Draws, &mut [u8]) -> u8 + Sync) -> Result<Source, Error> {
    let split = |which: &[u8], n: usize| -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
        let mut bytes = reserve(n, geometry, || name.into())?;
        bytes.resize(n * geometry.elements(), 0);
        let items = bytes.par_chunks_mut(geometry.elements()).enumerate();
        let labels = items.map(|(k, item)| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(k as u64).to_le_bytes());
            key[8..8 + which.len()].copy_from_slice(which);
            draw(&mut Draws(ChaCha8Rng::from_seed(key)), item)
        });
        let labels = labels.collect();
        Ok((bytes, Some(labels)))
    };
    let mut source = Source::new(geometry);
    source.train = split(b"limn train", TRAIN)?;
    source.test = Some(split(b"limn test", TEST)?);
    Ok(source)
}

/// A bright disc, square or ring that moves straight on and bounces off the walls. The class is the
/// shape.
pub(super) fn bouncing(film: Geometry, frames: usize) -> Result<Source, Error> {
    let one = frame(film, frames);
    let (high, wide) = (one.height as f32, one.width as f32);
    source("bouncing", film, |draws, item| {
        let shape = draws.within(0.0, 3.0) as u8;
        let radius = draws.within(0.17, 0.27) * high.min(wide);
        let (span_y, span_x) = (high - 2.0 * radius, wide - 2.0 * radius);
        let start = [draws.within(0.0, span_y), draws.within(0.0, span_x)];
        let (speed, angle) = (draws.within(0.06, 0.12) * high.min(wide), draws.within(0.0, TAU));
        let way = [speed * angle.sin(), speed * angle.cos()];
        // A triangle wave: what leaves at one wall comes back from it.
        let folded = |at: f32, span: f32| span - (at.rem_euclid(2.0 * span) - span).abs();
        let clip: Vec<Vec<u8>> = (0..frames)
            .map(|t| {
                let y0 = radius + folded(start[0] + t as f32 * way[0], span_y);
                let x0 = radius + folded(start[1] + t as f32 * way[1], span_x);
                let level = |i: usize| {
                    let (y, x) = ((i / one.width) as f32 + 0.5 - y0, (i % one.width) as f32 + 0.5 - x0);
                    let inside = match shape {
                        0 => radius - y.hypot(x),
                        1 => 0.85 * radius - y.abs().max(x.abs()),
                        _ => 0.25 * radius - (y.hypot(x) - 0.75 * radius).abs(),
                    };
                    (255.0 * (inside + 0.5).clamp(0.0, 1.0)) as u8
                };
                let plane: Vec<u8> = (0..one.height * one.width).map(level).collect();
                plane.repeat(one.channels)
            })
            .collect();
        item.copy_from_slice(&stacked(&clip, one));
        shape
    })
}

/// Kick, snare or hi-hat: a sine whose pitch falls, a tone under noise, and bright noise, each
/// dying away. The class is the drum.
pub(super) fn drums(sound: Geometry, rate: u32) -> Result<Source, Error> {
    source("drums", sound, |draws, item| {
        let drum = draws.within(0.0, 3.0) as u8;
        let gain = draws.within(0.6, 0.95);
        let (low, fall, decay) = match drum {
            0 => (draws.within(45.0, 70.0), draws.within(120.0, 260.0), draws.within(0.06, 0.14)),
            1 => (draws.within(170.0, 240.0), draws.within(20.0, 60.0), draws.within(0.03, 0.07)),
            _ => (0.0, 0.0, draws.within(0.01, 0.04)),
        };
        let noisy = draws.within(0.35, 0.6);
        let (mut phase, mut before) = (draws.within(0.0, 1.0), 0.0);
        for (i, byte) in item.iter_mut().enumerate() {
            let t = i as f32 / rate as f32;
            let noise = draws.within(-1.0, 1.0);
            let bright = 0.5 * (noise - std::mem::replace(&mut before, noise));
            phase += (low + fall * (-t / 0.03).exp()) / rate as f32;
            let tone = (TAU * phase).sin();
            let mixed = match drum {
                0 => tone,
                1 => (1.0 - noisy) * tone + noisy * noise,
                _ => bright,
            };
            *byte = stored(gain * mixed * (-t / decay).exp());
        }
        drum
    })
}

#[cfg(test)]
mod tests {
    use super::super::medium::expanded;
    use super::*;

    #[test]
    fn discs_stay_within_the_walls_and_move() {
        let film = Geometry::new(1, 8 * 32, 32);
        let set = bouncing(film, 8).unwrap();
        assert_eq!(set.train.0.len(), TRAIN * film.elements());
        let labels = set.train.1.as_ref().unwrap();
        assert!((0..3).all(|shape| labels.iter().filter(|l| **l == shape).count() > TRAIN / 4));
        for item in set.train.0.chunks(film.elements()).take(200) {
            let frames: Vec<&[u8]> = item.chunks(1024).collect();
            assert!(std::iter::zip(&frames, &frames[1..]).all(|(a, b)| a != b));
            let mass = |f: &[u8]| f.iter().map(|b| f32::from(*b)).sum::<f32>();
            // Edges are drawn softly, so that a shape's light hardly depends on where it is.
            assert!(frames.iter().all(|f| (mass(f) / mass(frames[0]) - 1.0).abs() < 0.15));
        }
        let again = bouncing(film, 8).unwrap();
        assert!(again.train == set.train && again.test == set.test);
        assert_eq!(bouncing(Geometry::new(3, 8, 4), 2).unwrap().test.unwrap().0.len(), TEST * 3 * 8 * 4);
    }

    #[test]
    fn drums_begin_loud_and_die_away() {
        let sound = Geometry::new(1, 1, 4096);
        let set = drums(sound, 8000).unwrap();
        for item in set.train.0.chunks(sound.elements()).take(100) {
            let power = |bytes: &[u8]| bytes.iter().map(|b| expanded(f32::from(*b) / 255.0).powi(2)).sum::<f32>();
            assert!(power(&item[..512]) > 20.0 * power(&item[3584..]));
            assert!(power(&item[..512]) > 0.3, "{}", power(&item[..512]));
        }
        assert_ne!(set.train.0[..4096], set.test.unwrap().0[..4096]);
    }
}
