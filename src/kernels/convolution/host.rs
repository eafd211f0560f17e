//! Convolutions and products for the CPU as a device: f32, by a matrix library, parallel over
//! images in pieces that do not depend on how many threads there are.

use super::conv::{Conv, Tap};
use super::matmul::MatMul;
use super::matrix::{Matrix, product};
use rayon::prelude::*;

/// Images whose weight gradients are summed by one task.
const IMAGES: usize = 8;
/// Rows of a product that one task makes.
const ROWS: usize = 32;

/// A convolution as products: its live taps and its weights [co, ci, live taps], dead entries 0.
struct Unfolded<'a> {
    conv: &'a Conv,
    taps: Vec<Tap>,
}

impl<'a> Unfolded<'a> {
    fn new(conv: &'a Conv) -> Unfolded<'a> {
        Unfolded { conv, taps: conv.tap_list() }
    }

    /// Terms of an output: live taps of every channel.
    fn terms(&self) -> usize {
        self.conv.ci as usize * self.taps.len()
    }

    fn weights(&self, w: &[f32]) -> Vec<f32> {
        let (c, live) = (self.conv, self.taps.len());
        let entry = |at: usize| {
            let (o, i, tap) = (at / self.terms(), at / live % c.ci as usize, at % live);
            if c.live(tap, i, o) { w[(o * c.ci as usize + i) * c.taps() + tap] } else { 0.0 }
        };
        (0..c.co as usize * self.terms()).map(entry).collect()
    }

    /// Calls `each` with the ranges of a row of columns and of x that belong together: where in
    /// `[terms, oh, ow]`, where in `[ci, h, w]`, how many; in x they are `stride_w` apart.
    fn rows(&self, mut each: impl FnMut(usize, usize, usize)) {
        let c = self.conv;
        for i in 0..c.ci as usize {
            for (t, tap) in self.taps.iter().enumerate().filter(|(_, t)| !t.ox.is_empty()) {
                for oy in tap.oy.clone() {
                    let (iy, ix) = c.source(tap, oy);
                    let row = (i * self.taps.len() + t) * c.y_plane() + oy * c.ow as usize + tap.ox.start;
                    each(row, i * c.x_plane() + iy * c.w as usize + ix, tap.ox.len());
                }
            }
        }
    }

    /// Columns [terms, oh·ow] of an image.
    fn unfold(&self, x: &[f32], columns: &mut Vec<f32>) {
        columns.clear();
        columns.resize(self.terms() * self.conv.y_plane(), 0.0);
        let stride = self.conv.stride_w as usize;
        self.rows(|to, from, len| {
            let to = &mut columns[to..to + len];
            if stride == 1 {
                to.copy_from_slice(&x[from..from + len]);
            } else {
                std::iter::zip(to, x[from..].iter().step_by(stride)).for_each(|(to, x)| *to = *x);
            }
        });
    }

    /// Adds columns to the image they were, or would have been, taken from.
    fn fold(&self, columns: &[f32], x: &mut [f32]) {
        let stride = self.conv.stride_w as usize;
        self.rows(|from, to, len| {
            let to = x[to..].iter_mut().step_by(stride);
            std::iter::zip(to, &columns[from..from + len]).for_each(|(x, column)| *x += *column);
        });
    }
}

impl Conv {
    fn x_image(&self) -> usize {
        self.ci as usize * self.x_plane()
    }

    fn y_image(&self) -> usize {
        self.co as usize * self.y_plane()
    }

    /// conv(x, w), without epilogue.
    pub(super) fn host_y(&self, x: &[f32], w: &[f32], y: &mut [f32]) {
        let unfolded = Unfolded::new(self);
        let (terms, weights) = (unfolded.terms(), unfolded.weights(w));
        let w = Matrix::new(&weights, self.co as usize, terms);
        let images = y.par_chunks_mut(self.y_image()).zip(x.par_chunks(self.x_image()));
        images.for_each_init(Vec::new, |columns, (y, x)| {
            unfolded.unfold(x, columns);
            product(w, Matrix::new(columns, terms, self.y_plane()), y, false);
        });
    }

    /// The transposed convolution of y and w, without epilogue.
    pub(super) fn host_x(&self, y: &[f32], w: &[f32], x: &mut [f32]) {
        let unfolded = Unfolded::new(self);
        let (terms, weights) = (unfolded.terms(), unfolded.weights(w));
        let w = Matrix::new(&weights, self.co as usize, terms);
        let images = x.par_chunks_mut(self.x_image()).zip(y.par_chunks(self.y_image()));
        images.for_each_init(Vec::new, |columns, (x, y)| {
            columns.resize(terms * self.y_plane(), 0.0);
            product(w.transposed(), Matrix::new(y, self.co as usize, self.y_plane()), columns, false);
            x.fill(0.0);
            unfolded.fold(columns, x);
        });
    }

    /// The gradient of Σ dy · conv(x, w) by w; dead entries are 0.
    pub(super) fn host_w(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let unfolded = Unfolded::new(self);
        let terms = unfolded.terms();
        let groups = x.par_chunks(IMAGES * self.x_image()).zip(dy.par_chunks(IMAGES * self.y_image()));
        let partial: Vec<Vec<f32>> = groups
            .map(|(x, dy)| {
                let mut columns = Vec::new();
                let mut sum = vec![0.0; self.co as usize * terms];
                for (x, dy) in std::iter::zip(x.chunks(self.x_image()), dy.chunks(self.y_image())) {
                    unfolded.unfold(x, &mut columns);
                    let dy = Matrix::new(dy, self.co as usize, self.y_plane());
                    product(dy, Matrix::new(&columns, terms, self.y_plane()).transposed(), &mut sum, true);
                }
                sum
            })
            .collect();
        let live = unfolded.taps.len();
        dw.par_chunks_mut(self.taps()).enumerate().for_each(|(at, dw)| {
            let (o, i) = (at / self.ci as usize, at % self.ci as usize);
            for (tap, dw) in dw.iter_mut().enumerate() {
                let sum = |tap: usize| partial.iter().map(|p| p[at * live + tap]).sum();
                *dw = if self.live(tap, i, o) { sum(tap) } else { 0.0 };
            }
        });
    }
}

impl MatMul {
    /// a·b, without epilogue.
    pub(super) fn product(&self, a: &[f32], b: &[f32], c: &mut [f32]) {
        let [m, k, n] = [self.m, self.k, self.n].map(|v| v as usize);
        let matrix = |data, rows, cols, transposed: u32| {
            if transposed != 0 { Matrix::new(data, cols, rows).transposed() } else { Matrix::new(data, rows, cols) }
        };
        for (batch, c) in c.chunks_mut((m * n).max(1)).enumerate() {
            let a = matrix(&a[batch * m * k..][..m * k], m, k, self.trans_a);
            let b = matrix(&b[batch * k * n..][..k * n], k, n, self.trans_b);
            c.par_chunks_mut(ROWS * n).enumerate().for_each(|(piece, c)| {
                product(a.rows_from(piece * ROWS, c.len() / n), b, c, false);
            });
        }
    }
}
