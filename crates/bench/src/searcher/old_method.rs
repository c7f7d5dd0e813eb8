//! What AIPerf (commit 4dc060a) does, in behaviour: annealing over a queue that mixes scores with upper
//! confidence bounds, a Gaussian process whose two kernels differ, points dropped where it fails.
//!
//! Notation: d the number of slots in which two architectures differ, which stands for its edit distance;
//! K the covariance of what was trained, k* of a candidate with it; β = 2.576.
//! What is kept, and known to be wrong: K comes from Bourgain's embedding of d, k* is exp(−d²); ever fewer and
//! smaller subsets in the embedding; the jitter only where a point is new; a new point is forgotten where
//! the factorisation fails; scores as they are, with variance 1; the father's hyperparameters, and one random
//! try beside them. What is kinder than it was: scores come between 0 and 1 on every table, the first
//! models have real scores, every embedding has subsets of its own, so that a fit which failed may succeed next
//! time, a candidate costs `O(n²)` unless [`Variance::Inverted`] is asked for.

use std::{cmp::Ordering, collections::BinaryHeap};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::BudgetFraction;

use super::Searcher;
use crate::table::{Point, Table};

/// Random models at the beginning.
const STARTS: usize = 4;

/// Temperature at the beginning, its factor for each step, and where it ends.
const ANNEALING: (f64, f64, f64) = (1.0, 0.5, 1e-4);

/// Neighbours of a model, and draws to find them.
const NEIGHBOURS: (usize, usize) = (8, 16);

/// β of the upper confidence bound.
const BETA: f64 = 2.576;

/// What is added to the diagonal of new points.
const JITTER: f64 = 1e-10;

/// The seed of the embeddings.
const EMBEDDING_SEED: u64 = 123;

/// How the variance of a candidate is computed. What comes of it is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variance {
    /// By one triangular solution: `O(n²)`.
    #[default]
    Solved,
    /// As AIPerf does: by K⁻¹, made anew for every candidate from L⁻¹, which is L solved against I: `O(n³)`.
    Inverted,
}

/// A search over a table as AIPerf would make it.
pub struct OldMethod<'a> {
    table: &'a Table,
    asked: usize,
    history: Vec<(Point, f64)>,
    /// Architectures that were proposed.
    described: Vec<Point>,
    /// Hyperparameter tries that were not asked for yet.
    tries: Vec<Point>,
    process: Process,
}

impl OldMethod<'_> {
    /// Knows nothing yet.
    pub fn new(table: &Table, variance: Variance) -> OldMethod<'_> {
        OldMethod {
            table,
            asked: 0,
            history: Vec::new(),
            described: Vec::new(),
            tries: Vec::new(),
            process: Process {
                variance,
                ..Process::default()
            },
        }
    }

    /// How many architectures it has met as candidates or proposals.
    pub fn described(&self) -> usize {
        self.described.len()
    }

    /// How many of the architectures that it was told its Gaussian process knows.
    pub fn points(&self) -> usize {
        self.process.points.len()
    }

    fn architecture<'p>(&self, point: &'p [u8]) -> &'p [u8] {
        &point[..self.table.architecture_slots()]
    }

    /// The best of what the walk met, with its father's hyperparameters.
    fn generated(&mut self, rng: &mut ChaCha8Rng) -> Option<Point> {
        let mut queue: BinaryHeap<Entry> = self
            .history
            .iter()
            .map(|(point, score)| Entry {
                key: *score,
                point: point.clone(),
            })
            .collect();
        let (mut temperature, factor, end) = ANNEALING;
        let mut best: Option<(f64, Point)> = None;
        while temperature > end {
            let Some(popped) = queue.pop() else { break };
            let highest = best.as_ref().map_or(f64::NEG_INFINITY, |(bound, _)| *bound);
            let chance = ((popped.key - highest) / temperature).min(1.0).exp();
            if chance >= rng.random() {
                for neighbour in self.neighbours(&popped.point, rng) {
                    let bound = self.process.bound(self.architecture(&neighbour));
                    self.described.push(self.architecture(&neighbour).to_vec());
                    if best.as_ref().is_none_or(|(highest, _)| bound > *highest) {
                        best = Some((bound, neighbour.clone()));
                    }
                    queue.push(Entry {
                        key: bound,
                        point: neighbour,
                    });
                }
            }
            temperature *= factor;
        }
        best.map(|(_, point)| point)
    }

    fn neighbours(&self, point: &Point, rng: &mut ChaCha8Rng) -> Vec<Point> {
        let mut found: Vec<Point> = Vec::new();
        let (most, draws) = NEIGHBOURS;
        for _ in 0..draws {
            let mut child = point.clone();
            let slot = rng.random_range(0..self.table.architecture_slots());
            let drawn = rng.random_range(0..self.table.slots()[slot].levels - 1);
            child[slot] = drawn + u8::from(drawn >= child[slot]);
            let known = |other: &Point| other.as_slice() == self.architecture(&child);
            if !self.described.iter().any(known) && !found.contains(&child) {
                found.push(child);
            }
            if found.len() == most {
                break;
            }
        }
        found
    }
}

