//! What a new run takes over from somebody's pictures, their size, colours and classes, and what
//! is to be said of them before it begins.

use super::images::of_any_classes;
use super::{Config, TrainError};
use crate::data::{self, Binarisation, Dataset, Look, Medium, Options, Sizes};
use crate::models::{Family, Model};

/// The images of a new run and the model that its settings then describe.
#[derive(Debug)]
pub struct Fitted {
    /// The model.
    pub model: Box<dyn Model>,
    /// Its images, as it takes them. The first of the set's warnings says what became of them.
    pub dataset: Dataset,
}

/// Pictures that are followed may be this many times as large as those of the settings: what is
/// larger is scaled down, so that a photograph does not make a model of its millions of pixels.
const LARGER: usize = 2;

/// Fewer images than these to train on are learnt by heart.
const FEW: usize = 2000;

/// Opens the images of a new run. Where they are somebody's pictures, the settings take over their
/// size and colours, as far as the model can and nobody said otherwise; and of any images the
/// number of classes.
///
/// # Errors
/// Those of [`super::images`], and settings that make no sense.
pub fn fitted(config: &mut Config, options: &Options) -> Result<Fitted, TrainError> {
    let options = &Options { range: config.data.range, ..options.clone() };
    let mut model = config.validate()?;
    let own = of_preset(config).unwrap_or(model.geometry());
    let look = match model.images().medium {
        Medium::Pictures => data::look(&config.data.source, options)?,
        Medium::Films { .. } | Medium::Sounds { .. } => None,
    };
    if let Some(look) = &look {
        config.follow(look, model.as_ref());
        model = config.validate()?;
    }
    let mut dataset = of_any_classes(&config.data.source, model.as_ref(), options)?;
    if let Some(adapted) = config.adopt_classes(model.classes(), &dataset)? {
        model = adapted;
    }
    if model.classes() > 0 {
        dataset.require_labels(model.classes())?;
    }
    let mut said = became(&dataset, look.as_ref(), &config.name_or_kind(), model.as_ref(), own);
    said.append(&mut dataset.warnings);
    dataset.warnings = said;
    Ok(Fitted { model, dataset })
}

/// The geometry of the images of the preset that settings came from, whatever was changed in them.
fn of_preset(config: &Config) -> Option<[usize; 3]> {
    let preset = Config::preset(&config.name).ok().filter(|preset| preset.model.kind() == config.model.kind())?;
    Some(preset.validate().ok()?.geometry())
}

impl Config {
    /// Takes over colours and size of pictures, where the model can and nobody gave them. Black and
    /// white ones stay so.
    fn follow(&mut self, look: &Look, model: &dyn Model) {
        let images = model.images();
        let binary = images.levels == 2 || images.binarisation != Binarisation::None;
        if !self.given.colour
            && !binary
            && look.channels() != images.geometry[0]
            && let Some(config) = self.recoloured(look.channels())
        {
            *self = config;
        }
        let Some([height, width]) = look.size().filter(|_| !self.given.size) else { return };
        let [_, h, w] = images.geometry;
        if height <= LARGER * h
            && width <= LARGER * w
            && let Some(config) = nearest(height, width, [h, w]).find_map(|[h, w]| self.resized(h, w))
        {
            *self = config;
        }
    }

    /// How many steps the settings are for, where they say it or the data are a known set.
    pub fn planned_steps(&self) -> Option<u64> {
        let by_epochs = || {
            let set = data::list().into_iter().find(|set| set.name == self.data.source)?;
            let per_step = self.model.build().ok()?.batches_per_step().max(1) as u64;
            let per_epoch = (set.train / self.train.batch.max(1)) as u64;
            Some(self.train.epochs.saturating_mul(per_epoch).div_ceil(per_step))
        };
        self.train.steps.or_else(by_epochs)
    }

    /// Makes a batch that is larger than the set as large as that, and says so.
    ///
    /// # Errors
    /// A model that cannot be trained so.
    pub(super) fn shrink_batch(&mut self, images: usize) -> Result<Option<String>, TrainError> {
        let batch = self.train.batch;
        if batch <= images || images == 0 {
            return Ok(None);
        }
        self.train.batch = images;
        self.validate()?;
        Ok(Some(format!("a batch of {batch} is more than the {images} images to train on: made {images}")))
    }
}

/// The sides of pictures, and then smaller and rounder ones that a model may rather take, down to
/// its own.
fn nearest(height: usize, width: usize, [h, w]: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    let least = height.min(width);
    // A square is rounded in all the steps there are.
    let rounded = (0..6).filter(move |_| height != width).map(move |k| [height, width].map(|side| side >> k << k));
    let square = (1..=least).rev().map(|side| [side, side]);
    // The preset's own size is closer than what is smaller still.
    let floor = if h <= height && w <= width { [h, w] } else { [height.div_ceil(2), width.div_ceil(2)] };
    rounded.chain(square).filter(move |[a, b]| *a >= floor[0] && *b >= floor[1])
}

