//! The readers of run folders that make pages, charts and tables, by bytes; see [`crate::by_bytes`].

use super::overview::Overview;
use super::{charts, page, plot};
use crate::by_bytes::{Reader, text};
use crate::train::readers::in_run;
use crate::train::{RunDir, RunError};

/// Those of this room.
pub(crate) const READERS: &[Reader] = &[
    Reader { name: "run-metrics", read: |bytes| in_run("metrics.csv", bytes, tables), most: pages },
    Reader { name: "run-provenance", read: |bytes| in_run("provenance.json", bytes, told), most: pages },
    Reader { name: "run-data", read: |bytes| in_run("data.json", bytes, told), most: pages },
];

/// A run in few numbers, and its page.
fn told(run: &RunDir) -> Result<(), String> {
    let said = |error: RunError| error.to_string();
    Overview::of(run).map_err(said)?;
    page(std::slice::from_ref(run)).map(drop).map_err(|error| error.to_string())
}

/// A run in few numbers, and its curves as they are drawn.
fn tables(run: &RunDir) -> Result<(), String> {
    let said = |error: RunError| error.to_string();
    let overview = Overview::of(run).map_err(said)?;
    overview.standing();
    for chart in charts(std::slice::from_ref(run), true, 0.9).map_err(said)? {
        // That there is nothing to draw is no fault of the file.
        let _ = plot::drawn(&[chart], true);
    }
    Ok(())
}

/// What a page and its charts may take beside what is read: their font, their script and what is drawn.
fn pages(bytes: u64) -> u64 {
    (32 << 20) + text(bytes)
}
