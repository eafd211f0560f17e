//! Sounds that lie one behind the other in a file: MP3s that were put together with `cat`, and Ogg
//! streams that are chained, as a radio station's are.

use std::ops::Range;

/// Where the sounds of a file are, and for how many of its bytes one of them speaks.
pub(super) fn parts(bytes: &[u8]) -> Result<Vec<Range<usize>>, &'static str> {
    match bytes.starts_with(b"OggS") {
        true => chained(bytes),
        false => Ok(songs(bytes)),
    }
}

/// The links of a chain of Ogg streams: a link begins with pages that begin streams, behind others
/// that do not.
///
/// # Errors
/// A page that is cut or whose checksum is another, or a chain of which the last page does not say
/// that it is.
fn chained(bytes: &[u8]) -> Result<Vec<Range<usize>>, &'static str> {
    const SHORT: &str = "it is cut short";
    let (mut at, mut from, mut ended, mut begun) = (0, 0, false, true);
    let mut links = Vec::new();
    while bytes[at..].starts_with(b"OggS") {
        let count = usize::from(*bytes.get(at + 26).ok_or(SHORT)?);
        let segments = bytes.get(at + 27..at + 27 + count).ok_or(SHORT)?;
        let end = at + 27 + count + segments.iter().map(|n| usize::from(*n)).sum::<usize>();
        let page = bytes.get(at..end).ok_or(SHORT)?;
        if checksum(page) != page[22..26] {
            return Err("one of its pages is not the one that its checksum is of");
        }
        let begins = page[5] & 2 != 0;
        if begins && !begun {
            links.push(from..at);
            from = at;
        }
        (begun, ended) = (begins, page[5] & 4 != 0);
        at = end;
    }
    links.push(from..at);
    if ended { Ok(links) } else { Err(SHORT) }
}

/// The checksum of a page (RFC 3533), as the page has it; where it stands, zeros are summed.
fn checksum(page: &[u8]) -> [u8; 4] {
    let step = |crc: u32, byte: u8| {
        (0..8).fold(
            crc ^ u32::from(byte) << 24,
            |crc, _| {
                if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
            },
        )
    };
    let summed = page.iter().enumerate().map(|(i, byte)| if (22..26).contains(&i) { 0 } else { *byte });
    summed.fold(0, step).to_le_bytes()
}

/// The MP3s that say how long they are, each up to where it says, and what is behind them; all
/// other files are one part.
fn songs(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut songs, mut from) = (Vec::new(), 0);
    while let Some(end) = said_end(&bytes[from..]).map(|end| from + end) {
        let next = if bytes[end..].starts_with(b"TAG") { end + 128 } else { end };
        match bytes.get(next..next + 4) {
            Some([b'I', b'D', b'3', _]) | Some([0xff, 0xe2..=0xff, ..]) => {}
            _ => break,
        }
        songs.push(from..next);
        from = next;
    }
    songs.push(from..bytes.len());
    songs
}

/// Where the MP3 at the start ends, if it says so and there are as many bytes.
fn said_end(bytes: &[u8]) -> Option<usize> {
    let word = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..at + 4)?.first_chunk()?));
    let note = length_note(bytes)?;
    // Behind the header of the frame and what it says of its channels.
    let frame = [36, 21, 13].iter().filter_map(|n| note.checked_sub(*n));
    let frame = frame.filter(|at| matches!(bytes[*at..], [0xff, 0xe2..=0xff, ..])).min()?;
    let flags = word(note + 4)?;
    let len = word(note + if flags & 1 == 0 { 8 } else { 12 }).filter(|len| flags & 2 != 0 && *len > 0)?;
    Some(frame + len as usize).filter(|end| *end <= bytes.len())
}

/// Where an MP3 has the note of its length: in its first frame, behind tags that may hold pictures.
pub(super) fn length_note(bytes: &[u8]) -> Option<usize> {
    let from = behind_tags(bytes);
    let start = &bytes[from..bytes.len().min(from + 4096)];
    start.windows(4).position(|w| matches!(w, b"Xing" | b"Info" | b"VBRI")).map(|at| from + at)
}

/// What is behind the ID3 tags at the start.
pub(super) fn behind_tags(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 10).filter(|head| head.starts_with(b"ID3")) {
        let size = head[6..].iter().fold(0, |n, byte| n << 7 | usize::from(byte & 0x7f));
        let footer = if head[5] & 0x10 == 0 { 0 } else { 10 };
        at += 10 + size + footer;
    }
    at.min(bytes.len())
}
