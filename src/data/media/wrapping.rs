//! What other programs wrap pictures in that their decoder does not take, or takes where it should
//! not.

/// Chunks of a WebP that its header may promise, with the flag.
const PROMISED: [(&[u8; 4], u8); 2] = [(b"EXIF", 0x08), (b"XMP ", 0x04)];

/// A WebP, without the flags of chunks that are not there. One that is shorter than it says is
/// refused; where it does not say, because it was written to a pipe, its chunks decide.
pub(super) fn webp(mut bytes: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    const SHORT: &str = "it is cut short";
    let number = |at: usize| bytes.get(at..at + 4).and_then(|b| b.first_chunk()).map(|b| u32::from_le_bytes(*b));
    let len = number(4).ok_or(SHORT)?;
    let end = match len {
        0 | u32::MAX => bytes.len(),
        // The last byte may be one of padding, which some programs leave out.
        len if bytes.len() + 1 < len as usize + 8 => return Err(SHORT),
        len => (len as usize + 8).min(bytes.len()),
    };
    let mut found = 0;
    let mut at = 12;
    while at + 8 <= end {
        let len = number(at + 4).ok_or(SHORT)? as usize;
        if bytes.len() - at - 8 < len {
            return Err(SHORT);
        }
        found |= PROMISED.iter().filter(|(name, _)| bytes[at..at + 4] == name[..]).fold(0, |all, (_, flag)| all | flag);
        at += 8 + len + len % 2;
    }
    if bytes.get(12..16) == Some(b"VP8X")
        && let Some(flags) = bytes.get_mut(20)
    {
        *flags &= found | !PROMISED.iter().fold(0, |all, (_, flag)| all | flag);
    }
    // The decoder takes this number at its word.
    if matches!(len, 0 | u32::MAX) {
        let len = u32::try_from(bytes.len() - 8).map_err(|_| SHORT)?;
        bytes[4..8].copy_from_slice(&len.to_le_bytes());
    }
    Ok(bytes)
}

/// Chunks of a PNG that change nothing about its pixels, or of which the decoder holds the checksum
/// against the data.
const HARMLESS: [&[u8; 4]; 13] = [
    b"IDAT", b"fdAT", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"bKGD", b"sBIT",
];

/// Refuses a PNG with a chunk that is not the one its checksum is of, where that may change the
/// picture: decoders leave out damaged chunks that say which pixels are transparent, or which side
/// is up. What is cut they find.
pub(super) fn png(bytes: &[u8]) -> Result<(), &'static str> {
    let mut at = 8;
    while let Some([l3, l2, l1, l0, kind @ ..]) = bytes.get(at..at + 8).and_then(|b| b.first_chunk::<8>()) {
        let len = u32::from_be_bytes([*l3, *l2, *l1, *l0]) as usize;
        if kind == b"IEND" {
            break;
        }
        let Some((chunk, sum)) = bytes.get(at + 4..at + 12 + len).map(|chunk| chunk.split_at(4 + len)) else { break };
        let mut crc = flate2::Crc::new();
        if !HARMLESS.contains(&kind) {
            crc.update(chunk);
            if crc.sum().to_be_bytes() != sum {
                return Err("one of its chunks is not the one that its checksum is of");
            }
        }
        at += 12 + len;
    }
    Ok(())
}

/// Refuses a picture in decimal digits of which the last one may be missing: where the file ends
/// with a number to which another digit could be added.
pub(super) fn pnm(bytes: &[u8]) -> Result<(), &'static str> {
    if !matches!(bytes, [b'P', b'2' | b'3', ..]) {
        return Ok(());
    }
    let digits = bytes.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let last = number(&bytes[bytes.len() - digits..]);
    // Width, height, and the largest number a sample may be.
    let most = header(bytes).nth(2).unwrap_or(0);
    match digits > 0 && last > 0 && last.saturating_mul(10) <= most {
        true => Err("it ends in the middle of a number; it may be cut short"),
        false => Ok(()),
    }
}

/// The numbers behind the first two letters, without comments.
fn header(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let lines = bytes[2..].split(|b| *b == b'\n').map(|line| line.split(|b| *b == b'#').next().unwrap_or(&[]));
    lines.flat_map(|line| line.split(u8::is_ascii_whitespace)).filter(|word| !word.is_empty()).map(number)
}

fn number(digits: &[u8]) -> u64 {
    let digit = |b: &u8| u64::from(b.wrapping_sub(b'0'));
    digits.iter().fold(0, |n: u64, b| n.saturating_mul(10).saturating_add(digit(b)))
}
