//! A Gaussian process over trials: what their scores say about those of others.
//!
//! Notation: z the scores (standings) of n trials, K their covariance in units of σ², K = L·Lᵀ, k the
//! covariances of another trial with them, ν the noise of measuring, which is on the diagonal of K. Its
//! score will be measured around `μ = kᵀK⁻¹z` with variance `s² = σ²·(1 − kᵀK⁻¹k + ν)`; σ² = zᵀK⁻¹z/n
//! makes z most likely. The noise belongs to s because what is sought is a high score, and a study never
//! measures a model twice: decision 0010 has the comparison.
//!
//! Source: Rasmussen and Williams 2006, algorithm 2.1 and equation 5.8; for σ², Jones, Schonlau, Welch
//! 1998, equation 4.

use super::factor::{Factor, dot};

/// What is added to the whole diagonal of K, and ten times as much whenever that was not enough. As soon
/// as it outweighs the rest of each row K is positive definite, so that this always ends.
const JITTER: f64 = 1e-6;

/// A factor of K, with the jitter that it took.
#[derive(Clone, Debug)]
pub(crate) struct Covariance {
    factor: Factor,
    jitter: f64,
}

impl Covariance {
    /// Of rows up to their diagonals, which hold 1 plus the noise.
    ///
    /// # Cost
    /// `O(n³)`, times the number of escalations.
    pub(crate) fn new(rows: &[Vec<f64>]) -> Covariance {
        let mut jitter = JITTER;
        loop {
            if let Some(factor) = factored(rows, jitter) {
                return Covariance { factor, jitter };
            }
            jitter *= 10.0;
        }
    }

    /// One row more; `false`, and nothing changes, if this jitter is too small for it.
    ///
    /// # Cost
    /// `O(n²)`.
    pub(crate) fn append(&mut self, row: &[f64]) -> bool {
        append(&mut self.factor, row, self.jitter).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.factor.len()
    }

    /// What is known of the scores z at these trials, if measuring adds so much noise.
    ///
    /// # Cost
    /// `O(n²)`.
    pub(crate) fn posterior(self, standing: &[f64], noise: f64) -> Posterior {
        assert_eq!(standing.len(), self.len(), "one score per trial");
        let half = self.factor.solve_lower(standing);
        let variance = dot(&half, &half) / standing.len().max(1) as f64;
        let weights = self.factor.solve_upper(&half);
        Posterior {
            covariance: self,
            weights,
            variance: variance.max(VARIANCE_MIN),
            noise,
        }
    }

    /// ln p(z | K, σ²) with the best σ², without its constant.
    ///
    /// # Cost
    /// `O(n²)`.
    pub(crate) fn likelihood(&self, standing: &[f64]) -> f64 {
        let half = self.factor.solve_lower(standing);
        let variance = (dot(&half, &half) / standing.len() as f64).max(VARIANCE_MIN);
        -0.5 * (standing.len() as f64 * variance.ln() + self.factor.log_determinant())
    }
}

/// Scores that are all the same say nothing about how much others vary.
const VARIANCE_MIN: f64 = 1e-6;

fn factored(rows: &[Vec<f64>], jitter: f64) -> Option<Factor> {
    let mut factor = Factor::default();
    for row in rows {
        append(&mut factor, row, jitter)?;
    }
    Some(factor)
}

fn append(factor: &mut Factor, row: &[f64], jitter: f64) -> Option<()> {
    let mut row = row.to_vec();
    *row.last_mut()? += jitter;
    factor.append(&row)
}

/// What is known of other trials.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    covariance: Covariance,
    /// K⁻¹z.
    weights: Vec<f64>,
    /// σ².
    variance: f64,
    /// ν.
    noise: f64,
}

/// What is expected of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expected {
    /// μ.
    pub(crate) mean: f64,
    /// s, with the noise of measuring.
    pub(crate) deviation: f64,
}

impl Posterior {
    /// What is expected of a trial with these covariances to those that are known.
    ///
    /// # Cost
    /// `O(n²)`.
    pub(crate) fn expected(&self, covariances: &[f64]) -> Expected {
        let half = self.covariance.factor.solve_lower(covariances);
        let left = (1.0 - dot(&half, &half)).max(0.0);
        Expected {
            mean: dot(covariances, &self.weights),
            deviation: (self.variance * (left + self.noise)).sqrt(),
        }
    }

