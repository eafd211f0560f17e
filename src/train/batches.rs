//! Batches, made ready by a thread of their own while the device works.

use super::pack;
use crate::data::{Order, Split};
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};

/// Batches that may wait to be taken.
const AHEAD: usize = 4;

/// The images of each training step, in order, as the program's input `images` takes them.
pub(super) struct Batches(Receiver<Vec<f32>>);

impl Batches {
    /// Prepares the batches of `steps`, each made of `per_step` batches of `order`. The thread ends
    /// when all are taken or this is dropped.
    pub(super) fn start(split: Split, order: Order, per_step: u64, steps: Range<u64>) -> io::Result<Batches> {
        let (send, receive) = sync_channel(AHEAD);
        std::thread::Builder::new().name("batches".into()).spawn(move || {
            for step in steps {
                if send.send(words(&split, &order, per_step, step)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Batches(receive))
    }

    /// The next step's images; `None` where there are no more.
    pub(super) fn next(&self) -> Option<Vec<f32>> {
        self.0.recv().ok()
    }
}

/// The bytes of a step's images, four to a word.
fn words(split: &Split, order: &Order, per_step: u64, step: u64) -> Vec<f32> {
    let mut bytes = Vec::new();
    for batch in 0..per_step {
        for index in order.batch(step * per_step + batch) {
            bytes.extend_from_slice(split.image(index as usize));
        }
    }
    pack(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Geometry;

    #[test]
    fn steps_follow_the_order_and_fill_words() {
        let images: Vec<u8> = (0..30).collect();
        let split = Split { geometry: Geometry::new(1, 1, 3), images, labels: None };
        let order = || Order::new(10, 3, 7).unwrap();
        let batches = Batches::start(split, order(), 2, 1..3).unwrap();
        let first = batches.next().unwrap();
        let bytes: &[u8] = bytemuck::cast_slice(&first);
        assert_eq!(bytes.len(), 20);
        let wanted: Vec<u8> =
            [2, 3].iter().flat_map(|b| order().batch(*b)).flat_map(|i| (3 * i as u8)..(3 * i as u8 + 3)).collect();
        assert_eq!(&bytes[..18], &wanted[..]);
        assert!(batches.next().is_some());
        assert!(batches.next().is_none());
    }
}
