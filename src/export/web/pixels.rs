//! Drawing pixel by pixel in a page.

use super::blob::Blob;
use super::bundle::Bundle;
use super::{ExportError, graph};
use crate::sample::PixelLoop;
use crate::train::Session;
use serde::Serialize;

/// Images that a page draws at once.
const TOGETHER: usize = 4;
/// Products that a run may cost: a slow device takes some hundredths of a second for them.
const PER_RUN: u64 = 1 << 24;

/// What the page's loop goes by.
#[derive(Serialize)]
pub(super) struct Loop {
    /// Images at once.
    n: usize,
    /// The states of the images and of the clock.
    canvas: String,
    clock: &'static str,
    /// Steps of a run, and of an image.
    steps: usize,
    end: usize,
    /// Inputs that are arrays of the page.
    inputs: Vec<&'static str>,
    /// What the weights of each class but the first have in the place of the first's: where runs of
    /// numbers begin and how many each has. The numbers are the arrays `class K`.
    classes: Vec<Vec<[usize; 2]>>,
}

/// Adds the program and its inputs.
pub(super) fn add(session: &mut Session, bundle: &mut Bundle, blob: &mut Blob) -> Result<Loop, ExportError> {
    let drawn = PixelLoop::new(session, TOGETHER, PER_RUN)?;
    bundle.add("draw", &drawn.graph.finish().map_err(graph)?)?;
    for (name, values) in &drawn.inputs {
        match *name {
            "code" => blob.words(name, &values.iter().map(|v| v.to_bits()).collect::<Vec<u32>>()),
            _ => blob.floats(name, values),
        }
    }
    let first = drawn.inputs.iter().find(|(name, _)| *name == "weights").map_or(&[][..], |(_, weights)| weights);
    let mut classes = Vec::new();
    for (k, weights) in drawn.others.iter().enumerate() {
        let (runs, values) = differences(first, weights);
        blob.floats(&format!("class {}", k + 1), &values);
        classes.push(runs);
    }
    Ok(Loop {
        n: TOGETHER,
        canvas: drawn.canvas,
        clock: drawn.clock,
        steps: drawn.steps,
        end: drawn.end,
        inputs: drawn.inputs.iter().map(|(name, _)| *name).collect(),
        classes,
    })
}

/// Where `other` differs from `base`, in runs of fours, and its numbers there.
fn differences(base: &[f32], other: &[f32]) -> (Vec<[usize; 2]>, Vec<f32>) {
    let (mut runs, mut values): (Vec<[usize; 2]>, _) = (Vec::new(), Vec::new());
    for (k, (a, b)) in std::iter::zip(base.chunks(4), other.chunks(4)).enumerate() {
        if a == b {
            continue;
        }
        match runs.last_mut().filter(|[at, len]| at + len == 4 * k) {
            Some([_, len]) => *len += b.len(),
            None => runs.push([4 * k, b.len()]),
        }
        values.extend_from_slice(b);
    }
    (runs, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_runs_of_fours() {
        let base = [0.0; 18];
        let mut other = base;
        other[5] = 1.0;
        other[9] = 2.0;
        other[17] = 3.0;
        let (runs, values) = differences(&base, &other);
        assert_eq!(runs, [[4, 8], [16, 2]]);
        assert_eq!(values, [0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0]);
    }
}
