//! The images of a run, for commands that look at them, and the names of their classes.

use super::{Error, nearest, term};
use crate::data::{self, Dataset, Geometry, Medium, Options};
use crate::models::Model;
use crate::sample::Output;
use crate::train::{Config, RunDir};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// Which images a command on a trained model looks at.
#[derive(clap::Args, Debug)]
pub struct ImagesArg {
    /// Where the images of the run are now, if they have moved
    #[arg(long, value_name = "D")]
    data: Option<String>,
    #[command(flatten)]
    changed: ChangedArg,
}

/// What size and colours images are to have, whatever those of the data are. Without any of these a
/// preset takes what own pictures have, where its model can.
#[derive(clap::Args, Clone, Debug)]
pub struct ShapeArg {
    /// Size of the images that the model takes, in pixels; without it that of own pictures, where
    /// they all have one that is not far larger than the preset's
    #[arg(long, value_name = "N|WxH", value_parser = sides)]
    size: Option<[u32; 2]>,
    /// Images in colour; without it as own pictures are
    #[arg(long, visible_alias = "colour", conflicts_with = "grey")]
    color: bool,
    /// Grey images; without it as own pictures are
    #[arg(long, visible_alias = "gray")]
    grey: bool,
}

impl ShapeArg {
    /// Changes settings so that a model takes such images.
    pub fn apply(&self, config: &mut Config) -> Result<(), Error> {
        if let Some([width, height]) = self.size {
            config.set_sides(height as usize, width as usize)?;
        }
        match (self.color, self.grey) {
            (true, _) => config.set_channels(3)?,
            (_, true) => config.set_channels(1)?,
            _ => {}
        }
        Ok(())
    }
}

impl ShapeArg {
    /// These flags as they are typed, a space before each.
    pub fn typed(&self) -> String {
        let size = self.size.map_or(String::new(), |[width, height]| match width == height {
            true => format!(" --size {width}"),
            false => format!(" --size {width}x{height}"),
        });
        let colours = if self.color { " --color" } else { "" };
        size + if self.grey { " --grey" } else { colours }
    }

    /// The geometry that is asked for, of images that would be of this one.
    pub fn wanted(&self, images: Option<Geometry>) -> Option<Geometry> {
        let mut wanted = images?;
        if let Some([width, height]) = self.size {
            (wanted.width, wanted.height) = (width as usize, height as usize);
        }
        wanted.channels = match (self.color, self.grey) {
            (true, _) => 3,
            (_, true) => 1,
            _ => wanted.channels,
        };
        Some(wanted)
    }
}

/// Width and height from `64` or `80x64`.
fn sides(text: &str) -> Result<[u32; 2], String> {
    let (width, height) = text.split_once(['x', 'X']).unwrap_or((text, text));
    match (width.parse(), height.parse()) {
        (Ok(width @ 1..), Ok(height @ 1..)) => Ok([width, height]),
        _ => Err("write it as a side, such as 64, or as WIDTHxHEIGHT".into()),
    }
}

/// Whether other images than those of the run will do.
#[derive(clap::Args, Debug)]
pub struct ChangedArg {
    /// Take the images although they are not those the run was trained on
    #[arg(long)]
    pub accept_changed_data: bool,
}

impl ImagesArg {
    /// Opens them.
    pub fn open(&self, run: &RunDir, model: &dyn Model) -> Result<Dataset, Error> {
        open_run(run, model, self.data.as_deref(), &self.changed)
    }
}

/// How large images are shown.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct ScaleArg {
    /// Show each pixel of an image as a square of N by N, 1 to 16; by default small images are
    /// enlarged in a picture of several, and single files are not
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    scale: Option<u32>,
}

impl ScaleArg {
    /// The place that `out` names, or else `name` in `folder`, for pictures at this scale.
    pub fn place(self, out: Option<&Path>, folder: &Path, name: &str, medium: Medium) -> Result<Output, Error> {
        self.refuse(medium)?;
        Ok(Output::new(out, folder, name, medium)?.enlarged(self.scale.map(|scale| scale as usize)))
    }

    /// Refuses to be given where no picture is made.
    pub fn no_pictures(self) -> Result<(), Error> {
        match self.scale {
            Some(_) => {
                Err(Error::new("--scale is for pictures, and arrays have the pixels as they are; leave it away"))
            }
            None => Ok(()),
        }
    }

    /// Refuses what has no pixels.
    fn refuse(self, medium: Medium) -> Result<(), Error> {
        match medium {
            Medium::Sounds { .. } if self.scale.is_some() => {
                Err(Error::new("--scale is for images, and this model makes sounds; leave it away"))
            }
            _ => Ok(()),
        }
    }
}

/// Opens the images of a run, where they have `moved` to, or where they were.
pub fn open_run(run: &RunDir, model: &dyn Model, moved: Option<&str>, changed: &ChangedArg) -> Result<Dataset, Error> {
    reading(None, |options| Ok(run.images(model, moved, changed.accept_changed_data, options)?))
}

/// Calls `read` with what reading images may use: the cache, a flag that stops it, and a line of
/// progress.
pub fn reading<T>(stop: Option<&AtomicBool>, read: impl FnOnce(&Options) -> T) -> T {
    let line = Mutex::new(term::Progress::new());
    let progress = |done: usize, all: usize| {
        let mut line = line.lock().unwrap_or_else(|e| e.into_inner());
        line.show(format!("decoding: {done} of {all} files"));
    };
    read(&Options { cache: data::cache_dir().ok(), stop, progress: Some(&progress), ..Options::default() })
}

/// The number of a class from what somebody wrote: its name in the data of the run, or its number.
pub fn class(run: &RunDir, text: &str) -> Result<usize, Error> {
    let names = &run.config.data.classes;
    if let Some(number) = names.iter().position(|name| name == text) {
        return Ok(number);
    }
    text.parse().map_err(|_| {
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = match known.is_empty() {
            true => "classes of this run have no names; give its number".to_string(),
            false => nearest(text, known),
        };
        Error::new(format!("--class {text}: there is no such class; {hint}"))
    })
}