impl Searcher for OldMethod<'_> {
    fn ask(&mut self, _: BudgetFraction, rng: &mut ChaCha8Rng) -> Point {
        self.asked += 1;
        if let Some(next) = self.tries.pop() {
            return next;
        }
        let generated = match self.asked <= STARTS {
            true => None,
            false => self.generated(rng),
        };
        let point = generated.unwrap_or_else(|| self.table.draw(rng));
        self.described.push(self.architecture(&point).to_vec());
        if point.len() > self.table.architecture_slots() {
            let mut other = self.table.draw(rng);
            other[..self.table.architecture_slots()].copy_from_slice(self.architecture(&point));
            self.tries.push(other);
        }
        point
    }

    fn tell(&mut self, point: &Point, score: f64) {
        let marks = self.table.marks();
        let score = (score - marks.worst) / (marks.best - marks.worst);
        let architecture = self.architecture(point).to_vec();
        let known = self
            .history
            .iter()
            .position(|(other, _)| self.architecture(other) == architecture);
        match known {
            // The better of an architecture's tries is its score.
            Some(place) if self.history[place].1 < score => {
                self.history[place] = (point.clone(), score);
                self.process.raise(&architecture, score);
            }
            Some(_) => {}
            None => {
                self.history.push((point.clone(), score));
                self.process.add(architecture, score);
            }
        }
    }
}

/// A place in the queue; the highest key is popped first.
struct Entry {
    key: f64,
    point: Point,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        let keys = self.key.total_cmp(&other.key);
        keys.then_with(|| self.point.cmp(&other.point))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// The Gaussian process.
#[derive(Default)]
struct Process {
    variance: Variance,
    fits: u64,
    points: Vec<Point>,
    scores: Vec<f64>,
    /// Lower triangle of the factor of K, row by row.
    factor: Vec<Vec<f64>>,
    /// K⁻¹·scores.
    weights: Vec<f64>,
}

impl Process {
    /// Forgets the point if the factorisation fails.
    fn add(&mut self, point: Point, score: f64) {
        self.fits += 1;
        self.points.push(point);
        self.scores.push(score);
        if !self.fit() {
            self.points.pop();
            self.scores.pop();
        }
    }

    fn raise(&mut self, point: &[u8], score: f64) {
        if let Some(place) = self.points.iter().position(|known| known == point) {
            self.scores[place] = score;
            self.weights = solved(&self.factor, &self.scores);
        }
    }

    fn fit(&mut self) -> bool {
        let distances: Vec<Vec<f64>> = self
            .points
            .iter()
            .map(|a| self.points.iter().map(|b| distance(a, b)).collect())
            .collect();
        let mut covariance = embedded(&distances, self.fits);
        let newest = self.points.len() - 1;
        covariance[newest][newest] += JITTER;
        let Some(factor) = factored(&covariance) else {
            return false;
        };
        self.weights = solved(&factor, &self.scores);
        self.factor = factor;
        true
    }

    /// μ + β·σ.
    fn bound(&self, point: &[u8]) -> f64 {
        let covariances = self.points.iter().map(|known| {
            let distance = distance(point, known);
            (-distance * distance).exp()
        });
        let covariances: Vec<f64> = covariances.collect();
        let both = covariances.iter().zip(&self.weights);
        let mean: f64 = both.map(|(covariance, weight)| covariance * weight).sum();
        let known = match self.variance {
            Variance::Solved => {
                let reduced = forward(&self.factor, &covariances);
                reduced.iter().map(|value| value * value).sum::<f64>()
            }
            Variance::Inverted => quadratic(&inverted(&self.factor), &covariances),
        };
        mean + BETA * (1.0 - known).max(0.0).sqrt()
    }
}

fn distance(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a != b).count() as f64
}

