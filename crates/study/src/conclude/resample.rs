//! How far a score would scatter with other rows: the bootstrap, for several models on the same draws.
//!
//! Where rows come in groups whose members are alike, groups are drawn instead: rows of the same patient are
//! not so many patients (Cameron, Gelbach & Miller 2008, section 2).
//! A draw says how often each row counts. Metrics are computed from these counts directly, so that nothing
//! is copied and no row is sorted twice; a test compares them with copied rows.
//! Efron & Tibshirani 1993, chapters 13 and 16.
//!
//! Draws of few units scatter less than new ones would: where two groups favour a model, all draws do.
//! So it is also counted how many units tell two models apart at all.

use std::collections::BTreeMap;

use data::Targets;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use train::{Calibration, LabelCounts, Metric};

use super::scores::WithInterval;

/// Draws of a bootstrap, as far as the rows are few.
const DRAWS: usize = 1000;

/// Draws of a bootstrap at least.
const DRAWS_MIN: usize = 200;

/// Rows that a model goes through in all draws, as far as the least number of these allows.
const ROWS_DRAWN_MAX: usize = 20_000_000;

/// No probability counts as less, as in the metric.
const PROBABILITY_MIN: f64 = 1e-15;

/// A model's rows, reduced to what one metric needs of them.
pub(super) enum Scored {
    /// The mean of a value per row.
    Mean(Vec<f64>),
    /// The root of that mean.
    Root(Vec<f64>),
    /// One less squared errors by squared distances from the mean.
    Explained { squares: Vec<f64>, values: Vec<f64> },
    /// A metric of the classes that are said.
    Labels {
        metric: Metric,
        said: Vec<u32>,
        ids: Vec<u32>,
        count: usize,
    },
    /// For each class that is asked, its probability of every row, ascending.
    Ranks {
        of_class: Vec<(u32, Vec<(f64, u32)>)>,
        ids: Vec<u32>,
    },
    /// The metric means nothing here.
    Undefined,
}

impl Scored {
    /// Reduces outputs to what this metric needs.
    pub(super) fn of(
        metric: Metric,
        outputs: &[f32],
        targets: &Targets,
        scale: f64,
        calibration: &Calibration,
    ) -> Scored {
        match targets {
            Targets::Classes { ids, count } => {
                of_classes(metric, outputs, ids, *count as usize, calibration)
            }
            Targets::Values(values) => of_values(metric, outputs, values, scale),
            Targets::None => Scored::Undefined,
        }
    }

    /// The metric if each row counts so much.
    pub(super) fn value(&self, counts: &[f64]) -> Option<f64> {
        let mean = |values: &[f64]| {
            let rows: f64 = counts.iter().sum();
            let weighed = values.iter().zip(counts);
            weighed.map(|(value, count)| value * count).sum::<f64>() / rows
        };
        let value = match self {
            Scored::Mean(values) => mean(values),
            Scored::Root(values) => mean(values).sqrt(),
            Scored::Explained { squares, values } => {
                let centre = mean(values);
                let spread: Vec<f64> = values.iter().map(|v| (v - centre).powi(2)).collect();
                1.0 - mean(squares) / mean(&spread)
            }
            Scored::Labels {
                metric,
                said,
                ids,
                count,
            } => {
                let mut labels = LabelCounts::of_no_rows(*count);
                for ((said, id), count) in said.iter().zip(ids).zip(counts) {
                    labels.count(*id as usize, *said as usize, *count);
                }
                labels.value(*metric).unwrap_or(f64::NAN)
            }
            Scored::Ranks { of_class, ids } => {
                let areas: Vec<f64> = of_class
                    .iter()
                    .map(|(class, ranked)| area(*class, ranked, ids, counts))
                    .filter(|area| area.is_finite())
                    .collect();
                areas.iter().sum::<f64>() / areas.len() as f64
            }
            Scored::Undefined => f64::NAN,
        };
        value.is_finite().then_some(value)
    }

    /// How often all rows are gone through for one value.
    fn passes(&self) -> usize {
        match self {
            Scored::Ranks { of_class, .. } => of_class.len().max(1),
            _ => 1,
        }
    }

