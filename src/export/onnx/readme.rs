//! What is said about the files: in them, and beside them.

use super::{BATCH, OPSET, Trained};
use crate::eval::kept;
use crate::export::Origin;
use crate::kernels::pixel_distribution::PixelDistribution;
use crate::models::{Family, Prior};
use crate::sample::Function;
use crate::train::{Session, Weights};
use crate::words::size;
use std::fmt::Write;

/// What is known of a model, by name. Figures are those of the checkpoint that was measured last.
pub(super) fn metadata(trained: &Trained) -> Vec<(&'static str, String)> {
    let (config, session) = (&trained.run.config, &trained.session);
    let origin = Origin::of(config);
    let mut known = vec![
        ("preset", config.name.clone()),
        ("model", config.model.kind().to_string()),
        ("step", trained.step.to_string()),
        ("weights", session.weights.to_string()),
        ("limn", env!("CARGO_PKG_VERSION").into()),
        ("data", origin.name.clone()),
    ];
    if let Some([licence, source]) = origin.known {
        known.extend([("data_licence", licence.into()), ("data_source", source.into())]);
    }
    if !config.data.classes.is_empty() {
        known.push(("classes", config.data.classes.join(", ")));
    }
    // A file that cannot be read has no figures.
    let figures = kept(&trained.run).unwrap_or_default();
    let last = figures.last().map(|figure| figure.step);
    let of_last = origin.told(figures.into_iter().filter(|figure| Some(figure.step) == last));
    match serde_json::to_string(&of_last) {
        Ok(text) if !of_last.is_empty() => known.push(("figures", text)),
        _ => (),
    }
    known.retain(|(_, value)| !value.is_empty());
    known
}

/// A file for the page.
pub(super) struct Row {
    /// Its name.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// What it computes.
    pub what: String,
    /// What it is given.
    pub inputs: Vec<String>,
}

/// What a function is given, labels among it or not, and makes.
pub(super) fn what(function: Function, session: &Session, has_labels: bool) -> String {
    let model = session.model.as_ref();
    let classes = match model.classes() {
        _ if !has_labels => String::new(),
        count => format!(" and labels [{BATCH},{count}], a one in the column of each class,"),
    };
    let [c, h, w] = model.geometry();
    let images = format!("images [{BATCH},{c},{h},{w}] in [0, 1]");
    match (function, model.family()) {
        (Function::Decode, Family::Latent(decoder)) => {
            let prior = match decoder.prior() {
                Prior::Normal => "standard normal",
                Prior::Uniform => "uniform in [-1.7320508, 1.7320508)",
            };
            format!("From z [{BATCH},{}], {prior},{classes} to {images}.", decoder.latent())
        }
        (Function::Encode, _) => format!("From {images}{classes} to z, the mean of the latent vectors of each."),
        (Function::Logits, Family::Pixels(network)) => {
            let head = match network.head() {
                PixelDistribution::Bernoulli => "1 with probability sigmoid(logits)".to_string(),
                PixelDistribution::Categorical { levels } => format!(
                    "level k of {levels} of colour c by the softmax over channels k*{c} + c, as k/{}",
                    levels - 1
                ),
                PixelDistribution::LogisticMixture { components } => format!(
                    "by a mixture of {components} logistic variables: channels are {components} logits, and then means, \
                     log-scales and coefficients of {components} components each (Salimans et al. 2017)"
                ),
            };
            format!("From {images}{classes} to logits, which each pixel is drawn from given those before it: {head}.")
        }
        (Function::Features, _) => format!("From {images} to features."),
        (Function::Components, _) => "Weights of the components of the mixture, and their means.".into(),
        (Function::Decode | Function::Logits, _) => String::new(),
    }
}

/// The page beside the files.
pub(super) fn text(trained: &Trained, files: &[Row], known: &[(&str, String)]) -> String {
    let session = &trained.session;
    let mut page = format!("# {}\n\n", trained.name());
    let averaged = if session.weights == Weights::Averaged { ", averaged weights" } else { "" };
    let _ = writeln!(
        page,
        "A model of the kind `{}` after {} training steps{averaged}, made with limn {}, in ONNX: operators of set \
         {OPSET}, numbers of 32 bits. The first axis, `{BATCH}`, is as long as you like.\n",
        trained.run.config.model.kind(),
        trained.step,
        env!("CARGO_PKG_VERSION")
    );
    for Row { file, bytes, what, .. } in files {
        let _ = writeln!(page, "- `{file}` ({}): {what}", size(*bytes));
    }
    let keys: Vec<String> = known.iter().map(|(key, _)| format!("`{key}`")).collect();
    let _ = writeln!(page, "\nThe files know {} (`metadata_props`).\n", keys.join(", "));
    if let Some(Row { file, inputs, .. }) = files.first() {
        let given: Vec<String> = inputs.iter().map(|name| format!("\"{name}\": {name}")).collect();
        let _ = writeln!(
            page,
            "```python\nimport onnxruntime\nmodel = onnxruntime.InferenceSession(\"{file}\")\n\
             outputs = model.run(None, {{{}}})\n```",
            given.join(", ")
        );
    }
    if let Some((_, data)) = known.iter().find(|(key, _)| *key == "data") {
        let about = |key: &str| known.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str());
        let whose = match (about("data_source"), about("data_licence")) {
            (Some(source), Some(licence)) => format!("{source}; {licence}"),
            _ => "somebody's own".into(),
        };
        let _ = writeln!(page, "\nTrained on {data}: {whose}.");
    }
    page
}