/// RBF kernel of Bourgain's embedding, with the loop that shortens itself; of a single point its distance.
fn embedded(distances: &[Vec<f64>], fits: u64) -> Vec<Vec<f64>> {
    let count = distances.len();
    if count == 1 {
        return distances.to_vec();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(EMBEDDING_SEED);
    rng.set_stream(fits);
    let scales = ((count as f64).log2() - 1.0).ceil() as u32;
    let mut repeats = (count as f64).ln().ceil() as usize;
    let mut features: Vec<Vec<f64>> = vec![Vec::new(); count];
    for scale in 0..=scales {
        for _ in 0..repeats {
            let subset = (0..2_usize.pow(scale)).map(|_| rng.random_range(0..count));
            let subset: Vec<usize> = subset.collect();
            for (row, features) in distances.iter().zip(&mut features) {
                let nearest = subset.iter().map(|place| row[*place]);
                features.push(nearest.fold(f64::INFINITY, f64::min));
            }
        }
        repeats = repeats.saturating_sub(1);
    }
    let gamma = 1.0 / features[0].len() as f64;
    let kernel = |a: &[f64], b: &[f64]| {
        let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
        (-gamma * squares.sum::<f64>()).exp()
    };
    features
        .iter()
        .map(|a| features.iter().map(|b| kernel(a, b)).collect())
        .collect()
}

/// Cholesky's factor; `None` if the matrix is not positive definite.
fn factored(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let mut factor: Vec<Vec<f64>> = Vec::with_capacity(matrix.len());
    for (index, row) in matrix.iter().enumerate() {
        let mut own = forward(&factor, &row[..index]);
        let rest = row[index] - own.iter().map(|value| value * value).sum::<f64>();
        if rest.is_nan() || rest <= 0.0 {
            return None;
        }
        own.push(rest.sqrt());
        factor.push(own);
    }
    Some(factor)
}

/// L⁻¹·values.
fn forward(factor: &[Vec<f64>], values: &[f64]) -> Vec<f64> {
    let mut solved: Vec<f64> = Vec::with_capacity(values.len());
    for (row, value) in factor.iter().zip(values) {
        let known: f64 = row.iter().zip(&solved).map(|(a, b)| a * b).sum();
        solved.push((value - known) / row[solved.len()]);
    }
    solved
}

/// (L·Lᵀ)⁻¹·values.
fn solved(factor: &[Vec<f64>], values: &[f64]) -> Vec<f64> {
    let mut solved = forward(factor, values);
    for index in (0..solved.len()).rev() {
        solved[index] /= factor[index][index];
        for before in 0..index {
            solved[before] -= factor[index][before] * solved[index];
        }
    }
    solved
}

/// (L·Lᵀ)⁻¹ = L⁻ᵀ·L⁻¹, its lower triangle row by row. What is known to be zero or equal is left out, which
/// AIPerf does not do.
fn inverted(factor: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut inverse: Vec<Vec<f64>> = Vec::with_capacity(factor.len());
    for (index, row) in factor.iter().enumerate() {
        let mut own = vec![0.0; index + 1];
        for (coefficient, before) in row.iter().zip(&inverse) {
            add(&mut own, -coefficient, before);
        }
        own[index] = 1.0;
        own.iter_mut().for_each(|value| *value /= row[index]);
        inverse.push(own);
    }
    let mut product: Vec<Vec<f64>> = (1..=factor.len()).map(|length| vec![0.0; length]).collect();
    for row in &inverse {
        for (own, coefficient) in product.iter_mut().zip(row) {
            add(own, *coefficient, row);
        }
    }
    product
}

fn add(to: &mut [f64], coefficient: f64, row: &[f64]) {
    to.iter_mut()
        .zip(row)
        .for_each(|(to, value)| *to += coefficient * value);
}

/// vᵀ·A·v of a symmetric A that is given by its lower triangle.
fn quadratic(lower: &[Vec<f64>], values: &[f64]) -> f64 {
    let rows = lower.iter().zip(values).map(|(row, value)| {
        let (diagonal, left) = row.split_last().expect("a row reaches to its diagonal");
        let left = left.iter().zip(values);
        let left: f64 = left.map(|(a, b)| a * b).sum();
        value * (2.0 * left + diagonal * value)
    });
    rows.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::made;

    #[test]
    fn a_variance_is_the_same_by_whatever_way_it_was_computed() {
        let table = made::table();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let [mut solved, mut inverted] =
            [Variance::Solved, Variance::Inverted].map(|variance| OldMethod::new(&table, variance));
        for _ in 0..30 {
            let point = table.draw(&mut rng);
            let score = table.record(&point).score;
            solved.tell(&point, score);
            inverted.tell(&point, score);
        }
        assert!(inverted.points() > 5, "{}", inverted.points());
        for _ in 0..30 {
            let point = table.draw(&mut rng);
            let bounds = [&solved, &inverted]
                .map(|method| method.process.bound(method.architecture(&point)));
            // A variance that is hardly more than rounding has a root that is larger than it.
            assert!((bounds[0] - bounds[1]).abs() < 1e-3, "{bounds:?}");
        }
    }
}