/// What the images are and what is made of them, where there is anything to say; `own` is the
/// geometry of the model's images before it followed them.
pub(super) fn became(
    dataset: &Dataset,
    look: Option<&Look>,
    name: &str,
    model: &dyn Model,
    own: [usize; 3],
) -> Vec<String> {
    if model.images().medium != Medium::Pictures {
        return Vec::new();
    }
    let (count, native, takes) = (dataset.train.len() + dataset.test.len(), dataset.native, dataset.geometry());
    // Those of pictures that differ are counted, as one of them tells nothing of the others.
    let mixed = dataset.sizes.filter(Sizes::differ);
    let those = match look {
        _ if mixed.is_some() => {
            let of = if look.is_some() {
                format!("your {count} pictures")
            } else {
                format!("the pictures of {}", dataset.name)
            };
            format!("{of} are {}", mixed.map(|sizes| sizes.range()).unwrap_or_default())
        }
        Some(look) if look.size().is_some() => format!("your {count} pictures are {native}"),
        Some(_) => format!("your {count} pictures are of several sizes, the first of them {native}"),
        None => format!("the {count} pictures of {} are {native}", dataset.name),
    };
    let followed = own != model.geometry();
    let before = match followed {
        true => format!(" in place of its {}", data::Geometry::new(own[0], own[1], own[2])),
        false => String::new(),
    };
    let made = match mixed {
        Some(sizes) => sizes.made(),
        None => native.made_how(takes),
    };
    let mut said = match made {
        Some(how) => vec![format!("{those}; {name} takes {takes}{before}: {how}")],
        None if followed => vec![format!("{those}; {name} takes them so{before}")],
        None => Vec::new(),
    };
    said.extend(dataset.sizes.and_then(|sizes| sizes.transparency()));
    said.extend(look.and_then(|_| in_few_levels(name, model)));
    said
}

/// What a model makes of the values of pictures where it does not take all of them.
fn in_few_levels(name: &str, model: &dyn Model) -> Option<String> {
    let images = model.images();
    Some(match (images.binarisation, images.levels) {
        (Binarisation::Static, _) => format!("{name} takes black and white, drawn once from how light each pixel is"),
        (Binarisation::Dynamic, _) => {
            format!("{name} takes black and white, drawn at every step anew from how light each pixel is")
        }
        (Binarisation::None, 2) => format!("{name} takes black and white: what is lighter than half is white"),
        (Binarisation::None, levels @ ..256) => format!("{name} takes {levels} levels, the nearest to each value"),
        _ => return None,
    })
}

/// What helps where there are few images, for a run of so many steps; `by_epochs` if they are as many
/// as the settings' passes over the images take.
pub(super) fn few(config: &Config, model: &dyn Model, images: usize, steps: u64, by_epochs: bool) -> Vec<String> {
    if images >= FEW {
        return Vec::new();
    }
    let table = toml::Table::try_from(&config.model).unwrap_or_default();
    let is_picture = model.images().medium == Medium::Pictures;
    let augment = table.get("augment").and_then(toml::Value::as_array).filter(|_| is_picture);
    let why = match (augment, model.family()) {
        (Some(on), _) if !on.is_empty() => "",
        (Some(_), _) => {
            ": the discriminator learns them by heart; model.augment=color,translation,cutout shows it \
             them changed, each time in another way"
        }
        (None, Family::Latent(_) | Family::Pixels(_)) => {
            ": the model learns them by heart in time; figures on test images show when, and the checkpoint that did \
             best on them is kept"
        }
        (None, _) => "",
    };
    let mut said = vec![format!("{images} images are few to train on{why}")];
    if let Some((own, data)) = own_steps(config).filter(|(own, _)| by_epochs && steps < own / 2) {
        said.push(format!(
            "{} passes over them are {steps} steps, where {} takes {own} on {data}: train.steps={own} may help",
            config.train.epochs, config.name
        ));
    }
    said
}

/// How many steps the preset that a run was started from takes on its own data, where a run makes as
/// many passes.
fn own_steps(config: &Config) -> Option<(u64, String)> {
    let preset = Config::preset(&config.name).ok().filter(|preset| preset.train.epochs == config.train.epochs)?;
    Some((preset.planned_steps()?, preset.data.source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Geometry;

    fn followed(preset: &str, set: &[&str], seen: &[Geometry]) -> [usize; 3] {
        let mut config = Config::preset(preset).unwrap();
        config.set_all(&super::super::Setting::all(set).unwrap()).unwrap();
        let model = config.validate().unwrap();
        config.follow(&Look { count: 300, seen: seen.to_vec() }, model.as_ref());
        config.validate().unwrap().geometry()
    }

    #[test]
    fn a_preset_follows_pictures_as_far_as_its_model_can() {
        let colour = |h, w| Geometry::new(3, h, w);
        for (preset, set, seen, is) in [
            ("vae-conv", &[][..], colour(48, 48), [3, 48, 48]),
            ("dcgan-28", &[], colour(48, 48), [3, 40, 40]),
            ("dcgan", &[], Geometry::new(1, 28, 28), [1, 28, 28]),
            // A photograph does not make a model of its millions of pixels.
            ("dcgan", &[], colour(3000, 4000), [3, 64, 64]),
            // What somebody gave stays.
            ("vae-conv", &["model.channels=1"], colour(48, 48), [1, 48, 48]),
            ("vae-conv", &["model.height=28"], colour(48, 48), [3, 28, 28]),
            // Black and white stays so, and what knows no colour.
            ("pixelcnn-small", &[], colour(28, 28), [1, 28, 28]),
            ("pixelcnn-gated", &[], colour(28, 28), [1, 28, 28]),
            ("vae-static", &[], colour(28, 28), [1, 28, 28]),
            // A size that the model does not take is made the next smaller one that it does.
            ("vae-conv", &[], colour(50, 30), [3, 48, 28]),
            ("progan", &[], colour(48, 48), [3, 32, 32]),
        ] {
            assert_eq!(followed(preset, set, &[seen, seen]), is, "{preset} {seen}");
        }
        let mixed = [colour(30, 30), Geometry::new(1, 50, 40)];
        assert_eq!(followed("vae-conv", &[], &mixed), [3, 28, 28], "sizes that differ");
    }
}
