//! A triangular factor of a covariance matrix that grows by a row at a time.
//!
//! Notation: K = L·Lᵀ, L lower triangular, stored row after row without the zeros.
//!
//! Source: Golub and Van Loan, Matrix Computations, section 4.2 (Cholesky, row by row).

/// L, row after row: row i has i + 1 values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Factor {
    rows: usize,
    values: Vec<f64>,
}

/// A pivot must be larger than this share of its diagonal value: below it only rounding is left.
const PIVOT_MIN: f64 = 1e-10;

impl Factor {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    fn row(&self, index: usize) -> &[f64] {
        let start = index * (index + 1) / 2;
        &self.values[start..=start + index]
    }

    /// Appends a row of K, up to and with its diagonal; `None`, and nothing changes, if K would not be
    /// positive definite.
    ///
    /// # Cost
    /// `O(rows²)`.
    pub(crate) fn append(&mut self, row: &[f64]) -> Option<()> {
        assert_eq!(row.len(), self.rows + 1, "a row reaches to its diagonal");
        let (left, diagonal) = row.split_at(self.rows);
        let solved = self.solve_lower(left);
        let pivot = diagonal[0] - dot(&solved, &solved);
        if pivot.is_nan() || pivot <= PIVOT_MIN * diagonal[0] {
            return None;
        }
        self.values.extend(solved);
        self.values.push(pivot.sqrt());
        self.rows += 1;
        Some(())
    }

    /// `L⁻¹b`.
    ///
    /// # Cost
    /// `O(rows²)`.
    pub(crate) fn solve_lower(&self, right: &[f64]) -> Vec<f64> {
        let mut solved: Vec<f64> = Vec::with_capacity(right.len());
        for (index, value) in right.iter().enumerate() {
            let (left, diagonal) = self.row(index).split_at(index);
            solved.push((value - dot(left, &solved)) / diagonal[0]);
        }
        solved
    }

    /// `L⁻ᵀb`.
    ///
    /// # Cost
    /// `O(rows²)`.
    pub(crate) fn solve_upper(&self, right: &[f64]) -> Vec<f64> {
        let mut solved = right.to_vec();
        for index in (0..self.rows).rev() {
            let (left, diagonal) = self.row(index).split_at(index);
            let value = solved[index] / diagonal[0];
            solved[index] = value;
            for (earlier, factor) in solved.iter_mut().zip(left) {
                *earlier -= factor * value;
            }
        }
        solved
    }

    /// `L·b`.
    #[cfg(test)]
    pub(crate) fn times(&self, right: &[f64]) -> Vec<f64> {
        let rows = (0..self.rows).map(|index| dot(self.row(index), &right[..=index]));
        rows.collect()
    }

    /// `ln det K`.
    pub(crate) fn log_determinant(&self) -> f64 {
        let pivots = (0..self.rows).map(|index| self.row(index)[index].ln());
        2.0 * pivots.sum::<f64>()
    }
}

/// Eight sums at once, so that one addition need not wait for the one before.
pub(crate) fn dot(one: &[f64], other: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest = ones.remainder().iter().zip(others.remainder());
    let rest: f64 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in ones.zip(others) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A positive definite matrix: B·Bᵀ + I.
    fn matrix(size: usize) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let base: Vec<Vec<f64>> = (0..size)
            .map(|_| (0..size).map(|_| rng.random_range(-1.0..1.0)).collect())
            .collect();
        let value = |i: usize, j: usize| {
            let sum: f64 = base[i].iter().zip(&base[j]).map(|(a, b)| a * b).sum();
            sum + f64::from(u8::from(i == j))
        };
        (0..size)
            .map(|i| (0..size).map(|j| value(i, j)).collect())
            .collect()
    }

    fn factor(matrix: &[Vec<f64>]) -> Factor {
        let mut factor = Factor::default();
        for (index, row) in matrix.iter().enumerate() {
            factor.append(&row[..=index]).unwrap();
        }
        factor
    }

    #[test]
    fn it_solves_what_it_is_a_factor_of() {
        let matrix = matrix(23);
        let factor = factor(&matrix);
        let wanted: Vec<f64> = (0..23).map(|i| f64::from(i) - 10.0).collect();
        let right: Vec<f64> = matrix.iter().map(|row| dot(row, &wanted)).collect();
        let found = factor.solve_upper(&factor.solve_lower(&right));
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
        }
    }

    /// By minors of the first row.
    fn determinant(matrix: &[Vec<f64>]) -> f64 {
        let Some((first, rest)) = matrix.split_first() else {
            return 1.0;
        };
        let minor = |column: usize| -> Vec<Vec<f64>> {
            let row = |row: &Vec<f64>| {
                let kept = row.iter().enumerate().filter(|(other, _)| *other != column);
                kept.map(|(_, value)| *value).collect()
            };
            rest.iter().map(row).collect()
        };
        let terms = first.iter().enumerate().map(|(column, value)| {
            let sign = if column % 2 == 0 { 1.0 } else { -1.0 };
            sign * value * determinant(&minor(column))
        });
        terms.sum()
    }

    #[test]
    fn its_determinant_is_that_of_the_matrix() {
        let matrix = matrix(6);
        let difference = factor(&matrix).log_determinant() - determinant(&matrix).ln();
        assert!(difference.abs() < 1e-9);
    }

    #[test]
    fn a_row_that_would_break_it_is_refused() {
        let mut factor = Factor::default();
        factor.append(&[1.0]).unwrap();
        let before = factor.clone();
        assert_eq!(factor.append(&[1.0, 1.0]), None);
        assert_eq!(factor.append(&[2.0, 1.0]), None);
        assert_eq!(factor.append(&[0.0, f64::NAN]), None);
        assert_eq!(factor, before);
        factor.append(&[0.5, 1.0]).unwrap();
        assert_eq!(factor.len(), 2);
    }
}
