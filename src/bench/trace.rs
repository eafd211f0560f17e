//! What happened when, in tracks: a file for Perfetto and chrome://tracing.
//!
//! ```
//! use limn::bench::{Trace, Track};
//! use std::time::{Duration, Instant};
//!
//! let mut trace = Trace::new("the processor");
//! trace.add(Track::Host("training"), "a step", Instant::now(), Duration::from_millis(3));
//! println!("{}", trace.json());
//! ```

use crate::files;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Where something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Track {
    /// A thread of the host, by its name.
    Host(&'static str),
    /// What goes to the device.
    Uploads,
    /// Kernels of a part of the model.
    Kernels(String),
    /// What comes back from the device.
    Readbacks,
}

impl Track {
    /// The track of a launch, by the part of the model that it belongs to: the network's name, and
    /// whether it is on the way back through it.
    pub fn of_part(scope: &str) -> Track {
        let (scope, back) = scope.strip_suffix('\'').map_or((scope, ""), |scope| (scope, " backward"));
        let part = scope.split('.').next().unwrap_or(scope);
        let numbered = part.chars().all(|c| c.is_ascii_digit());
        Track::Kernels(format!("{}{back}", if numbered { "layers" } else { part }))
    }

    /// The process and the place in it that it is shown at.
    fn group(&self) -> (u32, u32) {
        match self {
            Track::Host(_) => (1, 0),
            Track::Uploads => (2, 1),
            Track::Kernels(_) => (2, 2),
            Track::Readbacks => (2, 3),
        }
    }

    fn name(&self) -> &str {
        match self {
            Track::Host(thread) => thread,
            Track::Uploads => "uploads",
            Track::Kernels(part) => part,
            Track::Readbacks => "read-backs",
        }
    }
}

/// Something that took a while.
#[derive(Clone, Debug)]
struct Span {
    track: usize,
    name: String,
    start: Instant,
    took: Duration,
    args: Value,
}

/// What happened when.
#[derive(Clone, Debug)]
pub struct Trace {
    device: String,
    tracks: Vec<Track>,
    spans: Vec<Span>,
}

impl Trace {
    /// Nothing yet, on a device of this name.
    pub fn new(device: impl Into<String>) -> Trace {
        Trace { device: device.into(), tracks: Vec::new(), spans: Vec::new() }
    }

    /// Takes note of something.
    pub fn add(&mut self, track: Track, name: impl Into<String>, start: Instant, took: Duration) {
        self.add_with(track, name, start, took, json!({}));
    }

    /// The same with what else there is to know, an object.
    pub fn add_with(&mut self, track: Track, name: impl Into<String>, start: Instant, took: Duration, args: Value) {
        let known = self.tracks.iter().position(|t| *t == track);
        let track = known.unwrap_or_else(|| {
            self.tracks.push(track);
            self.tracks.len() - 1
        });
        self.spans.push(Span { track, name: name.into(), start, took, args });
    }

    /// Whether nothing has happened.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// In the Trace Event Format: complete events in microseconds since the first of all, in the
    /// order of their beginnings, behind the names of their tracks.
    pub fn json(&self) -> Value {
        let processes = [(1, "host"), (2, self.device.as_str())];
        let mut events: Vec<Value> = processes
            .iter()
            .map(|(pid, name)| json!({ "ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": { "name": name } }))
            .collect();
        let mut order: Vec<usize> = (0..self.tracks.len()).collect();
        order.sort_by_key(|i| self.tracks[*i].group());
        let mut ids = vec![0; self.tracks.len()];
        for (place, track) in order.into_iter().enumerate() {
            ids[track] = place + 1;
            let (id, pid) = (place + 1, self.tracks[track].group().0);
            let name = self.tracks[track].name();
            events.push(json!({ "ph": "M", "name": "thread_name", "pid": pid, "tid": id, "args": { "name": name } }));
            let sort = json!({ "sort_index": id });
            events.push(json!({ "ph": "M", "name": "thread_sort_index", "pid": pid, "tid": id, "args": sort }));
        }
        let mut spans: Vec<&Span> = self.spans.iter().collect();
        // Of what begins at once the longest is around the others.
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.took)));
        let origin = spans.first().map(|span| span.start);
        for span in spans {
            let track = &self.tracks[span.track];
            let at = origin.map_or(Duration::ZERO, |origin| span.start - origin);
            events.push(json!({
                "ph": "X", "name": span.name, "cat": track.name(), "pid": track.group().0, "tid": ids[span.track],
                "ts": 1e6 * at.as_secs_f64(), "dur": 1e6 * span.took.as_secs_f64(), "args": span.args,
            }));
        }
        json!({ "traceEvents": events, "displayTimeUnit": "ms" })
    }

    /// Replaces the file at `path`.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = self.json().to_string();
        files::replace(path, |file| file.write_all(text.as_bytes()))
    }
}