    /// Whether these rows, each by its weight, are together worth something else to this model than to another.
    ///
    /// A rank is worth nothing alone, so all rows that count may tell.
    fn is_apart(&self, other: &Scored, rows: &[u32], weights: &[f64]) -> bool {
        let rows = rows.iter().map(|row| *row as usize);
        let mut counting = rows.filter(|row| weights[*row] > 0.0);
        match (self, other) {
            (Scored::Mean(one), Scored::Mean(other))
            | (Scored::Root(one), Scored::Root(other))
            | (Scored::Explained { squares: one, .. }, Scored::Explained { squares: other, .. }) => {
                let apart = counting.map(|row| weights[row] * (one[row] - other[row]));
                apart.sum::<f64>() != 0.0
            }
            (
                Scored::Labels {
                    metric: Metric::BalancedAccuracy,
                    said: one,
                    ids,
                    ..
                },
                Scored::Labels { said: other, .. },
            ) => counting.any(|row| (one[row] == ids[row]) != (other[row] == ids[row])),
            (Scored::Labels { said: one, .. }, Scored::Labels { said: other, .. }) => {
                counting.any(|row| one[row] != other[row])
            }
            (Scored::Ranks { .. }, Scored::Ranks { .. }) => counting.next().is_some(),
            _ => false,
        }
    }
}

fn of_classes(
    metric: Metric,
    outputs: &[f32],
    ids: &[u32],
    count: usize,
    calibration: &Calibration,
) -> Scored {
    let probabilities: Vec<Vec<f64>> = outputs
        .chunks_exact(count)
        .map(|logits| calibration.probabilities(logits))
        .collect();
    let said = probabilities
        .iter()
        .map(|row| calibration.label(row) as u32);
    match metric {
        Metric::Accuracy => {
            let right = said.zip(ids).map(|(said, id)| u8::from(said == *id));
            Scored::Mean(right.map(f64::from).collect())
        }
        Metric::LogLoss => {
            let each = probabilities.iter().zip(ids);
            let loss = |(row, id): (&Vec<f64>, &u32)| -row[*id as usize].max(PROBABILITY_MIN).ln();
            Scored::Mean(each.map(loss).collect())
        }
        Metric::BalancedAccuracy | Metric::F1Macro | Metric::Mcc => Scored::Labels {
            metric,
            said: said.collect(),
            ids: ids.to_vec(),
            count,
        },
        Metric::Auc => {
            let asked = match count {
                2 => 1..2,
                _ => 0..count as u32,
            };
            let ranked = |class: u32| {
                let rows = probabilities.iter().zip(0..);
                let mut ranked: Vec<(f64, u32)> = rows
                    .map(|(row, index)| (row[class as usize], index))
                    .collect();
                ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
                (class, ranked)
            };
            Scored::Ranks {
                of_class: asked.map(ranked).collect(),
                ids: ids.to_vec(),
            }
        }
        Metric::Rmse | Metric::Mae | Metric::R2 => Scored::Undefined,
    }
}

fn of_values(metric: Metric, outputs: &[f32], values: &[f32], scale: f64) -> Scored {
    let errors = outputs.iter().zip(values);
    let errors: Vec<f64> = errors
        .map(|(output, value)| (f64::from(*output) - f64::from(*value)) * scale)
        .collect();
    let squares = || errors.iter().map(|error| error * error).collect();
    match metric {
        Metric::Mae => Scored::Mean(errors.iter().map(|error| error.abs()).collect()),
        Metric::Rmse => Scored::Root(squares()),
        Metric::R2 => Scored::Explained {
            squares: squares(),
            values: values
                .iter()
                .map(|value| f64::from(*value) * scale)
                .collect(),
        },
        _ => Scored::Undefined,
    }
}

/// Probability that a row of the class ranks above another row; equal ones count half.
fn area(class: u32, ranked: &[(f64, u32)], ids: &[u32], counts: &[f64]) -> f64 {
    let (mut below, mut positives, mut ordered) = (0.0, 0.0, 0.0);
    for equal in ranked.chunk_by(|a, b| a.0 == b.0) {
        let (mut own, mut others) = (0.0, 0.0);
        for (_, row) in equal {
            let count = counts[*row as usize];
            match ids[*row as usize] == class {
                true => own += count,
                false => others += count,
            }
        }
        ordered += own * (below + others / 2.0);
        below += others;
        positives += own;
    }
    ordered / (positives * below)
}

