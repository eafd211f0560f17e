//! What a convolution multiplies: patches of x with channels last, which are few long runs of an
//! image that lies so, with its zeros around it.

use super::conv::Conv;
use crate::kernels::host;
use rayon::prelude::*;
use std::ops::Range;

/// How a convolution's patches lie in a padded image `[height, width, ci]`. A patch has its live
/// taps in the kernel's order, the channels of each beside each other.
pub(super) struct Patches<'a> {
    conv: &'a Conv,
    /// Live taps; those of a mask come first.
    taps: usize,
    /// Width of a padded image.
    width: usize,
    /// Height of it.
    height: usize,
    /// Where a patch has its runs, from its first element on, and how long they are.
    runs: Vec<(usize, usize)>,
}

impl<'a> Patches<'a> {
    pub(super) fn new(conv: &'a Conv) -> Patches<'a> {
        let (ci, kw) = (conv.ci as usize, conv.kw as usize);
        let taps = if conv.mask == 0 { conv.taps() } else { conv.centre() + 1 };
        let reach = |out: u32, stride: u32, kernel: u32, dilation: u32, pad: u32, len: u32| {
            let read = (out as usize - 1) * stride as usize + (kernel as usize - 1) * dilation as usize + 1;
            read.max(pad as usize + len as usize)
        };
        let height = reach(conv.oh, conv.stride_h, conv.kh, conv.dilation_h, conv.pad_top, conv.h);
        let width = reach(conv.ow, conv.stride_w, conv.kw, conv.dilation_w, conv.pad_left, conv.w);
        let at = |tap: usize| {
            let [row, column] = [tap / kw * conv.dilation_h as usize, tap % kw * conv.dilation_w as usize];
            (row * width + column) * ci
        };
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for start in (0..taps).map(at) {
            match runs.last_mut() {
                Some((first, len)) if *first + *len == start => *len += ci,
                _ => runs.push((start, ci)),
            }
        }
        Patches { conv, taps, width, height, runs }
    }

    /// Elements of a patch.
    pub(super) fn terms(&self) -> usize {
        self.taps * self.conv.ci as usize
    }

    /// Whether there is room for the zeros around an image, and between what the outputs read.
    pub(super) fn fit(&self) -> bool {
        self.width * self.height <= 16 * (self.conv.x_plane() + self.conv.y_plane()) + 4096
    }

    /// w as `[co, live taps, ci]`, dead entries 0.
    pub(super) fn weights(&self, w: &[f32]) -> Vec<f32> {
        let (c, ci, taps) = (self.conv, self.conv.ci as usize, self.conv.taps());
        let mut weights = vec![0.0; c.co as usize * self.terms()];
        let one = |(o, to): (usize, &mut [f32])| {
            let w = &w[o * ci * taps..][..ci * taps];
            for (tap, to) in to.chunks_mut(ci).enumerate() {
                for (i, to) in to.iter_mut().enumerate() {
                    *to = if c.mask == 0 || c.live(tap, i, o) { w[i * taps + tap] } else { 0.0 };
                }
            }
        };
        if weights.len() <= host::PIECE {
            weights.chunks_mut(self.terms()).enumerate().for_each(one);
        } else {
            weights.par_chunks_mut(self.terms()).enumerate().for_each(one);
        }
        weights
    }

    /// Whether an image has nothing around it.
    fn is_bare(&self) -> bool {
        [self.height, self.width] == [self.conv.h as usize, self.conv.w as usize]
    }

    /// Where row `row` of an image stands in a padded one.
    fn row(&self, row: usize) -> Range<usize> {
        let (c, ci) = (self.conv, self.conv.ci as usize);
        let first = ((row + c.pad_top as usize) * self.width + c.pad_left as usize) * ci;
        first..first + c.w as usize * ci
    }

    /// Writes x `[ci, h, w]` to the second image, padded; the first is on the way there.
    pub(super) fn lay(&self, x: &[f32], image: &mut [Vec<f32>; 2]) {
        let (ci, plane) = (self.conv.ci as usize, self.conv.x_plane());
        let [plain, padded] = image;
        // What is around the image stays zero.
        padded.resize(self.height * self.width * ci, 0.0);
        if self.is_bare() {
            return transpose(x, [ci, plane], padded, ci);
        }
        plain.resize(x.len(), 0.0);
        transpose(x, [ci, plane], plain, ci);
        for (row, plain) in plain.chunks(self.conv.w as usize * ci).enumerate() {
            padded[self.row(row)].copy_from_slice(plain);
        }
    }

    /// Makes the second image zero.
    pub(super) fn clear(&self, image: &mut [Vec<f32>; 2]) {
        image[1].clear();
        image[1].resize(self.height * self.width * self.conv.ci as usize, 0.0);
    }

    /// Reads x from the second image: what [`Patches::lay`] does backwards.
    pub(super) fn take(&self, image: &mut [Vec<f32>; 2], x: &mut [f32]) {
        let (ci, plane) = (self.conv.ci as usize, self.conv.x_plane());
        let [plain, padded] = image;
        if self.is_bare() {
            return transpose(padded, [plane, ci], x, plane);
        }
        plain.resize(x.len(), 0.0);
        for (row, plain) in plain.chunks_mut(self.conv.w as usize * ci).enumerate() {
            plain.copy_from_slice(&padded[self.row(row)]);
        }
        transpose(plain, [plane, ci], x, plane);
    }

    /// Where the patch of position (row, column) of y starts.
    fn start(&self, row: usize, column: usize) -> usize {
        let c = self.conv;
        (row * c.stride_h as usize * self.width + column * c.stride_w as usize) * c.ci as usize
    }

    /// The patches of some rows of y from a padded image.
    pub(super) fn unfold(&self, padded: &[f32], rows: Range<usize>, columns: &mut [f32]) {
        let ow = self.conv.ow as usize;
        for (at, patch) in columns.chunks_mut(self.terms()).enumerate() {
            let start = self.start(rows.start + at / ow, at % ow);
            let mut to = 0;
            for &(first, len) in &self.runs {
                copy(&padded[start + first..][..len], &mut patch[to..to + len]);
                to += len;
            }
        }
    }

    /// Adds patches of some rows of y to the padded image they were, or would have been, taken from.
    pub(super) fn fold(&self, columns: &[f32], rows: Range<usize>, padded: &mut [f32]) {
        let starts: Vec<usize> =
            rows.flat_map(|row| (0..self.conv.ow as usize).map(move |column| self.start(row, column))).collect();
        add_patches(columns, &starts, &self.runs, padded);
    }
}

/// Runs may be as short as a few numbers, which no call is worth.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    if from.len() >= 16 {
        to.copy_from_slice(from);
    } else {
        std::iter::zip(to, from).for_each(|(to, from)| *to = *from);
    }
}

