//! The odd shapes every convolution role is checked with, and the presets' shapes.

use super::conv::Conv;
use crate::kernels::activation::Activation::{self, Elu, Identity, LeakyRelu, Relu, Sigmoid, Tanh};

const ACTIVATIONS: [Activation; 6] = [Identity, Relu, LeakyRelu(0.2), Elu, Tanh, Sigmoid];

/// Unmasked cases.
pub(super) fn plain() -> Vec<Conv> {
    let same = |s| [s, s];
    let mut all = vec![
        // A single pixel and a single channel.
        Conv::new([1, 1, 1, 1], 1, [1, 1]),
        // Primes everywhere.
        Conv::new([3, 5, 11, 13], 7, [3, 5]).with([1, 1], [1, 1], [1, 2, 1, 2]),
        // A kernel larger than its input, reached by padding.
        Conv::new([2, 3, 2, 2], 5, [5, 5]).with([1, 1], [1, 1], [2, 2, 2, 2]),
        // The DCGAN layer, small; many channels; few.
        Conv::new([9, 8, 8, 8], 40, [4, 4]).with(same(2), same(1), [1; 4]),
        Conv::new([2, 36, 6, 6], 33, [4, 4]).with(same(2), same(1), [1; 4]),
        Conv::new([17, 1, 9, 9], 66, [4, 4]).with(same(2), same(1), [1; 4]),
        Conv::new([2, 70, 5, 5], 3, [3, 3]).with(same(1), same(1), [1; 4]),
        // Strides that do not divide, sizes larger than the minimum (output_padding 1 and 2).
        Conv::new([2, 4, 10, 10], 6, [3, 3]).with(same(2), same(1), [1; 4]),
        Conv::new([1, 3, 12, 13], 4, [4, 4]).with(same(3), same(1), [1; 4]),
        Conv::new([1, 3, 11, 9], 1, [2, 2]).with(same(3), same(1), [0; 4]),
        // Asymmetric stride, dilation and padding on four sides.
        Conv::new([2, 3, 9, 14], 5, [3, 2]).with([1, 3], [2, 1], [0, 3, 2, 1]),
        Conv::new([1, 2, 15, 6], 9, [2, 4]).with([3, 1], [1, 2], [2, 0, 0, 4]),
        // Dilation and stride share a factor: some phases have no live tap.
        Conv::new([1, 2, 9, 9], 4, [3, 3]).with(same(2), same(2), [1; 4]),
        Conv::new([1, 2, 13, 13], 3, [2, 2]).with(same(4), same(2), [0; 4]),
        Conv::new([1, 3, 14, 12], 5, [3, 2]).with([6, 3], [4, 6], [1, 0, 2, 1]),
        // Kernels of one row and one column.
        Conv::new([4, 6, 5, 17], 10, [1, 7]).with(same(1), same(1), [0, 3, 0, 3]),
        Conv::new([2, 3, 17, 2], 19, [7, 1]).with(same(1), same(1), [6, 0, 0, 0]),
        // 1x1 convolutions: matrix products over the pixels.
        Conv::new([8, 32, 7, 8], 16, [1, 1]),
        Conv::new([5, 16, 7, 7], 32, [1, 1]),
        Conv::new([5, 17, 6, 6], 33, [1, 1]).gated(0.0),
        Conv::new([1, 17, 8, 8], 1, [1, 1]),
        Conv::new([3, 9, 6, 10], 37, [1, 1]).epilogue(Relu, true, true),
        Conv::new([2, 70, 2, 6], 33, [1, 1]).epilogue(LeakyRelu(0.2), false, true),
        Conv::new([7, 1, 2, 2], 3, [1, 1]).epilogue(Tanh, true, false),
        // Kernels three wide that keep the size: taller than wide, off centre, more channels than a
        // workgroup takes.
        Conv::new([2, 9, 6, 8], 37, [3, 3]).with(same(1), same(1), [1; 4]).epilogue(Relu, true, true),
        Conv::new([3, 20, 5, 4], 3, [5, 3]).with(same(1), same(1), [2, 1, 2, 1]),
        Conv::new([2, 33, 7, 12], 17, [2, 3]).with(same(1), same(1), [1, 1, 0, 1]).epilogue(Tanh, false, true),
        Conv::new([3, 10, 5, 8], 18, [3, 3]).with(same(1), same(1), [1; 4]).epilogue(Identity, false, true).gated(0.0),
        // To few channels, by columns.
        Conv::new([3, 2, 9, 9], 12, [4, 4]).with(same(2), same(1), [1; 4]).epilogue(Elu, true, true).gated(-0.5),
        // To one pixel, from one pixel: matrix products, with few columns or many.
        Conv::new([5, 6, 3, 4], 7, [3, 4]).epilogue(Elu, true, true).gated(0.3),
        Conv::new([70, 40, 4, 4], 1, [4, 4]).epilogue(Identity, true, false),
        Conv::new([66, 5, 3, 3], 67, [3, 3]).epilogue(LeakyRelu(0.2), true, false),
        // With more results than the processor finishes at once, in images that do not divide that.
        Conv::new([400, 3, 4, 4], 70, [4, 4]).epilogue(LeakyRelu(0.2), true, true),
        Conv::new([3, 4, 2, 5], 3, [2, 5]).with(same(3), same(1), [0, 0, 1, 2]),
        // To and from two, three and four channels.
        Conv::new([2, 2, 10, 9], 4, [3, 3]).with(same(1), same(1), [1; 4]).epilogue(Relu, true, false).gated(0.1),
        Conv::new([2, 3, 8, 8], 70, [4, 4]).with(same(2), same(1), [1; 4]).epilogue(Tanh, true, true),
        Conv::new([3, 66, 6, 5], 2, [3, 3]).with(same(2), [1, 2], [1; 4]),
        // Sums long enough to be split.
        Conv::new([16, 3, 24, 24], 5, [3, 3]).with(same(1), same(1), [1; 4]),
        Conv::new([4, 130, 4, 4], 68, [3, 3]).with(same(1), same(1), [1; 4]),
        // More than 65535 outputs.
        Conv::new([1, 1, 270, 260], 1, [1, 2]).with(same(1), same(1), [0, 1, 0, 0]),
    ];
    // Channels last: of both sides, of either; strides, phases, few channels and many, sums that are split.
    all.extend([
        Conv::new([3, 8, 7, 6], 12, [3, 3]).with(same(1), same(1), [1; 4]).epilogue(Relu, true, true).last(true, true),
        Conv::new([2, 36, 6, 6], 44, [4, 4]).with(same(2), same(1), [1; 4]).epilogue(Elu, true, false).last(true, true),
        Conv::new([3, 64, 5, 7], 20, [1, 1]).epilogue(Tanh, true, true).gated(0.2).last(true, true),
        Conv::new([2, 3, 10, 9], 64, [4, 4])
            .with(same(2), same(1), [1; 4])
            .epilogue(Relu, true, true)
            .last(false, true),
        Conv::new([2, 1, 9, 9], 32, [5, 5]).with(same(1), [2, 1], [1; 4]).gated(0.1).last(false, true),
        Conv::new([2, 20, 9, 8], 3, [3, 3])
            .with([1, 2], [2, 1], [0, 1, 2, 1])
            .epilogue(Tanh, true, false)
            .last(true, false),
        Conv::new([4, 132, 4, 4], 68, [3, 3])
            .with(same(1), same(1), [1; 4])
            .epilogue(Identity, true, true)
            .last(true, true),
        Conv::new([1, 4, 12, 13], 4, [4, 4])
            .with(same(3), same(2), [2; 4])
            .epilogue(Identity, true, false)
            .last(true, true),
    ]);
    let base = Conv::new([3, 5, 6, 7], 6, [3, 3]).with(same(1), same(1), [1; 4]);
    for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
        all.push(base.epilogue(activation, i % 2 == 0, i % 3 == 0));
        all.push(Conv { co: 35, ..base }.epilogue(activation, i % 2 == 1, i % 3 != 0));
        all.push(Conv { ci: 9, ..base }.epilogue(activation, i % 3 == 0, i % 2 == 0).gated(0.2));
    }
    all
}

