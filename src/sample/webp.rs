//! Animated WebP files.
//!
//! `image` encodes single pictures only. What moves is a list of such encoded frames behind a
//! header: see the container's specification of Google's, "Extended File Format" and "Animation".

use image::codecs::webp::WebPEncoder;
use image::error::{EncodingError, ImageFormatHint};
use image::{ExtendedColorType, ImageError, ImageFormat, ImageResult, RgbImage};

/// The flag of a file that moves.
const MOVES: u8 = 2;
/// The flag of a frame that takes the place of what is below it.
const REPLACES: u8 = 2;
/// Bytes before the first chunk of a file: `RIFF`, their number, `WEBP`.
const HEAD: usize = 12;

/// Pictures, each with the milliseconds it is shown, as a film that goes on for ever, without loss.
/// Its size is that of the first.
pub(super) fn animation(pictures: impl Iterator<Item = (RgbImage, u32)>) -> ImageResult<Vec<u8>> {
    let mut frames = Vec::new();
    let mut size = None;
    for (picture, shown) in pictures {
        let (w, h) = picture.dimensions();
        size.get_or_insert((w, h));
        let mut frame = vec![0; 6];
        [w.saturating_sub(1), h.saturating_sub(1), shown].iter().for_each(|n| frame.extend(three(*n)));
        frame.push(REPLACES);
        frame.extend(encoded(&picture)?);
        chunk(&mut frames, b"ANMF", &frame);
    }
    let (w, h) = size.unwrap_or((1, 1));
    let mut body = b"WEBP".to_vec();
    chunk(
        &mut body,
        b"VP8X",
        &[&[MOVES, 0, 0, 0][..], &three(w.saturating_sub(1)), &three(h.saturating_sub(1))].concat(),
    );
    // The colour behind all of it is opaque black; after 0 rounds it ends.
    chunk(&mut body, b"ANIM", &[0, 0, 0, 255, 0, 0]);
    body.extend(frames);
    if u32::try_from(body.len()).is_err() {
        return Err(fault("it has more than 4 GiB"));
    }
    let mut file = Vec::with_capacity(body.len() + 8);
    chunk(&mut file, b"RIFF", &body);
    Ok(file)
}

/// One picture as the chunk that holds its pixels.
fn encoded(picture: &RgbImage) -> ImageResult<Vec<u8>> {
    let mut file = Vec::new();
    let (w, h) = picture.dimensions();
    WebPEncoder::new_lossless(&mut file).encode(picture.as_raw(), w, h, ExtendedColorType::Rgb8)?;
    match file.get(HEAD..HEAD + 4) {
        Some(b"VP8L") => Ok(file.split_off(HEAD)),
        // A picture without transparency and notes has no other chunk.
        _ => Err(fault("a frame has no pixels of its own")),
    }
}

fn fault(why: &'static str) -> ImageError {
    ImageError::Encoding(EncodingError::new(ImageFormatHint::Exact(ImageFormat::WebP), why))
}

/// Appends a chunk: name, length, bytes, filled up to an even number.
fn chunk(to: &mut Vec<u8>, name: &[u8; 4], bytes: &[u8]) {
    to.extend(name);
    to.extend((bytes.len() as u32).to_le_bytes());
    to.extend(bytes);
    to.extend(&[0][..bytes.len() % 2]);
}

/// A number of three bytes.
fn three(n: u32) -> [u8; 3] {
    let [a, b, c, _] = n.min(0xff_ffff).to_le_bytes();
    [a, b, c]
}
