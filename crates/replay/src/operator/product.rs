//! Matrix products. Sums are made in `f64` and rounded once.

use super::arguments::Arguments;
use crate::{
    error::Problem,
    tensor::{Tensor, filled, overlaid, repeated},
};

/// Adds `left · right` to sums.
///
/// # Shapes
/// `left: [rows, inner]`, `right: [inner, columns]`, `sums: [rows, columns]`.
/// # Units
/// Those of the product.
/// # Errors
/// None: the caller has checked the lengths.
/// # Cost
/// `O(rows · inner · columns)`.
/// # Source
/// The definition of a matrix product.
pub(super) fn add_product(left: &[f32], right: &[f32], columns: usize, sums: &mut [f64]) {
    let inner = right.len() / columns.max(1);
    for (row, sums) in left
        .chunks_exact(inner.max(1))
        .zip(sums.chunks_exact_mut(columns.max(1)))
    {
        for (factor, values) in row.iter().zip(right.chunks_exact(columns.max(1))) {
            let factor = f64::from(*factor);
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += factor * f64::from(*value);
            }
        }
    }
}

/// `left · right + added` of two matrices.
pub(super) fn gemm(
    left: &Tensor,
    right: &Tensor,
    added: &Tensor,
    arguments: &Arguments<'_>,
) -> Result<Tensor, Problem> {
    arguments.only(&[])?;
    let ([rows, inner], [also_inner, columns]) = (left.shape(), right.shape()) else {
        return Err(Problem::new("two matrices are needed"));
    };
    let shape = vec![*rows, *columns];
    if inner != also_inner || overlaid(added.shape(), &shape)? != shape {
        let shapes = [left.shape(), right.shape(), added.shape()];
        return Err(Problem::new(format!(
            "the shapes {shapes:?} do not fit each other"
        )));
    }
    let start = added.floats()?;
    let places = repeated(added.shape(), &shape);
    let mut sums: Vec<f64> = places
        .iter()
        .map(|place| f64::from(start[*place]))
        .collect();
    add_product(left.floats()?, right.floats()?, *columns, &mut sums);
    left.alike(shape, sums)
}

/// Products of the last two axes; those before are laid over each other.
pub(super) fn mat_mul(left: &Tensor, right: &Tensor) -> Result<Tensor, Problem> {
    let ([over @ .., rows, inner], [also_over @ .., also_inner, columns]) =
        (left.shape(), right.shape())
    else {
        return Err(Problem::new("two axes each are needed"));
    };
    if inner != also_inner {
        let shapes = (left.shape(), right.shape());
        return Err(Problem::new(format!(
            "the shapes {shapes:?} do not fit each other"
        )));
    }
    let leading = overlaid(over, also_over)?;
    let pairs = repeated(over, &leading)
        .into_iter()
        .zip(repeated(also_over, &leading));
    let (a, b) = (left.floats()?, right.floats()?);
    let (left_size, right_size) = (rows * inner, inner * columns);
    let mut sums = filled(&[&leading[..], &[*rows, *columns]].concat(), 0.0)?;
    let parts = sums.chunks_exact_mut((rows * columns).max(1));
    for ((at, other), sums) in pairs.zip(parts) {
        let left = &a[at * left_size..][..left_size];
        let right = &b[other * right_size..][..right_size];
        add_product(left, right, *columns, sums);
    }
    left.alike([&leading[..], &[*rows, *columns]].concat(), sums)
}
