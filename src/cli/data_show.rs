//! `limn data show`: a picture of what a model is trained on, and what there is of it.

use super::images::{ShapeArg, reading};
use super::{Error, flags, setting, term};
use crate::data::{self, Binarisation, Dataset, Geometry, Medium, Options};
use crate::files::free_name;
use crate::models::Model;
use crate::sample::{Grid, Output};
use crate::train::{Config, Fitted, Setting, fitted};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Arguments of `limn data show`.
#[derive(clap::Args, Debug)]
pub struct ShowArgs {
    /// Dataset, as `limn train --data` takes it; without it that of the preset
    #[arg(value_name = "D", required_unless_present = "preset", value_parser = super::names::DATA, hide_possible_values = true)]
    data: Option<String>,
    /// Show images as this preset, or TOML file, is trained on them; without it as they are
    #[arg(long, value_name = "PRESET|FILE.toml", value_parser = super::names::PRESETS, hide_possible_values = true)]
    preset: Option<String>,
    #[command(flatten)]
    shape: ShapeArg,
    /// Change a setting of the preset; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting, requires = "preset")]
    set: Vec<Setting>,
    /// How many images to show, evenly spread over those to train on
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    n: u32,
    /// Where the picture goes; by default limn-data.png, or such a name that is free
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Where the picture goes if nobody says where.
const DEFAULT: &str = "limn-data.png";

/// The longest side of images that no preset says the size of.
const LONGEST: usize = 256;

/// Writes the picture and says what is in the set.
pub fn show(args: &ShowArgs) -> Result<(), Error> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None => default(args.data.as_deref())?,
    };
    let Shown { dataset, model, name } = reading(None, |options| opened(args, options))?;
    let medium = model.as_ref().map_or(Medium::Pictures, |model| model.images().medium);
    let place = Output::new(Some(&out), Path::new("."), DEFAULT, medium)?;
    let shown = data::spread(args.n as usize, dataset.train.len());
    let indices: Vec<u32> = shown.iter().map(|i| *i as u32).collect();
    let Geometry { channels, height, width } = dataset.geometry();
    let images = dataset.train.gather(&indices, 0.0, 1.0);
    let columns = (indices.len() as f64).sqrt().ceil() as usize;
    let grid = Grid { images: &images, geometry: [channels, height, width], columns };
    let written = place.save(&grid, medium)?;
    let classes = dataset.class_counts();
    if args.json {
        let class =
            |(name, train, test): &(String, usize, usize)| json!({ "name": name, "train": train, "test": test });
        return term::written(
            &place,
            json!({
                "data": dataset.name, "preset": args.preset, "train": dataset.train.len(), "test": dataset.test.len(),
                "held_out": dataset.held_out, "channels": channels, "height": height, "width": width,
                "native": dataset.native.to_string(), "sizes": dataset.sizes, "classes": classes.iter().map(class).collect::<Vec<_>>(),
                "remarks": dataset.warnings, "shown": indices.len(), "picture": out,
            }),
        );
    }
    let say = |line: String| term::written(&place, line);
    // Without a preset there are no settings to change.
    let told = |line: &String| if args.preset.is_some() { flags::flagged(line) } else { line.clone() };
    dataset.warnings.iter().try_for_each(|line| say(told(line)))?;
    let apart = if dataset.held_out { "held out for testing" } else { "to test on" };
    say(format!("{}: {} images to train on, {} {apart}", dataset.name, dataset.train.len(), dataset.test.len()))?;
    let each = medium.describe(dataset.geometry());
    match dataset.sizes.filter(|sizes| sizes.differ() && model.is_none()) {
        Some(sizes) => {
            let made = sizes.made().map_or(String::new(), |made| format!(": {made}"));
            say(format!("pictures {}, shown as {each}{made}", sizes.range()))?;
        }
        None if model.is_none() => {
            let made = dataset.native.made(dataset.geometry()).filter(|_| dataset.sizes.is_some());
            say(format!("each is {each}{}", made.map_or(String::new(), |made| format!(" ({made})"))))?;
        }
        None => say(format!("each is {each}"))?,
    }
    if model.is_none() {
        dataset.sizes.and_then(|sizes| sizes.transparency()).map_or(Ok(()), &say)?;
    }
    // Classes of folders have been told by their names.
    if dataset.classes.is_empty() && !classes.is_empty() {
        let each: Vec<String> =
            classes.iter().map(|(name, train, test)| format!("{name} ({train} + {test})")).collect();
        say(format!("{} classes (to train + to test on): {}", each.len(), each.join(", ")))?;
    }
    // Of somebody's own pictures that has been told.
    let known = args.data.as_ref().is_none_or(|data| data::is_known(data));
    if known && model.is_some_and(|model| model.images().binarisation == Binarisation::Dynamic) {
        say(format!("{name} draws black and white of these greys, anew at every step"))?;
    }
    say(format!("{} of those to train on: {written}", indices.len()))?;
    if let Some(preset) = &args.preset {
        let data = args.data.as_ref().map(|data| format!(" --data {}", crate::words::word(data))).unwrap_or_default();
        let set = |set: &Setting| format!(" --set {}", crate::words::word(format!("{}={}", set.key, set.value)));
        let flags = args.shape.typed() + &args.set.iter().map(set).collect::<String>();
        return say(format!("train on them with `limn train {}{data}{flags}`", crate::words::word(preset)));
    }
    say("as a model takes them: --preset NAME, of those that `limn presets` lists".into())
}

