//! Drawing images pixel by pixel without computing anything twice.

use super::classes::one_hot;
use super::pixels::{CLOCK, canvas, naive, no_pixels};
use crate::graph::Graph;
use crate::kernels::pixel_code::PixelCode;
use crate::kernels::{Class, philox::Domain};
use crate::models::{Batch, Family};
use crate::program::{NotPerPixel, PixelProgram};
use crate::train::{Session, SessionError};
use std::sync::Arc;

/// Turns of loops in a launch: Mesa's software GPU ends every loop of an invocation after 65,535
/// turns of all of them together, without a word. It is also some ten milliseconds on a slow core,
/// little enough to be put into submissions of a bounded length.
const PER_LAUNCH: u64 = 50_000;
/// Products that all images may cost in a run, which bounds how many launches are made ready for
/// it. Some runs are on their way at once, and who stops drawing waits for them.
const PER_RUN: u64 = 1 << 30;
/// The same where products come slower.
const PER_RUN_ON_PROCESSORS: u64 = 1 << 27;

/// A model's network as code for single pixels, with its weights packed.
pub(super) struct Cached {
    code: Arc<PixelCode>,
    words: Vec<f32>,
    weights: Vec<f32>,
    stream: u32,
}

/// Why this model's pixels can only be drawn the naive way, if so.
pub fn refusal(session: &Session) -> Option<String> {
    let Ok((Err(why), _)) = program(session) else { return None };
    Some(format!("each pixel takes a pass over the whole image, because {why}"))
}

/// The model's code, or why there is none, and the stream that its pixels are drawn from.
fn program(session: &Session) -> Result<(Result<PixelProgram, NotPerPixel>, u32), SessionError> {
    let Family::Pixels(model) = session.model.family() else { return Err(no_pixels()) };
    let graph = session.graph(Domain::Sample, 0, CLOCK).per_pixel();
    let one = Batch::given(&graph, session.model.as_ref(), 1);
    let logits = model.outputs_by_pixel(&one);
    let program = PixelProgram::new(&graph.finish()?, one.images.id(), logits.id(), model.head());
    let most = session.store.device().caps().map_or(u64::MAX, |caps| caps.max_binding_bytes);
    let fits = |program: PixelProgram| match 16 * u64::from(program.code.weights) <= most {
        true => Ok(program),
        false => Err(NotPerPixel {
            node: "the network".into(),
            why: "has more weights than this device binds at once; the processor takes them",
        }),
    };
    Ok((program.and_then(fits), graph.next_stream()))
}

/// Packs the weights for images of a class.
fn packer(
    session: &mut Session,
    program: &PixelProgram,
) -> Result<impl FnMut(Option<u8>) -> Result<Vec<f32>, SessionError>, SessionError> {
    let mut runner = session.prepare(&program.operands)?;
    let classes = session.model.classes();
    let told = runner.program().inputs.iter().any(|(name, _)| name == "labels");
    Ok(move |class: Option<u8>| {
        if let Some(class) = class.filter(|_| told) {
            runner.write("labels", &one_hot(&[class], classes))?;
        }
        runner.run()?;
        let names = program.operands.outputs.iter().map(|(name, _)| name);
        Ok(program.pack(&names.map(|name| runner.read(name)).collect::<Result<Vec<_>, _>>()?))
    })
}

impl Cached {
    /// Packs the model's present weights, and what it makes of images of `class` if it has classes;
    /// the inner error is why it cannot be drawn this way.
    pub fn new(session: &mut Session, class: Option<u8>) -> Result<Result<Cached, NotPerPixel>, SessionError> {
        let (program, stream) = program(session)?;
        let program = match program {
            Ok(program) => program,
            Err(why) => return Ok(Err(why)),
        };
        let weights = packer(session, &program)?(class)?;
        Ok(Ok(Cached::of(program.code, weights, stream)))
    }

    fn of(code: PixelCode, weights: Vec<f32>, stream: u32) -> Cached {
        let words = code.words().into_iter().map(f32::from_bits).collect();
        Cached { words, weights, code: Arc::new(code), stream }
    }

    /// Numbers of an image.
    fn size(&self) -> usize {
        (self.code.colours * self.code.h * self.code.w) as usize
    }

    /// Draws the pixels of `images` [n,c·h·w] that `keep` [n,c·h·w] does not say are known; the first
    /// image is number `first` of those that share the seed.
    pub fn draw(
        &self,
        session: &mut Session,
        images: &[f32],
        keep: &[f32],
        (seed, first): (u64, usize),
    ) -> Result<Vec<f32>, SessionError> {
        let size = self.size();
        let bytes = 16 * u64::from(self.code.columns);
        let most = session.store.device().caps().map_or(usize::MAX, |caps| (caps.max_binding_bytes / bytes) as usize);
        let together = most.clamp(1, images.len() / size) * size;
        let mut all = Vec::with_capacity(images.len());
        for (k, (images, keep)) in std::iter::zip(images.chunks(together), keep.chunks(together)).enumerate() {
            all.extend(self.draw_together(session, images, keep, seed, (first + k * together / size) as u32)?);
        }
        Ok(all)
    }

