//! Products of matrices on the CPU by a matrix library, in f32 or f64.

#![allow(unsafe_code, reason = "the library takes pointers")]

use rayon::prelude::*;

/// A matrix in a slice: element (row, col) stands at row * `row_step` + col * `col_step`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A dense matrix, row by row.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Matrix<'a, T> {
        Matrix { data, rows, cols, row_step: cols, col_step: 1 }
    }

    /// One whose rows begin so far from each other.
    pub(crate) fn stepped(data: &'a [T], rows: usize, cols: usize, row_step: usize) -> Matrix<'a, T> {
        Matrix { data, rows, cols, row_step, col_step: 1 }
    }

    /// Its columns as rows.
    pub(crate) fn transposed(self) -> Matrix<'a, T> {
        let Matrix { data, rows, cols, row_step, col_step } = self;
        Matrix { data, rows: cols, cols: rows, row_step: col_step, col_step: row_step }
    }

    /// `rows` rows of it.
    fn rows_from(self, first: usize, rows: usize) -> Matrix<'a, T> {
        Matrix { data: &self.data[first * self.row_step..], rows, ..self }
    }

    fn len(&self) -> usize {
        if self.rows * self.cols == 0 {
            0
        } else {
            (self.rows - 1) * self.row_step + (self.cols - 1) * self.col_step + 1
        }
    }
}

/// What a product may be of.
pub(crate) trait Number: Copy + Default + From<u8> + Send + Sync + 'static {}
impl Number for f32 {}
impl Number for f64 {}

/// c = a·b, or c += a·b; c is row-major.
pub(crate) fn product<T: Number>(a: Matrix<T>, b: Matrix<T>, c: &mut [T], add: bool) {
    assert!(a.cols == b.rows && c.len() == a.rows * b.cols, "matrices that do not fit");
    assert!(a.len() <= a.data.len() && b.len() <= b.data.len(), "a matrix longer than its data");
    // SAFETY: the asserts above keep every element of the three matrices inside its slice.
    unsafe { multiply(a, b, c.as_mut_ptr(), b.cols, add) }
}

/// Multiplications that are worth a task of their own.
const OF_A_PIECE: usize = 1 << 22;

/// Where a product is to be written from several threads.
struct Target<T>(*mut T);
// SAFETY: every thread writes columns or rows of its own.
unsafe impl<T: Send> Sync for Target<T> {}

impl<T> Target<T> {
    /// What begins so many elements on.
    ///
    /// # Safety
    /// There must be as many.
    unsafe fn from(&self, element: usize) -> *mut T {
        // SAFETY: the caller's.
        unsafe { self.0.add(element) }
    }
}

/// c = a·b side by side, in pieces that depend on the sizes alone; c is row-major.
pub(crate) fn product_in_pieces<T: Number>(a: Matrix<T>, b: Matrix<T>, c: &mut [T]) {
    assert!(a.cols == b.rows && c.len() == a.rows * b.cols, "matrices that do not fit");
    assert!(a.len() <= a.data.len() && b.len() <= b.data.len(), "a matrix longer than its data");
    let (m, n) = (a.rows, b.cols);
    if m * n == 0 {
        return;
    }
    // The longer side is cut: the other operand is then the smaller one to be read by each.
    let long = m.max(n);
    let pieces = (m * n / OF_A_PIECE.div_ceil(a.cols.max(1))).clamp(1, 64).min(long.div_ceil(16));
    let piece = long.div_ceil(pieces).next_multiple_of(16);
    let to = Target(c.as_mut_ptr());
    let one = |i: usize| {
        let (first, len) = (i * piece, piece.min(long - i * piece));
        // SAFETY: the asserts above hold for parts of the matrices too, and pieces have rows or
        // columns of c of their own.
        unsafe {
            if m >= n {
                multiply(a.rows_from(first, len), b, to.from(first * n), n, false);
            } else {
                let b = b.transposed().rows_from(first, len).transposed();
                multiply(a, b, to.from(first), n, false);
            }
        }
    };
    match long.div_ceil(piece) {
        1 => product(a, b, c, false),
        pieces => (0..pieces).into_par_iter().for_each(one),
    }
}