/// Where the picture goes if nobody says where.
///
/// # Errors
/// The current folder is the set's, where the picture would be one of them from then on.
fn default(data: Option<&str>) -> Result<PathBuf, Error> {
    let folder = data.filter(|data| !data::is_known(data)).and_then(|data| Path::new(data).canonicalize().ok());
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    match (folder, here) {
        (Some(folder), Ok(here)) if here.starts_with(&folder) => Err(Error::new(format!(
            "{DEFAULT} would lie among the pictures of {} and count as one of them; name another place with --out \
             FILE.png",
            data.unwrap_or_default()
        ))),
        _ => Ok(free_name(Path::new(DEFAULT))),
    }
}

/// What is shown.
struct Shown {
    dataset: Dataset,
    /// The model that takes it, where a preset says so.
    model: Option<Box<dyn Model>>,
    /// What the settings are called.
    name: String,
}

/// Opens what is to be shown.
fn opened(args: &ShowArgs, options: &Options) -> Result<Shown, Error> {
    let data = args.data.clone().map(data::known_name);
    let preset = match (&args.preset, &data) {
        (Some(preset), _) => Some(preset.clone()),
        // Films and sounds are only ever made for a model.
        (None, Some(data)) => by_medium(data),
        (None, None) => None,
    };
    if let Some(preset) = preset {
        let mut config: Config = super::changed(&preset, None, &args.set)?;
        config.data.source = data.unwrap_or(config.data.source);
        args.shape.apply(&mut config)?;
        let Fitted { model, dataset } = fitted(&mut config, options)?;
        return Ok(Shown { dataset, model: Some(model), name: config.name_or_kind() });
    }
    let source = data.unwrap_or_default();
    let wanted = args.shape.wanted(match data::look(&source, options)? {
        Some(look) => look.seen.first().map(|first| {
            let longest = first.height.max(first.width);
            let side = |side: usize| if longest > LONGEST { (side * LONGEST / longest).max(1) } else { side };
            Geometry::new(look.channels(), side(first.height), side(first.width))
        }),
        None => data::list().into_iter().find(|set| set.name == source).map(|set| set.geometry),
    });
    Ok(Shown { dataset: data::open(&source, wanted, options)?, model: None, name: String::new() })
}

/// A preset for a known set of films or sounds.
fn by_medium(data: &str) -> Option<String> {
    let set = data::list().into_iter().find(|set| set.name == data && !matches!(set.medium, Medium::Pictures))?;
    let of = |(name, _): &&(&'static str, &'static str)| Config::preset(name).is_ok_and(|c| c.data.source == set.name);
    crate::train::presets().iter().find(of).map(|(name, _)| name.to_string())
}
