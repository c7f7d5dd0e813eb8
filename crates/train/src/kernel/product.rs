//! Products of matrices: what dense layers, 1×1 convolutions and attention are made of.
//!
//! The right matrix is packed block by block into groups of one or two vectors of columns, so that a
//! block stays in the second-level cache while all rows of the left one go by; a left matrix that lies
//! transposed is brought into rows of its own, a few at a time. Sums stay in registers over a block, and
//! what is to be done with the finished ones (bias, norm, rectifier) is done before they leave.

use super::{
    Ending, LANES, bf16,
    packed::groups,
    tile::{ProductTile, product_tile},
};
use crate::{
    recipe::Precision,
    vector::{Store, vectorised},
};

/// Inner extent of a block.
const INNER: usize = 256;

/// Columns of a block: with 256 rows 512 KiB, half of a common second-level cache.
const COLUMNS: usize = 512;

/// Rows of a transposed left matrix that are brought into order at once.
const ROWS: usize = 64;

/// A matrix that may be stored transposed, or as some columns of a wider one: element `(r, c)` is
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
        Matrix::strided(values, rows, columns, columns)
    }

    /// Rows that begin `row_stride` values apart: some columns of a wider matrix.
    pub(crate) fn strided(
        values: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Matrix<'a> {
        Matrix {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
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

    fn is_transposed(&self) -> bool {
        self.column_stride != 1
    }

    fn check(&self) {
        assert!(
            self.row_stride == 1 || self.column_stride == 1,
            "a matrix lies row by row or column by column"
        );
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

/// What a product needs beside its matrices.
#[derive(Debug)]
pub(crate) struct Workspace<'a> {
    /// As long as [`product_scratch_len`] says, or longer.
    pub(crate) scratch: &'a mut [f32],
    /// How factors are rounded, where the CPU gains from it.
    pub(crate) precision: Precision,
}

/// Scratch of a product with at most this inner extent and so many columns, in floats.
pub(crate) fn product_scratch_len(inner: usize, columns: usize) -> usize {
    let columns = columns.next_multiple_of(LANES).min(COLUMNS);
    inner.min(INNER) * (columns + ROWS)
}

/// `out = ending(left·right)`, row after row.
///
/// # Cost
/// `2 · left.rows · left.columns · right.columns` operations.
pub(crate) fn multiply(
    out: &mut [f32],
    left: Matrix<'_>,
    right: Matrix<'_>,
    ending: Ending<'_>,
    workspace: &mut Workspace<'_>,
) {
    let out = MatrixMut::new(out, right.columns);
    multiply_into(out, left, right, ending, workspace);
}

/// The same into some columns of a wider matrix.
pub(crate) fn multiply_into(
    out: MatrixMut<'_>,
    left: Matrix<'_>,
    right: Matrix<'_>,
    ending: Ending<'_>,
    workspace: &mut Workspace<'_>,
) {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows, "inner extents agree");
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(
        columns <= out.row_stride,
        "rows of a product lie side by side"
    );
    let last = (rows - 1) * out.row_stride + columns;
    assert!(last <= out.values.len(), "the product fits its place");
    left.check();
    right.check();
    let packed_len = inner.min(INNER) * columns.next_multiple_of(LANES).min(COLUMNS);
    let (packed, ordered) = workspace.scratch.split_at_mut(packed_len);
    let in_pairs = workspace.precision == Precision::Bf16 && bf16::is_native();
    for first_column in (0..columns).step_by(COLUMNS) {
        let columns = first_column..columns.min(first_column + COLUMNS);
        let mut first = 0;
        loop {
            let end = inner.min(first + INNER);
            let block = Block {
                left,
                right,
                inner: first..end,
                columns: columns.clone(),
                ending: ending.of_block(first == 0, end == inner),
                in_pairs,
            };
            block.pack_right(packed);
            block.multiply(packed, ordered, out.values, out.row_stride);
            first = end;
            if end == inner {
                break;
            }
        }
    }
}

impl Ending<'_> {
    /// What is done with the sums of one block: all but the first add to those before, all but the last
    /// leave the rest to those behind.
    fn of_block(&self, is_first: bool, is_last: bool) -> Ending<'_> {
        let store = if is_first { self.store } else { Store::Add };
        if is_last {
            Ending { store, ..*self }
        } else {
            Ending::plain(store)
        }
    }
}

