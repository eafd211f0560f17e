//! Decoding one sound: WAV, FLAC, MP3 and Ogg Vorbis.

use super::reading::Reading;
use super::{Error, wav};
use std::io::Cursor;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::{TrackType, probe::Hint};
use symphonia::core::io::MediaSourceStream;

/// Extensions of the files that are read. What a file is is told by its content.
pub(super) const EXTENSIONS: &[&str] = &["wav", "wave", "flac", "mp3", "ogg", "oga"];

const SHORT: &str = "it is cut short";

/// Amplitudes with all channels mixed, 1 full scale, and how many of them make a second.
pub(super) fn read(reading: &Reading) -> Result<(Vec<f32>, u32), Error> {
    let damaged = |why: String| reading.damaged(why);
    let bad = |e: symphonia::core::errors::Error| damaged(format!("it is no sound limn can read: {e}"));
    let mut bytes = reading.bytes()?;
    if matches!(bytes.first_chunk(), Some(b"RIFF" | b"RF64")) {
        bytes = wav::plain(bytes).map_err(damaged)?;
    }
    if bytes.starts_with(b"OggS") && !is_whole_ogg(&bytes) {
        return Err(damaged(SHORT.into()));
    }
    // Other MP3s say nothing of their length, and the library would guess.
    let start = &bytes[..bytes.len().min(4096)];
    let tells = bytes.starts_with(b"fLaC") || start.windows(4).any(|w| matches!(w, b"Xing" | b"Info" | b"VBRI"));
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let probe = symphonia::default::get_probe();
    let mut format = probe.probe(&Hint::new(), stream, Default::default(), Default::default()).map_err(bad)?;
    let none = || damaged("it holds no sound".into());
    let track = format.default_track(TrackType::Audio).ok_or_else(none)?;
    let (id, promised) = (track.id, track.num_frames.filter(|n| tells && *n > 0));
    let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(none)?;
    let rate = params.sample_rate.filter(|rate| *rate > 0);
    let rate = rate.ok_or_else(|| damaged("its header gives no sample rate".into()))?;
    if let Some(n) = promised {
        reading.afford(n.saturating_mul(4), || format!("{n} samples"))?;
    }
    let options = AudioDecoderOptions::default().verify(true);
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(params, &options).map_err(bad)?;
    let (mut sound, mut piece) = (Vec::new(), Vec::<f32>::new());
    while let Some(packet) = format.next_packet().map_err(bad)? {
        if packet.track_id != id {
            continue;
        }
        reading.go_on()?;
        let decoded = decoder.decode(&packet).map_err(bad)?;
        let channels = decoded.spec().channels().count().max(1);
        decoded.copy_to_vec_interleaved(&mut piece);
        if !piece.iter().all(|v| v.is_finite()) {
            return Err(damaged("it holds numbers that are not finite".into()));
        }
        sound.extend(piece.chunks_exact(channels).map(|all| all.iter().sum::<f32>() / channels as f32));
        reading.afford(4 * sound.len() as u64, || "its samples".into())?;
    }
    if promised.is_some_and(|n| (sound.len() as u64) < n) {
        return Err(damaged(SHORT.into()));
    }
    if decoder.finalize().verify_ok == Some(false) {
        return Err(damaged("its sound is not the one that its checksum is of".into()));
    }
    Ok((sound, rate))
}

/// Whether the pages of an Ogg are whole and the last of them says that it is.
fn is_whole_ogg(bytes: &[u8]) -> bool {
    let (mut at, mut ended) = (0, false);
    while bytes[at..].starts_with(b"OggS") {
        let Some(segments) = bytes.get(at + 26).and_then(|n| bytes.get(at + 27..at + 27 + usize::from(*n))) else {
            return false;
        };
        ended = bytes[at + 5] & 4 != 0;
        at += 27 + segments.len() + segments.iter().map(|n| usize::from(*n)).sum::<usize>();
        if at > bytes.len() {
            return false;
        }
    }
    ended
}
