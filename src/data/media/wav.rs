//! WAV files as other programs write them: pipes, padding, and chunks of all kinds around the
//! samples.

/// From here on a size stands for one that was not known when it was written.
const UNKNOWN: u64 = 0x7fff_0000;

/// How files begin that are no WAV, whatever is in them: FLAC, Ogg, an MP3 and its tags.
const OTHERS: [&[u8]; 4] = [b"fLaC", b"OggS", b"ID3", b"\xff"];

/// Bytes in which the library looks for how a sound begins, where a file begins as none.
const LOOKED_AT: usize = 1 << 20;

/// Where a WAV begins in a file: at its beginning, or behind bytes that are of no other sound.
pub(super) fn start(bytes: &[u8]) -> Option<usize> {
    let is_riff = |at: &[u8]| at.starts_with(b"RIFF") || at.starts_with(b"RF64");
    if is_riff(bytes) {
        return Some(0);
    }
    let looked_at = &bytes[..bytes.len().min(LOOKED_AT)];
    let of_other = OTHERS.iter().any(|start| bytes.starts_with(start));
    looked_at.windows(4).position(is_riff).filter(|_| !of_other)
}

/// A WAV file with nothing in it but its format and its samples.
pub(super) struct Plain {
    /// The file, of one channel that all samples lie in.
    pub(super) bytes: Vec<u8>,
    /// Channels that there are, their samples one after the other.
    pub(super) channels: usize,
}

/// The file with nothing in it but its format and its samples, and the sizes of what there is.
///
/// # Errors
/// A sentence about a file that is shorter than it says, holds no samples, or has them in a form
/// limn does not take.
pub(super) fn plain(bytes: &[u8]) -> Result<Plain, String> {
    let number = |at: usize| bytes.get(at..at + 4).and_then(|b| b.first_chunk()).map(|b| u32::from_le_bytes(*b));
    if bytes.get(8..12) != Some(b"WAVE") {
        return Err("it is no WAV file".into());
    }
    let (mut at, mut format, mut long) = (12, None, None);
    loop {
        let (Some(name), Some(len)) = (bytes.get(at..at + 4), number(at + 4)) else {
            return Err("it is cut short before its samples".into());
        };
        let (from, len) = (at + 8, u64::from(len));
        let there = (bytes.len() - from) as u64;
        if name == b"data" {
            let len = match (len, long) {
                (len, Some(long)) if len == u64::from(u32::MAX) => long,
                (len, _) => len,
            };
            let format: &[u8] = format.ok_or("it says nothing of its samples")?;
            let len = match len {
                0 => there,
                len if len >= UNKNOWN && len > there => there,
                len if len > there => {
                    return Err(format!("it is cut short: its header promises {len} bytes of samples, it has {there}"));
                }
                len => len,
            };
            return written(format, &bytes[from..from + len as usize]);
        }
        if len > there {
            return Err("it is cut short before its samples".into());
        }
        let body = &bytes[from..from + len as usize];
        match name {
            b"fmt " => format = Some(body),
            b"ds64" => long = body.get(8..16).and_then(|b| b.first_chunk()).map(|b| u64::from_le_bytes(*b)),
            _ => {}
        }
        // Some programs leave out the byte that makes an odd chunk even.
        let end = from + body.len();
        let name = |at: usize| {
            bytes.get(at..at + 4).is_some_and(|n| n.iter().all(|b| b.is_ascii_alphanumeric() || *b == b' '))
        };
        at = if name(end) { end } else { end + body.len() % 2 };
    }
}

fn written(format: &[u8], samples: &[u8]) -> Result<Plain, String> {
    let word = |at: usize| format.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let (Some(mut kind), Some(channels), Some(bits)) = (word(0), word(2), word(14)) else {
        return Err("its header is damaged".into());
    };
    if kind == 0xfffe {
        kind = word(24).unwrap_or(kind);
    }
    if !matches!(kind, 1 | 3 | 6 | 7) {
        return Err(format!("its samples are compressed (format {kind:#06x}); write it again as PCM"));
    }
    let rate = &format[4..8];
    // Samples of 12 or 20 bits fill the high bits of their bytes, and so do 24 bits that are valid
    // of 32.
    let bytes = bits.div_ceil(8);
    let frame = usize::from(channels) * usize::from(bytes);
    if rate == [0; 4] || frame == 0 || bytes > 8 {
        return Err("its header says that it holds no sound".into());
    }
    // Half a frame at the end is padding, or the end of a pipe.
    let samples = &samples[..samples.len() / frame * frame];
    let mut file = Vec::with_capacity(samples.len() + 46);
    file.extend(b"RIFF");
    file.extend((4 + 8 + 18 + 8 + samples.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x12\0\0\0");
    file.extend(kind.to_le_bytes());
    file.extend(1u16.to_le_bytes());
    file.extend(rate);
    let rate = rate.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    file.extend(rate.wrapping_mul(bytes.into()).to_le_bytes());
    file.extend(bytes.to_le_bytes());
    file.extend((8 * bytes).to_le_bytes());
    file.extend(b"\0\0data");
    file.extend((samples.len() as u32).to_le_bytes());
    file.extend(samples);
    Ok(Plain { bytes: file, channels: channels.into() })
}
