//! How well each column alone explains the target: a small decision tree over one column, grown on
//! training rows, scored on validation rows. A column that explains nearly everything is more often a
//! copy of the target, or made after it, than a finding.
//!
//! Regression trees of Breiman et al. 1984. For classes the squared error of their indicators is made
//! small (which is Gini's impurity), so one measure serves both kinds of target: the share of the
//! target's variance that is explained, for classes also known as Brier's skill score.

use std::collections::BTreeMap;

use crate::{
    source::{Cells, Column, RawTargets},
    split::Split,
};

/// Rows that are looked at, of each part; more tell nothing new.
const ROWS_MAX: usize = 20_000;

/// A leaf has at least so many training rows.
const LEAF_ROWS_MIN: usize = 5;

/// Splits from the root to a leaf at most: 32 leaves follow a smooth curve to a thousandth of its variance.
const DEPTH_MAX: u32 = 5;

/// Fewer validation rows measure nothing.
const VALIDATION_ROWS_MIN: usize = 10;

/// Explained share of each column; nothing where it cannot be measured.
///
/// # Units
/// 1 is all of the target's variance on validation rows, 0 none; below 0 it is worse than the mean.
/// # Cost
/// `O(columns · rows log rows)`, of at most 20,000 rows.
pub(super) fn explained(
    columns: &[Column],
    targets: &RawTargets,
    split: &Split,
) -> Vec<Option<f64>> {
    let train = spread(&split.train, ROWS_MAX);
    let validation = spread(&split.validation, ROWS_MAX);
    let mean = Leaf::of(targets, train.iter().copied());
    let spread = mean.error(targets, &validation);
    let is_measurable = validation.len() >= VALIDATION_ROWS_MIN && spread > 0.0;
    let of_column = |column: &Column| {
        is_measurable.then(|| {
            let leaves = Leaves::grow(&column.cells, targets, &train);
            1.0 - leaves.error(&column.cells, targets, &validation) / spread
        })
    };
    columns.iter().map(of_column).collect()
}

/// At most so many of the rows, evenly spread.
pub(super) fn spread(rows: &[u32], most: usize) -> Vec<u32> {
    let step = rows.len().div_ceil(most).max(1);
    rows.iter().step_by(step).copied().collect()
}

/// What is said of the rows that end in a leaf.
#[derive(Clone, Debug)]
enum Leaf {
    Mean(f64),
    /// Shares of the classes that are there, and the sum of their squares.
    Shares(BTreeMap<u32, f64>, f64),
}

impl Leaf {
    fn of(targets: &RawTargets, rows: impl Iterator<Item = u32>) -> Leaf {
        match targets {
            RawTargets::Values(values) => {
                let (mut sum, mut count) = (0.0, 0.0);
                for row in rows {
                    sum += values[row as usize];
                    count += 1.0;
                }
                Leaf::Mean(sum / f64::max(count, 1.0))
            }
            RawTargets::Classes(ids) => {
                let mut shares: BTreeMap<u32, f64> = BTreeMap::new();
                let mut count = 0.0;
                for row in rows {
                    *shares.entry(ids[row as usize]).or_default() += 1.0;
                    count += 1.0;
                }
                shares.values_mut().for_each(|share| *share /= count);
                let squares = shares.values().map(|share| share * share).sum();
                Leaf::Shares(shares, squares)
            }
            RawTargets::Unknown(_) => Leaf::Mean(0.0),
        }
    }

    /// Squared error of one row.
    fn error_of(&self, targets: &RawTargets, row: u32) -> f64 {
        match (self, targets) {
            (Leaf::Mean(mean), RawTargets::Values(values)) => (values[row as usize] - mean).powi(2),
            (Leaf::Shares(shares, squares), RawTargets::Classes(ids)) => {
                let right = shares.get(&ids[row as usize]).copied().unwrap_or(0.0);
                squares - 2.0 * right + 1.0
            }
            _ => 0.0,
        }
    }

    fn error(&self, targets: &RawTargets, rows: &[u32]) -> f64 {
        rows.iter().map(|row| self.error_of(targets, *row)).sum()
    }
}

/// A grown tree of one column, as its leaves.
enum Leaves<'a> {
    /// Leaves by the number from which on they end; the last has none.
    Numbers {
        ends: Vec<f64>,
        leaves: Vec<Leaf>,
        missing: Leaf,
    },
    /// Leaves by word.
    Words {
        leaves: BTreeMap<Option<&'a str>, Leaf>,
        other: Leaf,
    },
}

