//! Feeding: inputs filled on a thread of their own while the device works.

use super::DeviceError;
use crate::gpu::Staging;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Hands out room for the coming contents of one input. It may go to another thread.
pub struct StagingRing(Receiver<Upload>);

/// Staged for one run's contents of an input.
pub struct Upload(pub(super) Staged);

pub(super) enum Staged {
    Host(Vec<f32>),
    Gpu { staging: Staging, words: usize },
}

impl Staged {
    pub(super) fn words(&self) -> usize {
        match self {
            Staged::Host(words) => words.len(),
            Staged::Gpu { words, .. } => *words,
        }
    }
}

/// Where room goes that has been used, for a feed to hand out again.
#[derive(Clone)]
pub(super) struct Used(Sender<Upload>);

impl Used {
    pub(super) fn new() -> (Used, StagingRing) {
        let (send, receive) = channel();
        (Used(send), StagingRing(receive))
    }

    /// Nobody takes it where the feed is gone.
    pub(super) fn give_back(&self, room: Staged) {
        let _ = self.0.send(Upload(room));
    }
}

impl StagingRing {
    /// Staged to fill, waiting until a run has used some; `None` when the runner is gone.
    pub fn next(&self) -> Option<Upload> {
        self.0.recv().ok()
    }
}

impl Upload {
    /// Fills it, to go into a run; what `bytes` leaves of the last word is zero.
    ///
    /// # Errors
    /// Bytes that do not make up the input's words; a device that is lost.
    pub fn fill(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        let (needs, has) = (self.0.words(), bytes.len().div_ceil(4));
        if has != needs {
            return Err(DeviceError::Length { name: "upload".into(), needs, has });
        }
        let whole = bytes.len() / 4 * 4;
        let mut last = [0; 4];
        last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
        match &mut self.0 {
            Staged::Host(words) => {
                let room: &mut [u8] = bytemuck::cast_slice_mut(words);
                let (most, end) = room.split_at_mut(whole);
                most.copy_from_slice(&bytes[..whole]);
                end.copy_from_slice(&last[..end.len()]);
            }
            Staged::Gpu { staging, .. } => staging.fill(&bytes[..whole], &last[..4 * (needs - whole / 4)])?,
        }
        Ok(())
    }
}
