//! A trained model as a module of PyTorch: the network of this run as a person would write it,
//! with its sizes as plain numbers, and its state dict.
//!
//! Each kind of model fills pieces of Python from `templates/` and says nothing that its run does
//! not need. Modules are called what limn's parameters are called, which are PyTorch's names, so
//! that a state dict goes both ways; see [`torch_names`].

mod adversarial;
mod latent;
mod others;
mod pixels;
mod source;

use super::{ExportError, Package, Trained};
use crate::data::Medium;
use crate::models::{
    AutoencoderConfig, BigGanConfig, ClassifierConfig, DcganConfig, GanConfig, GmmConfig, ModelConfig, PixelCnnConfig,
    PixelCnnGatedConfig, PixelCnnPpConfig, PixelRnnConfig, ProganConfig, VaeConfig, VaeConvConfig, WaveGanConfig,
};
use crate::nn::torch_names;
use crate::train::Weights;
use crate::words;
use safetensors::tensor::{Dtype, TensorView};
use source::{python, tidy, wrapped};
use std::collections::HashSet;
use std::path::Path;

/// Characters in a line of prose.
const WIDTH: usize = 100;

/// Characters in a line of the page.
const PAGE: usize = 118;

/// Statistics of an unfinished pass over the data, which only training needs.
const UNFINISHED: &str = "pass.";

/// The classes of a model in Python.
struct Module {
    /// What it is and whose, in a sentence.
    about: String,
    /// The class that has all tensors.
    class: &'static str,
    /// The classes, that one the last.
    body: String,
    /// Lines that make something of the loaded `model`.
    using: String,
}

/// Makes it.
pub(super) fn package(trained: &mut Trained) -> Result<Package, ExportError> {
    let module = module(&trained.session.config, trained.step).ok_or_else(|| {
        unsupported(format!("nobody has written models of the kind {}", trained.session.config.kind()))
    })?;
    let origin = origin(trained);
    let weights = weights(trained)?;
    let model = tidy(&python!(
        "model.py",
        about = wrapped(&module.about, WIDTH),
        origin = wrapped(&origin, WIDTH),
        imports = imports(&module.body),
        body = module.body,
        class = module.class,
    ));
    let readme = readme(&trained.name(), &origin, &trained.run.config.name_or_kind(), &module.using);
    let files =
        [("model.py", model.into_bytes()), ("weights.safetensors", weights), ("README.md", readme.into_bytes())];
    Ok(Package { files: files.map(|(name, bytes)| (name.into(), bytes)).into(), remarks: Vec::new() })
}

/// The page beside the files.
fn readme(name: &str, origin: &str, preset: &str, using: &str) -> String {
    let files = python!("files.md", origin = origin, preset = named(preset));
    let about = wrapped(&files, PAGE);
    python!("readme.md", name = named(name), about = about, use = using) + "\n"
}

fn unsupported(why: String) -> ExportError {
    ExportError::Unsupported { format: "PyTorch", why }
}

/// The model of these settings after so many steps.
fn module(config: &ModelConfig, step: u64) -> Option<Module> {
    macro_rules! first {
        ($($kind:ty => $make:expr),* $(,)?) => {
            None$(.or_else(|| config.downcast_ref::<$kind>().map($make)))*
        };
    }
    first! {
        VaeConfig => latent::vae,
        VaeConvConfig => latent::vae_conv,
        AutoencoderConfig => latent::autoencoder,
        GanConfig => adversarial::gan,
        WaveGanConfig => adversarial::wavegan,
        BigGanConfig => adversarial::biggan,
        ProganConfig => |c| adversarial::progan(c, step),
        PixelCnnConfig => pixels::pixelcnn,
        PixelCnnGatedConfig => pixels::gated,
        PixelRnnConfig => pixels::recurrent,
        PixelCnnPpConfig => pixels::logistic,
        GmmConfig => others::mixture,
        ClassifierConfig => others::classifier,
    }
    .or_else(|| adversarial::dcgan(config.downcast_ref::<DcganConfig>()?))
}

/// A name for prose and for a string of Python: of a path its last part.
fn named(name: &str) -> String {
    let last = Path::new(name).file_name().map_or_else(|| name.into(), |last| last.to_string_lossy());
    words::shown(&last).replace('\\', "/").replace('"', "'")
}

