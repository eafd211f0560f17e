//! Differentiable augmentation: Zhao, Liu, Lin, Zhu & Han, "Differentiable Augmentation for
//! Data-Efficient GAN Training" (NeurIPS 2020). The discriminator sees images of the data and
//! generated ones only after the same random changes, through which the generator's gradient flows,
//! so that it cannot learn few images by heart and the generator does not learn the changes.

use crate::graph::Var;
use serde::{Deserialize, Serialize};

/// A random change of images `[n,c,h,w]`, new for each image and at every step. Amounts are the
/// paper's, whose images are in [-1, 1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    /// Brightness up or down by at most 1/2, saturation times up to 2, contrast times 1/2 to 3/2.
    Color,
    /// Moved by at most an eighth of the side along each axis; what moves in is 0.
    Translation,
    /// A square of half the side is 0, centred anywhere in the image.
    Cutout,
}

impl Augmentation {
    /// The changed images.
    pub fn apply(self, images: &Var) -> Var {
        images.graph().scope("augment");
        match self {
            Augmentation::Color => color(images),
            Augmentation::Translation => {
                let [h, w] = sides(images);
                images.translate([h, w].map(|side| (side + 4) / 8))
            }
            Augmentation::Cutout => cutout(images),
        }
    }
}

fn sides(images: &Var) -> [usize; 2] {
    [images.shape()[2], images.shape()[3]]
}

fn color(images: &Var) -> Var {
    let draw = |low, high| images.graph().uniform(&[images.shape()[0], 1, 1, 1], low, high);
    let away_from = |mean: &Var, x: &Var, by: &Var| &(&(x - mean) * by) + mean;
    let mut x = images + &draw(-0.5, 0.5);
    if x.shape()[1] > 1 {
        let grey = x.mean_axes(&[1]);
        x = away_from(&grey, &x, &draw(0.0, 2.0));
    }
    let mean = x.mean_axes(&[1, 2, 3]);
    away_from(&mean, &x, &draw(0.5, 1.5))
}

fn cutout(images: &Var) -> Var {
    let [h, w] = sides(images);
    let square = [h, w].map(|side| side.div_ceil(2));
    let [top, left] = [(h - square[0]) / 2, (w - square[1]) / 2];
    let ones = images.graph().constant(&[images.shape()[0], 1, square[0], square[1]], 1.0);
    let middle = ones.pad(2, top, h - square[0] - top).pad(3, left, w - square[1] - left);
    // From the middle, so far as to have its own middle at any pixel.
    let hole = middle.translate([h / 2, w / 2]);
    images * &(-&hole).add_scalar(1.0)
}