impl<'a> Leaves<'a> {
    fn grow(cells: &'a Cells, targets: &RawTargets, train: &[u32]) -> Leaves<'a> {
        match cells {
            Cells::Numbers(values)
            | Cells::Times {
                seconds: values, ..
            } => {
                let is_missing = |row: &&u32| values[**row as usize].is_nan();
                let missing = train.iter().filter(is_missing).copied();
                let mut rows: Vec<u32> = train
                    .iter()
                    .filter(|row| !is_missing(row))
                    .copied()
                    .collect();
                rows.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
                let mut ends = Vec::new();
                cut(values, targets, &rows, DEPTH_MAX, &mut ends);
                ends.sort_by(f64::total_cmp);
                let leaf_of = |row: &u32| place(&ends, values[*row as usize]);
                let leaves = rows.chunk_by(|a, b| leaf_of(a) == leaf_of(b));
                let leaves = leaves.map(|rows| Leaf::of(targets, rows.iter().copied()));
                Leaves::Numbers {
                    leaves: leaves.collect(),
                    missing: leaf_or_all(targets, missing.collect(), train),
                    ends,
                }
            }
            Cells::Words(words) | Cells::Texts(words) => {
                let mut by_word: BTreeMap<Option<&str>, Vec<u32>> = BTreeMap::new();
                for row in train {
                    let word = words[*row as usize].as_deref();
                    by_word.entry(word).or_default().push(*row);
                }
                let leaves = by_word
                    .into_iter()
                    .filter(|(_, rows)| rows.len() >= LEAF_ROWS_MIN)
                    .map(|(word, rows)| (word, Leaf::of(targets, rows.into_iter())));
                Leaves::Words {
                    leaves: leaves.collect(),
                    other: Leaf::of(targets, train.iter().copied()),
                }
            }
        }
    }

    fn error(&self, cells: &Cells, targets: &RawTargets, rows: &[u32]) -> f64 {
        let leaf = |row: u32| match (self, cells) {
            (
                Leaves::Numbers {
                    ends,
                    leaves,
                    missing,
                },
                Cells::Numbers(values)
                | Cells::Times {
                    seconds: values, ..
                },
            ) => match values[row as usize] {
                value if value.is_nan() => missing,
                value => leaves.get(place(ends, value)).unwrap_or(missing),
            },
            (Leaves::Words { leaves, other }, Cells::Words(words) | Cells::Texts(words)) => {
                leaves.get(&words[row as usize].as_deref()).unwrap_or(other)
            }
            _ => unreachable!("the leaves are of this very column"),
        };
        rows.iter()
            .map(|row| leaf(*row).error_of(targets, *row))
            .sum()
    }
}

fn leaf_or_all(targets: &RawTargets, rows: Vec<u32>, all: &[u32]) -> Leaf {
    match rows.len() >= LEAF_ROWS_MIN {
        true => Leaf::of(targets, rows.into_iter()),
        false => Leaf::of(targets, all.iter().copied()),
    }
}

/// Which leaf a number belongs to.
fn place(ends: &[f64], value: f64) -> usize {
    ends.partition_point(|end| *end <= value)
}

/// Cuts rows, which are sorted, where the squared error falls most; says the middle of each cut.
fn cut(values: &[f64], targets: &RawTargets, rows: &[u32], depth: u32, ends: &mut Vec<f64>) {
    if depth == 0 || rows.len() < 2 * LEAF_ROWS_MIN {
        return;
    }
    let value = |place: usize| values[rows[place] as usize];
    let gains = gains(targets, rows);
    let whole = gains[0];
    let best = (LEAF_ROWS_MIN..=rows.len() - LEAF_ROWS_MIN)
        .filter(|place| value(place - 1) < value(*place))
        .max_by(|a, b| gains[*a].total_cmp(&gains[*b]));
    let Some(best) = best.filter(|best| gains[*best] > whole * (1.0 + 1e-12) + 1e-12) else {
        return;
    };
    let (below, above) = (value(best - 1), value(best));
    let middle = below + 0.5 * (above - below);
    ends.push(if middle > below { middle } else { above });
    cut(values, targets, &rows[..best], depth - 1, ends);
    cut(values, targets, &rows[best..], depth - 1, ends);
}

/// For each place of a cut, what it takes off the squared error: `Σ (sum of the side)² / rows of the side`;
/// at place 0 without a cut. For classes it is the sum over all of them.
fn gains(targets: &RawTargets, rows: &[u32]) -> Vec<f64> {
    let mut sides = [Sums::default(), Sums::default()];
    // Sums of numbers are taken around their mean: far from 0, their squares would drown all differences.
    let centre = match Leaf::of(targets, rows.iter().copied()) {
        Leaf::Mean(mean) => mean,
        Leaf::Shares(..) => 0.0,
    };
    let [left, right] = &mut sides;
    rows.iter().for_each(|row| right.add(targets, *row, centre));
    let mut gains = vec![right.gain()];
    for row in rows {
        left.add(targets, *row, centre);
        right.remove(targets, *row, centre);
        gains.push(left.gain() + right.gain());
    }
    gains
}

/// What one side of a cut sums up to.
#[derive(Default)]
struct Sums {
    rows: f64,
    /// Of numbers.
    sum: f64,
    /// Of classes.
    counts: BTreeMap<u32, f64>,
    /// Sum of the squared counts.
    squares: f64,
}

impl Sums {
    fn add(&mut self, targets: &RawTargets, row: u32, centre: f64) {
        self.change(targets, row, centre, 1.0);
    }

