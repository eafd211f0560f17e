//! Batches, put where the device takes them by a thread of their own while it works.

use super::step::pack;
use crate::data::{Order, Split};
use crate::graph::Shard;
use crate::program::{DeviceError, StagingRing, Upload};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The images of a run and their order.
#[derive(Clone)]
pub(super) struct Images {
    /// All of them.
    pub split: Arc<Split>,
    /// Which of them make up a batch.
    pub order: Arc<Order>,
    /// Batches of a training step.
    pub per_step: u64,
    /// Whether the program takes labels.
    pub labelled: bool,
    /// The part of every batch that the program is given.
    pub shard: Shard,
}

/// Passes of a run over its images, told by its batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passes {
    /// Batches of one, of the size that they have now.
    pub batches: u64,
    /// How many more it has begun than as many batches of that size make, since some had another.
    pub more: i64,
}

impl Passes {
    /// The pass, from 1, that the batch behind so many belongs to.
    pub(super) fn of(self, batches: u64) -> u64 {
        (batches / self.batches + 1).saturating_add_signed(self.more)
    }

    /// The batches with which so many passes end.
    pub(super) fn until(self, passes: u64) -> u64 {
        passes.saturating_add_signed(self.more.saturating_neg()).saturating_mul(self.batches)
    }
}

impl Images {
    /// Images of a batch.
    pub(super) fn batch(&self) -> usize {
        self.order.size()
    }

    /// Makes `bytes` what a step of a shard is given.
    fn bytes(&self, step: u64, shard: Shard, bytes: &mut Vec<u8>) {
        let batches = step * self.per_step..(step + 1) * self.per_step;
        let batches: Vec<Vec<u32>> = batches.map(|batch| self.order.batch(batch)).collect();
        bytes.clear();
        let mut own = Vec::new();
        for part in 0..shard.parts {
            let share = Shard { part, ..shard }.own(self.batch() / shard.count());
            let images = batches.iter().flat_map(|batch| &batch[share.clone()]).map(|i| *i as usize);
            self.split.upload(images, self.labelled, &mut own);
            own.resize(own.len().next_multiple_of(4), 0);
            bytes.append(&mut own);
        }
    }

    /// The images of a step as its program takes them, of the whole batch.
    pub(super) fn words(&self, step: u64) -> Vec<f32> {
        let mut bytes = Vec::new();
        self.bytes(step, Shard::WHOLE, &mut bytes);
        pack(bytes)
    }
}

/// The images of each training step, in order, as the program's input `images` takes them, and
/// their labels where it is told of them.
pub(super) struct Batches(Receiver<Result<Batch, DeviceError>>);

/// The images of a step, and when they were prepared.
pub(super) struct Batch {
    pub upload: Upload,
    pub began: Instant,
    pub took: Duration,
}

impl Batches {
    /// Prepares those of `steps` as `feed` has room for them. The thread ends when all are taken,
    /// when one could not be put where the device takes it, or when this is dropped.
    pub(super) fn start(feed: StagingRing, images: Images, steps: Range<u64>) -> io::Result<Batches> {
        let (send, receive) = channel();
        std::thread::Builder::new().name("batches".into()).spawn(move || {
            let mut bytes = Vec::new();
            for step in steps {
                let began = Instant::now();
                images.bytes(step, images.shard, &mut bytes);
                let took = began.elapsed();
                let Some(mut upload) = feed.next() else { return };
                let filled = upload.fill(&bytes);
                let failed = filled.is_err();
                if send.send(filled.map(|()| Batch { upload, began, took })).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Batches(receive))
    }

    /// The next step's images; `None` where there are no more.
    ///
    /// # Errors
    /// Why they could not be put where the device takes them.
    pub(super) fn next(&self) -> Result<Option<Batch>, DeviceError> {
        self.0.recv().ok().transpose()
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
        let split = Split::new(Geometry::new(1, 1, 3), images, Some((100..110).collect()));
        let order = || Order::new(10, 3, 7).unwrap();
        let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
        g.output("words", &g.input("images", &[6]));
        let program = plan(&g.finish().unwrap(), &Options::new(None)).unwrap();
        let mut runner = Runner::new(program, &mut Store::new(Device::Cpu)).unwrap();
        let images = Images {
            split: Arc::new(split),
            order: Arc::new(order()),
            per_step: 2,
            labelled: true,
            shard: Shard::WHOLE,
        };
        let batches = Batches::start(runner.feed("images").unwrap(), images, 1..20).unwrap();
        for step in 1..20 {
            runner.run_with(batches.next().unwrap().unwrap().upload).unwrap();
            let words = runner.read("words").unwrap();
            let images: Vec<u8> =
                [2 * step, 2 * step + 1].into_iter().flat_map(|b| order().batch(b)).map(|i| i as u8).collect();
            let pixels = images.iter().flat_map(|i| 3 * i..3 * i + 3);
            let wanted: Vec<u8> = pixels.chain(images.iter().map(|i| 100 + i)).collect();
            assert_eq!(bytemuck::cast_slice::<f32, u8>(&words), wanted);
        }
        assert!(batches.next().unwrap().is_none());
    }

    #[test]
    fn images_that_cannot_be_uploaded_say_why() {
        let split = Split::new(Geometry::new(1, 1, 3), (0..30).collect::<Vec<u8>>(), None);
        let g = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
        g.output("words", &g.input("images", &[7]));
        let program = plan(&g.finish().unwrap(), &Options::new(None)).unwrap();
        let mut runner = Runner::new(program, &mut Store::new(Device::Cpu)).unwrap();
        let order = Arc::new(Order::new(10, 3, 7).unwrap());
        let images = Images { split: Arc::new(split), order, per_step: 1, labelled: false, shard: Shard::WHOLE };
        let batches = Batches::start(runner.feed("images").unwrap(), images, 0..5).unwrap();
        let Err(error) = batches.next() else { panic!("nine bytes are no seven words") };
        assert!(matches!(error, DeviceError::Length { needs: 7, has: 3, .. }), "{error}");
        assert!(batches.next().unwrap().is_none());
    }
}
