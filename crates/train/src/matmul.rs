//! Matrix products: the one place that calls the `gemm` crate.
//!
//! Always in the calling thread: a network splits its batch over its own threads instead.

use crate::vector::Store;

/// A matrix that may be stored transposed, or in overlapping rows: element `(r, c)` is
/// `values[r * row_stride + c * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        Matrix {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Rows that begin `row_stride` values apart: some columns of a wider matrix.
    pub(crate) fn strided(
        values: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Matrix<'a> {
        Matrix {
            row_stride,
            ..Matrix::new(values, rows, columns)
        }
    }

    /// The transpose of this matrix; nothing moves.
    pub(crate) fn transposed(self) -> Matrix<'a> {
        Matrix {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    fn check(&self) {
        if self.rows > 0 && self.columns > 0 {
            let last = (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride;
            assert!(last < self.values.len(), "a matrix lies inside its values");
        }
    }
}

/// Where a product goes: rows that begin `row_stride` values apart.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a> {
    values: &'a mut [f32],
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Some columns of a wider matrix.
    pub(crate) fn new(values: &'a mut [f32], row_stride: usize) -> MatrixMut<'a> {
        MatrixMut { values, row_stride }
    }
}

/// `out = left·right` or `out += left·right`; `out` is `[left.rows][right.columns]`, row after row.
///
/// # Cost
/// `2 · left.rows · left.columns · right.columns` operations.
pub(crate) fn multiply(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, store: Store) {
    multiply_into(MatrixMut::new(out, right.columns), left, right, store);
}

/// The same into some columns of a wider matrix.
pub(crate) fn multiply_into(out: MatrixMut<'_>, left: Matrix<'_>, right: Matrix<'_>, store: Store) {
    let MatrixMut {
        values: out,
        row_stride,
    } = out;
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows, "inner extents agree");
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= row_stride, "rows of a product lie side by side");
    let last = (rows - 1) * row_stride + columns;
    assert!(last <= out.len(), "the product fits its place");
    left.check();
    right.check();
    if inner == 0 {
        if store == Store::Write {
            let rows = out.chunks_mut(row_stride).take(rows);
            rows.for_each(|row| row[..columns].fill(0.0));
        }
        return;
    }
    let stride = |stride: usize| isize::try_from(stride).expect("strides are below isize::MAX");
    // SAFETY: `check` and the assertions prove that every element addressed by these extents and
    // strides lies inside its slice; `out` is exclusively borrowed, so it overlaps neither input.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            stride(row_stride),
            store == Store::Add,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0_f32,
            1.0_f32,
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

    fn check(rows: usize, inner: usize, columns: usize) {
        let left: Vec<f32> = (0..rows * inner).map(|i| (i % 7) as f32 - 3.0).collect();
        let right: Vec<f32> = (0..inner * columns).map(|i| (i % 5) as f32 - 2.0).collect();
        let expected: Vec<f32> = (0..rows * columns)
            .map(|i| {
                let (row, column) = (i / columns, i % columns);
                (0..inner)
                    .map(|k| left[row * inner + k] * right[k * columns + column])
                    .sum()
            })
            .collect();
        let mut out = vec![f32::NAN; rows * columns];
        let (a, b) = (
            Matrix::new(&left, rows, inner),
            Matrix::new(&right, inner, columns),
        );
        multiply(&mut out, a, b, Store::Write);
        assert_eq!(out, expected, "{rows}x{inner}x{columns}");
        multiply(&mut out, a, b, Store::Add);
        let doubled: Vec<f32> = expected.iter().map(|value| 2.0 * value).collect();
        assert_eq!(out, doubled, "{rows}x{inner}x{columns}");
        // Between other columns, which stay as they are.
        let mut wide = vec![7.0; rows * (columns + 3)];
        multiply_into(
            MatrixMut::new(&mut wide[2..], columns + 3),
            a,
            b,
            Store::Write,
        );
        for (index, value) in wide.iter().enumerate() {
            let (row, column) = (index / (columns + 3), index % (columns + 3));
            let inside = (2..columns + 2).contains(&column);
            let wanted = if inside {
                expected[row * columns + column - 2]
            } else {
                7.0
            };
            assert_eq!(*value, wanted, "{rows}x{inner}x{columns}");
        }
        // (BᵀAᵀ)ᵀ = AB, by strides alone.
        let mut turned = vec![f32::NAN; rows * columns];
        multiply(&mut turned, b.transposed(), a.transposed(), Store::Write);
        let back: Vec<f32> = (0..rows * columns)
            .map(|i| turned[(i % columns) * rows + i / columns])
            .collect();
        assert_eq!(back, expected);
    }

    #[test]
    fn products_of_all_small_extents_agree_with_the_definition() {
        for rows in [1, 2, 17, 64] {
            for inner in [0, 1, 3, 40] {
                for columns in [1, 5, 16, 33] {
                    check(rows, inner, columns);
                }
            }
        }
    }
}
