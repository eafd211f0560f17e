//! Convolutions and products for the CPU as a device: f32, by a matrix library, parallel over
//! images in pieces that do not depend on how many threads there are.

use super::conv::Conv;
use super::epilogue::Tail;
use super::matmul::MatMul;
use super::matrix::{Matrix, product, product_in_pieces};
use super::patches::{Patches, transpose};
use crate::kernels::host;
use rayon::prelude::*;
use std::ops::Range;

/// Images whose weight gradients are summed by one task at most, and positions of y that are worth one.
const IMAGES: usize = 8;
const POSITIONS: usize = 512;
/// Tasks that few images are cut into, and tasks at most: each has sums of its own, which all are added up in the end.
const TASKS: [usize; 2] = [8, 32];
/// Elements of patches that are multiplied together, about: they stay in the second cache.
const AT_ONCE: usize = 1 << 18;

/// Positions of y whose patches are multiplied together: of whole images, or rows of one.
#[derive(Clone, Copy)]
struct Positions {
    /// Images, 1 where an image has too many positions.
    images: usize,
    /// Rows of y.
    rows: usize,
}

impl Positions {
    fn of(conv: &Conv, terms: usize) -> Positions {
        let (plane, row) = (conv.y_plane(), conv.ow as usize);
        let wanted = (AT_ONCE / terms).clamp(64, 512);
        let images = wanted.div_ceil(plane).min(conv.n as usize).max(1);
        let rows = if images > 1 { conv.oh as usize } else { wanted.div_ceil(row).min(conv.oh as usize) };
        Positions { images, rows }
    }
}

/// Calls `each` with the images from 0 on and the rows of y that are taken together.
fn blocks(conv: &Conv, images: usize, at_once: Positions, mut each: impl FnMut(Range<usize>, Range<usize>)) {
    let oh = conv.oh as usize;
    for first in (0..images).step_by(at_once.images) {
        for row in (0..oh).step_by(at_once.rows) {
            each(first..images.min(first + at_once.images), row..oh.min(row + at_once.rows));
        }
    }
}

/// What a task writes time and again.
#[derive(Default)]
struct Scratch {
    /// An image with channels last, twice: as it is and with zeros around.
    image: [Vec<f32>; 2],
    /// Patches `[positions, terms]`.
    columns: Vec<f32>,
    /// `[co, positions]`.
    outputs: Vec<f32>,
}

/// A slice of so many elements, with whatever is in it.
fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// What is done to finished sums, of whole images of so many elements each, side by side.
fn finish(tail: &Tail, image: usize, y: &mut [f32]) {
    if !tail.is_bare() {
        host::in_pieces(y, (host::PIECE / image).max(1) * image, |first, y| tail.finish(first, y));
    }
}

impl Conv {
    fn x_image(&self) -> usize {
        self.ci as usize * self.x_plane()
    }

    fn y_image(&self) -> usize {
        self.co as usize * self.y_plane()
    }

    /// Whether x itself, channel by channel, is what is multiplied: one tap that reads all of it.
    fn is_plain(&self) -> bool {
        let one = [self.kh, self.kw, self.stride_h, self.stride_w] == [1; 4];
        one && [self.pad_top, self.pad_left] == [0; 2] && [self.oh, self.ow] == [self.h, self.w]
    }

