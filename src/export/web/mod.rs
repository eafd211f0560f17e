//! A trained model as a page for a browser: its weights, the programs that make images, the WGSL of
//! their kernels, and a loop in plain JavaScript that replays them by WebGPU.

mod blob;
mod bundle;
mod gallery;
mod limits;
mod pipeline;
mod pixels;

pub(super) use gallery::gallery;
pub use limits::{Half, TooLarge};
pub use pipeline::WebPipeline;

use super::{ExportError, Options, Origin, Package, Trained};
use crate::data::{Binarisation, Geometry, Medium};
use crate::models::{Family, Prior};
use crate::report::{escaped, filled};
use crate::sample::{self, Drawing, Function};
use crate::train::{Session, Weights};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use blob::{Blob, Entry, packed};
use bundle::Bundle;
use half::f16;
use pixels::Loop;
use serde::Serialize;

/// Images that a page decodes at once where it shows many, unless they cost too much.
const MANY: usize = 16;
/// Operations that a run may cost: a slow device takes some hundredths of a second for them, and a
/// slider that is dragged has to wait for as long.
const PER_RUN: u64 = 1 << 25;
/// Test images that it brings along.
const SHOWN: usize = 12;
/// Images that the mean code of each class is taken over.
const CODED: usize = 2000;
/// Numbers of the images in its picture, which is not compressed well.
const STILL: usize = 30_000;

/// How pages look.
const STYLE: &str = include_str!("style.css");

/// All that the page knows.
#[derive(Serialize)]
struct Content {
    about: About,
    model: ModelRow,
    #[serde(flatten)]
    bundle: Bundle,
    #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
    pixels: Option<Loop>,
    /// Where arrays are among the weights.
    tensors: Vec<Entry>,
}

/// What people read of the model.
#[derive(Serialize)]
struct About {
    name: String,
    /// The first sentences of its preset.
    words: String,
    kind: String,
    step: u64,
    parameters: usize,
    weights: &'static str,
    data: String,
    figures: Vec<FigureRow>,
    remarks: Vec<String>,
    version: &'static str,
}

/// A figure and how it was measured.
#[derive(Serialize)]
struct FigureRow {
    name: String,
    value: f64,
    unit: String,
    protocol: String,
}

/// What the loop and the controls go by.
#[derive(Serialize)]
struct ModelRow {
    /// `latent`, `pixels` or `mixture`.
    family: &'static str,
    geometry: [usize; 3],
    medium: &'static str,
    /// Frames of a film, or samples of a sound in a second.
    rate: u32,
    /// Classes that the model is told of.
    classes: usize,
    /// Names of the classes of its images, whether it is told of them or not.
    names: Vec<String>,
    latent: usize,
    /// Whether latent numbers are uniform rather than normal.
    uniform: bool,
    /// How far from the mean controls go.
    reach: f32,
    /// Whether pixels are black or white.
    binary: bool,
    /// Classes of the test images in the page.
    labels: Vec<u8>,
}

/// A page, and what another page shows of it.
struct Page {
    about: About,
    /// What an image is, in words.
    image: String,
    /// Samples as a picture: its bytes as text.
    still: String,
    html: String,
    remarks: Vec<String>,
}

/// Makes the page.
pub(super) fn package(trained: &mut Trained, options: &Options) -> Result<Package, ExportError> {
    let Page { html, remarks, .. } = page(trained, options)?;
    Ok(Package { files: vec![("model.html".into(), html.into_bytes())], remarks })
}

fn unsupported(why: impl Into<String>) -> ExportError {
    ExportError::Unsupported { format: "a page", why: why.into() }
}

fn page(trained: &mut Trained, options: &Options) -> Result<Page, ExportError> {
    let (mut bundle, mut blob) = (Bundle::default(), Blob::new(options.half));
    let pixels = programs(trained, &mut bundle, &mut blob)?;
    let networks = states(trained);
    let store = &trained.session.store;
    bundle.states(&mut blob, |name| match networks.iter().any(|known| known == name) {
        true => store.read(name).map(Some),
        false => Ok(None),
    })?;
    let mut remarks = Vec::new();
    let labels = images(trained, &mut blob, &mut remarks);
    means(trained, &mut blob)?;
    if let Some(name) = blob.overflow() {
        return Err(unsupported(format!("{name} has numbers that are too large for f16")));
    }
    let weights = blob.text()?;
    let taken = weights.len();
    if options.half {
        remarks.push(rounding(trained, blob.rounded())?);
    }
    let (about, model) = (About::of(trained, remarks.clone())?, ModelRow::of(trained, labels));
    let content = Content { about, model, bundle, pixels, tensors: blob.index().to_vec() };
    // Everything in there is made of strings, numbers and lists of them.
    let text = serde_json::to_vec(&content).unwrap_or_default();
    let still = still(trained)?;
    let parts = [
        ("title", escaped(&content.about.name)),
        ("style", STYLE.into()),
        ("still", still.clone()),
        ("replay", include_str!("replay.js").into()),
        ("script", include_str!("page.js").into()),
        ("drawing", include_str!("drawing.js").into()),
        ("content", packed(&text)?),
        ("weights", weights),
    ];
    let html = filled(include_str!("page.html"), &parts.each_ref().map(|(name, part)| (*name, part.as_str())));
    limits::loads(html.len() as u64, || half(&blob, html.len() - taken))?;
    let [c, h, w] = content.model.geometry;
    let image = trained.session.model.images().medium.describe(Geometry::new(c, h, w));
    Ok(Page { about: content.about, image, still, html, remarks })
}

