//! The values of decoded files, before anything is rounded to eight bits.

use super::Levels;
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Pixel, Rgb, RgbImage};

/// The loudest sample of a set of sounds as a sentence, where it cannot be meant: beyond full
/// scale, or so quiet that the whole set is near silence.
pub(super) fn peak_warning(peak: f32, name: &str) -> Option<String> {
    let what = match peak {
        p if p > 1.01 => "beyond full scale, and is cut off there",
        // A hundredth is 40 dB below.
        p if p > 0.0 && p < 0.01 => "far below full scale",
        _ => return None,
    };
    Some(format!(
        "the loudest sample of {name} is {peak:.3} of full scale, {what}; data.range=\"auto\" makes the loudest one full \
         scale"
    ))
}

/// Calls a function that is generic over pixels with the picture, whatever its pixels are.
macro_rules! with_pixels {
    ($image:expr, $call:ident($($argument:expr),*)) => {
        match $image {
            DynamicImage::ImageLuma8(b) => Some($call(b, 255.0 $(, $argument)*)),
            DynamicImage::ImageLumaA8(b) => Some($call(b, 255.0 $(, $argument)*)),
            DynamicImage::ImageRgb8(b) => Some($call(b, 255.0 $(, $argument)*)),
            DynamicImage::ImageRgba8(b) => Some($call(b, 255.0 $(, $argument)*)),
            DynamicImage::ImageLuma16(b) => Some($call(b, 65535.0 $(, $argument)*)),
            DynamicImage::ImageLumaA16(b) => Some($call(b, 65535.0 $(, $argument)*)),
            DynamicImage::ImageRgb16(b) => Some($call(b, 65535.0 $(, $argument)*)),
            DynamicImage::ImageRgba16(b) => Some($call(b, 65535.0 $(, $argument)*)),
            DynamicImage::ImageRgb32F(b) => Some($call(b, 1.0 $(, $argument)*)),
            DynamicImage::ImageRgba32F(b) => Some($call(b, 1.0 $(, $argument)*)),
            _ => None,
        }
    };
}

/// The levels of a decoded picture, what is transparent laid on white. `None` where it holds
/// numbers that are not finite.
pub(super) fn of_image(image: &DynamicImage) -> Option<Levels> {
    match image {
        DynamicImage::ImageLuma8(grey) => Some(Levels::of_bytes(grey)),
        DynamicImage::ImageRgb8(rgb) => Some(Levels::of_bytes(rgb)),
        other => with_pixels!(other, measured()).flatten(),
    }
}

/// The picture in eight bits, its values stretched and what is transparent laid on white.
pub(super) fn stretched(image: DynamicImage, levels: Levels) -> DynamicImage {
    with_pixels!(&image, mapped(levels)).unwrap_or(image)
}

/// The colours of a pixel, 1 its white.
fn colours<P: Pixel>(pixel: &P, full: f32) -> impl Iterator<Item = f32>
where
    f32: From<P::Subpixel>,
{
    let channels = pixel.channels();
    let (colours, alpha) = match channels.len() {
        2 | 4 => channels.split_at(channels.len() - 1),
        _ => (channels, &channels[..0]),
    };
    let alpha = alpha.first().map_or(1.0, |a| f32::from(*a) / full);
    colours.iter().map(move |c| f32::from(*c) / full * alpha + (1.0 - alpha))
}

fn measured<P: Pixel>(image: &ImageBuffer<P, Vec<P::Subpixel>>, full: f32) -> Option<Levels>
where
    f32: From<P::Subpixel>,
{
    let mut levels = Levels::NONE;
    let mut finite = true;
    for value in image.pixels().flat_map(|p| colours(p, full)) {
        finite &= value.is_finite();
        levels = levels.join(Levels { low: value, high: value });
    }
    finite.then_some(levels)
}

fn mapped<P: Pixel>(image: &ImageBuffer<P, Vec<P::Subpixel>>, full: f32, levels: Levels) -> DynamicImage
where
    f32: From<P::Subpixel>,
{
    let (width, height) = image.dimensions();
    if P::CHANNEL_COUNT < 3 {
        let mut grey = GrayImage::new(width, height);
        for (to, from) in grey.pixels_mut().zip(image.pixels()) {
            *to = Luma([colours(from, full).next().map_or(0, |v| levels.stretch(v))]);
        }
        return DynamicImage::ImageLuma8(grey);
    }
    let mut rgb = RgbImage::new(width, height);
    for (to, from) in rgb.pixels_mut().zip(image.pixels()) {
        let mut values = colours(from, full).map(|v| levels.stretch(v));
        *to = Rgb(std::array::from_fn(|_| values.next().unwrap_or(0)));
    }
    DynamicImage::ImageRgb8(rgb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{LumaA, Rgba};

    #[test]
    fn twelve_bits_in_sixteen_keep_all_their_precision() {
        let picture = ImageBuffer::from_fn(64, 64, |x, y| Luma([(x + 64 * y) as u16]));
        let picture = DynamicImage::ImageLuma16(picture);
        let levels = of_image(&picture).unwrap();
        assert_eq!((levels.low, levels.high), (0.0, 4095.0 / 65535.0));
        assert!(levels.warning("scans").unwrap().contains("data.range=\"auto\""));
        let bytes = stretched(picture, levels).into_luma8().into_raw();
        for (i, byte) in bytes.iter().enumerate() {
            assert_eq!(*byte, (i as f64 / 4095.0 * 255.0).round() as u8, "{i}");
        }
    }

    #[test]
    fn what_is_transparent_counts_as_white() {
        let clear = ImageBuffer::from_pixel(2, 1, Rgba([0u16, 0, 0, 0]));
        let levels = of_image(&DynamicImage::ImageRgba16(clear)).unwrap();
        assert_eq!((levels.low, levels.high), (1.0, 1.0));
        let half = ImageBuffer::from_pixel(2, 1, LumaA([0u8, 51]));
        let levels = of_image(&DynamicImage::ImageLumaA8(half)).unwrap();
        assert!((levels.low - 0.8).abs() < 1e-6, "{levels:?}");
        let none = ImageBuffer::from_pixel(2, 1, Rgb([f32::NAN, 0.0, 1.0]));
        assert_eq!(of_image(&DynamicImage::ImageRgb32F(none)), None);
    }

    #[test]
    fn peaks_that_cannot_be_meant_are_said() {
        for peak in [0.0, 0.02, 0.7, 1.0] {
            assert_eq!(peak_warning(peak, "x"), None, "{peak}");
        }
        assert!(peak_warning(32768.0, "x").unwrap().contains("beyond"));
        assert!(peak_warning(0.0001, "x").unwrap().contains("below"));
    }
}
