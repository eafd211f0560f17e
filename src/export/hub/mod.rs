//! A trained model as a folder for the Hub: a model card, settings, weights, and other formats beside
//! them. limn itself samples from such a folder as from a run's.

use super::{ExportError, Format, Options, Origin, Package, Trained};
use crate::data::{Geometry, Medium};
use crate::eval::KeptFigure;
use crate::models::Family;
use crate::train::{Config, WEIGHTS, checkpoint};
use crate::words::count;
use std::fmt::Write;

/// Images in the model card's picture.
const SHOWN: usize = 64;
/// The same of a model that draws pixel by pixel.
const SHOWN_BY_PIXEL: usize = 16;

/// Makes the folder.
pub(super) fn package(trained: &mut Trained, options: &Options) -> Result<Package, ExportError> {
    let mut package = Package::default();
    // What is written are the weights that images are made with, whether averaged or not.
    let mut config = trained.run.config.clone();
    config.train.ema = 0.0;
    let origin = Origin::of(&config);
    if let Some(name) = origin.path.is_some().then_some(origin.name) {
        config.data.source = name;
    }
    let path = trained.run.path.join(WEIGHTS);
    let weights = checkpoint::weights_only(&path, &trained.session, trained.step)?;
    let settings = serde_json::to_vec_pretty(&config)
        .map_err(|e| ExportError::Write { path: "config.json".into(), source: e.into() })?;
    let shown = match trained.session.model.family() {
        Family::Features(_) => None,
        Family::Pixels(_) => Some(SHOWN_BY_PIXEL),
        Family::Latent(_) | Family::Mixture(_) => Some(SHOWN),
    };
    let picture = shown.map(|n| trained.picture(n, None, None)).transpose()?;
    package.files.extend([
        (WEIGHTS.to_string(), weights),
        ("config.toml".into(), config.to_toml()?.into_bytes()),
        ("config.json".into(), settings),
    ]);
    package.files.extend(picture.map(|bytes| (PICTURE.to_string(), bytes)));
    for format in options.also.iter().filter(|format| **format != Format::Hub) {
        let own = format.package(trained, options)?;
        package.remarks.extend(own.remarks);
        let folder = match format {
            Format::Web => String::new(),
            _ => format!("{format}/"),
        };
        package.files.extend(own.files.into_iter().map(|(name, bytes)| (format!("{folder}{name}"), bytes)));
    }
    let figures = trained.figures()?;
    let card = card(trained, &config, &figures, options, &package);
    package.files.push(("README.md".into(), card.into_bytes()));
    Ok(package)
}

/// The picture of samples.
const PICTURE: &str = "samples.png";

/// Text in YAML's double quotes.
fn quoted(text: &str) -> String {
    // JSON's strings are YAML's.
    serde_json::Value::from(text).to_string()
}

/// The model card: metadata for the Hub, and what a person wants to know.
fn card(trained: &Trained, config: &Config, figures: &[KeptFigure], options: &Options, package: &Package) -> String {
    let (name, model) = (trained.name(), trained.session.model.as_ref());
    let [c, h, w] = model.geometry();
    let Origin { name: data, known, .. } = Origin::of(&trained.run.config);
    let licence = known.map_or("pictures of somebody's own; say here whose they are".into(), |[licence, source]| {
        format!("{source}; {licence}")
    });
    let task = match model.images().medium {
        Medium::Sounds { .. } => "unconditional-audio-generation",
        _ if matches!(model.family(), Family::Features(_)) => "image-feature-extraction",
        _ => "unconditional-image-generation",
    };
    let mut out = format!("---\nlibrary_name: limn\npipeline_tag: {task}\ntags:\n- limn\n- {}\n", config.model.kind());
    if !figures.is_empty() {
        let _ = write!(out, "model-index:\n- name: {}\n  results:\n", quoted(&name));
        let _ = write!(
            out,
            "  - task:\n      type: {task}\n    dataset:\n      name: {0}\n      type: {0}\n    metrics:\n",
            quoted(&data)
        );
        for KeptFigure { figure, .. } in figures {
            let (kind, value) = (quoted(&figure.name), figure.value);
            let _ = write!(out, "    - type: {kind}\n      value: {value}\n      name: {}\n", quoted(&figure.protocol));
        }
    }
    out += "---\n\n";
    let _ = write!(out, "# {name}\n\n{}\n\n", trained.words());
    let _ = write!(
        out,
        "A {} of {} parameters for {} ({}), trained for {} steps by limn {} on {data}.\n\n",
        config.model.kind(),
        count(model.parameters() as u64),
        model.images().medium.plural(),
        model.images().medium.describe(Geometry::new(c, h, w)),
        count(trained.step),
        env!("CARGO_PKG_VERSION"),
    );
    if package.files.iter().any(|(file, _)| file == PICTURE) {
        let _ = write!(out, "![samples]({PICTURE})\n\n");
    }
    out += "```sh\nlimn sample FOLDER          # this folder\nlimn eval FOLDER\n```\n\n";
    if !figures.is_empty() {
        out += "| figure | value | how it was measured |\n|---|---|---|\n";
        for KeptFigure { figure, .. } in figures {
            let _ = writeln!(
                out,
                "| {} | {:.4} {} | {} |",
                figure.name,
                figure.value,
                figure.unit,
                figure.protocol.replace('|', "/")
            );
        }
        out.push('\n');
    }
    let _ = write!(out, "## Files\n\n- `{WEIGHTS}`: weights, with the names that they have in PyTorch\n");
    out += "- `config.toml`, `config.json`: the settings\n";
    for format in &options.also {
        out += match format {
            Format::Web => "- `model.html`: a page that runs the model in a browser\n",
            Format::Pytorch => "- `pytorch/`: the model as a module of PyTorch\n",
            Format::Onnx => "- `onnx/`: the model's functions as graphs\n",
            Format::Hub => "",
        };
    }
    let _ = write!(out, "\n## Data\n\n{data}: {licence}\n\n## Settings\n\n```toml\n");
    out += &config.to_toml().unwrap_or_default();
    out += "```\n";
    out
}
