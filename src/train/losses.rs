//! Losses on their way from the device: it remembers those of its last steps, and is asked for them
//! now and then without being waited for.

use super::HISTORY_ROWS;
use super::stopwatch::Tick;
use crate::program::{DeviceError, Pending, ReadbackRing};
use std::collections::VecDeque;
use std::ops::Range;

/// The losses that have not arrived yet.
pub(super) struct Losses {
    /// Where the device remembers them.
    history: ReadbackRing,
    /// Losses of a step.
    count: usize,
    blocks: VecDeque<Block>,
    /// Steps that were handed to the device.
    queued: u64,
    /// Steps whose losses have been asked for.
    asked: u64,
    /// When each step was handed over whose losses have not arrived.
    ticks: VecDeque<Tick>,
    /// When the last step was whose losses have arrived.
    before: Tick,
}

/// Those of some steps, on their way.
struct Block {
    steps: Range<u64>,
    history: Pending,
}

/// Losses of some steps.
pub(super) struct Arrived {
    /// The steps, from 0.
    pub steps: Range<u64>,
    /// Their losses, one step's behind the other's, and when each step was handed to the device.
    rows: Vec<(Tick, Vec<f32>)>,
    /// Seconds that they took, as far as it is known.
    pub seconds: f64,
}

impl Arrived {
    /// Each step, from 0, when it was handed to the device, and its losses.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, Tick, &[f32])> {
        std::iter::zip(self.steps.clone(), &self.rows).map(|(step, (tick, losses))| (step, *tick, losses.as_slice()))
    }
}

impl Losses {
    /// Those of the steps behind `step`, `count` each, which the state `history` is going to
    /// remember.
    pub(super) fn new(history: ReadbackRing, count: usize, step: u64, now: Tick) -> Losses {
        let (blocks, ticks) = (VecDeque::new(), VecDeque::new());
        Losses { history, count, blocks, queued: step, asked: step, ticks, before: now }
    }

    /// Takes note that another step was handed to the device.
    pub(super) fn queue(&mut self, now: Tick) {
        self.queued += 1;
        self.ticks.push_back(now);
    }

    /// Asks the device for the losses of the steps since it was last asked.
    pub(super) fn ask(&mut self) {
        if self.asked < self.queued {
            let history = self.history.start_read();
            self.blocks.push_back(Block { steps: self.asked..self.queued, history });
            self.asked = self.queued;
        }
    }

    /// The next that have arrived, or with `wait` the next that were asked for. `now` is asked for
    /// the end of the last ones that are waited for: a step's tick is when it was queued, and its
    /// end is known of an idle device only.
    ///
    /// # Errors
    /// A device that is lost.
    pub(super) fn next(&mut self, wait: bool, now: impl Fn() -> Tick) -> Result<Option<Arrived>, DeviceError> {
        let Some(block) = self.blocks.front() else { return Ok(None) };
        let history = if wait { block.history.take().map(Some) } else { block.history.try_take() };
        let Some(history) = history? else { return Ok(None) };
        let steps = block.steps.clone();
        self.blocks.pop_front();
        let ticks: Vec<Tick> = self.ticks.drain(..((steps.end - steps.start) as usize).min(self.ticks.len())).collect();
        let idle = wait && self.blocks.is_empty();
        let end = if idle { now() } else { ticks.last().copied().unwrap_or(self.before) };
        let seconds = (end.active - self.before.active).max(1e-9);
        self.before = end;
        let losses = |step: u64| {
            let at = (step % HISTORY_ROWS as u64) as usize * self.count;
            history[at..at + self.count].to_vec()
        };
        let rows = std::iter::zip(steps.clone(), ticks).map(|(step, tick)| (tick, losses(step))).collect();
        Ok(Some(Arrived { steps, rows, seconds }))
    }
}
