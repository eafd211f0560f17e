//! Recording: a run's commands never change, but can be submitted only once. A thread of its own
//! records those of the coming runs while the device works on the present one.

use crate::gpu::{Commands, Gpu, Ready};
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Where a runner's commands come from.
pub(super) struct Recorder {
    script: Arc<Script>,
    runs: usize,
    ahead: Option<Lookahead>,
}

/// What is recorded.
struct Script {
    gpu: Arc<Gpu>,
    ready: Vec<Vec<Ready>>,
    /// What each launch is.
    names: Vec<String>,
    /// The launches of each submission.
    pieces: Mutex<Vec<Range<usize>>>,
}

/// Some launches of a run, which are submitted together.
pub(super) struct Piece {
    pub launches: Range<usize>,
    pub commands: Commands,
    /// What it is, should the device never end it.
    pub what: String,
}

/// The thread that records, until nobody takes its commands any more.
struct Lookahead {
    runs: Option<Receiver<Vec<Piece>>>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// For launches that are called so, and cut into these pieces.
    pub(super) fn new(
        gpu: Arc<Gpu>,
        ready: Vec<Vec<Ready>>,
        names: Vec<String>,
        pieces: Vec<Range<usize>>,
    ) -> Recorder {
        let script = Script { gpu, ready, names, pieces: Mutex::new(pieces) };
        Recorder { script: script.into(), runs: 0, ahead: None }
    }

    /// What some launches are.
    pub(super) fn what(&self, launches: &Range<usize>) -> String {
        self.script.what(launches)
    }

    /// The dispatches of every launch.
    pub(super) fn ready(&self) -> &[Vec<Ready>] {
        &self.script.ready
    }

    /// Cuts the runs that are not recorded yet in another way.
    pub(super) fn cut(&self, pieces: Vec<Range<usize>>) {
        *self.script.pieces.lock().unwrap_or_else(|e| e.into_inner()) = pieces;
    }

    /// The commands of one run.
    pub(super) fn next(&mut self) -> Vec<Piece> {
        self.runs += 1;
        // What runs once needs no help.
        if self.runs == 2 {
            self.ahead = start(self.script.clone());
        }
        let recorded = self.ahead.as_ref().and_then(|ahead| ahead.runs.as_ref()?.recv().ok());
        recorded.unwrap_or_else(|| self.script.record())
    }
}

impl Script {
    fn record(&self) -> Vec<Piece> {
        let pieces = self.pieces.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let record = |launches: Range<usize>| {
            let ready = &self.ready[launches.clone()];
            let commands = self.gpu.record(|pass| ready.iter().flatten().for_each(|r| r.record(pass)));
            Piece { what: self.what(&launches), launches, commands }
        };
        pieces.into_iter().map(record).collect()
    }

    fn what(&self, launches: &Range<usize>) -> String {
        let (all, name) = (self.names.len(), |at: usize| self.names.get(at).map_or("nothing", String::as_str));
        match launches.len() {
            0 | 1 => format!("launch {} of {all} ({})", launches.start + 1, name(launches.start)),
            _ => {
                let [first, last] = [launches.start, launches.end - 1].map(name);
                format!("launches {} to {} of {all} ({first} to {last})", launches.start + 1, launches.end)
            }
        }
    }
}

/// Starts the thread; `None` where there can be none.
fn start(script: Arc<Script>) -> Option<Lookahead> {
    let (send, receive) = sync_channel(1);
    let work = move || while send.send(script.record()).is_ok() {};
    let thread = std::thread::Builder::new().name("recorder".into()).spawn(work).ok()?;
    Some(Lookahead { runs: Some(receive), thread: Some(thread) })
}

impl Drop for Lookahead {
    /// Waits for the thread: it holds the device, which is to be gone with the last runner.
    fn drop(&mut self) {
        self.runs = None;
        if let Some(thread) = self.thread.take() {
            // Had it panicked, its commands were recorded here.
            let _ = thread.join();
        }
    }
}
