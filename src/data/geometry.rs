//! Image sizes, and bringing one image to another size.

use std::fmt;

use image::{DynamicImage, GrayImage, RgbImage, imageops::FilterType};

use super::Error;

/// The largest side limn handles, in pixels.
const MAX_SIDE: usize = 4096;

/// The largest width of an image of one row, such as a sound is.
const MAX_ROW: usize = 65_536;

/// Channels, height and width of one image. Stored planar: all of channel 0, then channel 1, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Rows, in pixels.
    pub height: usize,
    /// Columns, in pixels.
    pub width: usize,
}

impl Geometry {
    /// A geometry of `channels` x `height` x `width`; not checked, see [`Geometry::check`].
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Geometry { channels, height, width }
    }

    /// Bytes (elements) of one image.
    pub const fn elements(&self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }

    /// Refuses channels other than 1 and 3, and sides of 0 or over 4096 (65536 for a single row)
    /// ([`Error::BadGeometry`]).
    pub fn check(self) -> Result<Self, Error> {
        let (sides, widest) = (1..=MAX_SIDE, if self.height == 1 { MAX_ROW } else { MAX_SIDE });
        let fine = matches!(self.channels, 1 | 3) && sides.contains(&self.height) && (1..=widest).contains(&self.width);
        if fine { Ok(self) } else { Err(Error::BadGeometry(self)) }
    }

    /// How images of this geometry become ones of another, for people; nothing where they are the
    /// same.
    pub fn made(self, other: Geometry) -> Option<String> {
        self.made_how(other).map(|how| format!("{self}, {how}"))
    }

    /// What is done to them on the way: "cropped to the middle 40x40, scaled to 28x28, made grey".
    pub fn made_how(self, other: Geometry) -> Option<String> {
        let [w, h] = kept([self.width, self.height], [other.width, other.height]);
        let [cropped, scaled] = self.cut_and_scaled(other);
        let cropped = cropped.then(|| format!("cropped to the middle {w}x{h}"));
        let scaled = scaled.then(|| format!("scaled to {}x{}", other.width, other.height));
        let coloured = match (self.channels, other.channels) {
            (a, b) if a == b => None,
            (_, 1) => Some("made grey".to_string()),
            _ => Some("grey in three channels".to_string()),
        };
        let done: Vec<String> = [cropped, scaled, coloured].into_iter().flatten().collect();
        (self != other).then(|| done.join(", "))
    }

    /// Whether they are cropped on the way, and whether they are scaled.
    pub(super) fn cut_and_scaled(self, other: Geometry) -> [bool; 2] {
        let (own, wanted) = ([self.width, self.height], [other.width, other.height]);
        let left = kept(own, wanted);
        [left != own, left != wanted]
    }

    /// Says in one sentence that `what`, which has this geometry, does not fit a model that takes
    /// `wants` ([`Error::Mismatch`]); `Ok` when the two are equal.
    pub fn require(self, wants: Geometry, what: &str) -> Result<(), Error> {
        if self == wants {
            return Ok(());
        }
        Err(Error::Mismatch { what: what.to_string(), has: self, wants })
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = match self.channels {
            1 => "grey",
            3 => "RGB",
            n => return write!(f, "{}x{} with {n} channels", self.width, self.height),
        };
        write!(f, "{}x{} {colour}", self.width, self.height)
    }
}

/// Brings a decoded image to `wanted`, as planar bytes: transparency is laid on white, the middle
/// of the longer side is kept, the rest is scaled with an antialiasing (triangle) filter.
pub(super) fn fit(image: DynamicImage, wanted: Geometry) -> Vec<u8> {
    let image = if image.color().has_alpha() { on_white(&image) } else { image };
    let image = scale(image, wanted.width as u32, wanted.height as u32);
    if wanted.channels == 3 {
        return planar_rgb(&image.into_rgb8());
    }
    match image {
        DynamicImage::ImageLuma8(grey) => grey.into_raw(),
        other => other.into_rgb8().pixels().map(|p| luma(p.0)).collect(),
    }
}

/// Brings one planar image from `has` to `wanted`; `bytes` holds `has.elements()` bytes.
pub(super) fn refit(bytes: &[u8], has: Geometry, wanted: Geometry) -> Vec<u8> {
    let (w, h) = (has.width as u32, has.height as u32);
    let plane = has.width * has.height;
    let image = if has.channels == 1 {
        GrayImage::from_raw(w, h, bytes.to_vec()).map(DynamicImage::ImageLuma8)
    } else {
        let (r, gb) = bytes.split_at(plane);
        let (g, b) = gb.split_at(plane);
        let interleaved = (0..plane).flat_map(|i| [r[i], g[i], b[i]]).collect();
        RgbImage::from_raw(w, h, interleaved).map(DynamicImage::ImageRgb8)
    };
    match image {
        Some(image) => fit(image, wanted),
        // Not reachable: the caller cut `bytes` to has.elements().
        None => vec![0; wanted.elements()],
    }
}

/// Rec. 601 luma, rounded, with PIL's and torchvision's weights. Exact for r = g = b.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) + 500) / 1000) as u8
}

