//! Images drawn pixel by pixel: the distribution of a pixel, programs of one pixel, and what draws them.

pub mod draw_pixels;
pub mod head;
pub mod pixel_code;
mod pixel_walk;
pub mod sample_pixel;
pub mod skew;