/// Masks A and B with and without colours.
pub(super) fn masked() -> Vec<Conv> {
    let mut all = Vec::new();
    for mask in [1, 2] {
        for (groups, ci, co) in [(1, 3, 5), (1, 1, 33), (3, 7, 8), (3, 12, 40)] {
            for k in [[3, 3], [5, 5], [7, 7], [1, 3], [3, 1]] {
                // The larger channel counts take two kernels, the smaller ones all five.
                if co > 30 && k[0] != 3 {
                    continue;
                }
                let pad = [k[0] / 2, k[1] / 2, k[0] / 2, k[1] / 2];
                let conv = Conv::new([2, ci, 6, 7], co, k).with([1, 1], [1, 1], pad).masked(mask, groups);
                all.push(conv.epilogue(Identity, k[0] == 3, false));
            }
        }
        let dilated = Conv::new([1, 6, 9, 8], 9, [3, 3]).with([1, 1], [2, 2], [2; 4]);
        all.push(dilated.masked(mask, 1).epilogue(Relu, true, true));
        all.push(dilated.masked(mask, 3));
        // A mask and a stride; one colour has no channel at all.
        let strided = Conv::new([2, 2, 9, 9], 4, [3, 3]).with([2, 2], [1, 1], [1; 4]);
        all.push(strided.masked(mask, 3));
        all.push(Conv::new([9, 16, 7, 7], 16, [3, 3]).with([1, 1], [1, 1], [1; 4]).masked(mask, 1));
        // Rows of fours.
        all.push(
            Conv::new([2, 17, 6, 8], 9, [3, 3]).with([1, 1], [1, 1], [1; 4]).masked(mask, 1).epilogue(Relu, true, true),
        );
        all.push(Conv::new([5, 3, 4, 12], 34, [5, 3]).with([1, 1], [1, 1], [2, 1, 2, 1]).masked(mask, 1));
        // Channels last, with colours of even and of uneven numbers of fours.
        for (groups, ci, co) in [(1, 16, 20), (3, 12, 60), (2, 24, 8)] {
            let conv = Conv::new([2, ci, 6, 5], co, [3, 3]).with([1, 1], [1, 1], [1; 4]).masked(mask, groups);
            all.push(conv.epilogue(Relu, true, true).last(true, true));
            all.push(conv.epilogue(Identity, true, false).last(false, true));
            all.push(conv.gated(0.3).last(true, false));
            all.push(Conv::new([3, ci, 4, 4], co, [1, 1]).masked(mask, groups).last(true, true));
        }
        // The 1x1 kernel is its own centre: with mask A and one colour nothing is seen at all.
        all.push(Conv::new([2, 6, 5, 5], 6, [1, 1]).masked(mask, 3).epilogue(Relu, true, true));
        all.push(Conv::new([3, 5, 4, 5], 7, [1, 1]).masked(mask, 1).epilogue(Identity, true, false));
    }
    all
}