/// Adds the programs of what the model does, and tells how it draws pixel by pixel, if it does.
fn programs(trained: &mut Trained, bundle: &mut Bundle, blob: &mut Blob) -> Result<Option<Loop>, ExportError> {
    let session = &mut trained.session;
    let mut functions: Vec<(&'static str, Function, usize)> = Vec::new();
    match session.model.family() {
        Family::Pixels(_) => return pixels::add(session, bundle, blob).map(Some),
        Family::Features(_) => {
            return Err(unsupported(
                "it makes no images, only features of them, which PyTorch and ONNX have words for",
            ));
        }
        Family::Mixture(_) => {
            bundle.add("draw", &sample::mixture_graph(session, 0)?.finish().map_err(graph)?)?;
            functions.push(("components", Function::Components, 1));
        }
        Family::Latent(_) => {
            bundle.add("decode", &Function::Decode.graph(session, 1)?.finish().map_err(graph)?)?;
            many(session, bundle)?;
            let encode = Function::all(session).into_iter().find(|function| *function == Function::Encode);
            functions.extend(encode.map(|encode| ("encode", encode, 1)));
        }
    }
    for (name, function, n) in functions {
        bundle.add(name, &function.graph(session, n)?.finish().map_err(graph)?)?;
    }
    Ok(None)
}

/// Adds the program that decodes some codes at once: fewer, where a browser could not hold more.
fn many(session: &Session, bundle: &mut Bundle) -> Result<(), ExportError> {
    let mut n = (PER_RUN / bundle.flops("decode").max(1)).clamp(1, MANY as u64) as usize;
    loop {
        let graph = Function::Decode.graph(session, n)?.finish().map_err(graph)?;
        match bundle.add("many", &graph) {
            Err(_) if n > 1 => n /= 2,
            added => return Ok(added?),
        }
    }
}

/// What weights in f16 would make of a page that takes so many bytes without its weights.
fn half(blob: &Blob, others: usize) -> Result<Half, ExportError> {
    if blob.is_half() {
        return Ok(Half::Taken);
    }
    let halves = blob.halved();
    Ok(match halves.overflow() {
        Some(_) => Half::Impossible,
        None => Half::Bytes((others + halves.text()?.len()) as u64),
    })
}

/// Names of the states of parameters and statistics.
fn states(trained: &Trained) -> Vec<String> {
    let networks = trained.session.model.networks();
    let of = |net: &&crate::nn::Network| {
        let stats = (net.stats_len() > 0).then(|| net.stats_state());
        [net.params_state()].into_iter().chain(stats)
    };
    networks.iter().flat_map(of).collect()
}

/// A graph that is none is a fault of the model.
fn graph(error: crate::graph::GraphError) -> ExportError {
    ExportError::Session(error.into())
}

impl About {
    fn of(trained: &Trained, remarks: Vec<String>) -> Result<About, ExportError> {
        let Trained { run, session, step, .. } = trained;
        let figures = trained.figures()?.into_iter().map(|kept| FigureRow {
            name: kept.figure.name,
            value: kept.figure.value,
            unit: kept.figure.unit,
            protocol: kept.figure.protocol,
        });
        let mut remarks = remarks;
        if let Family::Latent(model) = session.model.family() {
            remarks.extend(model.caveat().map(String::from));
        }
        Ok(About {
            name: trained.name(),
            words: trained.words(),
            kind: run.config.model.kind().into(),
            step: *step,
            parameters: session.model.parameters(),
            weights: if session.weights == Weights::Averaged { "averaged" } else { "trained" },
            data: Origin::of(&run.config).name,
            figures: figures.collect(),
            remarks,
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

impl ModelRow {
    fn of(trained: &Trained, labels: Vec<u8>) -> ModelRow {
        let model = trained.session.model.as_ref();
        let (family, latent, prior) = match model.family() {
            Family::Latent(decoder) => ("latent", decoder.latent(), decoder.prior()),
            Family::Mixture(_) => ("mixture", 0, Prior::Normal),
            Family::Pixels(_) | Family::Features(_) => ("pixels", 0, Prior::Normal),
        };
        let (medium, rate) = match model.images().medium {
            Medium::Pictures => ("pictures", 0),
            Medium::Films { frames } => ("films", frames as u32),
            Medium::Sounds { rate } => ("sounds", rate),
        };
        ModelRow {
            family,
            geometry: model.geometry(),
            medium,
            rate,
            classes: model.classes(),
            names: trained.class_names(),
            latent,
            uniform: prior == Prior::Uniform,
            reach: prior.reach(),
            binary: model.images().levels == 2 || model.images().binarisation != Binarisation::None,
            labels,
        }
    }
}

/// Adds some test images, and tells their classes.
fn images(trained: &Trained, blob: &mut Blob, remarks: &mut Vec<String>) -> Vec<u8> {
    let Some(data) = &trained.data else {
        remarks.push("there are no test images in the page, as those of the run are not at hand".into());
        return Vec::new();
    };
    let some = data.test.spread(SHOWN.min(data.test.len()));
    let all: Vec<u32> = (0..some.len() as u32).collect();
    let bytes: Vec<u8> = some.gather(&all, 0.0, 1.0).iter().map(|v| (255.0 * v).round() as u8).collect();
    blob.bytes("test", &bytes);
    (0..some.len()).filter_map(|i| some.label(i)).collect()
}

/// Adds the mean code of the training images of each class, where there is an encoder that is told
/// none.
fn means(trained: &mut Trained, blob: &mut Blob) -> Result<(), ExportError> {
    let (Some(data), Family::Latent(model)) = (&trained.data, trained.session.model.family()) else { return Ok(()) };
    let (names, latent) = (trained.class_names().len(), model.latent());
    if names < 2 || model.encoder().is_none() || trained.session.model.classes() > 0 {
        return Ok(());
    }
    let some = data.train.spread(CODED.min(data.train.len()));
    let all: Vec<u32> = (0..some.len() as u32).collect();
    let images = some.gather(&all, 0.0, 1.0);
    let labels: Vec<Option<u8>> = (0..some.len()).map(|i| some.label(i)).collect();
    let codes = sample::encode(&mut trained.session, &images, &[])?;
    let of = |class: usize| -> Vec<f32> {
        let own = std::iter::zip(codes.chunks(latent), &labels).filter(|(_, l)| **l == Some(class as u8));
        own.flat_map(|(code, _)| code.iter().copied()).collect()
    };
    let means: Vec<f32> = (0..names).flat_map(|class| sample::mean(&of(class), latent)).collect();
    blob.floats("means", &means);
    Ok(())
}

/// Samples as a picture, for browsers without WebGPU: its bytes as text.
fn still(trained: &mut Trained) -> Result<String, ExportError> {
    let most = if matches!(trained.session.model.family(), Family::Pixels(_)) { 4 } else { 8 };
    let size: usize = trained.session.model.geometry().iter().product();
    let side = (STILL as f64 / size as f64).sqrt().clamp(1.0, f64::from(most));
    let n = match trained.session.model.images().medium {
        Medium::Films { .. } => side * side,
        Medium::Pictures | Medium::Sounds { .. } => side.floor().powi(2),
    };
    Ok(BASE64_STANDARD.encode(trained.picture(n as usize, Some(side as usize), Some(1))?))
}

/// What rounding to f16 changes, in a sentence: measured on what the model makes.
fn rounding(trained: &mut Trained, relative: f32) -> Result<String, ExportError> {
    let before = made(trained)?;
    let mut kept = Vec::new();
    for state in states(trained) {
        let values = trained.session.store.read(&state)?;
        let rounded: Vec<f32> = values.iter().map(|v| f16::from_f32(*v).to_f32()).collect();
        trained.session.store.write(&state, &rounded)?;
        kept.push((state, values));
    }
    let after = made(trained);
    for (state, values) in kept {
        trained.session.store.write(&state, &values)?;
    }
    let after = after?;
    let what = if matches!(trained.session.model.family(), Family::Pixels(_)) { "logits" } else { "images" };
    let differences = || std::iter::zip(&before, &after).map(|(a, b)| f64::from((a - b).abs()));
    let largest = differences().fold(0.0, f64::max);
    let mean = differences().sum::<f64>() / before.len().max(1) as f64;
    Ok(format!(
        "weights are in f16, rounded by up to {relative:.1e} of each: {what} differ by {mean:.1e} on average and {largest:.1e} at most"
    ))
}

/// Something that the model makes of its weights.
fn made(trained: &mut Trained) -> Result<Vec<f32>, ExportError> {
    let session = &mut trained.session;
    let function = match session.model.family() {
        Family::Pixels(_) => Function::Logits,
        Family::Mixture(_) => return Ok(sample::components(session)?.0),
        _ => return Ok(sample::samples(session, MANY, None, 0, Drawing::Cached)?),
    };
    let n = 4;
    let size: usize = session.model.geometry().iter().product();
    let labels = sample::labels(session.model.as_ref(), n, None)?;
    let mut runner = session.runner(&function.graph(session, n)?)?;
    // Neither black nor white nor even.
    let images: Vec<f32> = (0..n * size).map(|i| ((i * 7919) % 256) as f32 / 255.0).collect();
    runner.write("images", &images)?;
    if !labels.is_empty() {
        runner.write("labels", &sample::one_hot(&labels, session.model.classes()))?;
    }
    runner.run()?;
    Ok(runner.read("logits")?)
}
