//! `limn export`: a trained model for other programs.

use super::images::ImagesArg;
use super::{Error, TrainedArg, term, variant};
use crate::export::{Format, Options, Trained};
use crate::words::size;
use std::path::PathBuf;

/// Arguments of `limn export`.
#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    #[command(flatten)]
    trained: TrainedArg,
    /// What to make: `web`, a page that runs the model in a browser; `pytorch`, a module and its
    /// weights; `onnx`, a graph for each thing that the model does; `hub`, a folder for the Hub
    #[arg(long, value_name = "web|pytorch|onnx|hub", value_parser = variant::<Format>)]
    format: Format,
    /// File or folder to write; by default model.html, or a folder called like the format, in the
    /// run folder
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    of: ImagesArg,
    /// Weights of a page in f16: half as large, and rounded by up to one part in 2,048
    #[arg(long)]
    f16: bool,
}

/// Exports a model and says where it is.
pub fn export(args: &ExportArgs) -> Result<(), Error> {
    let (run, session, step) = args.trained.open()?;
    let out = args.out.clone().unwrap_or_else(|| run.path.join(args.format.place()));
    let data = match args.format {
        // Without test images the page is still one.
        Format::Web | Format::Hub => args.of.open(&run, session.model.as_ref()).ok(),
        Format::Pytorch | Format::Onnx => None,
    };
    let mut trained = Trained { run, session, step, data };
    let package = args.format.package(&mut trained, Options { half: args.f16 })?;
    match args.format {
        Format::Web => package.save_file(&out)?,
        Format::Pytorch | Format::Onnx | Format::Hub => package.save_folder(&out)?,
    }
    package.remarks.iter().for_each(term::note);
    term::say(format!("the model after {step} training steps, {}: {}", size(package.len()), out.display()))
}
