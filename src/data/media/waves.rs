//! Decoding one sound: WAV, FLAC, MP3 and Ogg Vorbis.

use super::reading::{Reading, stand_in};
use super::{Error, joined, wav};
use std::io::Cursor;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as Unread;
use symphonia::core::formats::{TrackType, probe::Hint};
use symphonia::core::io::MediaSourceStream;

/// Extensions of the files that are read. What a file is is told by its content.
pub(super) const EXTENSIONS: &[&str] = &["wav", "wave", "flac", "mp3", "ogg", "oga"];

/// Amplitudes with all channels mixed, 1 full scale, and how many of them make a second.
pub(super) type Sound = (Vec<f32>, u32);

/// The sounds of a file, one behind the other; nearly always there is one.
pub(super) fn read(reading: &Reading) -> Result<Vec<Sound>, Error> {
    let mut bytes = reading.bytes()?;
    let mut channels = None;
    if let Some(start) = wav::start(&bytes) {
        let wav = wav::plain(&bytes[start..]).map_err(|why| reading.damaged(why))?;
        (bytes, channels) = (wav.bytes, Some(wav.channels));
    }
    let mut sounds: Vec<Sound> = Vec::new();
    for part in joined::parts(&bytes).map_err(|why| reading.damaged(why))? {
        let made = sounds.iter().map(|(sound, _)| sound.len()).sum();
        sounds.push(decode(reading, &bytes[part], channels, made)?);
    }
    match sounds.iter().all(|(sound, _)| sound.is_empty()) {
        true => Err(reading.damaged("it holds no sound")),
        false => Ok(sounds),
    }
}

