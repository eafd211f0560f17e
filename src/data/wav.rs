//! WAV files as other programs write them: pipes, padding, and chunks of all kinds around the samples.

/// From here on a size stands for one that was not known when it was written.
const UNKNOWN: u64 = 0x7fff_0000;

/// The file with nothing in it but its format and its samples, and the sizes of what there is.
///
/// # Errors
/// A sentence about a file that is shorter than it says, holds no samples, or has them in a form limn does not take.
pub(super) fn plain(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
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
        at = from + body.len() + body.len() % 2;
    }
}

fn written(format: &[u8], samples: &[u8]) -> Result<Vec<u8>, String> {
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
    let rate = format[4..8].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    let frame = usize::from(channels) * usize::from(bits).div_ceil(8);
    if rate == 0 || frame == 0 || bits > 64 {
        return Err("its header says that it holds no sound".into());
    }
    // Half a frame at the end is padding, or the end of a pipe.
    let samples = &samples[..samples.len() / frame * frame];
    let mut file = Vec::with_capacity(samples.len() + format.len() + 29);
    let padding = format.len() % 2;
    let len = 4 + 8 + format.len() + padding + 8 + samples.len();
    file.extend(b"RIFF");
    file.extend((len as u32).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend((format.len() as u32).to_le_bytes());
    file.extend(format);
    file.extend(std::iter::repeat_n(0, padding));
    file.extend(b"data");
    file.extend((samples.len() as u32).to_le_bytes());
    file.extend(samples);
    Ok(file)
}
