//! Grey TIFFs as microscopes, scanners and measuring programs write them: numbers with a decimal
//! point, of 32 bits and more, or with a sign. The library for all pictures takes none of these,
//! the one below it does.

use super::reading::MOST;
use image::{DynamicImage, ImageBuffer, Rgb, metadata::Orientation};
use std::io::Cursor;
use tiff::ColorType::Gray;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

/// Bytes that a pixel takes.
const PIXEL: u64 = 12;

/// Whether a file begins as a TIFF of more than four gigabytes may, which smaller ones can do as
/// well.
pub(super) fn is_big(start: &[u8]) -> bool {
    start.starts_with(b"II\x2b\0\x08\0") || start.starts_with(b"MM\0\x2b\0\x08")
}

/// The first page, where it is grey and its values are such numbers; `None` for other TIFFs, and
/// the error is what is wrong with it. Numbers with a decimal point are as they are, of the others
/// 1 is the largest.
pub(super) fn decode(bytes: &[u8]) -> Option<Result<DynamicImage, String>> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    let Gray(bits) = decoder.colortype().ok()? else { return None };
    let kinds = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).ok()?.unwrap_or_default();
    let is_plain = kinds.iter().all(|kind| *kind == 1);
    (!(is_plain && bits <= 16)).then(|| picture(decoder))
}

fn picture(mut decoder: Decoder<Cursor<&[u8]>>) -> Result<DynamicImage, String> {
    let (width, height) = decoder.dimensions().map_err(|e| e.to_string())?;
    if u64::from(width) * u64::from(height) > MOST / PIXEL {
        return Err(format!("{width}x{height} pixels are more than limn decodes"));
    }
    let side = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten().and_then(Orientation::from_exif);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MOST as usize;
    limits.intermediate_buffer_size = MOST as usize;
    let levels = match decoder.with_limits(limits).read_image().map_err(|e| e.to_string())? {
        DecodingResult::F16(all) => all.into_iter().map(f32::from).collect(),
        DecodingResult::F32(all) => all,
        DecodingResult::F64(all) => all.into_iter().map(|v| v as f32).collect(),
        DecodingResult::U8(all) => shares(all, u8::MAX.into()),
        DecodingResult::U16(all) => shares(all, u16::MAX.into()),
        DecodingResult::U32(all) => shares(all, u32::MAX.into()),
        DecodingResult::U64(all) => all.into_iter().map(|v| (v as f64 / u64::MAX as f64) as f32).collect(),
        DecodingResult::I8(all) => shares(all, i8::MAX.into()),
        DecodingResult::I16(all) => shares(all, i16::MAX.into()),
        DecodingResult::I32(all) => shares(all, i32::MAX.into()),
        DecodingResult::I64(all) => all.into_iter().map(|v| (v as f64 / i64::MAX as f64) as f32).collect(),
    };
    // No picture of one channel has such numbers.
    let levels: Vec<f32> = levels.into_iter().flat_map(|v| [v; 3]).collect();
    let picture: Option<ImageBuffer<Rgb<f32>, Vec<f32>>> = ImageBuffer::from_raw(width, height, levels);
    let mut picture = picture.map(DynamicImage::ImageRgb32F).ok_or("it is cut short")?;
    picture.apply_orientation(side.unwrap_or(Orientation::NoTransforms));
    Ok(picture)
}

/// Each number as a share of the largest that there can be.
fn shares<T: Into<f64>>(all: Vec<T>, most: f64) -> Vec<f32> {
    all.into_iter().map(|v| (v.into() / most) as f32).collect()
}
