//! A folder of sounds.

use super::gather::{Decoded, Unit, Way};
use super::reading::Reading;
use super::walk::{self, Found};
use super::waves::{self, Sound};
use super::{Error, Geometry, Levels, Opened, Options, clips, medium::stored};
use image::{ImageBuffer, Luma, imageops};
use std::path::Path;

/// Cuts every sound of `folder` and its direct sub-folders into sounds [1,1,width] at `rate`,
/// channels mixed. What is left of a file counts, padded with silence, if it fills half a sound or
/// the file is shorter.
pub(in crate::data) fn load(folder: &Path, wanted: Geometry, rate: u32, options: &Options) -> Result<Opened, Error> {
    let Found { files, left_out } = walk::find(folder, waves::EXTENSIONS)?;
    if files.is_empty() {
        return Err(Error::NoFiles {
            folder: folder.into(),
            rest: left_out.instead(),
            what: "sounds",
            looked_for: ".wav, .flac, .mp3 and .ogg files",
        });
    }
    let (name, how) = (folder.display().to_string(), format!("sounds at {rate} Hz"));
    let way = Way { name: &name, geometry: wanted, how: &how, each: None };
    let units = files.into_iter().map(Unit::from).collect();
    clips::load(folder, units, left_out, ("sound", way), options, |path, stretch| {
        let reading = Reading::new(path, options.flag());
        let mut sounds = waves::read(&reading)?;
        let samples = sounds.iter().flat_map(|(sound, _)| sound);
        let levels = samples.fold(Levels::NONE, |all, v| all.join(Levels { low: *v, high: *v }));
        if let Some(levels) = stretch {
            sounds.iter_mut().flat_map(|(sound, _)| sound).for_each(|v| *v /= levels.peak());
        }
        let mut sound = Vec::new();
        for one in sounds {
            sound.extend(at_rate(&reading, one, rate)?);
            reading.afford(4 * sound.len() as u64, || "its sounds, one behind the other,".into())?;
        }
        let len = wanted.width;
        let mut pieces = Vec::new();
        for (k, piece) in sound.chunks(len).enumerate() {
            if k == 0 || 2 * piece.len() >= len {
                let silence = std::iter::repeat_n(&0.0, len - piece.len());
                pieces.extend(piece.iter().chain(silence).map(|v| stored(*v)));
            }
        }
        Ok(Decoded { images: pieces, levels, sizes: None, remark: None })
    })
}

/// The same sound at another rate, through the triangle filter that pictures are scaled with. The
/// filter's numbers are grey levels from 0 to 1.
pub(super) fn at_rate(reading: &Reading, (sound, from): Sound, to: u32) -> Result<Vec<f32>, Error> {
    let len = sound.len() as u64 * u64::from(to) / u64::from(from);
    if from == to || sound.is_empty() || len == 0 {
        return Ok(if len == 0 { Vec::new() } else { sound });
    }
    reading.afford(4 * len, || format!("{} samples at {from} Hz, {len} at {to} Hz,", sound.len()))?;
    let (wide, levels) = (sound.len() as u32, sound.into_iter().map(|v| 0.5 + 0.5 * v.clamp(-1.0, 1.0)).collect());
    let line: Option<ImageBuffer<Luma<f32>, Vec<f32>>> = ImageBuffer::from_raw(wide, 1, levels);
    let Some(line) = line else { return Ok(Vec::new()) };
    let line = imageops::resize(&line, len as u32, 1, imageops::FilterType::Triangle);
    Ok(line.into_raw().into_iter().map(|level| 2.0 * level - 1.0).collect())
}