    /// x `[n, terms]`, w `[co, terms]` and y `[n, co]` of one that [is a product](Conv::is_product) of them as they stand.
    fn matrices<'a>(&self, x: &'a [f32], w: &'a [f32], y: &'a [f32]) -> [Matrix<'a, f32>; 3] {
        let (n, co, terms) = (self.n as usize, self.co as usize, self.x_image());
        [(x, n, terms), (w, co, terms), (y, n, co)].map(|(data, rows, cols)| Matrix::new(data, rows, cols))
    }

    /// Elements `[co, positions]` of some images: where they stand, or gathered.
    fn outputs<'a>(
        &self,
        y: &'a [f32],
        rows: &Range<usize>,
        images: &Range<usize>,
        to: &'a mut Vec<f32>,
    ) -> Matrix<'a, f32> {
        let (co, plane, ow) = (self.co as usize, self.y_plane(), self.ow as usize);
        let (first, len) = (rows.start * ow, rows.len() * ow);
        if images.len() == 1 {
            return Matrix::stepped(&y[images.start * co * plane + first..], co, len, plane);
        }
        let all = images.len() * len;
        let to = room(to, co * all);
        for (k, image) in y[images.start * co * plane..images.end * co * plane].chunks(co * plane).enumerate() {
            for (y, to) in std::iter::zip(image.chunks(plane), to.chunks_mut(all)) {
                to[k * len..(k + 1) * len].copy_from_slice(&y[first..first + len]);
            }
        }
        Matrix::new(to, co, all)
    }

    /// Whether what it multiplies has room.
    pub(super) fn has_room(&self) -> bool {
        Patches::new(self).fit()
    }

    /// conv(x, w) and what is done to it. Products of patches are fastest with channels last.
    pub(super) fn host_y(&self, x: &[f32], w: &[f32], y: &mut [f32], tail: &Tail) {
        if self.is_product() {
            let [x, w, _] = self.matrices(x, w, &[]);
            product_in_pieces(x, w.transposed(), y);
            return finish(tail, self.y_image(), y);
        }
        let patches = Patches::new(self);
        let (terms, weights) = (patches.terms(), patches.weights(w));
        let (co, plane, ow, image) = (self.co as usize, self.y_plane(), self.ow as usize, self.y_image());
        let mut turned = vec![0.0; if self.is_plain() { 0 } else { weights.len() }];
        if !self.is_plain() {
            transpose(&weights, [co, terms], &mut turned, co);
        }
        let at_once = Positions::of(self, terms);
        let task = at_once.images * image;
        let groups = y.par_chunks_mut(task).zip(x.par_chunks(at_once.images * self.x_image())).enumerate();
        groups.for_each_init(Scratch::default, |scratch, (group, (y, x))| {
            if self.is_plain() {
                for (x, y) in std::iter::zip(x.chunks(self.x_image()), y.chunks_mut(image)) {
                    product(Matrix::new(&weights, co, terms), Matrix::new(x, terms, plane), y, false);
                }
                return tail.finish(group * task, y);
            }
            blocks(self, y.len() / image, at_once, |images, rows| {
                let len = rows.len() * ow;
                let columns = room(&mut scratch.columns, images.len() * len * terms);
                for (image, columns) in std::iter::zip(images.clone(), columns.chunks_mut(len * terms)) {
                    if rows.start == 0 {
                        patches.lay(&x[image * self.x_image()..][..self.x_image()], &mut scratch.image);
                    }
                    patches.unfold(&scratch.image[1], rows.clone(), columns);
                }
                let all = images.len() * len;
                let sums = room(&mut scratch.outputs, all * co);
                product(Matrix::new(columns, all, terms), Matrix::new(&turned, terms, co), sums, false);
                for (at, sums) in std::iter::zip(images, sums.chunks(len * co)) {
                    transpose(sums, [len, co], &mut y[at * image + rows.start * ow..], plane);
                }
            });
            tail.finish(group * task, y);
        });
    }

    /// The transposed convolution of y and w, and what is done to it.
    pub(super) fn host_x(&self, y: &[f32], w: &[f32], x: &mut [f32], tail: &Tail) {
        if self.is_product() {
            let [_, w, y] = self.matrices(&[], w, y);
            product_in_pieces(y, w, x);
            return finish(tail, self.x_image(), x);
        }
        let patches = Patches::new(self);
        let (terms, weights) = (patches.terms(), patches.weights(w));
        let (co, plane, ow, image) = (self.co as usize, self.y_plane(), self.ow as usize, self.x_image());
        let w = Matrix::new(&weights, co, terms);
        let at_once = Positions::of(self, terms);
        let task = at_once.images * image;
        let groups = x.par_chunks_mut(task).zip(y.par_chunks(at_once.images * self.y_image())).enumerate();
        groups.for_each_init(Scratch::default, |scratch, (group, (x, y))| {
            if self.is_plain() {
                for (x, y) in std::iter::zip(x.chunks_mut(image), y.chunks(self.y_image())) {
                    product(w.transposed(), Matrix::new(y, co, plane), x, false);
                }
                return tail.finish(group * task, x);
            }
            let all = x.len() / image;
            blocks(self, all, at_once, |images, rows| {
                let len = rows.len() * ow;
                let outputs = self.outputs(y, &rows, &images, &mut scratch.outputs);
                let columns = room(&mut scratch.columns, images.len() * len * terms);
                product(outputs.transposed(), w, columns, false);
                for (at, columns) in std::iter::zip(images, columns.chunks(len * terms)) {
                    if rows.start == 0 {
                        patches.clear(&mut scratch.image);
                    }
                    patches.fold(columns, rows.clone(), &mut scratch.image[1]);
                    if rows.end == self.oh as usize {
                        patches.take(&mut scratch.image, &mut x[at * image..][..image]);
                    }
                }
            });
            tail.finish(group * task, x);
        });
    }

    /// The gradient of Σ dy · conv(x, w) by w; dead entries are 0.
    pub(super) fn host_w(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        if self.is_product() {
            let [x, _, dy] = self.matrices(x, &[], dy);
            return product_in_pieces(dy.transposed(), x, dw);
        }
        let patches = Patches::new(self);
        let (terms, ow) = (patches.terms(), self.ow as usize);
        let at_once = Positions::of(self, terms);
        let [few, most] = TASKS.map(|tasks| (self.n as usize).div_ceil(tasks));
        let images = few.max(POSITIONS.div_ceil(self.y_plane())).min(IMAGES).max(most);
        let groups = x.par_chunks(images * self.x_image()).zip(dy.par_chunks(images * self.y_image()));
        let partial: Vec<Vec<f32>> = groups
            .map_init(Scratch::default, |scratch, (x, dy)| {
                let mut sum = vec![0.0; self.co as usize * terms];
                if self.is_plain() {
                    for (x, dy) in std::iter::zip(x.chunks(self.x_image()), dy.chunks(self.y_image())) {
                        let dy = Matrix::new(dy, self.co as usize, self.y_plane());
                        product(dy, Matrix::new(x, terms, self.y_plane()).transposed(), &mut sum, true);
                    }
                    return sum;
                }
                blocks(self, x.len() / self.x_image(), at_once, |images, rows| {
                    let len = rows.len() * ow;
                    let columns = room(&mut scratch.columns, images.len() * len * terms);
                    for (image, columns) in std::iter::zip(images.clone(), columns.chunks_mut(len * terms)) {
                        if rows.start == 0 {
                            patches.lay(&x[image * self.x_image()..][..self.x_image()], &mut scratch.image);
                        }
                        patches.unfold(&scratch.image[1], rows.clone(), columns);
                    }
                    let dy = self.outputs(dy, &rows, &images, &mut scratch.outputs);
                    product(dy, Matrix::new(columns, images.len() * len, terms), &mut sum, true);
                });
                sum
            })
            .collect();
        let ci = self.ci as usize;
        dw.par_chunks_mut(self.taps()).enumerate().for_each(|(at, dw)| {
            let (o, i) = (at / ci, at % ci);
            for (tap, dw) in dw.iter_mut().enumerate() {
                let sum = |tap: usize| partial.iter().map(|p| p[o * terms + tap * ci + i]).sum();
                *dw = if self.live(tap, i, o) { sum(tap) } else { 0.0 };
            }
        });
    }
}