/// What is drawn.
pub(super) enum Units {
    /// Rows, each for itself.
    Rows(usize),
    /// So many rows of one group, which says nothing about others: its rows are drawn, but all of them are one unit.
    OneGroup(usize),
    /// Groups of rows, two at least.
    Groups(Vec<Vec<u32>>),
}

impl Units {
    /// The groups of rows whose numbers these are, one for each row; the rows themselves if there are no numbers.
    pub(super) fn of(groups: &[u32], rows: usize) -> Units {
        let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (row, group) in (0..).zip(groups) {
            members.entry(*group).or_default().push(row);
        }
        match members.len() {
            _ if groups.len() != rows => Units::Rows(rows),
            0 => Units::Rows(rows),
            1 => Units::OneGroup(rows),
            _ => Units::Groups(members.into_values().collect()),
        }
    }

    /// How many units tell two models apart: those that are worth something else to one than to the other.
    ///
    /// # Shapes
    /// `weights: [rows]`; both models have as many rows, reduced to the same metric.
    /// # Units
    /// Rows or groups.
    /// # Errors
    /// None.
    /// # Cost
    /// `O(rows)`.
    /// # Source
    /// McNemar 1947, and Dixon & Mood 1946 for the sign test: pairs that are alike do not say which is better.
    pub(super) fn telling_apart(&self, one: &Scored, other: &Scored, weights: &[f64]) -> usize {
        let tells = |rows: &[u32]| one.is_apart(other, rows, weights);
        match self {
            Units::Rows(rows) => (0..*rows as u32).filter(|row| tells(&[*row])).count(),
            Units::OneGroup(rows) => {
                let all: Vec<u32> = (0..*rows as u32).collect();
                usize::from(tells(&all))
            }
            Units::Groups(groups) => groups.iter().filter(|rows| tells(rows)).count(),
        }
    }

    /// Draws as many as there are, with replacement, and counts the rows by their weights.
    fn draw(&self, weights: &[f64], counts: &mut [f64], rng: &mut ChaCha8Rng) {
        counts.fill(0.0);
        let mut count = |row: usize| counts[row] += weights[row];
        match self {
            Units::Rows(rows) | Units::OneGroup(rows) => {
                (0..*rows).for_each(|_| count(rng.random_range(0..*rows)));
            }
            Units::Groups(groups) => {
                for _ in 0..groups.len() {
                    let drawn = &groups[rng.random_range(0..groups.len())];
                    drawn.iter().for_each(|row| count(*row as usize));
                }
            }
        }
    }
}

/// For each draw, the metric of every model.
///
/// # Shapes
/// `weights: [rows]`, what each row counts when it is drawn once; every model has as many rows. Returns
/// `[draws][models]`.
/// # Units
/// Those of the metric.
/// # Errors
/// None; a metric that is not defined for a draw is absent.
/// # Cost
/// `O(draws · rows · models)`, of ranks times the classes that are asked; draws are fewer, down to a least number,
/// where rows are many, or rows times classes.
/// # Source
/// Efron & Tibshirani 1993, chapter 6.
pub(super) fn bootstrap(
    models: &[Scored],
    units: &Units,
    weights: &[f64],
    seed: u64,
) -> Vec<Vec<Option<f64>>> {
    let rows = weights.len();
    if rows == 0 {
        return Vec::new();
    }
    let draws = draws_of(models, rows);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut counts = vec![0.0; rows];
    (0..draws)
        .map(|_| {
            units.draw(weights, &mut counts, &mut rng);
            models.iter().map(|model| model.value(&counts)).collect()
        })
        .collect()
}

/// How many draws of so many rows are affordable.
fn draws_of(models: &[Scored], rows: usize) -> usize {
    let passes = models.iter().map(Scored::passes).max().unwrap_or(1);
    (ROWS_DRAWN_MAX / rows.saturating_mul(passes).max(1)).clamp(DRAWS_MIN, DRAWS)
}

