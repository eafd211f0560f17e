//! What the numbers of an image stand for: a picture, frames of a film, or a sound.

use super::{Dataset, Error, Geometry, Options, formats, own, sets, sets::Set, split, synthetic};

/// What a model takes its images for. Films and sounds are images to everything that trains on
/// them: frames lie one below the other, and a sound is an image one pixel high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Pictures.
    Pictures,
    /// So many frames one below the other.
    Films {
        /// How many.
        frames: usize,
    },
    /// A waveform, companded: see [`companded`].
    Sounds {
        /// Samples in a second.
        rate: u32,
    },
}

impl Medium {
    /// What there are several of.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Medium::Pictures => "pictures",
            Medium::Films { .. } => "films",
            Medium::Sounds { .. } => "sounds",
        }
    }

    /// An image of this geometry in words.
    pub fn describe(self, geometry: Geometry) -> String {
        match self {
            Medium::Pictures => geometry.to_string(),
            Medium::Films { frames } => format!("{frames} frames of {}", frame(geometry, frames)),
            Medium::Sounds { rate } => format!("{} samples at {rate} Hz", geometry.width),
        }
    }
}

/// The geometry of one of so many frames.
pub(super) fn frame(film: Geometry, frames: usize) -> Geometry {
    Geometry { height: film.height / frames, ..film }
}

/// μ of the companding of telephones (ITU-T G.711) and of WaveNet.
const MU: f32 = 255.0;

/// An amplitude in [-1, 1] as it is stored, in [0, 1]: ½ + ½ sign(v) ln(1 + μ|v|) / ln(1 + μ).
/// Quiet sounds keep more of the eight bits than their share.
pub fn companded(v: f32) -> f32 {
    let v = v.clamp(-1.0, 1.0);
    0.5 + 0.5 * ((MU * v.abs()).ln_1p() / MU.ln_1p()).copysign(v)
}

/// The amplitude of a stored number, the inverse of [`companded`].
pub fn expanded(stored: f32) -> f32 {
    let y = 2.0 * stored.clamp(0.0, 1.0) - 1.0;
    (((y.abs() * MU.ln_1p()).exp() - 1.0) / MU).copysign(y)
}

/// Frames [c,h,w] as [c,frames,h,w].
pub(super) fn stacked(clip: &[Vec<u8>], frame: Geometry) -> Vec<u8> {
    let plane = frame.height * frame.width;
    let planes = (0..frame.channels).flat_map(|c| clip.iter().map(move |f| &f[c * plane..(c + 1) * plane]));
    planes.flatten().copied().collect()
}

/// An amplitude as a byte.
pub(super) fn stored(v: f32) -> u8 {
    (255.0 * companded(v)).round() as u8
}

/// Refuses a known set of another medium, with one that would do.
pub(super) fn fits(set: &Set, medium: Medium) -> Result<(), Error> {
    if set.medium.plural() == medium.plural() {
        return Ok(());
    }
    let hint = format!("take {}, or {}", sets::names(medium).join(" or "), formats::names(medium));
    Err(Error::WrongMedium { name: set.name, holds: set.medium.plural(), wants: medium.plural(), hint })
}

/// Opens a dataset for a model of this medium and geometry. Pictures: see [`super::open`]. Films:
/// `bouncing`, which limn draws itself, or a folder of animated GIFs or of sub-folders with
/// numbered frames; each is cut into clips. Sounds: `drums`, which limn makes itself, or a folder
/// of sounds, each cut into pieces.
///
/// # Errors
/// Whatever is wrong with the name, the files or what they hold, in one sentence: see [`Error`].
pub fn open_medium(spec: &str, wanted: Geometry, medium: Medium, options: &Options) -> Result<Dataset, Error> {
    let wanted = wanted.check()?;
    if let Some(own) = own::open(spec, wanted, medium) {
        return own;
    }
    let known = sets::find(spec);
    if let Some(set) = known {
        fits(set, medium)?;
    }
    let source = match (medium, known) {
        (Medium::Films { frames }, Some(_)) => synthetic::bouncing(wanted, frames)?.opened(spec, options),
        (Medium::Sounds { rate }, Some(_)) => synthetic::drums(wanted, rate)?.opened(spec, options),
        (Medium::Pictures, _) => return super::open(spec, Some(wanted), options),
        (_, None) => formats::read(spec, Some(wanted), medium, options)?,
    };
    split(known.map_or(spec, |set| set.name), source, Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companding_keeps_amplitudes_to_a_small_share() {
        for v in [-1.0f32, -0.3, -0.01, -0.001, 0.0, 0.002, 0.05, 0.7, 1.0] {
            assert!((expanded(companded(v)) - v).abs() < 1e-5, "{v}");
            let byte = (255.0 * companded(v)).round();
            let back = expanded(byte / 255.0);
            assert!((back - v).abs() < 0.025 * v.abs() + 1e-4, "{v} comes back as {back}");
        }
        assert_eq!((companded(-2.0), companded(2.0)), (0.0, 1.0));
    }

    #[test]
    fn a_set_of_another_medium_is_refused_with_one_that_fits() {
        let sound = Medium::Sounds { rate: 8000 };
        let e = open_medium("mnist", Geometry::new(1, 1, 64), sound, &Options::default()).unwrap_err().to_string();
        assert!(e.contains("mnist holds pictures") && e.contains("drums"), "{e}");
        let e = open_medium("drums", Geometry::new(1, 28, 28), Medium::Pictures, &Options::default())
            .unwrap_err()
            .to_string();
        assert!(e.contains("drums holds sounds") && e.contains("fashion-mini"), "{e}");
        let e = open_medium("drum", Geometry::new(1, 1, 64), sound, &Options::default()).unwrap_err().to_string();
        assert!(e.contains("drums"), "{e}");
        assert!(
            super::super::open("bouncing", None, &Options::default())
                .unwrap_err()
                .to_string()
                .contains("bouncing holds films")
        );
    }
}
