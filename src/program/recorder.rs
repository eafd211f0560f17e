//! Recording: a run's commands never change, but can be submitted only once. A thread of its own
//! records those of the coming runs while the device works on the present one.

use crate::gpu::{Commands, Gpu, Ready};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// Where a runner's commands come from.
pub(super) struct Recorder {
    gpu: Arc<Gpu>,
    ready: Arc<[Vec<Ready>]>,
    runs: usize,
    ahead: Option<Ahead>,
}

/// The thread that records, until nobody takes its commands any more.
struct Ahead {
    commands: Option<Receiver<Commands>>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    pub(super) fn new(gpu: Arc<Gpu>, ready: Vec<Vec<Ready>>) -> Recorder {
        Recorder { gpu, ready: ready.into(), runs: 0, ahead: None }
    }

    /// The dispatches of every launch.
    pub(super) fn ready(&self) -> &[Vec<Ready>] {
        &self.ready
    }

    /// The commands of one run.
    pub(super) fn next(&mut self) -> Commands {
        self.runs += 1;
        // What runs once needs no help.
        if self.runs == 2 {
            self.ahead = start(self.gpu.clone(), self.ready.clone());
        }
        let recorded = self.ahead.as_ref().and_then(|ahead| ahead.commands.as_ref()?.recv().ok());
        recorded.unwrap_or_else(|| record(&self.gpu, &self.ready))
    }
}

fn record(gpu: &Gpu, ready: &[Vec<Ready>]) -> Commands {
    gpu.record(|pass| ready.iter().flatten().for_each(|r| r.record(pass)))
}

/// Starts the thread; `None` where there can be none.
fn start(gpu: Arc<Gpu>, ready: Arc<[Vec<Ready>]>) -> Option<Ahead> {
    let (send, receive) = sync_channel(1);
    let work = move || while send.send(record(&gpu, &ready)).is_ok() {};
    let thread = std::thread::Builder::new().name("recorder".into()).spawn(work).ok()?;
    Some(Ahead { commands: Some(receive), thread: Some(thread) })
}

impl Drop for Ahead {
    /// Waits for the thread: it holds the device, which is to be gone with the last runner.
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // Had it panicked, its commands were recorded here.
            let _ = thread.join();
        }
    }
}
