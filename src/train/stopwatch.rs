//! Time of a run: earlier sittings are added, and pauses left out where speed is told.

use crate::bench::quantile;
use crate::words::duration;
use std::time::{Duration, Instant};

/// A moment of a run, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Tick {
    /// Since the run began, earlier sittings included.
    pub wall: f64,
    /// In this sitting, time for checkpoints and pictures left out.
    pub active: f64,
}

/// The time of a sitting, and what the host spent of it on steps.
pub(super) struct Stopwatch {
    began: Instant,
    /// Seconds of earlier sittings.
    earlier: f64,
    paused: Duration,
    /// Host time of each step in microseconds.
    host: Vec<f32>,
}

impl Stopwatch {
    /// Begins a sitting behind so many seconds of earlier ones.
    pub(super) fn new(earlier: f64) -> Stopwatch {
        Stopwatch { began: Instant::now(), earlier, paused: Duration::ZERO, host: Vec::new() }
    }

    pub(super) fn now(&self) -> Tick {
        let elapsed = self.began.elapsed();
        Tick { wall: self.earlier + elapsed.as_secs_f64(), active: (elapsed - self.paused).as_secs_f64() }
    }

    /// Leaves out the time since then.
    pub(super) fn pause(&mut self, since: Instant) {
        self.paused += since.elapsed();
    }

    /// Takes note of what the host spent on a step, waiting left out.
    pub(super) fn step(&mut self, host: Duration) {
        self.host.push(host.as_secs_f32() * 1e6);
    }

    /// The median of that, in milliseconds.
    pub(super) fn host_ms(&self) -> f64 {
        let mut host: Vec<f64> = self.host.iter().map(|us| f64::from(*us) / 1e3).collect();
        quantile(&mut host, 0.5)
    }

    /// How long this sitting has lasted, for people.
    pub(super) fn spent(&self) -> String {
        duration(self.began.elapsed())
    }
}