    /// Takes a trial that is under way for one with the score that is expected of it (Kriging
    /// believer), so that the next one is not proposed beside it; `false` if it adds nothing.
    ///
    /// # Cost
    /// `O(n²)`.
    /// # Source
    /// Ginsbourger, Le Riche, Carraro 2010, section 4.
    pub(crate) fn believe(&mut self, row: &[f64]) -> bool {
        // A row that needs more jitter is as good as known already.
        let is_new = self.covariance.append(row);
        if is_new {
            // With the expected score μ in the place of its own, K⁻¹z has a 0 for it.
            self.weights.push(0.0);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Points on a line, covariance exp(−|x − y|).
    fn covariance(a: f64, b: f64) -> f64 {
        (-(a - b).abs()).exp()
    }

    fn rows(places: &[f64], noise: f64) -> Vec<Vec<f64>> {
        let row = |i: usize| {
            let mut row: Vec<f64> = places[..i]
                .iter()
                .map(|b| covariance(places[i], *b))
                .collect();
            row.push(1.0 + noise);
            row
        };
        (0..places.len()).map(row).collect()
    }

    /// x of A·x = b by elimination.
    fn solved(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
        for pivot in 0..right.len() {
            let (line, value) = (matrix[pivot].clone(), right[pivot]);
            for (index, row) in matrix.iter_mut().enumerate().filter(|(i, _)| *i != pivot) {
                let factor = row[pivot] / line[pivot];
                row.iter_mut()
                    .zip(&line)
                    .for_each(|(to, from)| *to -= factor * from);
                right[index] -= factor * value;
            }
        }
        let diagonal = matrix.iter().enumerate().map(|(i, row)| row[i]);
        right
            .iter()
            .zip(diagonal)
            .map(|(value, pivot)| value / pivot)
            .collect()
    }

    #[test]
    fn what_is_expected_agrees_with_the_formulas() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let places: Vec<f64> = (0..9).map(|_| rng.random_range(0.0..4.0)).collect();
        let standing: Vec<f64> = (0..9).map(|_| rng.random_range(-1.5..1.5)).collect();
        let noise = 0.01;
        let posterior = Covariance::new(&rows(&places, noise)).posterior(&standing, noise);
        let full = |i: usize, j: usize| match i == j {
            true => 1.0 + noise + JITTER,
            false => covariance(places[i], places[j]),
        };
        let matrix: Vec<Vec<f64>> = (0..9)
            .map(|i| (0..9).map(|j| full(i, j)).collect())
            .collect();
        let weights = solved(matrix.clone(), standing.clone());
        let variance = dot(&standing, &weights) / 9.0;
        for x in [-1.0, 0.3, 1.7, 6.0] {
            let k: Vec<f64> = places.iter().map(|place| covariance(x, *place)).collect();
            let expected = posterior.expected(&k);
            assert!((expected.mean - dot(&k, &weights)).abs() < 1e-9);
            let left = 1.0 - dot(&k, &solved(matrix.clone(), k.clone()));
            assert!((expected.deviation - (variance * (left + noise)).sqrt()).abs() < 1e-9);
        }
    }

    #[test]
    fn rows_one_by_one_are_the_same_as_at_once() {
        let places = [0.0, 0.7, 1.1, 2.0, 3.5];
        let rows = rows(&places, 0.1);
        let mut grown = Covariance::new(&rows[..2]);
        assert!(rows[2..].iter().all(|row| grown.append(row)));
        assert_eq!(grown.factor, Covariance::new(&rows).factor);
    }

    #[test]
    fn the_likelihood_is_highest_for_the_covariance_that_made_the_scores() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let places: Vec<f64> = (0..60).map(|i| f64::from(i) / 6.0).collect();
        let at = |length: f64| {
            let scaled: Vec<f64> = places.iter().map(|place| place / length).collect();
            Covariance::new(&rows(&scaled, 1e-3))
        };
        // z = L·(normal numbers) has covariance K.
        let mut wins = 0;
        for _ in 0..20 {
            let made = at(1.0);
            let normal: Vec<f64> = (0..60)
                .map(|_| crate::normal::quantile(rng.random_range(1e-9..1.0)))
                .collect();
            let z = made.factor.times(&normal);
            let likelihood = |length| at(length).likelihood(&z);
            wins += i32::from(likelihood(1.0) > likelihood(0.1).max(likelihood(10.0)));
        }
        assert!(wins >= 18, "{wins} of 20");
    }

    #[test]
    fn what_is_not_positive_definite_is_repaired_and_nothing_is_dropped() {
        // Three the same, and a matrix with an eigenvalue below 0.
        let same = vec![vec![1.0], vec![1.0, 1.0], vec![1.0, 1.0, 1.0]];
        assert_eq!(Covariance::new(&same).len(), 3);
        let broken = vec![vec![1.0], vec![0.9, 1.0], vec![0.0, 0.9, 1.0]];
        let repaired = Covariance::new(&broken);
        assert_eq!(repaired.len(), 3);
        assert!(repaired.jitter > 0.1);
    }

    #[test]
    fn believing_changes_no_expectation_but_makes_it_certain() {
        let places = [0.0, 1.0, 3.0];
        let mut posterior =
            Covariance::new(&rows(&places, 1e-3)).posterior(&[1.0, -1.0, 0.5], 1e-3);
        let k = |x: f64, places: &[f64]| -> Vec<f64> {
            places.iter().map(|place| covariance(x, *place)).collect()
        };
        let before = posterior.expected(&k(2.0, &places));
        let mut row = k(2.1, &places);
        row.push(1.0 + 1e-3);
        assert!(posterior.believe(&row));
        let after = posterior.expected(&k(2.0, &[0.0, 1.0, 3.0, 2.1]));
        assert!((before.mean - after.mean).abs() < 1e-9);
        assert!(after.deviation < 0.5 * before.deviation);
    }
}