/// Decodes a sound of one channel, or of as many as it says, or of so many that lie in one; `made`
/// samples were decoded of the same file before.
fn decode(reading: &Reading, bytes: &[u8], channels: Option<usize>, made: usize) -> Result<Sound, Error> {
    const UNKNOWN: &str = "it is of no format that limn knows; write it again as WAV, FLAC, MP3 or Ogg Vorbis";
    let damaged = |why: String| reading.damaged(why);
    let bad = |e: Unread| match e {
        Unread::Unsupported(_) => damaged(stand_in(bytes).unwrap_or(UNKNOWN).into()),
        e => damaged(format!("it is no sound limn can read: {e}")),
    };
    // Other MP3s say nothing of their length, and the library would guess.
    let is_flac = bytes[joined::behind_tags(bytes)..].starts_with(b"fLaC");
    let tells = is_flac || joined::length_note(bytes).is_some();
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let probe = symphonia::default::get_probe();
    let mut format = probe.probe(&Hint::new(), stream, Default::default(), Default::default()).map_err(bad)?;
    let none = || damaged("it holds no sound".into());
    let track = format.default_track(TrackType::Audio).ok_or_else(none)?;
    let (id, promised) = (track.id, track.num_frames.filter(|n| tells && *n > 0));
    let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(none)?;
    let rate = params.sample_rate.filter(|rate| *rate > 0);
    let rate = rate.ok_or_else(|| damaged("its header gives no sample rate".into()))?;
    let afford = |n: u64, what: &str| reading.afford(n.saturating_add(made as u64).saturating_mul(4), || what.into());
    if let Some(n) = promised {
        afford(n, &format!("{n} samples"))?;
    }
    let options = AudioDecoderOptions::default().verify(true);
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(params, &options).map_err(bad)?;
    // Those of a frame may be in two packets.
    let (mut sound, mut piece, mut frames) = (Vec::new(), Vec::<f32>::new(), Vec::<f32>::new());
    while let Some(packet) = format.next_packet().map_err(bad)? {
        if packet.track_id != id {
            continue;
        }
        reading.go_on()?;
        let decoded = decoder.decode(&packet).map_err(bad)?;
        let channels = channels.unwrap_or_else(|| decoded.spec().channels().count()).max(1);
        decoded.copy_to_vec_interleaved(&mut piece);
        if !piece.iter().all(|v| v.is_finite()) {
            return Err(damaged("it holds numbers that are not finite".into()));
        }
        frames.append(&mut piece);
        let whole = frames.chunks_exact(channels);
        sound.extend(whole.map(|all| all.iter().sum::<f32>() / channels as f32));
        frames.drain(..frames.len() / channels * channels);
        afford(sound.len() as u64, "its samples")?;
    }
    if promised.is_some_and(|n| (sound.len() as u64) < n) {
        return Err(damaged("it is cut short".into()));
    }
    if decoder.finalize().verify_ok == Some(false) {
        return Err(damaged("its sound is not the one that its checksum is of".into()));
    }
    Ok((sound, rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::NEVER;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
    use std::path::Path;

    const FLAC: &[u8] = include_bytes!("../../../assets/fixtures/media/tone.flac");
    const MP3: &[u8] = include_bytes!("../../../assets/fixtures/media/lame.mp3");
    const OGG: &[u8] = include_bytes!("../../../assets/fixtures/media/tone.ogg");

    fn sounds(path: &Path, bytes: &[u8]) -> Result<Vec<Sound>, Error> {
        std::fs::write(path, bytes).unwrap();
        read(&Reading::new(path, &NEVER))
    }

    /// A WAV of these chunks behind its format; a chunk is written as it is.
    fn wav(format: &[u8], chunks: &[&[u8]]) -> Vec<u8> {
        let mut file = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
        file.extend((format.len() as u32).to_le_bytes());
        file.extend(format);
        chunks.iter().for_each(|chunk| file.extend_from_slice(chunk));
        file
    }

    fn format(kind: u16, channels: u16, bytes: u16, bits: u16) -> Vec<u8> {
        let frame = channels * bytes;
        let rates = [8000u32, 8000 * u32::from(frame)];
        let words = |words: &[u16]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let rates = rates.iter().flat_map(|r| r.to_le_bytes()).collect::<Vec<u8>>();
        [words(&[kind, channels]), rates, words(&[frame, bits])].concat()
    }

    #[test]
    fn samples_of_any_width_and_any_number_of_channels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let data = |bytes: &[u8]| [b"data", &(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
        // A quarter of full scale, and minus a half.
        let wide = [0x2000_0000i32, -0x4000_0000].map(i32::to_le_bytes);
        let of_bytes = |n: usize| wide.iter().flat_map(|w| w[4 - n..].to_vec()).collect::<Vec<u8>>();
        let mut extensible = format(0xfffe, 1, 4, 32);
        // 24 bits of the 32 are valid: the high ones.
        extensible.extend(b"\x16\0\x18\0\x04\0\0\0\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
        for (name, format, samples) in [
            ("16 bits", format(1, 1, 2, 16), of_bytes(2)),
            ("12 bits of 16", format(1, 1, 2, 12), of_bytes(2)),
            ("20 bits of 24", format(1, 1, 3, 20), of_bytes(3)),
            ("24 bits of 32", extensible, of_bytes(4)),
        ] {
            let read = sounds(&path, &wav(&format, &[&data(&samples)])).unwrap();
            assert_eq!(read, [(vec![0.25, -0.5], 8000)], "{name}");
        }
        // More channels than have names, and a frame of them in several packets.
        let frames: Vec<u8> = (0..9000).flat_map(|i| (i % 90 * 256i16).to_le_bytes()).collect();
        let (sound, _) = sounds(&path, &wav(&format(1, 90, 2, 16), &[&data(&frames)])).unwrap().remove(0);
        assert_eq!(sound, vec![44.5 * 256.0 / 32768.0; 100]);
        // A chunk of three bytes, with and without the one that makes them even.
        for odd in [&b"JUNK\x03\0\0\0abc\0"[..], b"JUNK\x03\0\0\0abc"] {
            let file = wav(&format(1, 1, 2, 16), &[odd, &data(&of_bytes(2))]);
            assert_eq!(sounds(&path, &file).unwrap(), [(vec![0.25, -0.5], 8000)]);
        }
    }

    #[test]
    fn sounds_one_behind_the_other_are_all_read() {
        let dir = tempfile::tempdir().unwrap();
        for (name, one) in [("a.mp3", MP3), ("a.ogg", OGG)] {
            let path = dir.path().join(name);
            let whole = sounds(&path, one).unwrap();
            assert_eq!(whole.len(), 1);
            let three = sounds(&path, &[one, one, one].concat()).unwrap();
            assert!(three.len() == 3 && three.iter().all(|sound| *sound == whole[0]), "{name}: {}", three.len());
            // The last one is cut.
            assert!(sounds(&path, &[one, &one[..one.len() / 2]].concat()).is_err(), "{name}");
        }
        // With the mark of an older kind of tag at its end.
        let path = dir.path().join("a.mp3");
        let tag = [&b"TAG"[..], &[b' '; 125]].concat();
        assert_eq!(sounds(&path, &[MP3, &tag, MP3, &tag].concat()).unwrap().len(), 2);
    }

    #[test]
    fn an_mp3_with_a_large_picture_is_named_where_it_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp3");
        let size = 10_000usize;
        let tag = [&b"ID3\x03\0\0\0\0"[..], &[(size >> 7) as u8, (size & 0x7f) as u8], &vec![7; size]].concat();
        let with_tag = [&tag[..], MP3].concat();
        assert_eq!(sounds(&path, &with_tag).unwrap(), sounds(&path, MP3).unwrap());
        for n in (0..MP3.len()).step_by(100) {
            let read = sounds(&path, &with_tag[..tag.len() + n]);
            assert!(read.is_err(), "{n} bytes: {} samples", read.map_or(0, |all| all[0].0.len()));
        }
    }

    #[test]
    fn what_is_no_sound_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        for (bytes, word) in [(&b""[..], "empty"), (b"FORM\0\0\0\x20AIFFCOMM and so on", "write it again as")] {
            let error = sounds(&path, bytes).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("a.wav"), "{error}");
        }
    }

    #[test]
    fn a_changed_byte_is_named_or_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        // FLAC has checksums of its frames and of its sound, an Ogg has one of each page; an MP3
        // has none.
        for (name, whole, has_checksums) in [("a.flac", FLAC, true), ("a.ogg", OGG, true), ("a.mp3", MP3, false)] {
            let path = dir.path().join(name);
            let right = sounds(&path, whole).unwrap();
            for _ in 0..400 {
                let mut broken = whole.to_vec();
                let at = rng.random_range(0..broken.len());
                broken[at] ^= rng.random_range(1..=255u8);
                match sounds(&path, &broken) {
                    Ok(read) => assert!(!has_checksums || read == right, "{name}: byte {at} is {}", broken[at]),
                    Err(e) => assert!(e.to_string().contains(name), "{e}"),
                }
            }
        }
    }
}