fn on_white(image: &DynamicImage) -> DynamicImage {
    let rgba = image.to_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let alpha = u32::from(from[3]);
        for c in 0..3 {
            to[c] = ((u32::from(from[c]) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
    DynamicImage::ImageRgb8(rgb)
}

/// Width and height of the middle of an image that has the proportions wanted.
fn kept([w, h]: [usize; 2], [wanted_w, wanted_h]: [usize; 2]) -> [usize; 2] {
    let part = |of: usize, other: usize, a: usize, b: usize| {
        (of as u64).min((other as u64 * a as u64 + b as u64 / 2) / (b as u64).max(1)).max(1) as usize
    };
    [part(w, h, wanted_w, wanted_h), part(h, w, wanted_h, wanted_w)]
}

/// Crops first and scales after: the picture is the same as scaling the short side and cropping,
/// but a 1 x 60000 image does not become a 64 x 3840000 one on the way.
fn scale(image: DynamicImage, width: u32, height: u32) -> DynamicImage {
    let (w, h) = (image.width(), image.height());
    if (w, h) == (width, height) {
        return image;
    }
    let [keep_w, keep_h] = kept([w, h].map(|n| n as usize), [width, height].map(|n| n as usize)).map(|n| n as u32);
    let (x, y) = ((w - keep_w) / 2, (h - keep_h) / 2);
    // Sixteen bits and palettes are decoded to 8 bits before the arithmetic, greys stay grey.
    let image = if image.color().has_color() {
        DynamicImage::ImageRgb8(image.into_rgb8())
    } else {
        DynamicImage::ImageLuma8(image.into_luma8())
    };
    image.crop_imm(x, y, keep_w, keep_h).resize_exact(width, height, FilterType::Triangle)
}

fn planar_rgb(image: &RgbImage) -> Vec<u8> {
    (0..3).flat_map(|c| image.pixels().map(move |p| p[c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    #[test]
    fn same_size_is_untouched() {
        let has = Geometry::new(3, 5, 4);
        let bytes: Vec<u8> = (0..60).collect();
        assert_eq!(refit(&bytes, has, has), bytes);
        let grey = Geometry::new(1, 5, 4);
        assert_eq!(refit(&bytes[..20], grey, grey), bytes[..20]);
    }

    #[test]
    fn grey_to_rgb_repeats_and_back_is_exact() {
        let (grey, rgb) = (Geometry::new(1, 16, 16), Geometry::new(3, 16, 16));
        let bytes: Vec<u8> = (0..=255).collect();
        let colour = refit(&bytes, grey, rgb);
        assert_eq!(colour, bytes.repeat(3));
        assert_eq!(refit(&colour, rgb, grey), bytes);
    }

    #[test]
    fn rgb_to_grey_is_luma() {
        let rgb = Geometry::new(3, 1, 3);
        let bytes = [255, 0, 0, 0, 255, 0, 0, 0, 255];
        assert_eq!(refit(&bytes, rgb, Geometry::new(1, 1, 3)), [76, 150, 29]);
    }

    #[test]
    fn crops_the_middle_and_scales() {
        // Columns 0..8 of a 4-row image; the middle four are bright.
        let has = Geometry::new(1, 4, 8);
        let bytes: Vec<u8> = (0..32).map(|i| if (2..6).contains(&(i % 8)) { 200 } else { 0 }).collect();
        assert_eq!(refit(&bytes, has, Geometry::new(1, 4, 4)), vec![200; 16]);
        assert_eq!(refit(&bytes, has, Geometry::new(1, 2, 2)).len(), 4);
        assert_eq!(refit(&bytes, has, Geometry::new(3, 64, 48)).len(), 3 * 64 * 48);
    }

    #[test]
    fn what_is_done_to_images_is_told() {
        let has = Geometry::new(3, 200, 300);
        let told = |h, w, c| has.made(Geometry::new(c, h, w)).unwrap_or_default();
        assert_eq!(told(64, 64, 3), "300x200 RGB, cropped to the middle 200x200, scaled to 64x64");
        assert_eq!(told(200, 200, 1), "300x200 RGB, cropped to the middle 200x200, made grey");
        assert_eq!(told(100, 150, 3), "300x200 RGB, scaled to 150x100");
        assert_eq!(told(200, 300, 3), "");
    }

    #[test]
    fn extreme_shapes_stay_small() {
        let line = Geometry::new(1, 1, 5000);
        let out = refit(&vec![77; 5000], line, Geometry::new(1, 64, 64));
        assert_eq!(out, vec![77; 4096]);
    }

    #[test]
    fn alpha_is_laid_on_white() {
        let mut image = RgbaImage::new(2, 1);
        image.put_pixel(0, 0, Rgba([10, 20, 30, 0]));
        image.put_pixel(1, 0, Rgba([10, 20, 30, 255]));
        let out = fit(DynamicImage::ImageRgba8(image), Geometry::new(3, 1, 2));
        assert_eq!(out, [255, 10, 255, 20, 255, 30]);
    }

    #[test]
    fn bad_geometries_are_refused() {
        for (c, h, w) in [(2, 28, 28), (1, 0, 28), (3, 28, 4097), (usize::MAX, usize::MAX, 9)] {
            assert!(matches!(Geometry::new(c, h, w).check(), Err(Error::BadGeometry(_))));
        }
        let e = Geometry::new(3, 30, 20).require(Geometry::new(1, 28, 28), "photo.png");
        assert_eq!(
            e.unwrap_err().to_string(),
            "photo.png is 20x30 RGB, which does not fit the model: it takes 28x28 grey"
        );
    }
}
