//! A folder of WAV files.

use super::gather::{Unit, Way};
use super::walk::{self, Found};
use super::{Error, Geometry, Opened, Options, clips, medium::companded};
use image::{ImageBuffer, Luma, imageops};
use std::path::Path;

/// Samples that one file may hold, about an hour at 44,100 Hz: they are decoded at once.
const MOST: u32 = 1 << 27;

/// Cuts every WAV file of `folder` and its direct sub-folders into sounds [1,1,width] at `rate`, channels mixed. What is
/// left of a file counts, padded with silence, if it fills half a sound or the file is shorter.
pub(super) fn load(folder: &Path, wanted: Geometry, rate: u32, options: &Options) -> Result<Opened, Error> {
    let Found { files, left_out } = walk::find(folder, &["wav", "wave"])?;
    if files.is_empty() {
        return Err(Error::NoFiles { folder: folder.into(), what: "sounds", looked_for: ".wav files" });
    }
    let (name, how) = (folder.display().to_string(), format!("sounds at {rate} Hz"));
    let way = Way { name: &name, geometry: wanted, how: &how, each: None };
    let units = files.into_iter().map(Unit::from).collect();
    clips::load(folder, units, left_out, ("sound", way), options, |path| {
        let sound = at_rate(read(path)?, rate);
        let len = wanted.width;
        let mut pieces = Vec::new();
        for (k, piece) in sound.chunks(len).enumerate() {
            if k == 0 || 2 * piece.len() >= len {
                let silence = std::iter::repeat_n(&0.0, len - piece.len());
                pieces.extend(piece.iter().chain(silence).map(|v| stored(*v)));
            }
        }
        Ok(pieces)
    })
}

/// An amplitude as a byte.
pub(super) fn stored(v: f32) -> u8 {
    (255.0 * companded(v)).round() as u8
}

/// Amplitudes in [-1, 1], and how many of them make a second.
fn read(path: &Path) -> Result<(Vec<f32>, u32), Error> {
    let damaged = |why: String| Error::Damaged { path: path.into(), why };
    let bad = |e: hound::Error| damaged(format!("it is no WAV file limn can read: {e}"));
    let reader = hound::WavReader::open(path).map_err(bad)?;
    let spec = reader.spec();
    if spec.sample_rate == 0 || spec.channels == 0 {
        return Err(damaged("its header says that it holds no sound".into()));
    }
    if reader.len() > MOST {
        return Err(damaged(format!("{} samples are more than limn decodes; cut it into shorter files", reader.len())));
    }
    let scale = 1.0 / 2.0f32.powi(i32::from(spec.bits_per_sample.max(1)) - 1);
    let samples: Result<Vec<f32>, hound::Error> = match spec.sample_format {
        hound::SampleFormat::Float => reader.into_samples::<f32>().collect(),
        hound::SampleFormat::Int => reader.into_samples::<i32>().map(|s| s.map(|v| v as f32 * scale)).collect(),
    };
    let samples = samples.map_err(bad)?;
    if !samples.iter().all(|v| v.is_finite()) {
        return Err(damaged("it holds numbers that are not finite".into()));
    }
    let channels = usize::from(spec.channels);
    let mixed = samples.chunks_exact(channels).map(|all| all.iter().sum::<f32>() / channels as f32);
    Ok((mixed.collect(), spec.sample_rate))
}