/// A block of the right matrix, and what is multiplied with it.
struct Block<'a> {
    left: Matrix<'a>,
    right: Matrix<'a>,
    inner: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    ending: Ending<'a>,
    /// Whether factors are rounded, and two of them lie in one place.
    in_pairs: bool,
}

impl Block<'_> {
    /// Places along the inner extent.
    fn steps(&self) -> usize {
        match self.in_pairs {
            true => bf16::pairs(self.inner.len()),
            false => self.inner.len(),
        }
    }

    fn tile(&self, left: usize, vectors: usize, by_rows: bool) -> (usize, ProductTile) {
        match self.in_pairs {
            true => bf16::product_tile(left, vectors, by_rows),
            false => product_tile(left, vectors, by_rows),
        }
    }

    /// `[group][step][lanes of the group]`; lanes without a column are 0.
    fn pack_right(&self, packed: &mut [f32]) {
        let right = &self.right;
        let mut rest = packed;
        for group in groups(self.columns.len()) {
            let width = group.vectors * LANES;
            let count = width - LANES + group.last;
            let (mine, others) = rest.split_at_mut(self.steps() * width);
            rest = others;
            let first = self.columns.start + group.first;
            let start = self.inner.start * right.row_stride + first * right.column_stride;
            let values = right.values.get(start..).unwrap_or(&[]);
            let (stride, columns, inner) = (
                right.row_stride.max(right.column_stride),
                (width, count),
                self.inner.len(),
            );
            match (right.is_transposed(), self.in_pairs) {
                (false, false) => pack_rows(mine, values, stride, columns),
                (true, false) => pack_columns(mine, values, stride, columns),
                (false, true) => bf16::pair_rows(mine, values, stride, columns, inner),
                (true, true) => bf16::pair_columns(mine, values, stride, columns, inner),
            }
        }
    }

    fn multiply(&self, packed: &[f32], ordered: &mut [f32], out: &mut [f32], row_stride: usize) {
        for first in (0..self.left.rows).step_by(ROWS) {
            let rows = first..self.left.rows.min(first + ROWS);
            let left = self.left_rows(rows.clone(), ordered);
            let mut rest = packed;
            for group in groups(self.columns.len()) {
                let width = group.vectors * LANES;
                let (right, others) = rest.split_at(self.steps() * width);
                rest = others;
                let first_column = self.columns.start + group.first;
                let count = width - LANES + group.last;
                let finish = self.ending.finish(first_column, count, row_stride);
                let (mut row, mut at_once) = (0, 0);
                let mut tile = self.tile(1, group.vectors, left.lies_by_rows()).1;
                while row < rows.len() {
                    if at_once == 0 || rows.len() - row < at_once {
                        let left_over = rows.len() - row;
                        (at_once, tile) = self.tile(left_over, group.vectors, left.lies_by_rows());
                    }
                    // Without an inner extent there is nothing to see.
                    let seen = left.values.get(row * left.row..).unwrap_or(&[]);
                    let out = &mut out[(rows.start + row) * row_stride + first_column..];
                    // SAFETY: the tile is one of this CPU's level. `at_once` rows are left, each with the
                    // block's inner extent by `left`'s strides, as `Matrix::check` has proved or
                    // `left_rows` has copied; the packed group has whole lanes; `out` has these rows, as
                    // the caller has asserted.
                    unsafe {
                        let strides = (left.row, left.step, self.steps());
                        tile(
                            seen.as_ptr(),
                            strides,
                            right.as_ptr(),
                            &finish,
                            out.as_mut_ptr(),
                        );
                    }
                    row += at_once;
                }
            }
        }
    }

    /// Some rows of the left matrix: as they lie, or side by side where they lie by columns, or in pairs.
    fn left_rows<'b>(
        &'b self,
        rows: std::ops::Range<usize>,
        ordered: &'b mut [f32],
    ) -> LeftRows<'b> {
        let left = &self.left;
        let start = rows.start * left.row_stride + self.inner.start * left.column_stride;
        let values = left.values.get(start..).unwrap_or(&[]);
        let (stride, inner) = (left.row_stride.max(left.column_stride), self.inner.len());
        match (left.is_transposed(), self.in_pairs) {
            (false, false) => {
                return LeftRows {
                    values,
                    row: stride,
                    step: 1,
                };
            }
            (false, true) => {
                let steps = self.steps().max(1);
                let places = ordered.chunks_exact_mut(steps).take(rows.len());
                for (row, to) in places.enumerate() {
                    bf16::pair_row(to, &values[row * stride..][..inner]);
                }
                return LeftRows {
                    values: ordered,
                    row: steps,
                    step: 1,
                };
            }
            (true, false) => {
                let places = ordered.chunks_exact_mut(ROWS);
                for (to, from) in places.zip(values.chunks(stride)).take(inner) {
                    to[..rows.len()].copy_from_slice(&from[..rows.len()]);
                }
            }
            (true, true) => {
                let ordered = &mut ordered[..self.steps() * ROWS];
                bf16::pair_rows(ordered, values, stride, (ROWS, rows.len()), inner);
            }
        }
        LeftRows {
            values: ordered,
            row: 1,
            step: ROWS,
        }
    }
}