    /// A program that goes on with drawing `n` images by `steps` steps from the clock's on: the first
    /// is number `first` of those that share the seed. It has inputs `code`, `weights` and `keep`,
    /// and updates the state that [`canvas`] names.
    fn graph(&self, session: &Session, [n, steps]: [usize; 2], seed: u64, first: u32) -> Graph {
        let size = self.size();
        let graph = session.graph(Domain::Sample, seed, CLOCK);
        let words = graph.input("code", &[self.words.len()]);
        let weights = graph.input("weights", &[self.weights.len()]);
        let known = graph.input("keep", &[n, size]);
        let len = 4 * n * self.code.columns as usize;
        let image = graph.state(&canvas(n), n * size, 0, &[n, size]);
        let columns = graph.state(&format!("sample.columns.{len}"), len, 0, &[len]);
        let mut offset = 0;
        for count in self.code.launches(steps, PER_LAUNCH) {
            let run = offset..offset + count;
            offset += count;
            graph.draw_pixels(&self.code, [&words, &weights, &known], [&image, &columns], run, [first, self.stream]);
        }
        graph
    }

    /// Steps of `n` images that may cost so many products, at least one.
    fn steps_for(&self, n: usize, products: u64) -> usize {
        let each = self.code.products().max(1) * n as u64;
        (products / each).clamp(1, u64::from(self.code.steps())) as usize
    }

    /// Draws images of which the first is number `first` of those that share the seed.
    fn draw_together(
        &self,
        session: &mut Session,
        images: &[f32],
        keep: &[f32],
        seed: u64,
        first: u32,
    ) -> Result<Vec<f32>, SessionError> {
        let n = images.len() / self.size();
        let is_gpu = session.store.device().caps().is_some_and(|caps| caps.class == Class::Gpu);
        let steps = self.steps_for(n, if is_gpu { PER_RUN } else { PER_RUN_ON_PROCESSORS });
        let mut runner = session.runner(&self.graph(session, [n, steps], seed, first))?;
        runner.write("code", &self.words)?;
        runner.write("weights", &self.weights)?;
        runner.write("keep", keep)?;
        session.store.write(&canvas(n), images)?;
        let plane = self.code.h * self.code.w;
        let unknown = |t: &u32| keep.chunks_exact(plane as usize).any(|colour| colour[*t as usize] == 0.0);
        let last = (0..plane).rev().find(unknown);
        let end = last.map_or(0, |t| self.code.step_of(t / self.code.w, t % self.code.w) + 1);
        for begin in (0..end as usize).step_by(steps) {
            // Steps are more than pixels where some are made ahead.
            session.going(|| format!("{}% of each image", 100 * begin / end as usize))?;
            session.store.write(CLOCK, &[f32::from_bits(begin as u32)])?;
            runner.run()?;
            if !is_gpu {
                // What is on its way has to end before the drawing does.
                runner.wait()?;
            }
        }
        Ok(session.store.read(&canvas(n))?)
    }
}

/// Drawing pixel by pixel, for somebody else's loop: a program that is run with the clock at 0, then
/// at `steps`, twice that, and so on up to `end`.
pub struct PixelLoop {
    /// The program of some steps.
    pub graph: Graph,
    /// Its inputs but `keep` `[n,c·h·w]`, which is nonzero where a pixel is known, and `labels`; of
    /// the first class, where the model has any.
    pub inputs: Vec<(&'static str, Vec<f32>)>,
    /// The input `weights` of each of the other classes, where classes are told by it.
    pub others: Vec<Vec<f32>>,
    /// The state `[n,c,h,w]` that holds the images, known pixels in their places and zeros in the
    /// others before the first run.
    pub canvas: String,
    /// The state whose first word is the clock.
    pub clock: &'static str,
    /// Steps of a run.
    pub steps: usize,
    /// Steps of an image.
    pub end: usize,
}

impl PixelLoop {
    /// That of `n` images. A run costs so many products, or has one step.
    ///
    /// # Errors
    /// A model that does not draw pixel by pixel, and all that can be wrong with a device.
    pub fn new(session: &mut Session, n: usize, products: u64) -> Result<PixelLoop, SessionError> {
        let canvas = canvas(n);
        match program(session)? {
            (Ok(program), stream) => {
                let classes = session.model.classes();
                let mut pack = packer(session, &program)?;
                let weights = pack((classes > 0).then_some(0))?;
                let others = (1..classes).map(|class| pack(Some(class as u8))).collect::<Result<_, _>>()?;
                drop(pack);
                let cached = Cached::of(program.code, weights, stream);
                let steps = cached.steps_for(n, products);
                let graph = cached.graph(session, [n, steps], 0, 0);
                let Cached { code, words, weights, .. } = cached;
                let inputs = vec![("code", words), ("weights", weights)];
                Ok(PixelLoop { graph, inputs, others, canvas, clock: CLOCK, steps, end: code.steps() as usize })
            }
            (Err(_), _) => {
                let [c, h, w] = session.model.geometry();
                let Family::Pixels(model) = session.model.family() else { return Err(no_pixels()) };
                let end = h * w * model.head().passes(c);
                let graph = naive(session, n, 0)?;
                let (inputs, others) = (Vec::new(), Vec::new());
                Ok(PixelLoop { graph, inputs, others, canvas, clock: CLOCK, steps: 1, end })
            }
        }
    }
}