/// The same sound at another rate, through the triangle filter that pictures are scaled with. The filter's numbers are
/// grey levels from 0 to 1.
fn at_rate((sound, from): (Vec<f32>, u32), to: u32) -> Vec<f32> {
    let len = (sound.len() as u64 * u64::from(to) / u64::from(from)) as u32;
    if from == to || sound.is_empty() || len == 0 {
        return sound;
    }
    let levels = sound.iter().map(|v| 0.5 + 0.5 * v.clamp(-1.0, 1.0)).collect();
    let line: Option<ImageBuffer<Luma<f32>, Vec<f32>>> = ImageBuffer::from_raw(sound.len() as u32, 1, levels);
    let Some(line) = line else { return Vec::new() };
    imageops::resize(&line, len, 1, imageops::FilterType::Triangle).iter().map(|level| 2.0 * level - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Split;
    use super::super::medium::expanded;
    use super::*;

    fn write(path: &Path, rate: u32, channels: u16, bits: u16, samples: &[f32]) {
        let sample_format = if bits == 32 { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
        let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        for v in samples.iter().flat_map(|v| std::iter::repeat_n(v, channels.into())) {
            match bits {
                32 => writer.write_sample(*v).unwrap(),
                bits => writer.write_sample((v * 2.0f32.powi(i32::from(bits) - 1) * 0.999) as i32).unwrap(),
            }
        }
        writer.finalize().unwrap();
    }

    fn tone(len: usize, rate: u32, hertz: f32) -> Vec<f32> {
        (0..len).map(|i| 0.5 * (std::f32::consts::TAU * hertz * i as f32 / rate as f32).sin()).collect()
    }

    #[test]
    fn files_of_every_kind_are_cut_into_pieces_at_the_wanted_rate() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for (name, rate, channels, bits) in
            [("a.wav", 8000, 1, 16), ("b.WAV", 16000, 2, 24), ("sub/c.wav", 44100, 1, 32), ("d.wav", 8000, 2, 8)]
        {
            // A fifth of a second and a bit: three pieces of 512 samples at 8,000 Hz, the last three quarters full.
            write(&dir.path().join(name), rate, channels, bits, &tone((rate / 50 * 9 + 100) as usize, rate, 200.0));
        }
        let wanted = Geometry::new(1, 1, 512);
        let source = load(dir.path(), wanted, 8000, &Options::default()).unwrap();
        assert_eq!(source.warnings, ["4 sounds in 2 folders; nothing left out"]);
        let all = |split: &Split| (0..split.len()).flat_map(|i| split.image(i).into_owned()).collect::<Vec<u8>>();
        let (train, test) = (all(&source.train), all(&source.test.unwrap()));
        assert_eq!((train.len(), test.len()), (3 * 3 * 512, 3 * 512));
        let want = tone(1440, 8000, 200.0);
        for sound in train.chunks(3 * 512).chain([&test[..]]) {
            for (i, want) in want.iter().enumerate().take(1000).skip(10) {
                let got = expanded(f32::from(sound[i]) / 255.0);
                // A filter for pictures takes a sample for a pixel and looks at its middle: half a sample off at most.
                assert!((got - want).abs() < 0.06, "{i}: {got} {want}");
            }
        }
    }

    #[test]
    fn what_is_no_sound_is_skipped_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = Geometry::new(1, 1, 64);
        let e = load(dir.path(), wanted, 8000, &Options::default()).unwrap_err().to_string();
        assert!(e.contains("holds no sounds") && e.contains(".wav"), "{e}");
        std::fs::write(dir.path().join("bad.wav"), b"RIFF1234WAVEnonsense").unwrap();
        let e = load(dir.path(), wanted, 8000, &Options::default()).unwrap_err().to_string();
        assert!(e.contains("bad.wav"), "{e}");
        write(&dir.path().join("one.wav"), 8000, 1, 16, &tone(30, 8000, 500.0));
        let e = load(dir.path(), wanted, 8000, &Options::default()).unwrap_err().to_string();
        assert!(e.contains("at least 2"), "{e}");
        write(&dir.path().join("two.wav"), 8000, 1, 16, &tone(70, 8000, 500.0));
        let source = load(dir.path(), wanted, 8000, &Options::default()).unwrap();
        assert_eq!(source.train.len() + source.test.unwrap().len(), 2);
        assert!(source.warnings[1].contains("bad.wav"), "{:?}", source.warnings);
        let whole = std::fs::read(dir.path().join("two.wav")).unwrap();
        for i in 0..whole.len() {
            let mut broken = whole.clone();
            broken[i] ^= 0xff;
            std::fs::write(dir.path().join("bad.wav"), &broken).unwrap();
            let _ = load(dir.path(), wanted, 8000, &Options::default());
        }
    }
}
