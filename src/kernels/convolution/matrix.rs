//! Products of matrices on the CPU by a matrix library, in f32 or f64.

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

    /// Its columns as rows.
    pub(crate) fn transposed(self) -> Matrix<'a, T> {
        let Matrix { data, rows, cols, row_step, col_step } = self;
        Matrix { data, rows: cols, cols: rows, row_step: col_step, col_step: row_step }
    }

    /// `rows` rows of it.
    pub(crate) fn rows_from(self, first: usize, rows: usize) -> Matrix<'a, T> {
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

/// c = a·b, or c += a·b; c is row-major.
pub(crate) fn product<T: Copy + Default + From<u8> + 'static>(a: Matrix<T>, b: Matrix<T>, c: &mut [T], add: bool) {
    assert!(a.cols == b.rows && c.len() == a.rows * b.cols, "matrices that do not fit");
    assert!(a.len() <= a.data.len() && b.len() <= b.data.len(), "a matrix longer than its data");
    if !add && a.cols == 0 {
        c.fill(T::default());
    }
    if c.is_empty() || a.cols == 0 {
        return;
    }
    let step = |n: usize| n as isize;
    // SAFETY: the asserts above keep every element of the three matrices inside its slice.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            c.as_mut_ptr(),
            1,
            step(b.cols),
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