/// A value with the middle 95 % of the draws around it.
pub(super) fn with_interval(value: f64, draws: impl Iterator<Item = f64>) -> WithInterval {
    let mut draws: Vec<f64> = draws.filter(|draw| draw.is_finite()).collect();
    draws.sort_by(f64::total_cmp);
    let last = draws.len().saturating_sub(1);
    let at = |share: f64| {
        let index = (share * draws.len() as f64) as usize;
        draws.get(index.min(last)).copied().unwrap_or(value)
    };
    WithInterval {
        value,
        low: at(0.025),
        high: at(0.975),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(targets: &Targets, drawn: &[usize]) -> Targets {
        match targets {
            Targets::Classes { ids, count } => Targets::Classes {
                ids: drawn.iter().map(|row| ids[*row]).collect(),
                count: *count,
            },
            Targets::Values(values) => {
                Targets::Values(drawn.iter().map(|row| values[*row]).collect())
            }
            Targets::None => Targets::None,
        }
    }

    /// Compares the metric of counted rows with that of copied rows.
    fn check(outputs: &[f32], targets: &Targets, metrics: &[Metric], calibration: Calibration) {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let rows = match targets {
            Targets::Classes { ids, .. } => ids.len(),
            Targets::Values(values) => values.len(),
            Targets::None => 0,
        };
        let width = outputs.len() / rows;
        for _ in 0..20 {
            let drawn: Vec<usize> = (0..rows).map(|_| rng.random_range(0..rows)).collect();
            let weights: Vec<f32> = (0..rows).map(|row| [1.0, 0.25, 3.0][row % 3]).collect();
            let mut counts = vec![0.0; rows];
            drawn
                .iter()
                .for_each(|row| counts[*row] += f64::from(weights[*row]));
            let weights: Vec<f32> = drawn.iter().map(|row| weights[*row]).collect();
            let of_drawn = drawn
                .iter()
                .flat_map(|row| &outputs[row * width..(row + 1) * width]);
            let copied_outputs: Vec<f32> = of_drawn.copied().collect();
            let targets_drawn = copied(targets, &drawn);
            let slow = calibration.evaluate(&copied_outputs, &targets_drawn, Some(&weights), 3.5);
            for metric in metrics {
                let model = Scored::of(*metric, outputs, targets, 3.5, &calibration);
                let (fast, slow) = (model.value(&counts), slow.metrics.get(metric).copied());
                let difference = fast.zip(slow).map(|(fast, slow)| (fast - slow).abs());
                assert!(difference < Some(1e-6), "{metric}: {fast:?}, {slow:?}");
            }
        }
    }

    #[test]
    fn counted_rows_score_as_copied_rows_do() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let classes = [
            Metric::Accuracy,
            Metric::BalancedAccuracy,
            Metric::F1Macro,
            Metric::Mcc,
            Metric::Auc,
            Metric::LogLoss,
        ];
        for (count, threshold) in [(2, 0.5), (2, 0.3), (4, 0.5)] {
            let ids: Vec<u32> = (0..60).map(|_| rng.random_range(0..count)).collect();
            // Few different values, so that there are ties.
            let outputs: Vec<f32> = (0..60 * count)
                .map(|_| rng.random_range(-4..4) as f32 / 2.0)
                .collect();
            let calibration = Calibration::new(1.0, threshold).unwrap();
            check(
                &outputs,
                &Targets::Classes { ids, count },
                &classes,
                calibration,
            );
        }
        let mut draw = || {
            (0..50)
                .map(|_| rng.random_range(-1.0..1.0))
                .collect::<Vec<f32>>()
        };
        let (outputs, values) = (draw(), draw());
        let numbers = [Metric::Rmse, Metric::Mae, Metric::R2];
        let plain = Calibration::default();
        check(&outputs, &Targets::Values(values), &numbers, plain);
    }

    #[test]
    fn the_interval_of_a_mean_is_about_that_of_the_normal_distribution() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let values: Vec<f64> = (0..400).map(|_| rng.random_range(0.0..1.0)).collect();
        let mean = values.iter().sum::<f64>() / 400.0;
        let draws = bootstrap(&[Scored::Mean(values)], &Units::Rows(400), &[1.0; 400], 1);
        let interval = with_interval(mean, draws.iter().filter_map(|draw| draw[0]));
        // A uniform value deviates by 0.2887, the mean of 400 by a twentieth of it.
        let half = 1.96 * 0.2887 / 20.0;
        assert!((interval.high - mean - half).abs() < 0.004, "{interval:?}");
        assert!((mean - interval.low - half).abs() < 0.004, "{interval:?}");
    }

    #[test]
    fn rows_of_one_group_do_not_count_as_so_many() {
        // Ten groups of a hundred rows each; half of the groups are right in all of them.
        let groups: Vec<u32> = (0..1000).map(|row| row / 100).collect();
        let right = groups.iter().map(|group| f64::from(group % 2)).collect();
        let interval = |units: &Units| {
            let draws = bootstrap(&[Scored::Mean(Vec::clone(&right))], units, &[1.0; 1000], 1);
            with_interval(0.5, draws.iter().filter_map(|draw| draw[0]))
        };
        // Of ten groups the share deviates by √(¼/10) = 0.158, of a thousand rows by 0.0158.
        let by_group = interval(&Units::of(&groups, 1000));
        assert!(
            by_group.low <= 0.25 && by_group.high >= 0.75,
            "{by_group:?}"
        );
        let by_row = interval(&Units::of(&[], 1000));
        assert!(by_row.high - by_row.low < 0.07, "{by_row:?}");
        // One group says nothing about others, and neither do numbers of other rows.
        assert!(matches!(Units::of(&[3; 50], 50), Units::OneGroup(50)));
        assert!(matches!(Units::of(&groups, 50), Units::Rows(50)));
    }

    #[test]
    fn only_what_is_worth_something_else_to_one_of_two_models_tells_them_apart() {
        let apart = |groups: &[u32], one: &Scored, other: &Scored| {
            let weights = [1.0, 1.0, 2.0, 1.0, 0.0, 1.0];
            Units::of(groups, 6).telling_apart(one, other, &weights)
        };
        let one = Scored::Mean(vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let other = Scored::Mean(vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        // The fifth row does not count.
        assert_eq!(apart(&[], &one, &other), 3);
        // In the first group each is right where the other is wrong, once.
        assert_eq!(apart(&[0, 0, 0, 1, 1, 1], &one, &other), 1);
        assert_eq!(apart(&[7; 6], &one, &other), 1);
        assert_eq!(apart(&[], &one, &one), 0);
        assert_eq!(apart(&[7; 6], &one, &one), 0);
    }

    #[test]
    fn labels_tell_models_apart_as_far_as_their_metric_looks_at_them() {
        let apart = |metric: Metric| {
            let of = |said: [u32; 6]| Scored::Labels {
                metric,
                said: said.to_vec(),
                ids: vec![0; 6],
                count: 3,
            };
            let (one, other) = (of([1, 1, 1, 1, 1, 1]), of([2, 2, 1, 0, 1, 1]));
            Units::Rows(6).telling_apart(&one, &other, &[1.0; 6])
        };
        // Another wrong class changes what the classes said are worth, but not what is found of each.
        assert_eq!(apart(Metric::BalancedAccuracy), 1);
        assert_eq!(apart(Metric::Mcc), 3);
    }

    #[test]
    fn ranks_count_all_units_and_are_drawn_less_often_of_many_classes() {
        let ranks = |classes: u32| Scored::Ranks {
            of_class: (0..classes).map(|class| (class, Vec::new())).collect(),
            ids: vec![0; 6],
        };
        let apart = |units: &Units| {
            units.telling_apart(&ranks(1), &ranks(1), &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
        };
        assert_eq!(apart(&Units::of(&[], 6)), 5);
        assert_eq!(apart(&Units::of(&[0, 0, 1, 1, 2, 2], 6)), 3);
        assert_eq!(draws_of(&[ranks(1)], 1000), DRAWS);
        assert_eq!(draws_of(&[Scored::Undefined, ranks(40)], 1000), DRAWS / 2);
        assert_eq!(draws_of(&[ranks(5000)], 1000), DRAWS_MIN);
    }
}
