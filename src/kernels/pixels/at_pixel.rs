//! What a kernel does at one position of an image, told in plain numbers.

use crate::kernels::pointwise::Operation;

/// What a kernel does at each position of an image, where it works on every position alone or reads
/// others at fixed distances: what [`Kernel::at_pixel`](crate::kernels::Kernel::at_pixel) returns.
/// Rows and columns of distances are from the position to what is read there; outside of the image
/// there are zeros.
#[derive(Clone, Debug, PartialEq)]
pub enum AtPixel {
    /// then(Σ over taps and i of x\[y + dy, x + dx, i\] · w\[o, i, tap\] + b\[o\] + r\[o\]), where
    /// the kernel reads x, w, b and r, the last two if they are there.
    Conv {
        /// Rows and columns of x from a position to the next; only those of \[1, 1\] are drawn
        /// pixel by pixel.
        stride: [u32; 2],
        /// The taps that take part.
        taps: Vec<PixelTap>,
        /// A pointwise operation at the end, with its constant.
        then: Option<(Operation, f32)>,
    },
    /// The operation with its constant, of one read or two, channel by channel.
    Pointwise(Operation, f32),
    /// Channels `start` and following of the first read at a distance, followed by those of the
    /// second if there is one.
    Join {
        /// The first channel that is taken.
        start: u32,
        /// Rows and columns to the first read.
        offset: [i32; 2],
    },
}

/// A tap of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelTap {
    /// Which of the weights of two channels is its own.
    pub weight: usize,
    /// Rows and columns to what is read.
    pub offset: [i32; 2],
    /// Which channels it leads from and to.
    pub channels: Linked,
}

/// Pairs of channels that a tap links. Of so many colours, channel k belongs to colour k modulo
/// their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// All.
    All,
    /// Those that lead to a later colour: mask A, for this number of colours.
    Earlier(u32),
    /// Those that lead to a later colour or the same: mask B.
    NotLater(u32),
    /// None.
    Nothing,
}

impl Linked {
    /// Whether a channel that is read and one that is made are such a pair.
    pub fn links(self, input: usize, output: usize) -> bool {
        let colour = |channel: usize, colours: u32| channel % colours as usize;
        match self {
            Linked::All => true,
            Linked::Earlier(colours) => colour(input, colours) < colour(output, colours),
            Linked::NotLater(colours) => colour(input, colours) <= colour(output, colours),
            Linked::Nothing => false,
        }
    }
}