host::wide! {
    fn add_patches(columns: &[f32], starts: &[usize], runs: &[(usize, usize)], padded: &mut [f32]) {
        let terms = columns.len() / starts.len();
        for (start, mut patch) in std::iter::zip(starts, columns.chunks_exact(terms)) {
            for &(first, len) in runs {
                let (run, rest) = patch.split_at(len);
                for (to, from) in std::iter::zip(&mut padded[start + first..][..len], run) {
                    *to += from;
                }
                patch = rest;
            }
        }
    }
}

/// Rows and columns that are turned together.
const TILE: usize = 8;

host::wide! {
    /// to `[columns, rows]` = from `[rows, columns]`, where rows of the former begin `step` from each
    /// other.
    pub(super) fn transpose(from: &[f32], sizes: [usize; 2], to: &mut [f32], step: usize) {
        let [rows, columns] = sizes;
        if columns == 1 || (rows == 1 && step == 1) {
            return to[..from.len()].copy_from_slice(from);
        }
        let whole = [rows / TILE * TILE, columns / TILE * TILE];
        for row in (0..whole[0]).step_by(TILE) {
            for column in (0..whole[1]).step_by(TILE) {
                let mut tile = [[0.0f32; TILE]; TILE];
                for i in 0..TILE {
                    tile[i].copy_from_slice(&from[(row + i) * columns + column..][..TILE]);
                }
                for j in 0..TILE {
                    let to = &mut to[(column + j) * step + row..][..TILE];
                    for i in 0..TILE {
                        to[i] = tile[i][j];
                    }
                }
            }
        }
        for row in 0..rows {
            let first = if row < whole[0] { whole[1] } else { 0 };
            for column in first..columns {
                to[column * step + row] = from[row * columns + column];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_transposed() {
        for [rows, columns] in [[1, 7], [8, 16], [3, 5], [17, 30]] {
            let from: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            for step in [rows, rows + 3] {
                let mut to = vec![-1.0; columns * step];
                transpose(&from, [rows, columns], &mut to, step);
                for (i, from) in from.iter().enumerate() {
                    assert_eq!(to[i % columns * step + i / columns], *from, "{rows}x{columns}, {i}");
                }
                assert_eq!(to.iter().filter(|to| **to >= 0.0).count(), from.len());
            }
        }
    }
}