#[cfg(test)]
mod tests {
    use super::super::Split;
    use super::super::medium::expanded;
    use super::*;
    use crate::files::NEVER;

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
            // A fifth of a second and a bit: three pieces of 512 samples at 8,000 Hz, the last
            // three quarters full.
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
                // A filter for pictures takes a sample for a pixel and looks at its middle: half a
                // sample off at most.
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
        assert!(source.warnings[0].contains("bad.wav"), "{:?}", source.warnings);
        let whole = std::fs::read(dir.path().join("two.wav")).unwrap();
        for i in 0..whole.len() {
            let mut broken = whole.clone();
            broken[i] ^= 0xff;
            std::fs::write(dir.path().join("bad.wav"), &broken).unwrap();
            let _ = load(dir.path(), wanted, 8000, &Options::default());
        }
    }

    /// A tone of 300 Hz that sox 14.4 and lame 3.100 wrote, 2,400 samples at 8,000 Hz.
    const TONES: [(&str, &[u8]); 3] = [
        ("tone.flac", include_bytes!("../../../assets/fixtures/media/tone.flac")),
        ("lame.mp3", include_bytes!("../../../assets/fixtures/media/lame.mp3")),
        ("tone.ogg", include_bytes!("../../../assets/fixtures/media/tone.ogg")),
    ];

    fn all(path: &Path, bytes: &[u8]) -> Result<Vec<Sound>, Error> {
        std::fs::write(path, bytes).unwrap();
        waves::read(&Reading::new(path, &NEVER))
    }

    fn read(path: &Path, bytes: &[u8]) -> Result<Sound, Error> {
        let mut sounds = all(path, bytes)?;
        assert_eq!(sounds.len(), 1);
        Ok(sounds.remove(0))
    }

    #[test]
    fn what_is_cut_anywhere_is_the_same_sound_or_named() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("a.wav"), 8000, 2, 16, &tone(300, 8000, 300.0));
        let wav = std::fs::read(dir.path().join("a.wav")).unwrap();
        for (name, bytes) in TONES.into_iter().chain([("a.wav", &wav[..])]) {
            let path = dir.path().join(name);
            let whole = read(&path, bytes).unwrap();
            assert!(name == "a.wav" || (2400..2600).contains(&whole.0.len()), "{name}: {}", whole.0.len());
            for n in 0..bytes.len() {
                match read(&path, &bytes[..n]) {
                    Ok(sound) => assert!(sound == whole, "{name}: another sound after {n} of {} bytes", bytes.len()),
                    Err(e) => assert!(e.to_string().contains(name), "{e}"),
                }
            }
        }
    }

    #[test]
    fn a_wav_is_not_refused_for_its_wrapping() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        write(&path, 8000, 1, 16, &tone(300, 8000, 300.0));
        let bytes = std::fs::read(&path).unwrap();
        let whole = read(&path, &bytes).unwrap();
        for size in [0, u32::MAX, 0x7fff_ffff] {
            let mut piped = bytes.clone();
            piped[4..8].copy_from_slice(&size.to_le_bytes());
            piped[40..44].copy_from_slice(&size.to_le_bytes());
            assert!(read(&path, &piped).is_ok_and(|s| s == whole), "{size}");
        }
        let wrapped = [&bytes[..12], b"JUNK\x03\0\0\0abc\0", &bytes[12..], b"LIST\x04\0\0\0INFO"].concat();
        assert!(read(&path, &wrapped).is_ok_and(|s| s == whole));
        let mut adpcm = bytes.clone();
        adpcm[20] = 2;
        assert!(read(&path, &adpcm).unwrap_err().to_string().contains("as PCM"));
        for (rate, word) in [(0u32, "no sound"), (1, "limn makes at most")] {
            let mut odd = bytes.clone();
            odd[24..28].copy_from_slice(&rate.to_le_bytes());
            let reading = Reading::new(&path, &NEVER);
            let e = read(&path, &odd).and_then(|s| at_rate(&reading, s, 4_000_000)).unwrap_err().to_string();
            assert!(e.contains(word) && e.contains("a.wav"), "{e}");
        }
    }

    #[test]
    fn sounds_beyond_full_scale_are_said_and_made_to_fit_where_that_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let loud: Vec<f32> = tone(640, 8000, 500.0).iter().map(|v| 40_000.0 * v).collect();
        write(&dir.path().join("a.wav"), 8000, 1, 32, &loud);
        write(&dir.path().join("b.wav"), 8000, 1, 32, &loud);
        let open =
            |range| load(dir.path(), Geometry::new(1, 1, 64), 8000, &Options { range, ..Options::default() }).unwrap();
        let full = open(super::super::Range::Full);
        assert!(full.warnings.iter().any(|w| w.contains("beyond full scale") && w.contains("data.range")));
        let auto = open(super::super::Range::Auto);
        let got = expanded(f32::from(auto.train.image(0)[2]) / 255.0);
        // The tone has its peak of a half at 4; it is full scale then.
        assert!((got - 2.0 * tone(3, 8000, 500.0)[2]).abs() < 0.03, "{got}");
        assert!(!auto.warnings.iter().any(|w| w.contains("data.range")), "{:?}", auto.warnings);
    }
}
