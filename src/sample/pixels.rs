//! Drawing images pixel by pixel.

use super::cached::{Cached, refusal};
use super::classes::{by_class, fit, one_hot};
use super::{CHUNK, finite};
use crate::graph::Graph;
use crate::kernels::philox::Domain;
use crate::models::{Batch, Family};
use crate::nn::Mode;
use crate::train::{Session, SessionError};
use std::ops::Range;

/// Counts pixels while an image is drawn.
pub(super) const CLOCK: &str = "sample.pixel";

/// How pixels are drawn. Both ways draw from the same random numbers, so the images are the same
/// but where a draw falls within rounding of its probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drawing {
    /// For each pixel, compute what it touches; what earlier pixels gave is kept. Networks that
    /// [`super::refusal`] names are drawn the naive way.
    #[default]
    Cached,
    /// For each pixel, run the whole network on the whole image.
    Naive,
}

/// Draws the pixels of `images` `[n,1,h,w]` that are not known, in raster order, each given all
/// pixels before it. `keep` is nonzero where a pixel is known: one image's worth [h·w] for all
/// images, or one for each. `labels` are those of the images if the model has classes.
pub fn complete(
    session: &mut Session,
    images: &[f32],
    keep: &[f32],
    labels: &[u8],
    seed: u64,
    drawing: Drawing,
) -> Result<Vec<f32>, SessionError> {
    let size = session.model.geometry().iter().product::<usize>();
    fit(session.model.as_ref(), labels, images.len() / size)?;
    let each = if keep.len() == size { keep.repeat(images.len() / size) } else { keep.to_vec() };
    by_class(session, [images, &each], labels, seed, |session, [images, keep], class, seed| {
        complete_class(session, images, keep, class, seed, drawing)
    })
}

/// The same for images of one class.
fn complete_class(
    session: &mut Session,
    images: &[f32],
    keep: &[f32],
    class: Option<u8>,
    seed: u64,
    drawing: Drawing,
) -> Result<Vec<f32>, SessionError> {
    let [c, h, w] = session.model.geometry();
    let size = c * h * w;
    let n = images.len() / size;
    // A pass over whole images numbers its noise from the first; pixel by pixel any image can be it.
    let each = match session.sharing() {
        ranks @ 2.. if drawing == Drawing::Cached && refusal(session).is_none() => CHUNK.div_ceil(ranks),
        _ => CHUNK,
    };
    let ranges: Vec<Range<usize>> = (0..n)
        .step_by(CHUNK)
        .flat_map(|chunk| {
            let end = n.min(chunk + CHUNK);
            (chunk..end).step_by(each).map(move |first| first..end.min(first + each))
        })
        .collect();
    let all = session.spread(ranges.len(), |session, mine| {
        let cached = match drawing {
            Drawing::Cached if !mine.is_empty() => Cached::new(session, class)?.ok(),
            _ => None,
        };
        let one = |k: &usize| {
            let Range { start: first, end } = ranges[*k];
            let (images, keep) = (&images[first * size..end * size], &keep[first * size..end * size]);
            // Unknown pixels start at zero: what stood there must not leak through a model that errs.
            let start: Vec<f32> = std::iter::zip(images, keep).map(|(v, k)| if *k == 0.0 { 0.0 } else { *v }).collect();
            // Chunks are different images, so they draw from different seeds.
            let seed = seed.wrapping_add((first / CHUNK) as u64);
            match &cached {
                Some(cached) => cached.draw(session, &start, keep, (seed, first % CHUNK)),
                None => draw(session, &start, keep, class, seed),
            }
        };
        mine.iter().map(one).collect()
    })?;
    finite(all.concat())
}

/// A model's refusal to anybody who wants pixels from one that has none.
pub(super) fn no_pixels() -> SessionError {
    SessionError::Lacks("does not draw pixel by pixel, so it cannot complete images")
}

/// The state that holds `n` images while they are drawn.
pub(super) fn canvas(n: usize) -> String {
    format!("sample.images.{n}")
}

/// A pass over `n` whole images, which draws the pixel, or the colour of one, that the clock counts.
pub(super) fn naive(session: &Session, n: usize, seed: u64) -> Result<Graph, SessionError> {
    let [c, h, w] = session.model.geometry();
    let graph = session.graph(Domain::Sample, seed, CLOCK);
    let image = graph.state(&canvas(n), n * c * h * w, 0, &[n, c, h, w]);
    let Family::Pixels(model) = session.model.family() else { return Err(no_pixels()) };
    let labels = Batch::given_labels(&graph, session.model.as_ref(), n);
    let outputs = model.outputs(&Batch { images: image.clone(), labels }, Mode::Eval);
    graph.sample_pixel(model.head(), &outputs, &graph.input("keep", &[n, c, h, w]), &image);
    graph.advance(&graph.clock());
    Ok(graph)
}

fn draw(
    session: &mut Session,
    images: &[f32],
    keep: &[f32],
    class: Option<u8>,
    seed: u64,
) -> Result<Vec<f32>, SessionError> {
    let [c, h, w] = session.model.geometry();
    let n = images.len() / (c * h * w);
    let Family::Pixels(model) = session.model.family() else { return Err(no_pixels()) };
    let passes = model.head().passes(c);
    let mut runner = session.runner(&naive(session, n, seed)?)?;
    session.store.write(&canvas(n), images)?;
    runner.write("keep", keep)?;
    if let Some(class) = class {
        runner.write("labels", &one_hot(&vec![class; n], session.model.classes()))?;
    }
    let mut clock = None;
    for pixel in (0..h * w).filter(|p| keep.chunks_exact(h * w).any(|colour| colour[*p] == 0.0)) {
        if clock != Some(pixel * passes) {
            session.store.write(CLOCK, &[f32::from_bits((pixel * passes) as u32)])?;
        }
        for _ in 0..passes {
            session.going(|| format!("pixel {} of {} of {n} images", pixel + 1, h * w))?;
            runner.run()?;
        }
        clock = Some((pixel + 1) * passes);
    }
    Ok(session.store.read(&canvas(n))?)
}

/// The regions of which one is known, by name.
pub const REGIONS: [&str; 3] = ["upper-half", "left-half", "box"];

/// Which pixels of an image [h·w] are known, for one of [`REGIONS`]; `box` hides a box in the
/// middle.
pub fn keep_mask(region: &str, h: usize, w: usize) -> Option<Vec<f32>> {
    let middle = |at: usize, extent: usize| (extent / 4..extent - extent / 4).contains(&at);
    let known: &dyn Fn(usize, usize) -> bool = match region {
        "upper-half" => &|y, _| y < h / 2,
        "left-half" => &|_, x| x < w / 2,
        "box" => &|y, x| !(middle(y, h) && middle(x, w)),
        _ => return None,
    };
    let mask = (0..h * w).map(|i| f32::from(u8::from(known(i / w, i % w))));
    Some(mask.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_keep_what_their_names_say() {
        let upper = keep_mask("upper-half", 4, 2).expect("a region");
        assert_eq!(upper, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(keep_mask("left-half", 1, 4).expect("a region"), [1.0, 1.0, 0.0, 0.0]);
        let hidden = keep_mask("box", 8, 8).expect("a region").iter().filter(|k| **k == 0.0).count();
        assert_eq!(hidden, 16);
        assert!(keep_mask("middle", 4, 4).is_none());
        assert!(REGIONS.iter().all(|region| keep_mask(region, 4, 4).is_some()));
    }
}