    fn remove(&mut self, targets: &RawTargets, row: u32, centre: f64) {
        self.change(targets, row, centre, -1.0);
    }

    fn change(&mut self, targets: &RawTargets, row: u32, centre: f64, by: f64) {
        self.rows += by;
        match targets {
            RawTargets::Values(values) => self.sum += by * (values[row as usize] - centre),
            RawTargets::Classes(ids) => {
                let count = self.counts.entry(ids[row as usize]).or_default();
                self.squares += by * 2.0 * *count + 1.0;
                *count += by;
            }
            RawTargets::Unknown(_) => {}
        }
    }

    fn gain(&self) -> f64 {
        match self.rows > 0.0 {
            true => (self.sum * self.sum + self.squares) / self.rows,
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const ROWS: u32 = 2_000;

    fn check(cells: Cells, targets: &RawTargets) -> f64 {
        let split = Split {
            train: (0..ROWS / 2).collect(),
            validation: (ROWS / 2..ROWS).collect(),
            vault: Vec::new(),
        };
        let column = Column {
            name: "x".into(),
            cells,
        };
        explained(&[column], targets, &split)[0].unwrap()
    }

    fn numbers(of_row: impl FnMut(u32) -> f64) -> Vec<f64> {
        (0..ROWS).map(of_row).collect()
    }

    #[test]
    fn a_curve_of_the_target_explains_it_and_noise_does_not() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let values = numbers(|_| 1e9 + rng.random_range(-1.0..1.0_f64).powi(3));
        let targets = RawTargets::Values(values.clone());
        let copy = values.iter().map(|value| -3.0 * value).collect();
        assert!(check(Cells::Numbers(copy), &targets) > 0.99);
        let noise = numbers(|_| rng.random());
        assert!(check(Cells::Numbers(noise), &targets) < 0.02);
    }

    #[test]
    fn a_threshold_anywhere_explains_a_rare_class() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let values = numbers(|_| rng.random());
        let ids = values
            .iter()
            .map(|value| u32::from(*value > 0.973))
            .collect();
        let targets = RawTargets::Classes(ids);
        let found = check(Cells::Numbers(values), &targets);
        assert!(found > 0.95, "{found}");
    }

    #[test]
    fn what_is_missing_can_say_it_all() {
        let ids: Vec<u32> = (0..ROWS).map(|row| row % 2).collect();
        let values = numbers(|row| {
            if row % 2 == 0 {
                f64::NAN
            } else {
                f64::from(row)
            }
        });
        assert!(check(Cells::Numbers(values), &RawTargets::Classes(ids.clone())) > 0.999);
        let word = |row: u32| row.is_multiple_of(2).then(|| format!("{}", row % 3));
        let words = Cells::Words((0..ROWS).map(word).collect());
        assert!(check(words, &RawTargets::Classes(ids)) > 0.999);
    }

    #[test]
    fn the_gain_of_a_cut_is_what_the_squared_error_loses() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let rows: Vec<u32> = (0..50).collect();
        let ids = RawTargets::Classes(rows.iter().map(|_| rng.random_range(0..3)).collect());
        let values = RawTargets::Values(rows.iter().map(|_| rng.random()).collect());
        for targets in [ids, values] {
            let error =
                |rows: &[u32]| Leaf::of(&targets, rows.iter().copied()).error(&targets, rows);
            let gains = gains(&targets, &rows);
            for place in 1..50 {
                let (left, right) = rows.split_at(place);
                let lost = error(&rows) - error(left) - error(right);
                assert!((gains[place] - gains[0] - lost).abs() < 1e-9, "{place}");
            }
        }
    }
}
