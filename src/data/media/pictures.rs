//! Decoding one picture.

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::reading::{MOST, Reading, stand_in};
use super::{Error, Geometry, Levels, geometry, grey_tiff, jpeg, values, wrapping};
use crate::files::NEVER;

/// Extensions of the files that are read. What a file is is told by its content.
pub(super) const EXTENSIONS: &[&str] =
    &["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "pnm", "pbm", "pgm", "ppm", "pam", "gif"];

/// Pixels that one side of a picture may have.
const MAX_SIDE: u32 = 32768;

/// [`EXTENSIONS`] in words.
pub(in crate::data) fn extensions() -> String {
    let (last, others) = EXTENSIONS.split_last().unwrap_or((&"", &[]));
    format!(".{} and .{last}", others.join(", ."))
}

/// A picture as a model takes it.
#[derive(Debug)]
pub struct Picture {
    /// Planar: all of channel 0, then channel 1, ...
    pub bytes: Vec<u8>,
    /// What `bytes` have.
    pub geometry: Geometry,
    /// What the file has.
    pub native: Geometry,
    /// The values of the file, before any of them was rounded to eight bits or scaled.
    pub levels: Levels,
    /// Whether the file can be seen through in places, which were laid on white.
    pub transparent: bool,
}

/// Decodes one picture file and brings it to `wanted` (`None`: its own size, grey or RGB). With
/// `stretch` those levels become black and white; without, values are what the format says.
/// Transparency is laid on white, and pictures that say which side is up are turned.
///
/// # Errors
/// [`Error::BadImage`] or [`Error::Damaged`] where the file is at fault, [`Error::Io`] where the
/// disk is, [`Error::Stopped`] once `stop` is set, [`Error::BadGeometry`].
pub fn read_picture(
    path: &Path,
    wanted: Option<Geometry>,
    stretch: Option<Levels>,
    stop: &AtomicBool,
) -> Result<Picture, Error> {
    let reading = Reading::new(path, stop);
    let image = decode(&reading)?;
    reading.go_on()?;
    let channels = if image.color().has_color() && !is_grey(&image) { 3 } else { 1 };
    let native = Geometry::new(channels, image.height() as usize, image.width() as usize);
    let wanted = wanted.unwrap_or(native).check()?;
    let levels = values::of_image(&image).ok_or_else(|| reading.damaged("it holds numbers that are not finite"))?;
    let transparent = image.color().has_alpha() && image.to_rgba8().pixels().any(|pixel| pixel[3] < 255);
    let image = match stretch {
        Some(levels) => values::stretched(image, levels),
        None => image,
    };
    Ok(Picture { bytes: geometry::fit(image, wanted), geometry: wanted, native, levels, transparent })
}

/// The geometry of a picture as somebody sees it: grey where its channels are all the same, but for
/// what compressing them does.
///
/// # Errors
/// As [`read_picture`].
pub(super) fn seen(path: &Path, stop: &AtomicBool) -> Result<Geometry, Error> {
    let image = decode(&Reading::new(path, stop))?;
    let near = |a: u8, b: u8| a.abs_diff(b) <= NEARLY;
    let is_grey = |rgba: [u8; 4]| rgba[3] == 0 || (near(rgba[0], rgba[1]) && near(rgba[1], rgba[2]));
    let grey = !image.color().has_color() || image.to_rgba8().pixels().all(|pixel| is_grey(pixel.0));
    Ok(Geometry::new(if grey { 1 } else { 3 }, image.height() as usize, image.width() as usize))
}

/// How far the channels of a grey pixel may be apart.
const NEARLY: u8 = 8;

/// [`read_picture`] as the format says, which nothing stops: the bytes, the geometry they have, and
/// that of the file.
///
/// # Errors
/// As [`read_picture`].
pub fn read_image(path: &Path, wanted: Option<Geometry>) -> Result<(Vec<u8>, Geometry, Geometry), Error> {
    read_picture(path, wanted, None, &NEVER).map(|p| (p.bytes, p.geometry, p.native))
}

/// Reads a mask: 1 where a pixel is light and opaque, and 0 where it is dark or can be seen
/// through; and its size.
///
/// # Errors
/// [`Error::BadImage`], also where it is larger than any image of a model, and [`Error::Io`].
pub fn read_mask(path: &Path) -> Result<(Vec<f32>, Geometry), Error> {
    let image = decode(&Reading::new(path, &NEVER))?;
    let geometry = Geometry::new(1, image.height() as usize, image.width() as usize);
    let large =
        |_| Error::BadImage { path: path.into(), why: format!("{geometry} is more than an image of a model has") };
    geometry.check().map_err(large)?;
    let opaque: Vec<bool> = image.to_rgba8().pixels().map(|pixel| pixel[3] >= 128).collect();
    let light = image.to_luma8();
    let kept = std::iter::zip(light.pixels(), opaque).map(|(light, opaque)| opaque && light[0] >= 128);
    let kept = kept.map(|kept| f32::from(u8::from(kept))).collect();
    Ok((kept, geometry))
}

/// The picture of a file; of a film or of several pages the first.
fn decode(reading: &Reading) -> Result<DynamicImage, Error> {
    let bytes = reading.bytes()?;
    let path = reading.path;
    let named = |why: String| Error::BadImage { path: path.into(), why };
    let bad = |e: image::ImageError| match e {
        image::ImageError::Unsupported(e) => named(format!("limn does not read this kind of it ({e}); save it as PNG")),
        e => named(e.to_string()),
    };
    let format = match image::guess_format(&bytes) {
        Err(_) if grey_tiff::is_big(&bytes) => ImageFormat::Tiff,
        format => format.map_err(|_| named(stand_in(&bytes).unwrap_or("it is of no format that limn knows").into()))?,
    };
    if format == ImageFormat::Tiff
        && let Some(picture) = grey_tiff::decode(&bytes)
    {
        return picture.map_err(named);
    }
    let bytes = match format {
        ImageFormat::WebP => wrapping::webp(bytes).map_err(|why| named(why.into()))?,
        _ => bytes,
    };
    let mut reader = ImageReader::with_format(Cursor::new(&bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MOST);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(bad)?;
    // Phones store photographs lying down, with a note which side is up.
    let orientation = decoder.orientation().map_err(bad)?;
    let (w, h) = decoder.dimensions();
    if w == 0 || h == 0 {
        return Err(named(format!("{w}x{h} pixels are no picture")));
    }
    if decoder.total_bytes() > MOST {
        return Err(named(format!("{w}x{h} pixels are more than limn decodes")));
    }
    reading.go_on()?;
    let whole = match format {
        ImageFormat::Jpeg => jpeg::check(&bytes),
        ImageFormat::Pnm => wrapping::pnm(&bytes),
        ImageFormat::Png => wrapping::png(&bytes),
        _ => Ok(()),
    };
    whole.map_err(|why| named(why.into()))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(bad)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Whether a file begins like one of the formats of pictures that limn reads.
pub(in crate::data) fn looks_like_image(start: &[u8]) -> bool {
    image::guess_format(start).is_ok() || grey_tiff::is_big(start)
}

/// Whether a picture has three channels only because its kind of number needs them.
fn is_grey(image: &DynamicImage) -> bool {
    matches!(image, DynamicImage::ImageRgb32F(all) if all.pixels().all(|p| p[0] == p[1] && p[1] == p[2]))
}

#[cfg(test)]
#[path = "pictures_tests.rs"]
mod tests;