/// c = a·b, or c += a·b, where rows of c begin `row_step` from each other.
///
/// # Safety
/// All elements of the three matrices must be where they are said to be, and those of c nobody
/// else's.
unsafe fn multiply<T: Number>(a: Matrix<T>, b: Matrix<T>, c: *mut T, row_step: usize, add: bool) {
    let step = |n: usize| n as isize;
    if a.rows == 0 || b.cols == 0 || (add && a.cols == 0) {
        return;
    }
    if a.cols == 0 {
        for row in 0..a.rows {
            // SAFETY: the caller's.
            unsafe { std::slice::from_raw_parts_mut(c.add(row * row_step), b.cols) }.fill(T::default());
        }
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            c,
            1,
            step(row_step),
            add,
            a.data.as_ptr(),
            step(a.col_step),
            step(a.row_step),
            b.data.as_ptr(),
            step(b.col_step),
            step(b.row_step),
            T::from(1),
            T::from(1),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    /// Numbers that are all different.
    fn numbers(n: usize) -> Vec<f64> {
        (0..n).map(|i| (i * 7 % 31) as f64 - 15.0).collect()
    }

    fn element(m: &Matrix<f64>, row: usize, col: usize) -> f64 {
        m.data[row * m.row_step + col * m.col_step]
    }

    #[test]
    fn products_write_all_of_what_is_theirs_and_nothing_else() {
        let (around, canary) = (64, 1e300);
        for (rows, inner, cols, step) in [(1, 1, 1, 0), (3, 5, 2, 4), (17, 0, 3, 0), (0, 4, 4, 0), (700, 65, 130, 3)] {
            let (a, b) = (numbers((rows + 1) * (inner + step)), numbers(inner * cols));
            let a = Matrix::stepped(&a, rows, inner, inner + step);
            let b = Matrix::new(&b, inner, cols);
            for (a, b) in [(a, b), (b.transposed(), a.transposed())] {
                let mut memory = vec![canary; a.rows * b.cols + 2 * around];
                let whole = around..around + a.rows * b.cols;
                product_in_pieces(a, b, &mut memory[whole.clone()]);
                product(a, b, &mut memory[whole.clone()], true);
                for (i, v) in memory.iter().enumerate() {
                    let wanted = match whole.contains(&i) {
                        false => canary,
                        true => {
                            let (row, col) = ((i - around) / b.cols, (i - around) % b.cols);
                            2.0 * (0..a.cols).map(|k| element(&a, row, k) * element(&b, k, col)).sum::<f64>()
                        }
                    };
                    assert_eq!(*v, wanted, "{rows}x{inner}x{cols}: {i}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_multiplied() {
        let of = |rows: usize, inner: [usize; 2], cols: usize, [a, b, c]: [usize; 3]| {
            let (a, b) = (numbers(a), numbers(b));
            let (a, b) = (Matrix::new(&a, rows, inner[0]), Matrix::new(&b, inner[1], cols));
            let whole = catch_unwind(|| product(a, b, &mut vec![0.0; c], false)).is_ok();
            let pieces = catch_unwind(|| product_in_pieces(a, b, &mut vec![0.0; c])).is_ok();
            (whole, pieces)
        };
        assert_eq!(of(2, [3, 3], 4, [6, 12, 8]), (true, true));
        for (inner, lengths) in [
            ([3, 3], [5, 12, 8]),
            ([3, 3], [6, 11, 8]),
            ([3, 3], [6, 12, 7]),
            ([3, 3], [6, 12, 9]),
            ([3, 2], [6, 12, 8]),
        ] {
            assert_eq!(of(2, inner, 4, lengths), (false, false), "{lengths:?}");
        }
        assert_eq!(of(usize::MAX, [2, 2], 1, [2, 2, 2]), (false, false));
    }
}