/// Rows as the loops read them.
struct LeftRows<'a> {
    values: &'a [f32],
    /// From one row to the next.
    row: usize,
    /// From one value of a row to the next.
    step: usize,
}

impl LeftRows<'_> {
    fn lies_by_rows(&self) -> bool {
        self.row != 1 || self.step == 1
    }
}

vectorised! {
    /// Some columns (count of width) of rows that begin `stride` apart.
    fn pack_rows(packed: &mut [f32], values: &[f32], stride: usize, columns: (usize, usize)) {
        let (width, count) = columns;
        for (index, lanes) in packed.chunks_exact_mut(width).enumerate() {
            let (lanes, none) = lanes.split_at_mut(count);
            lanes.copy_from_slice(&values[index * stride..][..count]);
            none.fill(0.0);
        }
    }

    /// The same of columns that begin `stride` apart.
    fn pack_columns(packed: &mut [f32], values: &[f32], stride: usize, columns: (usize, usize)) {
        let (width, count) = columns;
        let inner = packed.len() / width;
        for first in (0..inner).step_by(LANES) {
            let block = first..inner.min(first + LANES);
            for lane in 0..count {
                let column = &values[lane * stride + block.start..][..block.len()];
                for (index, value) in column.iter().enumerate() {
                    packed[(block.start + index) * width + lane] = *value;
                }
            }
            for index in block {
                packed[index * width + count..(index + 1) * width].fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn whole_numbers(len: usize, period: usize) -> Vec<f32> {
        (0..len).map(|i| (i % period) as f32 - 2.0).collect()
    }

    /// Rows of the product by its definition.
    fn defined(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
        let at = |matrix: Matrix<'_>, row: usize, column: usize| {
            matrix.values[row * matrix.row_stride + column * matrix.column_stride]
        };
        let places = (0..left.rows).flat_map(|row| (0..right.columns).map(move |c| (row, c)));
        let sum = |(row, column)| {
            let terms = (0..left.columns).map(|k| at(left, row, k) * at(right, k, column));
            terms.sum::<f32>()
        };
        places.map(sum).collect()
    }

    /// Whole numbers this small are the same in all precisions.
    fn check(left: Matrix<'_>, right: Matrix<'_>, precision: Precision) {
        let what = (left.rows, left.columns, right.columns);
        let expected = defined(left, right);
        let mut scratch = vec![f32::NAN; product_scratch_len(left.columns, right.columns)];
        let work = &mut Workspace {
            scratch: &mut scratch,
            precision,
        };
        let mut out = vec![f32::NAN; expected.len()];
        multiply(&mut out, left, right, Ending::plain(Store::Write), work);
        assert_eq!(out, expected, "{what:?}");
        multiply(&mut out, left, right, Ending::plain(Store::Add), work);
        let doubled: Vec<f32> = expected.iter().map(|value| 2.0 * value).collect();
        assert_eq!(out, doubled, "{what:?}");
        let bias = whole_numbers(right.columns, 4);
        let ending = Ending {
            bias: Some(&bias),
            floor: 0.0,
            ..Ending::plain(Store::Write)
        };
        multiply(&mut out, left, right, ending, work);
        let biased = expected.iter().zip(bias.iter().cycle());
        let rectified: Vec<f32> = biased
            .map(|(value, bias)| (value + bias).max(0.0))
            .collect();
        assert_eq!(out, rectified, "{what:?}");
    }

    #[test]
    fn every_geometry_of_a_product_is_multiplied_as_defined() {
        for rows in [1, 2, 17, 70] {
            for inner in [0, 1, 3, 40, 300] {
                for columns in [1, 5, 16, 33, 530] {
                    let (a, b) = (
                        whole_numbers(rows * inner, 7),
                        whole_numbers(inner * columns, 5),
                    );
                    let lefts = [
                        Matrix::new(&a, rows, inner),
                        Matrix::new(&a, inner, rows).transposed(),
                    ];
                    let rights = [
                        Matrix::new(&b, inner, columns),
                        Matrix::new(&b, columns, inner).transposed(),
                    ];
                    for left in lefts {
                        for right in rights {
                            check(left, right, Precision::F32);
                            check(left, right, Precision::Bf16);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn rounded_factors_have_eight_bits_and_their_sums_more() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (rows, inner, columns) = (17, 300, 33);
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        let (a, b) = (draw(rows * inner), draw(inner * columns));
        let left = Matrix::new(&a, rows, inner);
        let right = Matrix::new(&b, inner, columns);
        let expected = defined(left, right);
        let mut scratch = vec![f32::NAN; product_scratch_len(inner, columns)];
        let mut distance = |precision| {
            let work = &mut Workspace {
                scratch: &mut scratch,
                precision,
            };
            let mut out = vec![f32::NAN; expected.len()];
            multiply(&mut out, left, right, Ending::plain(Store::Write), work);
            let squares = |values: &mut dyn Iterator<Item = f32>| -> f32 {
                values.map(|value| value * value).sum()
            };
            let difference = squares(&mut out.iter().zip(&expected).map(|(f, e)| f - e));
            (difference / squares(&mut expected.iter().copied())).sqrt()
        };
        assert!(distance(Precision::F32) < 1e-6);
        let rounded = distance(Precision::Bf16);
        // Each factor is off by up to 2⁻⁸ of itself, most by less.
        assert!(rounded < 4e-3, "{rounded}");
        assert_eq!(rounded > 5e-4, bf16::is_native(), "{rounded}");
    }

    #[test]
    fn a_product_leaves_the_columns_beside_it_alone() {
        let (a, b) = (whole_numbers(3 * 8, 7), whole_numbers(4 * 9, 5));
        let left = Matrix::strided(&a[2..], 3, 4, 8);
        let right = Matrix::strided(&b[1..], 4, 5, 9);
        let expected = defined(left, right);
        let mut wide = [7.0; 3 * 8];
        let mut scratch = vec![f32::NAN; product_scratch_len(4, 5)];
        let out = MatrixMut::new(&mut wide[2..], 8);
        let work = &mut Workspace {
            scratch: &mut scratch,
            precision: Precision::F32,
        };
        multiply_into(out, left, right, Ending::plain(Store::Write), work);
        for (index, value) in wide.iter().enumerate() {
            let (row, column) = (index / 8, index % 8);
            let inside = (2..7).contains(&column);
            let wanted = if inside {
                expected[row * 5 + column - 2]
            } else {
                7.0
            };
            assert_eq!(*value, wanted, "row {row}, column {column}");
        }
    }
}