/// Where the weights come from.
fn origin(trained: &Trained) -> String {
    let config = &trained.run.config;
    let averaged = match trained.session.weights {
        Weights::Averaged => " The weights are their averages over training.",
        Weights::Trained => "",
    };
    let (noun, apart) = match trained.session.model.images().medium {
        Medium::Pictures => ("images", String::new()),
        Medium::Films { frames } => {
            let [_, height, _] = trained.session.model.geometry();
            let apart = format!("images.unflatten(2, ({frames}, {}))", height / frames);
            ("films", format!(" Frames of a film lie one below the other; `{apart}` takes them apart."))
        }
        Medium::Sounds { rate } => {
            let waves = format!("`amplitudes` makes a waveform of it, of {rate} samples a second");
            ("sounds", format!(" A sound is an image one pixel high; {waves}."))
        }
    };
    format!(
        "A run of {} by limn {}: {} steps of {} {noun} of {}.{averaged}{apart}",
        named(&config.name_or_kind()),
        env!("CARGO_PKG_VERSION"),
        trained.step,
        config.train.batch,
        named(&config.data.source),
    )
}

/// The imports that this body needs, those of the standard library first.
fn imports(body: &str) -> String {
    let mut lines = Vec::new();
    if body.contains("math.") {
        lines.push("import math");
    }
    lines.extend([
        "from pathlib import Path\n",
        "import torch",
        "from safetensors.torch import load_file",
        "from torch import nn",
    ]);
    if body.contains("F.") {
        lines.push("from torch.nn import functional as F");
    }
    for (used, line) in [
        ("spectral_norm(", "from torch.nn.utils.parametrizations import spectral_norm"),
        ("weight_norm(", "from torch.nn.utils.parametrizations import weight_norm"),
    ] {
        if body.contains(used) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The state dict.
fn weights(trained: &Trained) -> Result<Vec<u8>, ExportError> {
    let tensors = trained.tensors()?;
    let all: HashSet<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut views = Vec::new();
    for tensor in tensors.iter().filter(|tensor| !tensor.name.starts_with(UNFINISHED)) {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytemuck::cast_slice(&tensor.values));
        views.push((torch_names::in_pytorch(&tensor.name, &all), view.map_err(|e| unsupported(e.to_string()))?));
    }
    safetensors::serialize(views, None).map_err(|e| unsupported(e.to_string()))
}

/// How a method is told of classes, where there are any.
struct Told {
    classes: usize,
}

impl Told {
    fn says<'a>(&self, words: &'a str) -> &'a str {
        if self.classes > 0 { words } else { "" }
    }

    /// One more argument.
    fn argument(&self) -> &'static str {
        self.says(", labels")
    }

    /// The same with a default.
    fn asked(&self) -> &'static str {
        self.says(", labels=None")
    }

    /// Words of a docstring.
    fn words(&self) -> &'static str {
        self.says(", of the classes `labels` [n]")
    }

    /// Words of the docstring of `sample`.
    fn wanted(&self) -> &'static str {
        self.says(", of the class or the n classes `labels`, or of any")
    }

    /// Lines that make labels of what was asked for.
    fn lines(&self) -> String {
        match self.classes {
            0 => String::new(),
            classes => format!(
                "if labels is None:\n    labels = torch.randint({classes}, (n,))\nlabels = torch.as_tensor(labels, \
                 device=device).expand(n)"
            ),
        }
    }

    /// The labels as rows with a one each.
    fn one_hot(&self) -> String {
        format!("F.one_hot(labels, {}).float()", self.classes)
    }

    /// A line that puts them behind `x`, which becomes `name`.
    fn join(&self, name: &str, x: &str) -> String {
        if self.classes == 0 { String::new() } else { format!("{name} = torch.cat([{x}, {}], 1)", self.one_hot()) }
    }

    /// The method `sample` of a model with latent vectors.
    fn sample(&self, shape: &str, prior: &str) -> String {
        python!(
            "sample.py",
            asked = self.asked(),
            of = self.wanted(),
            shape = shape,
            labels = self.lines(),
            prior = prior,
            given = self.argument(),
        )
    }

    /// Lines of the README that draw images.
    fn using(&self) -> &'static str {
        match self.classes {
            0 => "from model import load\nmodel = load()\nimages = model.sample(16)",
            _ => {
                "import torch\nfrom model import load\nmodel, labels = load(), torch.full([16], 3)\nimages = \
                 model.sample(16, labels)"
            }
        }
    }
}

/// n draws of standard normal latent vectors.
fn normal(latent: usize) -> String {
    format!("torch.randn(n, {latent}, device=device)")
}
