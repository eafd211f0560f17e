//! What a model is given: images, and their classes where it has any.

use super::Model;
use crate::graph::{Graph, Var};

/// Images, and the class of each for models that have classes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[n,c,h,w]` in [0, 1].
    pub images: Var,
    /// The classes, `[n,classes]`, with a one in the column of each image's and zeros elsewhere;
    /// for models with [`crate::models::ImageSpec::classes`].
    pub labels: Option<Var>,
}

impl Batch {
    /// `n` images as the host gives them in the inputs `images` `[n,c,h,w]` and, for models with
    /// classes, `labels` `[n,classes]`.
    pub fn given(graph: &Graph, model: &dyn Model, n: usize) -> Batch {
        let [c, h, w] = model.geometry();
        Batch { images: graph.input("images", &[n, c, h, w]), labels: Batch::given_labels(graph, model, n) }
    }

    /// The classes of `n` images from the input `labels` `[n,classes]`, for models that have
    /// classes.
    pub fn given_labels(graph: &Graph, model: &dyn Model, n: usize) -> Option<Var> {
        let classes = model.classes();
        (classes > 0).then(|| graph.input("labels", &[n, classes]))
    }

    /// `n` images as they are uploaded in the input `images`, four bytes to a word: the pixels of
    /// all, and behind them for models with classes a byte for the class of each. See
    /// [`crate::data::Split::upload`]. Those of the small parts of a step are one behind the other, each
    /// from a word of its own.
    pub fn uploaded(graph: &Graph, model: &dyn Model, n: usize) -> Batch {
        let ([c, h, w], classes) = (model.geometry(), model.classes());
        let pixels = n * c * h * w;
        let labels = if classes > 0 { n } else { 0 };
        let (len, shard) = ((pixels + labels).div_ceil(4), graph.shard());
        let words = match shard.parts {
            1 => graph.input("images", &[len]),
            parts => graph.input("images", &[parts * len]).slice(0, shard.part * len, len),
        };
        let images = graph.decode_u8(&words, &[n, c, h, w], 1.0, 0.0);
        Batch { images, labels: (classes > 0).then(|| graph.one_hot(&words, pixels, [n, classes])) }
    }

    /// The graph it belongs to.
    pub fn graph(&self) -> &Graph {
        self.images.graph()
    }

    /// Images in it.
    pub fn len(&self) -> usize {
        self.images.shape()[0]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Other images of the same classes.
    pub fn with_images(&self, images: Var) -> Batch {
        Batch { images, labels: self.labels.clone() }
    }
}
