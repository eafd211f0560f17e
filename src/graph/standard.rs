//! What an op is in terms that frameworks share.

use crate::kernels::conv::Conv;
use crate::kernels::pointwise::Operation;

/// What an op makes of its inputs, for those who say it in another language. Extents are those of
/// the values; what is said here does not depend on how many images they are of.
#[derive(Clone, Debug, PartialEq)]
pub enum Standard {
    /// A tensor of one number.
    Constant(f32),
    /// The elements of the input in the same order under another shape.
    Reshape,
    /// The input repeated where the result is larger: aligned at the last axis, along axes of
    /// extent 1.
    Expand,
    /// A pointwise operation with its constant; operands are repeated as by [`Standard::Expand`].
    Pointwise(Operation, f32),
    /// The sum over all axes that the result has extent 1 along, times a number.
    Sum(f32),
    /// The logarithm of the sum of e^(x - x\[0\]) along axis 1, which keeps extent 1; x\[0\] is the
    /// first element along it.
    LogSumExpOfRest,
    /// Of logits `[n,classes,...]` and class numbers `[n,...]` the negative logarithm of that class's
    /// share in their softmax.
    CrossEntropy,
    /// Of x `[n,c]` or `[n,c,h,w]`, γ and β `[c]`: γ (x - mean) / √(var + this) + β, and mean and
    /// variance of each channel, `[c]`; the variance is the mean square of what is left of it.
    BatchNorm(f32),
    /// Of v and lengths of extent 1 along all axes but this one v · length / ‖v‖ for every element of
    /// the axis.
    WeightNorm(usize),
    /// Of W [outputs, ...], seen as a matrix, and vectors u and v W / (uᵀ W v).
    Spectral,
    /// Of `[n,2c,...]` the first half of the channels, or its tanh, times the sigmoid of the second.
    Gate {
        /// Whether it is its tanh.
        tanh: bool,
    },
    /// ELU of the input and of its negative, one behind the other along axis 1.
    ConcatElu,
    /// 1 where the input is the largest along an axis, of equals the first, and 0 elsewhere.
    Largest(usize),
    /// The product of two matrices, or of each of two batches of them; the first and the second are
    /// transposed or not, and a third input is added to every row.
    Product([bool; 2]),
    /// The convolution x, w, bias -> y of this block.
    Conv(Conv),
    /// The convolution of x `[n,c,h,w]` channel by channel, each with its kernel of w `[c,1,kh,kw]`
    /// and its bias: the stride, and the zeros on every side.
    Depthwise {
        /// Rows and columns from one output to the next.
        stride: usize,
        /// Zeros on every side.
        padding: usize,
    },
    /// The transposed convolution y, w, bias -> x of this block.
    ConvTranspose(Conv),
    /// As many elements of an axis as the result has, from this one on, so many apart.
    Slice {
        /// The axis.
        axis: usize,
        /// The first element.
        start: usize,
        /// Distance between elements.
        step: usize,
    },
    /// The elements of an axis so many apart, zeros between them, until the result is full.
    Dilate {
        /// The axis.
        axis: usize,
        /// Distance between elements.
        step: usize,
    },
    /// So many zeros before an axis, and behind it those that the result has room for.
    Pad {
        /// The axis.
        axis: usize,
        /// Zeros before it.
        before: usize,
    },
    /// An axis moved by so many elements; zeros take the places of those that are moved away.
    Shift {
        /// The axis.
        axis: usize,
        /// How far.
        by: isize,
    },
    /// An axis from its last element to its first.
    Flip(usize),
    /// Axes in another order: axis k of the result is this one of the input.
    Permute(Vec<usize>),
    /// One input behind the other along an axis.
    Concat(usize),
    /// Each element of the planes of `[n,c,h,w]` repeated so often down and to the right.
    Upsample([usize; 2]),
    /// The sum over windows of height and width that do not overlap, times a number.
    WindowSum([usize; 2], f32),
    /// The planes of `[n,c,h,w]` by their diagonals [n,c,h+w-1,h]: row d has element (i, d - i) in
    /// column i, and zeros where there is none.
    Skew,
    /// What [`Standard::Skew`] is undone by.
    Unskew,
    /// Of x [n,4 hidden,t,w] and weights [4 hidden,hidden,1,k] the states `[n,hidden,t,w]` of a long
    /// short-term memory that goes through the rows: its gates (out, forget, in, candidate) are
    /// given the row of x, and of the row of states before it the convolution with the weights,
    /// `left` zeros before the row and k - 1 - left behind it.
    Memory {
        /// Zeros before the row.
        left: usize,
    },
}