host::wide! {
    /// c = a number times b.
    fn scale(a: f32, b: &[f32], c: &mut [f32]) {
        for (c, b) in std::iter::zip(c, b) {
            *c = a * b;
        }
    }
}

impl MatMul {
    /// a·b and what is done to it.
    pub(super) fn host_c(&self, a: &[f32], b: &[f32], c: &mut [f32], tail: &Tail) {
        let [m, k, n] = [self.m, self.k, self.n].map(|v| v as usize);
        let rows = (host::PIECE / n).max(1);
        // One term, or one column of sums over rows: as much is read as is computed.
        if k == 1 {
            return host::in_pieces(c, rows * n, |first, c| {
                for (row, c) in (first / n..).zip(c.chunks_mut(n)) {
                    scale(a[row], &b[row / m * n..][..n], c);
                }
                tail.finish(first, c);
            });
        }
        if n == 1 && self.trans_a == 0 {
            return host::in_pieces(c, (host::PIECE / k).max(1), |first, c| {
                for (row, c) in (first..).zip(&mut *c) {
                    *c = host::dot(&a[row * k..][..k], &b[row / m * k..][..k]) as f32;
                }
                tail.finish(first, c);
            });
        }
        let matrix = |data, rows, cols, transposed: u32| {
            if transposed != 0 { Matrix::new(data, cols, rows).transposed() } else { Matrix::new(data, rows, cols) }
        };
        for (batch, c) in c.chunks_mut((m * n).max(1)).enumerate() {
            let a = matrix(&a[batch * m * k..][..m * k], m, k, self.trans_a);
            let b = matrix(&b[batch * k * n..][..k * n], k, n, self.trans_b);
            product_in_pieces(a, b, c);
        }
        finish(tail, n, c);
    }
}
