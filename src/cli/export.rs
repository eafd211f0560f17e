//! `limn export`: a trained model for other programs.

use super::images::ImagesArg;
use super::{Error, WeightsArg, term, variant};
use crate::export::{Format, Options, Trained, gallery};
use crate::words::size;
use std::path::{Path, PathBuf};

/// Arguments of `limn export`.
#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    /// Run folder; several for a gallery
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    #[command(flatten)]
    weights: WeightsArg,
    /// What to make: `web`, a page that runs the model in a browser; `pytorch`, a module and its
    /// weights; `onnx`, a graph for each thing that the model does; `hub`, a folder for the Hub
    #[arg(long, value_name = "web|pytorch|onnx|hub", value_parser = variant::<Format>, required_unless_present = "gallery")]
    format: Option<Format>,
    /// Make one site of several models: a page of each, and one that shows them all
    #[arg(long, conflicts_with = "format", requires = "out")]
    gallery: bool,
    /// Formats that a folder for the Hub has beside its own
    #[arg(long, value_name = "web,pytorch,onnx", value_delimiter = ',', value_parser = variant::<Format>)]
    with: Vec<Format>,
    /// File or folder to write; by default model.html, or a folder called like the format, in the
    /// run folder
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    of: ImagesArg,
    /// Weights of pages in f16: half as large, and rounded by up to one part in 2,048
    #[arg(long)]
    f16: bool,
}

/// Exports a model, or several to look at, and says where they are.
pub fn export(args: &ExportArgs) -> Result<(), Error> {
    if !args.with.is_empty() && args.format != Some(Format::Hub) {
        return Err(Error::new("--with is for --format hub; the other formats are each by itself"));
    }
    if args.f16 && matches!(args.format, Some(Format::Pytorch | Format::Onnx)) {
        return Err(Error::new("--f16 is for pages; the other formats have the weights as they are"));
    }
    let options = &Options { half: args.f16, also: args.with.clone() };
    let (package, out, what) = match (args.format, args.dirs.as_slice()) {
        (Some(format), [dir]) => {
            let mut trained = args.open(dir, matches!(format, Format::Web | Format::Hub))?;
            let out = args.out.clone().unwrap_or_else(|| trained.run.path.join(format.place()));
            let what = format!("the model after {} training steps", trained.step);
            (format.package(&mut trained, options)?, out, what)
        }
        (Some(_), dirs) => {
            let words = "a model is exported by itself, and these are";
            return Err(Error::new(format!("{words} {}; --gallery makes one site of several", dirs.len())));
        }
        (None, dirs) => {
            let mut all = dirs.iter().map(|dir| args.open(dir, true)).collect::<Result<Vec<_>, _>>()?;
            let out = args.out.clone().unwrap_or_default();
            (gallery(&mut all, options)?, out, format!("{} models", all.len()))
        }
    };
    match args.format {
        Some(Format::Web) => package.save_file(&out)?,
        Some(Format::Pytorch | Format::Onnx | Format::Hub) | None => package.save_folder(&out)?,
    }
    package.remarks.iter().for_each(term::note);
    let opened = if args.format == Some(Format::Web) { " (open it in a browser)" } else { "" };
    term::say(format!("{what}, {}: {}{opened}", size(package.len()), out.display()))
}

impl ExportArgs {
    /// The model of a run, with its images if they are wanted and at hand: a page without test
    /// images is still one.
    fn open(&self, dir: &Path, images: bool) -> Result<Trained, Error> {
        let (run, session, step) = self.weights.open(dir)?;
        let data = images.then(|| self.of.open(&run, session.model.as_ref()).ok()).flatten();
        Ok(Trained { run, session, step, data })
    }
}
