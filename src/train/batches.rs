//! Batches, put where the device takes them by a thread of their own while it works.

use crate::data::{Order, Split};
use crate::program::{Feed, Upload};
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, channel};

/// The images of each training step, in order, as the program's input `images` takes them.
pub(super) struct Batches(Receiver<Upload>);

impl Batches {
    /// Prepares the batches of `steps`, each made of `per_step` batches of `order`, as `feed` has
    /// room for them. The thread ends when all are taken or this is dropped.
    pub(super) fn start(
        feed: Feed,
        split: Split,
        order: Order,
        per_step: u64,
        steps: Range<u64>,
    ) -> io::Result<Batches> {
        let (send, receive) = channel();
        std::thread::Builder::new().name("batches".into()).spawn(move || {
            let mut images = Vec::new();
            for step in steps {
                bytes(&split, &order, per_step, step, &mut images);
                let Some(mut upload) = feed.next() else { return };
                if upload.fill(&images).is_err() || send.send(upload).is_err() {
                    return;
                }
            }
        })?;
        Ok(Batches(receive))
    }

    /// The next step's images; `None` where there are no more.
    pub(super) fn next(&self) -> Option<Upload> {
        self.0.recv().ok()
    }
}

/// Makes `bytes` those of a step's images.
fn bytes(split: &Split, order: &Order, per_step: u64, step: u64, bytes: &mut Vec<u8>) {
    bytes.clear();
    for batch in 0..per_step {
        for index in order.batch(step * per_step + batch) {
            bytes.extend_from_slice(split.image(index as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Geometry;
    use crate::graph::{Graph, Noise};
    use crate::program::{Device, Options, Runner, Store, plan};

    #[test]
    fn steps_follow_the_order_and_fill_words() {
        let images: Vec<u8> = (0..30).collect();
        let split = Split { geometry: Geometry::new(1, 1, 3), images, labels: None };
        let order = || Order::new(10, 3, 7).unwrap();
        let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
        g.output("words", &g.input("images", &[5]));
        let program = plan(&g.finish().unwrap(), &Options::new(None)).unwrap();
        let mut runner = Runner::new(program, &mut Store::new(Device::Cpu)).unwrap();
        let batches = Batches::start(runner.feed("images").unwrap(), split, order(), 2, 1..20).unwrap();
        for step in 1..20 {
            runner.run_with(batches.next().unwrap()).unwrap();
            let words = runner.read("words").unwrap();
            let images = [2 * step, 2 * step + 1].into_iter().flat_map(|b| order().batch(b));
            let wanted: Vec<u8> = images.flat_map(|i| (3 * i as u8)..(3 * i as u8 + 3)).chain([0, 0]).collect();
            assert_eq!(bytemuck::cast_slice::<f32, u8>(&words), wanted);
        }
        assert!(batches.next().is_none());
    }
}