/// The layers of the presets whose roles are plain convolutions.
pub(super) fn preset_layers() -> Vec<Conv> {
    let down = |x, co| Conv::new(x, co, [4, 4]).with([2, 2], [1, 1], [1; 4]);
    vec![
        // dcgan-28, c = 64, batch 64; the generator's layers are the same two, transposed.
        down([64, 1, 28, 28], 64),
        down([64, 64, 14, 14], 128),
        // pixelcnn, batch 16.
        Conv::new([16, 32, 28, 28], 16, [1, 1]),
        Conv::new([16, 16, 28, 28], 32, [1, 1]),
        Conv::new([16, 32, 28, 28], 32, [1, 1]),
        Conv::new([16, 32, 28, 28], 1, [1, 1]),
        // dcgan, 64x64, batch 16.
        down([16, 3, 64, 64], 64),
        down([16, 64, 32, 32], 128),
        down([16, 128, 16, 16], 256),
        down([16, 256, 8, 8], 512),
        Conv::new([16, 512, 4, 4], 1, [4, 4]),
        Conv::new([16, 512, 4, 4], 100, [4, 4]),
        // The same as it is trained, batch 128.
        down([128, 3, 64, 64], 64),
        down([128, 64, 32, 32], 128),
        down([128, 128, 16, 16], 256),
        down([128, 256, 8, 8], 512),
        Conv::new([128, 512, 4, 4], 1, [4, 4]),
        Conv::new([128, 512, 4, 4], 100, [4, 4]),
    ]
}

/// The masked layers of the presets.
pub(super) fn masked_preset_layers() -> Vec<Conv> {
    vec![
        Conv::new([16, 1, 28, 28], 32, [7, 7]).with([1, 1], [1, 1], [3; 4]).masked(1, 1),
        Conv::new([16, 16, 28, 28], 16, [3, 3]).with([1, 1], [1, 1], [1; 4]).masked(2, 1),
    ]
}
