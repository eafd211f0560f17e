//! `limn presets`: the models that can be trained by name.

use super::times::{self, Times};
use super::{DeviceArg, Error, device, term};
use crate::data::Geometry;
use crate::models::Model;
use crate::train::{Config, about, presets};
use crate::words::count;
use serde_json::json;

/// Arguments of `limn presets`.
#[derive(clap::Args, Debug)]
pub struct PresetsArgs {
    /// One preset, with all that its file says of it
    #[arg(value_parser = super::names::PRESETS, hide_possible_values = true)]
    name: Option<String>,
    /// Print its settings as TOML, to begin a file of your own with
    #[arg(long, requires = "name")]
    toml: bool,
    /// One JSON object per preset
    #[arg(long, conflicts_with = "toml")]
    json: bool,
    /// Time a few steps of each preset, or of the one named, first, for some minutes in all: how
    /// long a run takes here is shown from then on. Training finds it out by itself
    #[arg(long, conflicts_with = "toml")]
    measure: bool,
    #[command(flatten)]
    device: DeviceArg,
}

/// A preset and the model that it describes.
struct Preset {
    name: &'static str,
    /// What its file says at its top.
    about: String,
    config: Config,
    model: Box<dyn Model>,
}

impl Preset {
    fn of(name: &'static str, text: &str) -> Result<Preset, Error> {
        let config = Config::preset(name)?;
        Ok(Preset { name, about: about(text), model: config.validate()?, config })
    }

    /// The first sentence of what its file says.
    fn line(&self) -> &str {
        first_sentence(&self.about)
    }

    /// What its images are, in a few letters.
    fn size(&self) -> String {
        let [channels, height, width] = self.model.geometry();
        self.model.images().medium.describe(Geometry::new(channels, height, width))
    }
}

/// The first sentence of what the file of a preset says at its top.
pub fn line(text: &str) -> String {
    first_sentence(&about(text)).to_string()
}

fn first_sentence(about: &str) -> &str {
    // An end is followed by a capital or a digit; "et al. 2016" is none.
    let ends = about.match_indices(". ").map(|(at, _)| at);
    let end = ends.into_iter().find(|at| !about[..*at].ends_with("al"));
    about[..end.unwrap_or(about.len())].trim_end_matches('.')
}

/// Prints the presets, or one of them.
pub fn list(args: &PresetsArgs) -> Result<(), Error> {
    if let Some(name) = &args.name {
        // An unknown name is told the nearest.
        Config::preset(name)?;
    }
    let wanted = presets().iter().filter(|(name, _)| args.name.as_ref().is_none_or(|wanted| wanted == name));
    let all = wanted.map(|(name, text)| Ok((Preset::of(name, text)?, *text))).collect::<Result<Vec<_>, Error>>()?;
    if args.measure {
        let configs: Vec<Config> = all.iter().map(|(preset, _)| preset.config.clone()).collect();
        times::measure(&configs, args.device.device.as_deref())?;
    }
    let here = device::quiet_name(args.device.device.as_deref())?;
    let times = Times::load();
    if args.toml {
        return all.iter().flat_map(|(_, text)| text.trim_end().lines()).try_for_each(term::say);
    }
    if args.json {
        return all.iter().try_for_each(|(preset, _)| {
            let [channels, height, width] = preset.model.geometry();
            let train = &preset.config.train;
            let time = times.of(&here, &preset.config);
            term::say(json!({
                "name": preset.name, "model": preset.config.model.kind(), "about": preset.about, "channels": channels,
                "height": height, "width": width, "classes": preset.model.classes(),
                "parameters": preset.model.parameters(), "batch": train.batch, "epochs": train.epochs,
                "data": preset.config.data.source, "steps": preset.config.planned_steps(), "device": here,
                "seconds_per_step": time.map(|time| time.seconds), "seconds": times.run(&here, &preset.config),
                "estimated": time.is_some_and(|time| time.estimated),
            }))
        });
    }
    match (&args.name, &all[..]) {
        (Some(_), [(preset, _)]) => {
            term::paragraph(&preset.about).iter().try_for_each(term::say)?;
            let train = &preset.config.train;
            let (kind, parameters) = (preset.config.model.kind(), preset.model.parameters());
            // Many files tell them.
            let parameters =
                Some(format!("{} parameters", count(parameters))).filter(|words| !preset.about.contains(words));
            let parameters = parameters.map_or(String::new(), |words| format!(", {words}"));
            term::say(format!("{kind}, {}{parameters}, batch {}", preset.size(), train.batch))?;
            match times.in_words(&here, &preset.config) {
                Some(run) => term::say(format!("a run takes {run} on {here}"))?,
                None => {
                    term::say(format!("`limn presets {} --measure` says how long a run takes on {here}", preset.name))?
                }
            }
            term::say(format!("  limn train {}", preset.name))?;
            term::say(format!("  limn presets {} --toml > my.toml", preset.name))
        }
        _ => {
            let known = times.knows(&here);
            let head = ["preset", "images", "parameters", "a run here", "what it is"].map(String::from).to_vec();
            let run = |p: &Preset| times.in_words(&here, &p.config).unwrap_or("-".into());
            let row = |(p, _): &(Preset, &str)| {
                vec![p.name.into(), p.size(), count(p.model.parameters()), run(p), p.line().to_string()]
            };
            let mut rows: Vec<Vec<String>> = std::iter::once(head).chain(all.iter().map(row)).collect();
            if !known {
                rows.iter_mut().for_each(|row| _ = row.remove(3));
            }
            term::table(&rows).iter().try_for_each(term::say)?;
            term::say("train one with `limn train NAME`; those called -small are for machines without a GPU")?;
            match known {
                true => {
                    term::say(format!("a run here is on {here}; `limn presets --measure` finds out what is missing"))
                }
                false => term::say(format!("`limn presets --measure` finds out how long each takes on {here}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_told_in_a_line_and_its_toml_is_itself() {
        for (name, text) in presets() {
            let preset = Preset::of(name, text).unwrap();
            let line = preset.line();
            assert!((15..=200).contains(&line.len()), "{name}: {line}");
            assert!(preset.about.starts_with(line));
            let again: Config = toml::from_str(text).unwrap();
            assert_eq!(Config { name: (*name).into(), ..again }, preset.config);
        }
    }
}
